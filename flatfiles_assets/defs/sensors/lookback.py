"""The sensor `lookback_sync`: features that look back at a session whose prices were written again.

Here: which later sessions a change of old prices concerns. Not here: the session itself, which
follows its prices by `automation.py`. Partition mappings cannot express
it: with the look-back as a mapping, a year that is loaded in order would ask for the features of
the year after, whose prices are not there yet. Only features that exist are computed again.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Sequence

import dagster as dg

from flatfiles_assets.algorithms import universe
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.defs.assets.daily_prices import daily_prices_partitions
from flatfiles_assets.defs.keys import DAILY_PRICES_KEY, algorithm_key
from flatfiles_assets.defs.partitions import key_ranges
from flatfiles_assets.defs.range_requests import range_request
from flatfiles_assets.defs.sensors.cursor import tick_seconds
from flatfiles_assets.defs.step_errors import door

_TICK_SECONDS = 600
_LOOKBACKS = {
    "universe": universe.LOOKBACK_SESSIONS,
    **{name: algorithm.lookback_sessions for name, algorithm in ALGORITHMS.items()},
}
_EVENTS_PER_TICK = 2_000
_BRIDGE_SESSIONS = 5
_MOST_SESSIONS_PER_RUN = 253


def build_lookback_sensor() -> dg.SensorDefinition:
    """The sensor; its cursor is the storage id of the last event that it has seen."""

    @dg.sensor(
        name="lookback_sync",
        asset_selection=dg.AssetSelection.assets(*(algorithm_key(name) for name in _LOOKBACKS)),
        minimum_interval_seconds=tick_seconds(_TICK_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Computes features again that look back at sessions whose prices were written again.",
    )
    @door
    def sync(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        instance = context.instance
        seen = int(context.cursor) if context.cursor and context.cursor.isdigit() else 0
        events = instance.fetch_materializations(
            dg.AssetRecordsFilter(DAILY_PRICES_KEY, after_storage_id=seen),
            limit=_EVENTS_PER_TICK,
            ascending=True,
        ).records
        if not events:
            return dg.SensorResult(skip_reason="No prices were written.", cursor=context.cursor)
        written = {event.partition_key for event in events if event.partition_key}
        last_event = events[-1].storage_id
        sessions = daily_prices_partitions().get_partition_keys()
        requests = []
        for name, lookback_sessions in _LOOKBACKS.items():
            key = algorithm_key(name)
            wanted = looking_back_at(sessions, written, lookback_sessions)
            wanted &= instance.get_materialized_partitions(key)
            requests += _requests(key, wanted, last_event)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "No features look back at the prices that were written.",
            cursor=str(last_event),
        )

    return sync


def looking_back_at(sessions: Sequence[str], written: Collection[str], lookback_sessions: int) -> set[str]:
    """The sessions after a written one within the look-back, without those that were written too.

    Args:
        sessions: Every session there is, in order.
        written: Sessions whose prices were written.
        lookback_sessions: How many sessions before its own a feature uses.
    """
    found: set[str] = set()
    for session in written:
        after = bisect.bisect_right(sessions, session)
        found.update(sessions[after : after + lookback_sessions])
    return found - set(written)


def _requests(key: dg.AssetKey, wanted: Iterable[str], last_event: int) -> list[dg.RunRequest]:
    ranges = key_ranges(
        daily_prices_partitions(), wanted, longest=_MOST_SESSIONS_PER_RUN, bridge=_BRIDGE_SESSIONS
    )
    return [
        range_request(
            first, last, run_key=f"{key.to_user_string()}:{first}:{last}:{last_event}", assets=[key]
        )
        for first, last in ranges
    ]

"""The sensor `lookback_sync`: features that look back at a session whose prices were written again.

Here: which later sessions a change of old prices concerns, and which sessions one of the securities:
a rename that was confirmed, a ticker found to be two companies, a security found to be of another kind.
Not here: the session itself, which follows its prices by `automation.py`. Partition mappings cannot express
it: with the look-back as a mapping, a year that is loaded in order would ask for the features of
the year after, whose prices are not there yet. Only features that exist are computed again.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import dagster as dg

from flatfiles_assets.algorithms import universe
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.defs.assets.daily_prices import daily_prices_partitions
from flatfiles_assets.defs.keys import (
    CHANGED_SERIES,
    CHANGED_TYPES,
    DAILY_PRICES_KEY,
    algorithm_key,
    reference_key,
)
from flatfiles_assets.defs.partitions import key_ranges
from flatfiles_assets.defs.range_requests import range_request
from flatfiles_assets.defs.sensors.cursor import tick_seconds
from flatfiles_assets.defs.step_errors import door

_TICK_SECONDS = 600
_UNIVERSE = "universe"
_LOOKBACKS = {
    _UNIVERSE: universe.LOOKBACK_SESSIONS,
    **{name: algorithm.lookback_sessions for name, algorithm in ALGORITHMS.items()},
}
_EVENTS_PER_TICK = 2_000
_BRIDGE_SESSIONS = 5
_MOST_SESSIONS_PER_RUN = 253


class _Cursor(NamedTuple):
    """Storage ids of the last events that were seen: of prices, and of the securities."""

    prices: int
    securities: int

    @classmethod
    def read(cls, text: str | None) -> _Cursor:
        """A cursor as it is stored; from before there were two, the one number is both."""
        ids = [int(part) for part in (text or "").split(":") if part.isdigit()] or [0]
        return cls(ids[0], ids[-1])

    def __str__(self) -> str:
        return f"{self.prices}:{self.securities}"


def build_lookback_sensor() -> dg.SensorDefinition:
    """The sensor; its cursor holds the storage ids of the last events that it has seen."""

    @dg.sensor(
        name="lookback_sync",
        asset_selection=dg.AssetSelection.assets(*(algorithm_key(name) for name in _LOOKBACKS)),
        minimum_interval_seconds=tick_seconds(_TICK_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Computes features again that look back at sessions whose prices were written again, and those "
            "of securities that turned out to be others."
        ),
    )
    @door
    def sync(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        instance = context.instance
        seen = _Cursor.read(context.cursor)
        prices = _events(instance, DAILY_PRICES_KEY, seen.prices)
        made = _events(instance, reference_key("securities"), seen.securities)
        if not prices and not made:
            return dg.SensorResult(skip_reason="No prices were written.", cursor=context.cursor)
        now = _Cursor(
            prices[-1].storage_id if prices else seen.prices, made[-1].storage_id if made else seen.securities
        )
        written = {event.partition_key for event in prices if event.partition_key}
        sessions = daily_prices_partitions().get_partition_keys()
        others = changed_sessions(sessions, made, CHANGED_SERIES)
        of_other_types = changed_sessions(sessions, made, CHANGED_TYPES)
        requests = []
        for name, lookback_sessions in _LOOKBACKS.items():
            key = algorithm_key(name)
            wanted = looking_back_at(sessions, written, lookback_sessions)
            wanted |= others | looking_back_at(sessions, others, lookback_sessions)
            if name == _UNIVERSE:
                # What ranks its members follows it, as any table follows another.
                wanted |= of_other_types
            wanted &= instance.get_materialized_partitions(key)
            requests += _requests(key, wanted, now)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "No features look back at the prices that were written.",
            cursor=str(now),
        )

    return sync


def _events(instance: dg.DagsterInstance, key: dg.AssetKey, seen: int) -> Sequence[dg.EventLogRecord]:
    wanted = dg.AssetRecordsFilter(key, after_storage_id=seen)
    return instance.fetch_materializations(wanted, limit=_EVENTS_PER_TICK, ascending=True).records


def changed_sessions(sessions: Sequence[str], made: Iterable[dg.EventLogRecord], what: str) -> set[str]:
    """The sessions in which a series, or the kind of a security, is another since the securities were made.

    Args:
        sessions: Every session there is, in order.
        made: Materialisations of the securities.
        what: The metadata that says so.
    """
    found: set[str] = set()
    for event in made:
        said = event.asset_materialization.metadata.get(what) if event.asset_materialization else None
        ranges = said.data if isinstance(said, dg.JsonMetadataValue) else None
        for first, last in ranges if isinstance(ranges, list) else ():
            found.update(sessions[bisect.bisect_left(sessions, first) : bisect.bisect_right(sessions, last)])
    return found


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


def _requests(key: dg.AssetKey, wanted: Iterable[str], seen: _Cursor) -> list[dg.RunRequest]:
    ranges = key_ranges(
        daily_prices_partitions(), wanted, longest=_MOST_SESSIONS_PER_RUN, bridge=_BRIDGE_SESSIONS
    )
    return [
        range_request(first, last, run_key=f"{key.to_user_string()}:{first}:{last}:{seen}", assets=[key])
        for first, last in ranges
    ]

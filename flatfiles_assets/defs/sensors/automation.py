"""The sensor `automation`: brings tables and features up to date with what they are computed from.

Here: a tick, and the runs that it requests. Not here: which partitions are due (`defs/automation.py`),
what a tick remembers (`automation_memory.py`), and the later sessions whose features look back at a
changed one (`lookback.py`).

A sensor of our own instead of Dagster's conditions: a tree of conditions per asset is evaluated and
stored again with every tick, and its cost grows with the history; here a tick compares one number
per partition, and keeps only what it asked for and has not come.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args
from zoneinfo import ZoneInfo

import dagster as dg

from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.defs.automation import (
    UNPARTITIONED,
    AssetState,
    Requested,
    due,
    runs_for,
    still_open,
)
from flatfiles_assets.defs.automation_graph import AutomationGraph
from flatfiles_assets.defs.automation_state import AGAIN_TAG, killed, read_states
from flatfiles_assets.defs.instance.liveness import fail_dead_runs
from flatfiles_assets.defs.keys import DAILY_PRICES_KEY, reference_key
from flatfiles_assets.defs.range_requests import range_tags
from flatfiles_assets.defs.sensors.automation_memory import AutomationMemory
from flatfiles_assets.defs.sensors.cursor import tick_seconds
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.ingest.reference import dropped_file
from flatfiles_assets.ingest.reference_columns import ReferenceName
from flatfiles_assets.settings import Settings, load_settings

AUTOMATION_SENSOR = "automation"

# Splits and dividends have no partitions: as a reason to recompute they concern every session there is.
_REFERENCE_TIME = dt.time(7)

# Made from what is there: from the bars alone, and from the records that are held against them.
_SPLITS = reference_key("splits").to_user_string()
_SECURITIES = reference_key("securities").to_user_string()
_AUDIT = reference_key("corporate_action_audit").to_user_string()
_REFERENCE_REACHES = dt.timedelta(days=30)

_TICK_SECONDS = 120
_MOST_RUNS_A_TICK = 25


def build_automation_sensor(
    assets: Iterable[dg.AssetsDefinition],
    *,
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.timezone.utc),
) -> dg.SensorDefinition:
    """The sensor, on unless somebody turns it off.

    Args:
        assets: Every asset of the code location.
        clock: The present, with a zone.
    """
    graph = AutomationGraph(assets)

    @dg.sensor(
        name=AUTOMATION_SENSOR,
        asset_selection=dg.AssetSelection.assets(*graph.followers),
        minimum_interval_seconds=tick_seconds(_TICK_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Brings tables and features up to date with what they are computed from.",
    )
    @door
    def automation(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _tick(graph, context.instance, context.cursor, clock())

    return automation


def _tick(
    graph: AutomationGraph, instance: dg.DagsterInstance, cursor: str | None, now: dt.datetime
) -> dg.SensorResult:
    # What a dead run had promised is nobody's any more.
    fail_dead_runs(instance)
    memory = AutomationMemory.decode(cursor, graph)
    states = read_states(graph, instance)
    asked = still_open(memory.asked, states)
    lost = killed(instance, asked, states)
    for name, gone in lost.items():
        asked[name] = {each: news for each, news in asked[name].items() if each not in gone}
        failed = {each: run for each, run in states[name].failed.items() if each not in gone}
        states[name] = dataclasses.replace(states[name], failed=failed)
    since = (now - _REFERENCE_REACHES).date().isoformat()
    found = due(
        graph.rules, states, asked, lambda name: frozenset(graph.partitions(name)), lambda key: key >= since
    )
    runs = runs_for(found, graph.families, graph.partitions, longest=graph.most_per_run)
    requests = []
    for assets, first, last in runs[:_MOST_RUNS_A_TICK]:
        news = {name: _between(found[name], first, last) for name in assets}
        for name, partitions in news.items():
            asked[name] = {**asked.get(name, {}), **partitions}
        after = sorted(
            {lost[name][each] for name in news for each in news[name] if each in lost.get(name, {})}
        )
        requests.append(_request(graph, assets, first, last, news, after))
    refreshed = memory.reference_asked
    if wanted := _reference_due(graph, instance, states, refreshed, now):
        refreshed = now
        requests.append(
            _request(graph, wanted, UNPARTITIONED, UNPARTITIONED, {"": {"": int(now.timestamp())}})
        )
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "Everything is up to date with what it is computed from.",
        cursor=AutomationMemory(asked, refreshed).encode(graph),
    )


def _between(partitions: Mapping[str, int], first: str, last: str) -> dict[str, int]:
    return {partition: news for partition, news in partitions.items() if first <= partition <= last}


def _request(
    graph: AutomationGraph,
    assets: Sequence[str],
    first: str,
    last: str,
    news: Requested,
    after: Sequence[str] = (),
) -> dg.RunRequest:
    # A tick that is cut short before its cursor is kept asks under the same key again: launched once.
    what = [assets, first, last, news, *after]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    tags = {} if first == UNPARTITIONED else range_tags(first, last)
    return dg.RunRequest(
        run_key=f"{assets[0]}:{first}:{last}:{digest[:16]}",
        asset_selection=[graph.specs[name].key for name in assets],
        tags={**tags, **({AGAIN_TAG: after[0]} if after else {})},
    )


def _reference_due(
    graph: AutomationGraph,
    instance: dg.DagsterInstance,
    states: Mapping[str, AssetState],
    asked_at: dt.datetime | None,
    now: dt.datetime,
) -> list[str]:
    """The reference tables, each morning, and once where they were never fetched."""
    wanted = _with_a_source(graph, load_settings(), states)
    if not wanted:
        return []
    local = now.astimezone(ZoneInfo(NEW_YORK))
    today = dt.datetime.combine(local.date(), _REFERENCE_TIME, local.tzinfo)
    morning = today if local >= today else today - dt.timedelta(days=1)
    if asked_at is not None and morning <= asked_at <= now:
        return []
    if any(states[name].under_way for name in wanted):
        return []
    records = {
        record.asset_entry.asset_key: record.asset_entry.last_materialization_record
        for record in instance.get_asset_records([graph.specs[name].key for name in wanted])
    }
    fetched = [records.get(graph.specs[name].key) for name in wanted]
    current = all(each is not None and each.timestamp >= morning.timestamp() for each in fetched)
    return [] if current else wanted


def _with_a_source(graph: AutomationGraph, settings: Settings, states: Mapping[str, AssetState]) -> list[str]:
    """The reference tables that can be made: a table without a source rests, and no run fails for it."""
    if settings.api_key:
        return graph.reference
    found = {
        reference_key(table).to_user_string()
        for table in get_args(ReferenceName)
        if dropped_file(settings.reference_path, table)
    }
    if states[DAILY_PRICES_KEY.to_user_string()].updated:
        found.add(_SECURITIES)
    if _SPLITS in found:
        found.add(_AUDIT)
    return [name for name in graph.reference if name in found]

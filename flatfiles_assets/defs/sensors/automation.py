"""The sensor `automation`: brings tables and features up to date with what they are computed from.

Here: what the instance knows of each asset, the runs that a tick requests, and what it remembers.
Not here: which partitions are due (`automation.py`), and the later sessions whose features look
back at a changed one (`lookback.py`).

A sensor of our own instead of Dagster's conditions: a tree of conditions per asset is evaluated and
stored again with every tick, and its cost grows with the history; here a tick compares one number
per partition, and keeps only what it asked for and has not come.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal
from zoneinfo import ZoneInfo

import dagster as dg

from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.defs.automation import (
    UNPARTITIONED,
    AssetState,
    Requested,
    Rule,
    due,
    runs_for,
    still_open,
)
from flatfiles_assets.defs.checks.results import HeldBack, held_back, last_evaluated
from flatfiles_assets.defs.dagster_internals.check_records import AssetCheckExecutionRecord, LoadingContext
from flatfiles_assets.defs.dagster_internals.run_statuses import FINISHED_STATUSES
from flatfiles_assets.defs.keys import PRICE_RECONCILIATION_KEY, QUARANTINE_KEY
from flatfiles_assets.defs.partitions import year_partitions
from flatfiles_assets.defs.range_requests import range_tags
from flatfiles_assets.defs.sensors.cursor import tick_seconds
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.settings import load_settings

AUTOMATION_SENSOR = "automation"

# It reads the whole history of both sources: daily news of one session is no reason to.
_BY_HAND = {PRICE_RECONCILIATION_KEY}

# What was rejected must be seen above all where a check has failed.
_UNCHECKED = {QUARANTINE_KEY}

# Splits and dividends have no partitions: as a reason to recompute they concern every session there is.
_REFERENCE = "reference"
_REFERENCE_TIME = dt.time(7)
_REFERENCE_REACHES = dt.timedelta(days=30)

_TICK_SECONDS = 120
_MOST_RUNS_A_TICK = 25
_MOST_PARTITIONS_WITHOUT_POLICY = 1


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
    graph = _Graph(assets)

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


class _Graph:
    """The assets as the rules see them, worked out once."""

    def __init__(self, assets: Iterable[dg.AssetsDefinition]) -> None:
        self.specs: dict[str, dg.AssetSpec] = {}
        self._definitions: dict[str, dg.AssetsDefinition] = {}
        for definition in assets:
            for spec in definition.specs:
                self.specs[spec.key.to_user_string()] = spec
                self._definitions[spec.key.to_user_string()] = definition
        self.order = _upstream_first(self.specs)
        self.rules = [rule for name in self.order if (rule := self._rule(name))]
        self.reference = [
            name
            for name in self.order
            if name.startswith(f"{_REFERENCE}/") and self._definitions[name].is_executable
        ]

    @property
    def followers(self) -> list[dg.AssetKey]:
        """The assets that are ever requested."""
        return [
            self.specs[name].key for name in dict.fromkeys([*self.reference, *(r.asset for r in self.rules)])
        ]

    @functools.cached_property
    def blocking_checks(self) -> Mapping[str, list[dg.AssetCheckKey]]:
        """The checks of each asset whose failure holds back what is downstream."""
        found: dict[str, list[dg.AssetCheckKey]] = {}
        for definition in {id(each): each for each in self._definitions.values()}.values():
            for spec in definition.check_specs:
                if spec.blocking:
                    found.setdefault(spec.asset_key.to_user_string(), []).append(spec.key)
        return found

    def definition_of_partitions(self, name: str) -> dg.PartitionsDefinition[str] | None:
        spec = self.specs.get(name)
        return spec.partitions_def if spec else None

    def partitions(self, name: str) -> Sequence[str]:
        """All partitions in order; the one that stands for none of an asset without partitions."""
        definition = self.definition_of_partitions(name)
        if definition is None:
            return [UNPARTITIONED]
        # A day's partition begins at a midnight, which is a full hour everywhere that we have feeds.
        return _keys(definition, f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d %H}")

    def most_per_run(self, name: str) -> int:
        """How many partitions one run takes."""
        policy = self._definitions[name].backfill_policy
        return (policy.max_partitions_per_run if policy else None) or _MOST_PARTITIONS_WITHOUT_POLICY

    @functools.cached_property
    def families(self) -> list[list[str]]:
        """The followers by their partitions, upstream first."""
        found: dict[Any, list[str]] = {}
        for rule in self.rules:
            found.setdefault(self.definition_of_partitions(rule.asset), []).append(rule.asset)
        return list(found.values())

    def _rule(self, name: str) -> Rule | None:
        spec = self.specs[name]
        upstream = [dep.asset_key.to_user_string() for dep in spec.deps]
        if spec.key in _BY_HAND or not upstream or name.split("/")[0] not in ("market", "algorithm"):
            return None
        whole = tuple(
            each for each in upstream if spec.partitions_def and self.definition_of_partitions(each) is None
        )
        by_session = tuple(each for each in upstream if each not in whole)
        of_files = all(each.startswith("raw/") for each in upstream)
        return Rule(
            name,
            by_session,
            whole,
            needs_checks=not of_files and spec.key not in _UNCHECKED,
            # The usual run fetches and loads. One whose loading failed is not repeated: the same file
            # would fail again, and the sync sensor knows when there is another.
            repeats_failures=not of_files,
            run_with=tuple(
                each
                for each in by_session
                if self.definition_of_partitions(each) == spec.partitions_def and not each.startswith("raw/")
            ),
            yearly=tuple(
                each
                for each in by_session
                if self.definition_of_partitions(each) == year_partitions() != spec.partitions_def
            ),
        )


def _tick(
    graph: _Graph, instance: dg.DagsterInstance, cursor: str | None, now: dt.datetime
) -> dg.SensorResult:
    memory = _Memory.decode(cursor, graph)
    states = _read_states(graph, instance)
    asked = still_open(memory.asked, states)
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
        requests.append(_request(graph, assets, first, last, news))
    refreshed = memory.reference_asked
    if wanted := _reference_due(graph, instance, states, refreshed, now):
        refreshed = now
        requests.append(
            _request(graph, wanted, UNPARTITIONED, UNPARTITIONED, {"": {"": int(now.timestamp())}})
        )
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "Everything is up to date with what it is computed from.",
        cursor=_Memory(asked, refreshed).encode(graph),
    )


def _between(partitions: Mapping[str, int], first: str, last: str) -> dict[str, int]:
    return {partition: news for partition, news in partitions.items() if first <= partition <= last}


def _request(graph: _Graph, assets: Sequence[str], first: str, last: str, news: Requested) -> dg.RunRequest:
    # A tick that is cut short before its cursor is kept asks under the same key again: launched once.
    digest = hashlib.sha256(json.dumps([assets, first, last, news], sort_keys=True).encode()).hexdigest()
    return dg.RunRequest(
        run_key=f"{assets[0]}:{first}:{last}:{digest[:16]}",
        asset_selection=[graph.specs[name].key for name in assets],
        tags={} if first == UNPARTITIONED else range_tags(first, last),
    )


def _reference_due(
    graph: _Graph,
    instance: dg.DagsterInstance,
    states: Mapping[str, AssetState],
    asked_at: dt.datetime | None,
    now: dt.datetime,
) -> list[str]:
    """The reference tables, each morning, and once where they were never fetched."""
    settings = load_settings()
    if not (settings.api_key or settings.reference_path.is_dir()) or not graph.reference:
        return []
    local = now.astimezone(ZoneInfo(NEW_YORK))
    today = dt.datetime.combine(local.date(), _REFERENCE_TIME, local.tzinfo)
    morning = today if local >= today else today - dt.timedelta(days=1)
    if asked_at is not None and morning <= asked_at <= now:
        return []
    if any(states[name].under_way for name in graph.reference):
        return []
    records = {
        record.asset_entry.asset_key: record.asset_entry.last_materialization_record
        for record in instance.get_asset_records([graph.specs[name].key for name in graph.reference])
    }
    fetched = [records.get(graph.specs[name].key) for name in graph.reference]
    current = all(each is not None and each.timestamp >= morning.timestamp() for each in fetched)
    return [] if current else list(graph.reference)


class _Memory:
    """What a tick leaves to the next: what was asked for, and when the reference tables were.

    As text it names ranges of partitions, so that a year that was asked for is one line.
    """

    def __init__(self, asked: Requested, reference_asked: dt.datetime | None) -> None:
        self.asked = asked
        self.reference_asked = reference_asked

    def encode(self, graph: _Graph) -> str:
        ranges: dict[str, list[tuple[str, str, int]]] = {}
        for name, partitions in self.asked.items():
            position = {partition: index for index, partition in enumerate(graph.partitions(name))}
            found: list[tuple[str, str, int]] = []
            for partition in sorted(set(partitions) & set(position), key=position.__getitem__):
                news = partitions[partition]
                follows = found and position[found[-1][1]] + 1 == position[partition]
                if follows and found[-1][2] == news:
                    found[-1] = (found[-1][0], partition, news)
                else:
                    found.append((partition, partition, news))
            if found:
                ranges[name] = found
        at = self.reference_asked.isoformat() if self.reference_asked else None
        return json.dumps({"asked": ranges, "reference_asked": at}, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str | None, graph: _Graph) -> _Memory:
        """The memory of a text; none for text of another kind: what is due is then asked for anew."""
        try:
            values = json.loads(text or "{}")
            at = values.get("reference_asked")
            asked = {
                name: dict(_spread(graph.partitions(name), ranges))
                for name, ranges in values.get("asked", {}).items()
                if name in graph.specs
            }
            return cls(asked, dt.datetime.fromisoformat(at) if at else None)
        except (ValueError, TypeError, AttributeError, KeyError):
            return cls({}, None)


def _spread(partitions: Sequence[str], ranges: Iterable[tuple[str, str, int]]) -> Iterable[tuple[str, int]]:
    position = {partition: index for index, partition in enumerate(partitions)}
    for first, last, news in ranges:
        for partition in partitions[position[first] : position[last] + 1]:
            yield partition, news


def _read_states(graph: _Graph, instance: dg.DagsterInstance) -> dict[str, AssetState]:
    """What the instance knows of every asset that a rule names, and of the reference tables."""
    names = {*graph.reference}
    for rule in graph.rules:
        names |= {rule.asset, *rule.upstream, *rule.all_sessions}
    checked = {
        name for rule in graph.rules if rule.needs_checks for name in (*rule.upstream, *rule.all_sessions)
    }
    unfinished = _Unfinished(instance)
    states = {}
    records = {
        record.asset_entry.asset_key: record.asset_entry
        for record in instance.get_asset_records([dg.AssetKey(name.split("/")) for name in names])
    }
    for name in names:
        key = dg.AssetKey(name.split("/"))
        if graph.definition_of_partitions(name) is None:
            entry = records.get(key)
            latest = entry.last_materialization_record if entry else None
            updated = {UNPARTITIONED: latest.storage_id} if latest else {}
            planned = {UNPARTITIONED: entry.last_planned_materialization_run_id} if entry else {}
            attempts = {
                partition: run_id
                for partition, run_id in planned.items()
                if run_id and (latest is None or latest.run_id != run_id)
            }
        else:
            updated = dict(
                instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
            )
            storage = instance.event_log_storage
            attempts = {
                partition: run_id
                for partition, (run_id, _) in (
                    storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
                ).items()
            }
        under_way = {partition for partition, run_id in attempts.items() if run_id in unfinished}
        untrusted: frozenset[str] | Literal["all"] = frozenset()
        if name in checked and updated:
            untrusted = _untrusted(instance, graph.blocking_checks.get(name, ()))
        states[name] = AssetState(updated, under_way, set(attempts) - under_way, untrusted)
    return states


class _Unfinished:
    """Which runs have not ended, each asked for once."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._known: dict[str, bool] = {}

    def __contains__(self, run_id: str) -> bool:
        if run_id not in self._known:
            run = self._instance.get_run_by_id(run_id)
            self._known[run_id] = run is not None and run.status not in FINISHED_STATUSES
        return self._known[run_id]


class _Loading(LoadingContext):
    """What Dagster's records want in order to be loaded."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._loaders: dict[type, Any] = {}

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict[type, Any]:
        return self._loaders


def _untrusted(
    instance: dg.DagsterInstance, checks: Collection[dg.AssetCheckKey]
) -> frozenset[str] | Literal["all"]:
    """The sessions that blocking checks hold back, or have not judged yet.

    Unlike Dagster's own rule for blocking checks, it tells sessions apart: a bad one holds back
    itself and not the feed.
    """
    records = [last_evaluated(instance, key) for key in checks]
    evaluations = asyncio.run(_current_evaluations(_Loading(instance), records))
    held: set[str] = set()
    for evaluation in evaluations:
        says = held_back(evaluation) if evaluation else HeldBack(everything=True)
        if says.everything:
            return "all"
        held.update(day.isoformat() for day in says.sessions)
    return frozenset(held)


async def _current_evaluations(
    loading: LoadingContext, records: Iterable[AssetCheckExecutionRecord | None]
) -> list[dg.AssetCheckEvaluation | None]:
    """What each check says of its asset's latest materialisation; None where it says nothing yet."""
    return [
        record.evaluation if record and await record.targets_latest_materialization(loading) else None
        for record in records
    ]


@functools.lru_cache(maxsize=32)
def _keys(definition: dg.PartitionsDefinition[str], _hour: str) -> tuple[str, ...]:
    return tuple(definition.get_partition_keys())


def _upstream_first(specs: Mapping[str, dg.AssetSpec]) -> list[str]:
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in order or name not in specs:
            return
        for dep in specs[name].deps:
            visit(dep.asset_key.to_user_string())
        order[name] = None

    for name in specs:
        visit(name)
    return list(order)

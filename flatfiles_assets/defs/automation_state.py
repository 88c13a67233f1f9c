"""What the instance knows of every asset that automation is about.

Here: the only questions that a tick asks of the instance. Not here: what follows from the answers
(`automation.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import dagster as dg

from flatfiles_assets.defs.automation import UNPARTITIONED, AssetState, Requested
from flatfiles_assets.defs.automation_graph import AutomationGraph
from flatfiles_assets.defs.checks.protocol import HeldBack
from flatfiles_assets.defs.checks.results import held_back, last_evaluated
from flatfiles_assets.defs.dagster_internals.check_records import AssetCheckExecutionRecord, LoadingContext
from flatfiles_assets.defs.dagster_internals.run_statuses import FINISHED_STATUSES
from flatfiles_assets.defs.instance.liveness import is_obituary

AGAIN_TAG = "flatfiles/again_after"
"""Of a run that is one more attempt: the run that was killed."""


def read_states(graph: AutomationGraph, instance: dg.DagsterInstance) -> dict[str, AssetState]:
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
        failed = {partition: run_id for partition, run_id in attempts.items() if partition not in under_way}
        states[name] = AssetState(updated, under_way, failed, untrusted)
    return states


def killed(
    instance: dg.DagsterInstance, asked: Requested, states: Mapping[str, AssetState]
) -> dict[str, dict[str, str]]:
    """What was asked for and whose run was killed, by asset, with that run's id.

    Not where that run was itself one more attempt after a killed one: what kills two may be the work.
    """
    verdicts: dict[str, bool] = {}

    def was_killed(run_id: str) -> bool:
        if run_id not in verdicts:
            run = instance.get_run_by_id(run_id)
            verdicts[run_id] = (
                run is not None
                and AGAIN_TAG not in run.tags
                and any(
                    is_obituary(event.get_dagster_event().message or "")
                    for event in instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
                )
            )
        return verdicts[run_id]

    found = {}
    for name, partitions in asked.items():
        failed = states[name].failed
        lost = {each: failed[each] for each in partitions if each in failed and was_killed(failed[each])}
        if lost:
            found[name] = lost
    return found


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

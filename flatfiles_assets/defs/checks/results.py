"""Verdicts as Dagster's events, and what a check said last.

Here: the shape of results, the same for every check, and how it is read again. Not here: which checks
there are (`feed_checks.py`, `table_checks.py`), what outlives a run (`protocol.py`), what waits for them
(`automation.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from typing import Any

import dagster as dg

from flatfiles_assets.defs.checks import protocol
from flatfiles_assets.defs.checks.protocol import HeldBack
from flatfiles_assets.defs.checks.verdicts import Verdict
from flatfiles_assets.defs.dagster_internals.check_records import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from flatfiles_assets.escaping import markdown_lines

_MOST_SHOWN = 50


def result_of(
    key: dg.AssetCheckKey, verdict: Verdict, sessions: Collection[dt.date] | None = None
) -> dg.AssetCheckResult:
    """A verdict as the result of a check: the figures, and the bad sessions by name.

    Args:
        key: The check.
        verdict: What it found.
        sessions: The sessions of the run; None for all that were judged. A failure that concerns only
            others, which earlier runs left behind, is a warning: it stops no step.
    """
    untrusted = verdict.untrusted
    concerns_run = sessions is None or not verdict.bad or not set(sessions).isdisjoint(untrusted)
    metadata: dict[str, Any] = dict(verdict.numbers)
    if verdict.bad:
        metadata["bad"] = dg.MetadataValue.table(
            [
                dg.TableRecord({"session": day.isoformat(), "problem": problem})
                for day, problem in list(verdict.bad.items())[:_MOST_SHOWN]
            ]
        )
    metadata |= protocol.write(protocol.record_of(verdict))
    return dg.AssetCheckResult(
        passed=verdict.passed,
        asset_key=key.asset_key,
        check_name=key.name,
        description=markdown_lines(verdict.description),
        metadata=metadata,
        severity=dg.AssetCheckSeverity.ERROR
        if verdict.serious and concerns_run
        else dg.AssetCheckSeverity.WARN,
    )


def held_back(evaluation: dg.AssetCheckEvaluation) -> HeldBack:
    """What a check kept from spreading when it was evaluated."""
    return protocol.read(evaluation).held_back or HeldBack()


def log_results(context: dg.AssetExecutionContext, results: Iterable[dg.AssetCheckResult]) -> None:
    """Record results from within a step that is about to fail: what it stored is checked all the same."""
    for result in results:
        if result.asset_key is None or result.check_name is None:
            raise AssertionError("a result names its asset and check")
        key = dg.AssetCheckKey(result.asset_key, result.check_name)
        evaluation = dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
            blocking=context.assets_def.get_spec_for_check_key(key).blocking,
        )
        context.log_event(evaluation)


def last_evaluated(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> AssetCheckExecutionRecord | None:
    """The last execution of a check that came to its end."""
    ended = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=ended)
    return records[0] if records else None


def sessions_in_view(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> list[dt.date]:
    """The sessions that a check found bad when it last ran to its end."""
    record = last_evaluated(instance, key)
    if record is None or record.evaluation is None:
        return []
    return list(protocol.read(record.evaluation).in_view)

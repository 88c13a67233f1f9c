"""Verdicts as Dagster's events, and what a check said last.

Here: the shape of results, the same for every check. Not here: which checks there are
(`feed_checks.py`, `table_checks.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, cast

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from flatfiles_assets.checks.verdicts import Verdict

_MOST_SHOWN = 50
# More are counted, but not kept in view: such a feed needs its history looked at, not a list.
_MOST_KEPT_IN_VIEW = 500
_BAD_SESSIONS = "bad_sessions"


def result_of(key: dg.AssetCheckKey, verdict: Verdict) -> dg.AssetCheckResult:
    """A verdict as the result of a check: the figures, and the bad sessions by name."""
    metadata: dict[str, Any] = dict(verdict.numbers)
    if verdict.bad:
        metadata["bad"] = dg.MetadataValue.table(
            [
                dg.TableRecord({"session": day.isoformat(), "problem": problem})
                for day, problem in list(verdict.bad.items())[:_MOST_SHOWN]
            ]
        )
        days = [day.isoformat() for day in verdict.bad]
        metadata[_BAD_SESSIONS] = dg.MetadataValue.json(days[-_MOST_KEPT_IN_VIEW:])
    return dg.AssetCheckResult(
        passed=verdict.passed,
        asset_key=key.asset_key,
        check_name=key.name,
        description=verdict.description,
        metadata=metadata,
        severity=dg.AssetCheckSeverity.ERROR if verdict.serious else dg.AssetCheckSeverity.WARN,
    )


def log_results(context: dg.AssetExecutionContext, results: Iterator[dg.AssetCheckResult]) -> None:
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


def sessions_in_view(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> list[dt.date]:
    """The sessions that a check found bad when it last ran to its end."""
    ended = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=ended)
    if not records or records[0].evaluation is None:
        return []
    found = records[0].evaluation.metadata.get(_BAD_SESSIONS)
    days = cast("list[str]", found.value) if isinstance(found, dg.JsonMetadataValue) else []
    return [dt.date.fromisoformat(day) for day in days]

"""Range runs launched from this process: what `flatfiles backfill` and `DataIntegration` ask for.

The runs are ordinary Dagster runs on the persistent instance, seen in the UI like any other. Not
here: which sessions are missing (`inventory.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from flatfiles_assets.defs.dagster_internals.interrupts import RunFailureReason
from flatfiles_assets.defs.instance.home import instance_environment, open_instance, usable_records
from flatfiles_assets.defs.instance.liveness import of_this_process
from flatfiles_assets.defs.partitions import key_ranges
from flatfiles_assets.defs.range_requests import range_tags
from flatfiles_assets.defs.step_errors import shown_message
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.escaping import from_markdown

# A run costs about a second, a partition that turns out to be up to date some milliseconds.
_BRIDGE = 20
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclasses.dataclass(frozen=True)
class RangeRun:
    """One finished run over a range of partitions.

    Attributes:
        run_id: Dagster's id.
        first: First partition of the range; empty where there are none.
        last: Last partition of the range, included.
        succeeded: Whether every partition is materialised.
        message: The step's error where not.
    """

    run_id: str
    first: str
    last: str
    succeeded: bool
    message: str = ""


def by_outcome(runs: Iterable[RangeRun]) -> list[list[RangeRun]]:
    """Runs that ended alike, whatever numbers and dates they name, in the order of their first."""
    groups: dict[tuple[bool, str], list[RangeRun]] = {}
    for run in runs:
        groups.setdefault((run.succeeded, re.sub(r"\d+", "0", run.message)), []).append(run)
    return list(groups.values())


def run_ranges(
    defs: dg.Definitions,
    job_name: str,
    partitions: Iterable[str],
    *,
    home: Path,
    op_config: Mapping[str, Any] | None = None,
    longest: int | None = None,
    bridge: int = _BRIDGE,
) -> Iterator[RangeRun]:
    """Materialise some partitions of a job in as few range runs as possible, one after the other.

    Args:
        defs: The code location.
        job_name: A job all of whose assets share one partitions definition.
        partitions: Keys wanted; a short gap between two is bridged rather than starting a new run.
        home: The `DAGSTER_HOME` that records the runs; it is made when missing.
        op_config: Configuration for each of the job's steps.
        longest: Most partitions per run; None for what the job's backfill policy says.
        bridge: How many unwanted partitions between two wanted ones still make one run.

    Yields:
        Each run as it ends, failed ones included.
    """
    # Dagster loads definitions with the help of the instance in force, so it is opened first: an
    # earlier one, closed since, would be asked otherwise.
    with _environment(home), usable_records(home), open_instance(home) as instance:
        job = defs.resolve_job_def(job_name)
        definition = job.partitions_def
        if definition is None:
            raise InvalidArgument(f"{job_name} is not partitioned", next_step="run it without a range")
        run_config: dict[str, Any] = dict(_QUIET)
        if op_config:
            run_config["ops"] = {name: {"config": dict(op_config)} for name in job.graph.node_dict}
        most = longest or _longest_range(job)
        for first, last in key_ranges(definition, partitions, longest=most, bridge=bridge):
            run_id = str(uuid.uuid4())
            result = job.execute_in_process(
                run_id=run_id,
                instance=instance,
                run_config=run_config,
                tags={**range_tags(first, last), **of_this_process(run_id)},
                raise_on_error=False,
            )
            _stop_if_interrupted(result)
            yield RangeRun(result.run_id, first, last, result.success, _failure_message(result))


@contextlib.contextmanager
def _environment(home: Path) -> Iterator[None]:
    """Have what Dagster starts use the home, and leave the environment as its owner set it."""
    wanted = instance_environment(home)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _longest_range(job: dg.JobDefinition) -> int:
    """Most partitions per run by the backfill policies of the job's assets."""
    policies = (job.asset_layer.get(key).backfill_policy for key in job.asset_layer.executable_asset_keys)
    return min(
        (policy.max_partitions_per_run for policy in policies if policy and policy.max_partitions_per_run),
        default=1,
    )


def run_job(defs: dg.Definitions, job_name: str, *, home: Path) -> RangeRun:
    """Run a job whose assets have no partitions.

    Args:
        defs: The code location.
        job_name: The job.
        home: The `DAGSTER_HOME` that records the run; it is made when missing.
    """
    run_id = str(uuid.uuid4())
    with _environment(home), usable_records(home), open_instance(home) as instance:
        result = defs.resolve_job_def(job_name).execute_in_process(
            run_id=run_id,
            instance=instance,
            run_config=_QUIET,
            tags=of_this_process(run_id),
            raise_on_error=False,
        )
    _stop_if_interrupted(result)
    return RangeRun(result.run_id, "", "", result.success, _failure_message(result))


def _stop_if_interrupted(result: dg.ExecuteInProcessResult) -> None:
    """Go on ending where a run was told to: to Dagster it is a failed run, after which the next begins.

    Raises:
        KeyboardInterrupt: The run was interrupted.
    """
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.RUN_FAILURE:
            data = event.job_failure_data
            if data.failure_reason == RunFailureReason.UNEXPECTED_TERMINATION:
                raise KeyboardInterrupt


def _failure_message(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return data.user_failure_data.description
            return _failed_checks(result) or shown_message(data.error)
    return ""


def _failed_checks(result: dg.ExecuteInProcessResult) -> str:
    """What the blocking checks that stopped a run found; empty where none did."""
    return "\n".join(
        f"check {check.check_name} of {check.asset_key.to_user_string()} failed: "
        f"{from_markdown(check.description or '')}"
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    )

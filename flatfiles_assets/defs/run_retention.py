"""The job `prune_runs`: old runs and logs of Dagster's, by the age in the settings.

Here: the job. Not here: what may go (`instance/retention.py`) and when the job runs (`schedules.py`).
"""

import datetime as dt

import dagster as dg

from flatfiles_assets.defs.instance.retention import old_runs, remove_old_runs
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.settings import load_settings


@dg.op(description="Remove the runs, and the logs of runs, that are older than FLATFILES_KEEP_RUNS_DAYS.")
@door
def remove_old(context: dg.OpExecutionContext) -> None:
    """Remove what is old enough; nothing where the setting is 0."""
    days = load_settings().keep_runs_days
    if not days:
        context.log.info("FLATFILES_KEEP_RUNS_DAYS is 0: every run is kept")
        return
    found = old_runs(context.instance, dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=days))
    remove_old_runs(context.instance, found)
    context.log.info(
        "%d runs and the logs of %d more removed, %.1f MB",
        len(found.superseded),
        len(found.logs),
        found.log_bytes / 1e6,
    )


@dg.job(description="Remove old runs and logs; what a partition's latest materialisation says stays.")
def prune_runs() -> None:
    """One step."""
    remove_old()

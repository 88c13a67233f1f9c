"""Which states of a run are its end."""

# Not exported: a list of ours would miss a status that Dagster adds, and ask for a running range twice.
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES

__all__ = ["FINISHED_STATUSES", "NOT_FINISHED_STATUSES"]

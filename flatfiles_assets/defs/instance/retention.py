"""How much of the past Dagster keeps: runs and their logs by age, never what is true of a partition.

Here: which runs go whole, of which only the log goes, and their removal. Not here: ticks, which
Dagster's daemon purges itself (`dagster.yaml`), and raw files (`warehouse/housekeeping.py`).

A run may go when every partition that it was about was taken up again since. Of any other old run
the log goes, which is most of it; its materialisations stay, with all that they say, its checks, and
that a partition failed. Freed pages of the databases are used again.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import dagster as dg
import sqlalchemy as sa

from flatfiles_assets.defs.dagster_internals.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from flatfiles_assets.defs.dagster_internals.run_statuses import FINISHED_STATUSES
from flatfiles_assets.errors import InvalidArgument

_RUNS_AT_ONCE = 500

_MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION.value
_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value

# What a log holds beside these is how the run went, not what came of it.
_KEPT_EVENTS = (
    _MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION.value,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
)


@dataclasses.dataclass(frozen=True)
class OldRuns:
    """What can go.

    Attributes:
        superseded: Ids of the runs of which nothing is the latest of its kind.
        logs: Ids of the other runs, whose log can go.
        log_bytes: Size of the logs of both.
    """

    superseded: tuple[str, ...]
    logs: tuple[str, ...]
    log_bytes: int


def old_runs(instance: dg.DagsterInstance, before: dt.datetime) -> OldRuns:
    """The runs that ended before a time, and how much of each can go.

    Args:
        instance: An instance with SQLite storages.
        before: With a zone.

    Raises:
        InvalidArgument: The instance keeps its events elsewhere.
    """
    storage = _sqlite(instance)
    ended = []
    cursor = None
    while True:
        records = instance.get_run_records(
            dg.RunsFilter(statuses=list(FINISHED_STATUSES), created_before=before),
            limit=_RUNS_AT_ONCE,
            cursor=cursor,
        )
        if not records:
            break
        ended += [
            record.dagster_run.run_id
            for record in records
            if (record.end_time or record.update_timestamp.timestamp()) < before.timestamp()
        ]
        cursor = records[-1].dagster_run.run_id
    latest = _runs_with_the_latest(storage)
    logs = {run_id: _log(storage, run_id) for run_id in ended}
    return OldRuns(
        superseded=tuple(run_id for run_id in ended if run_id not in latest),
        logs=tuple(run_id for run_id in ended if run_id in latest and logs[run_id].exists()),
        log_bytes=sum(path.stat().st_size for path in logs.values() if path.exists()),
    )


def remove_old_runs(instance: dg.DagsterInstance, found: OldRuns) -> None:
    """Remove what `old_runs` found; a process killed meanwhile leaves the rest for the next time."""
    storage = _sqlite(instance)
    for run_id in found.superseded:
        instance.delete_run(run_id)
        _remove_log(storage, run_id)
    for run_id in found.logs:
        with storage.index_connection() as connection:
            connection.execute(
                sa.delete(SqlEventLogStorageTable).where(
                    SqlEventLogStorageTable.c.run_id == run_id,
                    SqlEventLogStorageTable.c.dagster_event_type.not_in(_KEPT_EVENTS),
                    SqlEventLogStorageTable.c.id.not_in(_latest_of_each_partition()),
                )
            )
        _remove_log(storage, run_id)


def _sqlite(instance: dg.DagsterInstance) -> SqliteEventLogStorage:
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        return storage
    raise InvalidArgument(
        "runs are removed only where Dagster keeps them in SQLite",
        where=type(storage).__name__,
        next_step="remove old runs with the means of that database",
    )


def _latest_of_each_partition() -> sa.Select[tuple[int]]:
    """Ids of the last event of each partition of each asset: written, or promised and not written."""
    table = SqlEventLogStorageTable.c
    return (
        sa.select(sa.func.max(table.id))
        .where(table.dagster_event_type.in_((_MATERIALIZATION, _PLANNED)))
        .group_by(table.asset_key, table.partition)
    )


def _runs_with_the_latest(storage: SqliteEventLogStorage) -> set[str]:
    """The runs that wrote, or failed to write, some partition last."""
    table = SqlEventLogStorageTable.c
    written = (
        sa.select(sa.func.max(table.id))
        .where(table.dagster_event_type == _MATERIALIZATION)
        .group_by(table.asset_key, table.partition)
    )
    wanted = table.id.in_(_latest_of_each_partition()) | table.id.in_(written)
    with storage.index_connection() as connection:
        return {run_id for (run_id,) in connection.execute(sa.select(table.run_id).where(wanted).distinct())}


def _log(storage: SqliteEventLogStorage, run_id: str) -> Path:
    return Path(storage.path_for_shard(run_id))


def _remove_log(storage: SqliteEventLogStorage, run_id: str) -> None:
    path = _log(storage, run_id)
    for each in (path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal"))):
        each.unlink(missing_ok=True)

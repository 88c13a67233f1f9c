"""Dagster's SQLite event log, writing the events of a range run in batches.

Here: `BatchingSqliteEventLogStorage`. A range run over a year of sessions records two events per
session and asset (planned, materialised). The stock storage opens two databases and commits at
least twice for each; this one commits twice for the whole batch, and keeps its compiled statements.
What is stored is the same, row by row, but for planned checks, which are stored without their
partitions' definition (`planned_small`). Not here: pool limits and `dagster.yaml` (`home`).

Everything that is not a plain asset event goes the stock way, so new kinds of events in a later
Dagster are stored correctly, only not faster.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from dagster import DagsterEventType, EventLogEntry, Field, IntSource, StringSource
from sqlalchemy.pool import NullPool

from flatfiles_assets.defs.dagster_internals.event_log import (
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    INDEX_SHARD_NAME,
    AssetCheckEvaluationPlanned,
    ConcurrencyClaimStatus,
    ConfigurableClassData,
    DefaultPartitionsSubset,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
    UserConfigSchema,
)
from flatfiles_assets.defs.dagster_internals.run_statuses import FINISHED_STATUSES
from flatfiles_assets.defs.instance.liveness import RunLocks, is_dead, obituary
from flatfiles_assets.defs.instance.locked_database import SECONDS_BETWEEN_ATTEMPTS, wait_while_locked
from flatfiles_assets.defs.instance.pool_slots import PoolQueue

EVENT_BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
DEFAULT_EVENT_BATCH_SIZE = 1_000

_PLAIN_EVENT_TYPES = frozenset(
    {DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED}
)
_FINISHING_EVENT_TYPES = frozenset(
    event_type
    for event_type, status in EVENT_TYPE_TO_PIPELINE_RUN_STATUS.items()
    if status in FINISHED_STATUSES
)

_FAILED_FROM_OUTSIDE = "This run has been marked as failed from outside the execution context."


class BatchingSqliteEventLogStorage(SqliteEventLogStorage):
    """`SqliteEventLogStorage` with `store_event_batch` in one transaction per database.

    Named in `dagster.yaml`; not constructed by hand.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data=inst_data)
        self.run_locks = RunLocks(Path(base_dir))
        self._pool_queue = PoolQueue(self.run_locks)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """The stock configuration and `event_batch_size`, the most events in one transaction."""
        return {
            "base_dir": StringSource,
            "event_batch_size": Field(IntSource, is_required=False, default_value=DEFAULT_EVENT_BATCH_SIZE),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchingSqliteEventLogStorage:
        """Build the storage that `dagster.yaml` names, and turn batching on in this process.

        Dagster reads the batch size from the environment at each event. Setting it here makes the
        configuration file alone enough, whichever process opens the instance: the web server, the
        daemon, a run's worker or a script. A value that is already set is respected; 0 turns
        batching off.
        """
        os.environ.setdefault(EVENT_BATCH_SIZE_VARIABLE, str(config_value["event_batch_size"]))
        return cls(base_dir=config_value["base_dir"], inst_data=inst_data)

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event, the stock way, and hold the run's lock while this process executes it."""
        self.run_locks.before(event)
        super().store_event(planned_small(self._explained(event)))
        self.run_locks.after(event, ends=event.dagster_event_type in _FINISHING_EVENT_TYPES)

    def _explained(self, event: EventLogEntry) -> EventLogEntry:
        """A failure "from outside", with what happened to the run instead; its slots are free then.

        It is the code server that reports so, when a process that it started is gone.
        """
        if event.dagster_event_type != DagsterEventType.RUN_FAILURE:
            return event
        failure = event.get_dagster_event()
        if failure.message != _FAILED_FROM_OUTSIDE:
            return event
        run = self._instance.get_run_by_id(event.run_id)
        if run is None or not is_dead(self._instance, self.run_locks, run):
            return event
        said = obituary(self._instance, run)
        self.free_concurrency_slots_for_run(event.run_id)
        self.run_locks.forget(event.run_id)
        return event._replace(user_message=said, dagster_event=failure._replace(message=said))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in their order; consecutive plain asset events of one run in one transaction."""
        for run_id, group in itertools.groupby(events, key=_run_id_if_plain):
            if run_id is None:
                for event in group:
                    self.store_event(event)
            else:
                self._store_plain_asset_events(run_id, list(group))

    def _store_plain_asset_events(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        self.run_locks.before(events[0])
        rows = [self._event_to_row(event) for event in events]
        # Both transactions stay open until every statement has succeeded; the run's own database
        # commits first, as in the stock storage.
        with self._index_transaction_beside_a_run() as index, self.run_connection(run_id) as run:
            run.execute(SqlEventLogStorageTable.insert(), rows)
            index.execute(SqlEventLogStorageTable.insert(), rows)
            event_ids = _latest_event_ids(index, run_id, len(rows))
            self._store_asset_event_tags(index, events, event_ids)
            # The asset table keeps the last materialisation and the last event of an asset, so the
            # last of each type is all that a one-by-one replay would leave.
            last_of_type = {
                (row["asset_key"], row["dagster_event_type"]): (event_id, event)
                for row, event_id, event in zip(rows, event_ids, events, strict=True)
            }
            for asset_key in dict.fromkeys(row["asset_key"] for row in rows):
                of_asset = [stored for (key, _), stored in last_of_type.items() if key == asset_key]
                for event_id, event in sorted(of_asset, key=lambda stored: stored[0]):
                    self._store_asset_event(index, event, event_id)

    @contextmanager
    def _index_transaction_beside_a_run(self) -> Iterator[sqlalchemy.Connection]:
        """A transaction on the index database that may be open while a run's database is in use.

        `index_connection` and `run_connection` share one lock that is not reentrant.
        """
        if INDEX_SHARD_NAME not in self._initialized_dbs:
            with self.index_connection():
                pass
        with _engine(self.conn_string_for_shard(INDEX_SHARD_NAME)).begin() as connection:
            yield connection

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        with self._db_lock:
            engine = _engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def claim_concurrency_slot(
        self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> ConcurrencyClaimStatus:
        """Claim a slot of a pool; while it cannot be had, see to it that whoever holds one is alive."""
        claim = functools.partial(super().claim_concurrency_slot, concurrency_key, run_id, step_key, priority)
        return self._pool_queue.claim(claim, self._instance, concurrency_key, run_id)

    def dispose(self) -> None:
        """Stop watching and let go of the runs' locks."""
        self.run_locks.release_all()
        super().dispose()


@functools.lru_cache(maxsize=16)
def _engine(url: str) -> sqlalchemy.Engine:
    """One engine for each database: it keeps compiled statements, and no connection.

    The stock storage makes one for each event, and compiles each statement anew.
    """
    engine = sqlalchemy.create_engine(
        url, poolclass=NullPool, connect_args={"timeout": SECONDS_BETWEEN_ATTEMPTS}
    )
    wait_while_locked(engine)
    return engine


def planned_small(event: EventLogEntry) -> EventLogEntry:
    """A planned check of a partitioned run, without the partitions' whole definition.

    Dagster puts the definition, with every holiday, into the event of each check: 50 kB each. And it
    plans the check of a range run once for each partition, though such a check runs once and its
    evaluation bears no partition: ten checks of a year took 12 s, for rows that nothing completes.
    """
    planned = event.dagster_event.event_specific_data if event.dagster_event else None
    if not isinstance(planned, AssetCheckEvaluationPlanned) or planned.partitions_subset is None:
        return event
    # Any more than one partition is a range run, and has no partition of its own.
    keys = planned.partitions_subset.get_partition_keys() if len(planned.partitions_subset) == 1 else ()
    small = AssetCheckEvaluationPlanned(
        asset_key=planned.asset_key,
        check_name=planned.check_name,
        partitions_subset=DefaultPartitionsSubset(set(keys)) if keys else None,
    )
    return event._replace(dagster_event=event.get_dagster_event()._replace(event_specific_data=small))


def _run_id_if_plain(event: EventLogEntry) -> str | None:
    if event.dagster_event_type not in _PLAIN_EVENT_TYPES or event.get_dagster_event().asset_key is None:
        return None
    return event.run_id


def _latest_event_ids(connection: sqlalchemy.Connection, run_id: str, count: int) -> list[int]:
    """The ids of the rows just inserted, in order: the transaction is the database's only writer."""
    ids = connection.execute(
        sqlalchemy.select(SqlEventLogStorageTable.c.id)
        .where(SqlEventLogStorageTable.c.run_id == run_id)
        .order_by(SqlEventLogStorageTable.c.id.desc())
        .limit(count)
    ).scalars()
    return list(reversed(list(ids)))

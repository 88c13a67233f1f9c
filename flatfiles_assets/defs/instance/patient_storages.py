"""Dagster's SQLite storages of runs and of ticks, with the patience of its event log.

Stock connections to these two give up after five seconds, and a tick that dies of "database is
locked" is a tick that is repeated. Not here: the event log (`event_log.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy.pool import NullPool

from flatfiles_assets.defs.dagster_internals.event_log import ConfigurableClassData
from flatfiles_assets.defs.dagster_internals.storages import SqliteRunStorage, SqliteScheduleStorage
from flatfiles_assets.defs.instance.locked_database import SECONDS_BETWEEN_ATTEMPTS, wait_while_locked


class PatientSqliteRunStorage(SqliteRunStorage):
    """`SqliteRunStorage` that waits for a lock; named in `dagster.yaml`, not constructed by hand."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PatientSqliteRunStorage:
        """Build the storage that `dagster.yaml` names."""
        return cls.from_local(inst_data=inst_data, **config_value)

    @contextmanager
    def connect(self) -> Iterator[sqlalchemy.Connection]:
        """A connection for one transaction."""
        with _transaction(self._conn_string) as connection:
            yield connection


class PatientSqliteScheduleStorage(SqliteScheduleStorage):
    """`SqliteScheduleStorage` that waits for a lock; named in `dagster.yaml`, not constructed by hand."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PatientSqliteScheduleStorage:
        """Build the storage that `dagster.yaml` names."""
        found = cls.from_local(inst_data=inst_data, **config_value)
        assert isinstance(found, cls)  # noqa: S101  # the stock signature says less than it does
        return found

    @contextmanager
    def connect(self) -> Iterator[sqlalchemy.Connection]:
        """A connection for one transaction."""
        with _transaction(self._conn_string) as connection:
            yield connection


@contextmanager
def _transaction(url: str) -> Iterator[sqlalchemy.Connection]:
    engine = sqlalchemy.create_engine(
        url, poolclass=NullPool, connect_args={"timeout": SECONDS_BETWEEN_ATTEMPTS}
    )
    wait_while_locked(engine)
    with engine.connect() as connection, connection.begin():
        yield connection

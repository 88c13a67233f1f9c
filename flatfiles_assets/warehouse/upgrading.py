"""Bringing a warehouse of an earlier format up to date, and keeping rows for one that is made anew.

Here: copying tables from one file into another. Not here: which files need it (`versions.py`).
"""

# ruff: noqa: S608  (names are quoted identifiers)
from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import duckdb

from flatfiles_assets.escaping import literal, quoted
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.database import first_line
from flatfiles_assets.warehouse.errors import WarehouseError
from flatfiles_assets.warehouse.locking import FileQueue
from flatfiles_assets.warehouse.new_file import (
    STORAGE_VERSION,
    is_there,
    put_in_place,
    remove_database,
    unfinished_name,
)
from flatfiles_assets.warehouse.table import CATALOG, MARKET, TableKey, storage_schema, stored_name
from flatfiles_assets.warehouse.tables import TABLES
from flatfiles_assets.warehouse.versions import BOOKKEEPING, OLD_NAME, record_versions

_OLD = "old"
_MAIN = "main"


@dataclasses.dataclass(frozen=True)
class Upgraded:
    """What was done.

    Attributes:
        old_path: The old file, which is still there.
        rows: Rows by table, the old file's and the new one's alike.
    """

    old_path: Path
    rows: dict[str, int]


def old_warehouse(warehouse: Warehouse) -> Path | None:
    """The file of an earlier format that should be upgraded; None where there is none."""
    old_path = warehouse.path.with_name(OLD_NAME)
    if old_path == warehouse.path or not old_path.exists() or is_there(warehouse.path):
        return None
    return old_path


def upgrade(warehouse: Warehouse) -> Upgraded | None:
    """Copy a warehouse of format 1 into one of today's; None where there is none to upgrade.

    Everything is copied and counted under another name first, so a process that is killed at any
    moment leaves the old file alone, and the new one whole or not there. The old file stays.

    Raises:
        WarehouseBusy: Somebody else holds the old file for longer than the limit.
        WarehouseError: It cannot be read, or not be copied.
    """
    old_path = old_warehouse(warehouse)
    if old_path is None:
        return None
    queues = [FileQueue(path.with_name(f"{path.name}.queue"), path) for path in (old_path, warehouse.path)]
    unfinished = unfinished_name(warehouse.path)
    with contextlib.ExitStack() as stack:
        for queue in queues:
            stack.enter_context(queue.turn("write", "upgrading", warehouse.lock_timeout_seconds))
        try:
            with _both_attached(old_path, unfinished) as connection:
                rows = {
                    f"{schema}.{table}": _copy(connection, schema, table)
                    for schema, table in _tables(connection)
                }
                record_versions(connection)
            put_in_place(unfinished, warehouse.path)
        except duckdb.Error as error:
            raise WarehouseError(
                "the warehouse could not be upgraded; the old file is as it was",
                where=str(old_path),
                why=f"DuckDB {duckdb.__version__}: {first_line(error)}",
                next_step="use the version of DuckDB that wrote it, or one later, and make room for a second "
                "copy; or `flatfiles rebuild`, which makes the warehouse anew from the files on disk",
            ) from error
        finally:
            remove_database(unfinished)
    return Upgraded(old_path, rows)


@contextlib.contextmanager
def _both_attached(old_path: Path, new_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH {literal(str(old_path))} AS {_OLD} (READ_ONLY)")
        options = f"STORAGE_VERSION '{STORAGE_VERSION}'"
        connection.execute(f"ATTACH {literal(str(new_path))} AS {CATALOG} ({options})")
        connection.execute(f"CREATE SCHEMA {CATALOG}.{quoted(MARKET)}")
        connection.begin()
        yield connection
        connection.commit()
        connection.execute(f"DETACH {CATALOG}")


def _tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() "
        "WHERE database_name = ? AND schema_name <> ? ORDER BY ALL",
        [_OLD, BOOKKEEPING],
    ).fetchall()


def _copy(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> int:
    """Copy one table to its place in the new file; returns its rows."""
    source = ".".join(map(quoted, (_OLD, schema, table)))
    key: TableKey = (MARKET if schema == _MAIN else schema, table)
    target = stored_name(key)
    known = TABLES.get(key)
    if known is None:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {CATALOG}.{quoted(key[0])}")
        connection.execute(f"CREATE TABLE {target} AS SELECT * FROM {source}")
    else:
        for statement in known.ddl:
            connection.execute(statement)
        _add_columns_of_their_own(connection, schema, key)
        connection.execute(f"INSERT INTO {target} BY NAME SELECT * FROM {source}")
    counts = [connection.execute(f"SELECT count(*) FROM {each}").fetchall() for each in (source, target)]
    if counts[0] != counts[1]:
        raise duckdb.DataError(f"{target} has {counts[1]} rows, and the old table {counts[0]}")
    return int(counts[1][0][0])


def _add_columns_of_their_own(connection: duckdb.DuckDBPyConnection, schema: str, key: TableKey) -> None:
    """Columns of the old table that the registry does not know are kept."""
    columns = (
        "SELECT column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ?"
    )
    old = connection.execute(columns, [_OLD, schema, key[-1]]).fetchall()
    new = {
        name for name, _ in connection.execute(columns, [CATALOG, storage_schema(key), key[-1]]).fetchall()
    }
    for name, data_type in old:
        if name not in new:
            connection.execute(f"ALTER TABLE {stored_name(key)} ADD COLUMN {quoted(name)} {data_type}")

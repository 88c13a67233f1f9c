"""What only an old warehouse has, kept in one that is made anew, and the new one in the old one's place.

Here: sessions whose raw files were removed, tables that come from the network or from their user.
Not here: what is loaded from files (`cli/rebuilding.py`).
"""

# ruff: noqa: S608  (names are quoted identifiers)
from __future__ import annotations

import dataclasses
from pathlib import Path

import duckdb

from flatfiles_assets.escaping import literal, quoted
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.database import first_line
from flatfiles_assets.warehouse.errors import WarehouseDamaged
from flatfiles_assets.warehouse.locking import FileQueue
from flatfiles_assets.warehouse.new_file import is_there, put_in_place
from flatfiles_assets.warehouse.table import CATALOG, MARKET, storage_schema, stored_name
from flatfiles_assets.warehouse.tables import TABLES
from flatfiles_assets.warehouse.versions import (
    BOOKKEEPING,
    HISTORY_PREFIX,
    OLD_NAME,
    STATES,
    begin_history,
    record_versions,
)

_OLD = "old"


@dataclasses.dataclass(frozen=True)
class Salvaged:
    """What was kept.

    Attributes:
        rows: Rows by table.
        problems: What could not be read, and why.
    """

    rows: dict[str, int]
    problems: list[str]


def salvage(old_path: Path, fresh: Warehouse) -> Salvaged:
    """Copy into a fresh warehouse the sessions and tables that it lacks and the old one has.

    Args:
        old_path: The old file; where there is none, one of an earlier format beside it.
        fresh: The warehouse that was made from files.
    """
    source = old_path if _exists(old_path) else old_path.with_name(OLD_NAME)
    kept = Salvaged({}, [])
    if not _exists(source):
        return kept
    with duckdb.connect() as connection:
        try:
            connection.execute(f"ATTACH {literal(str(source))} AS {_OLD} (READ_ONLY)")
            tables = connection.execute(
                "SELECT schema_name, table_name FROM duckdb_tables() "
                "WHERE database_name = ? AND schema_name <> ? AND NOT starts_with(schema_name, ?) "
                "ORDER BY ALL",
                [_OLD, BOOKKEEPING, HISTORY_PREFIX],
            ).fetchall()
        except duckdb.Error as error:
            kept.problems.append(f"the old warehouse, {source}, cannot be read at all: {first_line(error)}")
            return kept
        connection.execute(f"ATTACH {literal(str(fresh.path))} AS {CATALOG}")
        for schema, table in tables:
            name = f"{MARKET if schema == 'main' else schema}.{table}"
            try:
                rows = _copy_missing(connection, schema, table)
            except duckdb.Error as error:
                kept.problems.append(f"{name}, of which the old warehouse may have more: {first_line(error)}")
                continue
            if rows:
                kept.rows[name] = rows
        record_versions(connection)
        _go_on_counting(connection)
        connection.execute(f"DETACH {CATALOG}")
    return kept


def _go_on_counting(connection: duckdb.DuckDBPyConnection) -> None:
    """Begin the fresh warehouse's history where the old one's ends, so that no number names two states."""
    try:
        old = connection.execute(f"SELECT max(state) FROM {_OLD}.{STATES.partition('.')[2]}").fetchone()
    except duckdb.Error:
        old = None  # It remembers nothing, or that cannot be read.
    begin_history(connection, 1 + (old[0] or 0 if old else 0))


def take_the_place(fresh: Warehouse, warehouse: Warehouse) -> list[Path]:
    """Give a fresh warehouse the place of another, which is kept beside it; returns where.

    Raises:
        WarehouseBusy: Somebody holds the other one for longer than its limit.
    """
    path = warehouse.path
    path.parent.mkdir(parents=True, exist_ok=True)
    queue = FileQueue(path.with_name(f"{path.name}.queue"), path)
    aside = []
    with queue.turn("write", "putting a rebuilt warehouse in place", warehouse.lock_timeout_seconds):
        for each in (path, path.with_name(f"{path.name}.wal"), path.with_name(OLD_NAME)):
            if each.exists():
                kept = each.with_name(f"{each.name}.before-rebuild")
                each.replace(kept)
                aside.append(kept)
        put_in_place(fresh.path, path)
    return aside


def _copy_missing(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> int:
    key = (MARKET if schema == "main" else schema, table)
    source = ".".join(map(quoted, (_OLD, schema, table)))
    target = stored_name(key)
    known = TABLES.get(key)
    there = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        [CATALOG, storage_schema(key), table],
    ).fetchone()
    if there is None:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {CATALOG}.{quoted(storage_schema(key))}")
        if known is None:
            return _count(connection, f"CREATE TABLE {target} AS SELECT * FROM {source}")
        for statement in known.ddl:
            connection.execute(statement)
        return _count(connection, f"INSERT INTO {target} BY NAME SELECT * FROM {source}")
    if known is None or known.partition_column is None:
        return 0
    columns = ", ".join(map(quoted, (known.partition_column, *known.scope_columns)))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE there AS SELECT DISTINCT {columns} FROM {target}")
    return _count(
        connection,
        f"INSERT INTO {target} BY NAME SELECT s.* FROM {source} s ANTI JOIN temp.there USING ({columns})",
    )


def _count(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    found = connection.execute(statement).fetchone()
    return int(found[0]) if found else 0


def _exists(path: Path) -> bool:
    try:
        return is_there(path)
    except WarehouseDamaged:
        return False

"""Which version of what a warehouse was made by, and whether this package can use it.

Here: the table that says so, and what is told whoever opens an older or a newer one. Not here: how an
older one is brought up to date (`upgrading.py`).
"""

# ruff: noqa: S608  (the names are constants)
from __future__ import annotations

from pathlib import Path

import duckdb

from flatfiles_assets import __version__
from flatfiles_assets.escaping import quoted
from flatfiles_assets.warehouse.errors import WarehouseTooNew, WarehouseTooOld
from flatfiles_assets.warehouse.table import CATALOG

#: How the file is laid out. 1: tables of ``market`` in the schema ``main``, in DuckDB's newest format;
#: such a file has no table of versions. 2: a schema of its own for each prefix, in DuckDB 1.5's format.
FORMAT_VERSION = 2
#: What the registered tables mean, and what is remembered of them. Columns that are merely added need no
#: other number. 1: nothing is remembered. 2: every change is, from the day of the migration on.
SCHEMA_VERSION = 2

#: The schema of what the file says of itself; not a place for assets.
BOOKKEEPING = "flatfiles"
_TABLE = f"{CATALOG}.{BOOKKEEPING}.versions"
#: Before the name of a schema: where the history of its tables is.
HISTORY_PREFIX = f"{BOOKKEEPING}_history_"
STATES = f"{CATALOG}.{BOOKKEEPING}.states"
TABLES_OVER_TIME = f"{CATALOG}.{BOOKKEEPING}.tables"
LOADS = f"{CATALOG}.{BOOKKEEPING}.loads"
MADE_FROM = f"{CATALOG}.{BOOKKEEPING}.made_from"
#: All of them, and the schemas with the prefix: what is remembered.
REMEMBERED = (STATES, TABLES_OVER_TIME, LOADS, MADE_FROM)

_HISTORY_DDL = (
    f"CREATE TABLE IF NOT EXISTS {STATES} "
    "(state BIGINT NOT NULL, since TIMESTAMP WITH TIME ZONE NOT NULL, purpose VARCHAR, run_id VARCHAR)",
    f"COMMENT ON TABLE {STATES} IS 'Each transaction that changed something, from the first one known on'",
    f"CREATE TABLE IF NOT EXISTS {TABLES_OVER_TIME} (state BIGINT NOT NULL, schema_name VARCHAR NOT NULL, "
    "table_name VARCHAR NOT NULL, column_names VARCHAR[], column_types VARCHAR[], slice_columns VARCHAR[], "
    "history VARCHAR)",
    f"COMMENT ON TABLE {TABLES_OVER_TIME} IS 'Which columns a table has from a state on; none: it is gone'",
    f"CREATE TABLE IF NOT EXISTS {LOADS} (history VARCHAR NOT NULL, state BIGINT NOT NULL, slice VARCHAR)",
    f"CREATE TABLE IF NOT EXISTS {MADE_FROM} "
    "(table_name VARCHAR NOT NULL, partition DATE, state BIGINT NOT NULL, input_state BIGINT)",
    f"COMMENT ON TABLE {MADE_FROM} IS 'Which state rows computed in a state were made from'",
    f"COMMENT ON TABLE {LOADS} IS 'In which state a partition came to where there was none'",
)
#: The name of files of format 1, in the folder of today's.
OLD_NAME = "market.duckdb"


def record_versions(connection: duckdb.DuckDBPyConnection) -> None:
    """Write down, in the attached file, that this package made or changed it.

    In a file in which nothing is remembered yet, history begins with what is there.
    """
    # First of all: asking a table that is not there would end a transaction that somebody has begun.
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {CATALOG}.{BOOKKEEPING}")
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {_TABLE} "
        "(part VARCHAR NOT NULL, version VARCHAR NOT NULL, since TIMESTAMP WITH TIME ZONE NOT NULL)"
    )
    stored = recorded_versions(connection)
    wanted = {"format": str(FORMAT_VERSION), "schema": str(SCHEMA_VERSION), "package": __version__}
    if stored == wanted:
        return
    for statement in _HISTORY_DDL:
        connection.execute(statement)
    if not connection.execute(f"SELECT 1 FROM {STATES} LIMIT 1").fetchall():
        begin_history(connection, 1)
    for part, version in wanted.items():
        if stored.get(part) != version:
            connection.execute(f"DELETE FROM {_TABLE} WHERE part = ?", [part])
            connection.execute(f"INSERT INTO {_TABLE} VALUES (?, ?, now())", [part, version])


def begin_history(connection: duckdb.DuckDBPyConnection, state: int) -> None:
    """Let history begin with the tables as they are now; what was remembered before is forgotten."""
    for (schema,) in connection.execute(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? AND starts_with(schema_name, ?)",
        [CATALOG, HISTORY_PREFIX],
    ).fetchall():
        connection.execute(f"DROP SCHEMA {CATALOG}.{quoted(schema)} CASCADE")
    for table in REMEMBERED:
        connection.execute(f"DELETE FROM {table}")
    connection.execute(f"INSERT INTO {STATES} VALUES (?, now(), 'history begins', NULL)", [state])
    connection.execute(
        f"INSERT INTO {TABLES_OVER_TIME} SELECT ?, schema_name, table_name, "
        "list(column_name ORDER BY column_index), list(data_type ORDER BY column_index), NULL, table_name "
        "FROM duckdb_columns() WHERE database_name = ? AND schema_name <> ? "
        "AND NOT starts_with(schema_name, ?) GROUP BY schema_name, table_name ORDER BY ALL",
        [state, CATALOG, BOOKKEEPING, HISTORY_PREFIX],
    )


def recorded_versions(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What the attached file says; empty where it says nothing."""
    try:
        # Asked for outright: looking into the catalogue first costs each reader milliseconds.
        return dict(connection.execute(f"SELECT part, version FROM {_TABLE}").fetchall())
    except duckdb.CatalogException:
        return {}


def check_versions(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Refuse a file that this package would misunderstand.

    Raises:
        WarehouseTooNew: A later version of the package made it.
        WarehouseTooOld: An earlier one made it, and it was not upgraded.
    """
    stored = recorded_versions(connection)
    if not stored:
        if _is_of_format_1(connection):
            raise too_old(path)
        return
    for part, known in (("format", FORMAT_VERSION), ("schema", SCHEMA_VERSION)):
        if int(stored.get(part, known)) > known:
            raise WarehouseTooNew(
                "the warehouse was made by a newer version of this package",
                where=str(path),
                why=f"its {part} is {stored[part]}, by flatfiles_assets {stored.get('package', 'unknown')}; "
                f"flatfiles_assets {__version__} knows {part} {known}",
                next_step="install that version, or a later one",
            )


def refuse_older(path: Path) -> None:
    """Refuse to go on as if there were nothing, where a file of an earlier format lies.

    Args:
        path: Where a warehouse of today's should be, and is not.

    Raises:
        WarehouseTooOld: There is an older one beside it.
    """
    older = path.with_name(OLD_NAME)
    if older != path and older.exists():
        raise too_old(older)


def too_old(path: Path) -> WarehouseTooOld:
    """The error for a file of an earlier format."""
    return WarehouseTooOld(
        "the warehouse was made by an earlier version of this package",
        where=str(path),
        why=f"its format is 1; flatfiles_assets {__version__} knows format {FORMAT_VERSION}",
        next_step="run `flatfiles upgrade`, which keeps the old file",
    )


def _is_of_format_1(connection: duckdb.DuckDBPyConnection) -> bool:
    found = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'main' "
        "AND table_name IN ('files', 'quarantine')",
        [CATALOG],
    ).fetchone()
    return found is not None

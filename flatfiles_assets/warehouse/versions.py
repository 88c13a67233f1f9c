"""Which version of what a warehouse was made by, and whether this package can use it.

Here: the table that says so, and what is told whoever opens an older or a newer one. Not here: how an
older one is brought up to date (`upgrading.py`).
"""

# ruff: noqa: S608  (the names are constants)
from __future__ import annotations

from pathlib import Path

import duckdb

from flatfiles_assets import __version__
from flatfiles_assets.warehouse.errors import WarehouseTooNew, WarehouseTooOld
from flatfiles_assets.warehouse.table import CATALOG

#: How the file is laid out. 1: tables of ``market`` in the schema ``main``, in DuckDB's newest format;
#: such a file has no table of versions. 2: a schema of its own for each prefix, in DuckDB 1.5's format.
FORMAT_VERSION = 2
#: What the registered tables mean. Columns that are merely added need no other number.
SCHEMA_VERSION = 1

#: The schema of what the file says of itself; not a place for assets.
BOOKKEEPING = "flatfiles"
_TABLE = f"{CATALOG}.{BOOKKEEPING}.versions"
#: The name of files of format 1, in the folder of today's.
OLD_NAME = "market.duckdb"


def record_versions(connection: duckdb.DuckDBPyConnection) -> None:
    """Write down, in the attached file, that this package made or changed it."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {CATALOG}.{BOOKKEEPING}")
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {_TABLE} "
        "(part VARCHAR NOT NULL, version VARCHAR NOT NULL, since TIMESTAMP WITH TIME ZONE NOT NULL)"
    )
    stored = recorded_versions(connection)
    wanted = {"format": str(FORMAT_VERSION), "schema": str(SCHEMA_VERSION), "package": __version__}
    for part, version in wanted.items():
        if stored.get(part) != version:
            connection.execute(f"DELETE FROM {_TABLE} WHERE part = ?", [part])
            connection.execute(f"INSERT INTO {_TABLE} VALUES (?, ?, now())", [part, version])


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

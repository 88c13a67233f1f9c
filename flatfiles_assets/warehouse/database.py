"""Opening the DuckDB file, closing it for certain, and DuckDB's errors in our words.

Here: one connection at a time, from open to close. Not here: whose turn it is (`locking.py`).
"""

from __future__ import annotations

import contextlib
import difflib
import os
import random
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from flatfiles_assets.escaping import literal, quoted
from flatfiles_assets.warehouse.errors import (
    QueryFailed,
    ReadOnlyViolation,
    TableNotFound,
    WarehouseError,
    WarehouseMissing,
)
from flatfiles_assets.warehouse.locking import busy
from flatfiles_assets.warehouse.new_file import (
    SPILL_SUFFIX,
    STORAGE_VERSION,
    damaged,
    is_there,
    make_warehouse,
)
from flatfiles_assets.warehouse.past import PRESENT, AsOf, find_state, show_state
from flatfiles_assets.warehouse.read_only import FILES_NEXT_STEP, confine
from flatfiles_assets.warehouse.table import CATALOG, MARKET
from flatfiles_assets.warehouse.versions import (
    BOOKKEEPING,
    HISTORY_PREFIX,
    check_versions,
    record_versions,
    refuse_older,
)

_SHORTEST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.25

# A thread has about a block of 256 KiB of each column in use.
_SCAN_MIB_PER_THREAD = 16

# DuckDB's words for "in use", by another process and by another connection of this one.
_IN_USE = re.compile("could not set lock on file|unique file handle conflict", re.IGNORECASE)
# DuckDB's words for bytes that are not what it wrote: it keeps a checksum of every block.
_DAMAGE = re.compile(
    "computed checksum|corrupt database|not a valid DuckDB database|failed to deserialize|deserialization|"
    "could not read enough bytes",
    re.IGNORECASE,
)
_MISSING_TABLE = re.compile(r'Table with name "?([\w.]+)"?')


@contextlib.contextmanager
def attached(
    path: Path,
    *,
    read_only: bool,
    timeout_seconds: float,
    allow_files: bool = False,
    settled: bool = True,
    as_of: AsOf | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the file as its default catalog, closed at the end whatever happens.

    Users of our own queue never meet here; somebody else's DuckDB may hold the file, so this
    retries, with jitter.

    Args:
        path: The file.
        read_only: Whether to read it, and it alone: see `read_only.py`.
        timeout_seconds: How long to wait for it at most.
        allow_files: Whether queries of a reader may read and write other files.
        settled: Whether a reader's settings cannot be changed.
        as_of: What a reader is shown is the warehouse as it was then; None for the present.

    Raises:
        MomentUnknown: What it held then is not known.
        WarehouseMissing: There is no file, and it is to be read.
        WarehouseBusy: Somebody else held the file up to the limit.
        WarehouseDamaged: The file's contents are not what DuckDB wrote.
        WarehouseTooOld: It is of an earlier version of this package.
        WarehouseTooNew: It is of a later one.
        WarehouseError: The file is not one that this DuckDB can open.
    """
    if read_only:
        must_be_there(path)
    elif not is_there(path):
        refuse_older(path)
        make_warehouse(path)
    connection = duckdb.connect(config={"temp_directory": str(_spill_folder(path))})
    try:
        # Or the same query would have other days on a machine in another zone.
        connection.execute("SET TimeZone = 'UTC'")
        _attach(connection, path, read_only=read_only, timeout_seconds=timeout_seconds)
        if as_of is not None:
            _attach_past(connection, path, as_of, timeout_seconds)
        if read_only:
            confine(connection, allow_files=allow_files, lock=settled)
        yield connection
    finally:
        # Relations and tracebacks can keep a connection alive; a detached file is free all the same.
        with contextlib.suppress(duckdb.Error):
            connection.execute("USE memory")
            connection.execute(f"DETACH {CATALOG}")
        with contextlib.suppress(duckdb.Error):
            connection.execute(f"DETACH {PRESENT}")
        connection.close()


def must_be_there(path: Path) -> None:
    """Say what there is where there is no warehouse of today's format.

    Raises:
        WarehouseMissing: There is none.
        WarehouseTooOld: There is one of an earlier version of this package.
    """
    if is_there(path):
        return
    refuse_older(path)
    raise WarehouseMissing(
        "there is no warehouse yet",
        where=str(path),
        next_step="load something first: `make demo`, or `flatfiles backfill stocks_daily --start … "
        "--end …`; FLATFILES_DATA_DIR says where the warehouse is",
    )


def _spill_folder(path: Path) -> Path:
    """A folder of this connection's own for rows that do not fit into memory; DuckDB makes and removes it.

    It belongs beside the file, which has room, unless nothing can be written there. DuckDB's files in
    it have the same names in every process.
    """
    place = path.parent if os.access(path.parent, os.W_OK) else Path(tempfile.gettempdir())
    return place / f"{path.name}{SPILL_SUFFIX}-{os.getpid()}-{secrets.token_hex(4)}"


@contextlib.contextmanager
def few_buffers(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let DuckDB read into the same little memory again and again.

    Fresh memory for everything that a scan reads costs the system half as much as the reading costs
    DuckDB, and is given back when the file is closed. A query that sorts or joins much fails in it.
    """
    (threads,) = connection.execute("SELECT current_setting('threads')").fetchall()[0]
    connection.execute(f"SET memory_limit = '{_SCAN_MIB_PER_THREAD * threads}MiB'")
    try:
        yield
    finally:
        connection.execute("RESET memory_limit")
        # DuckDB 1 keeps the limit after RESET, and only says that the usual one is back.
        (usual,) = connection.execute("SELECT current_setting('memory_limit')").fetchall()[0]
        connection.execute(f"SET memory_limit = {literal(usual)}")


def _attach_past(
    connection: duckdb.DuckDBPyConnection, path: Path, as_of: AsOf, timeout_seconds: float
) -> None:
    """Put views of a past state under the warehouse's name, before the attached file."""
    state = find_state(connection, as_of, path)
    connection.execute("USE memory")
    connection.execute(f"DETACH {CATALOG}")
    _attach(connection, path, read_only=True, timeout_seconds=timeout_seconds, name=PRESENT)
    connection.execute(f"ATTACH ':memory:' AS {CATALOG}")
    show_state(connection, state)
    connection.execute(f"USE {CATALOG}.{quoted(MARKET)}")


def _attach(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    read_only: bool,
    timeout_seconds: float,
    name: str = CATALOG,
) -> None:
    options = "READ_ONLY" if read_only else f"STORAGE_VERSION '{STORAGE_VERSION}'"
    deadline = time.monotonic() + timeout_seconds
    pause_seconds = _SHORTEST_PAUSE_SECONDS
    while True:
        try:
            connection.execute(f"ATTACH {literal(str(path))} AS {name} ({options})")
        except duckdb.Error as error:
            if _DAMAGE.search(str(error)):
                raise damaged(path, first_line(error)) from error
            if not _IN_USE.search(str(error)):
                raise WarehouseError(
                    "the file cannot be opened",
                    where=str(path),
                    why=f"DuckDB {duckdb.__version__}: {first_line(error)}",
                    next_step="check the file's permissions and which version of DuckDB wrote it",
                ) from error
            if time.monotonic() >= deadline:
                raise busy(path, f"waited {timeout_seconds:g} s; {_holder(error)}") from error
        else:
            if name == CATALOG:
                _make_ready(connection, path, read_only=read_only)
            return
        time.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311
        pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)


def _make_ready(connection: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
    """Look at an attached file's versions, and have names found in it."""
    try:
        check_versions(connection, path)
        if not read_only:
            connection.begin()
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {CATALOG}.{quoted(MARKET)}")
            record_versions(connection)
            connection.commit()
        try:
            connection.execute(f"USE {CATALOG}.{quoted(MARKET)}")
        except duckdb.CatalogException:
            connection.execute(f"USE {CATALOG}")
    except duckdb.Error as error:
        if _DAMAGE.search(str(error)):
            raise damaged(path, first_line(error)) from error
        raise WarehouseError(
            "the file cannot be used",
            where=str(path),
            why=f"DuckDB {duckdb.__version__}: {first_line(error)}",
            next_step="check the free space and the file's permissions",
        ) from error


def _holder(error: duckdb.Error) -> str:
    if "handle conflict" in str(error).lower():
        return "this process has the file open through a DuckDB connection of its own; close that"
    held = re.search(r"held in (.+?\(PID \d+\))", str(error))
    return f"it is held by a DuckDB outside this package: {held[1] if held else first_line(error)}"


@contextlib.contextmanager
def explained(connection: duckdb.DuckDBPyConnection, statement: str) -> Iterator[None]:
    """Turn DuckDB's errors about a statement into ours, DuckDB's message included."""
    try:
        yield
    except duckdb.CatalogException as error:
        missing = _MISSING_TABLE.search(str(error))
        if missing is None:
            raise _failed(statement, error) from error
        raise table_not_found(missing[1], table_names(connection)) from error
    except duckdb.PermissionException as error:
        raise ReadOnlyViolation(
            "this session only reads the warehouse",
            where=_shortened(statement),
            why=first_line(error),
            next_step=FILES_NEXT_STEP,
        ) from error
    except duckdb.Error as error:
        if "read-only mode" in str(error):
            raise ReadOnlyViolation(
                "this session only reads",
                where=_shortened(statement),
                why=first_line(error),
                next_step="tables are written by materialising their assets",
            ) from error
        raise _failed(statement, error) from error


def table_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Every table and view of the warehouse by its name in SQL; none where a transaction is aborted."""
    with contextlib.suppress(duckdb.Error):
        rows = connection.execute(
            "SELECT schema_name || '.' || name FROM ("
            "SELECT database_name, schema_name, table_name AS name FROM duckdb_tables() UNION ALL "
            "SELECT database_name, schema_name, view_name FROM duckdb_views() WHERE NOT internal"
            ") WHERE database_name = ? AND schema_name <> ? AND NOT starts_with(schema_name, ?) ORDER BY 1",
            [CATALOG, BOOKKEEPING, HISTORY_PREFIX],
        ).fetchall()
        return [name for (name,) in rows]
    return []


def table_not_found(name: str, known: list[str]) -> TableNotFound:
    """The error for a table that is not there, with the most similar names first."""
    by_ending = [other for other in known if other.split(".")[-1] == name.split(".")[-1]]
    similar = by_ending or difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    others = [other for other in known if other not in similar]
    return TableNotFound(
        "there is no such table",
        where=name,
        why=f"the warehouse has {', '.join([*similar, *others])}" if known else "the warehouse is empty",
        next_step=f"use {' or '.join(similar)}" if similar else "load it first: `flatfiles backfill …`",
    )


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).split("\n", 1)[0].rstrip("!")


def _failed(statement: str, error: duckdb.Error) -> WarehouseError:
    if _DAMAGE.search(str(error)):
        return damaged(_shortened(statement), first_line(error))
    return QueryFailed("DuckDB refused the statement", where=_shortened(statement), why=str(error))


def _shortened(statement: str, most: int = 120) -> str:
    text = " ".join(statement.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"

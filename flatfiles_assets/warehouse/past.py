"""The warehouse as it was: a moment of the past, found and read.

Here: which state a moment, a number or a run names, and the views that show the tables as they were
then. Not here: what is remembered, and its tables (`history.py`).
"""

# ruff: noqa: S608  (names are quoted identifiers, values are literals or parameters)
from __future__ import annotations

import dataclasses
import datetime as dt
import re
import zoneinfo
from pathlib import Path
from typing import TypeAlias

import duckdb

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.escaping import literal, quoted
from flatfiles_assets.warehouse.errors import MomentUnknown
from flatfiles_assets.warehouse.history import STATE_COLUMN, TIMES_COLUMN, identity, slice_of
from flatfiles_assets.warehouse.table import CATALOG, MARKET
from flatfiles_assets.warehouse.versions import (
    BOOKKEEPING,
    HISTORY_PREFIX,
    LOADS,
    REMEMBERED,
    STATES,
    TABLES_OVER_TIME,
)

#: What names a state of the warehouse: a moment, a state's number, or the id of a run.
AsOf: TypeAlias = str | dt.datetime | int

#: What the file is attached as while the views of the past have its name.
PRESENT = "present_file"

_RUN_ID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{1,12}){0,4}", re.IGNORECASE)
_SHORTEST_RUN_ID = 8
_HOW_TO_SAY = (
    "say a moment with its time, UTC unless a zone is given ('2026-03-01 12:00', "
    "'2026-03-01T12:00+01:00', '2026-03-01 12:00 America/New_York'), the number of a state, "
    "or the id of a run"
)


def parse_as_of(as_of: AsOf) -> AsOf:
    """A moment with its zone, a state's number, or the id of a run.

    Raises:
        InvalidArgument: It is none of them, or a day without a time, of which nobody can tell whether
            its beginning or its end is meant.
    """
    if isinstance(as_of, dt.datetime):
        return as_of if as_of.tzinfo else as_of.replace(tzinfo=dt.timezone.utc)
    if isinstance(as_of, int) and not isinstance(as_of, bool):
        return as_of
    if not isinstance(as_of, str):
        raise InvalidArgument(f"as_of={as_of!r} names no moment", next_step=_HOW_TO_SAY)
    text = as_of.strip()
    if text.isdecimal() and len(text) < _SHORTEST_RUN_ID:
        return int(text)
    if _RUN_ID.fullmatch(text):
        return text.lower()
    moment = _parse_moment(text)
    if moment is not None:
        return moment
    raise InvalidArgument(f"as_of={as_of!r} names no moment", next_step=_HOW_TO_SAY)


def _parse_moment(text: str) -> dt.datetime | None:
    before, _, last = text.rpartition(" ")
    zone: dt.tzinfo = dt.timezone.utc
    if before and last[:1].isalpha():
        try:
            text, zone = before, zoneinfo.ZoneInfo(last)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            raise InvalidArgument(f"{last!r} is no time zone", next_step=_HOW_TO_SAY) from None
    try:
        # Python 3.10 knows no Z.
        moment = dt.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    except ValueError:
        return None
    if ":" not in text:
        raise InvalidArgument(
            f"as_of={text!r} is a day, and a day has a beginning and an end",
            next_step=f"say which: {text} 00:00, or 00:00 of the day after; {_HOW_TO_SAY}",
        )
    if moment.tzinfo:
        return moment
    moment = moment.replace(tzinfo=zone)
    if moment.utcoffset() != moment.replace(fold=1).utcoffset():
        raise InvalidArgument(
            f"{text} was twice in {zone}, or never: the clocks were changed", next_step=_HOW_TO_SAY
        )
    return moment


def find_state(connection: duckdb.DuckDBPyConnection, as_of: AsOf, path: Path) -> int:
    """The number of the state that was the present then.

    Args:
        connection: With the warehouse attached.
        as_of: As `parse_as_of` returns it.
        path: The warehouse's, for messages.

    Raises:
        MomentUnknown: It is before the first state known, or has not been yet; there is no such state,
            or the run changed nothing.
    """
    try:
        query = f"SELECT min(state), min(since), max(state), max(since) FROM {STATES}"
        ((first, first_at, last, last_at),) = connection.execute(query).fetchall()
    except duckdb.CatalogException:
        first = None
    if first is None:
        raise MomentUnknown(
            "the warehouse remembers nothing yet",
            where=str(path),
            why="it was made by an earlier version of this package, and nothing was loaded since",
            next_step="read the present; history begins with the next load",
        )
    known = f"it remembers states {first} to {last}, from {_shown(first_at)} on"
    if isinstance(as_of, dt.datetime):
        if as_of > max(dt.datetime.now(dt.timezone.utc), last_at):
            raise MomentUnknown(f"{_shown(as_of)} has not been yet", where=str(path), why=known)
        found = f"SELECT max(state) FROM {STATES} WHERE since <= ?"
        ((state,),) = connection.execute(found, [as_of]).fetchall()
        if state is None:
            raise MomentUnknown(
                f"what the warehouse held at {_shown(as_of)} is not known",
                where=str(path),
                why=known,
                next_step=f"ask as of {_shown(first_at)} or later",
            )
        return int(state)
    if isinstance(as_of, int):
        if not first <= as_of <= last:
            raise MomentUnknown(f"there is no state {as_of}", where=str(path), why=known)
        return as_of
    of_runs = f"SELECT run_id, max(state) FROM {STATES} WHERE starts_with(run_id, ?) GROUP BY 1 ORDER BY 1"
    rows = connection.execute(of_runs, [as_of]).fetchall()
    if len(rows) == 1:
        return int(rows[0][1])
    raise MomentUnknown(
        f"{len(rows)} runs begin with {as_of}" if rows else f"no run {as_of} changed the warehouse",
        where=str(path),
        why=", ".join(run for run, _ in rows[:5]) if rows else known,
        next_step="give the whole id" if rows else "name another run, a moment or a state's number",
    )


def show_state(connection: duckdb.DuckDBPyConnection, state: int) -> None:
    """Make views of every table as it was, in the catalog that bears the warehouse's name.

    Args:
        connection: With the file attached as `PRESENT`, and an empty catalog under the warehouse's name.
        state: The state's number.
    """
    connection.execute(f"CREATE SCHEMA {quoted(CATALOG)}.{quoted(MARKET)}")
    for table in _tables_at(connection, state):
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(CATALOG)}.{quoted(table.schema)}")
        name = ".".join(map(quoted, (CATALOG, table.schema, table.name)))
        connection.execute(f"CREATE VIEW {name} AS {_query(connection, table, state)}")
    connection.execute(f"CREATE SCHEMA {quoted(CATALOG)}.{BOOKKEEPING}")
    for source in REMEMBERED:
        condition = f" WHERE state <= {state}"
        connection.execute(f"CREATE VIEW {source} AS SELECT * FROM {_of_present(source)}{condition}")


@dataclasses.dataclass(frozen=True)
class _TableThen:
    """A table as it was.

    Attributes:
        schema: Its schema.
        name: Its name.
        columns: Its columns then, with their types.
        slice_columns: By whose values it is replaced, as is known today.
        history: The name of its table of history.
        goes_on: Whether the table of today is the same one.
        has_history: Whether its table of history is there.
    """

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]
    slice_columns: tuple[str, ...]
    history: str
    goes_on: bool
    has_history: bool


def _tables_at(connection: duckdb.DuckDBPyConnection, state: int) -> list[_TableThen]:
    tables = _of_present(TABLES_OVER_TIME)
    rows = connection.execute(
        "WITH then_ AS (SELECT schema_name, table_name, arg_max(rowid, (state, rowid)) AS line "
        f"FROM {tables} WHERE state <= ? GROUP BY ALL), "
        f"now_ AS (SELECT schema_name, table_name, arg_max(rowid, (state, rowid)) AS line FROM {tables} "
        "GROUP BY ALL) "
        "SELECT t.schema_name, t.table_name, t.column_names, t.column_types, "
        # What it was replaced by may only have been learnt later.
        f"(SELECT any_value(s.slice_columns) FROM {tables} s WHERE s.schema_name = t.schema_name "
        "AND s.history = t.history AND s.slice_columns IS NOT NULL), "
        "t.history, coalesce(n.history = t.history, false), "
        "EXISTS (SELECT 1 FROM duckdb_tables() d WHERE d.database_name = ? "
        "AND d.schema_name = ? || t.schema_name AND d.table_name = t.history) "
        f"FROM {tables} t JOIN then_ ON t.rowid = then_.line "
        "JOIN now_ ON (now_.schema_name, now_.table_name) = (t.schema_name, t.table_name) "
        f"JOIN {tables} n ON n.rowid = now_.line WHERE t.column_names IS NOT NULL ORDER BY ALL",
        [state, PRESENT, HISTORY_PREFIX],
    ).fetchall()
    return [
        _TableThen(
            schema,
            name,
            tuple(zip(names, types, strict=True)),
            tuple(slice_columns or ()),
            history,
            goes_on,
            has_history,
        )
        for schema, name, names, types, slice_columns, history, goes_on, has_history in rows
    ]


def _query(connection: duckdb.DuckDBPyConnection, table: _TableThen, state: int) -> str:
    """The rows of then: those of today that were there, less what came since, and what went since.

    Of a part that came into an empty place since, nothing that is there today was there; what went or
    came after it came says nothing of then, either.
    """
    names = ", ".join(quoted(name) for name, _ in table.columns)
    part = slice_of(table.slice_columns)
    since = (
        f"SELECT slice, min(state) AS came FROM {_of_present(LOADS)} "
        f"WHERE history = {literal(f'{table.schema}.{table.history}')} AND state > {state} GROUP BY slice"
    )
    has_loads = bool(connection.execute(f"{since} LIMIT 1").fetchall())
    today = f"SELECT {names} FROM {_place(table.schema, table.name)}" if table.goes_on else _nothing(table)
    if table.goes_on and has_loads:
        today += f" WHERE {part} NOT IN (SELECT slice FROM ({since}))"
    if not table.has_history:
        return today
    changes = (
        f"SELECT * FROM {_place(HISTORY_PREFIX + table.schema, table.history)} WHERE {STATE_COLUMN} > {state}"
    )
    if not connection.execute(f"SELECT 1 FROM ({changes}) LIMIT 1").fetchall():
        return today
    if has_loads:
        changes = (
            f"SELECT changed.* FROM (SELECT *, {part} AS history_slice FROM ({changes})) changed "
            f"LEFT JOIN ({since}) loads ON loads.slice = changed.history_slice "
            f"WHERE loads.came IS NULL OR changed.{STATE_COLUMN} < loads.came"
        )
    touched = f"SELECT DISTINCT {part} FROM ({changes})"
    as_they_were = (
        f"SELECT {names} FROM (SELECT {names}, unnest(range(times)) FROM ("
        f"SELECT {names}, CAST(sum(times) AS BIGINT) AS times FROM ("
        f"SELECT {names}, 1 AS times FROM ({today}) WHERE {part} IN ({touched}) "
        f"UNION ALL SELECT {names}, -{TIMES_COLUMN} FROM ({changes})"
        f") GROUP BY {', '.join(identity(table.columns))} HAVING sum(times) > 0))"
    )
    return f"SELECT {names} FROM ({today}) WHERE {part} NOT IN ({touched}) UNION ALL {as_they_were}"


def _nothing(table: _TableThen) -> str:
    columns = ", ".join(f"CAST(NULL AS {type_}) AS {quoted(name)}" for name, type_ in table.columns)
    return f"SELECT {columns} WHERE false"


def _of_present(name: str) -> str:
    return PRESENT + name.removeprefix(CATALOG)


def _place(schema: str, table: str) -> str:
    return ".".join(map(quoted, (PRESENT, schema, table)))


def _shown(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.timezone.utc):%Y-%m-%d %H:%M:%S.%f}+00:00"

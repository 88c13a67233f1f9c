"""What the warehouse remembers: which rows each transaction took away and which it added.

Here: the tables that say so, and writing them within the transaction that changes the rows. Not here:
reading the past (`past.py`), and which statements change rows (`transaction.py`).

Every transaction that changes something is a *state*, with a number that only grows and the moment,
UTC, at which it became what readers see. A row that is replaced by an equal one leaves no trace, and
neither does a partition that comes into an empty place, but for one line that says when: so first loads
cost next to nothing, and a table that is refreshed every day grows by what changes in it. All else is
kept as rows with a sign in a table beside the table, ``flatfiles_history_market.stocks_daily`` for
``market.stocks_daily``: so many times taken away, so many times added. From these, backwards, every
earlier state is told row by row, duplicates included.

A table whose columns become others (dropped, of another type, partitioned otherwise) goes on in another
table of history, ``stocks_daily#2``, for the rows of one would not fit the other.
"""

# ruff: noqa: S608  (names are quoted identifiers, values are literals or parameters)
from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flatfiles_assets.escaping import literal, quoted
from flatfiles_assets.warehouse.table import CATALOG, TableKey, TableSchema, storage_schema, stored_name
from flatfiles_assets.warehouse.versions import (
    HISTORY_PREFIX,
    LOADS,
    MADE_FROM,
    STATES,
    TABLES_OVER_TIME,
)

#: In a table of history: the state in which a row came or went, and how many times it came; below 0, went.
STATE_COLUMN, TIMES_COLUMN = "history_state", "history_times"

_BEFORE, _CHANGED = "rows_before", "rows_changed"

Run = Callable[..., list[tuple[Any, ...]]]


@dataclasses.dataclass(frozen=True)
class Remembered:
    """A table as its history knows it.

    Attributes:
        key: The table's key.
        columns: Its columns in order, with their types.
        slice_columns: The columns by whose values it is replaced; none where it is replaced whole, None where
            nobody has replaced any of it yet.
        history: The name of its table of history, without the schema.
    """

    key: TableKey
    columns: tuple[tuple[str, str], ...]
    slice_columns: tuple[str, ...] | None
    history: str

    @property
    def stored_history(self) -> str:
        """The name in SQL, with catalog and schema, of the table of history."""
        return ".".join(map(quoted, (CATALOG, HISTORY_PREFIX + storage_schema(self.key), self.history)))

    @property
    def name(self) -> str:
        """What lines about it are found by."""
        return f"{storage_schema(self.key)}.{self.history}"


class History:
    """What one transaction remembers of what it changes.

    Args:
        run: Runs a statement in the transaction and returns its rows.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._state: int | None = None
        self._known: dict[TableKey, Remembered] = {}
        # Partitions that had rows when the transaction began, and may have none now.
        self._touched: set[tuple[str, str]] = set()
        # By the table of history: written together, for a statement costs more than its rows.
        self._loads: list[tuple[str, str]] = []
        self._all_read = False

    @property
    def state(self) -> int:
        """The number of the state that this transaction makes."""
        if self._state is None:
            ((last,),) = self._run(f"SELECT max(state) FROM {STATES}")
            self._state = int(last or 0) + 1
        return self._state

    def conclude(self, purpose: str, run_id: str | None) -> None:
        """Note the state as the last thing before the commit; nothing where nothing was changed."""
        if self._state is None and not self._loads:
            return
        if self._loads:
            names, parts = zip(*self._loads, strict=True)
            self._run(
                f"INSERT INTO {LOADS} SELECT unnest(?), ?, unnest(?)", [list(names), self.state, list(parts)]
            )
        # Never before the state that was before it, whatever the clock says.
        self._run(
            f"INSERT INTO {STATES} "
            f"SELECT ?, greatest(?, max(since) + INTERVAL 1 MICROSECOND), ?, ? FROM {STATES}",
            [self.state, dt.datetime.now(dt.timezone.utc), purpose, run_id],
        )

    def note_columns(self, table: TableSchema) -> None:
        """Note that a table was made, or has further columns."""
        known = self._last(table.key)
        columns = self._stored_columns(table.key)
        if known is None:
            self._note(Remembered(table.key, columns, _slice_columns(table), self._next_history(table.key)))
            return
        if columns == known.columns:
            return
        self._note(dataclasses.replace(known, columns=columns))
        if self._has_history(known):
            held = {name for name, _ in known.columns}
            for name, type_ in columns:
                if name not in held:
                    self._run(f"ALTER TABLE {known.stored_history} ADD COLUMN {quoted(name)} {type_}")

    def drop(self, key: TableKey) -> None:
        """Remember all rows of a table, and drop it."""
        known = self._last(key)
        if known is not None:
            self._keep_all(known)
            self._run(
                f"INSERT INTO {TABLES_OVER_TIME} VALUES (?, ?, ?, NULL, NULL, NULL, NULL)", self._place(key)
            )
            del self._known[storage_schema(key), key[-1]]
        self._run(f"DROP TABLE {stored_name(key)}")

    def before(self, table: TableSchema, condition: str, values: Sequence[Any]) -> Pending:
        """Keep the rows that are about to be replaced.

        Args:
            table: The table, which is there.
            condition: Which rows, in SQL.
            values: Of the condition's placeholders.
        """
        known = self._remembered(table)
        there = self._slices(known, condition, values)
        if there:
            # A view of the rows would change with them.
            self._run(
                f"CREATE OR REPLACE TEMP TABLE {_BEFORE} AS SELECT * FROM {table.stored_name} "
                f"WHERE {condition}",
                values,
            )
        return Pending(self, known, condition, tuple(values), there)

    def after(self, pending: Pending, now: set[str] | None) -> None:
        """Note what became of the rows that were kept: what went, what came, and what is there anew."""
        known = pending.known
        if now is None:
            now = self._slices(known, pending.condition, pending.values)
        anew = {part for part in now - pending.there if (known.name, part) not in self._touched}
        self._note_loads(known, anew)
        changed = now - anew
        if pending.there or changed:
            self._touched |= {(known.name, part) for part in pending.there}
            self._keep_differences(pending, anew)
        if pending.there:
            self._run(f"DROP TABLE {_BEFORE}")

    def keep_changes(self, table: TableSchema, query: str, changed: Sequence[str]) -> None:
        """Note rows that are about to be changed in place.

        Args:
            table: The table.
            query: A SELECT of the rows as they are, and beside them what each column of `changed` becomes,
                under the column's name after ``new_``.
            changed: The columns that change.
        """
        known = self._remembered(table)
        self._make_history(known)
        for times, replaced in ((-1, ()), (1, changed)):
            names = ", ".join(
                f"{quoted(f'new_{name}')} AS {quoted(name)}" if name in replaced else quoted(name)
                for name, _ in known.columns
            )
            self._run(
                f"INSERT INTO {known.stored_history} BY NAME SELECT {names}, {self.state} AS {STATE_COLUMN}, "
                f"{times} AS {TIMES_COLUMN} FROM ({query})"
            )

    def note_inputs(self, table: TableSchema, partitions: Sequence[dt.date], state: int | None) -> None:
        """Note which state the rows of some partitions were made from, as read before this transaction."""
        self._run(
            f"INSERT INTO {MADE_FROM} SELECT ?, unnest(?), ?, ?",
            [table.sql_name, list(partitions), self.state, state],
        )

    def _note_loads(self, known: Remembered, parts: Iterable[str]) -> None:
        self._loads += [(known.name, part) for part in sorted(parts)]

    def _keep_all(self, known: Remembered) -> None:
        """Remember every row of a table as taken away."""
        self._make_history(known)
        self._run(
            f"INSERT INTO {known.stored_history} BY NAME SELECT {_names(known.columns)}, "
            f"{self.state} AS {STATE_COLUMN}, CAST(-count(*) AS INTEGER) AS {TIMES_COLUMN} "
            f"FROM {stored_name(known.key)} GROUP BY {', '.join(identity(known.columns))}"
        )

    def _keep_differences(self, pending: Pending, anew: Iterable[str]) -> None:
        known = pending.known
        names = _names(known.columns)
        came = f"SELECT {names}, 1 AS times FROM {stored_name(known.key)} WHERE {pending.condition}"
        parameters = list(pending.values)
        if anew:
            came += f" AND NOT list_contains(?, {slice_of(known.slice_columns)})"
            parameters.append(sorted(anew))
        went = f"UNION ALL SELECT {names}, -1 FROM {_BEFORE}" if pending.there else ""
        differences = (
            f"SELECT {names}, {self.state} AS {STATE_COLUMN}, CAST(sum(times) AS INTEGER) AS {TIMES_COLUMN} "
            f"FROM ({came} {went}) GROUP BY {', '.join(identity(known.columns))} HAVING sum(times) <> 0"
        )
        self._run(f"CREATE OR REPLACE TEMP TABLE {_CHANGED} AS {differences}", parameters)
        if self._run(f"SELECT 1 FROM {_CHANGED} LIMIT 1"):
            self._make_history(known)
            self._run(f"INSERT INTO {known.stored_history} BY NAME SELECT * FROM {_CHANGED}")
        self._run(f"DROP TABLE {_CHANGED}")

    def _slices(self, known: Remembered, condition: str, values: Sequence[Any]) -> set[str]:
        """The partitions, or the parts of them that are replaced by themselves, that have rows."""
        source = f"FROM {stored_name(known.key)} WHERE {condition}"
        if not known.slice_columns:
            return {part for (part,) in self._run(f"SELECT '' {source} LIMIT 1", values)}
        names = ", ".join(map(quoted, known.slice_columns))
        query = f"SELECT {slice_of(known.slice_columns)} FROM (SELECT DISTINCT {names} {source})"
        return {part for (part,) in self._run(query, values)}

    def _remembered(self, table: TableSchema) -> Remembered:
        known = self._last(table.key)
        wanted = _slice_columns(table)
        columns = self._stored_columns(table.key) if known is None else known.columns
        if known is None:
            return self._note(Remembered(table.key, columns, wanted, self._next_history(table.key)))
        if known.slice_columns is None:
            return self._note(dataclasses.replace(known, slice_columns=wanted))
        if known.slice_columns == wanted:
            return known
        # Partitioned otherwise than before: what was goes on being told by what it was.
        self._keep_all(known)
        changed = self._note(Remembered(table.key, columns, wanted, self._next_history(table.key)))
        self._note_loads(changed, self._slices(changed, "true", []))
        return changed

    def _last(self, key: TableKey) -> Remembered | None:
        if not self._all_read:
            rows = self._run(
                "SELECT schema_name, table_name, column_names, column_types, slice_columns, history "
                f"FROM {TABLES_OVER_TIME} ORDER BY state, rowid"
            )
            for schema, name, names, types, slice_columns, history in rows:
                if names is None:
                    self._known.pop((schema, name), None)
                    continue
                columns = tuple(zip(names, types, strict=True))
                parted = None if slice_columns is None else tuple(slice_columns)
                self._known[schema, name] = Remembered((schema, name), columns, parted, history)
            self._all_read = True
        return self._known.get((storage_schema(key), key[-1]))

    def _note(self, table: Remembered) -> Remembered:
        names, types = zip(*table.columns, strict=True)
        self._run(
            f"INSERT INTO {TABLES_OVER_TIME} VALUES (?, ?, ?, ?, ?, ?, ?)",
            [*self._place(table.key), list(names), list(types), _as_list(table.slice_columns), table.history],
        )
        self._known[storage_schema(table.key), table.key[-1]] = table
        return table

    def _place(self, key: TableKey) -> list[Any]:
        return [self.state, storage_schema(key), key[-1]]

    def _next_history(self, key: TableKey) -> str:
        ((before,),) = self._run(
            f"SELECT count(DISTINCT history) FROM {TABLES_OVER_TIME} "
            "WHERE schema_name = ? AND table_name = ?",
            [storage_schema(key), key[-1]],
        )
        return f"{key[-1]}#{before + 1}" if before else key[-1]

    def _stored_columns(self, key: TableKey) -> tuple[tuple[str, str], ...]:
        return tuple(
            self._run(
                "SELECT column_name, data_type FROM duckdb_columns() "
                "WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index",
                [CATALOG, storage_schema(key), key[-1]],
            )
        )

    def _has_history(self, table: Remembered) -> bool:
        return bool(
            self._run(
                "SELECT 1 FROM duckdb_tables() "
                "WHERE database_name = ? AND schema_name = ? AND table_name = ?",
                [CATALOG, HISTORY_PREFIX + storage_schema(table.key), table.history],
            )
        )

    def _make_history(self, table: Remembered) -> None:
        if self._has_history(table):
            return
        schema = quoted(HISTORY_PREFIX + storage_schema(table.key))
        self._run(f"CREATE SCHEMA IF NOT EXISTS {quoted(CATALOG)}.{schema}")
        columns = ", ".join(f"{quoted(name)} {type_}" for name, type_ in table.columns)
        self._run(
            f"CREATE TABLE {table.stored_history} ({columns}, {STATE_COLUMN} BIGINT NOT NULL, "
            f"{TIMES_COLUMN} INTEGER NOT NULL)"
        )
        comment = f"Rows of {storage_schema(table.key)}.{table.key[-1]} that transactions took away or added"
        self._run(f"COMMENT ON TABLE {table.stored_history} IS {literal(comment)}")


@dataclasses.dataclass(frozen=True)
class Pending:
    """Rows that are being replaced; `finish` once the new ones are there.

    Attributes:
        history: Whose.
        known: The table.
        condition: Which rows, in SQL.
        values: Of the condition's placeholders.
        there: The partitions of it that had rows.
    """

    history: History
    known: Remembered
    condition: str
    values: tuple[Any, ...]
    there: set[str]

    def finish(self, now: set[str] | None) -> None:
        """Note what became of them.

        Args:
            now: The parts that have rows now; None where that has to be looked for.
        """
        self.history.after(self, now)


def slice_name(values: Iterable[str]) -> str:
    """The value that names the part of a table with these values of its columns; as `slice_of` in SQL."""
    return "\x1f".join(values)


def slice_of(columns: Sequence[str] | None) -> str:
    """The value, in SQL, that names the part of a table to which a row belongs."""
    if not columns:
        return "''"
    texts = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in columns)
    return f"concat_ws(chr(31), {texts})"


def _as_list(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _slice_columns(table: TableSchema) -> tuple[str, ...]:
    return (table.partition_column, *table.scope_columns) if table.partition_column else ()


def _names(columns: Iterable[tuple[str, str]]) -> str:
    return ", ".join(quoted(name) for name, _ in columns)


def identity(columns: Iterable[tuple[str, str]]) -> list[str]:
    """Expressions, in SQL, that are the same for rows that are: 0.0 and -0.0 are equal, and not the same."""
    names, signs = [], []
    for name, type_ in columns:
        names.append(quoted(name))
        if type_ in ("DOUBLE", "FLOAT"):
            signs.append(f"signbit({quoted(name)})")
    return [*names, *signs]

"""Reading: sessions that hold the file only while a query runs, and their results.

Here: `WarehouseReader`, `QueryResult`. Not here: writing (`transaction.py`).
"""

# ruff: noqa: S608  (names are quoted identifiers, values are parameters)
from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets.columns import TRADE_DATE
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.escaping import quoted
from flatfiles_assets.unexpected import door
from flatfiles_assets.warehouse.database import attached, explained, few_buffers, table_names, table_not_found
from flatfiles_assets.warehouse.errors import QueryFailed, TableNotFound
from flatfiles_assets.warehouse.locking import FileQueue
from flatfiles_assets.warehouse.past import AsOf
from flatfiles_assets.warehouse.read_only import check_statements
from flatfiles_assets.warehouse.table import TableSchema, schema_from_arrow, stored_name
from flatfiles_assets.warehouse.tables import TABLES
from flatfiles_assets.warehouse.versions import STATES

Parameters = Sequence[Any] | Mapping[str, Any] | None


class QueryResult:
    """The rows of a query, all in memory as Arrow; it holds no file and no connection.

    Times with a zone are in UTC.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def to_arrow(self) -> pa.Table:
        """The rows as a pyarrow Table."""
        return self._table

    def arrow(self) -> pa.Table:
        """The rows as a pyarrow Table; the same as `to_arrow`."""
        return self._table

    def df(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame; dates are ``datetime64``, times with a zone in UTC."""
        frame: pd.DataFrame = self._table.to_pandas(date_as_object=False)
        return frame

    def pl(self) -> pl.DataFrame:
        """The rows as a polars DataFrame."""
        frame = pl.from_arrow(self._table)
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows as tuples of Python values."""
        if not self._table.num_columns:
            return []
        return list(zip(*(column.to_pylist() for column in self._table.columns), strict=True))

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first row as a tuple; None where there is none."""
        return next(iter(QueryResult(self._table.slice(0, 1)).fetchall()), None)

    @property
    def columns(self) -> list[str]:
        """Names of the columns in order."""
        return list(self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        return repr(self.pl())


class WarehouseReader:
    """A read-only view of the warehouse.

    Each call opens the file, reads, and closes it again, so a session that is kept, in a notebook
    say, never stands in a backfill's way; and each call sees whole partitions as last committed.

    Args:
        path: The DuckDB file.
        queue: The queue before it.
        timeout_seconds: How long a call waits at most while the file is being written.
        allow_files: Whether queries may read and write other files.
        as_of: What it shows is the warehouse as it was then; None for the present.
    """

    def __init__(
        self,
        path: Path,
        queue: FileQueue,
        timeout_seconds: float,
        *,
        allow_files: bool = False,
        as_of: AsOf | None = None,
    ) -> None:
        self._path = path
        self._queue = queue
        self._timeout_seconds = timeout_seconds
        self._allow_files = allow_files
        self._as_of = as_of

    def __enter__(self) -> WarehouseReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held between calls, so there is nothing to give back."""

    def __repr__(self) -> str:
        state = "read-only" if self._path.exists() else "not there yet"
        return f"WarehouseReader({str(self._path)!r}, {state})"

    @door
    def sql(self, query: str, params: Parameters = None) -> QueryResult:
        """Run one query, e.g. ``SELECT * FROM market.stocks_daily WHERE ticker = ?``.

        Args:
            query: SQL; ``?`` or ``$name`` stand for parameters.
            params: Their values: a list for ``?``, a mapping for ``$name``.

        Returns:
            All rows, in memory.

        Raises:
            WarehouseMissing: Nothing was ever loaded.
            WarehouseBusy: The file was being written for longer than the limit.
            TableNotFound: There is no such table; the message lists those there are.
            ReadOnlyViolation: The statement would change the warehouse, or reach another file.
            QueryFailed: DuckDB refused it for another reason.
        """
        with self._connected("a query") as connection:
            return self._run(connection, query, params)

    @contextmanager
    def _connected(self, purpose: str, *, settled: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
        with (
            self._queue.turn("read", purpose, self._timeout_seconds),
            attached(
                self._path,
                read_only=True,
                timeout_seconds=self._timeout_seconds,
                allow_files=self._allow_files,
                settled=settled,
                as_of=self._as_of,
            ) as connection,
        ):
            yield connection

    def _run(self, connection: duckdb.DuckDBPyConnection, query: str, params: Parameters) -> QueryResult:
        check_statements(
            connection,
            query,
            self._path,
            allow_files=self._allow_files,
            changes_nothing=self._as_of is not None,
        )
        return run_query(connection, query, params)

    @door
    def scan(self, query: str, params: Parameters = None) -> QueryResult:
        """As `sql`: faster for a query that reads much and neither sorts nor groups it, or else slower."""
        with self.held() as held:
            return held.scan(query, params)

    @contextmanager
    def held(self) -> Iterator[WarehouseReader]:
        """A reader that opens the file once for several calls, and so sees one state of it.

        Writers wait meanwhile: only read inside.

        Raises:
            WarehouseMissing: Nothing was ever loaded.
            WarehouseBusy: The file was being written for longer than the limit.
        """
        with contextlib.ExitStack() as stack:
            # What is raised inside of the caller's block is the caller's. `scan` changes a setting, and back.
            enter = door(stack.enter_context)
            connection = enter(self._connected("some queries", settled=False))
            yield _HeldSession(
                self._path,
                self._queue,
                self._timeout_seconds,
                connection,
                allow_files=self._allow_files,
                as_of=self._as_of,
            )

    @door
    def table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        start: dt.date | str | None = None,
        end: dt.date | str | None = None,
    ) -> QueryResult:
        """Rows of one table, by session, then in the order in which sessions are stored.

        Args:
            name: The table's name in SQL, e.g. ``"market.stocks_daily"``.
            columns: Which columns; None for all.
            where: For columns named, the value that rows must have there, or a list of values.
            start: First session, included, by the table's partition column.
            end: Last session, included.

        Raises:
            TableNotFound: There is no such table; the message lists those there are.
            InvalidArgument: A column is not the table's, or the table has no partitions to bound.
            WarehouseError: What `sql` raises.
        """
        table = self.schema(name)
        selected = _checked_columns(table, columns)
        conditions, params = _conditions(table, where or {}, start, end)
        query = f"SELECT {', '.join(map(quoted, selected))} FROM {table.stored_name}"
        if conditions:
            query += f" WHERE {' AND '.join(conditions)}"
        if table.row_order:
            query += f" ORDER BY {', '.join(map(quoted, table.row_order))}"
        return self.sql(query, params)

    @door
    def tables(self) -> list[str]:
        """Names of all tables, in SQL, sorted."""
        with self._connected("listing the tables") as connection:
            return table_names(connection)

    def state(self) -> int | None:
        """The number of the state that is shown; None for a file that remembers nothing yet."""
        try:
            return cast("tuple[int]", self.sql(f"SELECT max(state) FROM {STATES}").fetchone())[0]
        except TableNotFound:
            return None

    @door
    def schema(self, name: str) -> TableSchema:
        """What a table is: columns as stored, with types; partitions and order where registered.

        Raises:
            TableNotFound: There is no such table; the message lists those there are.
        """
        known = self.tables()
        if name not in known:
            raise table_not_found(name, known)
        prefix, _, table_name = name.partition(".")
        key = (prefix, table_name)
        stored = self.sql(f"SELECT * FROM {stored_name(key)} LIMIT 0").to_arrow()
        registered = TABLES.get(key)
        if registered and set(registered.column_names) == set(stored.column_names):
            return registered
        partition_column = TRADE_DATE.name if TRADE_DATE.name in stored.column_names else None
        return schema_from_arrow(key, stored.schema, partition_column)


class _HeldSession(WarehouseReader):
    """A reader on a connection that is open already."""

    def __init__(
        self,
        path: Path,
        queue: FileQueue,
        timeout_seconds: float,
        connection: duckdb.DuckDBPyConnection,
        *,
        allow_files: bool,
        as_of: AsOf | None,
    ) -> None:
        super().__init__(path, queue, timeout_seconds, allow_files=allow_files, as_of=as_of)
        self._connection = connection

    @contextmanager
    def held(self) -> Iterator[WarehouseReader]:
        yield self

    @door
    def sql(self, query: str, params: Parameters = None) -> QueryResult:
        return self._run(self._connection, query, params)

    @door
    def scan(self, query: str, params: Parameters = None) -> QueryResult:
        try:
            with few_buffers(self._connection):
                return self._run(self._connection, query, params)
        except QueryFailed as error:
            if not isinstance(error.__cause__, duckdb.OutOfMemoryException):
                raise
        # It keeps more than it was said to.
        return self.sql(query, params)

    @door
    def tables(self) -> list[str]:
        return table_names(self._connection)


def run_query(connection: duckdb.DuckDBPyConnection, query: str, params: Parameters) -> QueryResult:
    """Run one statement and take all its rows into memory, as Arrow, times in UTC."""
    with explained(connection, query):
        relation = connection.sql(query, params=params)
        # A statement without rows (SET, say) gives no relation.
        rows = pa.table({}) if relation is None else relation.to_arrow_table()
    return QueryResult(_in_utc(_with_distinct_names(rows)))


def _in_utc(rows: pa.Table) -> pa.Table:
    """Instants are the same in every zone; DuckDB labels them with the machine's."""
    for index, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz not in (None, "UTC"):
            utc = pa.timestamp(field.type.unit, tz="UTC")
            rows = rows.set_column(index, field.name, rows.column(index).cast(utc))
    return rows


def _with_distinct_names(rows: pa.Table) -> pa.Table:
    names: list[str] = []
    for name in rows.column_names:
        distinct, repeats = name, 0
        while distinct in names:
            repeats += 1
            distinct = f"{name}_{repeats}"
        names.append(distinct)
    return rows.rename_columns(names)


def _checked_columns(table: TableSchema, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(table.column_names)
    unknown = [name for name in columns if name not in table.column_names]
    if unknown or isinstance(columns, str) or not columns:
        raise InvalidArgument(
            f"no columns {', '.join(unknown) or repr(columns)}",
            where=table.sql_name,
            next_step=f"use a list of {', '.join(table.column_names)}",
        )
    return list(columns)


def _conditions(
    table: TableSchema, where: Mapping[str, Any], start: dt.date | str | None, end: dt.date | str | None
) -> tuple[list[str], list[Any]]:
    conditions, params = [], []
    _checked_columns(table, list(where) or None)
    for name, wanted in where.items():
        values = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Sequence) else list(wanted)
        conditions.append(f"{quoted(name)} IN ({', '.join('?' for _ in values)})" if values else "false")
        params.extend(values)
    for bound, operator in ((start, ">="), (end, "<=")):
        if bound is None:
            continue
        if table.partition_column is None:
            raise InvalidArgument("the table has no partitions to bound", where=table.sql_name)
        conditions.append(f"{quoted(table.partition_column)} {operator} ?")
        params.append(bound)
    return conditions, params

"""Writing: what one transaction can do to the warehouse.

Here: making tables agree with their schema, replacing partitions and whole tables, statements.
Not here: opening, locking and committing, which `Warehouse.writer` does around this.
"""

# ruff: noqa: S608  (names are quoted identifiers, values are parameters)
from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from flatfiles_assets.errors import UnexpectedColumns
from flatfiles_assets.escaping import quoted
from flatfiles_assets.warehouse.database import explained
from flatfiles_assets.warehouse.errors import RowsOutsidePartition, TableMismatch, WarehouseError
from flatfiles_assets.warehouse.history import History, slice_name
from flatfiles_assets.warehouse.incoming import Incoming, Scope, TabularData, as_scope
from flatfiles_assets.warehouse.reading import QueryResult, run_query
from flatfiles_assets.warehouse.table import (
    CATALOG,
    TableKey,
    TableSchema,
    schema_from_arrow,
    sql_type,
    storage_schema,
    stored_name,
)

_INCOMING = "incoming_rows"


class WriteTransaction:
    """One transaction on the warehouse; after any error it is rolled back and refuses to go on."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._history = History(self._run)
        self.failed = False

    def replace(
        self,
        table: TableSchema,
        data: TabularData,
        where: Mapping[str, Sequence[Any]],
        *,
        presorted: bool = False,
    ) -> dict[dt.date, int]:
        """Replace partitions of a table by these rows, making the table if need be.

        Args:
            table: The table.
            data: A pyarrow Table, RecordBatch or RecordBatchReader, a pandas or polars DataFrame, or
                a DuckDB relation. Columns are resolved by name; no rows at all empties the partitions.
            where: Values of the partition column that are replaced, and if only a part of each is,
                values of the table's scope columns.
            presorted: Of a reader, that its rows come in `table.row_order`. Tables in memory are
                looked at instead; what is out of order is sorted.

        Returns:
            Rows now stored by each partition value of `where`, zeros included.

        Raises:
            UnexpectedColumns: Columns are missing, or there are more than the table's.
            RowsOutsidePartition: A row belongs to none of the partitions replaced.
            InvalidArgument: `where` does not name partitions of this table.
            TableMismatch: The stored table has other types than `table`.
            WarehouseError: A value does not fit its column.
        """
        with self._doomed_by_errors():
            scope = as_scope(table, where)
            incoming = Incoming.of(data, table, scope)
            self.create(table)
            with self._replacing(table, scope, incoming):
                self._insert(table, incoming, presorted=presorted)
            return {value: incoming.counts[value] for value in scope[_partition_of(table)]}

    def replace_all(self, table: TableSchema, data: TabularData, *, presorted: bool = False) -> int:
        """Replace everything in a table by these rows, as `replace` does for partitions.

        Returns:
            Rows now stored.
        """
        with self._doomed_by_errors():
            incoming = Incoming.of(data, table, {})
            self.create(table)
            with self._replacing(table, {}):
                self._insert(table, incoming, presorted=presorted)
            return incoming.row_count

    def replace_table(self, table: TableSchema, data: TabularData) -> int:
        """Replace a table by these rows, whatever columns it had before.

        Returns:
            Rows now stored.
        """
        with self._doomed_by_errors():
            stored = self._stored_types(table.key)
            wanted = {column.name: sql_type(column.table_type) for column in table.columns}
            if stored and list(stored.items()) != list(wanted.items()):
                self._history.drop(table.key)
            return self.replace_all(table, data)

    def update(self, table: TableSchema, changed: Sequence[str], source: str) -> int:
        """Change columns of rows in place.

        Args:
            table: The table.
            changed: The columns that change.
            source: Which rows, and to what: what follows ``FROM`` in a query in which ``bars`` is the
                table and ``new`` has the values under the columns' names.

        Returns:
            How many rows changed.
        """
        with self._doomed_by_errors():
            values = ", ".join(f"new.{quoted(name)} AS {quoted(f'new_{name}')}" for name in changed)
            staged = quoted(f"changed_{table.key[-1]}")
            bars = f"{table.stored_name} AS bars"
            self._run(
                f"CREATE OR REPLACE TEMP TABLE {staged} AS SELECT bars.*, {values} FROM {bars}, {source}"
            )
            ((count,),) = self._run(f"SELECT count(*) FROM {staged}")
            if count:
                self._history.keep_changes(table, f"SELECT * FROM {staged}", changed)
                sets = ", ".join(f"{quoted(name)} = new.{quoted(name)}" for name in changed)
                self._run(f"UPDATE {bars} SET {sets} FROM {source}")
            self._run(f"DROP TABLE {staged}")
            return int(count)

    def replace_from_query(
        self,
        table: TableSchema,
        query: str,
        where: Mapping[str, Sequence[Any]],
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        presorted: bool = False,
    ) -> dict[dt.date, int]:
        """Replace partitions of a table by the rows of a query on the warehouse itself.

        The rows never leave DuckDB. The query sees the partitions as they were, unless it is
        `presorted`: then its rows go straight into the table, and it must not read that table.

        Args:
            table: The table.
            query: A SELECT whose columns are the table's, in any order.
            where: As for `replace`.
            parameters: Values for the query's placeholders.
            presorted: Whether the rows of each partition come in the table's order.

        Returns:
            Rows now stored by each partition value of `where`, zeros included.

        Raises:
            As `replace`, and QueryFailed where DuckDB refuses the query.
        """
        with self._doomed_by_errors():
            scope = as_scope(table, where)
            self.create(table)
            if presorted:
                return self._replace_directly(table, query, scope, parameters)
            staged = quoted(f"staged_{table.key[-1]}")
            self._run(f"CREATE OR REPLACE TEMP TABLE {staged} AS {query}", parameters)
            self._check_columns(table, [name for name, *_ in self._run(f"DESCRIBE {staged}")])
            counts = self._staged_counts(table, staged, scope)
            with self._replacing(table, scope):
                self._run(f"INSERT INTO {table.stored_name} BY NAME SELECT * FROM {staged}{_order_by(table)}")
            self._run(f"DROP TABLE {staged}")
            return {value: counts.get(value, 0) for value in scope[_partition_of(table)]}

    def _replace_directly(
        self,
        table: TableSchema,
        query: str,
        scope: Scope,
        parameters: Sequence[Any] | Mapping[str, Any] | None,
    ) -> dict[dt.date, int]:
        found = run_query(self._connection, f"SELECT * FROM ({query}) LIMIT 0", parameters).columns
        self._check_columns(table, found)
        with self._replacing(table, scope):
            inserted = self._run(f"INSERT INTO {table.stored_name} BY NAME {query}", parameters)[0][0]
        partition = _partition_of(table)
        conditions, values = _condition(scope)
        stored = (
            f"SELECT {quoted(partition)}, count(*) FROM {table.stored_name} WHERE {conditions} GROUP BY 1"
        )
        counts = dict(self._run(stored, values))
        if sum(counts.values()) != inserted:
            raise RowsOutsidePartition(
                f"{inserted - sum(counts.values())} rows of the query belong to other partitions",
                where=table.sql_name,
                next_step="narrow the query to the partitions that are replaced; nothing was written",
            )
        return {value: counts.get(value, 0) for value in scope[partition]}

    def execute(
        self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run any one statement in the transaction and return its rows.

        Raises:
            QueryFailed: DuckDB refused it; the transaction is rolled back.
            TableNotFound: It names a table that is not there; likewise.
        """
        with self._doomed_by_errors():
            return self._run(statement, parameters)

    def query(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> QueryResult:
        """Read within the transaction, its own changes included; errors as `execute`."""
        with self._doomed_by_errors():
            return run_query(self._connection, query, parameters)

    def create(self, table: TableSchema) -> None:
        """Make a table agree with its schema: create it, or add the columns that it lacks.

        Raises:
            TableMismatch: A column has another type than the schema says.
        """
        with self._doomed_by_errors():
            stored = self._stored_types(table.key)
            if not stored:
                for statement in table.ddl:
                    self._run(statement)
                self._history.note_columns(table)
                return
            for column in table.columns:
                wanted = sql_type(column.table_type)
                if column.name not in stored:
                    self._run(f"ALTER TABLE {table.stored_name} ADD COLUMN {quoted(column.name)} {wanted}")
                    self._run(table.column_comment(column))
                elif stored[column.name] != wanted:
                    raise TableMismatch(
                        f"the stored column is {stored[column.name]} and should be {wanted}",
                        where=f"{table.sql_name}.{column.name}",
                        why="the table was made by another version of its schema",
                        next_step=f"drop it (DROP TABLE {table.sql_name}) and load it again from the cache, "
                        "or ALTER the column",
                    )
            if any(column.name not in stored for column in table.columns):
                self._history.note_columns(table)

    def stored_table(self, key: TableKey, partition_column: str | None = None) -> TableSchema | None:
        """The schema of a table as it is stored, for tables that no registry knows; None if there is none."""
        if not self._stored_types(key):
            return None
        empty = self.query(f"SELECT * FROM {stored_name(key)} LIMIT 0").to_arrow()
        return schema_from_arrow(key, empty.schema, partition_column)

    def _stored_types(self, key: TableKey) -> dict[str, str]:
        rows = self._run(
            "SELECT column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index",
            [CATALOG, storage_schema(key), key[-1]],
        )
        return dict(rows)

    @contextmanager
    def _replacing(
        self, table: TableSchema, scope: Scope, incoming: Incoming | None = None
    ) -> Iterator[None]:
        """Take away what is there, and remember it, around putting in what replaces it."""
        condition, values = _condition(scope)
        replaced = self._history.before(table, condition, values)
        if replaced.there:
            self._run(f"DELETE FROM {table.stored_name} WHERE {condition}", values)
        yield
        replaced.finish(None if incoming is None else _parts_of(table, scope, incoming))

    def note_inputs(self, table: TableSchema, partitions: Sequence[dt.date], state: int | None) -> None:
        """Note which state of the warehouse the rows of some partitions were made from."""
        with self._doomed_by_errors():
            self._history.note_inputs(table, partitions, state)

    def conclude(self, purpose: str, run_id: str | None) -> None:
        """Give what was changed its number, as the last thing before the commit."""
        self._history.conclude(purpose, run_id)

    def _insert(self, table: TableSchema, incoming: Incoming, *, presorted: bool) -> None:
        is_ordered = presorted or incoming.is_ordered(table.row_order)
        self._connection.register(_INCOMING, incoming.rows)
        try:
            order_by = "" if is_ordered else _order_by(table)
            self._run(f"INSERT INTO {table.stored_name} BY NAME SELECT * FROM {_INCOMING}{order_by}")
        except Exception as error:
            if incoming.failure is not None:
                raise incoming.failure from error
            raise
        self._connection.unregister(_INCOMING)

    def _check_columns(self, table: TableSchema, found: Sequence[str]) -> None:
        if sorted(found) != sorted(table.column_names):
            raise UnexpectedColumns(
                "the query's columns are not the table's",
                where=table.sql_name,
                why=f"expected {', '.join(table.column_names)}; found {', '.join(found)}",
                next_step="name the columns as the table does; their order is free",
            )

    def _staged_counts(self, table: TableSchema, staged: str, scope: Scope) -> dict[Any, int]:
        names = [_partition_of(table), *(name for name in scope if name != table.partition_column)]
        columns = ", ".join(map(quoted, names))
        counts: dict[Any, int] = {}
        for *values, row_count in self._run(f"SELECT {columns}, count(*) FROM {staged} GROUP BY ALL"):
            for name, value in zip(names, values, strict=True):
                if value not in scope[name]:
                    raise RowsOutsidePartition(
                        f"{row_count} rows of the query have {name} {value}",
                        where=table.sql_name,
                        next_step="narrow the query to the partitions that are replaced; nothing was written",
                    )
            counts[values[0]] = counts.get(values[0], 0) + row_count
        return counts

    def _run(
        self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        with explained(self._connection, statement):
            return self._connection.execute(statement, parameters).fetchall()

    @contextmanager
    def _doomed_by_errors(self) -> Iterator[None]:
        """Let no half of a change be committed, even by a caller who catches the error and goes on."""
        if self.failed:
            raise WarehouseError(
                "the transaction has already failed", next_step="begin another, after dealing with its error"
            )
        try:
            yield
        except BaseException:
            self.failed = True
            raise


def _partition_of(table: TableSchema) -> str:
    if table.partition_column is None:
        raise AssertionError("as_scope lets no table without partitions through")
    return table.partition_column


def _parts_of(table: TableSchema, scope: Scope, incoming: Incoming) -> set[str] | None:
    """The parts of a table that rows went to, where that is known without looking for them."""
    others = [scope.get(name, ()) for name in table.scope_columns]
    values = {value for value, count in incoming.counts.items() if count}
    if any(len(each) != 1 for each in others) or not all(type(value) is dt.date for value in values):
        return None
    return {slice_name([value.isoformat(), *(str(each[0]) for each in others)]) for value in values}


def _condition(scope: Scope) -> tuple[str, list[Any]]:
    # Written out, the values of one partition become a filter on the row groups' minima and
    # maxima, so finding nothing costs nothing; a list as one parameter does not, in DuckDB 1.5.
    conditions = [f"{quoted(name)} IN ({', '.join('?' for _ in values)})" for name, values in scope.items()]
    values = [value for column_values in scope.values() for value in column_values]
    return " AND ".join(conditions) or "true", values


def _order_by(table: TableSchema) -> str:
    return f" ORDER BY {', '.join(map(quoted, table.row_order))}" if table.row_order else ""

"""Whatever holds rows in memory, as Arrow that fits a table.

Here: reading pandas, polars, pyarrow and DuckDB relations as Arrow, resolving columns by name,
casting without loss, counting rows by partition. Not here: the database (`transaction.py`).
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.errors import InvalidArgument, UnexpectedColumns
from flatfiles_assets.warehouse.errors import RowsOutsidePartition, WarehouseError
from flatfiles_assets.warehouse.table import TableSchema, is_text

TabularData: TypeAlias = (
    pa.Table | pa.RecordBatch | pa.RecordBatchReader | pd.DataFrame | pl.DataFrame | pl.LazyFrame | Any
)
Scope = Mapping[str, Sequence[Any]]

_MOST_NAMED_VALUES = 5


def to_arrow(data: TabularData) -> pa.Table | pa.RecordBatchReader:
    """Rows as an Arrow table, or as a reader where they come as a stream.

    A pandas index is dropped unless it has a name; then it is a column.

    Raises:
        InvalidArgument: The object is none of the kinds that hold rows.
    """
    if isinstance(data, pa.Table | pa.RecordBatchReader):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, pd.DataFrame):
        if any(name is not None for name in data.index.names):
            data = data.reset_index()
        return pa.Table.from_pandas(data, preserve_index=False)
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    if isinstance(data, pl.DataFrame):
        return data.to_arrow()
    if isinstance(data, duckdb.DuckDBPyRelation):
        return data.to_arrow_table()
    raise InvalidArgument(
        f"an object of type {type(data).__name__} does not hold rows that can be stored",
        next_step="pass a pandas or polars DataFrame, a pyarrow Table, RecordBatch or RecordBatchReader, "
        "or a DuckDB relation",
    )


@dataclasses.dataclass
class Incoming:
    """Rows on their way into a table, checked against it and counted as they pass.

    Attributes:
        rows: An Arrow table, or a reader that can be read once, with exactly the table's columns.
        row_count: Rows seen so far; of a reader, all of them once it is drained.
        counts: Of those, rows by value of the partition column.
        failure: What stopped a reader, where something did.
    """

    rows: pa.Table | pa.RecordBatchReader
    row_count: int = 0
    counts: collections.Counter[Any] = dataclasses.field(default_factory=collections.Counter)
    failure: Exception | None = None

    @classmethod
    def of(cls, data: TabularData, table: TableSchema, scope: Scope) -> Incoming:
        """Check rows against their table.

        Args:
            data: The rows.
            table: Where they go.
            scope: For each column named, the values that rows may have there.

        Raises:
            UnexpectedColumns: Columns are missing, or there are more than the table's.
            RowsOutsidePartition: A row is outside the scope. For a reader this comes while the
                rows are read, as `failure`.
            WarehouseError: A value does not fit its column's type; for a reader as above.
        """
        arrow = to_arrow(data)
        _check_names(arrow.schema, table)
        if isinstance(arrow, pa.Table):
            incoming = cls(_conform(arrow, table))
            incoming._count(incoming.rows, table, scope)
            return incoming
        incoming = cls(arrow)
        incoming.rows = pa.RecordBatchReader.from_batches(
            _storable_schema(arrow.schema, table), incoming._checked(arrow, table, scope)
        )
        return incoming

    def is_ordered(self, order: Sequence[str]) -> bool:
        """Whether the rows are known to come in this order; never for a reader."""
        return isinstance(self.rows, pa.Table) and _is_ordered(self.rows, order)

    def _checked(
        self, batches: pa.RecordBatchReader, table: TableSchema, scope: Scope
    ) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                conformed = _conform(batch, table)
                self._count(conformed, table, scope)
                yield conformed
        except Exception as error:
            # DuckDB would report only the text of what its scan met.
            self.failure = error
            raise

    def _count(self, rows: pa.Table | pa.RecordBatch, table: TableSchema, scope: Scope) -> None:
        self.row_count += rows.num_rows
        for name in filter(None, {*scope, table.partition_column}):
            found = _value_counts(rows.column(name))
            if name in scope and (outside := set(found) - set(scope[name])):
                raise RowsOutsidePartition(
                    f"{sum(found[value] for value in outside)} rows have {name} {_listed(outside)}",
                    where=table.sql_name,
                    why=f"what is being replaced is {name} {_listed(scope[name])}",
                    next_step="pass only rows of the partitions that are replaced; nothing was written",
                )
            if name == table.partition_column:
                self.counts.update(found)


def _check_names(schema: pa.Schema, table: TableSchema) -> None:
    found, expected = schema.names, table.column_names
    if sorted(found) == sorted(expected):
        return
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    repeated = sorted({name for name in found if found.count(name) > 1})
    faults = {"missing": missing, "not in the table": extra, "repeated": repeated}
    raise UnexpectedColumns(
        "the columns are not the table's",
        where=table.sql_name,
        why="; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names)
        + f"; expected {', '.join(expected)}; found {', '.join(found)}",
        next_step="name the columns as the table does; their order is free",
    )


def _storable_schema(schema: pa.Schema, table: TableSchema) -> pa.Schema:
    return pa.schema(
        [(name, _storable_type(schema.field(name).type, type_)) for name, type_ in _types(table)]
    )


def _types(table: TableSchema) -> list[tuple[str, pa.DataType]]:
    return [(column.name, column.table_type) for column in table.columns]


def _storable_type(found: pa.DataType, wanted: pa.DataType) -> pa.DataType:
    # Every layout of text goes into VARCHAR as it is; a cast would only copy it.
    return found if is_text(found) and is_text(wanted) else wanted


def _conform(rows: pa.Table | pa.RecordBatch, table: TableSchema) -> pa.Table | pa.RecordBatch:
    columns, fields = [], []
    for name, wanted in _types(table):
        column = rows.column(name)
        storable = _storable_type(column.type, wanted)
        try:
            columns.append(column if column.type == storable else column.cast(storable))
        except pa.ArrowException as error:
            raise WarehouseError(
                f"values of type {column.type} do not fit the column's type {wanted}",
                where=f"{table.sql_name}.{name}",
                why=str(error),
                next_step="convert the column first; nothing was written",
            ) from error
        fields.append(pa.field(name, storable))
    return type(rows).from_arrays(columns, schema=pa.schema(fields))


def _value_counts(column: pa.Array | pa.ChunkedArray) -> dict[Any, int]:
    counted = pc.value_counts(column)
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _is_ordered(rows: pa.Table, order: Sequence[str]) -> bool:
    """Whether each row is after, or level with, the one before it; NULLs count as out of order."""
    if rows.num_rows < 2 or not order:
        return True
    in_order: Any = True
    for name in reversed(order):
        before, after = rows.column(name).slice(0, rows.num_rows - 1), rows.column(name).slice(1)
        in_order = pc.or_kleene(pc.less(before, after), pc.and_kleene(pc.equal(before, after), in_order))
    return bool(pc.all(pc.fill_null(in_order, False)).as_py())


def _listed(values: Collection[Any]) -> str:
    ordered = sorted("NULL" if value is None else str(value) for value in values)
    named = ", ".join(ordered[:_MOST_NAMED_VALUES])
    more = len(ordered) - _MOST_NAMED_VALUES
    return f"{named} and {more} more" if more > 0 else named


def as_scope(table: TableSchema, where: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """What is to be replaced, checked: values per column, dates as dates.

    Raises:
        InvalidArgument: The partition column or its values are missing, or a column is named by
            which the table cannot be replaced.
    """
    allowed = (table.partition_column, *table.scope_columns)
    if table.partition_column is None or table.partition_column not in where or set(where) - set(allowed):
        raise InvalidArgument(
            f"cannot replace by {', '.join(where) or 'nothing'}",
            where=table.sql_name,
            next_step=f"give the values of {', '.join(filter(None, allowed))}"
            if table.partition_column
            else "the table has no partitions: replace it whole, with replace_all",
        )
    types = dict(_types(table))
    scope = {}
    for name, values in where.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise InvalidArgument(
                f"{name} needs a list of values", where=table.sql_name, why=f"got {values!r}"
            )
        scope[name] = [_as_value(value, types[name]) for value in values]
    return scope


def _as_value(value: Any, type_: pa.DataType) -> Any:
    """A partition key as a value of its column: keys are often text where the column is not."""
    if pa.types.is_date(type_):
        return _as_date(value)
    try:
        return pa.scalar(value).cast(type_).as_py()
    except pa.ArrowException:
        raise InvalidArgument(f"{value!r} is not a {type_}") from None


def _as_date(value: Any) -> dt.date:
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{value!r} is not a date", next_step="use a date or YYYY-MM-DD") from None

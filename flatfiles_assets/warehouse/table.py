"""What a table of the warehouse is: its name in SQL, its columns and types, its DDL.

Here: `TableSchema`, and how names and types are written in SQL. Not here: which tables there are
(`tables.py`), connections (`connection.py`) and rows (`transaction.py`).

An asset's key is its table's name in SQL: ``market/stocks_daily`` is ``market.stocks_daily``, a
table in the file's schema ``market``, so that the name holds in a copy of the file, under whatever
alias it is attached, and in other tools. DuckDB refuses ``x.y`` as ambiguous where a schema bears
its catalog's name, so our sessions attach the file as ``warehouse``, a copy must not be called
``market.duckdb``, and tables of keys under ``warehouse`` lie in the schema ``main``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import pyarrow as pa

from flatfiles_assets.columns import TRADE_DATE, Column
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.escaping import literal, quoted

#: What our sessions attach the file as; also the name of the file.
CATALOG = "warehouse"
#: Where tables of keys without a prefix lie, and where names without a schema are looked up first.
MARKET = "market"
_MAIN = "main"

TableKey = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class TableSchema:
    """One table: its name, columns, partitions and order.

    Attributes:
        key: The asset's key, e.g. ``("market", "stocks_daily")``.
        columns: The table's columns in order; their `table_type` is what is stored.
        partition_column: The column whose values are partitions; None for a table that is always
            replaced whole.
        sort_columns: Order of the rows within a partition.
        scope_columns: Further columns by which a part of a partition can be replaced alone.
        required_columns: Columns that are never NULL.
        description: One sentence for people.
    """

    key: TableKey
    columns: tuple[Column, ...]
    partition_column: str | None = TRADE_DATE.name
    sort_columns: tuple[str, ...] = ()
    scope_columns: tuple[str, ...] = ()
    required_columns: tuple[str, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        names = set(self.column_names)
        used = {*self.sort_columns, *self.scope_columns, *self.required_columns}
        if self.partition_column:
            used.add(self.partition_column)
        if not self.key or not all(self.key):
            raise InvalidArgument("a table needs a name", where=repr(self.key))
        if used - names:
            raise InvalidArgument(f"no columns {sorted(used - names)}", where=self.sql_name)

    @property
    def sql_name(self) -> str:
        """The table's name in SQL, e.g. ``market.stocks_daily``."""
        return sql_name(self.key)

    @property
    def stored_name(self) -> str:
        """The table's name in SQL with catalog and schema, quoted: never ambiguous."""
        return stored_name(self.key)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(column.name for column in self.columns)

    @property
    def arrow_schema(self) -> pa.Schema:
        """The table's Arrow schema."""
        return pa.schema([(column.name, column.table_type) for column in self.columns])

    @property
    def row_order(self) -> tuple[str, ...]:
        """The columns by which the rows are stored in order: the partition's first."""
        first = (self.partition_column,) if self.partition_column else ()
        return (*first, *(name for name in self.sort_columns if name not in first))

    @property
    def ddl(self) -> tuple[str, ...]:
        """The statements that make the table, and its comments, in an empty warehouse."""
        required = {*self.required_columns, self.partition_column}
        columns = ",\n".join(
            f"  {quoted(column.name)} {sql_type(column.table_type)}"
            + (" NOT NULL" if column.name in required else "")
            for column in self.columns
        )
        return (
            f"CREATE SCHEMA IF NOT EXISTS {quoted(CATALOG)}.{quoted(storage_schema(self.key))}",
            f"CREATE TABLE {self.stored_name} (\n{columns}\n)",
            *self._comments(),
        )

    def _comments(self) -> Iterable[str]:
        if self.description:
            yield f"COMMENT ON TABLE {self.stored_name} IS {literal(self.description)}"
        for column in self.columns:
            if column.description:
                yield self.column_comment(column)

    def column_comment(self, column: Column) -> str:
        """The statement that puts a column's description on it."""
        return f"COMMENT ON COLUMN {self.stored_name}.{quoted(column.name)} IS {literal(column.description)}"


def storage_schema(key: TableKey) -> str:
    """The schema, in the file, of the table of that key."""
    prefix = "_".join(key[:-1]) or MARKET
    return _MAIN if prefix == CATALOG else prefix


def sql_name(key: TableKey) -> str:
    """The name that people use in SQL for the table of that key."""
    return f"{storage_schema(key)}.{key[-1]}"


def stored_name(key: TableKey) -> str:
    """The SQL name, with catalog and schema, quoted, of the table of that key."""
    return ".".join(quoted(part) for part in (CATALOG, storage_schema(key), key[-1]))


_SQL_TYPES: Mapping[pa.DataType, str] = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.time64("us"): "TIME",
    pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
}


def sql_type(arrow_type: pa.DataType) -> str:
    """The DuckDB type that stores an Arrow type, as DuckDB itself writes it.

    Raises:
        InvalidArgument: No type of the warehouse stores it.
    """
    if pa.types.is_decimal(arrow_type):
        return f"DECIMAL({arrow_type.precision},{arrow_type.scale})"
    if pa.types.is_list(arrow_type):
        return f"{sql_type(arrow_type.value_type)}[]"
    try:
        return _SQL_TYPES[arrow_type]
    except KeyError:
        raise InvalidArgument(
            f"a column of Arrow type {arrow_type} cannot be stored",
            next_step=f"cast it to one of {', '.join(map(str, _SQL_TYPES))}, a decimal or a list",
        ) from None


def plain_type(arrow_type: pa.DataType) -> pa.DataType:
    """The type in the warehouse for whatever a data frame holds: one type per kind of value."""
    if pa.types.is_dictionary(arrow_type):
        return plain_type(arrow_type.value_type)
    if is_text(arrow_type) or pa.types.is_null(arrow_type):
        return pa.string()
    if pa.types.is_timestamp(arrow_type):
        return pa.timestamp("us", tz="UTC" if arrow_type.tz else None)
    if pa.types.is_date(arrow_type):
        return pa.date32()
    if pa.types.is_time(arrow_type):
        return pa.time64("us")
    if pa.types.is_large_binary(arrow_type):
        return pa.binary()
    if pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type):
        return pa.list_(plain_type(arrow_type.value_type))
    return arrow_type


def is_text(arrow_type: pa.DataType) -> bool:
    """Whether it is one of Arrow's layouts for text."""
    return bool(
        pa.types.is_string(arrow_type)
        or pa.types.is_large_string(arrow_type)
        or pa.types.is_string_view(arrow_type)
    )


def schema_from_arrow(
    key: TableKey, arrow_schema: pa.Schema, partition_column: str | None = None
) -> TableSchema:
    """The schema of a table that the registry does not know, from the first rows written to it.

    A partition column of timestamps, as pandas makes of dates, becomes one of dates.
    """

    def stored_type(field: pa.Field) -> pa.DataType:
        if field.name == partition_column and pa.types.is_timestamp(field.type):
            return pa.date32()
        return plain_type(field.type)

    columns = tuple(Column(field.name, stored_type(field), "") for field in arrow_schema)
    return TableSchema(key, columns, partition_column)

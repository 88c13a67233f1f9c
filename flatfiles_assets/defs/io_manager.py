"""The Dagster IO manager: what an asset returns is a table, what it takes is read from one.

Here: assets' keys and partitions as tables and values, data frames by annotation, metadata. Not
here: how rows are stored (`transaction.py`) and read (`reading.py`). Assets that write for
themselves, through `Warehouse.writer`, and return nothing are loaded by it all the same.

https://docs.dagster.io/guides/build/io-managers
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from dagster_duckdb import DuckDBIOManager
from dagster_duckdb.io_manager import DuckDbClient
from pydantic import Field

from flatfiles_assets.columns import TRADE_DATE
from flatfiles_assets.datasets import DATASETS
from flatfiles_assets.defs.dagster_internals.tables import (
    DbIOManager,
    DbTypeHandler,
    RawMetadataValue,
    TableMetadataSet,
    TablePartitionDimension,
    TableSlice,
)
from flatfiles_assets.defs.launch import Settled
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import PartitionNotFound, TableNotFound
from flatfiles_assets.warehouse.incoming import to_arrow
from flatfiles_assets.warehouse.reading import QueryResult, WarehouseReader
from flatfiles_assets.warehouse.table import TableKey, TableSchema, schema_from_arrow, sql_name, sql_type
from flatfiles_assets.warehouse.tables import TABLES
from flatfiles_assets.warehouse.transaction import WriteTransaction
from flatfiles_assets.warehouse.workspace import Workspace

_MOST_NAMED_PARTITIONS = 5


class WarehouseIOManager(Settled, DuckDBIOManager):
    """Stores what assets return as tables of the warehouse, and loads tables as what assets ask for.

    An asset's key names its table: ``market/stocks_daily`` is ``market.stocks_daily``. Stored are
    pandas and polars DataFrames, pyarrow Tables and RecordBatchReaders, and DuckDB relations;
    loaded, by the annotation of the argument, the same kinds (a relation is one on an in-memory
    connection of its own, over rows already read). Without an annotation it is a pandas DataFrame.

    Partition keys are values of the table's partition column: the registry's, else the asset's
    metadata ``partition_expr``, else ``trade_date``. A run writes exactly its partitions in one
    transaction, says how many rows each has, and empties those for which there are none. An asset
    without partitions replaces its table. Tables that are not in the registry get their columns
    from the first rows stored.

    Input metadata ``{"columns": [...]}`` reads only those columns.
    """

    database: str | None = Field(  # type: ignore[assignment]
        default=None, description="Path of the DuckDB file; the settings' warehouse if not given."
    )
    lock_timeout_seconds: float | None = Field(
        default=None, description="How long to wait for the file; the settings' limit if not given."
    )

    @staticmethod
    def type_handlers() -> Sequence[DbTypeHandler[Any]]:
        """One handler for each kind of data frame."""
        return [
            _FrameHandler(pd.DataFrame, QueryResult.df),
            _FrameHandler(pa.Table, QueryResult.to_arrow),
            _FrameHandler(pl.DataFrame, QueryResult.pl),
            _FrameHandler(pl.LazyFrame, lambda result: result.pl().lazy()),
            _FrameHandler(pa.RecordBatchReader, lambda result: result.to_arrow().to_reader()),
            _FrameHandler(duckdb.DuckDBPyRelation, _as_relation),
        ]

    @staticmethod
    def default_load_type() -> type | None:
        """What an input without annotation is loaded as."""
        return pd.DataFrame

    def warehouse(self) -> Warehouse:
        """The warehouse that this stores to."""
        return Workspace.from_settings(
            warehouse_path=self.database, lock_timeout_seconds=self.lock_timeout_seconds
        ).warehouse

    def create_io_manager(self, context: dg.InitResourceContext) -> DbIOManager:
        """The manager of one run.

        Raises:
            InvalidArgument: An option of the stock IO manager is set that has no meaning here.
        """
        if self.schema_ or self.connection_config:
            raise InvalidArgument(
                "schema and connection_config are not options of the warehouse",
                next_step="leave them out: an asset's key names its table",
            )
        warehouse = self.warehouse().in_run(context.run.run_id if context.run else None)
        return _PartitionIOManager(
            db_client=_WarehouseClient(warehouse),
            database=str(warehouse.path),
            type_handlers=self.type_handlers(),
            default_load_type=self.default_load_type(),
            io_manager_name=type(self).__name__,
        )


class _WarehouseClient(DuckDbClient):
    """Opens the warehouse as dagster's machinery asks: a transaction for outputs, a session for inputs."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    @contextlib.contextmanager
    def connect(  # type: ignore[override]
        self, context: dg.InputContext | dg.OutputContext, _: TableSlice
    ) -> Iterator[WriteTransaction | WarehouseReader]:
        if isinstance(context, dg.OutputContext):
            with self._warehouse.writer(f"storing {context.asset_key.to_user_string()}") as transaction:
                yield transaction
        else:
            yield self._warehouse.reader()


class _PartitionIOManager(DbIOManager):
    """Dagster's machinery for types and connections, with partitions and metadata our way."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        if obj is None:
            # The asset stored its rows itself.
            return
        self._check_supported_type(type(obj))  # type: ignore[no-untyped-call]
        table_slice = self._get_table_slice(context, context)
        # Whatever takes time comes before the file is taken.
        rows = to_arrow(obj)
        with self._db_client.connect(context, table_slice) as transaction:
            metadata = self._resolve_handler(type(obj)).handle_output(context, table_slice, rows, transaction)
        # Dagster refuses to say anything twice, and the asset's own word comes first.
        said = context.output_metadata or {}
        context.add_output_metadata(
            {name: value for name, value in (metadata or {}).items() if name not in said}
        )

    def _get_table_slice(
        self, context: dg.InputContext | dg.OutputContext, output_context: dg.OutputContext
    ) -> TableSlice:
        if not context.has_asset_key:
            raise InvalidArgument(
                "only assets are stored in the warehouse",
                where=f"output {output_context.name}",
                next_step="make it an asset, or give the op another IO manager",
            )
        metadata = output_context.definition_metadata or {}
        key = tuple(context.asset_key.path)
        registered = TABLES.get(key)
        dimensions = None
        if context.has_asset_partitions:
            column = registered.partition_column if registered else None
            column = column or metadata.get("partition_expr") or TRADE_DATE.name
            # Never the time window: between a range's first and last session it spans days that
            # have none.
            dimensions = [TablePartitionDimension(column, list(context.asset_partition_keys))]
        return TableSlice(
            table=key[-1],
            schema="/".join(key[:-1]),
            columns=(context.definition_metadata or {}).get("columns"),
            partition_dimensions=dimensions,
        )


def _as_relation(result: QueryResult) -> duckdb.DuckDBPyRelation:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection.from_arrow(result.to_arrow())


@dataclasses.dataclass(frozen=True)
class _FrameHandler(DbTypeHandler[Any]):
    """One kind of data frame.

    Attributes:
        kind: Its class.
        from_result: How rows read become one.
    """

    kind: type
    from_result: Callable[[QueryResult], Any]

    @property
    def supported_types(self) -> Sequence[type[object]]:
        return [self.kind]

    def handle_output(
        self, context: dg.OutputContext, table_slice: TableSlice, obj: Any, connection: WriteTransaction
    ) -> Mapping[str, RawMetadataValue]:
        key = tuple(context.asset_key.path)
        column, partitions = _partitions_of(table_slice)
        table = _table_to_write(connection, key, obj.schema, column)
        described = {**TableMetadataSet(table_name=table.sql_name, storage_kind="duckdb")}
        if key not in TABLES:
            described |= TableMetadataSet(column_schema=_column_schema(table))
        if column is None:
            row_count = connection.replace_all(table, obj)
            if not row_count:
                context.log.warning(f"{table.sql_name} is now empty: the asset returned no rows")
            return {**described, **TableMetadataSet(row_count=row_count)}
        stored = connection.replace(table, obj, {column: partitions})
        counts = dict(zip(partitions, stored.values(), strict=True))
        _record_counts(context, table, counts)
        return described

    def load_input(
        self, context: dg.InputContext, table_slice: TableSlice, connection: WarehouseReader
    ) -> Any:
        key = tuple(context.asset_key.path)
        column, partitions = _partitions_of(table_slice)
        try:
            if column is None:
                return self.from_result(connection.table(sql_name(key), table_slice.columns))
            rows = _load_partitions(context, key, table_slice.columns, column, partitions, connection)
        except TableNotFound as error:
            raise _never_loaded(key, partitions) from error
        return self.from_result(QueryResult(rows))


def _partitions_of(table_slice: TableSlice) -> tuple[str | None, list[str]]:
    if not table_slice.partition_dimensions:
        return None, []
    (dimension,) = table_slice.partition_dimensions
    return dimension.partition_expr, list(cast("Sequence[str]", dimension.partitions))


def _table_to_write(
    transaction: WriteTransaction, key: TableKey, arrow_schema: pa.Schema, partition_column: str | None
) -> TableSchema:
    if key in TABLES:
        return TABLES[key]
    stored = transaction.stored_table(key, partition_column)
    return stored or schema_from_arrow(key, arrow_schema, partition_column)


def _column_schema(table: TableSchema) -> dg.TableSchema:
    return dg.TableSchema(
        [dg.TableColumn(column.name, sql_type(column.table_type)) for column in table.columns]
    )


def _record_counts(context: dg.OutputContext, table: TableSchema, counts: Mapping[str, int]) -> None:
    """Say of each partition how many rows it has: it, and not the run, is what people look at."""
    for partition, row_count in counts.items():
        context.step_context.add_asset_metadata(
            dict(TableMetadataSet(partition_row_count=row_count)), context.asset_key, partition
        )
    emptied = [partition for partition, row_count in counts.items() if not row_count]
    if emptied:
        context.log.warning(
            f"{table.sql_name} now has no rows for {_listed(emptied)}: the asset returned none"
        )


def _load_partitions(
    context: dg.InputContext,
    key: TableKey,
    columns: Sequence[str] | None,
    partition_column: str,
    partitions: Sequence[str],
    reader: WarehouseReader,
) -> pa.Table:
    # The partition column comes along to see which partitions have rows.
    wanted = list(dict.fromkeys([*columns, partition_column])) if columns else None
    rows = reader.table(sql_name(key), wanted, where={partition_column: list(partitions)}).to_arrow()
    present = {str(value) for value in pc.unique(rows.column(partition_column)).to_pylist()}
    without_rows = [partition for partition in partitions if partition not in present]
    missing = [partition for partition in without_rows if not _was_materialized(context, partition)]
    if missing and len(missing) == len(partitions):
        raise _never_loaded(key, missing)
    if missing:
        context.log.warning(f"{sql_name(key)} has nothing for {_listed(missing)}: never loaded")
    return rows.select(list(columns)) if columns else rows


def _was_materialized(context: dg.InputContext, partition: str) -> bool:
    """Whether a partition without rows was stored so, by what Dagster recorded."""
    try:
        instance = context.instance
    except dg.DagsterInvariantViolationError:
        # `load_asset_value` outside a run, given no instance: there is no record to ask.
        return False
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=context.asset_key, asset_partitions=[partition]), limit=1
    )
    return bool(records.records)


def _never_loaded(key: TableKey, partitions: Sequence[str]) -> PartitionNotFound:
    name = "/".join(key)
    what = f"it for {_listed(partitions)}" if partitions else "it"
    command = ""
    if key[0] == "market" and key[-1] in DATASETS and partitions:
        command = f", or run `flatfiles backfill {key[-1]} --start {min(partitions)} --end {max(partitions)}`"
    return PartitionNotFound(
        f"nothing is stored for {_listed(partitions)}" if partitions else "nothing is stored",
        where=name,
        why="it was never loaded, by the records of the warehouse and of this Dagster instance",
        next_step=f"materialise {what} in Dagster{command}",
    )


def _listed(partitions: Sequence[str]) -> str:
    named = ", ".join(partitions[:_MOST_NAMED_PARTITIONS])
    more = len(partitions) - _MOST_NAMED_PARTITIONS
    return f"{named} and {more} more" if more > 0 else named

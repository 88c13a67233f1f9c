"""`reference/splits` and `reference/dividends`: the corporate actions that adjust prices.

They come from the vendor's REST endpoints where an API key is set, else from files that the user
drops into a folder. Materialising replaces the whole table: the vendor corrects old records.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from flatfiles_assets.defs.assets.table_metadata import column_schema
from flatfiles_assets.defs.keys import DUCKDB_WRITER_POOL, OWNERS, WAREHOUSE_IO, reference_key
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.download.reference_api import Endpoint, MalformedAnswer, ReferenceApi
from flatfiles_assets.errors import MissingCredentials
from flatfiles_assets.ingest.reference import (
    ReferenceRecords,
    dropped_file,
    read_dropped_file,
    reference_records,
)
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.warehouse.table import TableSchema
from flatfiles_assets.warehouse.tables import DIVIDENDS, SPLITS

_MOST_REJECTED_SHOWN = 50


def fetch_reference(name: Endpoint, settings: Settings) -> ReferenceRecords:
    """The records of one table: from the API where a key is set, else from the user's folder.

    Raises:
        MissingCredentials: There is neither a key nor a file; the message tells both ways.
        FlatFilesError: What the source raises.
    """
    if settings.api_key and settings.api_key.get_secret_value():
        api = ReferenceApi(
            settings.api_url,
            settings.api_key,
            max_retries=settings.max_retries,
            timeout_seconds=settings.timeout_seconds,
        )
        records = reference_records(name, api.records(name), "api")
        if not records.table.num_rows:
            # No market is without any; an empty answer must not wipe what is stored.
            raise MalformedAnswer(
                f"the server knows no {name} at all",
                where=settings.api_url,
                next_step="check FLATFILES_API_URL and the key's plan; the table was left as it is",
            )
        return records
    path = dropped_file(settings.reference_path, name)
    if path is None:
        raise MissingCredentials(
            f"there is no source of {name}",
            where=f"reference/{name}",
            why="no API key is set, and no file is in the folder",
            next_step=f"set FLATFILES_API_KEY, or put {name}.csv or {name}.parquet into "
            f"{_absolute(settings.reference_path)} (FLATFILES_REFERENCE_DIR)",
        )
    return reference_records(name, read_dropped_file(path), path.name)


def _absolute(path: Path) -> Path:
    return path.expanduser().resolve()


def build_reference_assets() -> list[dg.AssetsDefinition]:
    """The assets of splits and dividends."""
    return [_reference_asset("splits", SPLITS), _reference_asset("dividends", DIVIDENDS)]


def _reference_asset(name: Endpoint, table: TableSchema) -> dg.AssetsDefinition:
    @dg.asset(
        key=reference_key(name),
        group_name="reference",
        pool=DUCKDB_WRITER_POOL,
        description=(
            f"{table.description}, from the vendor's reference endpoint or from a file in the "
            "reference folder. Prices are adjusted when they are read, never where they are stored."
        ),
        kinds={"duckdb", "api"},
        owners=OWNERS,
        metadata={
            "dagster/table_name": table.sql_name,
            "dagster/column_schema": column_schema(table),
        },
        io_manager_key=WAREHOUSE_IO,
    )
    def reference(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> dg.MaterializeResult[Any]:
        records = fetch_reference(name, load_settings())
        rows = records.table
        with warehouse.open().writer(f"replace {table.sql_name}") as transaction:
            transaction.replace_all(table, rows)
        for reason in records.rejected[:_MOST_REJECTED_SHOWN]:
            context.log.warning("left out: %s", reason)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows.num_rows,
                "symbols": len(rows.column("ticker").unique()),
                "source": rows.column("source")[0].as_py() if rows.num_rows else "",
                "rejected": len(records.rejected),
            }
        )

    return reference

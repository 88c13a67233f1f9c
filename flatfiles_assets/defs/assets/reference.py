"""`reference/splits` and `reference/dividends`: the corporate actions that adjust prices.

They come from the vendor's REST endpoints where an API key is set, else from files that the user
drops into a folder. Materialising replaces the whole table: the vendor corrects old records.
"""

import warnings
from typing import Any

import dagster as dg

from flatfiles_assets.defs.assets.reference_source import ReferenceSource, log_rejected
from flatfiles_assets.defs.assets.table_metadata import column_schema
from flatfiles_assets.defs.keys import DUCKDB_WRITER_POOL, OWNERS, WAREHOUSE_IO, reference_key
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.download.reference_api import DeprecatedEndpoint, Endpoint, MalformedAnswer
from flatfiles_assets.ingest.reference import ReferenceRecords, reference_records
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.warehouse.table import TableSchema
from flatfiles_assets.warehouse.tables import DIVIDENDS, SPLITS

# Before what is made of them, in a run that does both.
_EARLY = {"dagster/priority": "1"}


def fetch_reference(name: Endpoint, settings: Settings) -> ReferenceRecords:
    """The records of one table: from the API where a key is set, else from the user's folder.

    Raises:
        MissingCredentials: There is neither a key nor a file; the message tells both ways.
        FlatFilesError: What the source raises.
    """
    source = ReferenceSource(settings)
    api = source.api
    if api is None:
        dropped = source.dropped(name)
        if dropped is None:
            raise source.nothing(name)
        return dropped
    records = reference_records(name, api.records(name), "api")
    if not records.table.num_rows:
        # No market is without any; an empty answer must not wipe what is stored.
        raise MalformedAnswer(
            f"the server knows no {name} at all",
            where=settings.api_url,
            next_step="check FLATFILES_API_URL and the key's plan; the table was left as it is",
        )
    return records


def build_reference_assets() -> list[dg.AssetsDefinition]:
    """The assets of splits and dividends."""
    return [_reference_asset("splits", SPLITS), _reference_asset("dividends", DIVIDENDS)]


def _reference_asset(name: Endpoint, table: TableSchema) -> dg.AssetsDefinition:
    @dg.asset(
        key=reference_key(name),
        group_name="reference",
        pool=DUCKDB_WRITER_POOL,
        op_tags=_EARLY,
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
    @door
    def reference(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> dg.MaterializeResult[Any]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DeprecatedEndpoint)
            records = fetch_reference(name, load_settings())
        for warning in caught:
            context.log.warning("%s", warning.message)
        rows = records.table
        with warehouse.open().writer(f"replace {table.sql_name}") as transaction:
            transaction.replace_all(table, rows)
        log_rejected(context, records)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows.num_rows,
                "symbols": len(rows.column("ticker").unique()),
                "source": rows.column("source")[0].as_py() if rows.num_rows else "",
                "rejected": len(records.rejected),
            }
        )

    return reference

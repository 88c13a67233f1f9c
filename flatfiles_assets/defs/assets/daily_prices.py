"""`market/daily_prices`: one row per session and symbol over both sources; and how far they agree."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from flatfiles_assets.defs.assets.range_report import RangeReport
from flatfiles_assets.defs.assets.table_metadata import column_schema
from flatfiles_assets.defs.checks.archive_checks import check_reconciliation, reconciliation_check_specs
from flatfiles_assets.defs.checks.table_checks import run_table_checks, table_check_specs
from flatfiles_assets.defs.column_lineage import LINEAGE, unified_prices_lineage
from flatfiles_assets.defs.keys import (
    DAILY_PRICES_KEY,
    DUCKDB_WRITER_POOL,
    HISTORICAL_DAILY_KEY,
    OWNERS,
    STOCKS_DAILY_KEY,
    WAREHOUSE_IO,
)
from flatfiles_assets.defs.partitions import session_partitions
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.day_bars import FLAT_FILES, HISTORICAL
from flatfiles_assets.warehouse.tables import DAILY_PRICES, PRICE_RECONCILIATION
from flatfiles_assets.warehouse.unified_prices import (
    Precedence,
    has_securities,
    held_sessions,
    reconciliation_query,
    unified_query,
)

FIRST_SESSION = dt.date(2002, 1, 2)


class NoPrices(FlatFilesError):
    """A session is asked for of which neither source has a bar."""

    state = "missing"


def daily_prices_partitions() -> dg.TimeWindowPartitionsDefinition:
    """Every session since the archives begin."""
    return session_partitions("XNYS", FIRST_SESSION)


def _both_sources() -> list[dg.AssetDep]:
    # Each source has only a part of the sessions; the rest need not exist.
    mapping = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
    return [dg.AssetDep(key, partition_mapping=mapping) for key in (STOCKS_DAILY_KEY, HISTORICAL_DAILY_KEY)]


@dg.asset(
    key=DAILY_PRICES_KEY,
    deps=_both_sources(),
    check_specs=table_check_specs(DAILY_PRICES),
    partitions_def=daily_prices_partitions(),
    backfill_policy=dg.BackfillPolicy.multi_run(254),
    pool=DUCKDB_WRITER_POOL,
    group_name="market",
    description=(
        "Every session and symbol of both sources, one row each, unadjusted, with source and security. "
        "Flat files count from 2003-09-10 on, archives before; each fills sessions that the other lacks."
    ),
    kinds={"duckdb"},
    owners=OWNERS,
    metadata={
        "dagster/table_name": DAILY_PRICES.sql_name,
        "dagster/column_schema": column_schema(DAILY_PRICES),
        "partition_expr": "trade_date",
    },
    io_manager_key=WAREHOUSE_IO,
)
@door
def daily_prices(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Unify some sessions in one transaction; the rows never leave DuckDB."""
    report = RangeReport([DAILY_PRICES_KEY])
    sessions = [dt.date.fromisoformat(key) for key in context.partition_keys]
    settings = load_settings()
    precedence = Precedence(settings.prices_flat_files_from, settings.prices_fill)
    store = warehouse.open()
    reader = store.reader()
    query = unified_query(
        sessions, held_sessions(reader, sessions), precedence, securities=has_securities(reader)
    )
    with store.writer(f"unify prices {min(sessions)} to {max(sessions)}") as transaction:
        counts = transaction.replace_from_query(
            DAILY_PRICES,
            query.sql,
            where={"trade_date": sessions},
            parameters=query.parameters,
            presorted=query.is_sorted,
        )
        sources = transaction.query(
            "SELECT trade_date, source, count(*) FROM market.daily_prices"
            " WHERE trade_date BETWEEN $first AND $last GROUP BY ALL",
            {"first": min(sessions), "last": max(sessions)},
        ).fetchall()
    by_source = {(session, source): rows for session, source, rows in sources}
    for session, rows in counts.items():
        if not rows:
            error = NoPrices(
                "neither source has a bar of this session",
                where=f"market/daily_prices {session}",
                next_step="materialise market/stocks_daily or market/historical_daily for it first",
            )
            report.failed(DAILY_PRICES_KEY, session.isoformat(), error)
            continue
        metadata = {
            "dagster/partition_row_count": rows,
            "rows_flat_files": by_source.get((session, "flat_files"), 0),
            "rows_historical": by_source.get((session, "historical"), 0),
        }
        report.materialized(DAILY_PRICES_KEY, session.isoformat(), metadata)
    report.add_to_latest({LINEAGE: unified_prices_lineage()})
    checks = run_table_checks(context, DAILY_PRICES, sessions, store)
    yield from report.conclude(context, checks)


@dg.asset(
    key=["market", "price_reconciliation"],
    deps=[STOCKS_DAILY_KEY, HISTORICAL_DAILY_KEY],
    check_specs=reconciliation_check_specs(),
    pool=DUCKDB_WRITER_POOL,
    group_name="market",
    description=(
        "Flat files against archives in the sessions of 2003-09-10 to 2009-12-31 that both have, per symbol: "
        "matched, missing on either side, differences, suspected split adjustment."
    ),
    kinds={"duckdb"},
    owners=OWNERS,
    metadata={
        "dagster/table_name": PRICE_RECONCILIATION.sql_name,
        "dagster/column_schema": column_schema(PRICE_RECONCILIATION),
    },
    io_manager_key=WAREHOUSE_IO,
)
@door
def price_reconciliation(
    warehouse: WarehouseResource,
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Compare the two sources."""
    store = warehouse.open()
    missing = {FLAT_FILES, HISTORICAL} - set(store.reader().tables())
    if missing:
        raise NoPrices(
            f"nothing is loaded into {' and '.join(sorted(missing))}",
            where="market/price_reconciliation",
            next_step="materialise both sources for some sessions of 2003-09-10 to 2009-12-31",
        )
    found = store.reader().sql(*reconciliation_query()).arrow()
    with store.writer("reconcile prices") as transaction:
        transaction.replace_all(PRICE_RECONCILIATION, found)
    totals = {
        name: sum(value or 0 for value in found[name].to_pylist())
        for name in found.column_names
        if name.startswith("sessions_")
    }
    odd = [row for row in found.to_pylist() if row["sessions_matched"] < row["sessions_both"]]
    records = [
        dg.TableRecord({name: "" if value is None else str(value) for name, value in row.items()})
        for row in sorted(odd, key=lambda row: -row["sessions_different"])[:20]
    ]
    metadata: dict[str, Any] = {"symbols": found.num_rows, **totals}
    if records:
        columns = [dg.TableColumn(name) for name in found.column_names]
        metadata["differences"] = dg.MetadataValue.table(records, dg.TableSchema(columns=columns))
    yield dg.MaterializeResult(metadata=metadata)
    yield check_reconciliation(found.to_pylist())

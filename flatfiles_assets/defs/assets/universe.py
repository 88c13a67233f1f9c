"""`algorithm/universe`: every security of every session, as it was known then, and who of them is ranked."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from flatfiles_assets.algorithms.universe import LOOKBACK_SESSIONS, Universe
from flatfiles_assets.defs import progress
from flatfiles_assets.defs.assets.daily_prices import daily_prices_partitions
from flatfiles_assets.defs.assets.range_report import RangeReport
from flatfiles_assets.defs.assets.table_metadata import column_schema
from flatfiles_assets.defs.checks.table_checks import run_table_checks, table_check_specs
from flatfiles_assets.defs.keys import (
    DAILY_PRICES_KEY,
    DUCKDB_WRITER_POOL,
    OWNERS,
    WAREHOUSE_IO,
    algorithm_key,
)
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse.session_rows import SessionFeatures
from flatfiles_assets.warehouse.tables import UNIVERSE
from flatfiles_assets.warehouse.universe import update_universe

UNIVERSE_KEY = algorithm_key("universe")

# A year of the whole market is one pass.
_MOST_PARTITIONS_PER_RUN = 253
_MOST_NAMED = 5


def universe_of(settings: Settings) -> Universe:
    """Who is ranked and paired in the algorithms' tables."""
    types = tuple(name.strip() for name in settings.universe_types.split(",") if name.strip())
    return Universe(
        top=settings.universe_top,
        types=types or None,
        min_price=settings.universe_min_price,
        min_history=settings.universe_min_history,
    )


@dg.asset(
    key=UNIVERSE_KEY,
    deps=[DAILY_PRICES_KEY],
    check_specs=table_check_specs(UNIVERSE, blocking=False),
    partitions_def=daily_prices_partitions(),
    backfill_policy=dg.BackfillPolicy.multi_run(_MOST_PARTITIONS_PER_RUN),
    pool=DUCKDB_WRITER_POOL,
    group_name="algorithm",
    description=(
        "Every security with a bar in the session, dead ones included: its kind, how long it has been "
        "listed, and its rank by traded dollars over 20 sessions. Only what was known then."
    ),
    kinds={"duckdb", "numpy"},
    owners=OWNERS,
    metadata={
        "dagster/table_name": UNIVERSE.sql_name,
        "dagster/column_schema": column_schema(UNIVERSE),
        "partition_expr": "trade_date",
        "lookback_sessions": LOOKBACK_SESSIONS,
    },
    io_manager_key=WAREHOUSE_IO,
)
@door
def universe(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Compute some sessions, a year at a time."""
    report, store = RangeReport([UNIVERSE_KEY]), warehouse.open()
    sessions = [dt.date.fromisoformat(partition) for partition in context.partition_keys]
    with report.recording(context):
        for result in update_universe(sessions, store):
            partition = result.session.isoformat()
            if result.error is not None:
                report.failed(UNIVERSE_KEY, partition, result.error)
                context.log.error("%s", result.error)
            else:
                report.materialized(UNIVERSE_KEY, partition, _metadata(result))
            progress.advance("universe")
    checks = run_table_checks(context, UNIVERSE, sessions, store)
    yield from report.conclude(context, checks)


def _metadata(result: SessionFeatures) -> dict[str, Any]:
    rows = result.rows if result.rows is not None else UNIVERSE.arrow_schema.empty_table()
    ranked = rows.filter(pc.is_valid(rows.column("rank"))).sort_by("rank")
    return {
        "dagster/partition_row_count": rows.num_rows,
        "ranked": ranked.num_rows,
        "of_unknown_kind": rows.column("type").null_count,
        "most_traded": ", ".join(ranked.column("ticker").slice(0, _MOST_NAMED).to_pylist()),
        "lookback_sessions_missing": result.lookback_missing,
        "warehouse_state": result.input_state,
        "duration_seconds": round(result.seconds, 4),
    }

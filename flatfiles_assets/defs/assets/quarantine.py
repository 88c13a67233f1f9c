"""`market/quarantine`: what the rules rejected, counted per session.

The rows themselves are written with the accepted ones, in the same transaction, by the step that
loads a feed. Materialising this asset counts them, so that the UI shows the figures over time.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg

from flatfiles_assets.datasets import Dataset
from flatfiles_assets.defs.assets.table_metadata import column_schema
from flatfiles_assets.defs.keys import OWNERS, WAREHOUSE_IO, market_key
from flatfiles_assets.defs.partitions import session_partitions
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.warehouse.tables import QUARANTINE

_COUNTS = """
    SELECT trade_date, feed || ': ' || rule, count(*)
    FROM market.quarantine WHERE trade_date BETWEEN $first AND $last
    GROUP BY ALL ORDER BY ALL
"""


def build_quarantine_asset(datasets: Sequence[Dataset]) -> dg.AssetsDefinition:
    """The asset over the rejected rows of some feeds."""
    xnys = [dataset for dataset in datasets if dataset.calendar == "XNYS"]
    # Options begin later than stocks: their earlier sessions do not exist, and need not.
    mapping = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)

    @dg.asset(
        key=["market", "quarantine"],
        deps=[dg.AssetDep(market_key(dataset), partition_mapping=mapping) for dataset in xnys],
        partitions_def=session_partitions("XNYS", min(dataset.first_session for dataset in xnys)),
        backfill_policy=dg.BackfillPolicy.multi_run(254),
        group_name="market",
        description="Every rejected row, with feed, file, row number, rule and reason; counted per session.",
        kinds={"duckdb"},
        owners=OWNERS,
        metadata={
            "dagster/table_name": QUARANTINE.sql_name,
            "dagster/column_schema": column_schema(QUARANTINE),
            "partition_expr": "trade_date",
        },
        io_manager_key=WAREHOUSE_IO,
    )
    @door
    def quarantine(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> dg.MaterializeResult[Any]:
        counts: dict[str, dict[str, int]] = {key: {} for key in context.partition_keys}
        bounds = {name: dt.date.fromisoformat(pick(counts)) for name, pick in (("first", min), ("last", max))}
        with warehouse.open().reader() as reader:
            for trade_date, rule, rows in reader.sql(_COUNTS, bounds).fetchall():
                if trade_date.isoformat() in counts:
                    counts[trade_date.isoformat()][rule] = rows
        for key, by_rule in counts.items():
            context.add_asset_metadata(
                {"dagster/partition_row_count": sum(by_rule.values()), "quarantined_by_rule": by_rule},
                partition_key=key,
            )
        return dg.MaterializeResult()

    return quarantine

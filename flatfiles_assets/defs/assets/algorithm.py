"""`algorithm/<name>`: the features of every session, an asset for each entry of the registry.

A run over a range reads the prices of the range and its look-back once, and computes the whole
range in one pass. Sessions without prices fail alone; the others are stored and recorded.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any, Literal

import dagster as dg
import pyarrow as pa
from pydantic import Field

from flatfiles_assets.algorithms import plots
from flatfiles_assets.algorithms.algorithm import Algorithm
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.defs import progress
from flatfiles_assets.defs.assets.daily_prices import daily_prices_partitions
from flatfiles_assets.defs.assets.decorations import decoration
from flatfiles_assets.defs.assets.range_report import RangeReport
from flatfiles_assets.defs.assets.table_metadata import column_schema
from flatfiles_assets.defs.assets.universe import universe_of
from flatfiles_assets.defs.checks.table_checks import run_table_checks, table_check_specs
from flatfiles_assets.defs.column_lineage import LINEAGE, features_lineage
from flatfiles_assets.defs.keys import (
    DAILY_PRICES_KEY,
    DUCKDB_WRITER_POOL,
    OWNERS,
    WAREHOUSE_IO,
    algorithm_key,
    reference_key,
)
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.features import update_features
from flatfiles_assets.warehouse.session_rows import SessionFeatures
from flatfiles_assets.warehouse.tables import algorithm_table_key, get_table

# A year of the whole market with its look-back is one pass in about a gigabyte.
_MOST_PARTITIONS_PER_RUN = 253


class AlgorithmConfig(dg.Config):
    """Settings of one run."""

    adjust: Literal["none", "splits", "total_return"] = Field(
        default="splits", description="Corporate actions for which prices are adjusted."
    )


def build_algorithm_assets() -> list[dg.AssetsDefinition]:
    """The assets of every algorithm's features."""
    return [_algorithm_asset(algorithm) for algorithm in ALGORITHMS.values()]


def _algorithm_asset(algorithm: Algorithm) -> dg.AssetsDefinition:
    key, table = algorithm_key(algorithm.name), get_table(algorithm_table_key(algorithm.name))

    @dg.asset(
        key=key,
        deps=[
            DAILY_PRICES_KEY,
            algorithm_key("universe"),
            reference_key("splits"),
            reference_key("dividends"),
        ],
        check_specs=table_check_specs(table, blocking=False),
        partitions_def=daily_prices_partitions(),
        backfill_policy=dg.BackfillPolicy.multi_run(_MOST_PARTITIONS_PER_RUN),
        pool=DUCKDB_WRITER_POOL,
        group_name="algorithm",
        description=(
            f"{algorithm.summary} Each value uses data up to its own session only, with a look-back "
            f"of {algorithm.lookback_sessions} sessions."
        ),
        kinds={"duckdb", "numpy"},
        owners=OWNERS,
        metadata={
            "dagster/table_name": table.sql_name,
            "dagster/column_schema": column_schema(table),
            "partition_expr": "trade_date",
            "lookback_sessions": algorithm.lookback_sessions,
        },
        io_manager_key=WAREHOUSE_IO,
    )
    @door
    def features(
        context: dg.AssetExecutionContext, config: AlgorithmConfig, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        report, store = RangeReport([key]), warehouse.open()
        sessions = [dt.date.fromisoformat(partition) for partition in context.partition_keys]
        last_stored: SessionFeatures | None = None
        with report.recording(context):
            for result in update_features(
                algorithm,
                sessions,
                store,
                adjust=config.adjust,
                universe=universe_of(load_settings()),
            ):
                _report(context, report, algorithm, config, result)
                if result.error is None:
                    last_stored = result
                progress.advance(algorithm.name)
        if last_stored is not None and last_stored.rows is not None:
            rows = last_stored.rows
            shown = decoration(context, "the picture", lambda: _picture(algorithm, rows))
            metadata = _metadata(context, algorithm, config, last_stored)
            report.materialized(key, last_stored.session.isoformat(), {**metadata, **shown})
        checks = run_table_checks(context, table, sessions, store)
        report.add_to_latest({LINEAGE: features_lineage(algorithm)})
        yield from report.conclude(context, checks)

    return features


def _report(
    context: dg.AssetExecutionContext,
    report: RangeReport,
    algorithm: Algorithm,
    config: AlgorithmConfig,
    result: SessionFeatures,
) -> None:
    key, partition = algorithm_key(algorithm.name), result.session.isoformat()
    if result.error is not None:
        report.failed(key, partition, result.error)
        context.log.error("%s", result.error)
    else:
        report.materialized(key, partition, _metadata(context, algorithm, config, result))


def _metadata(
    context: dg.AssetExecutionContext,
    algorithm: Algorithm,
    config: AlgorithmConfig,
    result: SessionFeatures,
) -> dict[str, Any]:
    rows = result.rows
    return {
        "dagster/partition_row_count": rows.num_rows if rows is not None else 0,
        "adjustment": config.adjust,
        "lookback_sessions_missing": result.lookback_missing,
        "warehouse_state": result.input_state,
        "corporate_actions_not_as_recorded": result.actions_not_as_recorded,
        "duration_seconds": round(result.seconds, 4),
        **(
            decoration(context, "the key figures", lambda: algorithm.key_figures(rows))
            if rows is not None
            else {}
        ),
    }


def _picture(algorithm: Algorithm, rows: pa.Table) -> dict[str, dg.MarkdownMetadataValue]:
    """A picture of one session; none without matplotlib, or where there is nothing to show."""
    frame = rows.to_pandas(date_as_object=False).rename(columns={"trade_date": "session", "ticker": "symbol"})
    try:
        figure = algorithm.session_picture(frame)
    except (plots.PlottingUnavailable, InvalidArgument):
        return {}
    if figure is None:
        return {}
    return {"picture": dg.MetadataValue.md(plots.png_markdown(figure, algorithm.name.replace("_", " ")))}

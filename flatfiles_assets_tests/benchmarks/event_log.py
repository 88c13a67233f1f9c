"""An empty range run: what Dagster's own bookkeeping costs for each partition and asset.

One asset that does nothing over 366 daily partitions, executed in process on the shipped
instance and on Dagster's default SQLite instance.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import dagster as dg

from flatfiles_assets.defs.instance import open_instance
from flatfiles_assets_tests.benchmarks.report import QUIET, Row

PARTITIONS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2025-01-01")


@dg.asset(partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run())
def empty_range() -> None:
    """Do nothing, for every partition of the range."""


JOB = dg.define_asset_job("empty_range_job", [empty_range]).resolve(
    asset_graph=dg.Definitions(assets=[empty_range]).resolve_asset_graph()
)


def _milliseconds_per_partition(instance: dg.DagsterInstance) -> float:
    keys = PARTITIONS.get_partition_keys()
    started = time.perf_counter()
    result = JOB.execute_in_process(
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        },
        run_config=QUIET,
    )
    elapsed = time.perf_counter() - started
    if len(instance.get_materialized_partitions(empty_range.key)) != len(keys) or not result.success:
        raise RuntimeError("the range run did not materialise every partition")
    return elapsed * 1_000 / len(keys)


def run() -> list[Row]:
    """Both instances in one process, the shipped one as the median of three."""
    with tempfile.TemporaryDirectory() as directory:
        with open_instance(Path(directory) / "shipped") as instance:
            ours = sorted(_milliseconds_per_partition(instance) for _ in range(3))[1]
        stock_home = Path(directory) / "stock"
        stock_home.mkdir()
        (stock_home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        with dg.DagsterInstance.from_config(str(stock_home)) as instance:
            stock = _milliseconds_per_partition(instance)
    return [
        Row(
            claim=f"empty range run, {len(PARTITIONS.get_partition_keys())} partitions, shipped instance",
            ours=ours,
            peer_name="Dagster's default SQLite instance",
            peer=stock,
            unit="ms/partition",
            ratio=ours,
            asked="<= 5",
        )
    ]

"""A small real range job, importable by the tests and runnable in a process of its own.

`python -m flatfiles_assets_tests.defs.instance.range_job HOME RUN_ID [first] [last]` runs it;
with `--wait FILE` the last asset creates the file and then sleeps, for tests that kill it.
"""

import sys
import time
from pathlib import Path

import dagster as dg

from flatfiles_assets.defs.instance import open_instance
from flatfiles_assets.defs.keys import DUCKDB_WRITER_POOL
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

RECORDED_RUN_ID = "7f1d3c52-6f0e-4c0b-9d0a-0a2b6a1c9e55"
DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-02-01")
RANGE = dg.BackfillPolicy.single_run()


@dg.asset(partitions_def=DAYS, backfill_policy=RANGE, key_prefix="raw", code_version="7")
def bars(context: dg.AssetExecutionContext) -> None:
    for key in context.partition_keys:
        context.add_asset_metadata({"rows": int(key[-2:])}, partition_key=key)


@dg.asset(
    partitions_def=DAYS, backfill_policy=RANGE, deps=[bars], key_prefix="market", pool=DUCKDB_WRITER_POOL
)
def prices(context: dg.AssetExecutionContext) -> None:
    if "wait" in context.run.tags:
        Path(context.run.tags["wait"]).touch()
        time.sleep(PATIENCE_SECONDS)


@dg.asset_check(asset=bars)
def bars_have_rows() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"rows": 1})


@dg.asset(partitions_def=DAYS, backfill_policy=RANGE, deps=[bars], key_prefix="market")
def half_loaded(context: dg.AssetExecutionContext) -> None:
    """Keep the first half of the range, then fail, as a range with an unreadable day does."""
    keys = context.partition_keys
    for key in keys[: len(keys) // 2]:
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=key))
    raise dg.Failure(description="the second half is not published")


DEFINITIONS = dg.Definitions(assets=[bars, prices, half_loaded], asset_checks=[bars_have_rows])
JOB = dg.define_asset_job("range_job", [bars, prices, half_loaded]).resolve(
    asset_graph=DEFINITIONS.resolve_asset_graph()
)


def run_range(
    instance: dg.DagsterInstance, run_id: str, first: str, last: str, *, wait: str | None = None
) -> dg.ExecuteInProcessResult:
    return JOB.execute_in_process(
        instance=instance,
        run_id=run_id,
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
            **({"wait": wait} if wait else {}),
        },
    )


if __name__ == "__main__":
    home, run_id, *rest = sys.argv[1:]
    wait = rest[1] if rest[:1] == ["--wait"] else None
    with open_instance(home) as instance:
        run_range(instance, run_id, "2024-01-03", "2024-01-31", wait=wait)

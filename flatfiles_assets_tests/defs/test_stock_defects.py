"""Each defect of the stock IO manager, shown on it, and shown to be absent from ours.

Every scenario runs on both; it returns what was observed, and the test knows what the stock one
does wrong and what is right. If a later version of the stock one mends a defect, its line fails
and can go.
"""

from __future__ import annotations

import datetime as dt
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import dagster as dg
import duckdb
import pandas as pd
import pytest
from dagster_duckdb_pandas import DuckDBPandasIOManager

from flatfiles_assets.defs.io_manager import WarehouseIOManager
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-10")
KEY = ["lab", "prices"]

MANAGERS = {"stock": DuckDBPandasIOManager, "ours": WarehouseIOManager}


class Lab:
    """One partitioned asset whose frames the test chooses, under one of the two IO managers."""

    def __init__(self, manager: str, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self.path = path
        self.frame = pd.DataFrame()
        self.instance = dg.DagsterInstance.ephemeral()

        @dg.asset(
            key=KEY,
            partitions_def=DAYS,
            metadata={"partition_expr": "trade_date"},
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def prices() -> pd.DataFrame:
            return self.frame

        self.definitions = dg.Definitions(
            [prices], resources={"io_manager": MANAGERS[manager](database=str(path))}
        )

    def store(self, first: str, frame: pd.DataFrame, last: str | None = None) -> dg.ExecuteInProcessResult:
        self.frame = frame
        job = self.definitions.resolve_implicit_global_asset_job_def()
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last or first,
        }
        return job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)

    def load(self, partition: str) -> pd.DataFrame:
        frame = self.definitions.load_asset_value(
            KEY, partition_key=partition, python_type=pd.DataFrame, instance=self.instance
        )
        assert isinstance(frame, pd.DataFrame)
        return frame

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(self.path, read_only=True) as connection:
            return connection.sql(sql).fetchall()


def prices(*keys: str, **columns: object) -> pd.DataFrame:
    """One row per key, dated by it, with an ask above the bid."""
    dates = [dt.date.fromisoformat(key) for key in keys]
    return pd.DataFrame({"trade_date": dates, "bid": 1.0, "ask": 2.0, **columns})


def rows_left_after_a_failing_insert(lab: Lab) -> object:
    lab.store("2024-01-02", prices("2024-01-02"))
    assert not lab.store("2024-01-02", prices("2024-01-02", ask="not a number")).success
    gc.collect()
    return lab.query("SELECT count(*) FROM lab.prices")


def bid_and_ask_of_a_reordered_frame(lab: Lab) -> object:
    lab.store("2024-01-02", prices("2024-01-02"))
    lab.store("2024-01-03", prices("2024-01-03")[["trade_date", "ask", "bid"]])
    return lab.query("SELECT bid, ask FROM lab.prices WHERE trade_date = DATE '2024-01-03'")


def another_process_after_an_error(lab: Lab) -> object:
    """Whether another process can write while the error is still looked at."""
    lab.store("2024-01-02", prices("2024-01-02"))
    result = lab.store("2024-01-02", prices("2024-01-02", ask="not a number"))
    assert not result.success
    script = f"import duckdb; duckdb.connect({str(lab.path)!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    return "opened" if done.returncode == 0 else "Could not set lock" in done.stderr and "locked out"


def load_beside_another_reader(lab: Lab) -> object:
    """Whether a value can be loaded from a file that another process reads."""
    lab.store("2024-01-02", prices("2024-01-02"))
    gc.collect()
    script = (
        f"import duckdb as d; c = d.connect({str(lab.path)!r}, read_only=True); print(flush=True); input()"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdout.readline()
    try:
        # The stock one would try again for minutes.
        with mock.patch("time.sleep"):
            return len(lab.load("2024-01-02"))
    except duckdb.IOException as error:
        return "Could not set lock" in str(error) and "locked out"
    finally:
        reader.communicate("\n", timeout=PATIENCE_SECONDS)


def row_counts_of_a_range_run(lab: Lab) -> object:
    frame = prices("2024-01-02", "2024-01-02", "2024-01-03", "2024-01-03", "2024-01-03")
    result = lab.store("2024-01-02", frame, last="2024-01-03")
    counts = {}
    for event in result.get_asset_materialization_events():
        metadata = event.materialization.metadata
        count = metadata.get("dagster/partition_row_count") or metadata["dagster/row_count"]
        counts[event.partition] = count.value
    return counts


def what_is_said_of_an_emptied_partition(lab: Lab) -> object:
    lab.store("2024-01-02", prices("2024-01-02"))
    result = lab.store("2024-01-02", prices("2024-01-02").iloc[:0])
    assert lab.query("SELECT count(*) FROM lab.prices") == [(0,)]
    records = lab.instance.all_logs(result.run_id)
    return any("now has no rows for 2024-01-02" in record.message for record in records)


def rows_of_a_day_by_timestamps_with_a_zone(lab: Lab) -> object:
    """The evening of 2 January in New York is 3 January in UTC."""
    evening = pd.Timestamp("2024-01-02 20:00", tz="America/New_York")
    lab.store("2024-01-02", pd.DataFrame({"trade_date": [evening], "bid": [1.0]}))
    return len(lab.load("2024-01-02"))


DEFECTS: dict[str, tuple[Callable[[Lab], object], object, object]] = {
    "a failing insert empties the day": (rows_left_after_a_failing_insert, [(0,)], [(1,)]),
    "a reordered frame swaps columns": (bid_and_ask_of_a_reordered_frame, [(2.0, 1.0)], [(1.0, 2.0)]),
    "the file stays open after an error": (another_process_after_an_error, "locked out", "opened"),
    "a load opens the file for writing": (load_beside_another_reader, "locked out", 1),
    "a range run stamps its total on every day": (
        row_counts_of_a_range_run,
        {"2024-01-02": 5, "2024-01-03": 5},
        {"2024-01-02": 2, "2024-01-03": 3},
    ),
    "an empty frame empties the day without a word": (what_is_said_of_an_emptied_partition, False, True),
    "times with a zone are compared in another": (rows_of_a_day_by_timestamps_with_a_zone, 0, 1),
}


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize("defect", DEFECTS)
def test_defect(defect: str, manager: str, path: Path):
    scenario, observed_on_stock, right = DEFECTS[defect]
    assert scenario(Lab(manager, path)) == (observed_on_stock if manager == "stock" else right)

"""Features as partitions: the same alone and in a range, and each session fails for itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from flatfiles_assets.algorithms import plots
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import algorithm_key
from flatfiles_assets.defs.runs import RangeRun, run_ranges
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests.market_warehouse import load_bars, load_reference, load_securities, sessions
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

MARKET = SyntheticMarket(40)
DAYS = [day.isoformat() for day in sessions("2024-02-07", "2024-02-15")]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with prices and corporate actions, to be copied."""
    path = tmp_path_factory.mktemp("loaded") / "warehouse.duckdb"
    load_bars(Warehouse(path), MARKET, sessions("2022-02-01", "2024-02-15"))
    load_reference(Warehouse(path), MARKET)
    load_securities(Warehouse(path))
    return path


@pytest.fixture
def warehouse(loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path))
    path = tmp_path / "warehouse" / "warehouse.duckdb"
    path.parent.mkdir()
    shutil.copy(loaded, path)
    return Warehouse(path, lock_timeout_seconds=PATIENCE_SECONDS)


def run(warehouse: Warehouse, algorithm: str, partitions: list[str], **config: str) -> list[RangeRun]:
    home = warehouse.path.parents[1] / "dagster_home"
    return list(run_ranges(build_defs(), algorithm, partitions, home=home, op_config=config))


def stored(warehouse: Warehouse, algorithm: str) -> pd.DataFrame:
    return warehouse.reader().table(f"algorithm.{algorithm}").df()


def figures(warehouse: Warehouse, algorithm: str, partition: str) -> dict:
    with open_instance(warehouse.path.parents[1] / "dagster_home") as instance:
        (record,) = instance.fetch_materializations(
            dg.AssetRecordsFilter(algorithm_key(algorithm), asset_partitions=[partition]), limit=1
        ).records
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_a_partition_computed_alone_equals_the_same_partition_of_a_range_run(warehouse, algorithm):
    """The range spans a 4-for-1 split of NVDA, so its look-back begins in other terms."""
    (ranged,) = run(warehouse, algorithm, DAYS)
    assert ranged.succeeded, ranged.message
    in_range = stored(warehouse, algorithm)
    assert sorted(in_range["trade_date"].dt.date.astype(str).unique()) == DAYS

    alone = [DAYS[-1]]
    with warehouse.writer("test") as transaction:
        transaction.execute(f"DELETE FROM algorithm.{algorithm} WHERE trade_date = '{alone[0]}'")
    (single,) = run(warehouse, algorithm, alone)
    assert single.succeeded, single.message
    again = stored(warehouse, algorithm)
    pd.testing.assert_frame_equal(again, in_range, rtol=1e-12, atol=1e-12)
    assert (again["adjustment"] == "splits").all()
    for column in again.columns.drop(["trade_date", "filled_sessions"], errors="ignore"):
        assert again[column].notna().any(), column


def test_sessions_without_prices_fail_alone_and_say_so(warehouse):
    with warehouse.writer("test") as transaction:
        transaction.execute(f"DELETE FROM market.stocks_daily WHERE trade_date = '{DAYS[2]}'")
    (result,) = run(warehouse, "momentum", DAYS)

    assert not result.succeeded
    lines = [line for line in result.message.splitlines() if line.startswith("2024")]
    assert len(lines) == 1
    assert lines[0].startswith(f"{DAYS[2]}: [no_prices]")
    assert "market/daily_prices" in lines[0]
    with open_instance(warehouse.path.parents[1] / "dagster_home") as instance:
        done = instance.get_materialized_partitions(algorithm_key("momentum"))
    assert done == set(DAYS) - {DAYS[2]}
    assert set(stored(warehouse, "momentum")["trade_date"].dt.date.astype(str)) == done


def test_each_partition_has_its_own_figures_and_the_last_a_picture(warehouse):
    for algorithm in ALGORITHMS:
        run(warehouse, algorithm, DAYS[:3])
        rows = stored(warehouse, algorithm)
        for day in DAYS[:3]:
            shown = figures(warehouse, algorithm, day)
            assert shown["dagster/partition_row_count"] == (rows["trade_date"] == day).sum()
            assert (shown["adjustment"], shown["lookback_sessions_missing"]) == ("splits", 0)
            assert ("picture" in shown) == (day == DAYS[2])
        assert shown["picture"].startswith("![")
    shown = figures(warehouse, "pairs_trading", DAYS[2])
    rows = stored(warehouse, "pairs_trading").query("trade_date == @pd.Timestamp(@DAYS[2])")
    assert shown["candidates"] == shown["dagster/partition_row_count"]
    momentum = figures(warehouse, "momentum", DAYS[0])
    of_day = stored(warehouse, "momentum").query("trade_date == @pd.Timestamp(@DAYS[0])")
    best = of_day.sort_values("momentum_rank").iloc[0]["ticker"]
    assert momentum["top"].split(", ")[0] == best
    assert momentum["universe"] == of_day["momentum_rank"].notna().sum()


def test_the_adjustment_is_chosen_by_configuration(warehouse):
    (result,) = run(warehouse, "mean_reversion", DAYS[3:4], adjust="none")
    assert result.succeeded
    unadjusted = stored(warehouse, "mean_reversion").set_index("ticker")
    assert set(unadjusted["adjustment"]) == {"none"}
    assert unadjusted.loc["NVDA", "reversal_1"] > 0.7, "2024-02-12, unadjusted 4 for 1"
    run(warehouse, "mean_reversion", DAYS[3:4])
    adjusted = stored(warehouse, "mean_reversion").set_index("ticker")
    assert abs(adjusted.loc["NVDA", "reversal_1"]) < 0.2
    assert np.isclose(adjusted.loc["KO", "reversal_1"], unadjusted.loc["KO", "reversal_1"])


def test_without_the_table_of_splits_nothing_is_computed_in_its_name(warehouse):
    with warehouse.writer("test") as transaction:
        transaction.execute("DROP TABLE reference.splits")
    (result,) = run(warehouse, "momentum", DAYS[:1])
    assert not result.succeeded
    assert "reference/splits" in result.message
    assert "algorithm.momentum" not in warehouse.reader().tables()


def test_no_picture_keeps_a_stored_session_from_being_recorded(warehouse, monkeypatch):
    """A ticker that matplotlib reads as a formula once lost the record of its session."""
    best = "SELECT ticker FROM market.stocks_daily GROUP BY 1 ORDER BY max(close) / min(close) DESC LIMIT 1"
    ((ticker,),) = warehouse.reader().sql(best).fetchall()
    with warehouse.writer("test") as transaction:
        transaction.execute(
            "UPDATE market.stocks_daily SET ticker = ? WHERE ticker = ?", [r"$\\foo$", ticker]
        )
    (drawn,) = run(warehouse, "momentum", DAYS[:1])
    monkeypatch.setattr(plots, "png_markdown", lambda *_: 1 / 0)
    (undrawn,) = run(warehouse, "momentum", DAYS[1:2])

    assert drawn.succeeded, drawn.message
    assert undrawn.succeeded, undrawn.message
    assert figures(warehouse, "momentum", DAYS[0])["picture"].startswith("![")
    assert "picture" not in figures(warehouse, "momentum", DAYS[1])
    with open_instance(warehouse.path.parents[1] / "dagster_home") as instance:
        assert instance.get_materialized_partitions(algorithm_key("momentum")) == set(DAYS[:2])


def test_the_universe_is_an_asset_of_its_own_with_figures_and_checks(warehouse):
    (result,) = run(warehouse, "universe", DAYS[:3])
    assert result.succeeded, result.message
    rows = stored(warehouse, "universe")
    shown = figures(warehouse, "universe", DAYS[2])
    of_day = rows[rows["trade_date"] == DAYS[2]]
    assert shown["dagster/partition_row_count"] == len(of_day)
    assert shown["ranked"] == of_day["rank"].notna().sum()
    assert shown["most_traded"].split(", ")[0] == of_day.sort_values("rank").iloc[0]["ticker"]
    with open_instance(warehouse.path.parents[1] / "dagster_home") as instance:
        for name in ("schema", "no_duplicates"):
            check = dg.AssetCheckKey(algorithm_key("universe"), name)
            (record,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
            assert record.status.value == "SUCCEEDED", name

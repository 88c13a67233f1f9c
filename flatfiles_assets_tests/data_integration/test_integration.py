"""The researcher's door: what comes back for which request, and what is said when it cannot."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flatfiles_assets import DataIntegration, open_warehouse
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.data_integration import (
    AdjustmentWarning,
    CoverageWarning,
    InsufficientCoverage,
    NoData,
    ReferenceMissing,
    UnknownSymbol,
)
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.features import update_features
from flatfiles_assets_tests.market_warehouse import load_bars, market_warehouse, sessions

MARKET = SyntheticMarket(40)
QUARTER = ("2024-01-02", "2024-03-28")
N_SESSIONS = len(sessions(*QUARTER))
SYMBOLS = ["NVDA", "KO", "PEP", "AAPL"]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.duckdb"
    return market_warehouse(path, MARKET, "2022-12-01", QUARTER[1])


def integration(warehouse: Warehouse, folder: Path) -> DataIntegration:
    return DataIntegration(warehouse, load_settings(data_dir=folder, api_key=None))


@pytest.fixture
def door(warehouse: Warehouse, tmp_path: Path) -> DataIntegration:
    return integration(warehouse, tmp_path)


def get(door: DataIntegration, algorithm: str = "momentum", symbols=SYMBOLS, dates=QUARTER, **options):
    return door.get_data_for_algorithm(algorithm, symbols, *dates, **{"ensure": False, **options})


@pytest.mark.parametrize(
    ("algorithm", "keys"),
    [
        ("momentum", {"price_data", "returns_data", "volume_data", "momentum_data", "metadata"}),
        ("mean_reversion", {"price_data", "returns_data", "zscore_data", "indicators_data", "metadata"}),
        (
            "pairs_trading",
            {
                "price_data",
                "returns_data",
                "correlation_data",
                "cointegration_data",
                "spread_data",
                "zscore_data",
                "metadata",
            },
        ),
    ],
)
def test_each_algorithm_has_its_keys_and_wide_frames_are_sessions_by_symbols(door, algorithm, keys):
    data = get(door, algorithm)

    assert isinstance(data, dict)
    assert set(data) == keys
    for name in keys & {"price_data", "returns_data", "volume_data"}:
        frame = data[name]
        assert isinstance(frame.index, pd.DatetimeIndex)
        assert frame.index.name == "session"
        assert list(frame.index.date) == sessions(*QUARTER)
        assert list(frame.columns) == SYMBOLS
        assert (frame.dtypes == np.float64).all()
        assert frame.notna().all(axis=None)


def test_dates_may_be_text_dates_or_datetimes(door):
    as_dates = tuple(dt.date.fromisoformat(day) for day in QUARTER)
    as_datetimes = tuple(
        dt.datetime(day.year, day.month, day.day, 16, tzinfo=dt.timezone.utc) for day in as_dates
    )
    expected = get(door)["price_data"]
    for dates in (as_dates, as_datetimes):
        pd.testing.assert_frame_equal(get(door, dates=dates)["price_data"], expected)


def test_long_frames_have_every_feature_of_the_stored_dataset_and_the_same_values(warehouse, door):
    """Features of a symbol do not depend on who else is asked for, but for the ranks among them."""
    day = sessions(*QUARTER)[-1]
    for name, key in (("momentum", "momentum_data"), ("mean_reversion", "indicators_data")):
        (stored,) = update_features(ALGORITHMS[name], [day], warehouse)
        stored = stored.rows.to_pandas().set_index("ticker")
        asked = get(door, name)[key]
        asked = asked[asked["session"] == pd.Timestamp(day)].set_index("symbol")
        assert list(asked["security_id"]) == list(stored.loc[asked.index, "security_id"])
        factors = {"close_published", "price_factor", "volume_factor"}
        assert set(asked.columns) == set(stored.columns) - {"trade_date"} | {"session"} | factors
        for column in set(stored.columns) - {
            "trade_date",
            "momentum_rank",
            "momentum_percentile",
            "adjustment",
            "security_id",
        }:
            assert asked[column].notna().any(), column
            np.testing.assert_allclose(
                asked[column].to_numpy(float), stored.loc[asked.index, column].to_numpy(float), rtol=1e-12
            )


def test_zscores_of_mean_reversion_are_the_long_ones_made_wide(door):
    data = get(door, "mean_reversion")
    long = data["indicators_data"].pivot(index="session", columns="symbol", values="zscore_20")
    pd.testing.assert_frame_equal(data["zscore_data"], long[SYMBOLS], check_names=False)


def test_a_split_leaves_no_jump_in_adjusted_prices_and_the_published_ones_stay(door):
    """NVDA splits 4 for 1 on 2024-02-12; the last price is as published under either adjustment."""
    published = get(door, adjust="none")
    adjusted = get(door, adjust="splits")
    before, after = pd.Timestamp("2024-02-09"), pd.Timestamp("2024-02-12")

    assert published["returns_data"].loc[after, "NVDA"] < -0.7
    assert abs(adjusted["returns_data"].loc[after, "NVDA"]) < 0.15
    ratio = published["price_data"]["NVDA"] / adjusted["price_data"]["NVDA"]
    assert ratio[:before].to_numpy() == pytest.approx(4)
    assert ratio[after:].to_numpy() == pytest.approx(1)
    volumes = published["volume_data"]["NVDA"] / adjusted["volume_data"]["NVDA"]
    assert volumes[:before].to_numpy() == pytest.approx(0.25)
    assert (adjusted["metadata"]["adjustment"], published["metadata"]["adjustment"]) == ("splits", "none")


def test_total_return_counts_dividends(door):
    ex_dates = [
        record["ex_dividend_date"]
        for record in MARKET.dividends(*sessions(*QUARTER)[:: N_SESSIONS - 1])
        if record["ticker"] == "KO"
    ]
    difference = (get(door, adjust="total_return")["returns_data"] - get(door)["returns_data"])["KO"]
    changed = difference[difference.abs() > 1e-9]
    assert ex_dates
    assert [f"{day:%Y-%m-%d}" for day in changed.index] == ex_dates
    assert changed.to_numpy() == pytest.approx(0.005, rel=0.1)


def test_returns_are_those_of_the_prices_and_the_first_looks_back(door):
    data = get(door)
    expected = data["price_data"].pct_change(fill_method=None)
    pd.testing.assert_frame_equal(data["returns_data"].iloc[1:], expected.iloc[1:])
    assert data["returns_data"].iloc[0].notna().all()


def test_pairs_are_tested_over_the_range_both_ways(door):
    from statsmodels.tsa.stattools import coint

    data = get(door, "pairs_trading")
    pairs = data["cointegration_data"]
    assert len(pairs) == len(SYMBOLS) * (len(SYMBOLS) - 1)
    row = pairs.set_index(["symbol_y", "symbol_x"]).loc[("PEP", "KO")]
    statistic, p_value, _ = coint(data["price_data"]["PEP"], data["price_data"]["KO"])
    assert row["adf_statistic"] == pytest.approx(statistic, abs=1e-8)
    assert row["p_value"] == pytest.approx(p_value, abs=1e-8)
    assert row["p_value"] < 0.01, "the market's planted pair"
    pd.testing.assert_frame_equal(data["correlation_data"], data["returns_data"].corr(), check_names=False)
    assert data["spread_data"].columns.names == ["symbol_y", "symbol_x"]
    assert ("PEP", "KO") in data["zscore_data"].columns


def test_only_pairs_above_a_correlation_can_be_asked_for(door):
    pairs = get(door, "pairs_trading", min_correlation=0.6)["cointegration_data"]
    assert set(zip(pairs["symbol_y"], pairs["symbol_x"], strict=True)) == {("KO", "PEP"), ("PEP", "KO")}


@pytest.mark.parametrize(
    ("algorithm", "keys"),
    [
        ("momentum", ["returns_data", "volume_data", "momentum_data"]),
        ("mean_reversion", ["zscore_data", "indicators_data"]),
        ("pairs_trading", ["zscore_data"]),
    ],
)
def test_no_value_depends_on_what_comes_after_its_session(door, algorithm, keys):
    """The longer range ends after a split of NVDA that the shorter one does not know."""
    early = get(door, algorithm, dates=(QUARTER[0], "2024-02-09"), terms="own")
    late = get(door, algorithm, terms="own")
    for key in keys:
        short, long = early[key], late[key]
        if "session" in long.columns.names or "session" in long.columns:
            long = long[long["session"] <= "2024-02-09"].reset_index(drop=True)
        else:
            long = long.loc[:"2024-02-09"]
        pd.testing.assert_frame_equal(short, long, rtol=1e-9, check_exact=False)


@pytest.mark.parametrize(("form", "kind"), [("polars", pl.DataFrame), ("arrow", pa.Table)])
def test_the_same_data_come_as_polars_and_arrow(door, form, kind):
    expected, data = get(door, "pairs_trading"), get(door, "pairs_trading", as_=form)
    assert all(isinstance(value, kind) for key, value in data.items() if key != "metadata")
    wide = data["price_data"].to_pandas()
    assert list(wide.columns) == ["session", *SYMBOLS]
    np.testing.assert_array_equal(wide[SYMBOLS].to_numpy(), expected["price_data"].to_numpy())
    assert "PEP/KO" in data["spread_data"].to_pandas().columns
    long = data["cointegration_data"].to_pandas()
    assert list(long["symbol_y"]) == list(expected["cointegration_data"]["symbol_y"])


def test_an_unknown_symbol_is_an_error_with_similar_ones(door):
    with pytest.raises(UnknownSymbol, match=r"'aapl' \(like AAPL\?\)"):
        get(door, symbols=["KO", "aapl"])
    with pytest.raises(UnknownSymbol, match=r"'NVDIA' \(like NVDA"):
        get(door, symbols=["NVDIA"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": "momentm"}, "did you mean 'momentum'.*pairs_trading, momentum, mean_reversion"),
        ({"dates": ("2024-03-28", "2024-01-02")}, "reversed"),
        ({"dates": ("2024-01-06", "2024-01-07")}, "no exchange session"),
        ({"dates": ("02.01.2024", "2024-01-07")}, "YYYY-MM-DD"),
        ({"symbols": []}, "no symbols"),
        ({"symbols": ["AAPL", ""]}, "'' is not a symbol"),
        ({"as_": "numpy"}, "pandas, polars, arrow"),
        ({"adjust": "split"}, "did you mean 'splits'"),
        ({"min_coverage": 1.5}, "min_coverage"),
        ({"min_prise": 1.0}, "did you mean 'min_price'"),
        ({"algorithm": "pairs_trading", "min_observations": 3}, "22 <= min_observations"),
    ],
)
def test_an_unusable_argument_is_refused_with_the_usable_ones(door, change, message):
    with pytest.raises(InvalidArgument, match=message):
        get(door, **change)


def test_no_data_at_all_is_an_error_that_says_how_to_get_some(door, tmp_path):
    with pytest.raises(NoData, match=r"flatfiles backfill stocks_daily --start 2019-01-02"):
        get(door, dates=("2019-01-02", "2019-01-31"))
    empty = DataIntegration(tmp_path / "none.duckdb", load_settings(data_dir=tmp_path))
    with pytest.raises(NoData, match="AAPL"):
        get(empty, symbols=["AAPL"])
    with pytest.raises(NoData, match="IPOX"):
        get(door, symbols=["IPOX"], dates=("2024-01-02", "2024-01-31"))


def test_partial_coverage_is_data_and_a_warning_and_min_coverage_decides(door):
    symbols = ["AAPL", "IPOX", "DLST"]
    with pytest.warns(
        CoverageWarning, match="1 of 3 symbols complete; incomplete: IPOX 23%, DLST 54%"
    ) as warned:
        data = get(door, symbols=symbols)
    assert warned[0].filename == __file__
    assert data["price_data"]["IPOX"].isna().sum() == N_SESSIONS - 14
    assert data["metadata"]["coverage"]["AAPL"] == 1.0
    with pytest.raises(InsufficientCoverage, match="IPOX 23"):
        get(door, symbols=symbols, min_coverage=0.9)
    with pytest.warns(CoverageWarning):
        get(door, symbols=symbols, min_coverage=0.2)


@pytest.mark.filterwarnings("ignore::flatfiles_assets.data_integration.CoverageWarning")
def test_what_is_not_there_is_nan_in_pandas_and_null_in_polars_and_arrow(door):
    symbols = ["AAPL", "IPOX"]
    frames = {form: get(door, symbols=symbols, as_=form) for form in ("pandas", "polars", "arrow")}
    for key in ("price_data", "returns_data", "volume_data", "momentum_data"):
        pandas, polars, arrow = (frames[form][key] for form in ("pandas", "polars", "arrow"))
        for column in set(arrow.column_names) - {"session"}:
            missing = int(pandas[column].isna().sum())
            assert polars[column].null_count() == arrow[column].null_count == missing, (key, column)
            if polars[column].dtype == pl.Float64:
                assert not polars[column].is_nan().any(), (key, column)
        assert sum(column.null_count for column in arrow.columns), key


def test_a_symbol_without_a_bar_in_the_range_is_named_not_found(door):
    with pytest.warns(CoverageWarning):
        data = get(door, symbols=["AAPL", "IPOX"], dates=("2024-01-02", "2024-01-31"))
    assert data["metadata"]["symbols_not_found"] == ["IPOX"]
    assert data["price_data"]["IPOX"].isna().all()


def test_missing_sessions_are_named(tmp_path):
    days = sessions(*QUARTER)
    lacking = days[10:12]
    warehouse = market_warehouse(tmp_path / "w.duckdb", MARKET, *QUARTER)
    with warehouse.writer("test") as transaction:
        transaction.execute("DELETE FROM market.stocks_daily WHERE trade_date IN (?, ?)", lacking)
    with pytest.warns(CoverageWarning, match=f"2 sessions without any prices: {lacking[0]}, {lacking[1]}"):
        data = get(integration(warehouse, tmp_path))
    assert data["metadata"]["missing_sessions"] == lacking
    assert data["price_data"].loc[str(lacking[0])].isna().all()


def test_without_splits_in_the_warehouse_prices_are_unadjusted_and_it_is_said(tmp_path):
    warehouse = Warehouse(tmp_path / "w.duckdb")
    load_bars(warehouse, MARKET, sessions("2024-01-02", "2024-01-31"))
    door = integration(warehouse, tmp_path)
    dates = ("2024-01-02", "2024-01-31")
    with pytest.warns(AdjustmentWarning, match="reference/splits"):
        assert get(door, dates=dates)["metadata"]["adjustment"] == "none"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get(door, dates=dates, adjust="none")
    with pytest.raises(ReferenceMissing, match="adjust='none'"):
        get(door, dates=dates, adjust="splits")


def test_the_result_prints_as_a_summary(door):
    text = repr(get(door))
    assert text.startswith("momentum: 4 symbols, 2024-01-02 to 2024-03-28 (61 sessions), adjustment splits")
    assert "price_data     DataFrame 61 × 4" in text
    assert "4 of 4 symbols complete" in text


def test_metadata_say_where_prices_come_from(door):
    metadata = get(door)["metadata"]
    assert metadata["source_mix"] == {"flat_files": 4 * (N_SESSIONS + 262)}
    assert (metadata["lookback_sessions"], metadata["lookback_missing_sessions"]) == (262, 0)


def test_prices_come_long_in_the_order_asked_for(door):
    prices = door.load_prices(["KO", "AAPL"], *QUARTER, ensure=False)
    assert list(prices.columns) == [
        "session",
        "symbol",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "adjustment",
        "close_published",
        "price_factor",
        "volume_factor",
    ]
    assert list(prices["symbol"][:2]) == ["KO", "AAPL"]
    assert (prices["high"] >= prices[["open", "close", "low"]].max(axis=1)).all()
    wide = prices.pivot(index="session", columns="symbol", values="close")[["KO", "AAPL"]]
    expected = get(door, symbols=["KO", "AAPL"])["price_data"]
    pd.testing.assert_frame_equal(wide, expected, check_names=False)


def test_symbols_and_coverage_can_be_looked_up(door):
    assert "IPOX" not in door.available_symbols("2024-01-02", "2024-01-31")
    assert {"IPOX", "NA", "TRUE", "BRK.B"} <= set(door.available_symbols())
    coverage = door.coverage(["IPOX", "AAPL", "UNHEARD"], *QUARTER)
    assert list(coverage.index) == ["IPOX", "AAPL", "UNHEARD"]
    assert coverage.loc["IPOX", "first_session"] == pd.Timestamp("2024-03-11")
    assert list(coverage["bars"]) == [14, N_SESSIONS, 0]
    assert pd.isna(coverage.loc["UNHEARD", "last_session"])


def test_alphalens_takes_the_frames_as_they_are(door):
    from alphalens.utils import get_clean_factor_and_forward_returns

    symbols = [ticker for ticker in MARKET.listed_tickers(sessions(*QUARTER)[0]) if ticker != "DLST"][:20]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        data = get(door, symbols=symbols)
    factor = data["momentum_data"].set_index(["session", "symbol"])["return_21"].dropna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clean = get_clean_factor_and_forward_returns(factor, data["price_data"], quantiles=4, periods=(1, 5))
    assert len(clean) > 0.8 * len(factor)


def _printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_neither_pandas_nor_dagster():
    heavy = ("pandas", "dagster", "duckdb")
    assert (
        _printed(f"import sys, flatfiles_assets; print([m for m in {heavy} if m in sys.modules])") == "[]\n"
    )


def test_the_package_offers_the_door_without_dagster_and_the_warehouse(warehouse):
    code = "import sys; from flatfiles_assets import DataIntegration; print('dagster' in sys.modules)"
    assert _printed(code) == "False\n"
    assert len(open_warehouse(warehouse.path).sql("SELECT * FROM market.stocks_daily LIMIT 1")) == 1

"""What a chain's prices imply is what they were made with, in the shares of their own session."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flatfiles_assets.data_integration import DataIntegration, NoData
from flatfiles_assets.data_integration.chain_summary import chain_summary
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.tables import get_table
from flatfiles_assets_tests.market_warehouse import market_warehouse

MARKET = SyntheticMarket(40)
DATES = ("2024-02-06", "2024-02-14")  # NVDA splits 4:1 on 2024-02-12
BEFORE, AFTER = dt.date(2024, 2, 8), dt.date(2024, 2, 13)
OPTIONS_DAILY = get_table(("market", "options_daily"))


def option_bars(day: dt.date) -> pa.Table:
    bars = MARKET.option_day_bars(day, ["NVDA"]).to_pandas()
    adjusted = bars.iloc[:1].assign(ticker="O:NVDA1240315C00500000")
    bars = pd.concat([bars, adjusted]) if day == BEFORE else bars
    bars["window_start"] = dt.datetime.combine(day, dt.time(5), dt.timezone.utc)
    bars.insert(0, "trade_date", day)
    return pa.Table.from_pandas(bars[list(OPTIONS_DAILY.column_names)], preserve_index=False).cast(
        OPTIONS_DAILY.arrow_schema
    )


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    found = market_warehouse(tmp_path_factory.mktemp("w") / "w.duckdb", MARKET, *DATES)
    with found.writer("test") as transaction:
        table = pa.concat_tables([option_bars(BEFORE), option_bars(AFTER)])
        transaction.replace(OPTIONS_DAILY, table, {"trade_date": [BEFORE, AFTER]})
    return found


@pytest.fixture
def door(warehouse: Warehouse, tmp_path: Path) -> DataIntegration:
    return DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))


@pytest.mark.parametrize("day", [BEFORE, AFTER])
def test_the_volatility_that_made_the_prices_comes_back_before_and_after_a_split(door, day):
    chain = door.option_chain("NVDA", day, volatility=True, rate=0.03, as_="polars")
    priced = chain.filter(pl.col("price") > 0.01, pl.col("volatility").is_not_null())
    # Prices are in whole cents: half a cent over vega is how far they can be away.
    sharp = priced.filter(pl.col("vega") > 1)
    assert sharp.height > 20
    assert ((sharp["volatility"] - 0.32).abs() * sharp["vega"]).max() < 0.0052
    assert abs(sharp["volatility"].median() - 0.32) < 2e-4
    assert priced["moneyness"].is_between(0.75, 1.25).all()


def test_no_volatility_without_its_reason_and_none_of_an_adjusted_contract(door):
    chain = door.option_chain("NVDA", BEFORE, volatility=True, rate=0.03, as_="polars")
    assert (chain["volatility"].is_null() == chain["volatility_reason"].is_not_null()).all()
    (row,) = chain.filter(pl.col("root") == "NVDA1").to_dicts()
    assert row["deliverable"] is None
    assert "corporate action" in row["volatility_reason"]
    assert chain.filter(pl.col("root") == "NVDA")["deliverable"].unique().to_list() == [100.0]


def test_strikes_are_chosen_by_the_close_of_the_session(door):
    near = door.option_chain("NVDA", AFTER, moneyness=(0.95, 1.05), as_="polars")
    ratio = near["strike"] / near["underlying_close"]
    assert near.height
    assert ratio.is_between(0.95, 1.05).all()


def test_a_rate_is_stated_or_the_request_refused(door, warehouse, tmp_path):
    with pytest.raises(InvalidArgument, match="FLATFILES_OPTION_RATE"):
        door.option_chain("NVDA", AFTER, volatility=True)
    with pytest.raises(InvalidArgument, match=r"0\.04"):
        door.option_chain("NVDA", AFTER, volatility=True, rate=4.0)
    stated = DataIntegration(warehouse, load_settings(data_dir=tmp_path, option_rate=0.03))
    by_setting = stated.option_chain("NVDA", AFTER, volatility=True)
    assert by_setting.equals(door.option_chain("NVDA", AFTER, volatility=True, rate=0.03))
    assert by_setting.attrs["metadata"]["rate"] == 0.03
    with pytest.raises(NoData):
        door.option_chain("KO", AFTER, moneyness=(0.9, 1.1))


def test_a_chain_in_one_line(door):
    found = door.option_summary("NVDA", AFTER, rate=0.03)
    assert found["atm_volatility_30"] == pytest.approx(0.32, abs=2e-3)
    assert found["atm_volatility_90"] == pytest.approx(0.32, abs=2e-3)
    assert found["skew_25_delta_30"] == pytest.approx(0.0, abs=2e-3)
    volumes = door.option_chain("NVDA", AFTER).groupby("option_type")["volume"].sum()
    assert found["put_call_ratio"] == volumes["P"] / volumes["C"]


def row(days: int, kind: str, moneyness: float, volatility: float, delta: float) -> dict:
    return {"days_to_expiry": days, "option_type": kind, "moneyness": moneyness, "volatility": volatility,
            "delta": delta, "volume": 1.0}  # fmt: skip


def test_figures_of_a_chain_are_interpolated_and_never_extrapolated():
    rows = [
        row(days, kind, moneyness, volatility + 0.01 * (days == 40), delta)
        for days in (20, 40)
        for kind, moneyness, volatility, delta in (
            ("P", 0.8, 0.5, -0.1), ("P", 0.9, 0.4, -0.4), ("C", 1.0, 0.3, 0.5), ("C", 1.2, 0.2, 0.0),
        )
    ]  # fmt: skip
    found = chain_summary(pl.DataFrame(rows))

    def at_30(volatility: float) -> float:
        return (((volatility**2 * 20 + (volatility + 0.01) ** 2 * 40) / 2) / 30) ** 0.5

    assert found["atm_volatility_30"] == pytest.approx(at_30(0.3))
    assert found["skew_25_delta_30"] == pytest.approx(at_30(0.45) - at_30(0.25))
    assert found["atm_volatility_90"] is None
    assert found["put_call_ratio"] == 1.0
    assert chain_summary(pl.DataFrame(rows).clear())["put_call_ratio"] is None

"""Options of the feed and of the directory are one kind of data at the researcher's door."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flatfiles_assets.data_integration import DataIntegration, NoData
from flatfiles_assets.data_integration.option_quotes import QUOTE_COLUMNS, read_option_quotes
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.directories.options_table import OPTIONS_SCHEMA
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.table import schema_from_arrow
from flatfiles_assets.warehouse.tables import get_table
from flatfiles_assets_tests.market_warehouse import market_warehouse, sessions

pytestmark = pytest.mark.slow

MARKET = SyntheticMarket(40)
DATES = ("2024-02-06", "2024-02-14")  # NVDA splits 4:1 on 2024-02-12
DAY = dt.date(2024, 2, 7)
EXPIRY = dt.date(2024, 2, 16)
OPTIONS_DAILY = get_table(("market", "options_daily"))


def bar(day: dt.date, ticker: str, last: float = 2.0) -> dict:
    start = dt.datetime.combine(day, dt.time(5), dt.timezone.utc)
    prices = {"open": 1.0, "close": last, "high": 3.0, "low": 0.5}
    named = {"trade_date": day, "ticker": ticker, "window_start": start}
    return {**named, **prices, "volume": 10.0, "transactions": 4}


def quote(day: dt.date, underlying: str, kind: str, strike: float, **values) -> dict:
    contract = {"underlying": underlying, "expiry": EXPIRY, "option_type": kind, "strike": strike}
    return dict.fromkeys(OPTIONS_SCHEMA.names) | contract | {"quote_date": day, **values}


BARS = [
    bar(DAY, "O:NVDA240216C00500000"),
    bar(DAY, "O:NVDA1240216C00500000", 7.0),
    bar(DAY, "O:NVDA240216P00500000"),
    bar(DAY, "O:NVDAX240216P00500000"),
    bar(DAY, "O:SPXW240216C04700000"),
    bar(DAY, "O:SPX240216C04700000"),
    bar(dt.date(2024, 2, 13), "O:NVDA240216C00125000"),
]
QUOTES = [
    quote(DAY, "NVDA", "P", 500.0, bid=1.9, ask=2.1, last=1.0, open_interest=50.0, implied_volatility=0.4),
    quote(DAY, "NVDA", "C", 500.0, bid=1.8, ask=2.2, contract="NVDA240216C00500000"),
    quote(DAY, "NVDA", "C", 505.0, bid=0.5, ask=0.7, volume=3.0),
    quote(DAY, "SPX", "C", 4700.0, bid=10.0),
    quote(DAY, "AAPL", "C", 180.0, bid=1.0),
]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    found = market_warehouse(tmp_path_factory.mktemp("w") / "w.duckdb", MARKET, *DATES)
    with found.writer("test") as transaction:
        table = pa.Table.from_pylist(BARS).select(OPTIONS_DAILY.column_names).cast(OPTIONS_DAILY.arrow_schema)
        transaction.replace(OPTIONS_DAILY, table, {"trade_date": [DAY, dt.date(2024, 2, 13)]})
        directory = pa.Table.from_pylist(QUOTES, schema=OPTIONS_SCHEMA)
        transaction.replace_all(schema_from_arrow(("market", "options_directory"), OPTIONS_SCHEMA), directory)
    return found


@pytest.fixture
def door(warehouse: Warehouse, tmp_path: Path) -> DataIntegration:
    return DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))


def test_a_chain_has_one_row_a_contract_whatever_it_comes_from(door):
    chain = door.option_chain("NVDA", DAY, as_="polars")
    shown = chain.select("option_type", "strike", "root", "last", "bid", "source").rows()
    assert shown == [
        ("C", 500.0, "NVDA", 2.0, 1.8, "both"),
        ("C", 500.0, "NVDA1", 7.0, None, "flat_files"),
        ("P", 500.0, "NVDA", 2.0, 1.9, "both"),  # the feed's last price counts
        ("C", 505.0, None, None, 0.5, "directory"),
    ]
    assert chain["open_interest"].to_list() == [None, None, 50.0, None]
    assert set(chain["days_to_expiry"]) == {9}
    (close,) = set(chain["underlying_close"])
    bars = MARKET.day_bars(DAY).to_pandas().set_index("ticker")
    assert close == pytest.approx(bars.loc["NVDA", "close"])


def test_series_of_an_index_are_told_apart_by_their_roots(door):
    chain = door.option_chain("SPX", "2024-02-07", as_="polars")
    # Which of the two the quote is of, nobody says.
    assert dict(chain.select("root", "bid").rows()) == {"SPX": None, "SPXW": None, None: 10.0}
    assert chain["underlying_close"].null_count() == chain.height


def test_parts_of_a_chain(door):
    assert set(door.option_chain("NVDA", DAY, option_type="P")["option_type"]) == {"P"}
    assert set(door.option_chain("NVDA", DAY, strikes=(501, 510))["strike"]) == {505.0}
    assert len(door.option_chain("NVDA", DAY, expiry="2024-02-16")) == 4
    assert len(door.option_chain("NVDA", DAY, expiry=["2024-02-23"])) == 0
    assert set(door.option_chain("NVDA", DAY, source="directory")["source"]) == {"directory"}


def test_what_is_not_there_is_said(door, tmp_path, warehouse):
    with pytest.raises(NoData, match="no options on KO on 2024-02-07"):
        door.option_chain("KO", DAY)
    with pytest.raises(InvalidArgument, match="flat_files"):
        door.option_chain("NVDA", DAY, source="feed")
    with pytest.raises(InvalidArgument, match="not a type of option"):
        door.option_chain("NVDA", DAY, option_type="call")
    empty = market_warehouse(tmp_path / "none.duckdb", MARKET, "2024-02-06", "2024-02-06")
    with pytest.raises(NoData, match="there are no options in the warehouse"):
        DataIntegration(empty, load_settings(data_dir=tmp_path, api_key=None)).option_chain("NVDA", DAY)


def test_both_tables_have_the_same_columns_and_types(warehouse):
    for source in ("flat_files", "directory", None):
        found = read_option_quotes(warehouse.reader(), ["NVDA"], DAY, DAY, source)
        assert dict(found.schema) == dict(QUOTE_COLUMNS)


def test_options_join_the_prices_of_their_session_in_the_results_terms(door):
    rows = door.create_unified_dataset(["NVDA", "KO"], *DATES, ("prices", "options"), ensure=False)
    days = sessions(*DATES)
    assert len(rows) == 2 * len(days) + 3  # four contracts on one session instead of one row
    before = rows[(rows["symbol"] == "NVDA") & (rows["session"] == pd.Timestamp(DAY))]
    assert len(before) == 4
    # The range ends after the split: strikes, prices and numbers of contracts are in new shares.
    assert before["strike"].tolist() == [125.0, 125.0, 125.0, 126.25]
    assert before["last"].tolist()[0] == 0.5
    assert before["options_volume"].tolist()[0] == 40.0
    assert before["close"].nunique() == 1
    after = rows[(rows["symbol"] == "NVDA") & (rows["session"] == pd.Timestamp("2024-02-13"))]
    assert after["strike"].tolist() == [125.0]
    assert rows[rows["symbol"] == "KO"]["strike"].isna().all()
    only = door.create_unified_dataset(["NVDA"], *DATES, "options", ensure=False, as_="polars")
    assert only.schema["expiry"] == pl.Date
    assert "close" not in only.columns

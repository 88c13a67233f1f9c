"""One long table of prices and of what was known of a company, never before it was known."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.data_integration import (
    CoverageWarning,
    DataIntegration,
    NoData,
    StatementWarning,
    UnknownSymbol,
)
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.errors import InvalidArgument, UnexpectedColumns
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.features import update_features
from flatfiles_assets.warehouse.table import schema_from_arrow
from flatfiles_assets_tests.market_warehouse import market_warehouse, sessions

pytestmark = pytest.mark.slow

MARKET = SyntheticMarket(40)
DATES = ("2024-01-02", "2024-03-28")
SYMBOLS = ["NVDA", "AAPL", "KO"]
STATEMENTS = MARKET.financials(2023, 2023, SYMBOLS)


def store(warehouse: Warehouse, name: str, rows: list[dict]) -> None:
    table = pa.Table.from_pylist(rows)
    with warehouse.writer("test") as transaction:
        transaction.execute(f"DROP TABLE IF EXISTS market.{name}")
        transaction.replace_all(schema_from_arrow(("market", name), table.schema), table)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return market_warehouse(tmp_path_factory.mktemp("w") / "w.duckdb", MARKET, *DATES)


@pytest.fixture
def door(warehouse: Warehouse, tmp_path: Path) -> DataIntegration:
    dated = [{**row, "filing_date": dt.date.fromisoformat(row["filing_date"])} for row in STATEMENTS]
    store(warehouse, "financials", dated)
    return DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))


def unified(door: DataIntegration, *data_types: str, **options):
    return door.create_unified_dataset(SYMBOLS, *DATES, data_types, ensure=False, **options)


def test_a_statement_counts_from_the_session_after_its_filing(door):
    rows = unified(door, "prices", "financials")
    assert len(rows) == 3 * len(sessions(*DATES))
    for symbol, group in rows.groupby("symbol"):
        filings = [row for row in STATEMENTS if row["ticker"] == symbol]
        for _, row in group.iterrows():
            known = [each for each in filings if pd.Timestamp(each["filing_date"]) < row["session"]]
            latest = max(known, key=lambda each: each["filing_date"])
            assert row["filing_date"] == pd.Timestamp(latest["filing_date"])
            assert row["revenues"] == latest["revenues"]
    filed = {each["filing_date"] for each in STATEMENTS}
    assert filed & {f"{day:%Y-%m-%d}" for day in rows["session"]}, "a filing on a session must occur"


def test_before_the_first_statement_there_is_none(door, warehouse):
    late = [{**STATEMENTS[0], "filing_date": "2024-02-15"}]
    store(warehouse, "financials", late)
    rows = unified(door, "financials")
    known = rows[rows["revenues"].notna()]
    assert set(known["symbol"]) == {STATEMENTS[0]["ticker"]}
    assert known["session"].min() == pd.Timestamp("2024-02-16")
    assert "close" not in rows.columns


def test_of_statements_filed_on_one_day_the_latest_period_counts(door, warehouse):
    both = [
        {"ticker": "KO", "filing_date": "2024-01-10", "end_date": "2023-12-31", "revenues": 2},
        {"ticker": "KO", "filing_date": "2024-01-10", "end_date": "2023-09-30", "revenues": 1},
    ]
    store(warehouse, "us_financials", both)
    rows = unified(door, "us_financials")
    assert set(rows.query("symbol == 'KO' and session > '2024-01-10'")["revenues"]) == {2}


def test_what_was_filed_in_parts_is_one_statement(door, warehouse):
    """Income and balance sheet of one period come in files of their own."""
    parts = [
        {"ticker": "KO", "filed": "2024-01-10", "period_end": "2023-12-31", "revenue": 2, "assets": None},
        {"ticker": "KO", "filed": "2024-01-10", "period_end": "2023-12-31", "revenue": None, "assets": 9},
    ]
    store(warehouse, "us_financials", parts)
    row = unified(door, "us_financials").query("symbol == 'KO'").iloc[-1]
    assert (row["revenue"], row["assets"]) == (2, 9)


def test_columns_of_the_same_name_are_told_apart(door, warehouse):
    store(warehouse, "us_financials", [{"Symbol": "KO", "Filing Date": "2024-01-10 16:05:00", "close": 7.0}])
    rows = unified(door, "prices", "us_financials")
    assert rows.query("symbol == 'KO'")["us_financials_close"].iloc[-1] == 7.0
    assert rows.query("symbol == 'KO'")["close"].iloc[-1] != 7.0


def test_a_table_that_cannot_be_joined_as_of_a_date_is_refused(door, warehouse):
    store(warehouse, "us_financials", [{"ticker": "KO", "fiscal_year": 2023, "revenues": 1}])
    with pytest.raises(UnexpectedColumns, match=r"market\.us_financials.*filing_date"):
        unified(door, "us_financials")


def test_the_result_says_how_statements_were_placed(door, warehouse):
    rows = [{"ticker": "KO", "period_end": "2023-09-30", "fp": "Q3", "eps": 1.0}]
    rows += [{"ticker": "KO", "period_end": "2023-12-31", "fp": "FY", "eps": 4.0}]
    store(warehouse, "us_financials", rows)
    with pytest.warns(
        StatementWarning, match=r"2 of 2 rows have no usable day.*90 days.*timeframe='quarterly'"
    ):
        frame = unified(door, "us_financials")
    # 2023-09-30 and ninety days is before the range; the year is known from 2024-03-30, after it.
    assert frame[frame["symbol"] == "KO"]["eps"].unique().tolist() == [1.0]
    note = frame.attrs["metadata"]["joined"]["us_financials"]
    assert (note["lagged"], note["lag_days"], note["unparsed"]) == (2, 90, 0)
    assert note["symbols_without_statement"] == ["AAPL", "NVDA"]
    assert note["matched"] + note["unmatched"] == len(frame)
    with pytest.warns(StatementWarning):
        arrow = unified(door, "us_financials", as_="arrow", timeframe="annual")
    assert json.loads(arrow.schema.metadata[b"flatfiles"])["joined"]["us_financials"]["timeframe"] == "annual"
    assert arrow.column("eps").null_count == arrow.num_rows


def test_one_unknown_ticker_can_be_left_out(door):
    with pytest.raises(UnknownSymbol, match="skip_unknown"):
        door.create_unified_dataset(["KO", "NONE1"], *DATES, ["prices"], ensure=False)
    with pytest.warns(CoverageWarning, match="left out.*'NONE1'"):
        frame = door.create_unified_dataset(
            ["KO", "NONE1"], *DATES, ["prices"], ensure=False, skip_unknown=True
        )
    assert set(frame["symbol"]) == {"KO"}
    assert frame.attrs["metadata"]["symbols_unknown"] == ["NONE1"]
    with pytest.warns(CoverageWarning, match="left out"):
        data = door.get_data_for_algorithm(
            "momentum", ["NONE1", "KO"], *DATES, ensure=False, skip_unknown=True
        )
    assert list(data["price_data"].columns) == ["KO"]
    assert data.metadata["symbols_unknown"] == ["NONE1"]
    with pytest.raises(UnknownSymbol):
        door.load_prices(["NONE1"], *DATES, ensure=False, skip_unknown=True)


def test_corporate_actions_stand_on_their_days(door):
    rows = unified(door, "prices", "splits", "dividends")
    assert list(rows[rows["split_ratio"].notna()][["symbol", "session", "split_ratio"]].iloc[0]) == [
        "NVDA",
        pd.Timestamp("2024-02-12"),
        4.0,
    ]
    records = MARKET.dividends(*(dt.date.fromisoformat(day) for day in DATES))
    expected = {
        (r["ticker"], r["ex_dividend_date"]): r["cash_amount"] for r in records if r["ticker"] in SYMBOLS
    }
    paid = rows[rows["dividend"].notna()]
    found = {(r.symbol, f"{r.session:%Y-%m-%d}"): r.dividend for r in paid.itertuples()}
    assert found == pytest.approx(expected)


def test_stored_features_can_be_joined(door, warehouse):
    (stored,) = update_features(ALGORITHMS["momentum"], sessions(*DATES)[-1:], warehouse)
    rows = unified(door, "prices", "momentum")
    last = rows[rows["session"] == rows["session"].max()].set_index("symbol")
    expected = stored.rows.to_pandas().set_index("ticker").loc[SYMBOLS]
    assert list(last["return_21"]) == list(expected["return_21"])
    assert set(last["momentum_adjustment"]) == {"splits"}
    assert rows[rows["session"] < rows["session"].max()]["return_21"].isna().all()


def test_rows_are_by_session_then_symbol_as_asked_for_in_every_form(door):
    pandas = unified(door, "prices", "financials")
    assert list(pandas["symbol"][:3]) == SYMBOLS
    assert pandas["session"].is_monotonic_increasing
    polars = unified(door, "prices", "financials", as_="polars")
    assert isinstance(polars, pl.DataFrame)
    assert polars.columns == list(pandas.columns)
    assert polars["revenues"].to_list() == pandas["revenues"].tolist()


def test_unusable_data_types_are_refused(door, warehouse):
    with pytest.raises(InvalidArgument, match="did you mean 'financials'"):
        unified(door, "prices", "financial")
    with pytest.raises(InvalidArgument, match="data_types is empty"):
        unified(door)
    with pytest.raises(NoData, match="materialise algorithm/mean_reversion"):
        unified(door, "mean_reversion")

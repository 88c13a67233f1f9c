"""Prices are read from the unified table first, from the flat files where it lacks a session."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.prices import (
    missing_sessions,
    read_bars,
    sessions_with_lookback,
)
from flatfiles_assets.warehouse.tables import DAILY_PRICES
from flatfiles_assets_tests.market_warehouse import day_bars, load_bars, load_reference, sessions
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

MARKET = SyntheticMarket(40)
WEEK = sessions("2024-01-02", "2024-01-08")


def unify(warehouse: Warehouse, days: list[dt.date], source: str = "historical") -> None:
    """Sessions in the unified table, at twice their price to tell them apart."""
    bars = day_bars(MARKET, days)
    doubled = bars.set_column(5, "close", pa.array(2 * bars.column("close").to_numpy()))
    rows = doubled.append_column("source", pa.array([source] * bars.num_rows)).append_column(
        "security_id", pa.nulls(bars.num_rows, pa.string())
    )
    with warehouse.writer("test") as transaction:
        transaction.replace(DAILY_PRICES, rows, {"trade_date": days})


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "w.duckdb", lock_timeout_seconds=PATIENCE_SECONDS)


def closes(warehouse: Warehouse, symbols=("KO",)) -> dict[dt.date, float]:
    table = read_bars(warehouse.reader(), WEEK, symbols).table
    return dict(zip(table.column("trade_date").to_pylist(), table.column("close").to_pylist(), strict=True))


def test_each_session_comes_from_the_first_source_that_has_it(warehouse):
    load_bars(warehouse, MARKET, WEEK[:4])
    published = closes(warehouse)
    unify(warehouse, [WEEK[1], WEEK[3]])

    assert set(published) == set(WEEK[:4])
    expected = {day: price * (2 if day in (WEEK[1], WEEK[3]) else 1) for day, price in published.items()}
    assert closes(warehouse) == expected
    bars = read_bars(warehouse.reader(), WEEK, ["KO"])
    assert bars.missing_sessions == (WEEK[4],)
    assert bars.source_mix == {"historical": 2, "flat_files": 2}
    assert missing_sessions(warehouse.reader(), WEEK) == [WEEK[4]]


def test_a_session_of_the_unified_table_is_not_completed_from_elsewhere(warehouse):
    """Which source counts is decided once, where the tables are unified."""
    load_bars(warehouse, MARKET, WEEK)
    unify(warehouse, WEEK)
    with warehouse.writer("test") as transaction:
        transaction.execute(
            "DELETE FROM market.daily_prices WHERE ticker = 'KO' AND trade_date = ?", [WEEK[2]]
        )
    assert set(closes(warehouse)) == {*WEEK} - {WEEK[2]}
    assert read_bars(warehouse.reader(), WEEK, ["KO"]).missing_sessions == ()


def test_all_symbols_are_read_when_none_are_named(warehouse):
    load_bars(warehouse, MARKET, WEEK)
    bars = read_bars(warehouse.reader(), WEEK, columns=("open", "close"))
    expected = day_bars(MARKET, WEEK)
    assert bars.table.num_rows == expected.num_rows
    assert set(bars.table.column("ticker").to_pylist()) == set(expected.column("ticker").to_pylist())
    np.testing.assert_array_equal(
        np.sort(bars.table.column("open").to_numpy()), np.sort(expected.column("open").to_numpy())
    )


def test_a_warehouse_without_prices_has_none(warehouse):
    load_reference(warehouse, MARKET)
    bars = read_bars(warehouse.reader(), WEEK, ["KO"])
    assert bars.table.num_rows == 0
    assert bars.missing_sessions == tuple(WEEK)
    assert read_bars(warehouse.reader(), WEEK).table.num_rows == 0


def test_a_look_back_counts_sessions_and_ends_where_the_calendar_begins():
    days, before = sessions_with_lookback(WEEK[0], WEEK[1], 3)
    assert days == sessions("2023-12-27", "2024-01-03")
    assert before == 3
    days, before = sessions_with_lookback(dt.date(2002, 1, 3), dt.date(2002, 1, 4), 250)
    assert days == sessions("2002-01-02", "2002-01-04")
    assert before == 1
    # From a day without a session.
    assert sessions_with_lookback(dt.date(2024, 1, 6), dt.date(2024, 1, 8), 1)[0] == sessions(
        "2024-01-05", "2024-01-08"
    )

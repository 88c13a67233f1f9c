"""Archives against flat files: what a whole session can show to be read wrongly."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from flatfiles_assets.defs.checks.archive_checks import check_reconciliation, judge_overlap
from flatfiles_assets.warehouse.archive_evidence import overlap, tickers_of_year
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.tables import HISTORICAL_DAILY, get_table

DAYS = [dt.date(2008, 1, day) for day in (2, 3, 4)]
TICKERS = [f"T{letter}" for letter in "ABCDEFGHIJ"]
STOCKS_DAILY = get_table(("market", "stocks_daily"))


def _rows(table, change=lambda row: row) -> pa.Table:
    rows = []
    for place, day in enumerate(DAYS):
        for number, ticker in enumerate(TICKERS):
            price = 10.0 + number + place
            row = {
                "trade_date": day,
                "ticker": ticker,
                "open": price - 0.5,
                "high": price + 1,
                "low": price - 1,
                "close": price,
                "volume": 1000.0 + number,
                "transactions": 10,
                "window_start": dt.datetime.combine(day, dt.time(5), dt.timezone.utc),
                "adjusted_close": None,
                "source_file": "a.csv",
            }
            rows.append(change(row))
    schema = table.arrow_schema
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in rows], schema=schema
    )


def _scaled(factor: float):
    return lambda row: row | {name: row[name] * factor for name in ("open", "high", "low", "close")}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda row: row, ""),
        (_scaled(1.01), ""),
        (_scaled(100), "median close is 100 times"),
        (_scaled(0.9), "median close is 0.9 times"),
        (lambda row: row | {"volume": row["volume"] / 1000}, "median volume is 0.001 times"),
        (lambda row: row | {"open": row["close"], "close": row["open"]}, "exchanged in 10 of 10"),
        (lambda row: row | {"close": row["close"] + 1, "high": row["high"] + 1}, "session before or after"),
        (lambda row: row | {"ticker": row["ticker"] + ".US"}, "only 0 of 10 tickers"),
    ],
)
def test_a_layout_that_is_read_wrongly_shows_beside_the_flat_files(tmp_path, change, problem):
    warehouse = Warehouse(tmp_path / "market.duckdb", lock_timeout_seconds=10)
    with warehouse.writer("fill") as transaction:
        transaction.replace(STOCKS_DAILY, _rows(STOCKS_DAILY), where={"trade_date": DAYS})
        transaction.replace(HISTORICAL_DAILY, _rows(HISTORICAL_DAILY, change), where={"trade_date": DAYS})

    verdict = judge_overlap(overlap(warehouse.reader(), DAYS))

    assert verdict.passed == (not problem)
    assert verdict.numbers["sessions_in_both"] == len(DAYS)
    if problem:
        assert verdict.serious
        assert any(problem in text for text in verdict.bad.values()), verdict.bad


def test_where_only_one_source_has_sessions_nothing_is_said_against_it(tmp_path):
    warehouse = Warehouse(tmp_path / "market.duckdb", lock_timeout_seconds=10)
    assert judge_overlap(overlap(warehouse.reader(), DAYS)).passed
    assert tickers_of_year(warehouse.reader(), 2008) == frozenset()
    with warehouse.writer("fill") as transaction:
        transaction.replace(STOCKS_DAILY, _rows(STOCKS_DAILY), where={"trade_date": DAYS})
    assert judge_overlap(overlap(warehouse.reader(), DAYS)).passed
    assert tickers_of_year(warehouse.reader(), 2008) == frozenset(TICKERS)


def test_the_reconciliation_warns_where_most_symbols_differ():
    def rows(matched: int) -> list[dict[str, object]]:
        return [
            {"ticker": ticker, "sessions_both": 10, "sessions_matched": 10 if n < matched else 1}
            for n, ticker in enumerate(TICKERS)
        ]

    assert check_reconciliation(rows(8)).passed
    found = check_reconciliation(rows(7))
    assert not found.passed
    assert "3 of 10 symbols" in (found.description or "")

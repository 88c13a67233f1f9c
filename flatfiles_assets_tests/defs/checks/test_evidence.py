"""What the checks measure, on real tables with defects that no loader would let in."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from flatfiles_assets.algorithms.adjustments import Split
from flatfiles_assets.calendars import sessions
from flatfiles_assets.datasets import DATASETS
from flatfiles_assets.defs.checks.price_evidence import day_and_minutes, unexplained_splits
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.evidence import session_figures, stored_types
from flatfiles_assets.warehouse.tables import SPLITS, get_table

TABLE = get_table(("market", "stocks_daily"))
FIRST, SECOND = dt.date(2024, 1, 2), dt.date(2024, 1, 3)


def _bars(day: dt.date, tickers: list[str], **changed: float) -> list[dict]:
    bar = {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.0, "volume": 1000.0, "transactions": 5}
    return [{"trade_date": day, "ticker": ticker, **bar, **changed} for ticker in tickers]


def _insert(warehouse: Warehouse, rows: list[dict]) -> None:
    """Write rows as they stand, without any of the loader's care."""
    with warehouse.writer("test") as transaction:
        transaction.create(TABLE)
        for row in rows:
            places = ", ".join("?" for _ in row)
            transaction.execute(
                f"INSERT INTO {TABLE.stored_name} ({', '.join(row)}) VALUES ({places})", list(row.values())
            )


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb")


def _figures(warehouse: Warehouse, *days: dt.date):
    return session_figures(warehouse.reader(), TABLE, ["ticker"], days)


def test_rows_in_order_are_counted_and_have_no_duplicates(warehouse: Warehouse):
    _insert(warehouse, [*_bars(FIRST, ["A", "B"]), *_bars(SECOND, ["A", "B", "C"])])
    found = _figures(warehouse, FIRST, SECOND)
    assert {day: (each.rows, each.duplicates) for day, each in found.items()} == {
        FIRST: (2, 0),
        SECOND: (3, 0),
    }


def test_rows_out_of_order_are_no_duplicates(warehouse: Warehouse):
    _insert(warehouse, _bars(FIRST, ["B", "A", "C"]))
    assert _figures(warehouse, FIRST)[FIRST].duplicates == 0


@pytest.mark.parametrize(
    "rows",
    [
        _bars(FIRST, ["A", "A", "B"]),
        _bars(FIRST, ["A", "B", "A"]),
        # A session written twice with another between: every neighbour ascends.
        [*_bars(FIRST, ["A", "B"]), *_bars(SECOND, ["A"]), *_bars(FIRST, ["B", "C"])],
    ],
)
def test_a_key_that_stands_twice_is_found_wherever_it_stands(warehouse: Warehouse, rows: list[dict]):
    _insert(warehouse, rows)
    assert _figures(warehouse, FIRST, SECOND)[FIRST].duplicates == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"high": 8.0},
        {"low": 10.5},
        {"open": 12.0},
        {"close": 8.0},
        {"low": -1.0},
        {"volume": -1.0},
        {"high": None},
    ],
)
def test_a_bar_that_contradicts_itself_is_counted(warehouse: Warehouse, changed: dict):
    _insert(warehouse, [*_bars(FIRST, ["A"]), *_bars(FIRST, ["B"], **changed)])
    assert _figures(warehouse, FIRST)[FIRST].broken_bars == 1


def test_only_the_sessions_asked_for_are_returned_however_far_apart(warehouse: Warehouse):
    far = dt.date(2010, 1, 4)
    _insert(warehouse, [*_bars(far, ["A"]), *_bars(FIRST, ["A"]), *_bars(SECOND, ["A"])])
    assert set(_figures(warehouse, far, SECOND)) == {far, SECOND}
    assert _figures(warehouse) == {}


def test_nothing_is_known_of_a_warehouse_that_is_not_there(warehouse: Warehouse):
    assert _figures(warehouse, FIRST) == {}
    assert stored_types(warehouse.reader(), TABLE) == {}


def test_a_jump_is_a_split_only_while_no_record_explains_it(warehouse: Warehouse):
    days = sessions("XNYS", "2024-01-02", "2024-02-01")
    rows = []
    for day in days:
        halved = day >= days[-2]
        scale = 0.1 if halved else 1.0
        prices = {
            name: value * scale
            for name, value in (("open", 10.0), ("high", 11.0), ("low", 9.0), ("close", 10.0))
        }
        rows += _bars(day, ["JMP"], **prices, volume=1000.0 / scale) + _bars(day, ["SAME"])
    _insert(warehouse, rows)
    assert unexplained_splits(warehouse.reader(), TABLE, days).num_rows == 0  # no splits were ever loaded

    def load_splits(splits: list[Split]) -> None:
        columns = {column.name: [None] * len(splits) for column in SPLITS.columns}
        for name in ("ticker", "execution_date", "split_from", "split_to"):
            columns[name] = [getattr(split, name) for split in splits]
        with warehouse.writer("test") as transaction:
            transaction.replace_all(SPLITS, pa.table(columns, schema=SPLITS.arrow_schema))

    load_splits([Split("SAME", days[3], 1, 2)])
    found = unexplained_splits(warehouse.reader(), TABLE, days).to_pylist()
    assert [(row["trade_date"], row["ticker"], row["split_to"]) for row in found] == [(days[-2], "JMP", 10.0)]
    assert unexplained_splits(warehouse.reader(), TABLE, days[:5]).num_rows == 0

    load_splits([Split("JMP", days[-2], 1, 10)])
    assert unexplained_splits(warehouse.reader(), TABLE, days).num_rows == 0


def test_day_bars_and_minutes_belong_together_where_the_hours_are_known():
    pair = day_and_minutes(DATASETS["options_minute"])
    assert pair is not None
    assert [feed.name for feed in pair] == ["options_daily", "options_minute"]
    assert day_and_minutes(DATASETS["stocks_trades"]) is None
    assert day_and_minutes(DATASETS["crypto_daily"]) is None

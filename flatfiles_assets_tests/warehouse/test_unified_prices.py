"""Which source counts when, what the other may add, and when a difference is put down to a split."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa
import pytest

from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.tables import HISTORICAL_DAILY, get_table
from flatfiles_assets.warehouse.unified_prices import (
    Precedence,
    held_sessions,
    reconciliation_query,
    unified_query,
)

STOCKS = get_table(("market", "stocks_daily"))
DAYS = [dt.date(2008, 1, day) for day in (2, 3, 4, 7, 8, 9)]
Closes = Mapping[dt.date, Mapping[str, tuple[float, float]]]


def _store(warehouse: Warehouse, table, closes: Closes) -> None:
    """Bars of a close and a volume per session and ticker; every other price is the close."""
    rows = [
        {
            "trade_date": day,
            "ticker": ticker,
            **dict.fromkeys(("open", "high", "low", "close"), close),
            "volume": volume,
        }
        for day, bars in closes.items()
        for ticker, (close, volume) in sorted(bars.items())
    ]
    schema = table.arrow_schema
    with warehouse.writer("test") as transaction:
        transaction.replace(table, pa.Table.from_pylist(rows, schema), {"trade_date": list(closes)})


def _unified(warehouse: Warehouse, fill: Literal["none", "sessions", "symbols"]) -> set[tuple]:
    reader = warehouse.reader()
    query = unified_query(DAYS[:3], held_sessions(reader, DAYS[:3]), Precedence(DAYS[1], fill))
    rows = reader.sql(f"SELECT trade_date, ticker, source FROM ({query.sql})", query.parameters).fetchall()
    return {(day.day, ticker, source) for day, ticker, source in rows}


def test_what_the_other_source_may_add_is_what_the_setting_says(warehouse: Warehouse):
    """Archives count on the 2nd, flat files from the 3rd; each has a session that the other lacks."""
    _store(warehouse, HISTORICAL_DAILY, {DAYS[1]: {"A": (1, 1), "B": (1, 1)}, DAYS[2]: {"A": (1, 1)}})
    _store(warehouse, STOCKS, {DAYS[0]: {"A": (2, 1)}, DAYS[1]: {"A": (2, 1)}})
    none = {(3, "A", "flat_files")}
    sessions = none | {(2, "A", "flat_files"), (4, "A", "historical")}

    assert _unified(warehouse, "none") == none
    assert _unified(warehouse, "sessions") == sessions
    assert _unified(warehouse, "symbols") == sessions | {(3, "B", "historical")}


def _suspected(warehouse: Warehouse, ratios: Sequence[float], volume_ratios: Sequence[float]) -> float | None:
    """The split ratio suspected where flat files have these multiples of the archive's close and volume."""
    _store(warehouse, HISTORICAL_DAILY, {day: {"A": (100.0, 1e6)} for day in DAYS})
    flat = {
        day: {"A": (100.0 * ratio, 1e6 * volume)}
        for day, ratio, volume in zip(DAYS, ratios, volume_ratios, strict=True)
    }
    _store(warehouse, STOCKS, flat)
    (row,) = warehouse.reader().sql(*reconciliation_query()).arrow().to_pylist()
    assert row["sessions_different"] == len(DAYS)
    return row["suspected_split_ratio"]


def test_a_steady_ratio_with_the_inverse_in_the_volumes_is_suspected_to_be_a_split(warehouse: Warehouse):
    assert _suspected(warehouse, [2.0] * 6, [0.5] * 6) == pytest.approx(2.0)


def test_a_steady_ratio_whose_volumes_do_not_follow_is_no_split(warehouse: Warehouse):
    assert _suspected(warehouse, [2.0] * 6, [1.0] * 6) is None


def test_a_ratio_that_is_a_fraction_only_in_the_middle_is_no_split(warehouse: Warehouse):
    assert _suspected(warehouse, [1.2, 1.6, 2.0, 2.0, 2.5, 2.9], [0.5] * 6) is None

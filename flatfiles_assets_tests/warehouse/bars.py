"""Day bars for the tests of the warehouse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from flatfiles_assets.warehouse.tables import get_table

STOCKS_DAILY = get_table(("market", "stocks_daily"))
QUARANTINE = get_table(("market", "quarantine"))

TUESDAY, WEDNESDAY, THURSDAY = (dt.date(2024, 1, day) for day in (2, 3, 4))


def tickers(row_count: int) -> list[str]:
    return [f"T{number:05d}" for number in range(row_count)]


def day_bars(trade_dates: Sequence[dt.date], *, row_count: int = 3, volume: float = 100.0) -> pa.Table:
    """So many bars for each session, in the table's order, all with that volume."""
    size = len(trade_dates) * row_count
    prices = np.arange(size, dtype="float64") + 1
    return pa.table(
        {
            "trade_date": pa.array(np.repeat(np.array(trade_dates, dtype="datetime64[D]"), row_count)),
            "ticker": pa.array(tickers(row_count) * len(trade_dates), pa.string()),
            "open": prices,
            "high": prices + 2,
            "low": prices - 1,
            "close": prices + 1,
            "volume": np.full(size, volume),
            "transactions": np.arange(size, dtype="int64"),
        },
        schema=STOCKS_DAILY.arrow_schema,
    )

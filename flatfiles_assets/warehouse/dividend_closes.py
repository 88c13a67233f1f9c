"""Dividends beside the closes that they are paid out of.

Here: which payments cannot be one, because they are not below the close before. Not here: what a
payment does to prices (`algorithms/adjustments.py`), which leaves such payments out as well, and other
reasons to leave one out (`action_records.py`).
"""

# ruff: noqa: S608  (names are constants of this module, values are parameters)
from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flatfiles_assets.warehouse.archive_terms import archive_terms
from flatfiles_assets.warehouse.day_bars import bars_source, session_days
from flatfiles_assets.warehouse.reading import WarehouseReader

Payment = Mapping[str, Any]


def closes_not_above(reader: WarehouseReader, payments: Sequence[Payment]) -> dict[int, float]:
    """The closes of the session before, of the payments that are not below them.

    What one ticker pays on one day is added up. Where the session before has no bar, a split may lie
    between the last close and the payment: nothing is said of those.

    Args:
        reader: The warehouse.
        payments: Each with ``ticker``, ``ex_date`` and ``cash_amount``, USD.

    Returns:
        By number of the payment.
    """
    cash: dict[tuple[str, dt.date], float] = defaultdict(float)
    for payment in payments:
        cash[payment["ticker"], payment["ex_date"]] += payment["cash_amount"]
    days = session_days()
    before = {
        case: days[place - 1].item()
        for case in cash
        if (place := int(np.searchsorted(days, np.datetime64(case[1])))) > 0
    }
    source = bars_source(reader, ("lo", "hi"))
    if not before or source is None:
        return {}
    lo, hi = min(before.values()), max(before.values())
    terms = archive_terms(reader, lo, hi, {ticker for ticker, _ in before})
    bars, of_terms = terms.applied(f"({source})", ("close",))
    rows = reader.sql(
        f"SELECT ticker, trade_date, close FROM {bars} SEMI JOIN (SELECT unnest($tickers) AS ticker,"
        " unnest($days) AS trade_date) USING (ticker, trade_date) WHERE close > 0",
        {
            "tickers": [ticker for ticker, _ in before],
            "days": list(before.values()),
            "lo": lo,
            "hi": hi,
            **of_terms,
        },
    ).fetchall()
    closes = {(ticker, day): close for ticker, day, close in rows}
    found: dict[int, float] = {}
    for number, payment in enumerate(payments):
        case = payment["ticker"], payment["ex_date"]
        close = closes.get((case[0], before.get(case)))
        if close is not None and cash[case] >= close:
            found[number] = close
    return found

"""Splits and cash dividends of the synthetic market, and what they do to published prices.

Here: the events, as data and as the vendor's reference records. Not here: adjusting prices for
them, which is the platform's task.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flatfiles_assets.demo.universe import Company

QUARTERLY_YIELD = 0.005
_DIVIDEND_CYCLES = ((1, 4, 7, 10), (2, 5, 8, 11), (3, 6, 9, 12))


class Split(NamedTuple):
    """`split_from` shares become `split_to` at the open of the execution date."""

    ticker: str
    execution_date: dt.date
    split_from: int
    split_to: int


SPLITS = (
    Split("MSFT", dt.date(2003, 2, 18), 1, 2),
    Split("AAPL", dt.date(2005, 2, 28), 1, 2),
    Split("BUCY", dt.date(2008, 5, 28), 1, 2),
    Split("AAPL", dt.date(2020, 8, 31), 1, 4),
    Split("NVDA", dt.date(2024, 2, 12), 1, 4),
    Split("RVRS", dt.date(2024, 3, 4), 10, 1),
    Split("MSFT", dt.date(2026, 2, 25), 1, 2),
)


def split_multipliers(cast: Sequence[Company], days: Sequence[dt.date]) -> npt.NDArray[np.float64]:
    """Factor from prices in today's shares to prices as published, shape (sessions, companies).

    Before a 4-for-1 split a published price is four times the later share's.
    """
    multipliers = np.ones((len(days), len(cast)))
    column = {company.ticker: company.index for company in cast}
    calendar = np.array(days, dtype="datetime64[D]")
    for split in SPLITS:
        if split.ticker in column:
            before = calendar < np.datetime64(split.execution_date)
            multipliers[before, column[split.ticker]] *= split.split_to / split.split_from
    return multipliers


def ex_dividend_positions(company: Company, days: Sequence[dt.date]) -> list[int]:
    """Positions in `days` of the company's ex-dates: its cycle's months, the first session from the 10th."""
    if not company.pays_dividends:
        return []
    months = _DIVIDEND_CYCLES[company.sector % len(_DIVIDEND_CYCLES)]
    return [
        position
        for position in range(1, len(days))
        if days[position].month in months
        and days[position].day >= 10
        and (days[position - 1].day < 10 or days[position - 1].month != days[position].month)
    ]


def dividend_log_drops(cast: Sequence[Company], days: Sequence[dt.date]) -> npt.NDArray[np.float64]:
    """What a payer's log price loses at the open of each ex-date, shape (sessions, companies)."""
    drops = np.zeros((len(days), len(cast)))
    cycles: dict[int, list[int]] = {}
    for company in cast:
        if company.pays_dividends:
            positions = cycles.setdefault(company.sector % 3, ex_dividend_positions(company, days))
            drops[positions, company.index] = np.log1p(-QUARTERLY_YIELD)
    return drops


def split_records(tickers: Sequence[str]) -> list[dict[str, Any]]:
    """The splits as the vendor's reference endpoint gives them, newest first."""
    chosen = [split for split in SPLITS if split.ticker in set(tickers)]
    return [
        {
            "id": f"S{split.ticker}{split.execution_date:%Y%m%d}",
            "ticker": split.ticker,
            "execution_date": split.execution_date.isoformat(),
            "split_from": split.split_from,
            "split_to": split.split_to,
        }
        for split in sorted(chosen, key=lambda split: split.execution_date, reverse=True)
    ]


def dividend_record(company: Company, ex_date: dt.date, price_before: float) -> dict[str, Any]:
    """One dividend as the vendor's reference endpoint gives it.

    Args:
        company: The payer.
        ex_date: First session without the right to it.
        price_before: Published close of the session before.
    """
    return {
        "id": f"D{company.ticker}{ex_date:%Y%m%d}",
        "ticker": company.ticker,
        "cash_amount": round(price_before * QUARTERLY_YIELD, 4),
        "currency": "USD",
        "declaration_date": (ex_date - dt.timedelta(days=21)).isoformat(),
        "ex_dividend_date": ex_date.isoformat(),
        "record_date": (ex_date + dt.timedelta(days=1)).isoformat(),
        "pay_date": (ex_date + dt.timedelta(days=21)).isoformat(),
        "frequency": 4,
        "dividend_type": "CD",
    }

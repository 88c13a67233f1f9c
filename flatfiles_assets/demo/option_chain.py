"""Listed option contracts on a stock's day, priced so that they are plausible and consistent.

Here: which contracts exist on a session, their symbols and their bars. Not here: the stocks.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flatfiles_assets import calendars
from flatfiles_assets.demo.intraday import DayBar

Floats = npt.NDArray[np.float64]

_WEEKLY_EXPIRIES, _MONTHLY_EXPIRIES = 2, 4
_STRIKE_REACH = 0.2
_IMPLIED_VOLATILITY = 0.32
_RATE = 0.03
_FRIDAY = 4


class Contract(NamedTuple):
    """One series, and its bar on one session."""

    ticker: str
    bar: DayBar


def contract_ticker(underlying: str, expiry: dt.date, kind: str, strike: float) -> str:
    """The vendor's symbol: ``O:`` and the OCC symbol without padding, e.g. ``O:AAPL240119C00150000``."""
    return f"O:{underlying.replace('.', '')}{expiry:%y%m%d}{kind}{round(strike * 1000):08d}"


def expiries(session: dt.date) -> list[dt.date]:
    """The next weekly and the next monthly expiries, from the session itself on."""
    first_friday = session + dt.timedelta(days=(_FRIDAY - session.weekday()) % 7)
    fridays = [first_friday + dt.timedelta(weeks=week) for week in range(5 * (_MONTHLY_EXPIRIES + 1))]
    monthly = [friday for friday in fridays if 15 <= friday.day <= 21][:_MONTHLY_EXPIRIES]
    chosen = sorted({*fridays[:_WEEKLY_EXPIRIES], *monthly})
    # A closed Friday expires on the session before it.
    return [
        calendars.sessions("XNYS", friday - dt.timedelta(days=6), friday)[-1]
        for friday in chosen
        if calendars.sessions("XNYS", session, friday)
    ]


def strikes(price: float) -> Floats:
    """Strikes within a fifth of the price, on a round grid."""
    step = next(
        step for limit, step in ((25, 0.5), (100, 2.5), (300, 5.0), (math.inf, 10.0)) if price < limit
    )
    first = math.ceil(price * (1 - _STRIKE_REACH) / step)
    last = math.floor(price * (1 + _STRIKE_REACH) / step)
    return np.array([position * step for position in range(first, last + 1)])


def traded_contracts(
    underlying: str, stock: DayBar, session: dt.date, rng: np.random.Generator
) -> list[Contract]:
    """The contracts that traded; those that did not have no bar."""
    found: list[Contract] = []
    grid = strikes(stock.close)
    for expiry in expiries(session):
        years = max((expiry - session).days, 0.5) / 365
        busy = stock.transactions / 150 * np.exp(-np.square(np.log(grid / stock.close) / 0.08))
        for kind in ("C", "P"):
            volumes = np.floor(busy * np.exp(rng.standard_normal(len(grid)) - years)).astype(np.int64)
            opens, lows, highs, closes = (
                _premium(kind, price, grid, years)
                for price in (stock.open, stock.low, stock.high, stock.close)
            )
            if kind == "P":
                lows, highs = highs, lows
            for position in np.flatnonzero(volumes).tolist():
                volume = int(volumes[position])
                bar = DayBar(
                    open=float(opens[position]),
                    high=float(highs[position]),
                    low=float(lows[position]),
                    close=float(closes[position]),
                    volume=volume,
                    transactions=max(1, volume // 6),
                )
                strike = float(grid[position])
                found.append(Contract(contract_ticker(underlying, expiry, kind, strike), bar))
    return found


def _premium(kind: str, price: float, strike: Floats, years: float) -> Floats:
    """Black-Scholes value per share in whole cents, at least one."""
    deviation = _IMPLIED_VOLATILITY * math.sqrt(years)
    d1 = (np.log(price / strike) + (_RATE + _IMPLIED_VOLATILITY**2 / 2) * years) / deviation
    d2 = d1 - deviation
    discounted = strike * math.exp(-_RATE * years)
    if kind == "C":
        value = price * _normal(d1) - discounted * _normal(d2)
    else:
        value = discounted * _normal(-d2) - price * _normal(-d1)
    cents: Floats = np.maximum(np.rint(value * 100), 1) / 100
    return cents


def _normal(x: Floats) -> Floats:
    """The normal distribution function."""
    return np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x.tolist()])

"""One session of every company: from two log prices to a bar with volume and trades.

Here: what happens within a day, vectorised over companies. Not here: how prices go from day to day
(`price_paths.py`) and how a day falls into minutes (`intraday.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flatfiles_assets.demo.intraday import DayBar
from flatfiles_assets.demo.universe import Company

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FIRST_FRACTIONAL_SESSION = dt.date(2026, 2, 23)

_SESSION_STREAM, _FRACTION_STREAM = 2, 3
_MICRO_SHARES = 10**6
_HALF_DAY_VOLUME = 0.45
_SHARES_PER_TRADE = 120
# Standard normal thresholds: an illiquid company has no bar on about one day in ten, and on one day
# in fifteen a bar without a trade.
_ABSENT_BELOW, _UNTRADED_BELOW = -1.3, -1.5


class CrossSection(NamedTuple):
    """Bars of one session, one element per company that has one; prices as published."""

    cast: list[Company]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    transactions: Integers
    decimals: Integers
    volume_unit: float

    def day_bar(self, position: int) -> DayBar:
        """The bar at that position."""
        return DayBar(
            open=float(self.open[position]),
            high=float(self.high[position]),
            low=float(self.low[position]),
            close=float(self.close[position]),
            volume=float(self.volume[position]),
            transactions=int(self.transactions[position]),
            decimals=int(self.decimals[position]),
            volume_unit=self.volume_unit,
        )


def cross_section(
    cast: Sequence[Company],
    session: dt.date,
    *,
    before: Floats,
    now: Floats,
    multipliers: Floats,
    seed: int,
    shortened: bool,
) -> CrossSection:
    """The session's bars of the companies that have one.

    Args:
        cast: Every company, in the order of the arrays.
        session: Day of the bars.
        before: Log close of the session before, in the latest shares.
        now: Log close of this session, in the latest shares.
        multipliers: Factor from the latest shares' price to the published one.
        seed: The market's seed.
        shortened: Whether the exchange closes early, with less volume.
    """
    # One row of draws per company, so that further companies leave the earlier ones' draws alone.
    rng = np.random.default_rng([seed, _SESSION_STREAM, session.toordinal()])
    gap, up, down, size, presence, trades = rng.standard_normal((len(cast), 6)).T
    volatility = np.array([company.volatility for company in cast])
    move = now - before
    end = np.exp(now) * multipliers
    decimals = np.where(end >= 1, 2, 4)

    # An illiquid day without a trade shows the last price, unmoved.
    illiquid = np.array([company.illiquid for company in cast])
    untraded = illiquid & (size < _UNTRADED_BELOW)
    quiet = np.exp(before) * multipliers
    opens = np.where(untraded, quiet, np.exp(before + 0.35 * move + 0.3 * volatility * gap) * multipliers)
    closes = np.where(untraded, quiet, end)
    reach = np.where(untraded, 0.0, 0.4 * volatility)
    highs = np.maximum(opens, closes) * np.exp(reach * np.abs(up))
    lows = np.minimum(opens, closes) * np.exp(-reach * np.abs(down))

    dollars = np.array([company.daily_dollar_volume for company in cast])
    busy = np.exp(0.35 * size) * (1 + 8 * np.abs(move)) * (_HALF_DAY_VOLUME if shortened else 1.0)
    volumes = np.maximum(np.rint(dollars / end * busy), 1.0)
    transactions = np.maximum(1, volumes / (_SHARES_PER_TRADE * np.exp(0.2 * trades))).astype(np.int64)
    fractional = session >= FIRST_FRACTIONAL_SESSION
    if fractional:
        volumes = _with_fractions(volumes, session, seed)

    listed = np.array([company.is_listed(session) for company in cast])
    keep = np.flatnonzero(listed & ~(illiquid & (presence < _ABSENT_BELOW)))
    return CrossSection(
        cast=[cast[column] for column in keep.tolist()],
        open=_rounded(opens, decimals)[keep],
        high=_rounded(highs, decimals)[keep],
        low=_rounded(lows, decimals)[keep],
        close=_rounded(closes, decimals)[keep],
        volume=np.where(untraded, 0.0, volumes)[keep],
        transactions=np.where(untraded, 0, transactions)[keep],
        decimals=decimals[keep],
        volume_unit=1 / _MICRO_SHARES if fractional else 1.0,
    )


def _rounded(prices: Floats, decimals: Integers) -> Floats:
    # Dividing whole ticks gives the float nearest to the decimal, which prints without a tail.
    ticks = 10.0**decimals
    rounded: Floats = np.rint(prices * ticks) / ticks
    return rounded


def _with_fractions(volumes: Floats, session: dt.date, seed: int) -> Floats:
    rng = np.random.default_rng([seed, _FRACTION_STREAM, session.toordinal()])
    fraction, whole = rng.random((len(volumes), 2)).T
    fractional: Floats = (
        np.rint((volumes + np.where(whole < 0.3, 0.0, fraction)) * _MICRO_SHARES) / _MICRO_SHARES
    )
    return fractional

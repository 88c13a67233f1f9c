"""A day's bar taken apart into minute bars that add up to it again.

Here: one bar in, minutes out; pure. Within regular hours the first open, last close, highest high
and lowest low are the day's; volume and trades of all hours together are the day's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_EXTENDED_ACTIVITY = 0.08
_EXTENDED_WEIGHT = 0.05
_PREMARKET_OPENS_MINUTE = 4 * 60
_AFTER_HOURS_MINUTES = 4 * 60


class DayBar(NamedTuple):
    """One bar; prices in USD, rounded to `decimals` places, volume in multiples of `volume_unit`."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    transactions: int
    decimals: int = 2
    volume_unit: float = 1.0


class MinuteBars(NamedTuple):
    """Bars in order of time; `minute` counts from midnight New York."""

    minute: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    transactions: Integers


class TradingHours(NamedTuple):
    """Regular hours, in minutes from midnight New York; the close is excluded."""

    open_minute: int
    close_minute: int


def minute_bars(
    bar: DayBar, hours: TradingHours, rng: np.random.Generator, *, extended: bool = True
) -> MinuteBars:
    """The minutes in which the bar's trades happened; no trades, no minutes.

    Args:
        bar: The day's bar.
        hours: Regular hours of the session.
        rng: Source of randomness, used up in a way that depends only on the arguments.
        extended: Whether trades happen before the open and after the close too.
    """
    count = hours.close_minute - hours.open_minute
    busy = 1 - np.exp(-bar.transactions / (2 * count))
    regular = _active(np.arange(hours.open_minute, hours.close_minute), busy, bar.transactions, rng)
    if bar.transactions > 0 and not len(regular):
        regular = rng.integers(hours.open_minute, hours.close_minute, size=1)
    spare = bar.transactions - len(regular) if extended else 0
    before = _active(
        np.arange(_PREMARKET_OPENS_MINUTE, hours.open_minute), busy * _EXTENDED_ACTIVITY, spare // 2, rng
    )
    after = _active(
        np.arange(hours.close_minute, hours.close_minute + _AFTER_HOURS_MINUTES),
        busy * _EXTENDED_ACTIVITY,
        spare // 2,
        rng,
    )
    prices = np.concatenate(
        [
            _quiet_prices(bar.open, len(before), bar.decimals, rng),
            _regular_prices(bar, len(regular), rng),
            _quiet_prices(bar.close, len(after), bar.decimals, rng),
        ],
        axis=1,
    )
    weights = np.concatenate(
        [
            np.full(len(before), _EXTENDED_WEIGHT),
            _smile(regular, hours),
            np.full(len(after), _EXTENDED_WEIGHT),
        ]
    ) * np.exp(0.4 * rng.standard_normal(prices.shape[1]))
    units = _allocate(round(bar.volume / bar.volume_unit), weights)
    return MinuteBars(
        minute=np.concatenate([before, regular, after]),
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        # Dividing by the count of units per share, not multiplying by 1e-6, keeps the decimals short.
        volume=units / round(1 / bar.volume_unit),
        transactions=_allocate(bar.transactions, weights),
    )


def _active(minutes: Integers, probability: float, at_most: int, rng: np.random.Generator) -> Integers:
    chosen = minutes[rng.random(len(minutes)) < probability]
    if len(chosen) > at_most:
        chosen = np.sort(rng.choice(chosen, size=max(at_most, 0), replace=False))
    return chosen


def _regular_prices(bar: DayBar, count: int, rng: np.random.Generator) -> Floats:
    """Open, high, low and close of each minute, shape (4, count): a bridge from open to close."""
    if count == 0:
        return np.empty((4, 0))
    walk = np.concatenate([[0.0], np.cumsum(rng.standard_normal(count))])
    along = np.linspace(0.0, 1.0, count + 1)
    bridge = walk - along * walk[-1]
    reach = np.ptp(bridge) or 1.0
    path = bar.open + along * (bar.close - bar.open) + bridge / reach * (bar.high - bar.low)
    path = np.round(np.clip(path, bar.low, bar.high), bar.decimals)
    path[0], path[-1] = bar.open, bar.close
    opens, closes = path[:-1], path[1:]
    wiggle = np.abs(rng.standard_normal((2, count))) * 0.0003 * bar.close
    highs = np.minimum(np.round(np.maximum(opens, closes) + wiggle[0], bar.decimals), bar.high)
    lows = np.maximum(np.round(np.minimum(opens, closes) - wiggle[1], bar.decimals), bar.low)
    highs[np.argmax(highs)] = bar.high
    lows[np.argmin(lows)] = bar.low
    return np.stack([opens, highs, lows, closes])


def _quiet_prices(anchor: float, count: int, decimals: int, rng: np.random.Generator) -> Floats:
    """Prices outside regular hours: near the anchor, not bound to the day's range."""
    around = anchor * np.exp(0.002 * rng.standard_normal((2, count)))
    opens, closes = np.maximum(np.round(around, decimals), 10.0**-decimals)
    return np.stack([opens, np.maximum(opens, closes), np.minimum(opens, closes), closes])


def _smile(minutes: Integers, hours: TradingHours) -> Floats:
    """Trading is heaviest at the open and the close."""
    along = (minutes - hours.open_minute) / (hours.close_minute - hours.open_minute)
    smile: Floats = 0.5 + 2 * (along - 0.5) ** 2
    return smile


def _allocate(total: int, weights: Floats) -> Integers:
    """Whole numbers of at least 1, nearly proportional to the weights, whose sum is the total."""
    if not len(weights):
        return np.empty(0, dtype=np.int64)
    shares = 1 + np.floor((total - len(weights)) * weights / weights.sum()).astype(np.int64)
    shares[np.argmax(shares)] += total - shares.sum()
    allocated: Integers = shares
    return allocated

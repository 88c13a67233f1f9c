"""The bars around each recorded split, laid side by side: what a verdict on it looks at.

Here: moves, tolerances and volumes around records, all records at once. Not here: the verdicts
(`action_audit.py`).
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from flatfiles_assets.algorithms.bar_scan import IntArray
from flatfiles_assets.algorithms.panel import FloatArray

#: How many sessions beside its date a record's jump is looked for.
SHIFT_SESSIONS = 2
#: Bars on either side of a record that its verdict may use.
WINDOW_BARS = 21

# How far the open may be from the recorded ratio, as a log: something always, more for a larger split
# and for a stock that moves much overnight.
_TOLERANCE, _PER_SIZE, _PER_NOISE, _MOST_FOR_NOISE = 0.10, 0.05, 3.0, 0.15
# A split smaller than this many usual overnight moves cannot be told from one.
_VISIBLE_MOVES, _LEAST_MOVE = 3.0, 0.005
_VOLUME_BARS, _LEAST_VOLUME_ERROR = 20, 0.1


@dataclasses.dataclass(frozen=True)
class SplitRecords:
    """Records to judge; one element per record.

    Attributes:
        security: Number of the security.
        session: Position in the calendar of the first session on or after the recorded date.
        split_from: Shares before.
        split_to: Shares after.
    """

    security: IntArray
    session: IntArray
    split_from: FloatArray
    split_to: FloatArray

    def __len__(self) -> int:
        return len(self.security)


@dataclasses.dataclass(frozen=True)
class SecurityBars:
    """Bars of securities, whatever their tickers, by security, then session.

    Attributes:
        security: Number of the security.
        session: Position in the calendar.
        open: First price, USD as published.
        close: Last price, USD as published.
        volume: Shares.
    """

    security: IntArray
    session: IntArray
    open: FloatArray
    close: FloatArray
    volume: FloatArray


class RecordView:
    """The bars around each record, laid side by side: record n's first bar in new shares is column 0."""

    def __init__(self, records: SplitRecords, bars: SecurityBars) -> None:
        self.size = np.log(records.split_from / records.split_to)
        self.at = records.session.tolist()
        self.ratio = [
            reduced_ratio(before, after)
            for before, after in zip(records.split_from.tolist(), records.split_to.tolist(), strict=True)
        ]
        span = np.int64(2**32)
        keys = bars.security * span + bars.session
        start = np.searchsorted(keys, records.security * span + records.session)
        offsets = np.arange(-WINDOW_BARS, WINDOW_BARS + 1)
        index = start[:, None] + offsets
        inside = (index >= 0) & (index < len(keys))
        index = np.clip(index, 0, max(len(keys) - 1, 0))
        if len(keys):
            inside &= bars.security[index] == records.security[:, None]
        else:
            index = np.zeros_like(index)

        def around(values: npt.NDArray[np.float64], least: float = 0.0) -> FloatArray:
            if not len(values):
                return np.full(index.shape, np.nan)
            found = values[index]
            return np.where(inside & (found > least), found, np.nan)

        opens, closes = around(bars.open), around(bars.close)
        self.session = np.where(inside, bars.session[index], -1) if len(keys) else np.full(index.shape, -1)
        self.close_before = np.full_like(closes, np.nan)
        self.close_before[:, 1:] = closes[:, :-1]
        first_price = np.where(np.isnan(opens), closes, opens)
        self.move = np.log(first_price / self.close_before)
        self.volume = np.log(around(bars.volume))
        # Of the night and of the day: some feeds open every bar at the close before.
        self._volume_moved, self._volume_error = _volume_move(self.volume, WINDOW_BARS)
        self.noise = np.maximum(_noise(self.move), _noise(np.log(closes / self.close_before)))
        tolerance = (
            _TOLERANCE + _PER_SIZE * np.abs(self.size) + np.minimum(_PER_NOISE * self.noise, _MOST_FOR_NOISE)
        )
        self.tolerance = tolerance.tolist()
        self.fit = _fit(self.move, self.size, tolerance).tolist()

    def distance(self, number: int, offset: int) -> float:
        """How far the move at a bar is from the record's ratio; infinite where it does not fit."""
        found: float = self.fit[number][offset + SHIFT_SESSIONS]
        return found

    def candidates(self, number: int) -> list[int]:
        """Bars at which the record's jump may be, its own session first, then the nearest."""
        at = self.at[number]
        found = []
        for offset in sorted(range(-SHIFT_SESSIONS, SHIFT_SESSIONS + 1), key=abs):
            session = int(self.session[number, WINDOW_BARS + offset])
            if session >= 0 and (offset == 0 or abs(session - at) <= SHIFT_SESSIONS):
                found.append(offset)
        return found

    def session_at(self, number: int, offset: int) -> int:
        """The session of a bar; -1 where there is none."""
        return int(self.session[number, WINDOW_BARS + offset])

    def day(self, number: int) -> int:
        """The session at whose open the record shows, if it is right: the first with a bar."""
        session = self.session_at(number, 0)
        return session if session >= 0 else self.at[number]

    def price_ratio(self, number: int, offset: int) -> float:
        """Open over the close before at a bar; NaN where unknown."""
        return float(np.exp(self.move[number, WINDOW_BARS + offset]))

    def visible(self, number: int) -> bool:
        """Whether a split of that size would stand out."""
        usual = max(float(self.noise[number]), _LEAST_MOVE)
        return abs(float(self.size[number])) >= _VISIBLE_MOVES * usual

    def pause(self, number: int) -> int | None:
        """Sessions from the last bar before the record to the first one after; None without either."""
        after, before = self.session_at(number, 0), self.session_at(number, -1)
        known = after >= 0 and before >= 0 and not np.isnan(self.move[number, WINDOW_BARS])
        return after - before if known else None

    def volumes(self, number: int, offset: int) -> tuple[float, float]:
        """Log of usual volume after over before a bar, and its standard error; NaN where unknown."""
        if offset == 0:
            return float(self._volume_moved[number]), float(self._volume_error[number])
        row = self.volume[number : number + 1]
        moved, error = _volume_move(row, WINDOW_BARS + offset)
        return float(moved[0]), float(error[0])


def _volume_move(volume: FloatArray, at: int) -> tuple[FloatArray, FloatArray]:
    """For each row of logs: the median from a column on less that before it, and its standard error."""
    before, after = volume[:, max(at - _VOLUME_BARS, 0) : at], volume[:, at : at + _VOLUME_BARS]
    usual_before, spread_before = _usual_and_error(before)
    usual_after, spread_after = _usual_and_error(after)
    error = np.sqrt(math.pi / 2 * (spread_before + spread_after)) + _LEAST_VOLUME_ERROR
    return usual_after - usual_before, error


def _usual_and_error(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The median of each row, and the squared standard error of its mean, robustly; NaN for no values."""
    count = (~np.isnan(values)).sum(axis=1)
    middle = _median(values, count)
    spread = 1.4826 * _median(np.abs(values - middle[:, None]), count)
    # Of a few bars nobody knows the spread.
    spread = np.maximum(spread, np.where(count < 4, 0.5, 0.0))
    return middle, spread**2 / np.maximum(count, 1)


def _median(values: FloatArray, count: IntArray) -> FloatArray:
    """Of each row's known values; NaN are sorted to the end."""
    ordered = np.sort(values, axis=1)
    low, high = np.maximum((count - 1) // 2, 0)[:, None], np.maximum(count // 2, 0)[:, None]
    high = np.minimum(high, values.shape[1] - 1)
    pair = np.take_along_axis(ordered, low, axis=1) + np.take_along_axis(ordered, high, axis=1)
    middle: FloatArray = np.where(count > 0, pair[:, 0] / 2, np.nan)
    return middle


def _fit(move: FloatArray, size: FloatArray, tolerance: FloatArray) -> FloatArray:
    """How far each record's ratio is from the moves at its own bar and those beside; infinite for no fit."""
    near = move[:, WINDOW_BARS - SHIFT_SESSIONS : WINDOW_BARS + SHIFT_SESSIONS + 1]
    off = np.abs(near - size[:, None])
    # Nearer to the split than to no move at all. NaN fits nothing.
    fits = (off <= tolerance[:, None]) & (off < np.abs(near))
    return np.where(fits, off, np.inf)


def _noise(move: FloatArray) -> FloatArray:
    """The usual move around each record, robustly, its own left out; 0 where nothing is known."""
    usual = np.abs(move)
    usual[:, WINDOW_BARS - SHIFT_SESSIONS : WINDOW_BARS + SHIFT_SESSIONS + 1] = np.nan
    return np.nan_to_num(1.4826 * _median(usual, (~np.isnan(usual)).sum(axis=1)))


def reduced_ratio(split_from: float, split_to: float) -> Fraction:
    """Shares before over shares after, in lowest terms: the same for 1:2 and 2:4."""
    return Fraction(split_from).limit_denominator(10**6) / Fraction(split_to).limit_denominator(10**6)

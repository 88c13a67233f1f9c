"""Proofs by values that run in time: which of two prices is the open, which column repeats another.

A stock opens near where it closed the session before: on real data the close before and the open
differ by 0.9 to 2.0 %, the open before and the close by 2.2 to 5.3 %. So the two can be told apart,
and the test can fail. Here: numbers only. Not here: what columns are called.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

_FEWEST_PAIRS = 12

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Series:
    """Rows as the sessions of securities, one after another.

    Attributes:
        order: Positions of the rows, by security and then by time.
        follows: For each of them but the first, whether it is the same security's next row.
        new_day: For each of them but the first, whether it is of another day than the row before.
    """

    order: Ints
    follows: npt.NDArray[np.bool_]
    new_day: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, securities: Ints, times: Ints) -> Series:
        """Series from codes of securities and times in seconds; rows of one moment do not follow."""
        order = np.lexsort((times, securities))
        same = np.diff(securities[order]) == 0
        in_order = times[order]
        return cls(order, same & (np.diff(in_order) > 0), np.diff(in_order // 86400) != 0)

    @property
    def pairs(self) -> int:
        """How many rows have a row before them."""
        return int(np.count_nonzero(self.follows))

    def before_and_after(self, before: Floats, after: Floats) -> tuple[Floats, Floats]:
        """A column's values in the row before, and another's in the row after it."""
        return before[self.order][:-1][self.follows], after[self.order][1:][self.follows]


def continuity(series: Series, close: Floats, opened: Floats) -> Floats:
    """Per pair of rows, how far the open lies from the close before, as the size of a logarithm."""
    before, after = series.before_and_after(close, opened)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.abs(np.log(after / before))
    return np.where(np.isfinite(steps), steps, np.nan)


def advantage(series: Series, first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> float | None:
    """How much better a first pair (open, close) continues than a second, in standard errors.

    Returns:
        Above zero where the first is better; None where there are too few pairs of rows to tell.
    """
    gains = continuity(series, second[1], second[0]) - continuity(series, first[1], first[0])
    gains = gains[np.isfinite(gains)]
    if len(gains) < _FEWEST_PAIRS:
        return None
    # A split in the sample must not outweigh everything else.
    gains = np.clip(gains, -0.2, 0.2)
    spread = float(np.std(gains))
    if spread == 0.0:
        return 0.0 if float(np.mean(gains)) == 0.0 else float(np.sign(np.mean(gains))) * np.inf
    return float(np.mean(gains)) / spread * float(np.sqrt(len(gains)))


def repeats_the_row_before(series: Series, column: Floats, other: Floats) -> bool:
    """Whether a column is another one's value of the row before, as a previous close is.

    Only from day to day: within a day a bar often opens where the one before it closed.
    """
    before, after = series.before_and_after(other, column)
    known = np.isfinite(before) & np.isfinite(after) & series.new_day[series.follows]
    if np.count_nonzero(known) < 3:
        return False
    repeats = bool(np.mean(np.isclose(before[known], after[known], rtol=1e-6)) >= 0.9)
    changes = not np.allclose(column[np.isfinite(column)], np.nanmedian(column))
    return repeats and bool(changes)


def counts_rows(column: Floats, files: Ints) -> bool:
    """Whether a column only numbers the rows of each file."""
    steps = np.diff(column)[np.diff(files) == 0]
    return len(steps) > 1 and float(np.mean(steps == 1)) >= 0.98


def is_running_total(series: Series, column: Floats) -> bool:
    """Whether a column grows from row to row within each day and begins anew on the next."""
    before, after = series.before_and_after(column, column)
    new_day = series.new_day[series.follows]
    known = np.isfinite(before) & np.isfinite(after)
    within, across = known & ~new_day, known & new_day
    if np.count_nonzero(within) < 10 * np.count_nonzero(across) or np.count_nonzero(across) < 3:
        return False
    grows = float(np.mean((after > before)[within])) >= 0.95
    falls = float(np.mean((after < before / 3)[across])) >= 0.9
    return grows and falls


def is_turnover(candidate: Floats, shares: Floats, price: Floats) -> bool:
    """Whether a column is the money that another one's shares cost."""
    traded = (shares > 0) & (candidate > 0) & (price > 0)
    if np.count_nonzero(traded) < 3:
        return False
    ratio = candidate[traded] / (shares[traded] * price[traded])
    # Turnover may be written in thousands or millions.
    size = float(np.median(ratio))
    if size <= 0:
        return False
    power = 10.0 ** np.round(np.log10(size))
    return bool(0.8 <= size / power <= 1.25 and np.mean(np.abs(ratio / size - 1) < 0.1) >= 0.9)


def is_size_times_price(candidate: Floats, price: Floats, securities: Ints) -> bool:
    """Whether a column follows the price, as a market capitalisation does, rather than trading."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, moves = np.log(candidate / price), np.log(price)
    follows = [
        bool(np.std(ratio[of_one]) < 0.25 * np.std(moves[of_one]))
        for code in np.unique(securities)[:50]
        if np.count_nonzero(of_one := (securities == code) & np.isfinite(ratio)) >= 4
    ]
    return bool(follows) and sum(follows) > 0.5 * len(follows)


def hardly_changes(candidate: Floats, securities: Ints) -> bool:
    """Whether a column keeps its value from row to row, as shares outstanding do."""
    same = [
        float(np.mean(np.diff(of_one) == 0))
        for code in np.unique(securities)[:50]
        if len(of_one := candidate[(securities == code) & np.isfinite(candidate)]) >= 4
    ]
    return bool(same) and float(np.median(same)) > 0.5

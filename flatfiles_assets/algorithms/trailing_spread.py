"""The spread of a pair at each session, with the hedge ratio known at that session.

Here: `trailing_spreads`. Not here: the test of a pair over one window (`cointegration`), of which
these are, session after session, the spread and the z-score.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flatfiles_assets.algorithms.cointegration import MIN_OBSERVATIONS
from flatfiles_assets.algorithms.panel import SAME_PRICE, BoolArray, FloatArray, carry_closes, long_gaps
from flatfiles_assets.algorithms.rolling import rolling_sum

_BATCH_PAIRS = 64
# As in `cointegration`: a spread this small beside y is rounding.
_COLLINEAR = 100 * np.sqrt(np.finfo(np.float64).eps)


def trailing_spreads(
    prices: FloatArray,
    dependent: npt.ArrayLike,
    regressor: npt.ArrayLike,
    n_rows: int,
    window: int,
    min_observations: int = MIN_OBSERVATIONS,
) -> tuple[FloatArray, FloatArray]:
    """Spread and z-score of each pair at the last `n_rows` rows, each from its own trailing window.

    At row t the regression of y on x over the last `window` rows gives the hedge ratio; the spread is
    y(t) - hedge_ratio(t) x(t), and the z-score is its distance from the spread's mean in sample
    standard deviations, both over the same window. No later row has any part in it.

    Args:
        prices: Shape (n, n_symbols), NaN where there is no price; oldest first.
        dependent: Column of y for each pair, shape (n_pairs,).
        regressor: Column of x for each pair.
        n_rows: Rows of the result.
        window: Rows of a window, the row itself included; near the beginning there are fewer.
        min_observations: Fewest rows of a window on which both have a price.

    Returns:
        Two matrices of shape (n_rows, n_pairs), NaN where there is no value, or where the window holds
        a gap of either symbol of more than `panel.MAX_GAP_SESSIONS`.
    """
    y_column, x_column = np.asarray(dependent, dtype=np.int64), np.asarray(regressor, dtype=np.int64)
    spread, zscore = (np.full((n_rows, len(y_column)), np.nan) for _ in range(2))
    broken = _gap_within(prices, n_rows, window)
    used = prices[max(len(prices) - n_rows - window + 1, 0) :]
    padding = n_rows + window - 1 - len(used)
    used = np.concatenate([np.full((padding, prices.shape[1]), np.nan), used])
    for first in range(0, len(y_column), _BATCH_PAIRS):
        batch = slice(first, first + _BATCH_PAIRS)
        spread[:, batch], zscore[:, batch] = _spreads(
            used[:, y_column[batch]], used[:, x_column[batch]], window, min_observations
        )
        across = broken[:, y_column[batch]] | broken[:, x_column[batch]]
        spread[:, batch][across] = np.nan
        zscore[:, batch][across] = np.nan
    return spread, zscore


def _gap_within(prices: FloatArray, n_rows: int, window: int) -> BoolArray:
    """Whether each window that ends in the last `n_rows` rows holds a long gap of a symbol."""
    gaps = long_gaps(carry_closes(prices) > 0)
    if gaps is None:
        return np.zeros((n_rows, prices.shape[1]), dtype=np.bool_)
    last = np.arange(len(prices) - n_rows, len(prices))
    broken: BoolArray = gaps[last] != gaps[np.maximum(last - window + 1, 0)]
    return broken


def _spreads(
    y: FloatArray, x: FloatArray, window: int, min_observations: int
) -> tuple[FloatArray, FloatArray]:
    both = np.isfinite(y) & np.isfinite(x)
    # Sums about a pair's first prices: squares of whole prices would cancel.
    origin = np.argmax(both, axis=0), np.arange(y.shape[1])
    y_origin, x_origin = y[origin], x[origin]
    dy, dx = np.where(both, y - y_origin, 0.0), np.where(both, x - x_origin, 0.0)
    count = rolling_sum(both.astype(np.float64), window)
    sum_y, sum_x = rolling_sum(dy, window), rolling_sum(dx, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares_x = rolling_sum(dx * dx, window) - sum_x * sum_x / count
        squares_y = rolling_sum(dy * dy, window) - sum_y * sum_y / count
        products = rolling_sum(dx * dy, window) - sum_x * sum_y / count
        hedge = products / squares_x
        rest = squares_y - hedge * products
        std = np.sqrt(rest / (count - 1))
        mean = sum_y / count + y_origin - hedge * (sum_x / count + x_origin)
        now = slice(window - 1, None)
        spread = y[now] - hedge * x[now]
        zscore = (spread - mean) / std
        moves = (squares_x > count * (SAME_PRICE * x_origin) ** 2) & (
            squares_y > count * (SAME_PRICE * y_origin) ** 2
        )
        tested = both[now] & (count >= min_observations) & moves
        reliable = tested & (rest / squares_y > _COLLINEAR)
    return np.where(tested, spread, np.nan), np.where(reliable, zscore, np.nan)

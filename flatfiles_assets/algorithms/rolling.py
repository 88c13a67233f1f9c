"""Statistics of every window of a matrix, in a number of steps logarithmic in the window.

Here: sums, moments, co-moments and exponentially weighted sums over rows. Not here: what the rows
mean.

A window of 2m rows is two windows of m rows side by side, so each doubling merges the windows of
the step before, and any length is a merge of the powers of two in it. Compared with running sums
that add the newest row and drop the oldest:

- a result depends on the rows of its window only, in an order of operations that does not depend on
  where the matrix starts, so it is the same bit for bit in a short and in a long run;
- NaN stays in the windows that contain it, and a large value leaves no rounding behind;
- moments are merged about their own means (Chan, Golub and LeVeque, "Updating formulae and a
  pairwise algorithm for computing sample variances", 1979), so nothing cancels.

Every function takes matrices of shape (n, k) and returns matrices of shape (n - window + 1, k)
whose row i is about the rows i … i + window - 1. Matrices must have at least `window` rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flatfiles_assets.algorithms.panel import SAME_PRICE, BoolArray, FloatArray

_State = tuple[FloatArray, ...]
# (state of the older part, its rows, state of the newer part, its rows) -> state of both.
_Merge = Callable[[_State, int, _State, int], _State]


def _fold(rows: _State, window: int, merge: _Merge) -> _State:
    n = len(rows[0])
    power, size = rows, 1
    result: _State = ()
    covered = 0
    remaining = window
    while True:
        if remaining & 1:
            keep = n - covered - size + 1
            newer = tuple(each[covered : covered + keep] for each in power)
            older = tuple(each[:keep] for each in result)
            result = merge(older, covered, newer, size) if covered else power
            covered += size
        remaining >>= 1
        if not remaining:
            return result
        keep = n - 2 * size + 1
        older, newer = tuple(e[:keep] for e in power), tuple(e[size : size + keep] for e in power)
        power, size = merge(older, size, newer, size), 2 * size


def rolling_sum(values: FloatArray, window: int) -> FloatArray:
    """Sum of each window."""
    return _fold((values,), window, lambda a, _m, b, _n: (a[0] + b[0],))[0]


def rolling_moments(values: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Mean of each window, and the sum of its squared deviations from that mean."""
    total, squares = _fold((values, np.zeros_like(values)), window, _merge_moments)
    return total / window, squares


def _merge_moments(older: _State, m: int, newer: _State, n: int) -> _State:
    (total_a, squares_a), (total_b, squares_b) = older, newer
    step = total_b / n - total_a / m
    return total_a + total_b, squares_a + squares_b + step * step * (m * n / (m + n))


def rolling_regression_slope(x: FloatArray, y: FloatArray, window: int) -> FloatArray:
    """Slope of the least-squares line of y on x, with an intercept; NaN where x is constant."""
    zeros = np.zeros_like(x)
    total, _, squares, products = _fold((x, y, zeros, zeros), window, _merge_comoments)
    moves = squares > (SAME_PRICE * total) ** 2 / window
    return np.divide(products, squares, out=np.full_like(squares, np.nan), where=moves)


def _merge_comoments(older: _State, m: int, newer: _State, n: int) -> _State:
    (x_a, y_a, squares_a, products_a), (x_b, y_b, squares_b, products_b) = older, newer
    step = x_b / n - x_a / m
    weighted = step * (m * n / (m + n))
    squares = squares_a + squares_b + weighted * step
    products = products_a + products_b + weighted * (y_b / n - y_a / m)
    return x_a + x_b, y_a + y_b, squares, products


def rolling_exponential_sums(
    first: FloatArray, second: FloatArray, starts: BoolArray, decay: float, window: int
) -> tuple[FloatArray, FloatArray]:
    """Sums of two series, the newest row with weight 1 and each older one with `decay` times the next.

    Where `starts` is true a new history begins, and older rows do not count.
    """

    def merge(older: _State, _m: int, newer: _State, n: int) -> _State:
        continues = newer[2]
        weight = decay**n * continues
        return older[0] * weight + newer[0], older[1] * weight + newer[1], older[2] * continues

    continues = np.where(starts, 0.0, 1.0)
    sums = _fold((first, second, continues), window, merge)
    return sums[0], sums[1]

"""Engle-Granger cointegration of many pairs at once, and what a pairs trader needs beside it.

Here: `engle_granger` for pairs of series. Not here: which pairs are worth testing (`pairs_trading`).

For y and x (Engle and Granger, "Co-integration and error correction", Econometrica 55, 1987):

- y = intercept + hedge_ratio x + residual, by least squares;
- `adf_statistic` of the residual, without constant, lags by AIC, and MacKinnon's `p_value` for two
  series with a constant: what ``statsmodels.tsa.stattools.coint(y, x)`` returns;
- the spread y - hedge_ratio x, its mean (the intercept), its sample standard deviation, and the
  z-score of its last observation;
- the half-life of the spread, -ln 2 / ln phi, from spread(t) = a + phi spread(t-1) + e by least
  squares; NaN unless 0 < phi < 1.

What cannot be tested is NaN, never an error:

- fewer than `MIN_OBSERVATIONS` sessions on which both have a price: everything but the count;
- y or x constant: everything but the count;
- (almost) collinear, R² of at least 1 - 1.49e-6, statsmodels' bound: the statistic is minus
  infinity and the p-value 0, as there; half-life and z-score are NaN, since the spread is noise.

Sessions on which either price is missing are left out, and the rest are taken as consecutive.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from flatfiles_assets.algorithms.augmented_dickey_fuller import adf_statistics
from flatfiles_assets.algorithms.mackinnon import p_values
from flatfiles_assets.algorithms.mean_reversion import half_life_sessions
from flatfiles_assets.algorithms.panel import SAME_PRICE, FloatArray

#: Fewest observations for which the regression with the most lags has more rows than regressors.
MIN_OBSERVATIONS = 22

# The square root of the machine's precision times 100, as in statsmodels.
_COLLINEAR = 100 * np.sqrt(np.finfo(np.float64).eps)


@dataclasses.dataclass(frozen=True, eq=False)
class PairStatistics:
    """One value per pair, in arrays of shape (n_pairs,); NaN where there is none.

    Attributes:
        hedge_ratio: Units of x that offset one of y.
        intercept: Of the regression of y on x, in y's unit.
        adf_statistic: Engle-Granger statistic.
        p_value: Of no cointegration.
        half_life_sessions: Half-life of the spread.
        spread_mean: Mean of y - hedge_ratio x.
        spread_std: Sample standard deviation of the spread.
        zscore: Last spread's distance from the mean, in standard deviations.
        observations: Sessions on which both have a price, int64.
    """

    hedge_ratio: FloatArray
    intercept: FloatArray
    adf_statistic: FloatArray
    p_value: FloatArray
    half_life_sessions: FloatArray
    spread_mean: FloatArray
    spread_std: FloatArray
    zscore: FloatArray
    observations: npt.NDArray[np.int64]


def engle_granger(prices: FloatArray, dependent: npt.ArrayLike, regressor: npt.ArrayLike) -> PairStatistics:
    """Test each pair of columns of a matrix of prices.

    Args:
        prices: Shape (n_sessions, n_symbols), NaN where there is no price; oldest first.
        dependent: Column of y for each pair, shape (n_pairs,).
        regressor: Column of x for each pair, shape (n_pairs,).
    """
    y_column, x_column = np.asarray(dependent, dtype=np.int64), np.asarray(regressor, dtype=np.int64)
    present = np.isfinite(prices)
    history = np.ascontiguousarray(prices.T)
    weights = present.astype(np.float64)
    observations = (weights.T @ weights)[y_column, x_column].astype(np.int64)
    names = [field.name for field in dataclasses.fields(PairStatistics) if field.name != "observations"]
    results = {name: np.full(len(y_column), np.nan) for name in names}
    # Pairs with equally many observations make one rectangular batch, whichever sessions they are.
    for count in np.unique(observations[observations >= MIN_OBSERVATIONS]):
        pairs = np.flatnonzero(observations == count)
        for batch in np.array_split(pairs, max(1, len(pairs) // _BATCH_PAIRS)):
            y, x = history[y_column[batch]], history[x_column[batch]]
            if count < len(prices):
                both = present.T[y_column[batch]] & present.T[x_column[batch]]
                y, x = y[both].reshape(-1, count), x[both].reshape(-1, count)
            for name, values in _complete_pairs(y, x).items():
                results[name][batch] = values
    return PairStatistics(**results, observations=observations)


_BATCH_PAIRS = 512


def _complete_pairs(y: FloatArray, x: FloatArray) -> dict[str, FloatArray]:
    """Statistics of pairs without gaps; both of shape (n_pairs, n_observations)."""
    y_mean, x_mean = y.mean(axis=1, keepdims=True), x.mean(axis=1, keepdims=True)
    y_centred, x_centred = y - y_mean, x - x_mean
    moving = (np.ptp(y, axis=1) > SAME_PRICE * abs(y_mean[:, 0])) & (
        np.ptp(x, axis=1) > SAME_PRICE * abs(x_mean[:, 0])
    )
    y_squares, x_squares = _dot(y_centred, y_centred), _dot(x_centred, x_centred)
    with np.errstate(divide="ignore", invalid="ignore"):
        hedge = np.where(moving, _dot(x_centred, y_centred) / x_squares, np.nan)
        residual = y_centred - hedge[:, None] * x_centred
        squares = _dot(residual, residual)
        collinear = moving & (squares / y_squares <= _COLLINEAR)
        std = np.sqrt(squares / (y.shape[1] - 1))
        zscore = residual[:, -1] / std
        earlier, later = residual[:, :-1], residual[:, 1:]
        earlier = earlier - earlier.mean(axis=1, keepdims=True)
        phi = _dot(earlier, later - later.mean(axis=1, keepdims=True)) / _dot(earlier, earlier)
    statistic = np.where(collinear, -np.inf, np.nan)
    testable = moving & ~collinear
    statistic[testable] = adf_statistics(residual[testable])
    mean = (y_mean - hedge[:, None] * x_mean)[:, 0]
    return {
        "hedge_ratio": hedge,
        "intercept": mean,
        "adf_statistic": statistic,
        "p_value": p_values(statistic),
        "half_life_sessions": np.where(testable, half_life_sessions(phi), np.nan),
        "spread_mean": mean,
        "spread_std": std,
        "zscore": np.where(testable, zscore, np.nan),
    }


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    products: FloatArray = np.einsum("pt,pt->p", a, b)
    return products

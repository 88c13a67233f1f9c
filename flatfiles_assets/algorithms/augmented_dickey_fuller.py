"""The augmented Dickey-Fuller statistic of many series at once.

Here: `adf_statistics`, without constant or trend, with the number of lags chosen by Akaike's
criterion (Said and Dickey 1984; Schwert 1989 for the largest lag), as
``statsmodels.tsa.stattools.adfuller(x, regression="n", autolag="aic")`` defines every step. Not here:
p-values (`mackinnon`), the regression that makes the series (`cointegration`).

How. The change of a series is regressed on its level before and on k earlier changes. The models
k = 0 … K are nested, so one Cholesky factor of one Gram matrix of [level, lags 1 … K, change] holds
the residual sum of squares of them all: that of model k is the squared norm of what the factor's
last column has below row k. The chosen model is then fitted again on its own, longer sample, with
the level as the last regressor, whose t-statistic the factor's corner shows. Squaring a matrix into
its Gram matrix squares its condition number, so series whose factor shows a weak pivot are fitted
one by one by singular values instead.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flatfiles_assets.algorithms.panel import BoolArray, FloatArray

# Of columns of length 1: a smaller squared pivot leaves fewer digits than the results promise.
_WEAKEST_PIVOT = 1e-6
# Keeps the lagged columns of a batch at some megabytes.
_BATCH_SERIES = 256


def largest_lag(n_observations: int) -> int:
    """Schwert's rule, limited so that a regression is left: ceil(12 (n / 100)^(1/4))."""
    return min(n_observations // 2 - 1, int(np.ceil(12.0 * np.power(n_observations / 100.0, 0.25))))


def adf_statistics(series: FloatArray) -> FloatArray:
    """The statistic of each row.

    Args:
        series: Shape (n_series, n_observations), finite, no row constant, enough observations for
            more rows than regressors (22 always are).

    Returns:
        Shape (n_series,).
    """
    out = np.empty(len(series))
    for first in range(0, len(series), _BATCH_SERIES):
        out[first : first + _BATCH_SERIES] = _batch(series[first : first + _BATCH_SERIES])
    return out


def _batch(series: FloatArray) -> FloatArray:
    max_lag = largest_lag(series.shape[1])
    # The scale changes nothing but keeps products far from the ends of the floating range.
    series = series / np.abs(series).max(axis=1, keepdims=True)
    lags, sound = _best_lags(series, max_lag)
    out = np.empty(len(series))
    for lag in np.unique(lags[sound]):
        chosen = np.flatnonzero(sound & (lags == lag))
        out[chosen], well_conditioned = _level_statistics(series[chosen], int(lag))
        sound[chosen[~well_conditioned]] = False
    for row in np.flatnonzero(~sound):
        out[row] = _by_singular_values(series[row], max_lag)
    return out


def _regression(series: FloatArray, lag: int, level_last: bool) -> FloatArray:
    """Regressors and then the change, as rows: shape (n_series, lag + 2, n_rows)."""
    change = np.diff(series, axis=1)
    n_rows = change.shape[1] - lag
    columns = np.empty((len(series), lag + 2, n_rows))
    lagged = columns[:, :lag] if level_last else columns[:, 1 : lag + 1]
    for k in range(1, lag + 1):
        lagged[:, k - 1] = change[:, lag - k : lag - k + n_rows]
    columns[:, lag if level_last else 0] = series[:, lag : lag + n_rows]
    columns[:, -1] = change[:, lag:]
    return columns


def _cholesky(columns: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Upper factors of the Gram matrices of scaled columns, as (row, column, series), and soundness.

    Scaling the regressors and the change to length 1 changes neither the order of the models nor a
    t-statistic.
    """
    gram = np.matmul(columns, columns.transpose(0, 2, 1))
    length = np.sqrt(np.diagonal(gram, axis1=1, axis2=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        gram /= length[:, :, None] * length[:, None, :]
    factor = np.ascontiguousarray(gram.transpose(1, 2, 0))
    size = len(factor)
    weakest = np.full(len(columns), np.inf)
    for j in range(size):
        if j:
            factor[j, j:] -= np.einsum("ip,ikp->kp", factor[:j, j], factor[:j, j:])
        # The pivot of the change is a residual, small for a good fit, and no regressor.
        if j < size - 1:
            weakest = np.fmin(weakest, np.where(np.isnan(factor[j, j]), -np.inf, factor[j, j]))
        with np.errstate(divide="ignore", invalid="ignore"):
            factor[j, j:] /= np.sqrt(factor[j, j])
    return factor, (weakest > _WEAKEST_PIVOT) & (factor[-1, -1] > 0)


def _best_lags(series: FloatArray, max_lag: int) -> tuple[npt.NDArray[np.int64], BoolArray]:
    """The lag of least AIC over the sample that the largest lag leaves; the fewest where equal."""
    columns = _regression(series, max_lag, level_last=False)
    factor, sound = _cholesky(columns)
    squares = factor[:, -1] ** 2
    # Row k of the reversed sums: what model k (level and k lags) leaves of the change.
    left = np.cumsum(squares[::-1], axis=0)[::-1][1:]
    n_rows = columns.shape[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        aic = n_rows * np.log(left) + 2.0 * np.arange(1, max_lag + 2)[:, None]
    return np.argmin(aic, axis=0), sound


def _level_statistics(series: FloatArray, lag: int) -> tuple[FloatArray, BoolArray]:
    columns = _regression(series, lag, level_last=True)
    factor, sound = _cholesky(columns)
    degrees_of_freedom = columns.shape[2] - (lag + 1)
    return factor[-2, -1] / factor[-1, -1] * np.sqrt(degrees_of_freedom), sound


def _by_singular_values(series: FloatArray, max_lag: int) -> float:
    """The same for one series, through pseudo-inverses, which also serve singular regressions."""
    columns = _regression(series[None], max_lag, level_last=False)[0]
    aic = [_least_squares(columns[: k + 1], columns[-1])[1] for k in range(max_lag + 1)]
    best = int(np.argmin(aic))
    columns = _regression(series[None], best, level_last=False)[0]
    return _least_squares(columns[:-1], columns[-1])[0]


def _least_squares(regressors: FloatArray, target: FloatArray) -> tuple[float, float]:
    """t-statistic of the first regressor, and AIC without its constant."""
    inverse = np.linalg.pinv(regressors.T)
    coefficients = inverse @ target
    rank = int(np.linalg.matrix_rank(regressors.T))
    n_rows = len(target)
    residual = float(np.sum((target - coefficients @ regressors) ** 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(residual / (n_rows - rank) * np.sum(inverse[0] ** 2))
        return float(coefficients[0] / error), float(n_rows * np.log(residual) + 2 * rank)

"""P-values and critical values of the cointegration statistic of two series, with a constant.

Here: MacKinnon's response surfaces for N = 2, constant, no trend. Not here: the statistic.

The numbers are published facts:
- p-values: J. G. MacKinnon, "Approximate asymptotic distribution functions for unit-root and
  cointegration tests", Journal of Business & Economic Statistics 12 (1994) 167-176, tables 3 and 4;
- critical values: J. G. MacKinnon, "Critical values for cointegration tests", Queen's University
  Economics Department Working Paper 1227 (2010), table 2.
"""

from __future__ import annotations

import math

import numpy as np

from flatfiles_assets.algorithms.panel import FloatArray

# Below the first the p-value is 0, above the last it is 1; at the middle one the polynomials change.
_TAU_MIN, _TAU_STAR, _TAU_MAX = -18.86, -2.62, 0.92
# Coefficients of 1, tau, tau^2, tau^3 in the argument of the normal distribution.
_LEFT_TAIL = (2.92, 1.5012, 0.039796)
_REST = (2.1945, 0.64695, -0.29198, -0.042377)

# Rows: 1, 5 and 10 %. Coefficients of 1, 1/T, 1/T^2.
_CRITICAL = np.array(
    [[-3.89644, -10.9519, -33.527], [-3.33613, -6.1101, -6.823], [-3.04445, -4.2412, -2.720]]
)

_normal_tail = np.frompyfunc(lambda z: 0.5 * math.erfc(-z / math.sqrt(2.0)), 1, 1)


def p_values(statistics: FloatArray) -> FloatArray:
    """Asymptotic p-values of Engle-Granger statistics; NaN stays NaN, minus infinity gives 0."""
    inside = np.clip(statistics, _TAU_MIN, _TAU_MAX)
    argument = np.where(
        inside <= _TAU_STAR,
        np.polynomial.polynomial.polyval(inside, _LEFT_TAIL),
        np.polynomial.polynomial.polyval(inside, _REST),
    )
    p = _normal_tail(argument).astype(np.float64)
    p = np.where(statistics < _TAU_MIN, 0.0, np.where(statistics > _TAU_MAX, 1.0, p))
    return np.where(np.isnan(statistics), np.nan, p)


def critical_values(n_observations: int) -> FloatArray:
    """The 1, 5 and 10 % critical values of the statistic for samples of that size."""
    powers = 1.0 / float(n_observations) ** np.arange(3)
    values: FloatArray = _CRITICAL @ powers
    return values

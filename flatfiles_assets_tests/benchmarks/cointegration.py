"""Engle-Granger over all ordered pairs of 100 symbols, against a loop over statsmodels."""

from __future__ import annotations

import warnings

import numpy as np
from statsmodels.tsa.stattools import coint

from flatfiles_assets.algorithms.cointegration import engle_granger
from flatfiles_assets_tests.benchmarks.report import Row, median_seconds

_SESSIONS, _SYMBOLS, _SAMPLE = 252, 100, 200


def run() -> list[Row]:
    """Measure both; statsmodels on a sample of the pairs, scaled to all of them, and compare results."""
    rng = np.random.default_rng(0)
    factors = np.cumsum(rng.normal(0, 1, (_SESSIONS, 3)), axis=0)
    own = np.cumsum(rng.normal(0, 0.3, (_SESSIONS, _SYMBOLS)), axis=0)
    prices = 100 + factors @ rng.normal(0, 1, (3, _SYMBOLS)) + own
    y, x = np.nonzero(~np.eye(_SYMBOLS, dtype=bool))
    ours_s = median_seconds(lambda: engle_granger(prices, y, x))
    sample = rng.choice(len(y), _SAMPLE, replace=False)
    reference: list[tuple[float, float]] = []

    def loop() -> None:
        reference[:] = [coint(prices[:, y[i]], prices[:, x[i]])[:2] for i in sample]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer_s = median_seconds(loop) * len(y) / _SAMPLE
    found = engle_granger(prices, y[sample], x[sample])
    ours = np.column_stack([found.adf_statistic, found.p_value])
    np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-8)
    claim = f"cointegration of {len(y):,} ordered pairs x {_SESSIONS} sessions, equal to 1e-8"
    return [Row(claim, ours_s, "statsmodels.coint loop", peer_s, "s", peer_s / ours_s, ">= 50")]


if __name__ == "__main__":
    print(*run(), sep="\n")

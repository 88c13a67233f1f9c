"""Each session's spread is what the test of its own trailing window says, and nothing later counts."""

from __future__ import annotations

import numpy as np
import pytest

from flatfiles_assets.algorithms.cointegration import engle_granger
from flatfiles_assets.algorithms.trailing_spread import trailing_spreads

WINDOW = 60


def _prices(n: int = 200, seed: int = 1, gaps: float = 0.05) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    prices = np.column_stack(
        [1.4 * x + rng.normal(0, 0.5, n), x, 30 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))]
    )
    prices[rng.random(prices.shape) < gaps] = np.nan
    return prices


Y, X = [0, 1, 2], [1, 0, 0]


def test_the_zscore_of_each_session_is_that_of_the_cointegration_test_on_its_window():
    prices = _prices()
    n_rows = 120
    spread, zscore = trailing_spreads(prices, Y, X, n_rows, WINDOW)
    compared = 0
    for row in range(n_rows):
        end = len(prices) - n_rows + row + 1
        expected = engle_granger(prices[end - WINDOW : end], Y, X)
        for pair, (y, x) in enumerate(zip(Y, X, strict=True)):
            now = prices[end - 1, [y, x]]
            if np.isnan(now).any():
                assert np.isnan(zscore[row, pair])
                continue
            assert zscore[row, pair] == pytest.approx(expected.zscore[pair], abs=1e-8)
            assert spread[row, pair] == pytest.approx(now[0] - expected.hedge_ratio[pair] * now[1], rel=1e-9)
            compared += 1
    assert compared > 250


def test_later_prices_change_nothing():
    prices = _prices()
    disturbed = prices.copy()
    disturbed[150:] *= np.random.default_rng(2).uniform(0.5, 2, disturbed[150:].shape)
    before, after = (trailing_spreads(each, Y, X, 100, WINDOW) for each in (prices, disturbed))
    for left, right in zip(before, after, strict=True):
        np.testing.assert_array_equal(left[:50], right[:50])
        assert not np.array_equal(left[50:], right[50:], equal_nan=True)


def test_windows_grow_from_the_first_price_to_their_length():
    prices = _prices(30, gaps=0)
    _, zscore = trailing_spreads(prices, Y, X, 30, WINDOW, min_observations=22)
    assert np.isnan(zscore[:21]).all()
    assert np.isfinite(zscore[21:]).all()


def test_what_cannot_be_tested_is_nan():
    n = 100
    constant, rising = np.full(n, 10.0), np.linspace(10, 20, n)
    prices = np.column_stack([constant, rising, 2 * rising, np.full(n, np.nan)])
    spread, zscore = trailing_spreads(prices, [0, 1, 2, 3], [1, 0, 1, 1], 20, WINDOW)
    assert np.isnan(zscore).all()
    assert np.isnan(spread[:, [0, 1, 3]]).all()


def test_many_pairs_are_each_computed_as_if_alone():
    prices = np.column_stack([_prices(seed=seed) for seed in range(4)])
    y, x = np.nonzero(~np.eye(12, dtype=bool))
    together = trailing_spreads(prices, y, x, 10, WINDOW)[1]
    alone = np.column_stack(
        [trailing_spreads(prices, [a], [b], 10, WINDOW)[1] for a, b in zip(y, x, strict=True)]
    )
    np.testing.assert_array_equal(together, alone)

import numpy as np
import pandas as pd
import pytest

from flatfiles_assets.algorithms.rolling import (
    rolling_exponential_sums,
    rolling_moments,
    rolling_regression_slope,
    rolling_sum,
)

VALUES = np.random.default_rng(0).normal(100, 3, (300, 4))


@pytest.mark.parametrize("window", [1, 2, 3, 20, 21, 63, 64, 252, 300])
def test_sums_and_moments_agree_with_pandas(window):
    frame = pd.DataFrame(VALUES).rolling(window)
    np.testing.assert_allclose(rolling_sum(VALUES, window), frame.sum().to_numpy()[window - 1 :], rtol=1e-12)
    mean, squares = rolling_moments(VALUES, window)
    np.testing.assert_allclose(mean, frame.mean().to_numpy()[window - 1 :], rtol=1e-12)
    expected = frame.var(ddof=0).to_numpy()[window - 1 :]
    np.testing.assert_allclose(squares / window, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("window", [5, 62])
def test_slopes_agree_with_least_squares(window):
    x, y = VALUES[:-1], VALUES[1:]
    slope = rolling_regression_slope(x, y, window)
    for row in (0, 17, len(slope) - 1):
        expected = np.polyfit(x[row : row + window, 2], y[row : row + window, 2], 1)[0]
        assert slope[row, 2] == pytest.approx(expected, rel=1e-9)


def test_exponential_sums_weigh_by_age_and_forget_what_is_before_a_start():
    starts = np.zeros(VALUES.shape, dtype=bool)
    starts[150, 1] = True
    sums, _ = rolling_exponential_sums(VALUES, VALUES, starts, 0.9, 100)
    weights = 0.9 ** np.arange(100)[::-1]
    np.testing.assert_allclose(sums[80, 0], weights @ VALUES[80:180, 0], rtol=1e-13)
    np.testing.assert_allclose(sums[80, 1], weights[70:] @ VALUES[150:180, 1], rtol=1e-13)


@pytest.mark.parametrize("window", [20, 63, 100])
def test_a_window_is_the_same_bit_for_bit_wherever_the_matrix_starts(window):
    whole, late = rolling_moments(VALUES, window), rolling_moments(VALUES[37:], window)
    for all_rows, some_rows in zip(whole, late, strict=True):
        np.testing.assert_array_equal(all_rows[37:], some_rows)


def test_equal_values_have_no_deviation_at_all():
    _, squares = rolling_moments(np.full((40, 1), 0.1), 20)
    assert (squares == 0).all()


def test_a_missing_or_a_huge_value_leaves_no_trace_behind_its_windows():
    spoiled = VALUES.copy()
    spoiled[100, 0], spoiled[100, 1] = np.nan, 1e15
    clean, (mean, squares) = rolling_moments(VALUES, 20), rolling_moments(spoiled, 20)
    np.testing.assert_array_equal(mean[101:], clean[0][101:])
    np.testing.assert_array_equal(squares[101:], clean[1][101:])
    assert np.isnan(mean[81:101, 0]).all()

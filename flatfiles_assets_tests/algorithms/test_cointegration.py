import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.tsa.adfvalues import mackinnoncrit, mackinnonp
from statsmodels.tsa.stattools import coint

from flatfiles_assets.algorithms.cointegration import MIN_OBSERVATIONS, engle_granger
from flatfiles_assets.algorithms.mackinnon import critical_values, p_values

N_SESSIONS = 252


def _reference(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    both = np.isfinite(y) & np.isfinite(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statistic, p_value, _ = coint(y[both], x[both])
    return statistic, p_value


def _assert_agrees(prices: np.ndarray, y: np.ndarray, x: np.ndarray) -> None:
    ours = engle_granger(prices, y, x)
    expected = np.array([_reference(prices[:, i], prices[:, j]) for i, j in zip(y, x, strict=True)])
    np.testing.assert_allclose(ours.adf_statistic, expected[:, 0], rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.p_value, expected[:, 1], rtol=0, atol=1e-8)


def _market(n_symbols: int, seed: int) -> np.ndarray:
    """Prices of every degree of cointegration, at levels from cents to thousands."""
    rng = np.random.default_rng(seed)
    factors = np.cumsum(rng.normal(0, 1, (N_SESSIONS, 4)), axis=0)
    own = np.cumsum(rng.normal(0, 1, (N_SESSIONS, n_symbols)), axis=0) * rng.choice([0, 0.05, 1], n_symbols)
    prices = factors @ rng.normal(0, 1, (4, n_symbols)) + own + rng.normal(0, 0.3, own.shape)
    return (60 + prices) * 10.0 ** rng.uniform(-2, 2, n_symbols)


@pytest.mark.slow
def test_statistic_and_p_value_agree_with_statsmodels_on_a_thousand_pairs():
    prices = _market(40, seed=31)
    y, x = np.nonzero(~np.eye(40, dtype=bool))
    chosen = np.random.default_rng(1).permutation(len(y))[:1000]
    _assert_agrees(prices, y[chosen], x[chosen])


def test_pairs_with_gaps_agree_with_statsmodels_on_their_common_sessions():
    prices = _market(10, seed=32)
    prices[np.random.default_rng(2).random(prices.shape) < 0.05] = np.nan
    prices[:150, 0] = np.nan
    y, x = np.nonzero(~np.eye(10, dtype=bool))
    _assert_agrees(prices, y, x)
    both = np.isfinite(prices[:, 0]) & np.isfinite(prices[:, 1])
    assert engle_granger(prices, [0], [1]).observations[0] == both.sum()


@pytest.mark.parametrize("n_sessions", [MIN_OBSERVATIONS, 23, 30, 57, 101, 500])
def test_samples_of_every_length_agree_with_statsmodels(n_sessions):
    rng = np.random.default_rng(n_sessions)
    prices = 50 + np.cumsum(rng.normal(0, 1, (n_sessions, 5)), axis=0)
    y, x = np.nonzero(~np.eye(5, dtype=bool))
    _assert_agrees(prices, y, x)


def test_badly_conditioned_series_agree_with_statsmodels():
    t = np.arange(N_SESSIONS)
    rng = np.random.default_rng(33)
    smooth = np.cumsum(np.cumsum(np.cumsum(rng.normal(0, 1e-3, N_SESSIONS))))
    late = np.where(t < 245, 50.0, 50.0 + rng.normal(0, 1, N_SESSIONS))
    prices = np.column_stack(
        [
            100 + smooth,
            100 + np.sin(t / 30) + 1e-6 * rng.normal(size=N_SESSIONS),
            100 + np.cumsum(rng.normal(0, 1, N_SESSIONS)),
            late,
            np.round(20 + 0.1 * np.cumsum(rng.normal(0, 1, N_SESSIONS)), 1),
        ]
    )
    y, x = np.nonzero(~np.eye(5, dtype=bool))
    _assert_agrees(prices, y, x)


def test_collinear_pairs_are_minus_infinity_as_in_statsmodels_and_have_no_zscore():
    prices = _market(2, seed=34)
    prices[:, 1] = 3 * prices[:, 0] + 7
    _assert_agrees(prices, np.array([0, 1]), np.array([1, 0]))
    ours = engle_granger(prices, [0, 1], [1, 0])
    assert (ours.adf_statistic == -np.inf).all()
    assert (ours.p_value == 0).all()
    np.testing.assert_allclose(ours.hedge_ratio, [1 / 3, 3])
    assert np.isnan(ours.zscore).all()
    assert np.isnan(ours.half_life_sessions).all()


@pytest.mark.parametrize(("unexplained", "collinear"), [(1e-6, True), (1.3e-6, True), (1.7e-6, False)])
def test_almost_collinear_is_what_statsmodels_takes_for_it(unexplained, collinear):
    rng = np.random.default_rng(39)
    x = np.cumsum(rng.normal(0, 1, N_SESSIONS))
    noise = rng.normal(0, 1, N_SESSIONS)
    design = sm.add_constant(x)
    noise -= sm.OLS(noise, design).fit().fittedvalues
    noise *= np.sqrt(unexplained / (1 - unexplained)) * x.std() / noise.std()
    prices = np.column_stack([100 + x + noise, 100 + x])
    _assert_agrees(prices, np.array([0]), np.array([1]))
    assert np.isneginf(engle_granger(prices, [0], [1]).adf_statistic[0]) == collinear


def test_constant_series_have_no_result_on_either_side():
    prices = _market(2, seed=35)
    prices[:, 1] = 12.5
    ours = engle_granger(prices, [0, 1], [1, 0])
    for name in ("hedge_ratio", "adf_statistic", "p_value", "half_life_sessions", "zscore", "spread_std"):
        assert np.isnan(getattr(ours, name)).all(), name
    assert ours.observations.tolist() == [N_SESSIONS, N_SESSIONS]


def test_too_short_samples_have_no_result_but_their_count():
    prices = _market(2, seed=36)
    prices[MIN_OBSERVATIONS - 1 :, 1] = np.nan
    ours = engle_granger(prices, [0], [1])
    assert ours.observations[0] == MIN_OBSERVATIONS - 1
    assert np.isnan(ours.adf_statistic[0])
    assert np.isnan(ours.hedge_ratio[0])


def test_pairs_without_a_common_session_and_no_pairs_at_all_are_no_error():
    prices = _market(2, seed=37)
    prices[::2, 0], prices[1::2, 1] = np.nan, np.nan
    assert engle_granger(prices, [0], [1]).observations[0] == 0
    assert len(engle_granger(prices, [], []).p_value) == 0


def test_hedge_ratio_spread_and_half_life_agree_with_least_squares():
    prices = _market(6, seed=38)
    y, x = np.nonzero(~np.eye(6, dtype=bool))
    ours = engle_granger(prices, y, x)
    assert np.isfinite(ours.half_life_sessions).any()
    for pair, (i, j) in enumerate(zip(y, x, strict=True)):
        fit = sm.OLS(prices[:, i], sm.add_constant(prices[:, j])).fit()
        assert ours.intercept[pair] == pytest.approx(fit.params[0], rel=1e-8)
        assert ours.hedge_ratio[pair] == pytest.approx(fit.params[1], rel=1e-8)
        spread = prices[:, i] - fit.params[1] * prices[:, j]
        assert ours.spread_mean[pair] == pytest.approx(spread.mean(), rel=1e-8)
        assert ours.spread_std[pair] == pytest.approx(spread.std(ddof=1), rel=1e-8)
        z = (spread[-1] - spread.mean()) / spread.std(ddof=1)
        assert ours.zscore[pair] == pytest.approx(z, rel=1e-7)
        phi = sm.OLS(spread[1:], sm.add_constant(spread[:-1])).fit().params[1]
        expected = -np.log(2) / np.log(phi) if 0 < phi < 1 else np.nan
        assert ours.half_life_sessions[pair] == pytest.approx(expected, rel=1e-7, nan_ok=True)


def test_p_values_and_critical_values_are_mac_kinnons():
    statistics = np.concatenate([np.linspace(-20, 2, 500), [-18.86, -2.62, 0.92, -np.inf]])
    expected = [mackinnonp(s, regression="c", N=2) for s in statistics]
    np.testing.assert_allclose(p_values(statistics), expected, rtol=0, atol=1e-14)
    assert np.isnan(p_values(np.array([np.nan]))[0])
    np.testing.assert_allclose(critical_values(251), mackinnoncrit(N=2, regression="c", nobs=251), rtol=1e-14)

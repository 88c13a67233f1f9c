"""Vectorised option pricing is the reference's, and refuses what no volatility makes."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.algorithms.option_pricing import (
    REASONS,
    greeks,
    implied_volatility,
    normal_distribution,
    value,
)

RATE, YIELD = 0.03, 0.012


def contracts(n: int = 400):
    rng = np.random.default_rng(7)
    spot = rng.uniform(5, 500, n)
    strike = spot * np.exp(rng.normal(0, 0.25, n))
    return rng.random(n) < 0.5, spot, strike, rng.uniform(2 / 365, 2, n), rng.uniform(0.05, 1.5, n)


def test_the_normal_distribution_is_that_of_the_standard_library():
    x = np.linspace(-37, 37, 20_001)
    expected = [0.5 * math.erfc(-each / math.sqrt(2)) for each in x.tolist()]
    np.testing.assert_allclose(normal_distribution(x), expected, rtol=1e-12)


def test_values_greeks_and_volatilities_are_those_of_vollib():
    models = importlib.import_module("vollib.black_scholes_merton")
    analytical = importlib.import_module("vollib.black_scholes_merton.greeks.analytical")
    implied = importlib.import_module("vollib.black_scholes_merton.implied_volatility")
    case = contracts()
    prices = value(*case, RATE, YIELD)
    found = greeks(*case, RATE, YIELD)
    volatility, reasons = implied_volatility(prices, *case[:4], RATE, YIELD, american=False)
    for number, (is_call, s, k, t, v) in enumerate(zip(*map(np.ndarray.tolist, case), strict=True)):
        flag = "c" if is_call else "p"
        assert prices[number] == pytest.approx(
            models.black_scholes_merton(flag, s, k, t, RATE, v, YIELD), abs=1e-8
        )
        for name, unit in (("delta", 1), ("gamma", 1), ("vega", 0.01), ("theta", 1 / 365), ("rho", 0.01)):
            expected = getattr(analytical, name)(flag, s, k, t, RATE, v, YIELD)
            assert getattr(found, name)[number] * unit == pytest.approx(expected, abs=1e-8), name
        if found.vega[number] > 1e-3 * s:  # else the price holds no digits of it
            assert reasons[number] == 0
            expected = implied.implied_volatility(prices[number], s, k, t, RATE, YIELD, flag)
            assert volatility[number] == pytest.approx(expected, abs=1e-8)
            assert volatility[number] == pytest.approx(v, abs=1e-8)


@settings(deadline=None)
@given(
    is_call=st.booleans(), moneyness=st.floats(-0.6, 0.6), years=st.floats(1 / 365, 5),
    volatility=st.floats(0.03, 3), rate=st.floats(-0.02, 0.1), dividend_yield=st.floats(0, 0.1),
)  # fmt: skip
def test_the_volatility_of_a_value_comes_back(is_call, moneyness, years, volatility, rate, dividend_yield):
    case = (np.array([is_call]), np.array([100.0]), np.array([100 * math.exp(moneyness)]), np.array([years]))
    price = value(*case, np.array([volatility]), rate, dividend_yield)
    (vega,) = greeks(*case, np.array([volatility]), rate, dividend_yield).vega
    found, reasons = implied_volatility(price, *case, rate, dividend_yield, american=False)
    if vega > 1e-3:
        assert reasons[0] == 0
        assert found[0] == pytest.approx(volatility, abs=1e-8 + 1e-12 / vega)


@pytest.mark.parametrize(
    ("price", "is_call", "spot", "strike", "years", "reason"),
    [
        (math.nan, True, 100, 100, 1, "no price"),
        (0.0, True, 100, 100, 1, "no price"),
        (5.0, True, math.nan, 100, 1, "no underlying price"),
        (5.0, True, 100, 100, 0, "expired or expires on the session"),
        (9.9, True, 110, 100, 1, "below the value of exercise"),
        (9.9, False, 90, 100, 1, "below the value of exercise"),
        (100.0, True, 100, 90, 1, "not below the underlying or the strike"),
        (99.9, False, 50, 100, 1, "not below the underlying or the strike"),
        (10.5, True, 110, 100, 1, "below the lower bound of a European option"),
    ],
)
def test_a_price_that_no_volatility_makes_has_none_and_says_why(price, is_call, spot, strike, years, reason):
    arrays = (np.array([price]), np.array([is_call]), *(np.array([float(v)]) for v in (spot, strike, years)))
    found, codes = implied_volatility(*arrays, RATE, 0.0)
    assert math.isnan(found[0])
    assert REASONS[codes[0]] == reason

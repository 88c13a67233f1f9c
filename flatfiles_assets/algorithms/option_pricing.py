"""European options by Black, Scholes and Merton: values, greeks and implied volatility, vectorised.

Here: numbers alone, as arrays that broadcast against each other. Not here: which prices, rates and days a
chain has (`data_integration/chain_volatility.py`).

Formulas: F. Black and M. Scholes, The Pricing of Options and Corporate Liabilities (1973); R. Merton, Theory
of Rational Option Pricing (1973), with a continuous dividend yield. The normal distribution is W. J. Cody's,
Rational Chebyshev Approximations for the Error Function (1969), good to the last digits of a double.

Exercise before expiry has no value for a call on what pays no dividend, so that such calls are exact. For
other American options it has, and a volatility implied by the European value is then somewhat too high:
for puts the more, the deeper in the money and the higher the rate. A price below what immediate exercise
pays is nobody's price, and implies nothing.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from flatfiles_assets.algorithms.panel import BoolArray, FloatArray

#: Why a price implies no volatility, by code; 0 where it does.
REASONS: tuple[str | None, ...] = (
    None,
    "no price",
    "no underlying price",
    "expired or expires on the session",
    "below the value of exercise",
    "not below the underlying or the strike",
    "below the lower bound of a European option",
)

_MOST_STEPS = 100
_TOLERANCE = 1e-14
_SQRT_2 = np.sqrt(2.0)
_SQRT_2_PI = np.sqrt(2.0 * np.pi)

_SMALL_TOP = (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
              3.20937758913846947e3)  # fmt: skip
_SMALL_BOTTOM = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
                 2.84423683343917062e3)  # fmt: skip
_MIDDLE_TOP = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
               2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
               1.23033935479799725e3)  # fmt: skip
_MIDDLE_BOTTOM = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
                  1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
                  1.23033935480374942e3)  # fmt: skip
_LARGE_TOP = (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
              1.60837851487422766e-2, 6.58749161529837803e-4)  # fmt: skip
_LARGE_BOTTOM = (1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1,
                 6.05183413124413191e-2, 2.33520497626869185e-3)  # fmt: skip


def normal_distribution(x: FloatArray) -> FloatArray:
    """The standard normal distribution function."""
    z = -np.asarray(x, dtype=np.float64) / _SQRT_2
    size = np.abs(z)
    result = np.full(z.shape, np.nan)
    small, large = size <= 0.46875, size > 4.0
    middle = (size > 0.46875) & ~large
    s = z[small]
    result[small] = 1.0 - s * np.polyval(_SMALL_TOP, s * s) / np.polyval(_SMALL_BOTTOM, s * s)
    m = size[middle]
    result[middle] = np.exp(-m * m) * np.polyval(_MIDDLE_TOP, m) / np.polyval(_MIDDLE_BOTTOM, m)
    far = np.minimum(size[large], 40.0)
    inverse = 1.0 / (far * far)
    tail = inverse * np.polyval(_LARGE_TOP, inverse) / np.polyval(_LARGE_BOTTOM, inverse)
    result[large] = np.exp(-far * far) * (1.0 / np.sqrt(np.pi) - tail) / far
    negative = (z < 0) & ~small
    result[negative] = 2.0 - result[negative]
    return result / 2.0


def _density(x: FloatArray) -> FloatArray:
    density: FloatArray = np.exp(-x * x / 2.0) / _SQRT_2_PI
    return density


@dataclasses.dataclass(frozen=True)
class Greeks:
    """Sensitivities of a value per share.

    Attributes:
        delta: To the underlying.
        gamma: Of delta to the underlying.
        vega: To the volatility, per 1.00 (not per percent).
        theta: To time, per year (negative: what is lost as time passes).
        rho: To the rate, per 1.00.
    """

    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray
    rho: FloatArray


def value(
    is_call: BoolArray, spot: FloatArray, strike: FloatArray, years: FloatArray, volatility: FloatArray,
    rate: float, dividend_yield: float,
) -> FloatArray:  # fmt: skip
    """Values per share; NaN where an argument is."""
    sign = np.where(is_call, 1.0, -1.0)
    d1, d2 = _d(spot, strike, years, volatility, rate, dividend_yield)
    paid = spot * np.exp(-dividend_yield * years) * normal_distribution(sign * d1)
    result: FloatArray = sign * (paid - strike * np.exp(-rate * years) * normal_distribution(sign * d2))
    return result


def greeks(
    is_call: BoolArray, spot: FloatArray, strike: FloatArray, years: FloatArray, volatility: FloatArray,
    rate: float, dividend_yield: float,
) -> Greeks:  # fmt: skip
    """Sensitivities of `value`."""
    sign = np.where(is_call, 1.0, -1.0)
    d1, d2 = _d(spot, strike, years, volatility, rate, dividend_yield)
    carried, discounted = np.exp(-dividend_yield * years), strike * np.exp(-rate * years)
    inside_1, inside_2 = normal_distribution(sign * d1), normal_distribution(sign * d2)
    density, root = _density(d1), np.sqrt(years)
    decay = -spot * carried * density * volatility / (2.0 * root)
    held = sign * (dividend_yield * spot * carried * inside_1 - rate * discounted * inside_2)
    return Greeks(
        delta=sign * carried * inside_1,
        gamma=carried * density / (spot * volatility * root),
        vega=spot * carried * density * root,
        theta=decay + held,
        rho=sign * discounted * years * inside_2,
    )


def _d(
    spot: FloatArray, strike: FloatArray, years: FloatArray, volatility: FloatArray, rate: float,
    dividend_yield: float,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    deviation = volatility * np.sqrt(years)
    drift = (rate - dividend_yield) * years
    d1 = (np.log(spot / strike) + drift) / deviation + deviation / 2.0
    return d1, d1 - deviation


def implied_volatility(
    price: FloatArray, is_call: BoolArray, spot: FloatArray, strike: FloatArray, years: FloatArray,
    rate: float, dividend_yield: float, *, american: bool = True,
) -> tuple[FloatArray, npt.NDArray[np.int8]]:  # fmt: skip
    """The volatility at which `value` is the price, and why there is none.

    Newton's method on the value of the option out of the money of the same strike (by parity), from the
    point where it turns (Manaster and Koehler 1982), on its logarithm below that point, and halving
    what is known to hold the root wherever a step would leave it.

    Args:
        price: Per share.
        is_call: Whether it is a call.
        spot: Price of the underlying.
        strike: Strike, in the same shares.
        years: Time to expiry.
        rate: Riskless, continuous, a year.
        dividend_yield: Continuous, a year.
        american: Whether a price below what immediate exercise pays is refused.

    Returns:
        Volatility a year, NaN where there is none, and codes of `REASONS`.
    """
    arrays = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (price, spot, strike, years)))
    p, s, k, t = (array.ravel() for array in arrays)
    call = np.broadcast_to(is_call, arrays[0].shape).ravel()
    with np.errstate(all="ignore"):
        carried, discounted = s * np.exp(-dividend_yield * t), k * np.exp(-rate * t)
        sign = np.where(call, 1.0, -1.0)
        above_parity = p - np.maximum(sign * (carried - discounted), 0.0)
        highest = np.where(call, s if american else carried, k if american else discounted)
        reason = np.select(
            [
                ~(p > 0),
                ~((s > 0) & (k > 0)),
                ~(t > 0),
                american & (p < sign * (s - k) - 1e-12 * k),
                (p >= highest) | (p >= np.where(call, carried, discounted)),
                ~(above_parity > 0),
            ],
            [1, 2, 3, 4, 5, 6],
            0,
        ).astype(np.int8)
        found = np.full(p.shape, np.nan)
        usable = np.flatnonzero(reason == 0)
        u = usable
        scale = np.sqrt(carried[u] * discounted[u])
        distance = np.abs(np.log(carried[u] / discounted[u]))
        found[u] = _deviation(above_parity[u] / scale, distance) / np.sqrt(t[u])
    return found.reshape(arrays[0].shape), reason.reshape(arrays[0].shape)


def _deviation(target: FloatArray, distance: FloatArray) -> FloatArray:
    """The deviation at which an option out of the money by a log distance has a value over sqrt(F K)."""
    x = -distance
    guess = np.maximum(np.sqrt(2.0 * distance), 0.05)
    low, high = np.zeros_like(guess), np.full_like(guess, 60.0)
    on_log = target < _normalised(x, guess)[0]
    result = guess.copy()
    active = np.arange(len(guess))
    for _ in range(_MOST_STEPS):
        if not len(active):
            break
        at, wanted = result[active], target[active]
        now, slope = _normalised(x[active], at)
        too_high = now > wanted
        high[active] = np.where(too_high, at, high[active])
        low[active] = np.where(too_high, low[active], at)
        step = np.where(on_log[active], (np.log(wanted) - np.log(now)) * now / slope, (wanted - now) / slope)
        moved = at + step
        inside = (moved > low[active]) & (moved < high[active])
        moved = np.where(inside, moved, (low[active] + high[active]) / 2.0)
        result[active] = moved
        active = active[np.abs(moved - at) > _TOLERANCE * moved]
    return result


def _normalised(x: FloatArray, deviation: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A call's value over sqrt(F K) at log moneyness x, and its slope in the deviation."""
    first = x / deviation + deviation / 2.0
    second = first - deviation
    up, down = np.exp(x / 2.0), np.exp(-x / 2.0)
    worth = up * normal_distribution(first) - down * normal_distribution(second)
    return np.maximum(worth, 0.0), up * _density(first)

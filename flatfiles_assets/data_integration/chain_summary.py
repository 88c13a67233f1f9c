"""One line about a chain: volatility at the money, skew, puts to calls.

Here: the interpolation between a chain's contracts. Not here: their volatilities (`chain_volatility.py`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from flatfiles_assets.algorithms.panel import FloatArray

#: Days to expiry at which a chain is looked at.
TENORS = (30, 90)
_DELTA = 0.25


def chain_summary(chain: pl.DataFrame) -> dict[str, float | None]:
    """Figures of a chain of `with_volatility`; null where the chain does not reach around a point.

    Of options out of the money (puts below the underlying's close, calls from it on), within an expiry
    linear in log moneyness, or in delta; between the expiries before and after a tenor the variance to
    expiry is linear in time. Nothing is extrapolated.

    Returns:
        ``atm_volatility_30``, ``atm_volatility_90`` (at a strike of the close), ``skew_25_delta_30`` (put
        of delta -0.25 less call of 0.25, of volatilities at 30 days) and ``put_call_ratio`` (of volumes; null
        where no call was traded).
    """
    usable = chain.filter(pl.col("volatility").is_not_null(), pl.col("days_to_expiry") > 0)
    is_put = pl.col("option_type") == "P"
    outside = usable.filter(is_put == (pl.col("moneyness") < 1.0))
    days, middle, low, high = [], [], [], []
    for (left,), rows in outside.sort("days_to_expiry").group_by("days_to_expiry", maintain_order=True):
        days.append(float(str(left)))
        middle.append(_at(0.0, rows, rows["moneyness"].log()))
        puts, calls = rows.filter(is_put), rows.filter(~is_put)
        low.append(_at(-_DELTA, puts, puts["delta"]))
        high.append(_at(_DELTA, calls, calls["delta"]))
    times = np.array(days)
    found = {f"atm_volatility_{tenor}": _at_tenor(tenor, times, np.array(middle)) for tenor in TENORS}
    put, call = (_at_tenor(TENORS[0], times, np.array(each)) for each in (low, high))
    found[f"skew_25_delta_{TENORS[0]}"] = None if put is None or call is None else put - call
    counted = chain.with_columns(pl.col("volume").fill_null(0.0))
    traded = {kind: counted.filter(option_type=kind)["volume"].to_numpy().sum() for kind in ("P", "C")}
    found["put_call_ratio"] = float(traded["P"] / traded["C"]) if traded["C"] else None
    return found


def _at(point: float, rows: pl.DataFrame, places: pl.Series) -> float:
    """The volatility at a place between contracts of one expiry; NaN outside them."""
    together = pl.DataFrame({"place": places, "volatility": rows["volatility"]})
    each = together.group_by("place").agg(pl.col("volatility").mean()).sort("place")
    return _between(point, each["place"].to_numpy(), each["volatility"].to_numpy())


def _at_tenor(tenor: int, days: FloatArray, volatility: FloatArray) -> float | None:
    known = np.isfinite(volatility)
    variance = _between(float(tenor), days[known], volatility[known] ** 2 * days[known])
    return None if np.isnan(variance) else float(np.sqrt(variance / tenor))


def _between(point: float, places: FloatArray, values: FloatArray) -> float:
    if not len(places) or not places[0] <= point <= places[-1]:
        return float("nan")
    return float(np.interp(point, places, values))

"""What the prices of a chain imply: volatilities and greeks of each contract, and why there are none.

Here: which price, time and underlying of a row are used. Not here: the formulas
(`algorithms/option_pricing.py`), the chain itself (`option_quotes.py`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from flatfiles_assets.algorithms import option_pricing
from flatfiles_assets.ingest.option_tickers import INDEX_ROOTS

#: Shares a contract of an unadjusted root is about.
SHARES = 100.0
DAYS_A_YEAR = 365.0

_ADJUSTED = "adjusted by a corporate action, or of another size: what it delivers is not known"
GREEKS = ("delta", "gamma", "vega", "theta", "rho")


def with_terms(chain: pl.DataFrame) -> pl.DataFrame:
    """A chain with ``deliverable`` (shares; null for adjusted roots) and ``moneyness`` (strike to close)."""
    is_adjusted = pl.col("root").str.contains(r"[0-9]")
    return chain.with_columns(
        pl.when(~is_adjusted).then(pl.lit(SHARES)).alias("deliverable"),
        (pl.col("strike") / pl.col("underlying_close")).alias("moneyness"),
    )


def with_volatility(chain: pl.DataFrame, rate: float, dividend_yield: float) -> pl.DataFrame:
    """A chain with what its prices imply.

    The price is the middle of bid and ask where both are there and not crossed, else the last price; it
    and the underlying's close are as published on the session, so that both are in the same shares. Time
    is in calendar days over 365. Contracts on stocks may be exercised early, those on indices not.

    Returns:
        The chain, ``price``, ``volatility`` (a year), `GREEKS` (of a share; vega and rho per 1.00, theta a
        year), and ``volatility_reason``, null where there is a volatility.
    """
    middle = (pl.col("bid") + pl.col("ask")) / 2
    quoted = (pl.col("bid") > 0) & (pl.col("ask") >= pl.col("bid"))
    priced = chain.with_columns(pl.when(quoted).then(middle).otherwise("last").alias("price"))
    is_call = (priced["option_type"] == "C").to_numpy()
    price, spot, strike = (
        priced[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for name in ("price", "underlying_close", "strike")
    )
    years = priced["days_to_expiry"].cast(pl.Float64).to_numpy() / DAYS_A_YEAR
    on_index = priced["underlying"].is_in(list(INDEX_ROOTS)).to_numpy()
    volatility = np.full(len(price), np.nan)
    codes = np.zeros(len(price), dtype=np.int8)
    for american in (True, False):
        rows = on_index != american
        volatility[rows], codes[rows] = option_pricing.implied_volatility(
            price[rows], is_call[rows], spot[rows], strike[rows], years[rows], rate, dividend_yield,
            american=american,
        )  # fmt: skip
    adjusted = priced["root"].str.contains(r"[0-9]").fill_null(value=False).to_numpy()
    volatility[adjusted] = np.nan
    reasons = np.array(option_pricing.REASONS, dtype=object)[codes]
    reasons[adjusted] = _ADJUSTED
    with np.errstate(all="ignore"):
        found = option_pricing.greeks(is_call, spot, strike, years, volatility, rate, dividend_yield)
    columns = {"volatility": volatility, **{name: getattr(found, name) for name in GREEKS}}
    return priced.with_columns(
        *(pl.Series(name, values).fill_nan(None) for name, values in columns.items()),
        pl.Series("volatility_reason", reasons.tolist(), dtype=pl.String),
    )

"""Whether prices are dollars, or parts of them: cents, LEAN's 1/10,000, Databento's 1/10⁹.

A scale is believed where two things agree: prices divided by it are those of shares, and they have
the number of zeros at their end that prices in cents have under it. Here: numbers only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flatfiles_assets.ingest.layouts.layout import NotSettled

# The median price of shares in a sample lies within; that of one share may be far outside.
CHEAPEST, DEAREST = 0.05, 3_000.0
_SCALES = (1e2, 1e4, 1e6, 1e9)
# Class A of Berkshire Hathaway trades above a hundred thousand dollars.
_DEAR = frozenset({"BRK.A", "BRK-A", "BRKA", "BRK_A", "BRK/A", "BRK A"})


def settle_scale(
    prices: npt.NDArray[np.float64], securities: npt.NDArray[np.int64], symbols: frozenset[str] = frozenset()
) -> tuple[float, str]:
    """By what prices are to be divided, and the evidence in a sentence; 1 where they are dollars.

    Args:
        prices: Closes.
        securities: A code of each one's security.
        symbols: The securities' symbols, where they are known.

    Raises:
        NotSettled: The prices are not those of shares, and no scale makes them so beyond doubt.
    """
    known = np.isfinite(prices) & (prices > 0)
    prices, securities = prices[known], securities[known]
    if not len(prices) or {symbol.upper() for symbol in symbols} & _DEAR:
        return 1.0, ""
    medians = [float(np.median(prices[securities == code])) for code in np.unique(securities)[:200]]
    median = float(np.median(medians))
    if CHEAPEST <= median <= DEAREST:
        return 1.0, ""
    fitting = [scale for scale in _SCALES if 1.0 <= median / scale <= 1_000.0]
    zeros = _zeros_at_the_end(prices)
    proven = [scale for scale in fitting if zeros is not None and scale == 10.0 ** (zeros + 2)]
    if len(proven) == 1 and len(prices) >= 20:
        scale = proven[0]
        return scale, (
            f"prices are in 1/{scale:,.0f} dollars: their median is {median:,.0f}, and they end in "
            f"{zeros} zeros"
        )
    raise NotSettled(
        f"the median of its prices is {median:,.6g}, which is not that of shares; state `price_scale`, "
        "by which "
        "they are divided, in an override",
        price_scale=int((proven or fitting or [1.0])[0]),
    )


def _zeros_at_the_end(prices: npt.NDArray[np.float64]) -> int | None:
    """Zeros that nearly all whole prices end in; None where they are not whole."""
    if not np.all(prices == np.round(prices)):
        return None
    zeros = 0
    while zeros < 12 and float(np.mean(prices % 10.0 ** (zeros + 1) == 0)) >= 0.95:
        zeros += 1
    return zeros

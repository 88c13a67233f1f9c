"""What the columns of an options file cannot be, by the values in them.

Here: shares of rows that contradict what a column was taken for. Not here: what it was taken for
(`layouts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

_FEWEST = 5
_MOST_CROSSED, _MOST_DEAR = 0.3, 0.02


def is_of_the_underlying(
    sample: pl.DataFrame, keys: Sequence[str], column: str, number: Callable[[str | None], float | None]
) -> bool:
    """Whether a column has one value for all contracts of each underlying's day.

    Args:
        sample: Rows as text.
        keys: The columns of the underlying and the day.
        column: The column.
        number: From a text to its number.
    """
    groups = (
        sample.filter(pl.col(column).is_not_null())
        .group_by(keys)
        .agg(pl.len().alias("_rows"), pl.col(column).n_unique().alias("_distinct"), pl.col(column).first())
        .filter(pl.col("_rows") >= _FEWEST)
    )
    if not groups.height or groups.get_column("_distinct").max() != 1:
        return False
    # Where nothing was traded, all contracts have nothing.
    return any(number(text) not in (None, 0.0) for text in groups.get_column(column))


def why_doubted(
    prices: Mapping[str, npt.NDArray[np.float64] | None], kinds: npt.NDArray[np.str_] | None
) -> str | None:
    """Why prices cannot be those of options; None where they can.

    Args:
        prices: ``bid``, ``ask``, ``last`` and ``strike`` by row, nan where there is none; None without
            such a column.
        kinds: ``C`` or ``P`` by row.
    """
    bid, ask, strike = prices["bid"], prices["ask"], prices["strike"]
    if bid is not None and ask is not None:
        crossed = _share(bid > ask, (bid > 0) & (ask > 0))
        if crossed > _MOST_CROSSED:
            return (
                f"{crossed:.0%} of its bids are above the asks; state in `options.columns` of an override "
                "which column is which"
            )
    price = next((found for name in ("bid", "last", "ask") if (found := prices[name]) is not None), None)
    if strike is None or price is None or kinds is None:
        return None
    dear = _share(price > strike, (kinds == "P") & (price > 0) & (strike > 0))
    if dear <= _MOST_DEAR:
        return None
    return (
        f"{dear:.0%} of its puts cost more than their strike, which none does: strikes and prices are of "
        "different units, such as dollars and cents; state `options.strike_scale` in an override, or divide "
        "the prices"
    )


def _share(broken: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> float:
    return float(np.mean(broken[known])) if np.count_nonzero(known) >= _FEWEST else 0.0

"""Day bars of a request as one long table, in the terms of the result."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flatfiles_assets.algorithms import frames
from flatfiles_assets.algorithms.requested_prices import FACTOR_COLUMNS, RequestedPrices
from flatfiles_assets.columns import Column
from flatfiles_assets.datasets import get_dataset

BAR_NAMES = ("open", "high", "low", "close", "volume")

#: What `bars_table` has beside session, symbol and ``adjustment``.
BAR_COLUMNS: tuple[Column, ...] = (
    *(column for column in get_dataset("stocks_daily").table_columns if column.name in BAR_NAMES),
    *FACTOR_COLUMNS,
)


def bars_table(prices: RequestedPrices) -> pa.Table:
    """One row per session asked for and symbol with a bar, by session, then symbol as asked for.

    Returns:
        ``session``, ``symbol``, ``open``, ``high``, ``low``, ``close``, ``volume``, ``adjustment``,
        ``close_published``, ``price_factor``, ``volume_factor``.
    """
    published, rows = prices.published, prices.rows
    shown = published.has_bar[rows]
    if prices.members is not None:
        shown = shown & prices.members[rows]
    row, column = np.nonzero(shown)
    days = prices.sessions.astype(np.int32)[row]
    factors = {"price": prices.price_factor[shown], "volume": prices.volume_factor[shown]}
    terms = {each.name: each.terms for each in BAR_COLUMNS}
    values = {}
    for name in BAR_NAMES:
        matrix = getattr(published, name)
        values[name] = pa.array(matrix[rows][shown] * factors[terms[name]], from_pandas=True)
    symbols = pa.DictionaryArray.from_arrays(column.astype(np.int32), pa.array(prices.symbols, pa.string()))
    return frames.long(
        pa.table(
            {
                "trade_date": pa.array(days, pa.int32()).cast(pa.date32()),
                "ticker": symbols,
                **values,
                "adjustment": pa.repeat(pa.scalar(prices.dated.adjustment, pa.string()), len(row)),
                "close_published": pa.array(published.close[rows][shown]),
                "price_factor": pa.array(factors["price"]),
                "volume_factor": pa.array(factors["volume"]),
            }
        )
    )

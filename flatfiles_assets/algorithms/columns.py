"""The columns that the algorithms' tables have in common.

Here: those columns, and the short form for a feature. Not here: the features, which each algorithm
declares in its `COLUMNS`.
"""

from __future__ import annotations

import pyarrow as pa

from flatfiles_assets.datasets import Column, Terms

TICKER = Column("ticker", pa.string(), "Symbol as published, case-sensitive")
TICKER_Y = Column("ticker_y", pa.string(), "Symbol whose price is explained")
TICKER_X = Column("ticker_x", pa.string(), "Symbol whose price explains it")
ADJUSTMENT = Column(
    "adjustment", pa.string(), "Corporate actions accounted for: none, splits or total_return"
)


def feature(name: str, description: str, terms: Terms = "free") -> Column:
    """A float64 column; null where the feature is not defined."""
    return Column(name, pa.float64(), description, terms=terms)

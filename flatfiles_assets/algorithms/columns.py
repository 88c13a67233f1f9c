"""The columns that the algorithms' tables have in common.

Here: those columns, and the short form for a feature. Not here: the features, which each algorithm
declares in its `COLUMNS`.
"""

from __future__ import annotations

import pyarrow as pa

from flatfiles_assets.columns import Column, Terms

TICKER = Column("ticker", pa.string(), "Symbol as published, case-sensitive")
SECURITY_ID = Column(
    "security_id", pa.string(), "Security behind the ticker, as in reference.securities; null where unknown"
)
TICKER_Y = Column("ticker_y", pa.string(), "Symbol whose price is explained")
TICKER_X = Column("ticker_x", pa.string(), "Symbol whose price explains it")
SECURITY_ID_Y = Column("security_id_y", pa.string(), "Security behind ticker_y")
SECURITY_ID_X = Column("security_id_x", pa.string(), "Security behind ticker_x")
ADJUSTMENT = Column(
    "adjustment", pa.string(), "Corporate actions accounted for: none, splits or total_return"
)


def feature(name: str, description: str, terms: Terms = "free") -> Column:
    """A float64 column; null where the feature is not defined."""
    return Column(name, pa.float64(), description, terms=terms)

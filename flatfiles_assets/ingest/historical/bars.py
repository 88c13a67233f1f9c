"""The shape of historical bars, in the tables that readers get and on the way there.

Here: schemas, and the feed's entry by which the quality rules know its columns. Not here: a row of
the registry, since the historical years have no keys and no vendor.
"""

from __future__ import annotations

import dataclasses

import pyarrow as pa

from flatfiles_assets.datasets import get_dataset

FEED = "historical_daily"

_OPTIONAL = frozenset({"volume", "transactions"})
_CHECKED = ("ticker", "open", "high", "low", "close", "volume", "transactions")

# The rules look only at names, types and what may be missing; keys and calendar play no part.
HISTORICAL_RULES = dataclasses.replace(
    get_dataset("stocks_daily"),
    name=FEED,
    prefix="historical",
    title="US stocks before and beside the flat files, one bar per ticker and day",
    columns=tuple(
        dataclasses.replace(column, optional=column.name in _OPTIONAL)
        for column in get_dataset("stocks_daily").columns
        if column.name in _CHECKED
    ),
)

_BAR = [
    ("trade_date", pa.date32()),
    ("ticker", pa.string()),
    *((name, pa.float64()) for name in ("open", "high", "low", "close", "volume")),
    ("transactions", pa.int64()),
    ("adjusted_close", pa.float64()),
]
HISTORICAL_SCHEMA = pa.schema([*_BAR, ("source_file", pa.string())])
"""Daily bars: prices USD as the file has them; `adjusted_close` null where a file has none."""

STAGED_SCHEMA = pa.schema(
    [
        *_BAR,
        ("file_id", pa.int32()),
        ("row_number", pa.int64()),
        ("stamp", pa.int64()),
        ("last_stamp", pa.int64()),
        ("rows", pa.int32()),
    ]
)
"""Bars on their way: of the rows of the file that a bar stands for, their number and the first one's,
and their first and last stamp in microseconds since 1970 UTC; a daily bar has no stamps."""

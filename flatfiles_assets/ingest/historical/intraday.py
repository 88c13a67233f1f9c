"""Intraday bars to daily ones.

A daily bar is made of the bars of regular hours: stamped from 09:30 (included) to 16:00 (excluded) in
New York where stamps are the bars' starts, after 09:30 and up to 16:00 (included) where they are
their ends. Its open is the first bar's, its close the last's, its high the highest and its low the
lowest; volume and transactions are sums. After an early close at 13:00 what trades until 16:00 still
counts. A day without a bar in regular hours has no daily bar.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.ingest.historical.bars import STAGED_SCHEMA
from flatfiles_assets.ingest.layouts.layout import FileLayout
from flatfiles_assets.ingest.layouts.zones import CLOSING_SECOND, OPENING_SECOND, utc_offset_seconds

KEY = ("trade_date", "ticker", "file_id")


def regular_hours(bars: pa.RecordBatch, layout: FileLayout) -> pa.RecordBatch:
    """The intraday bars, with `STAGED_SCHEMA`, that count for the day."""
    days = bars.column("trade_date").cast(pa.int32()).to_numpy()
    distinct, places = np.unique(days, return_inverse=True)
    offsets = np.array([utc_offset_seconds(NEW_YORK, day) for day in distinct.tolist()], dtype=np.int64)
    stamps = bars.column("stamp").to_numpy() // 1_000_000
    seconds = (stamps + offsets[places]) % 86400 if len(distinct) else stamps
    starts = seconds if layout.bar_label == "start" else seconds - layout.bar_seconds
    if layout.straddling_bars == "count":
        inside = (starts + layout.bar_seconds > OPENING_SECOND) & (starts < CLOSING_SECOND)
    elif layout.straddling_bars == "ignore":
        inside = (starts >= OPENING_SECOND) & (starts + layout.bar_seconds <= CLOSING_SECOND)
    elif layout.bar_label == "start":
        inside = (seconds >= OPENING_SECOND) & (seconds < CLOSING_SECOND)
    else:
        inside = (seconds > OPENING_SECOND) & (seconds <= CLOSING_SECOND)
    return bars.filter(pa.array(inside))


def aggregate(bars: pa.Table) -> pa.Table:
    """One bar per date, ticker and file; bars that were aggregated block by block aggregate again.

    Daily bars, which have no stamp, pass unchanged.

    Args:
        bars: With `STAGED_SCHEMA`, in any order.

    Returns:
        The same schema, in no particular order; `stamp` and `last_stamp` are the first and last
        stamps of the bars that each row stands for, and `rows` counts them.
    """
    intraday = bars.filter(pc.is_valid(bars.column("stamp")))
    if not intraday.num_rows:
        return bars
    by_start = intraday.sort_by("stamp").group_by(KEY, use_threads=False)
    firsts = by_start.aggregate(
        [
            ("open", "first"),
            ("high", "max"),
            ("low", "min"),
            ("volume", "sum"),
            ("transactions", "sum"),
            ("row_number", "min"),
            ("stamp", "min"),
            ("rows", "sum"),
        ]
    )
    # Blocks of a file that is not in order may overlap, so the last close is by the last stamp.
    by_end = intraday.sort_by("last_stamp").group_by(KEY, use_threads=False)
    lasts = by_end.aggregate([("close", "last"), ("adjusted_close", "last"), ("last_stamp", "max")])
    order = [(name, "ascending") for name in KEY]
    firsts, lasts = firsts.sort_by(order), lasts.sort_by(order)
    columns = {name: firsts.column(name) for name in KEY}
    for table in (firsts, lasts):
        for name in table.column_names:
            if name not in KEY:
                columns[name.rpartition("_")[0]] = table.column(name)
    daily = bars.filter(pc.is_null(bars.column("stamp")))
    combined = pa.table([columns[name] for name in STAGED_SCHEMA.names], names=STAGED_SCHEMA.names)
    return pa.concat_tables([daily, combined.cast(STAGED_SCHEMA)])

"""The day bars of the warehouse as one query, and one pass over all of them.

Here: which table gives a session's bars, and `scan_bars`. Not here: what a scan says of securities
(`securities.py`), and bars as panels (`prices.py`).
"""

# ruff: noqa: S608  (names are constants of this module, values are parameters)
from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.bar_scan import BarEvidence, BarScan
from flatfiles_assets.datasets import CalendarName
from flatfiles_assets.warehouse.reading import WarehouseReader

_CALENDAR: CalendarName = "XNYS"
# About a year of the whole market at a time: a hundred megabytes.
_SESSIONS_AT_ONCE = 252

UNIFIED, FLAT_FILES, HISTORICAL = "market.daily_prices", "market.stocks_daily", "market.historical_daily"

#: Where day bars are read, the first that has a session; each with the source of its bars, None
#: where a column says it.
PRICE_SOURCES: Mapping[str, str | None] = {UNIFIED: None, FLAT_FILES: "flat_files"}


def bars_source(reader: WarehouseReader, between: tuple[str, str] | None = None) -> str | None:
    """A query of all day bars, each session from the first of `PRICE_SOURCES` that has it; None for none.

    Args:
        reader: The warehouse.
        between: Names of the query's parameters for the first and the last session; None for all.
            Bounds keep what a query costs from growing with the history.
    """
    known = set(reader.tables())
    columns = "trade_date, ticker, open, close, volume"
    bound = f"trade_date BETWEEN ${between[0]} AND ${between[1]}" if between else "true"
    parts: list[str] = []
    before: list[str] = []
    for table, label in PRICE_SOURCES.items():
        if table not in known:
            continue
        source = f"'{label}' AS source" if label else "source"
        conditions = [bound] + [
            f"trade_date NOT IN (SELECT DISTINCT trade_date FROM {earlier} WHERE {bound})"
            for earlier in before
        ]
        parts.append(f"SELECT {columns}, {source} FROM {table} WHERE {' AND '.join(conditions)}")
        before.append(table)
    return " UNION ALL ".join(parts) if parts else None


@functools.lru_cache(maxsize=1)
def session_days() -> npt.NDArray[np.datetime64]:
    """Every session of the calendar, ascending: what positions of sessions refer to."""
    days = calendars.sessions(_CALENDAR, calendars.FIRST_DAY, calendars.LAST_DAY)
    found = np.array(days, dtype="datetime64[D]")
    found.flags.writeable = False
    return found


def scan_bars(reader: WarehouseReader, tickers: Sequence[str] | None = None) -> BarEvidence:
    """Runs and jumps of all bars, or of those of some tickers; see `BarScan`."""
    days = session_days()
    source = bars_source(reader)
    if source is None:
        return BarScan((), days).finish()
    names = sorted(tickers) if tickers is not None else _tickers(reader, source)
    scan = BarScan(names, days)
    held = reader.sql(f"SELECT DISTINCT trade_date FROM ({source}) ORDER BY 1").to_arrow()
    loaded = held.column("trade_date").to_pylist()
    for start in range(0, len(loaded), _SESSIONS_AT_ONCE):
        part = loaded[start : start + _SESSIONS_AT_ONCE]
        for position, *columns in _session_bars(reader, source, names, days, part[0], part[-1]):
            scan.add(position, *columns)
    return scan.finish()


def _tickers(reader: WarehouseReader, source: str) -> list[str]:
    rows = reader.sql(f"SELECT DISTINCT ticker FROM ({source}) ORDER BY 1")
    found: list[str] = rows.to_arrow().column("ticker").to_pylist()
    return found


def _session_bars(
    reader: WarehouseReader,
    source: str,
    names: Sequence[str],
    days: np.ndarray,
    first: dt.date,
    last: dt.date,
) -> Iterator[tuple[Any, ...]]:
    rows = reader.scan(
        "SELECT trade_date, number::INTEGER AS number, open, close, volume"
        f" FROM ({source}) JOIN (SELECT unnest($names) AS ticker, unnest(range(len($names))) AS number)"
        " USING (ticker) WHERE trade_date BETWEEN $first AND $last",
        {"names": list(names), "first": first, "last": last},
    ).to_arrow()
    rows = rows.set_column(0, "trade_date", rows.column("trade_date").cast(pa.int32()))
    # They come in pieces of some sessions each, in any order: sorting pieces is cheaper than rows.
    pieces: list[tuple[int, list[np.ndarray]]] = []
    for batch in rows.to_batches():
        dates, *values = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
        starts = np.flatnonzero(np.diff(dates, prepend=dates[:1] - 1)).tolist()
        for start, stop in zip(starts, [*starts, len(dates)][1:], strict=True):
            pieces.append((int(dates[start]), [column[start:stop] for column in values]))
    pieces.sort(key=lambda piece: piece[0])
    positions = np.searchsorted(days.astype(np.int64), [date for date, _ in pieces]).tolist()
    for position, (_, columns) in zip(positions, pieces, strict=True):
        yield (position, *columns)

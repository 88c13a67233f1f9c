"""The archives' bars beside the flat files': the facts by which a whole layout shows to be wrong.

Here: SQL, one pass over the sessions that both have, and the tickers of a year. Not here: what is good or
bad (`defs/checks/archive_checks.py`), which row is taken where both differ (`unified_prices`).
"""

# ruff: noqa: S608  (names are constants, values are parameters)
from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence

from flatfiles_assets.warehouse.day_bars import FLAT_FILES, HISTORICAL
from flatfiles_assets.warehouse.errors import TableNotFound, WarehouseMissing
from flatfiles_assets.warehouse.reading import WarehouseReader

# Prices of two vendors are one price if they differ by less.
_SAME_PRICE = 0.002


@dataclasses.dataclass(frozen=True)
class Overlap:
    """One session in both sources.

    Attributes:
        archive_tickers: Tickers of the archive.
        shared: Of them, those that the flat files have, too.
        close_ratio: Median of the archive's close over the flat files'; None without shared tickers.
        volume_ratio: The same of volumes.
        same_close: Shared tickers whose closes are one price.
        exchanged: Shared tickers whose open is the flat files' close, and close their open.
        next_close: Shared tickers whose close is that of the flat files' session after, or before, and
            not that of the session.
    """

    archive_tickers: int
    shared: int
    close_ratio: float | None
    volume_ratio: float | None
    same_close: int
    exchanged: int
    next_close: int


def overlap(reader: WarehouseReader, sessions: Sequence[dt.date]) -> dict[dt.date, Overlap]:
    """The sessions that both sources have, of some.

    Args:
        reader: Where to read.
        sessions: The sessions to look at.
    """
    if not sessions:
        return {}
    first, last = min(sessions), max(sessions)
    try:
        rows = reader.sql(
            f"""
            WITH flat AS (
                SELECT trade_date, ticker, open, close, volume,
                    lead(close) OVER (PARTITION BY ticker ORDER BY trade_date) AS after,
                    lag(close) OVER (PARTITION BY ticker ORDER BY trade_date) AS before
                FROM {FLAT_FILES} WHERE trade_date BETWEEN $first AND $last
            ), held AS (SELECT DISTINCT trade_date FROM flat),
            both_sources AS (
                SELECT a.trade_date, f.ticker AS shared, a.open, a.close, a.volume, f.open AS flat_open,
                    f.close AS flat_close, f.volume AS flat_volume, f.after, f.before
                FROM {HISTORICAL} a
                JOIN held USING (trade_date)
                LEFT JOIN flat f ON f.trade_date = a.trade_date AND f.ticker = a.ticker
                WHERE a.trade_date BETWEEN $first AND $last
            )
            SELECT trade_date, count(*), count(shared),
                median(close / flat_close) FILTER (WHERE flat_close > 0),
                median(volume / flat_volume) FILTER (WHERE flat_volume > 0 AND volume > 0),
                count(*) FILTER (WHERE {_same("close", "flat_close")}),
                count(*) FILTER (WHERE {_same("open", "flat_close")} AND {_same("close", "flat_open")}
                    AND NOT {_same("flat_open", "flat_close")}),
                count(*) FILTER (WHERE ({_same("close", "after")} OR {_same("close", "before")})
                    AND NOT {_same("close", "flat_close")})
            FROM both_sources GROUP BY trade_date
            """,
            {"first": first, "last": last},
        ).fetchall()
    except (TableNotFound, WarehouseMissing):
        return {}
    wanted = set(sessions)
    return {day: Overlap(*figures) for day, *figures in rows if day in wanted}


def _same(first: str, second: str) -> str:
    return f"coalesce(abs({first} - {second}) <= {_SAME_PRICE} * abs({second}), false)"


def tickers_of_year(reader: WarehouseReader, year: int) -> frozenset[str]:
    """The tickers that the flat files of a year have; empty where none are loaded."""
    try:
        rows = reader.sql(
            f"SELECT DISTINCT ticker FROM {FLAT_FILES} WHERE trade_date BETWEEN $first AND $last",
            {"first": dt.date(year, 1, 1), "last": dt.date(year, 12, 31)},
        ).fetchall()
    except (TableNotFound, WarehouseMissing):
        return frozenset()
    return frozenset(ticker for (ticker,) in rows)

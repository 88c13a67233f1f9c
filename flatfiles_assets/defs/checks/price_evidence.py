"""Prices against other prices: day bars against minutes, and jumps that look like unknown splits.

Here: the SQL and what it returns. Not here: tolerances on how many may differ (`verdicts.py`).
"""

# ruff: noqa: S608  (names are the registry's, values are parameters)
from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence

import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.split_search import suspected_splits
from flatfiles_assets.datasets import DATASETS, Dataset
from flatfiles_assets.warehouse.prices import (
    has_splits,
    read_corporate_actions,
    read_panel,
    sessions_with_lookback,
)
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.table import TableSchema

#: Relative difference up to which a day's price, and its volume, agree with those of its minutes.
#: Wide on purpose: the two are built under different trade conditions (auctions, late prints), and a
#: file that is truncated, misdated or of another scale is far outside.
PRICE_TOLERANCE = 0.01
VOLUME_TOLERANCE = 0.05

# Below any ratio that `suspected_splits` looks for (3:2 within 3 %).
_SMALLEST_JUMP = 1.4
_LOOKBACK_SESSIONS = 20

_DAY_BARS, _MINUTE_BARS = "day_aggs_v1", "minute_aggs_v1"


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Day bars of one session against its minute bars, over the tickers that both have.

    Attributes:
        tickers: Tickers compared.
        prices_differ: Tickers of which a price of the day is not that of the regular hours' minutes.
        volumes_differ: Tickers whose day's volume is not the sum over all minutes.
    """

    tickers: int
    prices_differ: int
    volumes_differ: int


def day_and_minutes(dataset: Dataset) -> tuple[Dataset, Dataset] | None:
    """The feeds of day bars and of minute bars that a feed and its counterpart are.

    Only where the calendar knows the regular hours that a day bar is made of.
    """
    if dataset.calendar != "XNYS":
        return None
    pair = [
        other
        for vendor_type in (_DAY_BARS, _MINUTE_BARS)
        for other in DATASETS.values()
        if other.prefix == dataset.prefix and other.vendor_type == vendor_type
    ]
    return (pair[0], pair[1]) if len(pair) == 2 and dataset in pair else None


def agreement(
    reader: WarehouseReader, days: TableSchema, minutes: TableSchema, sessions: Sequence[dt.date]
) -> dict[dt.date, Agreement]:
    """How far the day bars of some sessions agree with their minute bars.

    Prices are compared with the minutes from the open to the close (13:00 on an early close),
    volume with the minutes of all hours.

    Args:
        reader: Where to read.
        days: Table of day bars.
        minutes: Table of minute bars.
        sessions: Sessions that both tables hold.
    """
    if not sessions:
        return {}
    hours = [calendars.regular_hours(day) for day in sessions]
    rows = reader.sql(
        f"""
        WITH hours AS (
            SELECT unnest($sessions) AS trade_date, unnest($opens) AS opens, unnest($closes) AS closes
        ), bars AS (
            SELECT m.*, m.window_start >= h.opens AND m.window_start < h.closes AS regular
            FROM {minutes.stored_name} m JOIN hours h USING (trade_date)
            WHERE m.trade_date BETWEEN $first AND $last
        ), minutes AS (
            SELECT trade_date, ticker, sum(volume) AS volume,
                arg_min(open, window_start) FILTER (WHERE regular) AS open,
                arg_max(close, window_start) FILTER (WHERE regular) AS close,
                max(high) FILTER (WHERE regular) AS high,
                min(low) FILTER (WHERE regular) AS low
            FROM bars GROUP BY trade_date, ticker
        )
        SELECT trade_date, count(*),
            count(*) FILTER (WHERE greatest(abs(d.open - m.open) / d.open, abs(d.high - m.high) / d.high,
                abs(d.low - m.low) / d.low, abs(d.close - m.close) / d.close) > {PRICE_TOLERANCE}),
            count(*) FILTER (
                WHERE abs(d.volume - m.volume) > {VOLUME_TOLERANCE} * greatest(d.volume, m.volume))
        FROM minutes m JOIN {days.stored_name} d USING (trade_date, ticker)
        WHERE d.trade_date BETWEEN $first AND $last
        GROUP BY trade_date
        """,
        {
            "sessions": list(sessions),
            "opens": [opens for opens, _ in hours],
            "closes": [closes for _, closes in hours],
            "first": min(sessions),
            "last": max(sessions),
        },
    ).fetchall()
    return {day: Agreement(*counts) for day, *counts in rows}


def unexplained_splits(reader: WarehouseReader, table: TableSchema, sessions: Sequence[dt.date]) -> pa.Table:
    """Probable splits in some sessions that no record of ``reference.splits`` explains.

    Only the symbols that jump from one session's close to the next one's open are searched, which
    keeps a year of all symbols cheap.

    Args:
        reader: Where to read.
        table: Table of day bars.
        sessions: Sessions to look at, in order.

    Returns:
        `split_search.SUSPECTED_SPLITS_SCHEMA`; no rows where ``reference.splits`` was never loaded,
        because then no split could be explained.
    """
    nothing = pa.table({})
    if not sessions or not has_splits(reader):
        return nothing
    wanted, _ = sessions_with_lookback(sessions[0], sessions[-1], _LOOKBACK_SESSIONS)
    before = dict(zip(wanted[1:], wanted[:-1], strict=True))
    pairs = [(day, before[day]) for day in sessions if day in before]
    symbols = [
        ticker
        for (ticker,) in reader.sql(
            f"""
            WITH pairs AS (SELECT unnest($days) AS trade_date, unnest($before) AS day_before)
            SELECT DISTINCT t.ticker
            FROM (SELECT trade_date, ticker, open FROM {table.stored_name}
                  WHERE trade_date BETWEEN $first AND $last) t
            JOIN pairs USING (trade_date)
            JOIN (SELECT trade_date, ticker, close FROM {table.stored_name}
                  WHERE trade_date BETWEEN $first AND $last) p
              ON p.trade_date = pairs.day_before AND p.ticker = t.ticker
            WHERE p.close > 0 AND t.open > 0
              AND (t.open > p.close * {_SMALLEST_JUMP} OR p.close > t.open * {_SMALLEST_JUMP})
            ORDER BY 1
            """,
            {
                "days": [day for day, _ in pairs],
                "before": [day for _, day in pairs],
                "first": wanted[0],
                "last": wanted[-1],
            },
        ).fetchall()
    ]
    if not symbols:
        return nothing
    panel = read_panel(reader, wanted, symbols, columns=("open", "close", "volume")).panel
    found = suspected_splits(panel, read_corporate_actions(reader, "splits", wanted, symbols).splits)
    looked_at = set(sessions)
    return found.filter(
        pa.array([day in looked_at for day in found.column("trade_date").to_pylist()], pa.bool_())
    )

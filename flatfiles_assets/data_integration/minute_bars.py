"""Minute bars made into bars of a frequency, session by session.

Here: the hours of a session, the resampling (in DuckDB), bars of slots without a trade. Not here: the
requests (`bar_requests.py`), who a symbol is and the factors of its prices (`inputs.py`).

A session has three parts: before the open (from 04:00 New York), regular hours, and after the close (until
20:00, or 17:00 on an early close). Bars are counted from the beginning of their part and never cross its
end, so that regular bars are the same with and without extended hours: with ``1h`` the last regular bar is
15:30 to 16:00, and the last before the open 09:00 to 09:30. Minutes count by the time they begin, as in the
check of day bars: the print of the closing auction is in the minute of the close, which is the first after
the regular hours. A ``1d`` bar is the whole of the hours asked for.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.warehouse.errors import TableNotFound
from flatfiles_assets.warehouse.identities import PanelColumns
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.tables import get_table

Frequency = Literal["1min", "5min", "15min", "30min", "1h", "1d"]
Hours = Literal["regular", "extended"]

#: Width of the bars, minutes; of ``1d`` whatever the hours have.
MINUTES: Mapping[str, int] = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "1h": 60, "1d": 24 * 60}

FIELDS = ("open", "high", "low", "close", "volume", "vwap", "transactions")
PRICES = ("open", "high", "low", "close", "vwap")

TABLE = get_table(("market", "stocks_minute"))

_ZONE = ZoneInfo(NEW_YORK)
_US_PER_MINUTE = 60 * 10**6
_SORTED = ("trade_date", "start_us", "number")


@dataclasses.dataclass(frozen=True)
class Part:
    """Consecutive hours of one session; times in microseconds since 1970 UTC."""

    session: dt.date
    start_us: int
    end_us: int


@dataclasses.dataclass(frozen=True)
class Bars:
    """Bars as published, and the sessions of which there is not one minute of any symbol.

    Attributes:
        table: ``trade_date``, ``number`` of the column, ``start_us``, ``end_us`` and `FIELDS`, by these.
        missing_sessions: Sessions asked for that the table of minutes lacks.
    """

    table: pl.DataFrame
    missing_sessions: tuple[dt.date, ...]


def parts(session: dt.date, hours: Hours, frequency: Frequency) -> list[Part]:
    """The parts of a session that bars do not cross, in order."""
    opens, closes = (_us(moment) for moment in calendars.regular_hours(session))
    if hours == "regular":
        return [Part(session, opens, closes)]
    late_end = dt.time(20) if _clock(closes) >= dt.time(16) else dt.time(17)
    first = _us(dt.datetime.combine(session, dt.time(4), _ZONE))
    last = _us(dt.datetime.combine(session, late_end, _ZONE))
    if frequency == "1d":
        return [Part(session, first, last)]
    bounds = (first, opens, closes, last)
    return [Part(session, *pair) for pair in itertools.pairwise(bounds)]


def read_bars(
    reader: WarehouseReader,
    sessions: Sequence[dt.date],
    columns: PanelColumns,
    frequency: Frequency,
    hours: Hours,
) -> Bars:
    """Bars of some sessions and securities, one where at least one minute has a bar.

    Volumes and transactions are sums. ``vwap`` is the mean of the minutes' typical prices, (high + low +
    close) / 3, weighted by their volumes: the feed has no price of trades by volume. It is null where a
    minute's volume is unknown or nothing but bars without volume is there.

    Raises:
        WarehouseMissing: Nothing was ever loaded.
    """
    if not sessions:
        return Bars(_no_bars(), ())
    whole = [part for day in sessions for part in parts(day, hours, frequency)]
    parameters: dict[str, Any] = {f"of_{name}": values for name, values in columns.intervals.items()}
    parameters |= {
        "days": [part.session for part in whole],
        "starts": [part.start_us for part in whole],
        "ends": [part.end_us for part in whole],
        "width": MINUTES[frequency] * _US_PER_MINUTE,
        "first": min(sessions),
        "last": max(sessions),
    }
    # Names are constants, values are parameters.
    query = f"""
        WITH parts AS (
            SELECT unnest($days) AS trade_date, unnest($starts) AS part_start, unnest($ends) AS part_end
        ), columns AS (
            SELECT unnest($of_ticker) AS ticker, unnest($of_number) AS number,
                unnest($of_first) AS first, unnest($of_last) AS last
        ), minutes AS (
            SELECT bars.trade_date, number::INTEGER AS number, epoch_us(window_start) AS minute,
                open, high, low, close, volume, transactions
            FROM {TABLE.stored_name} bars
            JOIN columns ON bars.ticker = columns.ticker
                AND bars.trade_date BETWEEN columns.first AND columns.last
            WHERE bars.trade_date BETWEEN $first AND $last
        )
        SELECT trade_date, number,
            part_start + ((minute - part_start) // $width) * $width AS start_us,
            any_value(part_end) AS end_us,
            arg_min(open, minute) AS open, max(high) AS high, min(low) AS low,
            arg_max(close, minute) AS close,
            sum(volume) AS volume,
            CASE WHEN count(*) = count(volume) AND sum(volume) > 0
                THEN sum(volume * (high + low + close) / 3) / sum(volume) END AS vwap,
            sum(transactions)::BIGINT AS transactions
        FROM minutes JOIN parts USING (trade_date)
        WHERE minute >= part_start AND minute < part_end
        GROUP BY trade_date, number, start_us
    """  # noqa: S608
    with reader.held() as held:
        try:
            table = pl.DataFrame(held.sql(query, parameters).to_arrow())
        except TableNotFound:
            return Bars(_no_bars(), tuple(sessions))
        missing = _without_minutes(held, set(sessions) - set(table["trade_date"].unique()))
    width_end = pl.col("start_us") + MINUTES[frequency] * _US_PER_MINUTE
    table = table.with_columns(pl.min_horizontal(width_end, "end_us").alias("end_us"))
    return Bars(table.sort(_SORTED), tuple(missing))


def _without_minutes(reader: WarehouseReader, sessions: set[dt.date]) -> list[dt.date]:
    days = sorted(sessions)
    if not days:
        return []
    query = f"SELECT DISTINCT trade_date FROM {TABLE.stored_name} WHERE list_contains($days, trade_date)"  # noqa: S608
    stored = {day for (day,) in reader.sql(query, {"days": days}).fetchall()}
    return [day for day in days if day not in stored]


def with_every_slot(bars: pl.DataFrame, frequency: Frequency, hours: Hours) -> pl.DataFrame:
    """Bars with one of volume 0 for each slot of a session in which a symbol did not trade.

    Its prices are the close before it in the session, null before the first trade; its ``vwap`` is null. A
    symbol without a bar in a session has none of them there.
    """
    width = MINUTES[frequency] * _US_PER_MINUTE
    slots = [
        (part.session, start, min(start + width, part.end_us))
        for day in sorted(bars["trade_date"].unique())
        for part in parts(day, hours, frequency)
        for start in range(part.start_us, part.end_us, width)
    ]
    names = {"trade_date": pl.Date(), "start_us": pl.Int64(), "end_us": pl.Int64()}
    grid = pl.DataFrame(slots, schema=names, orient="row")
    whole = bars.select("trade_date", "number").unique().join(grid, on="trade_date")
    filled = whole.join(bars.drop("end_us"), on=list(_SORTED), how="left").sort(_SORTED)
    before = pl.col("close").forward_fill().over("trade_date", "number")
    empty = pl.col("close").is_null()
    return filled.with_columns(
        *(
            pl.when(empty).then(before).otherwise(name).alias(name)
            for name in ("open", "high", "low", "close")
        ),
        *(pl.when(empty).then(0).otherwise(name).alias(name) for name in ("volume", "transactions")),
    ).select(bars.columns)


def _no_bars() -> pl.DataFrame:
    types = {"trade_date": pl.Date(), "number": pl.Int32(), "start_us": pl.Int64(), "end_us": pl.Int64()}
    prices = {name: pl.Int64() if name == "transactions" else pl.Float64() for name in FIELDS}
    return pl.DataFrame(schema={**types, **prices})


def times(values: pl.Series, tz: str) -> pa.Array:
    """Microseconds since 1970 UTC as moments in a zone."""
    return pa.array(values.to_numpy(), pa.int64()).cast(pa.timestamp("us", tz=tz))


def _us(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 10**6


def _clock(us: int) -> dt.time:
    return dt.datetime.fromtimestamp(us // 10**6, _ZONE).time()

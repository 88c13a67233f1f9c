"""Hand-made histories of tickers: day bars from a few words, in memory or in a warehouse."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.bar_scan import BarEvidence, BarScan
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.tables import get_table

STOCKS_DAILY = get_table(("market", "stocks_daily"))
SESSIONS = np.array(calendars.sessions("XNYS", calendars.FIRST_DAY, calendars.LAST_DAY), "datetime64[D]")


def sessions(start: str, end: str) -> list[dt.date]:
    return calendars.sessions("XNYS", start, end)


@dataclasses.dataclass
class History:
    """Bars of one ticker: a smooth price in today's shares, told in the shares of each session.

    Attributes:
        ticker: Symbol.
        days: Sessions with a bar.
        closes: As published.
        volumes: As published.
        opens: As published; by default the close before, moved by a split.
    """

    ticker: str
    days: list[dt.date]
    closes: np.ndarray
    volumes: np.ndarray
    opens: np.ndarray


def history(
    ticker: str,
    start: str,
    end: str,
    price: float,
    *,
    splits: Sequence[tuple[str, float, float]] = (),
    moves: Sequence[tuple[str, float]] = (),
    volume: float = 1e6,
    without: Iterable[str] = (),
    noise: float = 0.0,
    seed: int = 1,
) -> History:
    """A ticker's bars from start to end.

    Args:
        ticker: Symbol.
        start: First day.
        end: Last day.
        price: First close, as published.
        splits: Session, shares before and after: prices and volumes change at its open.
        moves: Session and factor: the price alone changes at its open.
        volume: Shares a session, at first.
        without: Sessions without a bar.
        noise: Standard deviation of the daily log return.
        seed: Of the noise.
    """
    left_out = set(without)
    days = [day for day in sessions(start, end) if day.isoformat() not in left_out]
    random = np.random.default_rng(seed)
    closes, opens = np.full(len(days), price), np.full(len(days), price)
    closes = closes * np.exp(np.cumsum(noise * random.standard_normal(len(days))))
    volumes = np.full(len(days), volume) * np.exp(10 * noise * random.standard_normal(len(days)))
    opens[1:] = closes[:-1]
    calendar = np.array(days, dtype="datetime64[D]")
    for day, before, after in splits:
        later = calendar >= np.datetime64(day)
        closes[later] *= before / after
        opens[later] *= before / after
        volumes[later] *= after / before
    for day, factor in moves:
        later = calendar >= np.datetime64(day)
        closes[later] *= factor
        opens[later] *= factor
    return History(ticker, days, closes, volumes, opens)


def bars_table(*histories: History) -> pa.Table:
    """The histories as the feed's table holds them."""
    tables = [STOCKS_DAILY.arrow_schema.empty_table()]
    for each in histories:
        count = len(each.days)
        tables.append(
            pa.table(
                {
                    "trade_date": pa.array(each.days, pa.date32()),
                    "ticker": pa.array([each.ticker] * count, pa.string()),
                    "open": each.opens,
                    "high": np.maximum(each.opens, each.closes),
                    "low": np.minimum(each.opens, each.closes),
                    "close": each.closes,
                    "volume": each.volumes,
                    "transactions": np.full(count, 100, dtype=np.int64),
                },
                schema=STOCKS_DAILY.arrow_schema,
            )
        )
    return pa.concat_tables(tables)


def scan(*histories: History) -> BarEvidence:
    """What a scan of those histories finds."""
    names = sorted({each.ticker for each in histories})
    rows = bars_table(*histories).sort_by([("trade_date", "ascending"), ("ticker", "ascending")])
    found = BarScan(names, SESSIONS)
    dates = rows.column("trade_date").to_numpy().astype("datetime64[D]")
    codes = np.array([names.index(ticker) for ticker in rows.column("ticker").to_pylist()], dtype=np.int64)
    values = [rows.column(name).to_numpy() for name in ("open", "close", "volume")]
    for day in np.unique(dates):
        on = dates == day
        found.add(int(np.searchsorted(SESSIONS, day)), codes[on], *(column[on] for column in values))
    return found.finish()


def store(warehouse: Warehouse, *histories: History) -> None:
    """Put the histories into ``market.stocks_daily``, replacing it."""
    with warehouse.writer("test") as transaction:
        transaction.replace_all(STOCKS_DAILY, bars_table(*histories))

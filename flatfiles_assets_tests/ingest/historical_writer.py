"""A small market and every way of writing it that the historical reader has to understand."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import gzip
import io
import random
from pathlib import Path

from hypothesis import strategies as st

from flatfiles_assets.calendars import sessions

TICKERS = ("AAPL", "BCPC", "BCpC", "NA", "NULL", "TRUE", "BRK.B", "F", "INF", "ZION")

HEADINGS = {
    "plain": ("Date", "Symbol", "Open", "High", "Low", "Close", "Volume", "Adj Close"),
    "lower": ("date", "ticker", "open", "high", "low", "close", "vol", "adj_close"),
    "angle": ("<DTYYYYMMDD>", "<TICKER>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>", "<ADJ CLOSE>"),
    "spaced": (
        " TRADE DATE ",
        "Stock Code",
        "Open Price",
        "High Price",
        "Low Price",
        "Last",
        "Shares",
        "AdjClose",
    ),
    "stamp": ("timestamp", "SYM", "O", "H", "L", "C", "V", "Adjusted Close"),
}
DATE_FORMATS = (
    *(
        "%Y-%m-%d",
        "%Y%m%d",
        "%m/%d/%Y",
        "%d/%m/%Y",
        "%d.%m.%Y",
        "%m-%d-%Y",
        "%Y/%m/%d",
        "%b %d, %Y",
        "%d-%b-%y",
    ),
    *(
        "%m/%d/%y",
        "%d/%m/%y",
        "%y%m%d",
        "%Y-%m-%d 00:00:00",
        "%Y-%m-%dT16:00:00-05:00",
        "epoch s",
        "epoch ms",
    ),
)
AMBIGUOUS = ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%m/%d/%y", "%d/%m/%y", "%y%m%d")
NAME_DATES = ("%Y%m%d", "%Y-%m-%d", "prices_%Y_%m_%d", "%m-%d-%Y", "NYSE_%Y%m%d", "%Y/%m/%d")


@dataclasses.dataclass(frozen=True)
class Bar:
    day: dt.date
    ticker: str
    open: float
    high: float
    low: float
    close: float
    volume: int
    adjusted_close: float


@dataclasses.dataclass(frozen=True)
class Written:
    """One way of writing a market."""

    arrangement: str = "per symbol"
    separator: str = ","
    headings: str | None = "plain"
    date_format: str = "%Y-%m-%d"
    name_date: str = "%Y%m%d"
    suffix: str = ".csv"
    folder: str = ""
    encoding: str = "utf-8"
    quoted: bool = False
    adjusted: bool = False
    decimal: str = "."
    line_end: str = "\n"
    class_mark: str = "."
    close_second: bool = False
    descending: bool = False
    day_column_too: bool = False


ways_of_writing = st.builds(
    Written,
    arrangement=st.sampled_from(["long", "per symbol", "per day"]),
    separator=st.sampled_from([",", "\t", ";", "|"]),
    headings=st.sampled_from([None, *HEADINGS]),
    date_format=st.sampled_from(DATE_FORMATS),
    name_date=st.sampled_from(NAME_DATES),
    suffix=st.sampled_from([".csv", ".CSV", ".txt", ".TXT", ".csv.gz", ".txt.GZ"]),
    folder=st.sampled_from(["", "2008", "data/eod"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    quoted=st.booleans(),
    adjusted=st.booleans(),
    decimal=st.sampled_from([".", ","]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    class_mark=st.sampled_from([".", "-", "/", " "]),
    close_second=st.booleans(),
    descending=st.booleans(),
    day_column_too=st.booleans(),
)


def market(seed: int, days: int, tickers: int) -> list[Bar]:
    """Random bars of the first sessions of 2008 after a random one."""
    rng = random.Random(seed)
    every = sessions("XNYS", "2008-01-01", "2008-12-31")
    start = rng.randrange(len(every) - days)
    bars = []
    for ticker in rng.sample(TICKERS, tickers):
        close = rng.uniform(3, 300)
        for day in every[start : start + days]:
            opened, close = close * rng.uniform(0.97, 1.03), close * rng.uniform(0.97, 1.03)
            high, low = max(opened, close) * 1.011 + 0.01, min(opened, close) * 0.989 - 0.01
            prices = [round(value, 2) for value in (opened, high, low, close)]
            bars.append(Bar(day, ticker, *prices, rng.randrange(1000, 10**7), round(prices[3] / 2, 3)))
    return bars


def write_market(bars: list[Bar], way: Written, directory: Path) -> None:
    """Writes the bars under a directory."""
    groups: dict[str, list[Bar]] = {}
    for bar in bars:
        groups.setdefault(_file_name(bar, way), []).append(bar)
    for name, members in groups.items():
        members = sorted(members, key=lambda bar: (bar.day, bar.ticker), reverse=way.descending)
        path = directory / way.folder / (name + way.suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = _text(members, way).encode(way.encoding)
        path.write_bytes(gzip.compress(data) if way.suffix.lower().endswith(".gz") else data)


def _symbol(bar: Bar, way: Written) -> str:
    return bar.ticker.replace(".", way.class_mark)


def _file_name(bar: Bar, way: Written) -> str:
    if way.arrangement == "long":
        return "everything"
    if way.arrangement == "per day":
        return bar.day.strftime(way.name_date)
    return _symbol(bar, way).replace("/", "_")


def _text(bars: list[Bar], way: Written) -> str:
    out = io.StringIO()
    quoting = csv.QUOTE_ALL if way.quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=way.separator, lineterminator=way.line_end, quoting=quoting)
    if way.headings:
        writer.writerow(_ordered(list(HEADINGS[way.headings]), way))
    for bar in bars:
        numbers = [f"{value:.2f}" for value in (bar.open, bar.high, bar.low, bar.close)]
        cells = [_date(bar.day, way.date_format), _symbol(bar, way), *numbers, str(bar.volume)]
        cells.append(f"{bar.adjusted_close:.3f}")
        cells[2:] = [cell.replace(".", way.decimal) for cell in cells[2:]]
        writer.writerow(_ordered(cells, way))
    return out.getvalue()


def _ordered(cells: list[str], way: Written) -> list[str]:
    day, symbol, opened, high, low, close, volume, adjusted = cells
    prices = [opened, close, high, low] if way.close_second else [opened, high, low, close]
    row = [*prices, volume, *([adjusted] if way.adjusted else [])]
    if way.arrangement == "per symbol":
        return [day, *row]
    if way.arrangement == "per day" and not way.day_column_too:
        return [symbol, *row]
    return [symbol, day, *row]


def _date(day: dt.date, date_format: str) -> str:
    if date_format.startswith("epoch"):
        seconds = int(dt.datetime(day.year, day.month, day.day, 5, tzinfo=dt.timezone.utc).timestamp())
        return str(seconds * (1000 if date_format == "epoch ms" else 1))
    return day.strftime(date_format)

"""Whole years of one market, each written in another layout.

Here: `BARS` of every session of 2008, and `WHOLE_YEARS`, by name what the archive holds: member to text.
Not here: layouts that are refused, and smaller ones (`look_alikes`).
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import random
from collections.abc import Callable, Iterable, Mapping
from zoneinfo import ZoneInfo

from flatfiles_assets.calendars import sessions
from flatfiles_assets_tests.ingest.layouts.look_alikes import Bar

YEAR = 2008
DAYS = tuple(sessions("XNYS", "2008-01-02", "2008-12-31"))
# Tickers that software likes to misread, a share class, and one letter that is a vendor's mark elsewhere.
SYMBOLS = (
    *("AAPL", "BAC", "BRK.B", "C", "CVX", "DIS", "F", "GE", "HD", "IBM", "INF", "INTC", "JNJ", "JPM", "KO"),
    *("MSFT", "NA", "NAN", "NULL", "PEP", "PFE", "PG", "T", "TRUE", "VZ", "WFC", "WMT", "X", "XOM"),
)


def _bars() -> tuple[Bar, ...]:
    rng = random.Random(11)
    found = []
    for ticker in SYMBOLS:
        close = rng.uniform(9, 190)
        for day in DAYS:
            if ticker == "X" and day < dt.date(YEAR, 4, 1):
                continue  # listed in spring
            opened = close * (1 + rng.gauss(0, 0.006))
            close = opened * (1 + rng.gauss(0, 0.02))
            high = max(opened, close) * (1 + abs(rng.gauss(0, 0.004))) + 0.01
            low = min(opened, close) * (1 - abs(rng.gauss(0, 0.004))) - 0.01
            found.append(
                Bar(
                    day,
                    ticker,
                    *(round(p, 2) for p in (opened, high, low, close)),
                    rng.randrange(10**5, 10**7),
                )
            )
    return tuple(found)


BARS = _bars()

Row = Callable[[Bar], str]
HEADER = "Date,Open,High,Low,Close,Volume"


def ohlcv(bar: Bar) -> str:
    """Prices and volume with commas between them."""
    return f"{bar.open:.2f},{bar.high:.2f},{bar.low:.2f},{bar.close:.2f},{bar.volume}"


def plain(bar: Bar) -> str:
    """The same behind the date."""
    return f"{bar.day},{ohlcv(bar)}"


def _text(header: str, bars: Iterable[Bar], row: Row) -> str:
    return "\n".join([*([header] if header else []), *map(row, bars), ""])


def per_symbol(name: Callable[[str], str], header: str, row: Row) -> dict[str, str]:
    """A file for each symbol."""
    groups = itertools.groupby(BARS, lambda bar: bar.ticker)
    return {name(ticker): _text(header, bars, row) for ticker, bars in groups}


def _per_day(name: str, header: str, row: Row) -> dict[str, str]:
    groups = itertools.groupby(sorted(BARS, key=lambda bar: bar.day), lambda bar: bar.day)
    return {day.strftime(name): _text(header, bars, row) for day, bars in groups}


def _long(name: str, header: str, row: Row) -> dict[str, str]:
    return {name: _text(header, BARS, row)}


def _yahoo(ticker: str) -> str:
    return ticker.replace(".", "-")


def _exchange(ticker: str) -> str:
    return "NASDAQ" if ticker in ("AAPL", "INTC", "MSFT") else "NYSE"


def _ric(ticker: str) -> str:
    root, _, of_class = ticker.partition(".")
    return f"{root}{of_class.lower()}.{'OQ' if _exchange(ticker) == 'NASDAQ' else 'N'}"


def _comma(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")


def _half(bar: Bar) -> str:
    prices = (bar.open / 2, bar.high / 2, bar.low / 2, bar.close / 2)
    return f"{bar.day}," + ",".join(f"{price:.3f}" for price in prices) + f",{bar.volume}"


def _sydney(bar: Bar) -> str:
    midnight = dt.datetime.combine(bar.day, dt.time(), ZoneInfo("Australia/Sydney"))
    return f"{midnight.astimezone(dt.timezone.utc):%Y-%m-%dT%H:%M:%S}Z,{ohlcv(bar)}"


def _billionths(bar: Bar) -> str:
    midnight = dt.datetime.combine(bar.day, dt.time(), dt.timezone.utc)
    prices = ",".join(f"{round(price * 100)}0000000" for price in (bar.open, bar.high, bar.low, bar.close))
    place = SYMBOLS.index(bar.ticker) + 7
    return f"{int(midnight.timestamp())}000000000,35,1,{place},{prices},{bar.volume},{bar.ticker}"


def _udiff(bar: Bar) -> str:
    prices = f"{bar.open},{bar.high},{bar.low},{bar.close},{bar.open}"
    return f"{bar.day},{bar.ticker},EQ,{prices},{bar.volume},{bar.volume * bar.close:.0f}"


WHOLE_YEARS: Mapping[str, Callable[[], dict[str, str]]] = {
    "names between words": lambda: per_symbol(lambda t: f"hist_{_yahoo(t)}_eod.csv", HEADER, plain),
    "names with different exchanges": lambda: per_symbol(
        lambda t: f"{_exchange(t)}_{_yahoo(t)}.csv", HEADER, plain
    ),
    "folders are symbols in small letters": lambda: per_symbol(
        lambda t: f"us/{_yahoo(t).lower()}/2008.csv", HEADER, plain
    ),
    "Refinitiv's marks": lambda: _long("all.csv", f"RIC,{HEADER}", lambda b: f"{_ric(b.ticker)},{plain(b)}"),
    "Polish": lambda: per_symbol(
        lambda t: f"{_yahoo(t)}.csv",
        "Data;Zamknięcie;Otwarcie;Najwyższy;Najniższy;Wolumen",
        lambda b: ";".join(
            [f"{b.day:%d.%m.%Y}", *map(_comma, (b.close, b.open, b.high, b.low)), str(b.volume)]
        ),
    ),
    "UDiFF of an exchange": lambda: _per_day(
        "BhavCopy_NSE_CM_0_0_0_%Y%m%d_F_0000.csv",
        "TradDt,TckrSymb,SctySrs,OpnPric,HghPric,LwPric,ClsPric,PrvsClsgPric,TtlTradgVol,TtlTrfVal",
        _udiff,
    ),
    "two folders, one adjusted": lambda: (
        per_symbol(lambda t: f"unadjusted/{_yahoo(t)}.txt", HEADER, plain)
        | per_symbol(lambda t: f"split-adjusted/{_yahoo(t)}.txt", HEADER, _half)
    ),
    "billionths of a dollar": lambda: _long(
        "ohlcv-1d.csv",
        "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol",
        _billionths,
    ),
    "midnight in Sydney": lambda: per_symbol(lambda t: f"{_yahoo(t)}.csv", HEADER, _sydney),
    "close before open without names": lambda: per_symbol(
        lambda t: f"{_yahoo(t)}.csv",
        "",
        lambda b: f"{b.day:%Y%m%d};{b.close};{b.open};{b.low};{b.high};{b.volume}",
    ),
}


@functools.cache
def expected() -> dict[tuple[dt.date, str], tuple[float, float, float, float, float]]:
    """Every bar of the year, by its day and ticker."""
    return {(b.day, b.ticker): (b.open, b.high, b.low, b.close, float(b.volume)) for b in BARS}

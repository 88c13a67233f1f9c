"""The one table of column names: which headings mean date, symbol, open, volume and so on.

Here: headings and their meanings. Not here: columns without a heading, which
`layout_discovery` recognises by their values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

DATE = "date"
TIME = "time"
SYMBOL = "symbol"
OPEN = "open"
HIGH = "high"
LOW = "low"
CLOSE = "close"
ADJUSTED_CLOSE = "adjusted_close"
VOLUME = "volume"
TRANSACTIONS = "transactions"
OPEN_INTEREST = "open_interest"
PERIOD = "period"
IGNORED = "ignored"

PRICES = (OPEN, HIGH, LOW, CLOSE)
MEANINGS = (DATE, TIME, SYMBOL, *PRICES, ADJUSTED_CLOSE, VOLUME, TRANSACTIONS, OPEN_INTEREST, PERIOD, IGNORED)

# Headings as `heading_key` writes them, the preferred first: where a file has both `close` and
# `last`, the first of this order is the close and the other is ignored.
_ALIASES: dict[str, tuple[str, ...]] = {
    DATE: (
        *("date", "tradedate", "tradingdate", "sessiondate", "quotedate", "pricedate", "businessdate"),
        *("dtyyyymmdd", "dateyyyymmdd", "yyyymmdd", "timestamp", "datetime", "dateandtime", "datetimestamp"),
        *("day", "tradeday", "tradingday", "session", "asofdate", "asof", "caldt", "bardate", "dt", "d"),
        *("ts", "windowstart", "unixtime", "epoch", "datum"),
    ),
    TIME: ("time", "timehhmmss", "timehhmm", "hhmmss", "hhmm", "bartime", "tradetime", "hour", "minute", "t"),
    SYMBOL: (
        *("ticker", "symbol", "tickersymbol", "stocksymbol", "actsymbol", "sym", "tic", "stock", "stockcode"),
        *("instrument", "security", "code", "ric", "name", "s"),
    ),
    OPEN: ("open", "openprice", "opening", "openingprice", "priceopen", "pxopen", "openprc", "op", "o"),
    HIGH: ("high", "highprice", "pricehigh", "pxhigh", "dayhigh", "hi", "max", "h"),
    LOW: ("low", "lowprice", "pricelow", "pxlow", "daylow", "lo", "min", "l"),
    CLOSE: (
        *("close", "closeprice", "closing", "closingprice", "priceclose", "pxclose", "cl", "c"),
        *("last", "lastprice", "pxlast", "lastsale", "settle", "price", "prc"),
    ),
    ADJUSTED_CLOSE: (
        *("adjclose", "adjustedclose", "adjcloseprice", "adjustedcloseprice", "closeadj", "closeadjusted"),
        *("adjclosingprice", "adjustedclosingprice", "adjustedprice", "adjprice", "adj", "ac"),
    ),
    VOLUME: (
        *("volume", "vol", "sharevolume", "totalvolume", "tradedvolume", "volumetraded", "sharestraded"),
        *("volumeshares", "pxvolume", "shares", "qty", "quantity", "v"),
    ),
    TRANSACTIONS: (
        "transactions",
        "trades",
        "numtrades",
        "numberoftrades",
        "tradecount",
        "notrades",
        "numtrd",
    ),
    OPEN_INTEREST: ("openint", "openinterest", "oi"),
    PERIOD: ("per", "period", "interval", "frequency", "barsize"),
}

_RANKS = {
    alias: (meaning, rank) for meaning, aliases in _ALIASES.items() for rank, alias in enumerate(aliases)
}


def heading_key(heading: str) -> str:
    """A heading without case, brackets, spaces and punctuation: ``<DTYYYYMMDD>`` → ``dtyyyymmdd``."""
    return re.sub(r"[\W_]+", "", heading.casefold())


def meaning_of(heading: str) -> str | None:
    """What a heading means, one of `MEANINGS`, or None for one that is not in the table."""
    found = _RANKS.get(heading_key(heading))
    return found[0] if found else None


def looks_like_header(cells: Sequence[str]) -> bool:
    """Whether a line is a header: it names two different meanings and holds no number."""
    meanings = {meaning for cell in cells if (meaning := meaning_of(cell))}
    return len(meanings) >= 2 and not any(re.fullmatch(r"[\d.,/:\s-]+", cell.strip()) for cell in cells)


def assign_meanings(headings: Sequence[str]) -> tuple[str, ...] | str:
    """One meaning per heading, `IGNORED` where the table has none.

    Where several headings share a meaning, the one that the table prefers has it and the others
    are ignored.

    Returns:
        The meanings, or a sentence that says which headings contradict each other.
    """
    best: dict[str, tuple[int, int]] = {}
    for position, heading in enumerate(headings):
        found = _RANKS.get(heading_key(heading))
        if found is None:
            continue
        meaning, rank = found
        if meaning in best and best[meaning][0] == rank:
            first = headings[best[meaning][1]]
            return f"two columns, {first!r} and {heading!r}, both mean {meaning}"
        if meaning not in best or rank < best[meaning][0]:
            best[meaning] = (rank, position)
    positions = {position: meaning for meaning, (_, position) in best.items()}
    return tuple(positions.get(position, IGNORED) for position in range(len(headings)))

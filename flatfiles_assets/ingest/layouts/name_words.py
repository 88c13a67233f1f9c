"""Words that names of files are made of, and the shape of tickers: what tells one from the other.

Here: vocabulary. Not here: which part of a name is the symbol (`file_names`).
"""

from __future__ import annotations

import re

_TIMEFRAME = re.compile(
    r"\d{1,4}-?(?:s|secs?|seconds?|m|mi|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?|mo|months?)"
    r"|[dhmw]\d{1,4}|mn1?|daily|day|weekly|monthly|hourly|minutely|intraday|eod",
    re.IGNORECASE,
)
MINUTES_OF_TERMINALS = frozenset({"1", "5", "15", "30", "60", "240", "1440"})

EXCHANGES = frozenset(
    (
        *(
            "nyse",
            "nasdaq",
            "nasd",
            "nas",
            "nms",
            "amex",
            "ase",
            "arca",
            "nysearca",
            "nysemkt",
            "nyseamerican",
        ),
        *("bats", "otc", "otcbb", "otcmkts", "pink", "xnys", "xnas", "xase", "arcx", "bzx", "cboe", "iexg"),
    )
)
WORDS = EXCHANGES | frozenset(
    (
        *(
            "table",
            "daily",
            "day",
            "eod",
            "price",
            "prices",
            "historical",
            "history",
            "hist",
            "data",
            "quote",
        ),
        *(
            "quotes",
            "stock",
            "stocks",
            "equity",
            "equities",
            "etf",
            "etfs",
            "share",
            "shares",
            "ohlc",
            "ohlcv",
        ),
        *(
            "bar",
            "bars",
            "all",
            "minute",
            "minutes",
            "min",
            "hourly",
            "hour",
            "intraday",
            "us",
            "usa",
            "file",
        ),
        *("adjusted", "adj", "unadjusted", "unadj", "raw", "split", "splits", "trade", "trades", "sample"),
        *("test", "full", "final", "clean", "cleaned", "merged", "combined", "export", "download", "output"),
        *(
            "out",
            "input",
            "in",
            "new",
            "old",
            "copy",
            "csv",
            "txt",
            "dump",
            "backup",
            "archive",
            "set",
            "list",
        ),
        *(
            "market",
            "markets",
            "universe",
            "index",
            "indices",
            "main",
            "master",
            "sheet",
            "book",
            "temp",
            "tmp",
        ),
        *("part", "page", "chunk", "batch", "vol", "volume", "open", "close", "high", "low", "year", "month"),
        *("yahoo", "stooq", "quandl", "wiki", "google", "kibot", "tiingo", "iex", "polygon", "alpha", "crsp"),
        *(
            "compustat",
            "taq",
            "bloomberg",
            "reuters",
            "nasd",
            "eoddata",
            "norgate",
            "sharadar",
            "sep",
            "kaggle",
        ),
        *("secd", "dsf", "dse", "wrds", "grouped", "aggs", "agg", "results", "result", "query", "db", "sql"),
        *(
            "sp500",
            "spx",
            "russell",
            "nyse",
            "top",
            "misc",
            "other",
            "tickers",
            "symbols",
            "symbol",
            "ticker",
        ),
        *("weekly", "monthly", "feed", "vendor", "research", "panel", "long", "wide", "pricing", "p", "x"),
        *(
            "kurse",
            "aktien",
            "cours",
            "cotations",
            "precios",
            "acciones",
            "azioni",
            "dati",
            "dane",
            "notowania",
        ),
        *("cotacoes", "acoes", "koersen", "hisse", "bhav", "bhavcopy", "cm", "eq", "bse", "nse", "yfinance"),
    )
)
MONTHS = frozenset(
    name
    for full in (
        *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october"),
        *("november", "december"),
    )
    for name in (full, full[:3])
)
# What the tickers of US exchanges look like, in either case: a root, and a class or series.
_TICKER = re.compile(
    r"[$^]?[A-Za-z]{1,5}(?:[-._/ +=](?:[A-Za-z]|(?:WS|WT|UN|RT|RI|WI|CL|PR?)(?:[-._/ ]?[A-Za-z])?))?"
    r"|[A-Z]{1,5}[prw][A-Z]?(?:\.CL)?|[$^][A-Za-z]{1,8}|[A-Za-z]{1,4}\.(?:WS|ws)\.[A-Za-z]",
    re.IGNORECASE,
)


def is_ticker_like(symbol: str) -> bool:
    """Whether a symbol has the shape of a US ticker, in any case."""
    return bool(_TICKER.fullmatch(symbol))


def is_word(symbol: str) -> bool:
    """Whether a text is a word that names of files are made of."""
    return symbol.casefold() in WORDS or bool(_TIMEFRAME.fullmatch(symbol))

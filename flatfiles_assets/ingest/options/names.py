"""What the name of a file of option quotes says: the underlying, days, calls or puts.

Here: names alone. Not here: whether they are to be believed (`layouts`).
"""

from __future__ import annotations

import datetime as dt
import re

from flatfiles_assets.ingest.layouts.date_columns import read_date_column
from flatfiles_assets.ingest.option_tickers import underlying_of_root

_NAME_DATES = re.compile(
    r"(?<!\d)(?:(?:19|20)\d{2}[-_.]?\d{2}[-_.]?\d{2}|\d{1,2}[-_.]\d{1,2}[-_.](?:19|20)\d{2})(?!\d)"
)
_NAME_WORDS = frozenset(
    (
        *("chain", "chains", "option", "options", "opt", "eod", "quotes", "quote", "data", "calls", "puts"),
        *("call", "put", "history", "hist", "daily", "all", "book", "sample", "day", "us", "csv", "full"),
        *("greeks", "oi", "iv", "level", "stats", "file", "year", "month", "jan", "feb", "mar", "apr", "may"),
        *("jun", "jul", "aug", "sep", "oct", "nov", "dec", "x", "l1", "l2", "l3", "underlying", "symbol"),
    )
)


def days_in_name(name: str) -> set[dt.date]:
    """Every day in a path that can be read in one way only."""
    return {day for text in _NAME_DATES.findall(name) if (day := _only_day(text))}


def _only_day(text: str) -> dt.date | None:
    found = read_date_column([text.replace("_", "-").replace(".", "-")])
    return next(iter(found.days.values()), None)


def type_in_name(name: str) -> str | None:
    """``calls`` or ``puts``, where a name says one of them."""
    match = re.search(r"(?<![a-z])(call|put)s?(?![a-z])", name.lower())
    return f"{match[1]}s" if match else None


def symbol_in_name(name: str) -> str | None:
    """The underlying that a file's name begins with, or that its folder is."""
    folders, _, file = name.rpartition("/")
    words = re.split(r"[_\-. ]+", file)
    first = words[0]
    for text in (first, folders.rpartition("/")[2]):
        if re.fullmatch(r"\^?[A-Za-z]{1,5}", text) and text.lower() not in _NAME_WORDS and len(words) > 1:
            return underlying_of_root(text.lstrip("^").upper())
    return None

"""Symbols and dates that stand in a file's name.

Here: which part of a name is a date, which is decoration, and what is left as the symbol. Not here:
which format the date is in (`date_evidence`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SUFFIXES = frozenset(
    (
        *(".csv", ".txt", ".tsv", ".tab", ".psv", ".dat", ".asc", ".prn", ".fwf"),
        *(".gz", ".bz2", ".xz", ".zst", ".lz4", ".tar", ".tgz", ".tbz2", ".txz", ".zip"),
        *(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".parquet", ".pq", ".feather", ".arrow", ".ipc"),
        *(".json", ".jsonl", ".ndjson"),
    )
)

_DATE = re.compile(
    r"(?<!\d)(?:"
    r"(?:19|20)\d{2}([-_.])\d{1,2}\1\d{1,2}"
    r"|\d{1,2}([-_.])\d{1,2}\2(?:19|20)\d{2}"
    r"|\d{8}"
    r"|\d{1,2}[-_ ]?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-_ ]?(?:19|20)\d{2}"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-_ ]?\d{1,2}[-_ ](?:19|20)\d{2}"
    r"|\d{2}([-_.])\d{2}\3\d{2}"
    r"|\d{6}"
    r")(?!\d)",
    re.IGNORECASE,
)
_FOLDERS = re.compile(r"(?:^|/)((?:19|20)\d{2}/\d{1,2}/\d{1,2})(?:/|$)")

_WORDS = frozenset(
    (
        *("table", "daily", "day", "eod", "price", "prices", "historical", "history", "hist", "data"),
        *("quote", "quotes", "stock", "stocks", "equities", "ohlc", "ohlcv", "bar", "bars", "all"),
        *("minute", "minutes", "min", "1min", "5min", "15min", "60min", "hourly", "intraday", "us"),
    )
)
_WORD_BEFORE = re.compile(r"([A-Za-z0-9]+)[-_. ]+(?=.)")
_WORD_AFTER = re.compile(r"(?<=.)[-_. ]+([A-Za-z0-9]+)$")
_SYMBOL = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9^=+$#!*~@&._ -]{1,24}")


def stem_of(name: str) -> str:
    """A file's name without folders and without the suffixes of its format, in any case."""
    stem = name.rpartition("/")[2]
    while True:
        shorter, dot, suffix = stem.rpartition(".")
        if not shorter or (dot + suffix).lower() not in _SUFFIXES:
            return stem
        stem = shorter


def date_text(name: str) -> str | None:
    """The date in a file's name, as it is written there; or in its folders, as ``2008/01/02``."""
    if match := _DATE.search(stem_of(name)):
        return match[0]
    folders = _FOLDERS.search(f"{name.rpartition('/')[0]}/{stem_of(name)}")
    return folders[1] if folders else None


def symbol_text(name: str, decorations: tuple[str, str], *, has_date: bool) -> str | None:
    """The symbol in a file's name; None where nothing is left that could be one.

    Args:
        name: The file's name.
        decorations: What stands before and after the symbol, from `common_decorations`.
        has_date: Whether the name holds a date, which is no part of the symbol.
    """
    stem = _without_date(stem_of(name)) if has_date else stem_of(name)
    before, after = decorations
    symbol = stem.removeprefix(before).removesuffix(after)
    is_word = symbol.casefold() in _WORDS and not symbol.isupper()
    return symbol if _SYMBOL.fullmatch(symbol) and not is_word else None


def common_decorations(names: Sequence[str], *, has_date: bool) -> tuple[str, str]:
    """Words before and after the symbol that all the names share.

    Only a year or a known word (``table``, ``daily``, ``us``…) counts: two classes of one company
    share their first letters, too.
    """
    stems = [_without_date(stem_of(name)) if has_date else stem_of(name) for name in names]
    before = after = ""
    while match := _WORD_BEFORE.match(stems[0]):
        found = match[0]
        if not _is_decoration(match[1]) or not all(
            stem.startswith(found) and stem != found for stem in stems
        ):
            break
        before += found
        stems = [stem.removeprefix(found) for stem in stems]
    while match := _WORD_AFTER.search(stems[0]):
        found = match[0]
        if not _is_decoration(match[1]) or not all(stem.endswith(found) and stem != found for stem in stems):
            break
        after = found + after
        stems = [stem.removesuffix(found) for stem in stems]
    return before, after


def _is_decoration(word: str) -> bool:
    return word.casefold() in _WORDS or bool(re.fullmatch(r"(?:19|20)\d{2}", word))


def _without_date(stem: str) -> str:
    match = _DATE.search(stem)
    if match is None:
        return stem
    before, after = stem[: match.start()].rstrip("-_. "), stem[match.end() :].lstrip("-_. ")
    return f"{before}_{after}" if before and after else before or after

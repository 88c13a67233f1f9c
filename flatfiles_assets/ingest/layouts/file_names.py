"""Symbols and dates that stand in the names of files and folders.

A name is cut into words. What all names of a group share is not the symbol, whatever the words are;
dates, years and times are not; what is left, in the name or else in a folder's, may be. Where
nothing varies, because there is one file only, known words of this trade are taken off instead.

Here: which part of a name is the symbol. Not here: dates in names (`name_dates`), words (`name_words`),
marks of vendors that symbols share and their case (`historical.symbol_marks`).
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Collection, Sequence
from typing import Literal

from flatfiles_assets.ingest.layouts.name_dates import SPACED_DATES, is_date_like, stem_of
from flatfiles_assets.ingest.layouts.name_words import (
    EXCHANGES,
    MINUTES_OF_TERMINALS,
    MONTHS,
    WORDS,
    is_ticker_like,
    is_word,
)

_SEPARATORS = re.compile(r"([-_. ,()\[\]{}+~]+)")
_SYMBOL = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9^=+$#!*~@&._/ -]{1,24}")
# symbol=AAPL/year=2008/, as Hive and Spark write folders.
_HIVE = re.compile(r"^[a-z_]{2,20}=(?=.)")
_CLASS = re.compile(r"[A-Za-z]|(?:ws|wt|un|rt|ri|wi|pr?[a-z]|p)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class NameRule:
    """Which part of a file's path is the symbol.

    Attributes:
        folder: 0 for the file's own name, 1 for the folder that it is in, 2 for that one's.
        before: Words before the symbol, lower case.
        after: Words behind it, lower case.
        head: Characters that all names have before the symbol, run together with it.
        tail: Characters that all names have behind it.
        exchange: Whether the name of an exchange, not always the same, stands before or behind it.
    """

    folder: int = 0
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    head: str = ""
    tail: str = ""
    exchange: Literal["", "before", "behind"] = ""

    def describe(self) -> str:
        """The rule in words; empty where the whole name is the symbol."""
        parts = [*self.before, self.head] if self.head else [*self.before]
        behind = [self.tail, *self.after] if self.tail else [*self.after]
        around = " and ".join(
            text for text in (f"after {parts}" if parts else "", f"before {behind}" if behind else "") if text
        ).replace("'", "")
        folder = f"folder {self.folder} above" if self.folder else ""
        exchange = f"{self.exchange} it the exchange" if self.exchange else ""
        return ", ".join(text for text in (folder, around, exchange) if text)


NO_SYMBOL = NameRule()


def symbol_text(name: str, rule: NameRule) -> str | None:
    """The symbol in a file's path; None where what the rule leaves is no symbol."""
    words = _words(_part(name, rule.folder))
    texts = [word.casefold() for word, _ in words]
    first, last = len(rule.before), len(words) - len(rule.after)
    if first >= last or tuple(texts[:first]) != rule.before or tuple(texts[last:]) != rule.after:
        return None
    kept = words[first:last]
    if rule.exchange and len(kept) > 1:
        kept = kept[1:] if rule.exchange == "before" else kept[:-1]
    symbol = "".join(word + mark for word, mark in kept[:-1]) + kept[-1][0]
    if not (symbol.startswith(rule.head) and symbol.endswith(rule.tail)):
        return None
    symbol = symbol[len(rule.head) : len(symbol) - len(rule.tail)]
    return symbol if symbol and _SYMBOL.fullmatch(symbol) else None


def find_name_rule(names: Sequence[str], known: Collection[str] = ()) -> NameRule | None:
    """The rule that finds a symbol in every name, or None where there is none.

    Args:
        names: Paths of files that share a layout.
        known: Tickers that are known from elsewhere.
    """
    for folder in (0, 1, 2, 3):
        if any(name.count("/") < folder for name in names):
            return None
        words = [tuple(word for word, _ in _words(_part(name, folder))) for name in names]
        if any(not each for each in words):
            continue  # a date or a number only: the symbol is a folder's
        distinct = list(dict.fromkeys(words))
        if len(distinct) > 1:
            if folder == 0 and {word.casefold() for each in distinct for word in each} <= MONTHS:
                continue
            return _rule_of_varying(distinct, folder)
        if rule := _rule_of_one(distinct[0], names, folder, known):
            return rule
    return None


def _rule_of_varying(distinct: list[tuple[str, ...]], folder: int) -> NameRule | None:
    lowered = [tuple(word.casefold() for word in each) for each in distinct]
    before = _shared(lowered)
    after = _shared([each[::-1] for each in lowered])[::-1]
    while before or after:
        if all(len(each) > len(before) + len(after) for each in lowered):
            break
        before, after = (before, after[1:]) if after else (before[:-1], after)
    cores = [each[len(before) : len(each) - len(after)] for each in distinct]
    are_letters = all(len(core) == 1 and _CLASS.fullmatch(core[0]) for core in cores)
    if before and are_letters and before[-1] not in WORDS and len(before[-1]) <= 5:
        # Classes of one company share their root; single letters behind a word are companies.
        return None
    if exchange := _exchange_place(cores):
        cores = [core[1:] if exchange == "before" else core[:-1] for core in cores]
    head, tail = _shared_characters([core[0] for core in cores], [core[-1] for core in cores])
    return NameRule(folder, before, after, head, tail, exchange)


def _exchange_place(cores: Sequence[tuple[str, ...]]) -> Literal["", "before", "behind"]:
    """Where names have an exchange's name, which need not be the same in all."""
    if all(len(core) > 1 and core[0].casefold() in EXCHANGES for core in cores):
        return "before"
    return "behind" if all(len(core) > 1 and core[-1].casefold() in EXCHANGES for core in cores) else ""


def _rule_of_one(
    words: tuple[str, ...], names: Sequence[str], folder: int, known: Collection[str]
) -> NameRule | None:
    """One file, or several whose names differ in their dates only."""
    first, last = 0, len(words)
    while first < last and is_word(words[first]):
        first += 1
    while last > first and is_word(words[last - 1]):
        last -= 1
    core = words[first:last]
    capitals = [place for place in range(first, last) if words[place].isupper()]
    if len(capitals) == 1 and all(
        word.islower() and len(word) >= 3
        for place, word in enumerate(words[first:last], first)
        if place not in capitals
    ):
        # Words in small letters around one in capital letters.
        (first,) = capitals
        last = first + 1
        core = words[first:last]
    tail = ""
    if len(core) == 1 and (match := re.fullmatch(r"([A-Za-z]+)(\d+)", core[0])):
        tail = match[2] if match[2] in MINUTES_OF_TERMINALS else ""
    if not core or (folder == 0 and len(names) > 1 and _vary_in_numbers(names)):
        return None
    symbol = "-".join(core)
    symbol = symbol[: len(symbol) - len(tail)]
    if symbol.upper() in known or (is_ticker_like(symbol) and not is_word(symbol)):
        before = tuple(word.casefold() for word in words[:first])
        return NameRule(folder, before, tuple(word.casefold() for word in words[last:]), "", tail)
    return None


def _vary_in_numbers(names: Sequence[str]) -> bool:
    """Whether several files of one folder have one name but for what is no date: part1, part2."""
    plain = [re.sub(r"\d+", "", stem_of(name)) for name in names]
    dated = [
        bool(SPACED_DATES.search(stem_of(name)) or re.search(r"\d{4,}", stem_of(name))) for name in names
    ]
    return len(set(plain)) == 1 and len({name.rpartition("/")[0] for name in names}) == 1 and not all(dated)


def _shared(words: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The first words that all have."""
    count = 0
    for place in zip(*words, strict=False):
        if len(set(place)) > 1:
            break
        count += 1
    return words[0][:count]


def _shared_characters(firsts: Sequence[str], lasts: Sequence[str]) -> tuple[str, str]:
    """What all first words begin with and all last words end with, where it cannot be of a symbol."""
    head = tail = ""
    found = [re.match(r"[a-z]{2,}(?=[A-Z])", word) for word in firsts]
    texts = {match[0] for match in found if match}
    if all(found) and len(texts) == 1:
        head = texts.pop()
    found = [re.search(r"(?<=[A-Za-z])\d+$", word) for word in lasts]
    texts = {match[0] for match in found if match}
    if all(found) and len(texts) == 1:
        tail = texts.pop()
    return head, tail


def _part(name: str, folder: int) -> str:
    part = stem_of(name) if folder == 0 else name.split("/")[-1 - folder]
    return _HIVE.sub("", part)


@functools.lru_cache(maxsize=16384)
def _words(text: str) -> tuple[tuple[str, str], ...]:
    """The words of a name and the mark behind each, without dates and times."""
    pieces = _SEPARATORS.split(SPACED_DATES.sub(" ", text))
    words: list[tuple[str, str]] = []
    after_date = text != SPACED_DATES.sub(" ", text)
    for place in range(0, len(pieces), 2):
        word, mark = pieces[place], pieces[place + 1] if place + 1 < len(pieces) else ""
        if not word:
            continue
        if word.isdecimal():
            is_time = after_date and len(word) in (4, 6)
            if is_time or is_date_like(word):
                after_date = True
                continue
        elif match := re.fullmatch(r"([A-Za-z]+)(\d{4,8})", word):
            word = match[1] if is_date_like(match[2]) and match[2] not in MINUTES_OF_TERMINALS else word
        words.append((word, mark))
    return tuple(words)

"""Names of months and weekdays in the languages that dates are written in, from Unicode's CLDR (by babel).

Here: one word to a month's number. A word that means two months in two languages means none. Not here:
where in a date the word stands (`date_formats`).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping

_ENGLISH = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
# Those of the headings that are understood and have an alphabet; the first six also shorten as they like.
_SHORTENED = ("de", "es", "fr", "it", "pt", "nl")
_LANGUAGES = (*_SHORTENED, "sv", "da", "nb", "fi", "pl", "cs", "hu", "tr")
# Spreadsheets' own, which CLDR does not have.
_OF_SPREADSHEETS = {"mrz": 3, "sept": 9, "set": 9}
_FEWEST_LETTERS = 3


def month_of(word: str) -> int | None:
    """The month that a word names, with or without its accents and full stop; None for none or two.

    >>> month_of("March"), month_of("août"), month_of("Dez."), month_of("jui")
    (3, 8, 12, None)
    """
    text = word.rstrip(".").casefold()
    return _english().get(text) or _foreign().get(_plain(text))


def without_weekday(text: str) -> str:
    """A date without the weekday before it.

    >>> without_weekday("lundi 3 mars 2008"), without_weekday("Mon, March 3, 2008")
    ('3 mars 2008', 'March 3, 2008')
    """
    match = re.match(r"([^\W\d_]{2,14}(?:-feira)?)\.?,?\s+(?=\S)", text)
    if match is None:
        return text
    word = match[1].casefold()
    is_weekday = re.fullmatch(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*", word) or (
        month_of(word) is None and _plain(word) in _weekdays()
    )
    return text[match.end() :] if is_weekday else text


@functools.cache
def _english() -> dict[str, int]:
    return {
        name: number for number, full in enumerate(_ENGLISH, start=1) for name in {full, full[:3], full[:4]}
    }


@functools.cache
def _foreign() -> Mapping[str, int]:
    # Loaded where a date asks for it: most never do.
    from babel.dates import get_month_names

    found: defaultdict[str, set[int]] = defaultdict(set)
    for language in _LANGUAGES:
        for width in ("wide", "abbreviated"):
            for context in ("format", "stand-alone"):
                for number, name in get_month_names(width, context, language).items():
                    text = _plain(name.rstrip("."))
                    lengths = range(_FEWEST_LETTERS, len(text)) if language in _SHORTENED else ()
                    for shortened in {text, *(text[:length] for length in lengths)}:
                        found[shortened].add(number)
    for name, number in (_OF_SPREADSHEETS | _english()).items():
        found[name].add(number)
    return {name: numbers.pop() for name, numbers in found.items() if len(numbers) == 1}


@functools.cache
def _weekdays() -> frozenset[str]:
    from babel.dates import get_day_names

    return frozenset(
        _plain(name.rstrip("."))
        for language in _LANGUAGES
        for width in ("wide", "abbreviated")
        for name in get_day_names(width, "format", language).values()
    )


def _plain(text: str) -> str:
    """Small letters without accents."""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))

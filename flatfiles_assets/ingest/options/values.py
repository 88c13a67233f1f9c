"""One text of a file of option quotes: numbers and days as vendors write them.

Here: values. Not here: which column they are of (`layouts`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from flatfiles_assets.ingest.layouts.date_columns import DateColumn
from flatfiles_assets.ingest.layouts.date_formats import candidate_formats, parse_stamp

_FEWEST_DATES = 5


def share(values: Sequence[str], test: Callable[[str], object]) -> float:
    """The share of some texts that pass a test."""
    return sum(bool(test(value)) for value in values) / len(values)


def number(text: str | None, decimal: str = ".") -> float | None:
    """A number as vendors write it; None for what is none."""
    if text and decimal == ",":
        text = text.replace(".", "").replace(",", ".")
    try:
        return float(text.strip().lstrip("$").rstrip("%").replace(",", "")) if text else None
    except ValueError:
        return None


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    return number(text) is not None


def day_of(text: str, date_format: str) -> dt.date | None:
    """The day of a text under one format."""
    stamp = parse_stamp(text, date_format)
    return dt.date(1970, 1, 1) + dt.timedelta(days=stamp.day) if stamp else None


def by_fridays(texts: Sequence[str]) -> DateColumn | None:
    """The reading under which options expire at the week's end, where the others scatter."""
    best: list[tuple[float, str]] = []
    candidates = {candidate for text in texts for candidate in candidate_formats(text)}
    for candidate in sorted(candidates):
        days = [day for text in texts if (day := day_of(text, candidate))]
        if len(days) == len(texts):
            best.append((sum(day.weekday() in (3, 4, 5) for day in days) / len(days), candidate))
    best.sort(reverse=True)
    if len(texts) < _FEWEST_DATES or not best or best[0][0] < 0.9 or (len(best) > 1 and best[1][0] > 0.7):
        return None
    chosen = best[0][1]
    return DateColumn({text: day for text in texts if (day := day_of(text, chosen))}, formats=(chosen,))

"""A column of dates that nobody described: one reading for all of it, or a refusal with its values.

Here: texts to days. Not here: the readings of one text (`date_formats`) and what settles them
(`date_evidence`).
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from flatfiles_assets.ingest.layouts.date_evidence import judge_dates
from flatfiles_assets.ingest.layouts.date_formats import EXCEL_DAY_ZERO, Stamp, candidate_formats, parse_stamp

_EPOCH = dt.date(1970, 1, 1)
_NEW_YORK = ZoneInfo("America/New_York")
_NO_DATE = frozenset(
    ("", "-", "--", "na", "n/a", "#n/a", "nan", "nat", "null", "none", "nil", "0000-00-00", "00000000", "0")
)
_MOST_SHOWN = 5
# So few values of another form are strays and do not put the column in doubt.
_FEW = 0.05


@dataclasses.dataclass(frozen=True)
class DateColumn:
    """What the texts of a column are.

    Attributes:
        days: The day of each distinct text that is a date; a moment with an offset is on New York's
            day, one at midnight on the day as written.
        unreadable: The distinct texts that are no dates, in the column's order.
        formats: How the others are written.
        ambiguity: Why the dates could not be settled, with examples; then there are no days.
    """

    days: dict[str, dt.date]
    unreadable: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    ambiguity: str = ""


def read_date_column(texts: Iterable[str | None]) -> DateColumn:
    """The days of a column, by its distinct texts.

    Args:
        texts: The cells in the table's order; words for no value are passed over.
    """
    distinct = [text for text in dict.fromkeys(texts) if text is not None and is_given(text)]
    groups: dict[tuple[str, ...], list[str]] = collections.defaultdict(list)
    for text in distinct:
        groups[candidate_formats(text)].append(text)
    days: dict[str, dt.date] = {}
    unreadable = groups.pop((), [])
    formats: list[str] = []
    for candidates, members in groups.items():
        chosen = _settled(candidates, members)
        if chosen is None and len(members) < _FEW * len(distinct):
            unreadable.extend(members)
            continue
        if chosen is None:
            return DateColumn(
                {},
                tuple(distinct),
                ambiguity=f"{shown(members)} can be read as {' or '.join(candidates)}; nothing settles which",
            )
        formats.append(chosen)
        for text in members:
            stamp = parse_stamp(text, chosen)
            if stamp is None:
                unreadable.append(text)
            else:
                days[text] = _day(stamp)
    return DateColumn(days, tuple(unreadable), tuple(dict.fromkeys(formats)))


def is_given(text: str) -> bool:
    """Whether a cell of dates holds anything."""
    return text.strip().lower() not in _NO_DATE


def shown(texts: Sequence[str]) -> str:
    """The first of some values, for a message."""
    more = f" and {len(texts) - _MOST_SHOWN:,} more" if len(texts) > _MOST_SHOWN else ""
    return ", ".join(map(repr, texts[:_MOST_SHOWN])) + more


def _settled(candidates: tuple[str, ...], texts: Sequence[str]) -> str | None:
    if len(candidates) == 1:
        return candidates[0]
    verdict = judge_dates(texts, candidates)
    if set(verdict.formats) == set(EXCEL_DAY_ZERO):
        return "excel"  # the other count went out of use with the Macs that had it
    return verdict.formats[0] if len(verdict.formats) == 1 else None


def _day(stamp: Stamp) -> dt.date:
    day = _EPOCH + dt.timedelta(days=stamp.day)
    if stamp.offset_seconds is None or not stamp.second:
        return day
    midnight = dt.datetime.combine(day, dt.time(), dt.timezone.utc)
    moment = midnight + dt.timedelta(seconds=stamp.second - stamp.offset_seconds)
    return moment.astimezone(_NEW_YORK).date()

"""Which of several readings of a file's dates is the true one, by evidence.

``01/02/2008`` is two days. These settle it, in this order, for a reading that the others lose to:

1. *Validity*: under one reading the dates exist, under the other they do not (a day above 12).
2. *The year*: the archive is of one year, and only one reading's dates lie in it.
3. *Sessions*: only one reading's dates are days on which the exchange was open.
4. *Order*: only under one reading do the file's dates run in one direction.

Files of one archive with the same header, separator and shape of date are siblings: a reading must
stand for all of them, and so one file can settle what another cannot. Where siblings contradict
each other, or nothing settles it, there is no answer here.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from flatfiles_assets.calendars import FIRST_DAY, LAST_DAY, sessions
from flatfiles_assets.ingest.layouts.date_formats import parse_stamp

# A reading under which more than one date in fifty does not exist is refuted, even if it is the best.
_MOST_INVALID = 0.02
_EPOCH = dt.date(1970, 1, 1).toordinal()
_ABSENT = np.iinfo(np.int64).min


@dataclasses.dataclass(frozen=True)
class DateVerdict:
    """What is left of the candidates.

    Attributes:
        formats: The readings that the evidence leaves, in the candidates' order.
        reason: What ruled the others out, for the report; empty where nothing did.
        refuted: The others.
    """

    formats: tuple[str, ...]
    reason: str = ""
    refuted: tuple[str, ...] = ()


def judge_dates(texts: Sequence[str], candidates: Sequence[str], year: int | None = None) -> DateVerdict:
    """Which readings one file's dates allow.

    Args:
        texts: The date cells in the file's order; neighbours that are equal may be merged.
        candidates: The readings to choose from.
        year: The year that the dates must lie in, where it is known.
    """
    distinct, codes = np.unique(np.asarray(texts, dtype=np.str_), return_inverse=True)
    readings = {name: _days(distinct.tolist(), name) for name in candidates}
    # What is no date under any reading is no evidence.
    readable = np.zeros(len(distinct), dtype=bool)
    for days in readings.values():
        readable |= days != _ABSENT
    if not readable.any():
        return DateVerdict(())
    left = tuple(candidates)
    reason = ""
    for name, weigh in (
        ("only under this reading are they dates", lambda days: float(np.mean(days[readable] == _ABSENT))),
        (f"only under this reading do they lie in {year}", lambda days: _outside(days, year)),
        ("only under this reading are they sessions", _closed),
        ("only under this reading are they in order", lambda days: _disorder(days[codes])),
    ):
        if len(left) < 2:
            break
        against = {reading: weigh(readings[reading]) for reading in left}
        least = min(against.values())
        kept = tuple(reading for reading in left if against[reading] == least)
        if len(kept) < len(left):
            left, reason = kept, name
    invalid = [float(np.mean(readings[reading][readable] == _ABSENT)) for reading in left]
    if min(invalid) > _MOST_INVALID:
        return DateVerdict((), "its dates contradict each other under every reading")
    return DateVerdict(left, reason)


def judge_siblings(
    files: Iterable[Sequence[str]], candidates: Sequence[str], year: int | None = None
) -> DateVerdict:
    """Which readings the dates of all files allow together; stops at the file that settles it.

    A file that contradicts the others is not looked for here: it does not convert under the
    reading found, and is then judged alone.
    """
    left = DateVerdict(tuple(candidates))
    pooled: set[str] = set()
    for texts in files:
        verdict = judge_dates(texts, left.formats, year)
        if verdict.formats and len(verdict.formats) < len(left.formats):
            left = verdict
        if len(left.formats) == 1:
            return left
        pooled.update(texts)
    # Each file alone may have too few dates for what all of them show together; their order
    # across files means nothing.
    pooled_verdict = judge_dates(sorted(pooled), left.formats, year)
    in_order = pooled_verdict.reason.endswith("in order")
    found = left if in_order or not pooled_verdict.formats else pooled_verdict
    if len(found.formats) > 1:
        days = [_days(sorted(pooled), reading) for reading in found.formats]
        if all(np.array_equal(days[0], others) for others in days[1:]):
            # 08-Jan-08 is one day under either reading.
            return dataclasses.replace(found, formats=found.formats[:1])
    return found


def _days(texts: Sequence[str], date_format: str) -> npt.NDArray[np.int64]:
    stamps = (parse_stamp(text, date_format) for text in texts)
    return np.array([_ABSENT if stamp is None else stamp.day for stamp in stamps], dtype=np.int64)


def _outside(days: npt.NDArray[np.int64], year: int | None) -> float:
    days = days[days != _ABSENT]
    if year is None or not len(days):
        return 0.0
    return float(np.mean(days.astype("datetime64[D]").astype("datetime64[Y]") != np.datetime64(str(year))))


def _closed(days: npt.NDArray[np.int64]) -> float:
    days = days[days != _ABSENT]
    return float(np.mean(~is_open(days))) if len(days) else 1.0


def is_open(days: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which days (since 1970-01-01) are sessions of XNYS; outside the calendar: which are weekdays."""
    known = session_days()
    inside = (days >= _day_number(FIRST_DAY)) & (days <= _day_number(LAST_DAY))
    return np.where(inside, np.isin(days, known), np.is_busday(days.astype("datetime64[D]")))


@functools.cache
def session_days() -> npt.NDArray[np.int64]:
    """Every session of XNYS that the calendar knows, in days since 1970-01-01, in order."""
    return np.array([_day_number(day) for day in sessions("XNYS", FIRST_DAY, LAST_DAY)], dtype=np.int64)


def _day_number(day: dt.date) -> int:
    return day.toordinal() - _EPOCH


def _disorder(days: npt.NDArray[np.int64]) -> float:
    days = days[days != _ABSENT]
    steps = np.diff(days)
    steps = steps[steps != 0]
    return 1.0 if (steps > 0).any() and (steps < 0).any() else 0.0

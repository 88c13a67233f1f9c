"""Which session a daily stamp names: a date as written, a moment, or midnight on another continent.

A bar stamped ``2008-01-01T23:00:00Z`` is of the session of 2 January for who lives in Paris. Which day
is meant shows in the calendar: under the true reading the stamps fall on sessions, under the others
on Sundays and holidays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.ingest.layouts.date_evidence import is_open
from flatfiles_assets.ingest.layouts.date_formats import parse_stamp
from flatfiles_assets.ingest.layouts.layout import NotSettled
from flatfiles_assets.ingest.layouts.zones import utc_offset_seconds

_MOST_CLOSED = 0.02
_FEWEST_DAYS = 5


def daily_day(text: str, date_format: str, zone: str | None = None, shift: int = 0) -> int | None:
    """Days since 1970-01-01 of the session that a stamp names; None where it is no date.

    Args:
        text: The stamp.
        date_format: As `date_formats` names it.
        zone: The zone whose calendar day counts; None for the date as written, where midnight UTC
            names its date and any other epoch its day in New York.
        shift: Days to add.
    """
    stamp = parse_stamp(text, date_format)
    if stamp is None:
        return None
    is_moment = stamp.offset_seconds is not None and stamp.second is not None
    if zone and is_moment:
        utc = stamp.day * 86400 + (stamp.second or 0) - (stamp.offset_seconds or 0)
        return (utc + utc_offset_seconds(zone, stamp.day)) // 86400 + shift
    if date_format.startswith("epoch") and stamp.second:
        return stamp.day + (stamp.second + utc_offset_seconds(NEW_YORK, stamp.day)) // 86400 + shift
    return stamp.day + shift


def settle_shift(texts: Sequence[str], date_format: str) -> tuple[int, str]:
    """By how many days the sessions differ from the dates as written, and the evidence in a sentence.

    Args:
        texts: Distinct stamps.
        date_format: Their format.

    Raises:
        NotSettled: Dates without a time of day are sessions only if they are moved.
    """
    days = np.array(
        sorted({day for text in texts if (day := daily_day(text, date_format)) is not None}), dtype=np.int64
    )
    if len(days) < _FEWEST_DAYS or _closed(days) <= _MOST_CLOSED:
        return 0, ""
    shifts = [shift for shift in (1, -1) if _closed(days + shift) <= _MOST_CLOSED]
    if len(shifts) != 1:
        return 0, ""
    (shift,) = shifts
    has_times = any(
        stamp is not None and stamp.second is not None
        for stamp in (parse_stamp(text, date_format) for text in texts[:20])
    )
    which = "after" if shift > 0 else "before"
    closed = f"{_closed(days):.0%} of the dates as written are no sessions, and the days {which} them all are"
    if not has_times:
        raise NotSettled(f"{closed}: its dates are wrong by a day, which no override can mend")
    return shift, f"{closed}, so these are meant"


def _closed(days: npt.NDArray[np.int64]) -> float:
    return float(np.mean(~is_open(days)))

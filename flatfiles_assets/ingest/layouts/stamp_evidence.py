"""Whether rows are days or parts of days, and in which zone their stamps are, by their times.

A file with three or more different local times of day is intraday; one with fewer is daily, for
daily bars may be stamped with the close, which is early on some days. Naive times are New York's,
unless nothing stands before 13:30 and something after 16:00: then they look like UTC, and the
layout is refused rather than guessed. A bar is taken to be stamped with its start, unless some bar
is stamped 16:00 and none 09:30 or later than 16:00.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.ingest.layouts.column_aliases import TIME
from flatfiles_assets.ingest.layouts.date_formats import parse_stamp, parse_time
from flatfiles_assets.ingest.layouts.layout import FileLayout, NotUnderstood
from flatfiles_assets.ingest.layouts.overrides import LayoutOverride

OPENING_SECOND = 9 * 3600 + 30 * 60
CLOSING_SECOND = 16 * 3600
_FIRST_OPENING_IN_UTC = 13 * 3600 + 30 * 60
_FEWEST_INTRADAY_TIMES = 3


@functools.lru_cache(maxsize=65536)
def utc_offset_seconds(zone: str, day: int) -> int:
    """A zone's offset from UTC at noon of a day, counted from 1970-01-01."""
    noon = dt.datetime(1970, 1, 1, 12, tzinfo=ZoneInfo(zone)) + dt.timedelta(days=day)
    return int((noon.utcoffset() or dt.timedelta()).total_seconds())


@dataclasses.dataclass
class TimeOfDay:
    """The distinct times of day of some files.

    Attributes:
        seconds: Seconds of the day: New York's where the stamps have an offset, else as written.
        has_offset: Whether some stamp has one.
    """

    seconds: set[int] = dataclasses.field(default_factory=set)
    has_offset: bool = False

    def add(self, texts: Iterable[str], layout: FileLayout) -> None:
        """Takes the times of a time column, or of a date column with times."""
        in_time_column = TIME in layout.columns
        for text in texts:
            if in_time_column:
                second = parse_time(text)
            else:
                stamp = parse_stamp(text, layout.date_format)
                second = stamp.second if stamp else None
                if stamp and second is not None and stamp.offset_seconds is not None:
                    self.has_offset = True
                    local = utc_offset_seconds(NEW_YORK, stamp.day)
                    second = (second - stamp.offset_seconds + local) % 86400
            if second is not None:
                self.seconds.add(second)

    @property
    def is_settled(self) -> bool:
        """Whether more files cannot change that the bars are intraday."""
        return len(self.seconds) >= _FEWEST_INTRADAY_TIMES


def weigh_times(times: TimeOfDay, layout: FileLayout, stated: LayoutOverride) -> FileLayout | NotUnderstood:
    """The layout with its bar size, time zone and bar label, or why its stamps are in doubt."""
    bar_size = stated.bar_size or ("intraday" if times.is_settled else "daily")
    if bar_size == "daily":
        return dataclasses.replace(layout, bar_size="daily")
    seconds = times.seconds
    if not seconds:
        return NotUnderstood("an override says that its bars are intraday, and it has no times")
    looks_like_utc = min(seconds) >= _FIRST_OPENING_IN_UTC and max(seconds) > CLOSING_SECOND
    if not times.has_offset and not stated.timezone and looks_like_utc:
        return NotUnderstood(
            "its times have no zone, none is before 13:30 and some are after 16:00, so they look like UTC "
            "and not like New York; state `timezone` in an override"
        )
    ends = CLOSING_SECOND in seconds and OPENING_SECOND not in seconds and max(seconds) == CLOSING_SECOND
    zone = stated.timezone or NEW_YORK
    return dataclasses.replace(
        layout,
        bar_size="intraday",
        timezone=zone,
        bar_label=stated.bar_label or ("end" if ends and (zone == NEW_YORK or times.has_offset) else "start"),
    )

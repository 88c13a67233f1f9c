"""The day, and of intraday bars the moment, of each row of a block.

Here: cells and names to days and moments, once per distinct text. Not here: what a stamp means
(`daily_stamps`, `session_hours`), which days are sessions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.daily_stamps import daily_day
from flatfiles_assets.ingest.layouts.date_formats import parse_stamp, parse_time
from flatfiles_assets.ingest.layouts.layout import FileLayout
from flatfiles_assets.ingest.layouts.zones import ABSENT, OPENING_SECOND, shifted_by_day, utc_offset_seconds

Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class RowDates:
    """When the rows of a block were traded.

    Attributes:
        days: Calendar days in New York since 1970-01-01, `ABSENT` where none can be read.
        stamps: Microseconds since 1970 UTC; None for daily bars.
    """

    days: Ints
    stamps: Ints | None = None


def per_distinct(column: pa.StringArray, convert: Callable[[str], int | None]) -> Ints:
    """A conversion of text to integers that runs once per distinct text; `ABSENT` for None."""
    encoded = column.dictionary_encode()
    converted = [convert(text) for text in encoded.dictionary.to_pylist()]
    values = np.array([ABSENT if value is None else value for value in converted], dtype=np.int64)
    return values[encoded.indices.to_numpy()] if len(values) else np.zeros(0, dtype=np.int64)


def dates_of(columns: Mapping[str, pa.StringArray], days_of_names: Ints, layout: FileLayout) -> RowDates:
    """When the rows were traded.

    Args:
        columns: The wanted columns, by meaning.
        days_of_names: The day in each row's file name, `ABSENT` where there is none.
        layout: How to read them.
    """
    if layout.bar_size == "daily":
        return RowDates(_daily_days(columns, days_of_names, layout))
    moments = _moments(columns, days_of_names, layout)
    local = shifted_by_day(moments, lambda day: utc_offset_seconds(NEW_YORK, day))
    absent = moments == ABSENT
    return RowDates(np.where(absent, ABSENT, local // 86400), np.where(absent, 0, moments) * 1_000_000)


def _daily_days(columns: Mapping[str, pa.StringArray], days_of_names: Ints, layout: FileLayout) -> Ints:
    if layout.date_source == "file name":
        return days_of_names
    zone = layout.timezone if layout.days_in_zone else None
    return per_distinct(
        columns[meaning.DATE], lambda text: daily_day(text, layout.date_format, zone, layout.day_shift)
    )


def _moments(columns: Mapping[str, pa.StringArray], days_of_names: Ints, layout: FileLayout) -> Ints:
    """Seconds since 1970 UTC."""
    from_name = layout.date_source == "file name"
    if meaning.BAR_NUMBER in columns or meaning.TIME in columns:
        days = (
            days_of_names
            if from_name
            else per_distinct(columns[meaning.DATE], lambda text: _day(text, layout.date_format))
        )
        seconds = _seconds_of_day(columns, layout)
        unknown = (seconds == ABSENT) | (days == ABSENT)
        naive = np.where(unknown, ABSENT, days * 86400 + seconds)
        zone = NEW_YORK if meaning.BAR_NUMBER in columns else layout.timezone
        return shifted_by_day(naive, lambda day: -utc_offset_seconds(zone, day))
    if from_name:
        return np.where(days_of_names == ABSENT, ABSENT, days_of_names * 86400)
    return per_distinct(columns[meaning.DATE], lambda text: _moment(text, layout))


def _seconds_of_day(columns: Mapping[str, pa.StringArray], layout: FileLayout) -> Ints:
    if meaning.BAR_NUMBER not in columns:
        return per_distinct(columns[meaning.TIME], parse_time)
    numbers = per_distinct(columns[meaning.BAR_NUMBER], lambda text: int(text) if text.isdecimal() else None)
    in_day = OPENING_SECOND + (numbers - layout.first_bar) * layout.bar_seconds
    return np.where(numbers == ABSENT, ABSENT, in_day)


def _day(text: str, date_format: str) -> int | None:
    stamp = parse_stamp(text, date_format)
    return stamp.day if stamp else None


def _moment(text: str, layout: FileLayout) -> int | None:
    stamp = parse_stamp(text, layout.date_format)
    if stamp is None or stamp.second is None:
        return None
    offset = stamp.offset_seconds
    if offset is None:
        offset = utc_offset_seconds(layout.timezone, stamp.day)
    return stamp.day * 86400 + stamp.second - offset

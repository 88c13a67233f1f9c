"""Offsets of time zones from UTC, and the regular hours of New York in seconds of the day."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

OPENING_SECOND = 9 * 3600 + 30 * 60
CLOSING_SECOND = 16 * 3600
ABSENT = np.iinfo(np.int64).min
"""Stands for a date or moment that could not be read."""


@functools.lru_cache(maxsize=65536)
def utc_offset_seconds(zone: str, day: int) -> int:
    """A zone's offset from UTC at noon of a day, counted from 1970-01-01."""
    noon = dt.datetime(1970, 1, 1, 12, tzinfo=ZoneInfo(zone)) + dt.timedelta(days=day)
    return int((noon.utcoffset() or dt.timedelta()).total_seconds())


def shifted_by_day(moments: npt.NDArray[np.int64], shift: Callable[[int], int]) -> npt.NDArray[np.int64]:
    """Moments moved by a number of seconds that depends on their day; absent ones stay so.

    Args:
        moments: Seconds since 1970-01-01.
        shift: From a day, counted from 1970-01-01, to seconds.
    """
    absent = moments == ABSENT
    days, places = np.unique(np.where(absent, 0, moments) // 86400, return_inverse=True)
    shifts = np.array([shift(day) for day in days.tolist()], dtype=np.int64)
    return np.where(absent, ABSENT, moments + shifts[places])

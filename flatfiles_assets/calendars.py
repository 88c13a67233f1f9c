"""Which days have a session, and the Dagster-free facts about them.

Here: sessions per calendar, early closes and session bounds. Not here: Dagster's partitions
definitions, which `assets/partitions.py` derives from these.

XNYS comes from exchange_calendars, with its unscheduled closures. The horizon is a constant, never
the clock: partitions derived from it must not change identity from one day to the next.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import exchange_calendars
import numpy as np
import numpy.typing as npt

from flatfiles_assets.datasets import NEW_YORK, CalendarName
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import load_settings

FIRST_DAY = dt.date(2002, 1, 1)
LAST_DAY = dt.date(2040, 12, 31)

# Monday first, as numpy writes week masks. XNYS is not here: it has holidays.
_WEEK_MASKS: dict[CalendarName, str] = {"weekdays": "1111100", "forex": "1111101", "24/7": "1111111"}

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# numpy's units; NaT without one is "generic".
_LONGER_THAN_A_DAY = {"Y", "M", "W"}

DateLike = str | dt.date | dt.datetime | np.datetime64


@functools.lru_cache(maxsize=1)
def xnys() -> exchange_calendars.ExchangeCalendar:
    """The New York Stock Exchange's calendar from 2002 to the horizon."""
    return exchange_calendars.get_calendar("XNYS", start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat())


def _session_days(calendar: CalendarName) -> npt.NDArray[np.datetime64]:
    return _corrected_days(calendar, *_corrections())


@functools.lru_cache(maxsize=64)
def _corrected_days(calendar: CalendarName, extra: str, closed: str) -> npt.NDArray[np.datetime64]:
    days = _published_days(calendar)
    more, fewer = (
        np.array(sorted(day for name, day in _days_in(text, setting) if name == calendar), "datetime64[D]")
        for text, setting in ((extra, "FLATFILES_EXTRA_SESSIONS"), (closed, "FLATFILES_EXTRA_CLOSURES"))
    )
    return np.setdiff1d(np.union1d(days, more), fewer) if len(more) or len(fewer) else days


@functools.cache
def _published_days(calendar: CalendarName) -> npt.NDArray[np.datetime64]:
    if calendar == "XNYS":
        return np.asarray(xnys().sessions, dtype="datetime64[D]")
    days = np.arange(np.datetime64(FIRST_DAY), np.datetime64(LAST_DAY) + np.timedelta64(1, "D"))
    return days[np.is_busday(days, weekmask=_WEEK_MASKS[calendar])]


def _corrections() -> tuple[str, str]:
    """What the settings say against the calendars; read again only where they may have changed."""
    names = ("FLATFILES_EXTRA_SESSIONS", "FLATFILES_EXTRA_CLOSURES")
    try:
        folder, changed_ns = str(Path.cwd()), Path(".env").stat().st_mtime_ns
    except OSError:  # no such file, or a working directory that was removed
        folder, changed_ns = "", 0
    return _read_corrections(tuple(os.environ.get(name) for name in names), folder, changed_ns)


@functools.lru_cache(maxsize=8)
def _read_corrections(_variables: object, _folder: str, _changed_ns: int) -> tuple[str, str]:
    settings = load_settings()
    return settings.extra_sessions, settings.extra_closures


@functools.lru_cache(maxsize=64)
def _days_in(text: str, setting: str) -> tuple[tuple[str, dt.date], ...]:
    """Days in a setting: ``2025-01-09, forex:2024-12-25``; without a calendar's name XNYS is meant.

    Raises:
        InvalidArgument: It is not written like that.
    """
    found = []
    for entry in text.replace(";", ",").split(","):
        name, _, day = entry.strip().rpartition(":")
        calendar = next((known for known in ("XNYS", *_WEEK_MASKS) if known.lower() == name.lower()), None)
        if not day and not name:
            continue
        if name and calendar is None:
            raise InvalidArgument(
                f"{name!r} is no calendar",
                where=setting,
                next_step="write days as 2025-01-09 or forex:2025-01-09; "
                f"known are XNYS, {', '.join(_WEEK_MASKS)}",
            )
        found.append((calendar or "XNYS", parse_date(day, setting)))
    return tuple(found)


def parse_date(value: DateLike, name: str = "date") -> dt.date:
    """A calendar date from an ISO string, a date or a datetime (its own date, whatever its zone).

    Datetimes are Python's, pandas' and numpy's. One of numpy's that counts in weeks, months or years names
    no single day, and is refused.

    Raises:
        InvalidArgument: It is not a real date in the form ``YYYY-MM-DD``.
    """
    if isinstance(value, np.datetime64) and np.datetime_data(value)[0] not in _LONGER_THAN_A_DAY:
        # A day that Python's dates do not reach comes back as a number, and is refused below.
        value = value.astype("datetime64[D]").item()
    if isinstance(value, dt.datetime):
        value = value.date()
    # pandas' NaT is a datetime, and its date is NaT again: the one date that is not equal to itself.
    if isinstance(value, dt.date) and value == value:
        return value
    if isinstance(value, str) and _ISO_DATE.fullmatch(value):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass
    raise InvalidArgument(
        f"{name} {value!r} is not a calendar date", next_step="write it as YYYY-MM-DD, for example 2024-01-02"
    )


def parse_range(start: DateLike, end: DateLike) -> tuple[dt.date, dt.date]:
    """Both ends of a range, in order.

    Raises:
        InvalidArgument: An end is not a date, the range is reversed or outside the calendar.
    """
    first, last = parse_date(start, "start date"), parse_date(end, "end date")
    if first > last:
        raise InvalidArgument(
            f"the range is reversed: it starts {first} and ends {last}", next_step="swap start and end"
        )
    if first < FIRST_DAY or last > LAST_DAY:
        raise InvalidArgument(
            f"the range {first} to {last} leaves the calendar",
            next_step=f"stay between {FIRST_DAY} and {LAST_DAY}",
        )
    return first, last


def sessions(calendar: CalendarName, start: DateLike, end: DateLike) -> list[dt.date]:
    """The sessions from start to end, both included, in order.

    Raises:
        InvalidArgument: As `parse_range`.
    """
    first, last = parse_range(start, end)
    days = _session_days(calendar)
    lo = int(np.searchsorted(days, np.datetime64(first), side="left"))
    hi = int(np.searchsorted(days, np.datetime64(last), side="right"))
    found: list[dt.date] = days[lo:hi].tolist()
    return found


def is_session(calendar: CalendarName, day: dt.date) -> bool:
    """Whether that day has a session."""
    return bool(sessions(calendar, day, day))


def regular_hours(day: dt.date) -> tuple[dt.datetime, dt.datetime]:
    """Open (included) and close (excluded) of an XNYS session, in UTC; 13:00 New York on an early close.

    Raises:
        InvalidArgument: That day has no session.
    """
    if not is_session("XNYS", day):
        raise InvalidArgument(f"{day} is not a session of XNYS", next_step="ask for a trading day")
    text = day.isoformat()
    if not xnys().is_session(text):  # one that only the settings know
        zone = ZoneInfo(NEW_YORK)
        bounds = (dt.datetime.combine(day, time, zone) for time in (dt.time(9, 30), dt.time(16)))
        start, end = (moment.astimezone(dt.timezone.utc) for moment in bounds)
        return start, end
    opens, closes = xnys().session_open(text), xnys().session_close(text)
    return opens.to_pydatetime(), closes.to_pydatetime()


def last_ended_session(now: dt.datetime) -> dt.date:
    """The latest XNYS session whose regular hours were over at a moment with a zone."""
    today = now.astimezone(ZoneInfo(NEW_YORK)).date()
    days = _session_days("XNYS")
    place = int(np.searchsorted(days, np.datetime64(today), side="right")) - 1
    last: dt.date = days[max(place, 0)].item()
    if last == today and regular_hours(today)[1] > now:
        last = days[max(place - 1, 0)].item()
    return last


def closed_weekdays(calendar: CalendarName, start: dt.date) -> list[dt.date]:
    """The days from start to the horizon that the calendar's week has, but which are closed."""
    closed_numbers = closed_weekday_numbers(calendar)
    mask = "".join("0" if (place + 1) % 7 in closed_numbers else "1" for place in range(7))
    days = np.arange(np.datetime64(start), np.datetime64(LAST_DAY) + np.timedelta64(1, "D"))
    regular = days[np.is_busday(days, weekmask=mask)]
    closed: list[dt.date] = np.setdiff1d(regular, _session_days(calendar)).tolist()
    return closed


def closed_weekday_numbers(calendar: CalendarName) -> list[int]:
    """The days of the week without sessions, as cron counts them (Sunday is 0)."""
    mask = _WEEK_MASKS.get(calendar, "1111100")
    closed = {(position + 1) % 7 for position, open_ in enumerate(mask) if open_ == "0"}
    extra = _days_in(_corrections()[0], "FLATFILES_EXTRA_SESSIONS")
    further = [day for name, day in extra if name == calendar]
    return sorted(closed - {day.isoweekday() % 7 for day in further})


def day_bounds_ns(day: dt.date, timezone: str) -> tuple[int, int]:
    """Start (included) and end (excluded) of a calendar day, in nanoseconds since 1970 UTC."""
    zone = ZoneInfo(timezone)
    start = dt.datetime.combine(day, dt.time(), zone)
    end = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), zone)
    return int(start.timestamp()) * 10**9, int(end.timestamp()) * 10**9

"""Sessions, week masks and day bounds: the frame that every feed's dates are put in."""

from __future__ import annotations

import contextlib
import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatfiles_assets import calendars
from flatfiles_assets.calendars import FIRST_DAY, LAST_DAY
from flatfiles_assets.errors import InvalidArgument

DAYS = st.dates(FIRST_DAY, LAST_DAY)
CALENDARS = st.sampled_from(["XNYS", "weekdays", "forex", "24/7"])


@pytest.mark.parametrize(
    ("year", "count"),
    [(2002, 252), (2008, 253), (2012, 250), (2018, 251), (2020, 253), (2021, 252), (2024, 252), (2025, 250)],
)
def test_the_exchange_has_as_many_sessions_a_year_as_it_published(year, count):
    assert len(calendars.sessions("XNYS", f"{year}-01-01", f"{year}-12-31")) == count


@given(calendar=CALENDARS, first=DAYS, days=st.integers(0, 400))
def test_sessions_are_ordered_inside_the_range_and_agree_with_is_session(calendar, first, days):
    last = min(first + dt.timedelta(days=days), LAST_DAY)
    found = calendars.sessions(calendar, first, last)
    assert found == sorted(set(found))
    assert all(type(day) is dt.date and first <= day <= last for day in found)
    for end in (first, last):
        assert calendars.is_session(calendar, end) == (end in found)


@given(calendar=CALENDARS, first=DAYS, split=st.integers(0, 50), days=st.integers(0, 100))
def test_two_adjacent_ranges_hold_what_the_whole_holds(calendar, first, split, days):
    middle = min(first + dt.timedelta(days=split), LAST_DAY - dt.timedelta(days=1))
    first = min(first, middle)
    next_day = middle + dt.timedelta(days=1)
    last = min(next_day + dt.timedelta(days=days), LAST_DAY)
    whole = calendars.sessions(calendar, first, last)
    parts = [*calendars.sessions(calendar, first, middle), *calendars.sessions(calendar, next_day, last)]
    assert whole == parts


def test_the_three_calendars_without_holidays():
    week = ("2024-12-23", "2024-12-29")  # Monday to Sunday, with Christmas.
    weekdays = {
        name: [day.isoweekday() for day in calendars.sessions(name, *week)]
        for name in ("weekdays", "forex", "24/7", "XNYS")
    }
    assert weekdays == {
        "weekdays": [1, 2, 3, 4, 5],
        "forex": [1, 2, 3, 4, 5, 7],
        "24/7": [1, 2, 3, 4, 5, 6, 7],
        "XNYS": [1, 2, 4, 5],
    }


@pytest.mark.parametrize("calendar", ["XNYS", "weekdays", "forex", "24/7"])
def test_the_week_of_cron_less_the_closed_days_is_exactly_the_sessions(calendar):
    start = dt.date(2003, 9, 10)
    closed_numbers = calendars.closed_weekday_numbers(calendar)
    closed = set(calendars.closed_weekdays(calendar, start))
    days = [start + dt.timedelta(days=offset) for offset in range((LAST_DAY - start).days + 1)]
    kept = [day for day in days if day.isoweekday() % 7 not in closed_numbers and day not in closed]
    assert kept == calendars.sessions(calendar, start, LAST_DAY)
    assert not {day for day in closed if day.isoweekday() % 7 in closed_numbers}


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("2024-01-02", "2024-01-01", "reversed"),
        ("2001-12-31", "2024-01-01", "leaves the calendar"),
        ("2024-01-02", "2041-01-01", "leaves the calendar"),
        ("2024-13-02", "2024-01-01", "start date '2024-13-02'"),
        ("2024-01-02", "soon", "end date 'soon'"),
    ],
)
def test_an_unusable_range_says_which_end_is_wrong(start, end, message):
    with pytest.raises(InvalidArgument, match=message):
        calendars.sessions("XNYS", start, end)


@given(day=st.dates())
def test_every_date_is_read_back_from_its_text(day):
    assert calendars.parse_date(day.isoformat()) == day
    assert type(calendars.parse_date(dt.datetime.combine(day, dt.time(23, 59)))) is dt.date


@given(text=st.text(alphabet="0123456789-/T ", max_size=12))
def test_text_is_a_date_only_in_the_one_form(text):
    with contextlib.suppress(InvalidArgument):
        assert calendars.parse_date(text).isoformat() == text


@pytest.mark.parametrize(
    ("day", "hours", "utc_start"),
    [
        ("2024-01-02", 24, "2024-01-02T05:00"),
        ("2024-07-02", 24, "2024-07-02T04:00"),
        ("2024-03-10", 23, "2024-03-10T05:00"),  # Clocks go forward.
        ("2024-11-03", 25, "2024-11-03T04:00"),  # Clocks go back.
        ("2006-04-02", 23, "2006-04-02T05:00"),  # The rule before 2007.
    ],
)
def test_a_new_york_day_is_as_long_as_its_clocks_make_it(day, hours, utc_start):
    start, end = calendars.day_bounds_ns(dt.date.fromisoformat(day), "America/New_York")
    assert end - start == hours * 3600 * 10**9
    expected = dt.datetime.fromisoformat(utc_start).replace(tzinfo=dt.timezone.utc)
    assert start == int(expected.timestamp()) * 10**9


@given(day=DAYS, zone=st.sampled_from(["America/New_York", "UTC"]))
def test_the_days_of_a_zone_follow_each_other_without_gap(day, zone):
    start, end = calendars.day_bounds_ns(day, zone)
    assert calendars.day_bounds_ns(day + dt.timedelta(days=1), zone)[0] == end
    for instant_ns, expected in ((start, day), (end - 10**9, day)):
        assert dt.datetime.fromtimestamp(instant_ns // 10**9, ZoneInfo(zone)).date() == expected


def test_regular_hours_end_early_on_an_early_close_and_follow_daylight_saving():
    assert [f"{moment:%H:%M %Z}" for moment in calendars.regular_hours(dt.date(2024, 7, 2))] == [
        "13:30 UTC",
        "20:00 UTC",
    ]
    assert f"{calendars.regular_hours(dt.date(2024, 7, 3))[1]:%H:%M}" == "17:00"
    assert f"{calendars.regular_hours(dt.date(2024, 1, 2))[0]:%H:%M}" == "14:30"
    with pytest.raises(InvalidArgument, match="2024-07-04"):
        calendars.regular_hours(dt.date(2024, 7, 4))


def test_the_settings_correct_the_calendar(monkeypatch):
    day = dt.date(2024, 7, 4)
    assert not calendars.is_session("XNYS", day)
    monkeypatch.setenv("FLATFILES_EXTRA_SESSIONS", "2024-07-04, forex:2024-07-06")
    monkeypatch.setenv("FLATFILES_EXTRA_CLOSURES", "xnys:2024-07-05")
    assert calendars.is_session("XNYS", day)
    assert not calendars.is_session("XNYS", dt.date(2024, 7, 5))
    assert calendars.is_session("forex", dt.date(2024, 7, 6))
    assert not calendars.is_session("weekdays", dt.date(2024, 7, 6))
    assert day not in calendars.closed_weekdays("XNYS", dt.date(2024, 7, 1))
    assert dt.date(2024, 7, 5) in calendars.closed_weekdays("XNYS", dt.date(2024, 7, 1))
    opens, closes = calendars.regular_hours(day)
    assert (opens.hour, closes.hour) == (13, 20)
    monkeypatch.delenv("FLATFILES_EXTRA_SESSIONS")
    assert not calendars.is_session("XNYS", day)


def test_a_session_on_a_weekend_is_a_partition_and_other_weekends_are_not(monkeypatch):
    monkeypatch.setenv("FLATFILES_EXTRA_SESSIONS", "2024-07-06")
    assert calendars.closed_weekday_numbers("XNYS") == [0]
    closed = set(calendars.closed_weekdays("XNYS", dt.date(2024, 7, 1)))
    assert dt.date(2024, 7, 6) not in closed
    assert {dt.date(2024, 7, 13), dt.date(2024, 7, 4)} <= closed


@pytest.mark.parametrize("text", ["nyse:2024-07-04", "2024-7-4", "XNYS:", "soon"])
def test_a_correction_that_is_no_day_is_refused_by_its_name(monkeypatch, text):
    monkeypatch.setenv("FLATFILES_EXTRA_SESSIONS", text)
    with pytest.raises(InvalidArgument, match="FLATFILES_EXTRA_SESSIONS"):
        calendars.is_session("XNYS", dt.date(2024, 7, 4))


@given(day=DAYS, unit=st.sampled_from(["D", "h", "s", "ms", "us", "ns"]))
def test_a_datetime_of_numpys_or_pandas_is_its_own_date(day, unit):
    moment = np.datetime64(f"{day}T23:00") if unit != "D" else np.datetime64(day)
    for value in (moment.astype(f"datetime64[{unit}]"), pd.Timestamp(moment), pd.Timestamp(moment, tz="UTC")):
        assert calendars.parse_date(value) == day
        assert type(calendars.parse_date(value)) is dt.date


@pytest.mark.parametrize(
    "value",
    [
        np.datetime64("NaT"),
        np.datetime64("NaT", "D"),
        pd.NaT,
        np.datetime64("2024"),
        np.datetime64("2024-01"),
        np.datetime64("2024-01-04", "W"),
        np.datetime64("20240-01-04"),
        np.int64(19_000),
    ],
)
def test_what_names_no_single_day_is_refused(value):
    with pytest.raises(InvalidArgument, match="not a calendar date"):
        calendars.parse_date(value)

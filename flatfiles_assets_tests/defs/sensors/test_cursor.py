"""The cursor is small and forgiving, and the rhythm follows the vendor's."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.defs.sensors.cursor import SyncCursor, poll_interval, recent_months

NEW_YORK = ZoneInfo("America/New_York")
TIMES = st.none() | st.datetimes(timezones=st.just(dt.timezone.utc))


@settings(max_examples=40, deadline=None)
@given(polled_at=TIMES, swept_at=TIMES, next_year=st.none() | st.integers(1990, 2040))
def test_a_cursor_comes_back_as_it_was_and_is_small(polled_at, swept_at, next_year):
    cursor = SyncCursor(polled_at, swept_at, next_year)
    text = cursor.encode()
    assert SyncCursor.decode(text) == cursor
    assert len(text) < 200


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "2024-01-01",
        "[]",
        "7",
        '{"version": 0}',
        '{"version": 1}',
        '{"version": 1, "polled_at": "x"}',
    ],
)
def test_a_text_that_is_no_cursor_begins_anew(text):
    assert SyncCursor.decode(text) == SyncCursor()


def test_a_time_without_a_zone_is_not_believed():
    text = '{"version": 1, "polled_at": "2024-01-01T00:00:00", "swept_at": null, "next_year": null}'
    assert SyncCursor.decode(text).polled_at is None


@pytest.mark.parametrize(
    ("local", "minutes"),
    [
        ("2024-01-03 10:59", 30),
        ("2024-01-03 11:00", 5),
        ("2024-01-03 13:59", 5),
        ("2024-01-03 14:00", 30),
        ("2024-01-06 12:00", 5),  # Saturday: Friday's file
        ("2024-01-07 12:00", 30),  # Sunday
        ("2024-01-02 12:00", 30),  # after New Year's Day
        ("2024-07-03 11:30", 5),  # daylight saving time
    ],
)
def test_it_looks_more_often_while_the_vendor_publishes(local, minutes):
    now = dt.datetime.fromisoformat(local).replace(tzinfo=NEW_YORK).astimezone(dt.timezone.utc)
    assert poll_interval(get_dataset("stocks_daily"), now) == dt.timedelta(minutes=minutes)


def test_the_recent_months_reach_over_new_year():
    now = dt.datetime(2024, 1, 1, 3, tzinfo=dt.timezone.utc)  # New Year's Eve in New York
    assert recent_months(now) == [(2023, 10), (2023, 11), (2023, 12)]
    assert recent_months(now + dt.timedelta(days=1)) == [(2023, 11), (2023, 12), (2024, 1)]


def test_a_clock_that_was_set_back_makes_a_poll_and_a_sweep_due():
    now = dt.datetime(2024, 1, 10, tzinfo=dt.timezone.utc)
    cursor = SyncCursor(now, now)
    earlier = now - dt.timedelta(days=3)
    assert cursor.is_poll_due(dt.timedelta(minutes=5), earlier)
    assert cursor.is_sweep_due(earlier)
    assert not cursor.is_sweep_due(now + dt.timedelta(days=6))
    assert cursor.is_sweep_due(now + dt.timedelta(days=7))

"""The zone of stamps that say none: by the hours that are covered, and by the week that fits least."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from flatfiles_assets.calendars import sessions
from flatfiles_assets.ingest.layouts.layout import NotSettled
from flatfiles_assets.ingest.layouts.session_hours import Trading, read_stamps

_NEW_YORK = ZoneInfo("America/New_York")
_WEEKS = sessions("XNYS", "2008-03-31", "2008-04-18")


def _stamped(zone: str, days: Iterable[dt.date], minutes: Iterable[int], volume: int = 1000) -> Trading:
    """Bars that start at some minutes of New York's day, as a clock elsewhere shows them."""
    moments = []
    for day in days:
        for minute in minutes:
            start = dt.datetime.combine(day, dt.time(), _NEW_YORK) + dt.timedelta(minutes=minute)
            shown = start.astimezone(ZoneInfo(zone)).replace(tzinfo=dt.timezone.utc)
            moments.append(int(shown.timestamp()))
    return Trading(np.array(moments), np.full(len(moments), float(volume)), has_zone=False)


def test_bars_that_fill_the_regular_hours_are_new_yorks():
    reading = read_stamps(_stamped("America/New_York", _WEEKS, range(570, 960, 5)))
    assert (reading.timezone, reading.bar_label) == ("America/New_York", "start")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (630, 900),  # half past ten to three: another exchange's day, or another zone's
        (570, 900),  # an hour is missing at the end
        (630, 960),  # an hour is missing at the beginning
    ],
)
def test_bars_inside_the_regular_hours_that_do_not_cover_them_fit_no_zone(first: int, last: int):
    """All of the volume is inside: only the coverage can tell that these are not New York's hours."""
    with pytest.raises(NotSettled, match="do not fit"):
        read_stamps(_stamped("America/New_York", _WEEKS, range(first, last, 5)))


def test_a_thin_symbol_without_bars_in_most_minutes_still_covers_its_day():
    minutes = [*range(570, 960, 25), 955]
    assert read_stamps(_stamped("America/New_York", _WEEKS, minutes)).timezone == "America/New_York"


def test_bars_on_a_few_days_only_do_not_cover_the_hours():
    """The last two hours have bars on one day of ten: the exchange that is meant closes earlier."""
    days = sessions("XNYS", "2008-03-31", "2008-04-11")
    usual, once = (
        _stamped("America/New_York", days, range(570, 840, 5)),
        _stamped("America/New_York", days[:1], range(840, 960, 5)),
    )
    moments = np.concatenate([usual.moments, once.moments])
    with pytest.raises(NotSettled, match="do not fit"):
        read_stamps(Trading(moments, np.ones(len(moments)), has_zone=False))


@pytest.mark.parametrize("zone", ["UTC", "Europe/London"])
def test_one_week_in_which_clocks_differ_tells_two_zones_apart(zone: str):
    """London's clocks change on 30 March: of fourteen weeks, only the last differs from UTC."""
    days = sessions("XNYS", "2008-01-02", "2008-04-04")
    assert read_stamps(_stamped(zone, days, range(570, 960, 15))).timezone == zone


def test_zones_that_differ_in_no_week_are_the_first_ones():
    days = sessions("XNYS", "2008-01-02", "2008-03-07")
    reading = read_stamps(_stamped("Europe/London", days, range(570, 960, 15)))
    assert reading.timezone == "UTC"

"""What is said of many sessions is as long as what is said of a few, and sessions to come are not missing."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from IPython.lib.pretty import pretty

from flatfiles_assets import calendars
from flatfiles_assets.data_integration.data_request import DataRequest
from flatfiles_assets.data_integration.metadata import Metadata, days_in_brief
from flatfiles_assets.defs.assets.range_report import _by_reason
from flatfiles_assets.defs.runs import RangeRun, by_outcome
from flatfiles_assets.download.errors import NotPublished
from flatfiles_assets.errors import CorruptFile

DAYS = calendars.sessions("XNYS", "2008-01-02", "2008-12-31")


def test_metadata_of_a_year_fit_a_cell_and_are_whole():
    days = [day.isoformat() for day in DAYS]
    coverage = {f"S{number}": 0.5 for number in range(5_000)}
    metadata = Metadata({"missing_sessions": DAYS, "texts": days, "coverage": coverage, "sessions": 253})
    shown = pretty(metadata)
    assert len(shown) < 1_000
    assert "'missing_sessions': [2008-01-02, …, 2008-12-31] (253 entries)" in shown
    assert "'S0': 0.5, …, 'S4999': 0.5} (5,000 entries)" in shown
    assert "'sessions': 253" in shown
    assert metadata["missing_sessions"] == DAYS
    assert json.loads(json.dumps(metadata, default=str))["texts"] == days


def test_many_days_are_their_first_and_last():
    assert days_in_brief(DAYS) == "2008-01-02 to 2008-12-31"
    assert days_in_brief(DAYS[:2]) == "2008-01-02, 2008-01-03"


def test_failures_of_a_range_are_grouped_by_reason():
    failures = {
        day.isoformat(): NotPublished("the bucket has no such object", where=f"s3://x/{day}.csv.gz")
        for day in DAYS
    }
    failures["2008-06-02"] = CorruptFile("2 of 17 blocks are damaged")
    failures["2008-06-03"] = CorruptFile("3 of 18 blocks are damaged")
    absent, corrupt = _by_reason(failures)
    state = NotPublished.state
    assert absent.startswith(
        f"251 partitions from 2008-01-02 to 2008-12-31, here of the first: [{state}] s3://x/2008-01-02"
    )
    assert corrupt.startswith(
        "2 partitions from 2008-06-02 to 2008-06-03, here of the first: [corrupt] 2 of 17"
    )
    many = {day.isoformat(): CorruptFile("x" * number) for number, day in enumerate(DAYS, 1)}
    assert len(_by_reason(many)) == 9
    assert "and 245 more reasons" in _by_reason(many)[-1]


def test_runs_that_ended_alike_are_one():
    days = [day.isoformat() for day in DAYS]
    runs = [RangeRun(day, day, day, succeeded=False, message=f"{day} is not there") for day in days]
    alike, done = by_outcome([*runs, RangeRun("x", days[0], days[0], succeeded=True)])
    assert (len(alike), alike[0].first, alike[-1].last, len(done)) == (253, days[0], days[-1], 1)


@pytest.mark.parametrize(
    ("moment", "last"),
    [
        ("2024-07-03T16:59+00:00", "2024-07-02"),
        ("2024-07-03T17:00+00:00", "2024-07-03"),
        ("2024-07-04T22:00+00:00", "2024-07-03"),
        ("2024-07-06T02:00+00:00", "2024-07-05"),
        ("2024-07-08T12:00+00:00", "2024-07-05"),
    ],
)
def test_a_session_has_been_when_its_hours_are_over(moment, last):
    assert calendars.last_ended_session(dt.datetime.fromisoformat(moment)).isoformat() == last


def test_a_range_into_the_future_ends_with_the_last_session_that_was():
    ended = calendars.last_ended_session(dt.datetime.now(dt.timezone.utc))
    request = DataRequest.of(["KO"], ended - dt.timedelta(days=30), ended + dt.timedelta(days=300), None, 0)
    assert request.asked[-1] == ended
    with pytest.raises(ValueError, match=f"has ended yet: the last that has is {ended}"):
        DataRequest.of(["KO"], ended + dt.timedelta(days=1), ended + dt.timedelta(days=300), None, 0)

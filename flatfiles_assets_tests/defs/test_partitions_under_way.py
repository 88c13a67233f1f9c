"""When the same work is asked for again, and when it rests."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest

from flatfiles_assets.defs.keys import WORK_TAG
from flatfiles_assets.defs.partitions_under_way import RunCoverage
from flatfiles_assets.defs.range_requests import range_request, range_tags, tagged_range
from flatfiles_assets.download.remote_changes import FIRST_RETRY

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def _end_a_run(instance: dg.DagsterInstance, digest: str) -> dt.datetime:
    """A run for some work that has failed; returns when it ended."""

    @dg.job(name="feed")
    def feed(): ...

    run = instance.create_run_for_job(feed, tags={WORK_TAG: digest})
    instance.report_run_failed(run)
    (record,) = instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]))
    ended = record.end_time or record.update_timestamp.timestamp()
    return dt.datetime.fromtimestamp(ended, dt.timezone.utc)


def test_work_whose_run_has_just_ended_rests_and_comes_again_under_another_key(instance):
    ended_at = _end_a_run(instance, "work")
    coverage = RunCoverage(instance, "feed", set())

    assert coverage.request("work", ended_at + FIRST_RETRY / 2) is None
    again = coverage.request("work", ended_at + FIRST_RETRY + HOUR, bounds=("2024-01-02", "2024-01-04"))
    assert again.run_key == "feed:work:1"
    assert tagged_range(again.tags) == ("2024-01-02", "2024-01-04")
    assert coverage.request("other", ended_at).run_key == "feed:other:0"


def test_a_clock_that_was_set_back_makes_no_work_rest(instance):
    """The run ended in what is now the future: waiting for that day could take for ever."""
    ended_at = _end_a_run(instance, "work")
    coverage = RunCoverage(instance, "feed", set())
    assert coverage.request("work", ended_at - HOUR) is not None


def test_a_range_is_read_from_the_tags_as_it_was_requested():
    request = range_request("a", "c", run_key="k", tags={"more": "1"}, assets=[dg.AssetKey("x")])
    assert tagged_range(request.tags) == ("a", "c")
    assert request.tags["more"] == "1"
    assert request.asset_selection == [dg.AssetKey("x")]
    assert tagged_range({"dagster/partition": "b"}) == ("b", "b")
    assert tagged_range({}) is None
    assert tagged_range(range_tags("a", "b")) == ("a", "b")

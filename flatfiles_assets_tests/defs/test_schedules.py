"""The nightly catch-up asks for what is published and not there, and for nothing else."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.defs.resources import FlatFilesS3Resource, WarehouseResource
from flatfiles_assets.defs.schedules import build_catch_up
from flatfiles_assets_tests.defs.platform_operator import WEEK, Operator, bounds
from flatfiles_assets_tests.fault_proxy import FaultProxy
from flatfiles_assets_tests.faults import ACCESS_DENIED
from flatfiles_assets_tests.platform import Platform

MONDAY_NIGHT = dt.datetime(2024, 1, 8, 8, 0, tzinfo=dt.timezone.utc)  # 03:00 in New York


def _catch_up(operator: Operator, n_sessions: int = 10) -> list[dg.RunRequest] | dg.SkipReason:
    context = dg.build_schedule_context(operator.instance, scheduled_execution_time=MONDAY_NIGHT)
    return build_catch_up(get_dataset("stocks_daily"), n_sessions)(
        context, flatfiles_s3=FlatFilesS3Resource(), warehouse=WarehouseResource()
    )


def test_it_asks_for_every_published_session_that_is_not_there(platform: Platform, operator: Operator):
    for day in (WEEK[0], WEEK[1], WEEK[3]):
        platform.put(day)
    platform.run([WEEK[1]])

    requests = _catch_up(operator)

    assert bounds(requests) == [(WEEK[0], WEEK[0]), (WEEK[3], WEEK[3])]
    for request in requests:
        job = operator.defs.resolve_job_def("stocks_daily")
        assert job.execute_in_process(instance=operator.instance, tags=request.tags).success
    assert isinstance(_catch_up(operator), dg.SkipReason)


def test_it_looks_back_as_many_sessions_as_it_is_told(platform: Platform, operator: Operator):
    for day in WEEK:
        platform.put(day)

    assert bounds(_catch_up(operator, n_sessions=2)) == [(WEEK[2], WEEK[3])]


def test_it_leaves_alone_what_a_run_is_about_and_what_was_refused(platform: Platform, operator: Operator):
    platform.put(WEEK[0], "truncated")
    platform.put(WEEK[1], "misdated")
    platform.run(WEEK[:2])
    platform.put(WEEK[2])
    platform.put(WEEK[3])
    operator.instance.create_run_for_job(
        operator.defs.resolve_job_def("stocks_daily"),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": WEEK[2]},
    )

    assert bounds(_catch_up(operator)) == [(WEEK[3], WEEK[3])]


def test_it_says_why_it_could_not_look(platform: Platform, operator: Operator, proxy: FaultProxy):
    proxy.add(ACCESS_DENIED, path="list-type=2", times=None)

    assert isinstance(_catch_up(operator), dg.SkipReason)


def test_it_runs_after_the_usual_hour_of_publication_in_new_york(operator: Operator):
    schedule = operator.defs.resolve_schedule_def("stocks_daily_catch_up")
    assert schedule.execution_timezone == "America/New_York"
    hour, minute = get_dataset("stocks_daily").publish_time.hour, 0
    for line in schedule.cron_schedule:
        cron_minute, cron_hour = (int(part) for part in line.split()[:2])
        after_todays = (cron_hour, cron_minute) > (hour, minute)
        at_night = cron_hour < 6
        assert after_todays or at_night


@pytest.mark.parametrize("name", ["stocks_daily_catch_up", "verify_cache_weekly"])
def test_schedules_are_on_unless_somebody_turns_them_off(operator: Operator, name: str):
    schedule = operator.defs.resolve_schedule_def(name)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING

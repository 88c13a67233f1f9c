"""The sync sensors miss nothing and run nothing twice, on a real bucket and a real instance."""

from __future__ import annotations

import datetime as dt
import time

import dagster as dg
import pytest

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.defs.resources import FlatFilesS3Resource
from flatfiles_assets.defs.sensors.cursor import SyncCursor
from flatfiles_assets.demo.vendor_files import object_key
from flatfiles_assets.warehouse.loading import load_sessions
from flatfiles_assets_tests.defs.platform_operator import WEEK, Operator, bounds
from flatfiles_assets_tests.fault_proxy import FaultProxy
from flatfiles_assets_tests.faults import ACCESS_DENIED, Respond, TruncateSilently
from flatfiles_assets_tests.platform import Platform

MONDAY = "2024-01-08"
WEEKLY = dt.timedelta(days=7, minutes=1)


def _stored(platform: Platform) -> set[str]:
    return {str(day) for (day,) in platform.rows("SELECT DISTINCT trade_date FROM market.stocks_daily")}


def _delete(platform: Platform, session: str) -> None:
    key = object_key("stocks_daily", dt.date.fromisoformat(session))
    platform.server.client().delete_object(Bucket=platform.bucket, Key=key)


def test_a_new_file_is_loaded_once(platform: Platform, operator: Operator):
    for day in WEEK:
        platform.put(day)

    assert operator.tick() == [(WEEK[0], WEEK[-1])]
    assert _stored(platform) == set(WEEK)
    platform.put(MONDAY)
    assert operator.tick_later(WEEKLY) == [(MONDAY, MONDAY)]
    assert operator.tick_later(WEEKLY) == []
    assert _stored(platform) == {*WEEK, MONDAY}


def test_between_listings_a_tick_asks_the_bucket_for_nothing(
    platform: Platform,
    operator: Operator,
    proxy: FaultProxy,
):
    operator.tick()
    assert proxy.requests()
    proxy.clear()

    operator.ahead += dt.timedelta(minutes=1)
    result = operator.evaluate()

    assert proxy.requests(method="") == []
    assert "next listing" in result.skip_reason.skip_message


def test_a_file_replaced_by_the_vendor_is_fetched_and_loaded_again(platform: Platform, operator: Operator):
    for day in WEEK:
        platform.put(day)
    operator.tick()
    before = platform.rows("SELECT sum(close) FROM market.stocks_daily WHERE trade_date = '2024-01-03'")
    platform.put(WEEK[1], "bad_rows")

    assert operator.tick_later(WEEKLY) == [(WEEK[1], WEEK[1])]

    after = platform.rows("SELECT sum(close) FROM market.stocks_daily WHERE trade_date = '2024-01-03'")
    assert before != after


def test_a_file_deleted_by_the_vendor_is_kept_and_no_run_is_made(platform: Platform, operator: Operator):
    for day in WEEK[:2]:
        platform.put(day)
    operator.tick()
    _delete(platform, WEEK[0])

    operator.ahead += WEEKLY
    result = operator.evaluate()

    assert not result.run_requests
    assert "1 gone from the bucket" in result.skip_reason.skip_message
    assert _stored(platform) == set(WEEK[:2])


def test_each_feed_is_brought_in_when_it_is_published_however_late(platform: Platform, operator: Operator):
    platform.put(WEEK[0])
    assert operator.tick("stocks_daily") == [(WEEK[0], WEEK[0])]
    assert operator.tick("options_daily") == []

    platform.put(WEEK[0], feed="options_daily")

    assert operator.tick_later(WEEKLY, "options_daily") == [(WEEK[0], WEEK[0])]
    assert operator.tick("stocks_daily") == []


def test_a_date_outside_of_the_subscription_is_tried_twice_and_then_once_a_week(
    platform: Platform,
    operator: Operator,
    proxy: FaultProxy,
):
    """The second time because the file is so new that the clocks may disagree about it."""
    for day in WEEK:
        platform.put(day)
    proxy.add(ACCESS_DENIED, path=f"{WEEK[0]}.csv.gz", times=None)

    assert operator.tick() == [(WEEK[0], WEEK[-1])]
    assert _stored(platform) == set(WEEK[1:])
    assert operator.tick() == []
    # The ledger dates attempts by the real clock: only the sensor's own is ahead.
    assert operator.tick_later(dt.timedelta(days=7)) == [(WEEK[0], WEEK[0])]


def test_a_subscription_that_grows_is_noticed_by_the_last_denied_session_of_a_month(
    platform: Platform,
    operator: Operator,
    proxy: FaultProxy,
):
    for day in WEEK:
        platform.put(day)
    proxy.add(ACCESS_DENIED, path=".csv.gz", times=None)
    operator.tick()
    proxy.clear()

    operator.ahead += dt.timedelta(hours=2)
    later = operator.evaluate()
    assert bounds(later.run_requests) == [], "a listing is not due before its time"
    operator.tick_later(WEEKLY)
    operator.tick_later(WEEKLY)

    assert _stored(platform) == set(WEEK)


def test_a_corrupt_file_is_not_fetched_again_until_it_is_repaired(platform: Platform, operator: Operator):
    platform.put(WEEK[0], "truncated")
    platform.put(WEEK[1])
    operator.tick()
    assert _stored(platform) == {WEEK[1]}
    assert operator.tick_later(dt.timedelta(minutes=31)) == []

    # S3 dates objects to the second: one repaired in the second of the attempt is tried an hour later.
    time.sleep(1.1)
    platform.put(WEEK[0])
    operator.cursors.clear()

    assert operator.tick() == [(WEEK[0], WEEK[0])]
    assert _stored(platform) == set(WEEK[:2])
    assert operator.tick_later(WEEKLY) == []


def test_a_transient_failure_is_tried_again_after_a_rest(
    platform: Platform,
    operator: Operator,
    proxy: FaultProxy,
):
    platform.put(WEEK[0])
    proxy.add(Respond(500, "InternalError"), path=f"{WEEK[0]}.csv.gz", times=1)
    operator.tick()
    operator.cursors.clear()
    assert operator.tick() == []

    assert operator.tick_later(dt.timedelta(minutes=32)) == [(WEEK[0], WEEK[0])]
    assert _stored(platform) == {WEEK[0]}


def test_a_file_damaged_on_disk_is_fetched_again(platform: Platform, operator: Operator):
    platform.put(WEEK[0])
    platform.put(WEEK[1])
    operator.tick()
    path = platform.data_dir / "flatfiles_cache" / object_key("stocks_daily", dt.date.fromisoformat(WEEK[0]))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + b"x" * 20)

    job = operator.defs.resolve_job_def("verify_cache")
    verified = job.execute_in_process(instance=operator.instance, raise_on_error=False)

    assert not verified.success
    failure = next(event for event in verified.all_events if event.is_step_failure).step_failure_data
    assert str(path.name) in failure.user_failure_data.description
    assert operator.tick_later(dt.timedelta(days=1, minutes=1)) == [(WEEK[0], WEEK[0])]
    assert path.read_bytes() == whole


def test_a_file_that_was_fetched_but_not_loaded_is_loaded(platform: Platform, operator: Operator):
    platform.put(WEEK[0])
    operator.tick()
    with platform.warehouse.writer("test") as transaction:
        transaction.execute("DELETE FROM market.files")

    assert operator.tick_later(WEEKLY) == [(WEEK[0], WEEK[0])]
    assert operator.tick_later(WEEKLY) == []


def _load_without_a_record(platform: Platform, session: str) -> None:
    """What a run leaves that is killed after it committed the rows and before Dagster stored its events."""
    dataset, day = get_dataset("stocks_daily"), dt.date.fromisoformat(session)
    s3 = FlatFilesS3Resource()
    with s3.cache() as cache:
        key = s3.catalog().get_key(dataset.name, day)
        (fetched,) = s3.fetch(cache, [key])
        list(load_sessions(dataset, [(day, key, fetched)], cache=cache, warehouse=platform.warehouse))


def test_what_a_killed_run_loaded_is_recorded_by_another(platform: Platform, operator: Operator):
    for day in WEEK[:3]:
        platform.put(day)
    _load_without_a_record(platform, WEEK[0])
    assert operator.tick() == [(WEEK[0], WEEK[2])]
    assert operator.tick_later(WEEKLY) == []

    platform.put(WEEK[1], "bad_rows")
    _load_without_a_record(platform, WEEK[1])

    operator.cursors.clear()
    assert operator.tick() == [(WEEK[1], WEEK[1])], "the record of the earlier file says nothing of this one"
    assert operator.tick_later(WEEKLY) == []


def test_a_restart_between_listing_and_request_loses_and_repeats_nothing(
    platform: Platform,
    operator: Operator,
):
    for day in WEEK:
        platform.put(day)
    operator.evaluate()  # The daemon dies: neither its runs nor its cursor are stored.

    second = operator.evaluate()
    assert operator.launch(second) == [(WEEK[0], WEEK[-1])]  # It dies again, before the cursor is stored.
    third = operator.evaluate()
    operator.launch(third)

    assert operator.launched == [(WEEK[0], WEEK[-1])]
    assert _stored(platform) == set(WEEK)


def test_two_ticks_at_once_lead_to_one_run(platform: Platform, operator: Operator):
    for day in WEEK:
        platform.put(day)
    first, second = operator.evaluate(), operator.evaluate()

    operator.launch(first)
    operator.launch(second)

    assert operator.launched == [(WEEK[0], WEEK[-1])]


def test_what_a_queued_run_covers_is_not_requested_again(platform: Platform, operator: Operator):
    for day in WEEK:
        platform.put(day)
    job = operator.defs.resolve_job_def("stocks_daily")
    operator.instance.create_run_for_job(
        job,
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/asset_partition_range_start": WEEK[0], "dagster/asset_partition_range_end": WEEK[1]},
    )

    assert bounds(operator.evaluate().run_requests) == [(WEEK[2], WEEK[3])]


def test_a_run_that_failed_before_it_tried_is_repeated_after_a_rest(platform: Platform, operator: Operator):
    """Its ledger entries are as before, so the work has the same name; the run key must not be."""
    platform.put(WEEK[0])
    (request,) = operator.evaluate().run_requests
    job = operator.defs.resolve_job_def("stocks_daily")
    tags = {**request.tags, "dagster/run_key": request.run_key}
    run = operator.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    operator.instance.report_run_failed(run)

    assert operator.tick() == []
    operator.cursors.clear()
    assert operator.tick_later(dt.timedelta(minutes=32)) == [(WEEK[0], WEEK[0])]
    assert _stored(platform) == {WEEK[0]}


@pytest.mark.parametrize("fault", [ACCESS_DENIED, Respond(500, "InternalError"), TruncateSilently(120)])
def test_a_listing_that_fails_changes_nothing_and_says_why(
    platform: Platform,
    operator: Operator,
    proxy: FaultProxy,
    fault,
):
    platform.put(WEEK[0])
    operator.tick()
    remembered = operator.cursors["stocks_daily"]
    operator.ahead += dt.timedelta(minutes=31)
    proxy.add(fault, path="list-type=2", times=None)

    result = operator.evaluate()

    assert not result.run_requests
    assert result.cursor == remembered
    assert "could not be listed" in result.skip_reason.skip_message
    proxy.clear()
    platform.put(WEEK[1])
    assert operator.tick_later(WEEKLY) == [(WEEK[1], WEEK[1])]


def test_a_sweep_that_breaks_off_goes_on_where_it_stopped(
    platform: Platform,
    operator: Operator,
    proxy: FaultProxy,
):
    platform.put(WEEK[0])
    proxy.add(Respond(403, "AccessDenied"), path="%2F2024%2F", times=None)

    assert operator.tick() == []
    assert SyncCursor.decode(operator.cursors["stocks_daily"]).next_year == 2024
    proxy.clear()

    assert operator.tick_later(dt.timedelta(seconds=30)) == [(WEEK[0], WEEK[0])]
    assert SyncCursor.decode(operator.cursors["stocks_daily"]).next_year is None


def test_a_clock_that_is_set_back_delays_nothing(platform: Platform, operator: Operator):
    operator.tick_later(dt.timedelta(days=400))
    operator.ahead = dt.timedelta(0)
    platform.put(WEEK[0])

    assert operator.tick() == [(WEEK[0], WEEK[0])]


def test_without_credentials_it_rests_and_says_so(
    platform: Platform,
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv("FLATFILES_ACCESS_KEY_ID")

    monkeypatch.delenv("MINIO_ACCESS_KEY", raising=False)

    repository = operator.defs.get_repository_def()
    resources = repository.get_top_level_resources()

    for name in ("stocks_daily_sync", "historical_years_sync", "directories_sync"):
        # With resources made as the daemon makes them: one that asks for credentials fails the tick.
        with dg.build_sensor_context(operator.instance, resources=resources, sensor_name=name) as context:
            tick = operator.defs.resolve_sensor_def(name).evaluate_tick(context)
        assert "ACCESS_KEY" in tick.skip_message


def test_history_that_nobody_began_is_left_alone(
    platform: Platform,
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
):
    for day in WEEK:
        platform.put(day)
    monkeypatch.delenv("FLATFILES_SYNC_START")
    assert operator.tick() == []

    platform.run(WEEK[1:2])
    operator.cursors.clear()

    assert operator.tick() == [(WEEK[2], WEEK[-1])]


def test_a_file_on_a_day_without_a_session_is_passed_over(platform: Platform, operator: Operator):
    platform.put(WEEK[0])
    for stray in ("2024-01-06.csv.gz", "notes.txt", "2024-01-03.csv.gz.tmp"):
        key = f"us_stocks_sip/day_aggs_v1/2024/01/{stray}"
        platform.server.client().put_object(Bucket=platform.bucket, Key=key, Body=b"x")

    assert operator.tick() == [(WEEK[0], WEEK[0])]


def test_a_thousand_new_files_are_requested_in_few_runs_within_the_cap(
    platform: Platform, operator: Operator
):
    from flatfiles_assets.calendars import sessions

    days = [str(day) for day in sessions("XNYS", WEEK[0], "2026-10-30")]
    body = platform.put(days[0])
    client = platform.server.client()
    for feed in ("stocks_daily", "stocks_minute"):
        for day in days:
            key = object_key(feed, dt.date.fromisoformat(day))
            client.put_object(Bucket=platform.bucket, Key=key, Body=body)

    daily = bounds(operator.evaluate("stocks_daily").run_requests)
    minute = operator.evaluate("stocks_minute")

    assert sum(len([day for day in days if first <= day <= last]) for first, last in daily) == len(days)
    assert len(daily) == 3
    assert len(minute.run_requests) == 10
    assert bounds(minute.run_requests)[-1][1] == days[-1], "the latest sessions come first"
    remembered = SyncCursor.decode(minute.cursor)
    assert remembered.swept_at is None, "what is left is listed again in the next tick"
    assert len(minute.cursor) < 200

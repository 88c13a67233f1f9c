"""Schedules: what runs by the clock, in New York time.

Here: the nightly catch-up of each feed and the weekly verification of the mirrors. Not here: what
reacts to the buckets (`sensors.py`). The catch-up does not depend on what the sensors remember: it
asks for every published session of the last few that is not in the warehouse.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import dagster as dg

from flatfiles_assets import calendars
from flatfiles_assets.datasets import NEW_YORK, Dataset
from flatfiles_assets.defs.cache_verification import verify_cache
from flatfiles_assets.defs.keys import RUN_FEED_TAG, WHY_TAG, market_key, raw_key
from flatfiles_assets.defs.partitions import dataset_partitions, key_ranges
from flatfiles_assets.defs.partitions_under_way import RunCoverage
from flatfiles_assets.defs.range_requests import range_request
from flatfiles_assets.defs.resources import FlatFilesS3Resource, WarehouseResource
from flatfiles_assets.defs.run_retention import prune_runs
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.warehouse import inventory
from flatfiles_assets.warehouse.connection import Warehouse

CATCH_UP_SESSIONS = 10

# After the usual hour of publication, on the days after sessions, and once more at night.
_CATCH_UP_TIMES = ("30 13 * * 2-6", "0 3 * * *")
_VERIFY_TIME = "0 6 * * 0"
_PRUNE_TIME = "0 5 * * 0"

# A failure of another kind would only be repeated; the sync sensor knows when its time has come.
_WORTH_ASKING = ("missing", "downloaded", "stale", "failed", "not_published")

_WAREHOUSE_WAIT_SECONDS = 15.0


def build_schedules(datasets: Iterable[Dataset]) -> list[dg.ScheduleDefinition]:
    """The schedules of the code location."""
    verify = dg.ScheduleDefinition(
        name="verify_cache_weekly",
        job=verify_cache,
        cron_schedule=_VERIFY_TIME,
        execution_timezone=NEW_YORK,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Recompute the checksum of every file in the mirrors, Sundays at 06:00 New York.",
    )
    prune = dg.ScheduleDefinition(
        name="prune_runs_weekly",
        job=prune_runs,
        cron_schedule=_PRUNE_TIME,
        execution_timezone=NEW_YORK,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Remove Dagster's runs and logs older than FLATFILES_KEEP_RUNS_DAYS, Sundays at 05:00.",
    )
    return [*(build_catch_up(dataset) for dataset in datasets), verify, prune]


def build_catch_up(dataset: Dataset, n_sessions: int = CATCH_UP_SESSIONS) -> dg.ScheduleDefinition:
    """The catch-up of one feed.

    Args:
        dataset: The feed.
        n_sessions: How many sessions back it looks.
    """

    @dg.schedule(
        name=f"{dataset.name}_catch_up",
        job_name=dataset.name,
        cron_schedule=list(_CATCH_UP_TIMES),
        execution_timezone=NEW_YORK,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Requests every published session of the last {n_sessions} that is not in the warehouse, "
            "at 13:30 New York and once more at 03:00."
        ),
    )
    @door
    def catch_up(
        context: dg.ScheduleEvaluationContext, flatfiles_s3: FlatFilesS3Resource, warehouse: WarehouseResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        now = context.scheduled_execution_time
        coverage = RunCoverage(context.instance, dataset.name, {raw_key(dataset), market_key(dataset)})
        try:
            wanted = _lacking(dataset, flatfiles_s3, warehouse, now, n_sessions)
        except FlatFilesError as error:
            return dg.SkipReason(str(error))
        under_way = coverage.under_way()
        wanted = [key for key in wanted if not any(first <= key <= last for first, last in under_way)]
        ranges = key_ranges(dataset_partitions(dataset), wanted, longest=dataset.max_partitions_per_run)
        if not ranges:
            return dg.SkipReason(
                f"Every published session of the last {n_sessions} is there or under way, "
                "or waits for the vendor."
            )
        return [_request(dataset, first, last, now) for first, last in ranges]

    return catch_up


def _lacking(
    dataset: Dataset,
    s3: FlatFilesS3Resource,
    warehouse: WarehouseResource,
    now: dt.datetime,
    n_sessions: int,
) -> list[str]:
    """The published sessions of the last few that a run can bring into the warehouse."""
    end = inventory.last_published_session(dataset, now)
    start = calendars.sessions(dataset.calendar, end - dt.timedelta(days=3 * n_sessions + 10), end)
    recent = start[-n_sessions:]
    catalog = s3.catalog()
    months = sorted({f"{catalog.get_prefix(dataset.name)}{session:%Y/%m/}" for session in recent})
    published = {item.key for month in months for item in s3.list_remote(month)}
    store = warehouse.open().waiting(_WAREHOUSE_WAIT_SECONDS)
    with s3.cache() as cache:
        statuses = _statuses(dataset, s3, cache, store, recent)
    return [
        status.session.isoformat()
        for status in statuses
        if status.state in _WORTH_ASKING and catalog.get_key(dataset.name, status.session) in published
    ]


def _statuses(
    dataset: Dataset, s3: FlatFilesS3Resource, cache: FileCache, store: Warehouse, recent: list[dt.date]
) -> list[inventory.SessionStatus]:
    return inventory.feed_inventory(dataset, s3.catalog(), cache.ledger, store, recent[0], recent[-1])


def _request(dataset: Dataset, first: str, last: str, now: dt.datetime) -> dg.RunRequest:
    return range_request(
        first,
        last,
        run_key=f"{now.isoformat()}:{first}:{last}",
        tags={RUN_FEED_TAG: dataset.name, WHY_TAG: "catch-up"},
    )

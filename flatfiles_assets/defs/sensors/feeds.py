"""Sensors: what reacts to the vendor's bucket, one `<feed>_sync` per feed.

Here: a tick, from the listing to the range runs it requests. Not here: what is listed
(`vendor_listing.py`), what a difference means (`download/remote_changes.py`), the rhythm (`cursor.py`),
the user's own bucket (`bucket.py`), and what happens downstream of a feed's table (`automation.py`).

A tick lists the recent months, and once a week every year, latest first, a few years per tick. It
keeps no list of files: bucket, ledger and warehouse are compared anew each time. So a tick that is
cut short, repeated or run twice at once asks for the same runs under the same run keys, and Dagster
launches each once. History that nobody began is left to an explicit backfill: files before the
first session in the ledger count only from ``FLATFILES_SYNC_START`` on.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable

import dagster as dg

from flatfiles_assets.datasets import Dataset
from flatfiles_assets.defs.keys import RUN_FEED_TAG, WHY_TAG, market_key, raw_key
from flatfiles_assets.defs.partitions import dataset_partitions
from flatfiles_assets.defs.partitions_under_way import RunCoverage, unrecorded_sessions
from flatfiles_assets.defs.resources import FlatFilesS3Resource, WarehouseResource
from flatfiles_assets.defs.sensors.bucket import build_bucket_sensors
from flatfiles_assets.defs.sensors.cursor import SyncCursor, tick_seconds
from flatfiles_assets.defs.sensors.lookback import build_lookback_sensor
from flatfiles_assets.defs.sensors.vendor_listing import (
    Due,
    Listing,
    Sweep,
    first_session,
    list_months,
    list_years,
    months_to_list,
    next_cursor,
    of_folder,
    reason_to_rest,
    what_is_due,
)
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.download.ledger import Ledger
from flatfiles_assets.download.listing import list_with
from flatfiles_assets.download.remote_changes import (
    Change,
    Comparison,
    compare,
    plan_ranges,
)
from flatfiles_assets.download.retries import RetryPolicy
from flatfiles_assets.errors import FlatFilesError, MissingCredentials
from flatfiles_assets.escaping import printable
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse import inventory
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import WarehouseBusy

MOST_RUNS_UNDER_WAY = 10
"""Runs of one feed that are requested or running before a tick requests no more."""

# A run that finds a session up to date says so again, which is news downstream: no gap is worth it.
BRIDGE_SESSIONS = 0

_TICK_SECONDS = 180

# Dagster gives a tick 60 seconds. One prefix takes at most three attempts of eight seconds.
_LISTING_BUDGET_SECONDS = 25.0
_REQUEST_TIMEOUT_SECONDS = 8.0
_POLICY = RetryPolicy(max_retries=2, max_delay_seconds=2.0)
_WAREHOUSE_WAIT_SECONDS = 5.0


def build_sensors(datasets: Iterable[Dataset]) -> list[dg.SensorDefinition]:
    """The sensors of the code location."""
    return [
        *(build_sync_sensor(dataset) for dataset in datasets),
        *build_bucket_sensors(),
        build_lookback_sensor(),
    ]


def build_sync_sensor(
    dataset: Dataset, *, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.timezone.utc)
) -> dg.SensorDefinition:
    """The sensor of one feed.

    Args:
        dataset: The feed.
        clock: The present, with a zone.
    """

    @dg.sensor(
        name=f"{dataset.name}_sync",
        job_name=dataset.name,
        minimum_interval_seconds=tick_seconds(_TICK_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Keeps {dataset.name} as the vendor's bucket has it: new, replaced and damaged files, in as "
            "few range runs as possible. Lists the recent months every half hour, every five minutes while "
            "the vendor publishes, and everything that was ever asked for once a week."
        ),
    )
    @door
    def sync(
        context: dg.SensorEvaluationContext, flatfiles_s3: FlatFilesS3Resource, warehouse: WarehouseResource
    ) -> dg.SensorResult:
        coverage = RunCoverage(context.instance, dataset.name, {raw_key(dataset), market_key(dataset)})
        cursor = SyncCursor.decode(context.cursor)
        try:
            with flatfiles_s3.cache() as cache:
                settings, now = load_settings(), clock()
                due = what_is_due(dataset, cursor, settings, now)
                if reason := reason_to_rest(due, cursor):
                    return dg.SensorResult(skip_reason=reason, cursor=context.cursor)
                first = first_session(dataset, flatfiles_s3.catalog(), cache.ledger, settings, now)
                listing, sweep = _list_bucket(dataset, flatfiles_s3, cache.ledger, cursor, due, first, now)
                keys = {day: item.key for day, item in listing.remote.items()}
                closed = inventory.note_closed_days(dataset, cache.ledger, keys, listing.entries)
                listing = listing.without(closed)
                comparison = _compare(dataset, listing, cache.ledger, warehouse.open(), context.instance, now)
        except MissingCredentials as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        except FlatFilesError as error:
            # Half a listing is none: the cursor stays, and the next tick lists again.
            return dg.SensorResult(
                skip_reason=f"The bucket could not be listed: {error}", cursor=context.cursor
            )
        for day in closed:
            context.log.warning("the bucket has a file of %s, which the calendar calls closed", day)
        for key in comparison.deleted:
            context.log.warning("%s is gone from the bucket; the copy and its rows are kept", printable(key))
        requests, postponed = _requests(dataset, comparison, coverage, clock())
        problem = sweep.problem if sweep else None
        # What could not be requested yet is listed again.
        after = cursor if postponed else next_cursor(cursor, due, sweep, now)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None
            if requests
            else _nothing_to_do(comparison, postponed, len(listing.remote), problem),
            cursor=after.encode(),
        )

    return sync


def _list_bucket(
    dataset: Dataset,
    s3: FlatFilesS3Resource,
    ledger: Ledger,
    cursor: SyncCursor,
    due: Due,
    first: dt.date,
    now: dt.datetime,
) -> tuple[Listing, Sweep | None]:
    """List what is due: the recent months, and as much of the sweep as there is time for.

    Raises:
        FlatFilesError: The recent months could not be listed.
    """
    deadline = time.monotonic() + _LISTING_BUDGET_SECONDS
    catalog = s3.catalog()
    client = s3.connection().boto3(timeout_seconds=_REQUEST_TIMEOUT_SECONDS)

    def list_folder(folder: str) -> Listing:
        prefix = f"{catalog.get_prefix(dataset.name)}{folder}"
        found = list_with(client, s3.bucket_name(), prefix, max_keys=None, policy=_POLICY, owner="vendor")
        # A listing that breaks off must leave nothing behind: what it lacks is not deleted.
        return of_folder(catalog, ledger, prefix, list(found), first)

    try:
        listing, sweep = Listing(), None
        if due.recent:
            listing = list_months(list_folder, months_to_list(dataset, catalog, ledger, first, now))
        if due.sweep:
            latest = min(cursor.next_year or now.year, now.year)
            sweep = list_years(list_folder, latest, first.year, deadline=deadline)
            listing |= sweep.listing
        return listing, sweep
    finally:
        client.close()


def _compare(
    dataset: Dataset,
    listing: Listing,
    ledger: Ledger,
    store: Warehouse,
    instance: dg.DagsterInstance,
    now: dt.datetime,
) -> Comparison:
    """What the listing means, beside the ledger, the warehouse and what Dagster was told."""
    # Whoever loads holds the file for long; which rows are stored can wait for another tick.
    patient = store.waiting(_WAREHOUSE_WAIT_SECONDS)
    try:
        stored = inventory.stored_files(patient, dataset)
    except WarehouseBusy:
        stored = None
    loaded_at = {
        session: file.loaded_at for session, file in (stored or {}).items() if file.state == "loaded"
    }
    return compare(
        listing.remote,
        listing.entries,
        None if stored is None else {session: file.sha256 for session, file in stored.items()},
        unrecorded=unrecorded_sessions(instance, market_key(dataset), loaded_at),
        failed_attempts=ledger.failures_in_a_row,
        now=now,
    )


def _requests(
    dataset: Dataset, comparison: Comparison, coverage: RunCoverage, now: dt.datetime
) -> tuple[list[dg.RunRequest], int]:
    """The runs to request, and how many sessions have to wait for a later tick."""
    under_way = [
        (dt.date.fromisoformat(first), dt.date.fromisoformat(last)) for first, last in coverage.under_way()
    ]
    wanted = [
        change
        for change in comparison.changes
        if not any(first <= change.session <= last for first, last in under_way)
    ]
    sessions = [dt.date.fromisoformat(key) for key in dataset_partitions(dataset).get_partition_keys()]
    longest = dataset.max_partitions_per_run
    ranges = plan_ranges(sessions, wanted, comparison.current, longest=longest, bridge=BRIDGE_SESSIONS)
    room = max(0, MOST_RUNS_UNDER_WAY - len(under_way))
    requests: list[dg.RunRequest] = []
    postponed = 0
    for found in ranges:
        if len(requests) >= room:
            postponed += len(found.changes)
        elif request := coverage.request(
            found.digest,
            now,
            bounds=(found.first.isoformat(), found.last.isoformat()),
            tags={
                RUN_FEED_TAG: dataset.name,
                WHY_TAG: ", ".join(sorted({change.why for change in found.changes})),
            },
        ):
            requests.append(request)
    return requests, postponed


def _nothing_to_do(
    comparison: Comparison, postponed: int, listed: int, problem: FlatFilesError | None
) -> str:
    said = [f"{listed} files listed, {len(comparison.current)} as they should be"]
    if comparison.changes:
        said.append(f"{_count(comparison.changes)} under way or resting after a failed run")
    if postponed:
        said.append(f"{postponed} sessions wait until some of the {MOST_RUNS_UNDER_WAY} runs have ended")
    if comparison.waiting:
        reasons = sorted(set(comparison.waiting.values()))
        said.append(f"{len(comparison.waiting)} are not tried again yet ({', '.join(reasons)})")
    if comparison.deleted:
        said.append(f"{len(comparison.deleted)} gone from the bucket and kept here")
    if problem:
        said.append(f"the sweep goes on later: {problem}")
    return "; ".join(said) + "."


def _count(changes: Iterable[Change]) -> str:
    number = len(list(changes))
    return f"{number} session{'' if number == 1 else 's'}"

"""Sensors: what reacts to the vendor's bucket, one `<feed>_sync` per feed.

Here: a tick, from the listing to the range runs it requests. Not here: what a difference means
(`changes.py`), the rhythm (`sync_cursor.py`), the user's own bucket (`bucket_sensor.py`), and what
happens downstream of a feed's table (`automation.py`).

A tick lists the recent months, and once a week every year, latest first, a few years per tick. It
keeps no list of files: bucket, ledger and warehouse are compared anew each time. So a tick that is
cut short, repeated or run twice at once asks for the same runs under the same run keys, and Dagster
launches each once. History that nobody began is left to an explicit backfill: files before the
first session in the ledger count only from ``FLATFILES_SYNC_START`` on.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Iterable, Sequence

import dagster as dg

from flatfiles_assets import calendars
from flatfiles_assets.datasets import Dataset
from flatfiles_assets.defs.keys import RUN_FEED_TAG, WHY_TAG, market_key, raw_key
from flatfiles_assets.defs.partitions import dataset_partitions
from flatfiles_assets.defs.partitions_under_way import RunCoverage, unrecorded_sessions
from flatfiles_assets.defs.resources import FlatFilesS3Resource, WarehouseResource
from flatfiles_assets.defs.sensors.bucket import build_bucket_sensors
from flatfiles_assets.defs.sensors.cursor import SyncCursor, poll_interval, recent_months, tick_seconds
from flatfiles_assets.defs.sensors.lookback import build_lookback_sensor
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.ledger import LedgerEntry
from flatfiles_assets.download.listing import RemoteObject, list_with
from flatfiles_assets.download.remote_changes import (
    Change,
    Comparison,
    compare,
    plan_ranges,
)
from flatfiles_assets.download.retries import RetryPolicy
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.errors import FlatFilesError, MissingCredentials
from flatfiles_assets.escaping import printable
from flatfiles_assets.settings import Settings, load_settings
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
_YEARS_PER_TICK = 8
_UNFINISHED_MONTHS = 6
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
                tick = _Tick(dataset, flatfiles_s3.catalog(), cache, cursor, load_settings(), clock())
                if reason := tick.reason_to_rest():
                    return dg.SensorResult(skip_reason=reason, cursor=context.cursor)
                tick.list_bucket(flatfiles_s3)
                comparison = tick.compare(warehouse.open(), context.instance)
        except MissingCredentials as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        except FlatFilesError as error:
            # Half a listing is none: the cursor stays, and the next tick lists again.
            return dg.SensorResult(
                skip_reason=f"The bucket could not be listed: {error}", cursor=context.cursor
            )
        for day in tick.closed_days:
            context.log.warning("the bucket has a file of %s, which the calendar calls closed", day)
        for key in comparison.deleted:
            context.log.warning("%s is gone from the bucket; the copy and its rows are kept", printable(key))
        requests, postponed = _requests(dataset, comparison, coverage, clock())
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _nothing_to_do(comparison, postponed, tick),
            cursor=tick.next_cursor(everything_requested=not postponed).encode(),
        )

    return sync


@dataclasses.dataclass
class _Tick:
    """One evaluation for one feed: what is listed, and where the next one goes on."""

    dataset: Dataset
    catalog: S3Catalog
    cache: FileCache
    cursor: SyncCursor
    settings: Settings
    now: dt.datetime
    remote: dict[dt.date, RemoteObject] = dataclasses.field(default_factory=dict)
    entries: dict[str, LedgerEntry] = dataclasses.field(default_factory=dict)
    swept_to: int | None = None
    swept_all: bool = False
    problem: FlatFilesError | None = None
    closed_days: Sequence[dt.date] = ()

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        interval = self.settings.sync_poll_seconds
        self.interval = dt.timedelta(seconds=interval) if interval else poll_interval(self.dataset, self.now)
        self.polls = self.cursor.is_poll_due(self.interval, self.now)
        self.sweeps = self.cursor.is_sweep_due(self.now)

    def reason_to_rest(self) -> str | None:
        """Why nothing is to be listed yet, if so."""
        if self.polls or self.sweeps or self.cursor.polled_at is None:
            return None
        return f"Listed at {self.cursor.polled_at:%H:%M} UTC; the next listing is due {self.interval} later."

    def list_bucket(self, s3: FlatFilesS3Resource) -> None:
        """List the recent months, and as much of the sweep as there is time for.

        Raises:
            FlatFilesError: The recent months could not be listed.
        """
        first = self._first_session()
        prefix = self.catalog.get_prefix(self.dataset.name)
        client = s3.connection().boto3(timeout_seconds=_REQUEST_TIMEOUT_SECONDS)

        def take(folder: str) -> None:
            # A listing that breaks off must leave nothing behind: what it lacks is not deleted.
            listed = list(
                list_with(
                    client,
                    s3.bucket_name(),
                    f"{prefix}{folder}",
                    max_keys=None,
                    policy=_POLICY,
                    owner="vendor",
                )
            )
            self._take(listed, f"{prefix}{folder}", first)

        try:
            if self.polls:
                for year, month in {*recent_months(self.now), *self._unfinished_months(first)}:
                    take(f"{year:04}/{month:02}/")
            if self.sweeps:
                self._sweep(take, first.year)
        finally:
            client.close()

    def _sweep(self, take: Callable[[str], None], first_year: int) -> None:
        year = min(self.cursor.next_year or self.now.year, self.now.year)
        self.swept_to = year
        for _ in range(_YEARS_PER_TICK):
            if year < first_year:
                break
            if time.monotonic() - self.started > _LISTING_BUDGET_SECONDS:
                return
            try:
                take(f"{year:04}/")
            except FlatFilesError as error:
                self.problem = error
                return
            year -= 1
            self.swept_to = year
        self.swept_all = year < first_year

    def compare(self, store: Warehouse, instance: dg.DagsterInstance) -> Comparison:
        """What the listing means."""
        keys = {day: item.key for day, item in self.remote.items()}
        self.closed_days = inventory.note_closed_days(self.dataset, self.cache.ledger, keys, self.entries)
        for day in self.closed_days:
            self.entries.pop(self.remote.pop(day).key, None)
        # Whoever loads holds the file for long; which rows are stored can wait for another tick.
        patient = store.waiting(_WAREHOUSE_WAIT_SECONDS)
        try:
            stored = inventory.stored_files(patient, self.dataset)
        except WarehouseBusy:
            stored = None
        loaded_at = {
            session: file.loaded_at for session, file in (stored or {}).items() if file.state == "loaded"
        }
        return compare(
            self.remote,
            self.entries,
            None if stored is None else {session: file.sha256 for session, file in stored.items()},
            unrecorded=unrecorded_sessions(instance, market_key(self.dataset), loaded_at),
            failed_attempts=self.cache.ledger.failures_in_a_row,
            now=self.now,
        )

    def next_cursor(self, *, everything_requested: bool) -> SyncCursor:
        """The memory after this tick; what could not be requested yet is listed again."""
        if not everything_requested:
            return self.cursor
        polled_at = self.now if self.polls else self.cursor.polled_at
        if not self.sweeps:
            return dataclasses.replace(self.cursor, polled_at=polled_at)
        if self.swept_all:
            return SyncCursor(polled_at, self.now, None)
        return SyncCursor(polled_at, self.cursor.swept_at, self.swept_to)

    def _first_session(self) -> dt.date:
        year, month = recent_months(self.now)[0]
        if self.settings.sync_start:
            return max(self.settings.sync_start, self.dataset.first_session)
        known = inventory.known_range(self.dataset, self.catalog, self.cache.ledger)
        return min(known[0], dt.date(year, month, 1)) if known else dt.date(year, month, 1)

    def _unfinished_months(self, first: dt.date) -> list[tuple[int, int]]:
        """The latest months with files that were to be had and are not: they cannot wait for a sweep."""
        months = set()
        for entry in self.cache.ledger.entries(self.catalog.get_prefix(self.dataset.name)):
            if entry.state == "failed" or (entry.state == "corrupt" and entry.has_file):
                session = dt.date.fromisoformat(self.catalog.parse_key_metadata(entry.key)["date"])
                if session >= first and calendars.is_session(self.dataset.calendar, session):
                    months.add((session.year, session.month))
        return sorted(months, reverse=True)[:_UNFINISHED_MONTHS]

    def _take(self, listed: Iterable[RemoteObject], prefix: str, first: dt.date) -> None:
        for item in listed:
            if self.catalog.validate_key(item.key):
                session = dt.date.fromisoformat(self.catalog.parse_key_metadata(item.key)["date"])
                if session >= first:
                    self.remote[session] = item
        self.entries.update({entry.key: entry for entry in self.cache.ledger.entries(prefix)})


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


def _nothing_to_do(comparison: Comparison, postponed: int, tick: _Tick) -> str:
    said = [f"{len(tick.remote)} files listed, {len(comparison.current)} as they should be"]
    if comparison.changes:
        said.append(f"{_count(comparison.changes)} under way or resting after a failed run")
    if postponed:
        said.append(f"{postponed} sessions wait until some of the {MOST_RUNS_UNDER_WAY} runs have ended")
    if comparison.waiting:
        reasons = sorted(set(comparison.waiting.values()))
        said.append(f"{len(comparison.waiting)} are not tried again yet ({', '.join(reasons)})")
    if comparison.deleted:
        said.append(f"{len(comparison.deleted)} gone from the bucket and kept here")
    if tick.problem:
        said.append(f"the sweep goes on later: {tick.problem}")
    return "; ".join(said) + "."


def _count(changes: Iterable[Change]) -> str:
    number = len(list(changes))
    return f"{number} session{'' if number == 1 else 's'}"

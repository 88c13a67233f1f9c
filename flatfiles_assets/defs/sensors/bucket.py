"""Sensors on the user's own bucket: new and replaced yearly archives, and changed directories.

Here: `historical_years_sync` and `directories_sync`. Not here: the vendor's feeds (`sensors.py`), how
a year or a directory is fetched (`minio_data_downloader/`). Both list what they watch and compare it
with the mirror's ledger; they remember only when they last did.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import dagster as dg

from flatfiles_assets.defs.dagster_internals.run_statuses import NOT_FINISHED_STATUSES
from flatfiles_assets.defs.keys import DIRECTORY_TAG, market_directory_key, raw_directory_key
from flatfiles_assets.defs.partitions import HISTORICAL_YEARS
from flatfiles_assets.defs.partitions_under_way import RunCoverage
from flatfiles_assets.defs.resources import MinIOS3Resource
from flatfiles_assets.defs.sensors.cursor import SyncCursor, tick_seconds
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.listing import RemoteObject, list_with
from flatfiles_assets.download.remote_changes import fingerprint, reason_to_fetch
from flatfiles_assets.download.retries import RetryPolicy
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.minio_data_downloader import DIRECTORIES
from flatfiles_assets.minio_data_downloader.bucket_contents import (
    Wanted,
    directory_prefix,
    find_directory,
    find_years,
    historical_prefix,
    no_years_below,
)
from flatfiles_assets.settings import load_settings

_POLL_INTERVAL = dt.timedelta(minutes=30)
_TICK_SECONDS = 600
_LISTING_BUDGET_SECONDS = 30.0
_REQUEST_TIMEOUT_SECONDS = 8.0
_POLICY = RetryPolicy(max_retries=2, max_delay_seconds=2.0)


class BucketTooLarge(FlatFilesError):
    """A listing takes longer than a sensor may."""


def build_bucket_sensors() -> list[dg.SensorDefinition]:
    """The two sensors of the user's bucket."""
    return [
        _build(
            "historical_years",
            "Fetches and extracts yearly archives that are new in the bucket or were replaced.",
            _historical_requests,
        ),
        _build(
            "directories",
            "Synchronises the bucket's directories in which an object is new or was replaced.",
            _directory_requests,
        ),
    ]


_Requests = Callable[["_Bucket"], Iterable[dg.RunRequest]]


def _build(job_name: str, description: str, requests: _Requests) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{job_name}_sync",
        job_name=job_name,
        minimum_interval_seconds=tick_seconds(_TICK_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"{description} Lists every half hour.",
    )
    @door
    def sync(context: dg.SensorEvaluationContext, minio_s3: MinIOS3Resource) -> dg.SensorResult:
        now = dt.datetime.now(dt.timezone.utc)
        cursor = SyncCursor.decode(context.cursor)
        seconds = load_settings().sync_poll_seconds
        interval = dt.timedelta(seconds=seconds) if seconds else _POLL_INTERVAL
        if not cursor.is_poll_due(interval, now):
            return dg.SensorResult(skip_reason="Listed already.", cursor=context.cursor)
        try:
            with minio_s3.cache() as cache:
                found = list(requests(_Bucket(minio_s3, cache, context.instance, job_name, now)))
        except FlatFilesError as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        return dg.SensorResult(
            run_requests=found,
            skip_reason=None if found else "The mirror is as the bucket is, or its runs are under way.",
            cursor=SyncCursor(polled_at=now).encode(),
        )

    return sync


class _Bucket:
    """What the bucket holds, beside what the mirror has and what runs are about."""

    def __init__(
        self,
        s3: MinIOS3Resource,
        cache: FileCache,
        instance: dg.DagsterInstance,
        job_name: str,
        now: dt.datetime,
    ) -> None:
        self._s3 = s3
        self._cache = cache
        self._instance = instance
        self._job_name = job_name
        self._now = now
        # Before the ledger is read: see `RunCoverage`.
        self._coverage = RunCoverage(instance, job_name, set())
        self._started = time.monotonic()

    def objects(self, prefix: str) -> list[RemoteObject]:
        """Every object below a prefix, or none at all.

        Raises:
            FlatFilesError: The listing failed, or would take longer than a tick may.
        """
        client = self._s3.connection().boto3(timeout_seconds=_REQUEST_TIMEOUT_SECONDS)
        found = []
        try:
            listed = list_with(
                client, self._s3.bucket_name(), prefix, max_keys=None, policy=_POLICY, owner="user"
            )
            for item in listed:
                found.append(item)
                if time.monotonic() - self._started > _LISTING_BUDGET_SECONDS:
                    raise BucketTooLarge(
                        f"listing takes more than {_LISTING_BUDGET_SECONDS:.0f} s",
                        where=f"{self._s3.bucket_name()}/{prefix}",
                        next_step="name the archives' folder in MINIO_HISTORICAL_PREFIX, "
                        "or materialise the raw assets by hand",
                    )
        finally:
            client.close()
        return found

    def changed(self, wanted: Iterable[Wanted]) -> list[str]:
        """Fingerprints of the objects that are to be fetched now."""
        items = list(wanted)
        entries = self._cache.ledger.get_many(item.local_key for item in items)
        return [
            fingerprint(item.remote, entries.get(item.local_key))
            for item in items
            if reason_to_fetch(
                entries.get(item.local_key),
                item.remote,
                failed_attempts=self._cache.ledger.failures_in_a_row,
                now=self._now,
            )
        ]

    def years_under_way(self) -> list[tuple[str, str]]:
        return self._coverage.under_way()

    def is_asset_under_way(self, key: dg.AssetKey) -> bool:
        runs = self._instance.get_runs(dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES)))
        return any(
            key in run.asset_selection if run.asset_selection else run.job_name == self._job_name
            for run in runs
        )

    def request(
        self,
        fingerprints: Iterable[str],
        *,
        bounds: tuple[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        assets: Sequence[dg.AssetKey] | None = None,
    ) -> dg.RunRequest | None:
        """One run for some changes; None while an earlier one for the same is too recent a failure."""
        digest = hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()[:32]
        return self._coverage.request(digest, self._now, bounds=bounds, tags=tags, assets=assets)


def _historical_requests(bucket: _Bucket) -> Iterable[dg.RunRequest]:
    settings = load_settings()
    prefix = historical_prefix(settings.minio_historical_prefix, settings.minio_bucket)
    found = find_years(bucket.objects(prefix or ""), prefix)
    if prefix and not found:
        raise no_years_below(prefix, settings.minio_bucket)
    under_way = bucket.years_under_way()
    for year in HISTORICAL_YEARS:
        wanted = found.get(int(year))
        # One run a year: a run's failure then names one archive, and the other years are not repeated.
        if not isinstance(wanted, Wanted) or any(first <= year <= last for first, last in under_way):
            continue
        changed = bucket.changed([wanted])
        if changed and (request := bucket.request(changed, bounds=(year, year))):
            yield request


def _directory_requests(bucket: _Bucket) -> Iterable[dg.RunRequest]:
    for directory in DIRECTORIES:
        prefix = directory_prefix(directory)
        changed = bucket.changed(find_directory(bucket.objects(prefix), prefix))
        raw = raw_directory_key(directory)
        if changed and not bucket.is_asset_under_way(raw):
            assets = [raw, market_directory_key(directory)]
            if request := bucket.request(changed, tags={DIRECTORY_TAG: directory}, assets=assets):
                yield request

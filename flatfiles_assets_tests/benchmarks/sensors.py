"""One tick of all feeds' sensors over a bucket of twenty years, in requests, seconds and memory.

The store is `rclone serve s3` with an empty object for every session of twenty years and four feeds,
some 20,000 keys; ledger and warehouse know each. The peer is a sensor that lists its feed's whole
prefix at every tick. The heaviest tick is one of the weekly sweep: the recent months and as many
years as one tick takes. Asked is that it stay within five seconds, far from the sixty after which
Dagster gives up a tick.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import dagster as dg
import pyarrow as pa
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from obstore.exceptions import BaseError

from flatfiles_assets.calendars import sessions
from flatfiles_assets.datasets import Dataset, get_dataset, selected_datasets
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import market_key
from flatfiles_assets.defs.partitions import dataset_partitions
from flatfiles_assets.defs.resources import FlatFilesS3Resource, WarehouseResource
from flatfiles_assets.defs.sensors.cursor import SyncCursor
from flatfiles_assets.defs.sensors.feeds import build_sync_sensor
from flatfiles_assets.download import listing
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.ledger import LedgerEntry
from flatfiles_assets.download.listing import RemoteObject, list_remote
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.tables import FILES
from flatfiles_assets_tests import s3_servers
from flatfiles_assets_tests.benchmarks.report import QUIET, Row
from flatfiles_assets_tests.s3_servers import S3Server

_YEARS = 20
_RUNS = 3
_MOST_SECONDS = 5.0
_MOST_MEGABYTES = 64.0
_PUTS_AT_ONCE = 16
_PUT_ATTEMPTS = 5

DATASETS = selected_datasets()


def run() -> list[Row]:
    """The ordinary tick and the heaviest one, against listing everything."""
    today = dt.datetime.now(dt.timezone.utc).date()
    days = sessions("XNYS", today - dt.timedelta(days=365 * _YEARS), today - dt.timedelta(days=2))
    with s3_servers.rclone() as server, tempfile.TemporaryDirectory() as folder:
        bucket = server.new_bucket()
        _fill_bucket(server, bucket, days)
        with _platform(server, bucket, Path(folder), days[0]) as instance:
            connection = FlatFilesS3Resource().connection()
            objects = {
                dataset.name: list(list_remote(connection, bucket, _prefix(dataset))) for dataset in DATASETS
            }
            n_keys = sum(map(len, objects.values()))
            _know_everything(objects, instance)
            whole = statistics.median(_seconds(lambda: _list_all(connection, bucket)) for _ in range(_RUNS))
            now = dt.datetime.now(dt.timezone.utc)
            poll = _Measured(instance, SyncCursor(polled_at=None, swept_at=now))
            sweep = _Measured(instance, SyncCursor(polled_at=None, swept_at=None))
    name = "listing every key"
    keys = f"{len(DATASETS)} feeds, {n_keys:,} keys"
    return [
        Row(f"sensor tick, {keys}, {poll.requests} requests", poll.seconds, name, whole, "s",
            poll.seconds, f"<= {_MOST_SECONDS:g}"),
        Row(f"heaviest sweep tick, {keys}, {sweep.requests} requests", sweep.seconds, name, whole, "s",
            sweep.seconds, f"<= {_MOST_SECONDS:g}"),
        Row("heaviest sweep tick, peak of Python's memory in one feed", sweep.peak_mb, "none", 0.0, "MB",
            sweep.peak_mb, f"<= {_MOST_MEGABYTES:g}"),
    ]  # fmt: skip


class _Measured:
    """One tick of every feed's sensor, from a given cursor."""

    def __init__(self, instance: dg.DagsterInstance, cursor: SyncCursor) -> None:
        self.requests = 0
        self.seconds = statistics.median(_seconds(lambda: self._tick(instance, cursor)) for _ in range(_RUNS))
        # The memory of a run of its own: tracing slows everything down several times.
        tracemalloc.start()
        try:
            _evaluate(instance, DATASETS[0], cursor)
            self.peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
        finally:
            tracemalloc.stop()

    def _tick(self, instance: dg.DagsterInstance, cursor: SyncCursor) -> None:
        with mock.patch.object(listing, "_page", wraps=listing._page) as page:
            for dataset in DATASETS:
                result = _evaluate(instance, dataset, cursor)
                if result.run_requests:
                    raise RuntimeError(f"{dataset.name} requests runs though nothing has changed")
        self.requests = page.call_count


def _evaluate(instance: dg.DagsterInstance, dataset: Dataset, cursor: SyncCursor) -> dg.SensorResult:
    context = dg.build_sensor_context(instance, cursor=cursor.encode())
    result = build_sync_sensor(dataset)(
        context, flatfiles_s3=FlatFilesS3Resource(), warehouse=WarehouseResource()
    )
    if not isinstance(result, dg.SensorResult):
        raise TypeError(f"a sensor returned {result!r}")
    return result


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _list_all(connection: S3Connection, bucket: str) -> int:
    return sum(sum(1 for _ in list_remote(connection, bucket, _prefix(dataset))) for dataset in DATASETS)


def _prefix(dataset: Dataset) -> str:
    return S3Catalog(options_prefix=load_settings().options_prefix).get_prefix(dataset.name)


def _fill_bucket(server: S3Server, bucket: str, days: list[dt.date]) -> None:
    store = S3Connection(server.endpoint_url, server.access_key_id, server.secret_access_key).obstore(bucket)
    catalog = S3Catalog(options_prefix=load_settings().options_prefix)

    async def fill() -> None:
        keys = iter([catalog.get_key(dataset.name, day) for dataset in DATASETS for day in days])

        async def put() -> None:
            for key in keys:
                # rclone makes the folder of a key, and may lose a race for it.
                for _ in range(_PUT_ATTEMPTS):
                    with contextlib.suppress(BaseError):
                        await store.put_async(key, b"x")
                        break

        await asyncio.gather(*(put() for _ in range(_PUTS_AT_ONCE)))

    asyncio.run(fill())


@contextlib.contextmanager
def _platform(server: S3Server, bucket: str, folder: Path, first: dt.date) -> Iterator[dg.DagsterInstance]:
    environment = {
        "FLATFILES_ENDPOINT_URL": server.endpoint_url,
        "FLATFILES_ACCESS_KEY_ID": server.access_key_id,
        "FLATFILES_SECRET_ACCESS_KEY": server.secret_access_key,
        "FLATFILES_BUCKET": bucket,
        "FLATFILES_DATA_DIR": str(folder),
        "FLATFILES_SYNC_START": first.isoformat(),
    }
    with mock.patch.dict(os.environ, environment), open_instance(folder / "dagster_home") as instance:
        yield instance


def _know_everything(objects: dict[str, list[RemoteObject]], instance: dg.DagsterInstance) -> None:
    """Ledger, warehouse and instance as they are once every file was fetched and loaded, a month ago."""
    settings = load_settings()
    now = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=30)
    rows = []
    with FileCache(settings.flatfiles_cache_dir) as cache:
        for feed, found in objects.items():
            cache.ledger.record_many(
                LedgerEntry(o.key, o.etag, o.size_bytes, "0" * 64, o.last_modified, now, 1, "downloaded")
                for o in found
            )
            rows += [_file_row(feed, o, now) for o in found]
            _record(instance, get_dataset(feed), [_session_of(o) for o in found])
    with Warehouse(settings.warehouse_path).writer("benchmark") as transaction:
        transaction.replace_all(FILES, pa.Table.from_pylist(rows, schema=FILES.arrow_schema))


def _record(instance: dg.DagsterInstance, dataset: Dataset, days: list[dt.date]) -> None:
    @dg.asset(
        key=market_key(dataset),
        partitions_def=dataset_partitions(dataset),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def loaded() -> None:
        return

    first = max(min(days), dataset.first_session)
    tags = {ASSET_PARTITION_RANGE_START_TAG: str(first), ASSET_PARTITION_RANGE_END_TAG: str(max(days))}
    dg.materialize([loaded], instance=instance, tags=tags, run_config=QUIET)


def _session_of(item: RemoteObject) -> dt.date:
    return dt.date.fromisoformat(item.key[-17:-7])


def _file_row(feed: str, item: RemoteObject, now: dt.datetime) -> dict[str, object]:
    return {
        "trade_date": _session_of(item),
        "feed": feed,
        "file": item.key,
        "state": "loaded",
        "sha256": "0" * 64,
        "etag": item.etag,
        "size_bytes": item.size_bytes,
        "rows_read": 1,
        "rows_accepted": 1,
        "rows_rejected": 0,
        "rules_version": "1",
        "loaded_at": now,
    }

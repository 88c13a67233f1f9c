"""Faults between a real S3 server and the disk: each is recovered or reported, and never stored.

Every test goes through `FaultProxy`. Real servers send no checksum with an object's body, so a
flipped byte or a body cut with a rewritten length reaches the client as a success.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gzip
import hashlib
import random

import pytest

from flatfiles_assets.download.async_downloader import AsyncS3Downloader
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.errors import (
    CorruptFile,
    DownloadError,
    NotEntitled,
    NotPublished,
    Throttled,
    TransferFailed,
    state_of,
)
from flatfiles_assets.download.fetch import fetch_files
from flatfiles_assets.download.listing import list_with
from flatfiles_assets.download.retries import RetryPolicy
from flatfiles_assets.download.sync_downloader import SyncS3Downloader
from flatfiles_assets.download.transfer import TransferLimits
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets_tests import faults
from flatfiles_assets_tests.fault_proxy import FaultProxy

pytestmark = pytest.mark.integration

KIB, MIB = 1024, 1024 * 1024
PATIENT = RetryPolicy(max_retries=4, first_delay_seconds=0.01, max_delay_seconds=0.05, jitter_seconds=0.0)
SHORT = dataclasses.replace(PATIENT, max_retries=2, denied_retries=1)
# Well above what a healthy answer takes on a busy machine, well below a test's patience.
TIMEOUT_SECONDS = 0.5

SMALL = "us_stocks_sip/day_aggs_v1/2024/01/2024-01-02.csv.gz"
LARGE = "us_stocks_sip/minute_aggs_v1/2024/01/2024-01-02.csv.gz"
MANY = [f"many/2024-01-{day:02}.csv.gz" for day in range(1, 25)]


@dataclasses.dataclass(frozen=True)
class Way:
    """One way in which `fetch_files` receives an object."""

    name: str
    key: str
    limits: TransferLimits
    # The first of several ranged requests only tells the size; its body is not read.
    first_body: int = 0


# The last part is about as long as the others: a fault inside a body must meet whichever comes first.
IN_RANGES = TransferLimits(stream_above_bytes=64 * KIB, ranges_above_bytes=128 * KIB, part_bytes=101 * KIB)
WAYS = [
    Way("at once", SMALL, TransferLimits()),
    Way("streamed", SMALL, TransferLimits(stream_above_bytes=64 * KIB)),
    Way("in ranges", SMALL, IN_RANGES, first_body=1),
    # Uploaded in parts, so its ETag is no MD5.
    Way("multipart, streamed", LARGE, TransferLimits()),
    Way(
        "multipart, in ranges",
        LARGE,
        dataclasses.replace(IN_RANGES, part_bytes=2 * MIB + 64 * KIB),
        first_body=1,
    ),
]
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
SOME_WAYS = pytest.mark.parametrize("way", WAYS[::2], ids=lambda way: way.name)

TRANSIENT = {
    "503": faults.SLOW_DOWN,
    "500": faults.INTERNAL_ERROR,
    "429": faults.TOO_MANY_REQUESTS,
    "throttling 403": faults.THROTTLING_403,
    "passing 403": faults.ACCESS_DENIED,
    "reset before the body": faults.Reset(),
    "reset inside the body": faults.Reset(40_000),
    "stall before the body": faults.Stall(0),
    "stall inside the body": faults.Stall(40_000),
    "truncation": faults.Truncate(40_000),
    "silent truncation": faults.TruncateSilently(40_000),
    "silent truncation to nothing": faults.TruncateSilently(0),
    "flipped byte": faults.FlipByte(50_000),
}
SETTLED = {
    "503": (faults.SLOW_DOWN, Throttled, "failed"),
    "500": (faults.INTERNAL_ERROR, TransferFailed, "failed"),
    "429": (faults.TOO_MANY_REQUESTS, Throttled, "failed"),
    "throttling 403": (faults.THROTTLING_403, Throttled, "failed"),
    "403": (faults.ACCESS_DENIED, NotEntitled, "not_entitled"),
    "reset before the body": (faults.Reset(), TransferFailed, "failed"),
    "reset inside the body": (faults.Reset(40_000), TransferFailed, "failed"),
    "stall inside the body": (faults.Stall(40_000), TransferFailed, "failed"),
    "truncation": (faults.Truncate(40_000), TransferFailed, "failed"),
    "silent truncation": (faults.TruncateSilently(40_000), (TransferFailed, CorruptFile), None),
    # Without a checksum, bytes that arrive damaged twice in the same way look damaged in the bucket.
    "flipped byte": (faults.FlipByte(50_000), (TransferFailed, CorruptFile), None),
}


@dataclasses.dataclass(frozen=True)
class Store:
    """The seeded bucket: what every key must turn into."""

    bucket: str
    connection: S3Connection
    client: object
    bodies: dict[str, bytes]

    def holds(self, key: str, content: bytes) -> bool:
        return hashlib.sha256(content).digest() == hashlib.sha256(self.bodies[key]).digest()


def _csv_gz(seed: int, size_bytes: int) -> bytes:
    return gzip.compress(random.Random(seed).randbytes(size_bytes), compresslevel=1, mtime=0)


def _put_in_parts(client, bucket, key, body):
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)
    where = {"Bucket": bucket, "Key": key, "UploadId": upload["UploadId"]}
    parts = []
    for number, start in enumerate(range(0, len(body), 5 * MIB), start=1):
        part = client.upload_part(**where, PartNumber=number, Body=body[start : start + 5 * MIB])
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})


@pytest.fixture(scope="module")
def seeded(real_s3):
    bucket, client = real_s3.new_bucket(), real_s3.client()
    bodies = {SMALL: _csv_gz(1, 300_000), LARGE: _csv_gz(2, 6 * MIB)}
    bodies |= {key: _csv_gz(seed, 20_000) for seed, key in enumerate(MANY, start=10)}
    for key, body in bodies.items():
        if key == LARGE:
            _put_in_parts(client, bucket, key, body)
        else:
            client.put_object(Bucket=bucket, Key=key, Body=body)
    assert "-" in client.head_object(Bucket=bucket, Key=LARGE)["ETag"]
    return bucket, bodies


@pytest.fixture(scope="module")
def running_proxy(real_s3):
    with FaultProxy(real_s3.endpoint_url) as running:
        yield running


@pytest.fixture
def proxy(running_proxy):
    running_proxy.clear()
    return running_proxy


@pytest.fixture
def store(real_s3, seeded, proxy):
    bucket, bodies = seeded
    connection = S3Connection.from_credentials(real_s3.credentials, proxy.endpoint_url)
    return Store(bucket, connection, real_s3.client(), dict(bodies))


def _fetch(store, cache, keys, policy=PATIENT, **options):
    return list(
        fetch_files(
            store.connection,
            store.bucket,
            cache,
            keys,
            timeout=TIMEOUT_SECONDS,
            retry_policy=policy,
            **options,
        )
    )


def _visible_files(cache):
    """Files in the cache under names that a reader would take for data."""
    files = (path for path in cache.root.rglob("*") if path.is_file())
    return [path for path in files if path.parent.name != "metadata" and not path.name.startswith(".")]


def _assert_nothing_but_the_truth_is_stored(store, cache):
    for path in _visible_files(cache):
        key = path.relative_to(cache.root).as_posix()
        assert store.holds(key, path.read_bytes()), f"{key} is not what the bucket holds"
        entry = cache.ledger.get(key)
        assert entry is not None
        assert entry.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@EVERY_WAY
@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
def test_a_passing_fault_is_recovered_and_counted(way, fault, store, proxy, tmp_path):
    proxy.add(fault, path=way.key, skip=way.first_body)
    with FileCache(tmp_path) as cache:
        (result,) = _fetch(store, cache, [way.key], limits=way.limits)
        assert not isinstance(result, FlatFilesError), result
        assert store.holds(way.key, result.path.read_bytes())
        assert result.attempts >= 2
        assert cache.ledger.get(way.key).state == "downloaded"
        _assert_nothing_but_the_truth_is_stored(store, cache)


@SOME_WAYS
@pytest.mark.parametrize(("fault", "error", "state"), SETTLED.values(), ids=SETTLED)
def test_a_fault_that_stays_is_reported_by_its_type_and_nothing_is_stored(
    way, fault, error, state, store, proxy, tmp_path
):
    proxy.add(fault, path=way.key, times=None)
    with FileCache(tmp_path) as cache:
        (result,) = _fetch(store, cache, [way.key], SHORT, limits=way.limits)
        assert isinstance(result, error)
        assert state_of(result) == (state or state_of(result))
        assert cache.ledger.get(way.key).state == state_of(result)
        assert way.key in str(result)
        assert _visible_files(cache) == []
        proxy.clear()
        (result,) = _fetch(store, cache, [way.key], limits=way.limits)
        assert store.holds(way.key, result.path.read_bytes()), "the next run does what is missing"


@SOME_WAYS
def test_a_slow_transfer_is_not_a_stall(way, store, proxy, tmp_path):
    # Longer than the timeout as a whole, never silent for as long as that.
    size_bytes = len(store.bodies[way.key])
    proxy.add(faults.Throttle(bytes_per_second=int(size_bytes / 0.8)), path=way.key, times=None)
    with FileCache(tmp_path) as cache:
        (result,) = _fetch(store, cache, [way.key], limits=way.limits)
        assert result.attempts == 1
        assert store.holds(way.key, result.path.read_bytes())


def test_what_is_not_there_is_asked_for_once(store, proxy, tmp_path):
    missing = SMALL.replace("01-02", "01-03")
    with FileCache(tmp_path) as cache:
        (result,) = _fetch(store, cache, [missing])
        assert isinstance(result, NotPublished)
        assert cache.ledger.get(missing).state == "not_published"
        assert len(proxy.requests(path=missing)) == 1
        assert _visible_files(cache) == []


def test_a_settled_403_is_asked_a_few_times_and_no_more(store, proxy, tmp_path):
    proxy.add(faults.ACCESS_DENIED, path=SMALL, times=None)
    with FileCache(tmp_path) as cache:
        (result,) = _fetch(store, cache, [SMALL])
        assert isinstance(result, NotEntitled)
        assert len(proxy.requests(path=SMALL)) == 1 + PATIENT.denied_retries == result.attempts


@pytest.mark.parametrize("name", ["503", "403", "reset inside the body", "silent truncation", "flipped byte"])
def test_a_good_file_survives_when_its_replacement_cannot_be_had(name, store, proxy, tmp_path):
    key = "replaced/2024-01-02.csv.gz"
    old, new = _csv_gz(3, 100_000), _csv_gz(4, 110_000)
    store.client.put_object(Bucket=store.bucket, Key=key, Body=old)
    with FileCache(tmp_path) as cache:
        (first,) = _fetch(store, cache, [key])
        store.client.put_object(Bucket=store.bucket, Key=key, Body=new)
        proxy.add(SETTLED[name][0], path=key, times=None)
        (second,) = _fetch(store, cache, [key], SHORT)
        assert isinstance(second, FlatFilesError)
        assert first.path.read_bytes() == old
        proxy.clear()
        (third,) = _fetch(store, cache, [key])
        assert third.outcome == "replaced"
        assert third.path.read_bytes() == new


@pytest.mark.parametrize(
    "fault",
    [
        faults.SLOW_DOWN,
        faults.Reset(),
        faults.Reset(300),
        faults.Stall(300),
        faults.Truncate(300),
        faults.TruncateSilently(300),
        faults.TruncateSilently(0),
    ],
    ids=str,
)
@pytest.mark.parametrize("times", [1, None], ids=["passing", "staying"])
def test_a_listing_cut_in_the_middle_hides_no_replaced_file(fault, times, store, proxy, tmp_path):
    key = "listed/2024-01-02.csv.gz"
    store.client.put_object(Bucket=store.bucket, Key=key, Body=_csv_gz(5, 1000))
    with FileCache(tmp_path) as cache:
        _fetch(store, cache, [key])
        replaced = _csv_gz(6, 1000)
        store.client.put_object(Bucket=store.bucket, Key=key, Body=replaced)
        proxy.add(fault, path="list-type=2", times=times)
        (result,) = _fetch(store, cache, [key], SHORT)
        assert result.outcome == "replaced"
        assert result.path.read_bytes() == replaced


LISTING_FAULTS = {
    name: fault for name, fault in TRANSIENT.items() if name not in ("flipped byte", "passing 403")
} | {
    "reset inside the body": faults.Reset(1500),
    "stall inside the body": faults.Stall(1500),
    "truncation": faults.Truncate(1500),
    "silent truncation": faults.TruncateSilently(1500),
}


@pytest.mark.parametrize("fault", LISTING_FAULTS.values(), ids=LISTING_FAULTS)
def test_a_listing_is_whole_or_an_error(fault, store, proxy):
    client = store.connection.boto3(timeout_seconds=TIMEOUT_SECONDS)
    with contextlib.closing(client):
        proxy.add(fault, path="list-type=2")
        listed = list_with(client, store.bucket, "many/", max_keys=None, policy=PATIENT)
        assert [remote.key for remote in listed] == MANY
        proxy.add(fault, path="list-type=2", times=None)
        with pytest.raises(DownloadError):
            list(list_with(client, store.bucket, "many/", max_keys=None, policy=SHORT))


def _async(store, credentials, proxy, policy):
    async def get(path):
        downloader = AsyncS3Downloader(
            credentials, proxy.endpoint_url, timeout=TIMEOUT_SECONDS, retry_policy=policy
        )
        async with downloader:
            await downloader.download_to_file(store.bucket, SMALL, path, decompress=False)
            return (await downloader.download_one(store.bucket, SMALL, decompress=False)).getvalue()

    return lambda path: asyncio.run(get(path))


def _sync(store, credentials, proxy, policy):
    def get(path):
        downloader = SyncS3Downloader(
            credentials, proxy.endpoint_url, timeout=TIMEOUT_SECONDS, retry_policy=policy
        )
        downloader.download_to_file(store.bucket, SMALL, path, decompress=False)
        return downloader.download(store.bucket, SMALL, decompress=False).getvalue()

    return get


@pytest.mark.parametrize("downloader", [_async, _sync], ids=["AsyncS3Downloader", "SyncS3Downloader"])
@pytest.mark.parametrize(
    "name",
    [
        "503",
        "throttling 403",
        "reset before the body",
        "reset inside the body",
        "stall inside the body",
        "truncation",
        "silent truncation",
        "flipped byte",
    ],
)
def test_the_downloader_classes_keep_the_same_promise(downloader, name, store, proxy, real_s3, tmp_path):
    fault = TRANSIENT[name]
    path = tmp_path / "folder" / "file.csv.gz"
    proxy.add(fault, path=SMALL)
    proxy.add(fault, path=SMALL, skip=1)
    got = downloader(store, real_s3.credentials, proxy, PATIENT)(path)
    assert got == path.read_bytes() == store.bodies[SMALL]

    elsewhere = tmp_path / "elsewhere" / "file.csv.gz"
    proxy.add(fault, path=SMALL, times=None)
    with pytest.raises((DownloadError, CorruptFile)):
        downloader(store, real_s3.credentials, proxy, SHORT)(elsewhere)
    assert not elsewhere.exists()


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_to_many_files_each_is_right_or_reported(seed, store, proxy, tmp_path):
    chance = random.Random(seed)
    for key in MANY:
        for _ in range(chance.randrange(5)):
            fault = chance.choice([fault for name, fault in TRANSIENT.items() if "stall" not in name])
            if hasattr(fault, "after_bytes") and fault.after_bytes:
                fault = dataclasses.replace(fault, after_bytes=chance.randrange(len(store.bodies[key])))
            if isinstance(fault, faults.FlipByte):
                fault = faults.FlipByte(chance.randrange(len(store.bodies[key])))
            proxy.add(fault, path=key)
    with FileCache(tmp_path) as cache:
        results = _fetch(store, cache, MANY, SHORT)
        assert len(results) == len(MANY)
        for key, result in zip(MANY, results, strict=True):
            if isinstance(result, FlatFilesError):
                assert key in str(result)
                assert not cache.path(key).exists()
            else:
                assert (result.key, store.holds(key, result.path.read_bytes())) == (key, True)
        _assert_nothing_but_the_truth_is_stored(store, cache)
        proxy.clear()
        again = _fetch(store, cache, MANY)
        assert all(store.holds(result.key, result.path.read_bytes()) for result in again)

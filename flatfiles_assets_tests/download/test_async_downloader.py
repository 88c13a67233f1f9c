"""`AsyncS3Downloader` over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import hashlib

import pytest

from flatfiles_assets.download.async_downloader import AsyncS3Downloader
from flatfiles_assets.download.errors import (
    BucketNotFound,
    CorruptFile,
    NotPublished,
    TransferFailed,
)
from flatfiles_assets.download.transfer import TransferLimits
from flatfiles_assets.errors import InvalidArgument, MissingCredentials
from flatfiles_assets_tests.download.stores import QUICK, SECRET, csv_gz, noise

pytestmark = pytest.mark.slow


@pytest.fixture
def use(bucket):
    """Run a coroutine function on a downloader of the test's bucket."""

    def run(action, endpoint_url=None, **options):
        async def main():
            url = endpoint_url or bucket.server.endpoint_url
            options.setdefault("retry_policy", QUICK)
            async with AsyncS3Downloader(bucket.credentials, url, **options) as downloader:
                return await action(downloader)

        return asyncio.run(main())

    return run


def test_a_gzip_object_is_decompressed_unless_told_otherwise(bucket, use):
    body = bucket.put("a.csv.gz", csv_gz(1))
    plain = use(lambda d: d.download_one(bucket.name, "a.csv.gz"))
    raw = use(lambda d: d.download_one(bucket.name, "a.csv.gz", decompress=False))
    assert plain.read() == gzip.decompress(body)
    assert raw.read() == body


def test_all_members_of_a_multi_member_gzip_are_decompressed(bucket, use):
    bucket.put(
        "a.csv.gz", gzip.compress(b"one\n") + gzip.compress(b"") + gzip.compress(b"two\n") + b"\0" * 512
    )
    assert use(lambda d: d.download_one(bucket.name, "a.csv.gz")).read() == b"one\ntwo\n"


@pytest.mark.parametrize("body", [b"ticker,volume\nA,1\n", b"\x1f", b""], ids=["text", "one byte", "empty"])
def test_an_object_that_is_not_gzip_despite_its_name_comes_as_it_is(bucket, use, tmp_path, body):
    bucket.put("a.csv.gz", body)
    assert use(lambda d: d.download_one(bucket.name, "a.csv.gz")).read() == body
    use(lambda d: d.download_to_file(bucket.name, "a.csv.gz", tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_bytes() == body


def test_gzip_under_another_name_is_left_alone(bucket, use):
    body = bucket.put("a.bin", csv_gz(1))
    assert use(lambda d: d.download_one(bucket.name, "a.bin")).read() == body


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-5], lambda b: b[:-8] + b"\0\0\0\0" + b[-4:], lambda b: b + b"rest"]
)
def test_broken_gzip_is_a_corrupt_file_and_leaves_nothing(bucket, use, tmp_path, damage):
    bucket.put("a.csv.gz", damage(csv_gz(1)))
    with pytest.raises(CorruptFile, match=r"a\.csv\.gz"):
        use(lambda d: d.download_one(bucket.name, "a.csv.gz"))
    with pytest.raises(CorruptFile):
        use(lambda d: d.download_to_file(bucket.name, "a.csv.gz", tmp_path / "a.csv"))
    assert list(tmp_path.iterdir()) == []


def test_a_batch_keeps_the_order_and_has_none_where_one_failed(bucket, use):
    for number in range(12):
        bucket.put(f"{number}.csv", f"{number}".encode())
    keys = ["3.csv", "missing.csv", *(f"{number}.csv" for number in range(12)), "bad//key", "3.csv"]

    async def batch(downloader):
        return await downloader.download_batch(bucket.name, keys), downloader.get_statistics()

    files, statistics = use(batch)
    found = [file and file.read() for file in files]
    assert found == [b"3", None, *(f"{number}".encode() for number in range(12)), None, b"3"]
    assert statistics == {
        "total_downloads": 16,
        "successful_downloads": 14,
        "failed_downloads": 2,
        "total_retries": 0,
        "success_rate": 14 / 16,
    }
    assert use(lambda d: d.download_batch(bucket.name, [])) == []


def test_statistics_begin_at_zero_and_can_be_reset(bucket, use):
    zero = {
        "total_downloads": 0,
        "successful_downloads": 0,
        "failed_downloads": 0,
        "total_retries": 0,
        "success_rate": 0.0,
    }

    async def figures(downloader):
        before = downloader.get_statistics()
        await downloader.download_batch(bucket.name, ["missing"])
        during = downloader.get_statistics()
        downloader.reset_statistics()
        return before, during["failed_downloads"], downloader.get_statistics()

    assert use(figures) == (zero, 1, zero)


def test_download_to_file_creates_folders_and_replaces_the_file(bucket, use, tmp_path):
    body = bucket.put("a.csv.gz", csv_gz(1))
    target = tmp_path / "deep" / "er" / "a.csv"
    for _ in range(2):
        use(lambda d: d.download_to_file(bucket.name, "a.csv.gz", str(target)))
    assert target.read_bytes() == gzip.decompress(body)
    use(lambda d: d.download_to_file(bucket.name, "a.csv.gz", target, decompress=False))
    assert target.read_bytes() == body
    assert [path.name for path in target.parent.iterdir()] == ["a.csv"]


def test_a_large_object_in_ranges_is_the_same_object(bucket, use, tmp_path):
    body = bucket.put_in_parts("large.bin", noise(6 * 1024 * 1024))
    limits = TransferLimits(stream_above_bytes=1000, ranges_above_bytes=10_000, part_bytes=700_000)
    use(lambda d: d.download_to_file(bucket.name, "large.bin", tmp_path / "large"), limits=limits)
    assert hashlib.sha256((tmp_path / "large").read_bytes()).digest() == hashlib.sha256(body).digest()
    assert [path.name for path in tmp_path.iterdir()] == ["large"]


def test_streaming_multipart_objects_does_not_wait_for_itself(bucket, use, tmp_path):
    body = bucket.put_in_parts("large.bin", noise(6 * 1024 * 1024))
    limits = TransferLimits(stream_above_bytes=1000)
    use(
        lambda d: d.download_to_file(bucket.name, "large.bin", tmp_path / "large"),
        limits=limits,
        max_concurrent=1,
    )
    assert (tmp_path / "large").stat().st_size == len(body)


def test_a_listing_goes_over_all_pages_and_max_keys_caps_it(bucket, use):
    client = bucket.server.client()
    for number in range(1005):
        client.put_object(Bucket=bucket.name, Key=f"p/2024-{number:04}", Body=b"")
    client.put_object(Bucket=bucket.name, Key="q", Body=b"")
    every = [f"p/2024-{number:04}" for number in range(1005)]
    assert use(lambda d: d.list_objects(bucket.name, "p/", max_keys=None)) == every
    assert use(lambda d: d.list_objects(bucket.name, "p/")) == every[:1000]
    assert use(lambda d: d.list_objects(bucket.name, "p/2024-100", max_keys=3)) == every[1000:1003]
    assert use(lambda d: d.list_objects(bucket.name, "", max_keys=None)) == [*every, "q"]
    assert use(lambda d: d.list_objects(bucket.name, "none/")) == []


def test_keys_with_unusual_characters_are_fetched(bucket, use):
    key = "a b/ü+%41&=#?.csv"
    bucket.put(key, b"x")
    assert use(lambda d: d.download_one(bucket.name, key)).read() == b"x"
    assert use(lambda d: d.list_objects(bucket.name, "a b/")) == [key]


def test_missing_objects_and_buckets_are_told_apart_and_not_retried(bucket, use):
    async def statistics_after_failure(downloader, name, expected):
        with pytest.raises(expected):
            await downloader.download_one(name, "missing.csv.gz")
        return downloader.get_statistics()["total_retries"]

    assert use(lambda d: statistics_after_failure(d, bucket.name, NotPublished)) == 0
    assert use(lambda d: statistics_after_failure(d, "no-such-bucket", BucketNotFound)) == 0


def test_an_unreachable_store_is_retried_and_reported_without_the_secret(bucket, use):
    async def fail(downloader):
        with pytest.raises(TransferFailed, match="tried 4 times") as caught:
            await downloader.download_one(bucket.name, "a")
        return str(caught.value) + repr(caught.value) + repr(downloader), downloader.get_statistics()

    text, statistics = use(fail, endpoint_url="http://127.0.0.1:9")
    assert SECRET not in text
    assert statistics["total_retries"] == 3


def test_one_downloader_serves_several_event_loops(bucket):
    bucket.put("a", b"1")
    downloader = AsyncS3Downloader(bucket.credentials, bucket.server.endpoint_url)
    for _ in range(2):
        assert asyncio.run(downloader.download_one(bucket.name, "a")).read() == b"1"
    asyncio.run(downloader.close())


def test_arguments_are_checked_before_any_request():
    with pytest.raises(MissingCredentials, match="secret_access_key"):
        AsyncS3Downloader({"access_key_id": "x"})
    with pytest.raises(InvalidArgument, match="max_concurrent"):
        AsyncS3Downloader({"access_key_id": "x", "secret_access_key": "y"}, max_concurrent=0)

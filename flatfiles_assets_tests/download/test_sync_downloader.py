"""`SyncS3Downloader` over HTTP."""

from __future__ import annotations

import gzip

import pytest

from flatfiles_assets.download.errors import (
    CorruptFile,
    NotEntitled,
    NotPublished,
    TransferFailed,
)
from flatfiles_assets.download.sync_downloader import SyncS3Downloader
from flatfiles_assets_tests import faults
from flatfiles_assets_tests.download.stores import QUICK, SECRET, csv_gz, noise
from flatfiles_assets_tests.fault_proxy import FaultProxy

pytestmark = pytest.mark.slow


@pytest.fixture
def downloader(bucket):
    with SyncS3Downloader(bucket.credentials, bucket.server.endpoint_url, retry_policy=QUICK) as downloader:
        yield downloader


@pytest.fixture
def proxy(s3):
    with FaultProxy(s3.endpoint_url) as proxy:
        yield proxy


def through(proxy, bucket):
    return SyncS3Downloader(bucket.credentials, proxy.endpoint_url, retry_policy=QUICK, timeout=1)


def test_gzip_is_decompressed_with_all_its_members(bucket, downloader, tmp_path):
    body = bucket.put("a.csv.gz", gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert downloader.download(bucket.name, "a.csv.gz").read() == b"one\ntwo\n"
    assert downloader.download(bucket.name, "a.csv.gz", decompress=False).read() == body
    downloader.download_to_file(bucket.name, "a.csv.gz", tmp_path / "x" / "a.csv")
    assert (tmp_path / "x" / "a.csv").read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("body", [b"ticker,volume\nA,1\n", b""], ids=["text", "empty"])
def test_an_object_that_is_not_gzip_despite_its_name_comes_as_it_is(bucket, downloader, tmp_path, body):
    bucket.put("a.csv.gz", body)
    assert downloader.download(bucket.name, "a.csv.gz").read() == body
    downloader.download_to_file(bucket.name, "a.csv.gz", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == body


def test_truncated_gzip_is_a_corrupt_file_and_leaves_nothing(bucket, downloader, tmp_path):
    bucket.put("a.csv.gz", csv_gz(1)[:-3])
    with pytest.raises(CorruptFile, match="end-of-stream"):
        downloader.download(bucket.name, "a.csv.gz")
    with pytest.raises(CorruptFile):
        downloader.download_to_file(bucket.name, "a.csv.gz", tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_check_exists_says_no_only_for_404(bucket, downloader, proxy):
    bucket.put("a", b"1")
    assert downloader.check_exists(bucket.name, "a") is True
    assert downloader.check_exists(bucket.name, "b") is False
    proxy.add(faults.ACCESS_DENIED, method="HEAD", times=None)
    with through(proxy, bucket) as denied, pytest.raises(NotEntitled):
        denied.check_exists(bucket.name, "a")


def test_listing_and_missing_objects(bucket, downloader):
    for name in ("p/1", "p/2", "p/3", "q"):
        bucket.put(name, b"")
    assert downloader.list_objects(bucket.name, "p/", max_keys=2) == ["p/1", "p/2"]
    assert downloader.list_objects(bucket.name, "", max_keys=None) == ["p/1", "p/2", "p/3", "q"]
    with pytest.raises(NotPublished):
        downloader.download(bucket.name, "nothing")
    assert downloader.get_statistics()["failed_downloads"] == 1
    downloader.reset_statistics()
    assert downloader.get_statistics()["total_downloads"] == 0


def test_a_cut_body_is_resumed_where_it_broke_off(bucket, proxy, tmp_path):
    body = bucket.put("a.bin", noise(3_000_000))
    proxy.add(faults.Truncate(2_000_000))
    with through(proxy, bucket) as downloader:
        assert downloader.download(bucket.name, "a.bin").read() == body
        assert downloader.get_statistics()["total_retries"] == 1
    first, second = proxy.requests("GET", "a.bin")
    assert second.range_header
    assert first.body_bytes_sent + second.body_bytes_sent < len(body) + 1_200_000


@pytest.mark.parametrize(
    "fault", [faults.FlipByte(10), faults.TruncateSilently(10), faults.SLOW_DOWN, faults.Reset()]
)
def test_a_passing_fault_is_recovered_and_a_lasting_one_reported(bucket, proxy, tmp_path, fault):
    body = bucket.put("a.bin", noise(50_000))
    proxy.add(fault)
    with through(proxy, bucket) as downloader:
        downloader.download_to_file(bucket.name, "a.bin", tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == body
        proxy.add(fault, times=None)
        with pytest.raises(Exception, match="tried 4 times") as caught:
            downloader.download_to_file(bucket.name, "a.bin", tmp_path / "b")
    assert caught.value.state == "failed"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_secret_is_in_no_message(bucket):
    downloader = SyncS3Downloader(bucket.credentials, "http://127.0.0.1:9", retry_policy=QUICK)
    with pytest.raises(TransferFailed) as caught:
        downloader.download(bucket.name, "a")
    assert SECRET not in repr(caught.value) + str(caught.value) + repr(downloader)

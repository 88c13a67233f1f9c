"""Both downloaders, into memory and into files, compressed and not: what every one of these doors holds."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from flatfiles_assets.download.async_downloader import AsyncS3Downloader
from flatfiles_assets.download.errors import CorruptFile, StorageFailed
from flatfiles_assets.download.sync_downloader import SyncS3Downloader
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets_tests import faults
from flatfiles_assets_tests.download.stores import QUICK, SECRET, csv_gz, noise
from flatfiles_assets_tests.fault_proxy import FaultProxy

pytestmark = pytest.mark.slow

KEY = "a.csv.gz"
HTML = b"<html><body>Please log in</body></html>"


@pytest.fixture
def proxy(s3):
    with FaultProxy(s3.endpoint_url) as proxy:
        yield proxy


def _async(action, url, bucket):
    async def main():
        async with AsyncS3Downloader(bucket.credentials, url, retry_policy=QUICK, timeout=2) as downloader:
            return await action(downloader)

    return asyncio.run(main())


def _async_memory(url, bucket, key, folder, decompress):
    return _async(lambda d: d.download_one(bucket.name, key, decompress), url, bucket).getvalue()


def _async_file(url, bucket, key, folder, decompress):
    _async(lambda d: d.download_to_file(bucket.name, key, folder / "f", decompress), url, bucket)
    return (folder / "f").read_bytes()


def _sync_memory(url, bucket, key, folder, decompress):
    with SyncS3Downloader(bucket.credentials, url, retry_policy=QUICK, timeout=2) as downloader:
        return downloader.download(bucket.name, key, decompress).getvalue()


def _sync_file(url, bucket, key, folder, decompress):
    with SyncS3Downloader(bucket.credentials, url, retry_policy=QUICK, timeout=2) as downloader:
        downloader.download_to_file(bucket.name, key, folder / "f", decompress)
    return (folder / "f").read_bytes()


@pytest.fixture(params=[_async_memory, _async_file, _sync_memory, _sync_file], ids=lambda way: way.__name__)
def get(request, bucket, proxy, tmp_path):
    def run(key=KEY, decompress=True):
        return request.param(proxy.endpoint_url, bucket, key, tmp_path, decompress)

    return run


decompressed_or_not = pytest.mark.parametrize("decompress", [True, False])


@decompressed_or_not
@pytest.mark.parametrize("position", [0, 5_000_000])
def test_a_flipped_byte_is_noticed_without_a_checksum_to_compare(bucket, proxy, get, decompress, position):
    text = noise(5_300_000)
    body = bucket.put_in_parts(KEY, gzip.compress(text, compresslevel=0, mtime=0))
    proxy.add(faults.FlipByte(position))
    assert get(decompress=decompress) == (text if decompress else body)


@pytest.mark.parametrize("fault", [faults.FlipByte(40), faults.TruncateSilently(40)])
def test_bytes_that_are_not_what_the_checksum_says_are_fetched_again(bucket, proxy, get, fault):
    body = bucket.put("a.bin", noise(1000))
    proxy.add(fault)
    assert get("a.bin") == body


def test_a_body_cut_with_its_length_is_noticed_where_no_checksum_can_tell(bucket, proxy, get):
    body = bucket.put_in_parts("a.bin", noise(5_300_000))
    proxy.add(faults.TruncateSilently(4_000_000))
    assert get("a.bin") == body


@decompressed_or_not
def test_what_no_checksum_vouches_for_and_is_no_gzip_is_not_taken_for_an_object(
    bucket, proxy, get, tmp_path, decompress
):
    bucket.put(KEY, HTML)
    proxy.add(faults.Rewrite("ETag", None), method="", times=None)
    with pytest.raises(CorruptFile, match="do not begin like gzip"):
        get(decompress=decompress)
    assert list(tmp_path.iterdir()) == []


@decompressed_or_not
def test_text_under_a_gzip_name_that_was_uploaded_in_parts_comes_as_it_is(bucket, get, decompress):
    text = bucket.put_in_parts(KEY, b"ticker,volume\n" + b"A,1\n" * 1_400_000)
    assert get(decompress=decompress) == text


def test_gzip_that_is_broken_in_the_bucket_is_not_decompressed_and_comes_as_it_is_where_that_is_wanted(
    bucket, get, tmp_path
):
    body = bucket.put(KEY, csv_gz(1)[:-5])
    with pytest.raises(CorruptFile, match="end-of-stream"):
        get(decompress=True)
    assert list(tmp_path.iterdir()) == []
    assert get(decompress=False) == body


@decompressed_or_not
@pytest.mark.parametrize("way", [_async_file, _sync_file])
def test_a_path_that_cannot_be_written_is_named_and_nothing_is_left(bucket, tmp_path, way, decompress):
    (tmp_path / "taken" / "f").mkdir(parents=True)
    (tmp_path / "a_file").touch()
    bucket.put(KEY, csv_gz(1))
    for folder in ("taken", "a_file"):
        with pytest.raises(StorageFailed, match=f"{folder}/f"):
            way(bucket.server.endpoint_url, bucket, KEY, tmp_path / folder, decompress)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a_file", "f", "taken"]


@pytest.mark.parametrize(
    "lie", [faults.Rewrite("ETag", '"0-2"'), faults.Rewrite("Content-Range", "bytes 1-2/3")]
)
def test_two_objects_are_not_put_together_as_one(bucket, proxy, get, lie):
    body = bucket.put_in_parts("a.bin", noise(5_300_000))
    proxy.add(faults.Truncate(4_000_000))
    proxy.add(lie)
    assert get("a.bin") == body
    # Begun anew, since what was continued is not what was begun.
    assert proxy.requests("GET", "a.bin")[-1].range_header is None


def test_an_answer_that_does_not_say_its_length_is_measured_by_what_head_says(bucket, proxy, get):
    body = bucket.put("a.bin", noise(1000))
    proxy.add(faults.Rewrite("Content-Length", None), method="GET", times=None)
    assert get("a.bin") == body


@pytest.mark.parametrize("key", ["/a.bin", "p/", "p//a.bin", "p/../a.bin", "tab\t.bin", None])
def test_no_key_is_taken_for_another(bucket, key):
    bucket.put("a.bin", b"another")
    bucket.put("p", b"another")
    url = bucket.server.endpoint_url
    for action in (
        lambda d: d.download_one(bucket.name, key),
        lambda d: d.download_to_file(bucket.name, key, Path("never")),
    ):
        with pytest.raises(InvalidArgument, match="not a usable key"):
            _async(action, url, bucket)
    batch = _async(lambda d: d.download_batch(bucket.name, [key, "a.bin"]), url, bucket)
    assert batch[0] is None
    assert batch[1].getvalue() == b"another"


@pytest.mark.parametrize("downloader", [AsyncS3Downloader, SyncS3Downloader])
@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"max_pool_connections": 0},
        {"max_retries": -1},
        {"endpoint_url": "127.0.0.1:9000"},
        {"endpoint_url": "localhost"},
        {"endpoint_url": "ftp://localhost"},
        {"endpoint_url": "http://"},
        {"endpoint_url": "http://localhost:port"},
        {"endpoint_url": "http://local host"},
        {"endpoint_url": f"http://user:{SECRET}@localhost"},
    ],
    ids=str,
)
def test_unusable_arguments_are_refused_at_once(bucket, downloader, arguments):
    with pytest.raises(InvalidArgument) as caught:
        downloader(bucket.credentials, **arguments)
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("downloader", [AsyncS3Downloader, SyncS3Downloader])
@pytest.mark.parametrize("name", ["access_key_id", "secret_access_key"])
def test_a_key_with_a_line_end_is_refused_and_not_shown(bucket, downloader, name):
    with pytest.raises(InvalidArgument, match=name) as caught:
        downloader({**bucket.credentials, name: f"{SECRET}\n"}, bucket.server.endpoint_url)
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("name", ["Bad Bucket", "", "a/b", "a?b"])
def test_what_cannot_be_the_name_of_a_bucket_is_refused(bucket, name):
    with pytest.raises(InvalidArgument, match="bucket"):
        _async(lambda d: d.download_one(name, KEY), bucket.server.endpoint_url, bucket)

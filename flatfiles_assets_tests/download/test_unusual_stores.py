"""Stores that answer differently from S3: what is read all the same, and what is refused in typed errors."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gzip
import hashlib
import subprocess
import sys
import time
import zlib

import pytest

from flatfiles_assets.download import obstore_client, pace
from flatfiles_assets.download.async_downloader import AsyncS3Downloader
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.errors import DownloadError, RequestRejected
from flatfiles_assets.download.fetch import fetch_files
from flatfiles_assets.download.listing import list_remote
from flatfiles_assets.download.sync_downloader import SyncS3Downloader
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets_tests.download.small_store import (
    LAST_MODIFIED,
    Response,
    SmallStore,
    forever,
    listed,
    listing,
)
from flatfiles_assets_tests.download.stores import QUICK
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

KEYS = {"access_key_id": "OUR-KEY-ID", "secret_access_key": "our-secret"}
BODIES = {
    "a.csv": b"a,b\n1,2\n",
    "b.csv.gz": gzip.compress(b"a,b\n3,4\n" * 1000, mtime=0),
    "c.bin": bytes(range(256)) * 40_000,
    "empty.csv": b"",
}


def _other_digest(body: bytes) -> str:
    """32 digits that are no MD5, as rclone's xxh128 is."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _async_get(store, key):
    async def main():
        async with AsyncS3Downloader(KEYS, store.url, retry_policy=QUICK, timeout=1) as downloader:
            return (await downloader.download_one("bkt", key, decompress=False)).getvalue()

    obstore_client.build.cache_clear()
    return asyncio.run(main())


def _async_file(store, key, folder):
    async def main():
        async with AsyncS3Downloader(KEYS, store.url, retry_policy=QUICK, timeout=1) as downloader:
            await downloader.download_to_file("bkt", key, folder / "file", decompress=False)

    obstore_client.build.cache_clear()
    asyncio.run(main())
    return (folder / "file").read_bytes()


def _sync_get(store, key):
    with SyncS3Downloader(KEYS, store.url, retry_policy=QUICK, timeout=1) as downloader:
        return downloader.download("bkt", key, decompress=False).getvalue()


@pytest.fixture(params=["async", "async file", "sync"])
def get(request, tmp_path):
    ways = {
        "async": _async_get,
        "async file": lambda store, key: _async_file(store, key, tmp_path),
        "sync": _sync_get,
    }
    return ways[request.param]


def test_etags_of_32_digits_that_are_no_md5_are_found_out_by_a_second_transfer(get):
    with SmallStore(BODIES, etag=_other_digest) as store:
        for key, body in BODIES.items():
            assert get(store, key) == body
        asked = [request.path.partition("?")[0] for request in store.requests if request.method == "GET"]
        # The store is known from its first object on. A listing bears out each, as no MD5 does.
        objects = [path for path in asked if path.startswith("/bkt/")]
        assert len(objects) == len(BODIES) + 1
        assert len(asked) - len(objects) == len(BODIES)


def test_where_an_etag_was_an_md5_a_difference_stays_damage(get):
    with SmallStore(BODIES) as store:
        assert get(store, "a.csv") == BODIES["a.csv"]
        store.answer = lambda request: (
            Response(200, {"ETag": '"' + "0" * 32 + '"', "Last-Modified": LAST_MODIFIED}, BODIES["c.bin"])
            if request.path.endswith("c.bin")
            else None
        )
        with pytest.raises(DownloadError, match="tried 4 times"):
            get(store, "c.bin")


def _without(*names):
    def answer(request):
        key = request.path.partition("/bkt/")[2]
        if key not in BODIES:
            return None
        body = BODIES[key]
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        headers = {"ETag": f'"{etag}"', "Last-Modified": LAST_MODIFIED}
        if "Content-Length" in names:
            headers["Content-Length"] = None
            headers["Connection"] = "close"
        return Response(200, {k: v for k, v in headers.items() if k not in names or v is None}, body)

    return answer


@pytest.mark.parametrize(
    "names", [["Content-Length"], ["Last-Modified"], ["Content-Length", "Last-Modified"]]
)
def test_objects_come_though_the_store_leaves_out_what_others_say(get, names):
    with SmallStore(BODIES, answer=_without(*names)) as store:
        for key, body in BODIES.items():
            assert get(store, key) == body


def test_a_body_that_does_not_end_is_cut_where_the_listing_says_how_long_it_is(get):
    def answer(request):
        if request.path.endswith("/a.csv"):
            # As a server in front of a store may: neither GET nor HEAD says a length.
            headers = {"ETag": '"x-1"', "Last-Modified": LAST_MODIFIED, "Connection": "close"}
            headers["Content-Length"] = None
            return Response(200, headers, forever(b"x" * 65536))
        return None

    started = time.monotonic()
    with SmallStore(BODIES, answer=answer) as store, pytest.raises(DownloadError, match="expected"):
        get(store, "a.csv")
    assert time.monotonic() - started < PATIENCE_SECONDS


def _announcing(announced, listed_bytes, etag="x-1"):
    """A store whose listing and whose answers do not agree about the length of an object."""

    def answer(request):
        if request.path.strip("/") == "bkt":
            body = listed("a.csv", BODIES["a.csv"], lambda _: etag)
            return listing([body.replace(f"<Size>{len(BODIES['a.csv'])}<", f"<Size>{listed_bytes}<")])
        headers = {"ETag": f'"{etag}"', "Last-Modified": LAST_MODIFIED, "Content-Length": str(announced)}
        if announced is None:
            headers |= {"Content-Length": None, "Connection": "close"}
        body = forever(b"x" * 65536) if announced is None or announced > 2**20 else b"x" * announced
        return Response(200, headers, body)

    return answer


@pytest.mark.parametrize("etag", ["x-1", "0" * 32])
def test_a_length_of_10_gib_that_the_listing_denies_is_refused_before_the_body_is_read(get, tmp_path, etag):
    with (
        SmallStore(answer=_announcing(10 * 2**30, 17, etag)) as store,
        pytest.raises(DownloadError, match="contradicts its own listing"),
    ):
        get(store, "a.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("announced", "listed_bytes"), [(10 * 2**30, 17), (17, 10 * 2**30), (0, 17), (17, 0), (None, 17)]
)
@pytest.mark.parametrize("is_token", [False, True], ids=["obstore", "boto3"])
def test_a_mirror_takes_nothing_of_another_length_than_its_listing_says(
    tmp_path, announced, listed_bytes, is_token
):
    body = b"x" * announced if announced in (0, 17) else b""
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    with SmallStore(answer=_announcing(announced, listed_bytes, etag)) as store:
        connection = dataclasses.replace(_connection(store), session_token="t" if is_token else None)
        before = {item.key: item for item in list_remote(connection, "bkt", max_retries=0)}
        obstore_client.build.cache_clear()
        with FileCache(tmp_path / "cache") as cache:
            (result,) = fetch_files(
                connection, "bkt", cache, ["a.csv"], retry_policy=QUICK, timeout=1, listed=before
            )
        assert isinstance(result, DownloadError), result
        assert "contradicts" in str(result) or "where 17 are expected" in str(result)
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert {path.parent.name for path in left} <= {"metadata"}


def test_an_object_that_was_replaced_since_it_was_listed_is_fetched(tmp_path):
    with SmallStore({"a.csv": b"before"}) as store:
        before = {item.key: item for item in list_remote(_connection(store), "bkt", max_retries=0)}
        store.objects["a.csv"] = b"longer than before"
        obstore_client.build.cache_clear()
        with FileCache(tmp_path / "cache") as cache:
            (result,) = fetch_files(
                _connection(store), "bkt", cache, ["a.csv"], retry_policy=QUICK, listed=before
            )
        assert result.path.read_bytes() == b"longer than before"


def test_a_body_without_end_of_which_nobody_says_the_length_is_cut(get, monkeypatch, tmp_path):
    monkeypatch.setattr(pace, "MOST_UNANNOUNCED_BYTES", 2**20)

    def answer(request):
        if request.path.strip("/") == "bkt":
            return listing([])
        headers = {"ETag": '"x-1"', "Last-Modified": LAST_MODIFIED, "Connection": "close"}
        return Response(200, headers | {"Content-Length": None}, forever(b"x" * 65536))

    with SmallStore(answer=answer) as store, pytest.raises(DownloadError, match="nothing says how long"):
        get(store, "a.csv")
    assert list(tmp_path.iterdir()) == []


_FETCH = """
import sys, pathlib
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.fetch import fetch_files
url, folder, *keys = sys.argv[1:]
with FileCache(folder) as cache:
    connection = S3Connection(url, "k", "s")
    for result in fetch_files(connection, "bkt", cache, keys, max_concurrent=1, max_retries=3):
        assert not isinstance(result, Exception), result
"""


def test_the_next_process_knows_that_a_stores_etags_are_no_md5_until_one_is(tmp_path):
    def fetch(*keys):
        before = len(store.requests)
        script = [sys.executable, "-c", _FETCH, store.url, str(tmp_path / "cache"), *keys]
        subprocess.run(script, check=True, timeout=300)
        asked = store.requests[before:]
        return [request.path.rpartition("/")[2] for request in asked if request.method == "GET"]

    with SmallStore(BODIES, etag=_other_digest) as store:
        assert fetch("a.csv").count("a.csv") == 2
        assert fetch("b.csv.gz").count("b.csv.gz") == 1
        # Noted of this store alone.
        with FileCache(tmp_path / "cache") as cache:
            assert cache.ledger.has_other_etags(store.url, "bkt")
            assert not cache.ledger.has_other_etags(store.url, "other")
            assert not cache.ledger.has_other_etags("http://127.0.0.1:1", "bkt")
        store.etag = lambda body: hashlib.md5(body, usedforsecurity=False).hexdigest()
        assert fetch("c.bin").count("c.bin") == 1
        with FileCache(tmp_path / "cache") as cache:
            assert not cache.ledger.has_other_etags(store.url, "bkt")
        store.etag = _other_digest
        assert fetch("empty.csv").count("empty.csv") == 2


def test_a_transfer_of_one_byte_now_and_then_ends(get, monkeypatch):
    monkeypatch.setattr(pace, "LEAST_BYTES_PER_SECOND", 2**30)

    def answer(request):
        if request.path.endswith("/c.bin") and request.method == "GET":
            headers = {"ETag": '"x-1"', "Last-Modified": LAST_MODIFIED, "Content-Length": "10240000"}
            return Response(200, headers, forever(b"x"), pause_seconds=0.1)
        return None

    with SmallStore(BODIES, answer=answer) as store, pytest.raises(DownloadError, match="a second"):
        get(store, "c.bin")


def _connection(store):
    return S3Connection(store.url, "OUR-KEY-ID", "our-secret")


@pytest.mark.parametrize("token", ["the same", "another each time"])
def test_a_listing_that_leads_in_a_circle_ends(token):
    count = iter(range(10**6))

    def answer(_):
        following = "again" if token == "the same" else f"page-{next(count)}"
        return listing([listed("a.csv", b"x", _other_digest)], token=following)

    with SmallStore(answer=answer) as store:
        with pytest.raises(RequestRejected, match="circle"):
            list(list_remote(_connection(store), "bkt", max_retries=0))
        assert len(store.requests) <= 3


@pytest.mark.parametrize("lacking", ["Key", "Size"])
def test_a_listing_without_what_is_needed_is_a_typed_error(lacking):
    page = listing([listed("a.csv", b"x", _other_digest, leave_out=lacking)])
    with SmallStore(answer=lambda _: page) as store, pytest.raises(RequestRejected, match=lacking):
        list(list_remote(_connection(store), "bkt", max_retries=0))


def test_an_object_without_a_time_of_change_is_known_by_its_etag():
    page = listing([listed("a.csv", b"x", _other_digest, leave_out="LastModified")])
    with SmallStore(answer=lambda _: page) as store:
        (item,) = list_remote(_connection(store), "bkt", max_retries=0)
    assert (item.etag, item.last_modified.year) == (_other_digest(b"x"), 1970)


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00Z", "1601-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-"]
)
def test_times_before_1970_and_at_the_ends_of_time_leave_nothing_raw(moment):
    item = listed("a.csv", b"x", _other_digest).replace("2024-01-01T00:00:00.000Z", moment)
    with SmallStore(answer=lambda _: listing([item])) as store:
        try:
            (found,) = list_remote(_connection(store), "bkt", max_retries=0)
        except FlatFilesError:
            assert moment == "-"
        else:
            assert found.last_modified.tzinfo is not None


RAISED = [
    ValueError("x"),
    KeyError("ContentLength"),
    RecursionError(),
    TypeError("x"),
    OSError(5, "x"),
    MemoryError(),
]
CALLS = ["get_object", "head_object", "list_objects_v2"]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("call", CALLS)
def test_whatever_a_call_of_boto3_raises_only_typed_errors_leave(monkeypatch, tmp_path, call, error):
    def failing(*_, **__):
        raise error

    with (
        SmallStore({"a.csv": b"1"}, etag=_other_digest) as store,
        SyncS3Downloader(KEYS, store.url, retry_policy=QUICK) as downloader,
    ):
        monkeypatch.setattr(downloader._client("bkt"), call, failing)
        for door in (
            lambda: downloader.download("bkt", "a.csv"),
            lambda: downloader.download_to_file("bkt", "a.csv", tmp_path / "a"),
            lambda: downloader.list_objects("bkt", ""),
            lambda: downloader.check_exists("bkt", "a.csv"),
        ):
            with contextlib.suppress(FlatFilesError):
                door()


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("call", ["get_async", "head_async", "list_with_delimiter_async"])
def test_whatever_a_call_of_obstore_raises_only_typed_errors_leave(monkeypatch, tmp_path, call, error):
    async def failing(*_, **__):
        raise error

    monkeypatch.setattr(f"obstore.{call}", failing)
    with SmallStore({"a.csv": b"1"}, etag=lambda _: "no-md5") as store:
        with contextlib.suppress(FlatFilesError):
            _async_get(store, "a.csv")
        with FileCache(tmp_path) as cache:
            (result,) = fetch_files(_connection(store), "bkt", cache, ["a.csv"], retry_policy=QUICK)
            assert call != "get_async" or isinstance(result, FlatFilesError)


def test_gzip_that_grows_beyond_all_measure_is_not_unpacked(tmp_path):
    bomb = gzip.compress(bytes(200 * 2**20), compresslevel=9)
    with SmallStore({"bomb.gz": bomb}) as store, SyncS3Downloader(KEYS, store.url, retry_policy=QUICK) as d:
        with pytest.raises(FlatFilesError, match="250 times"):
            d.download_to_file("bkt", "bomb.gz", tmp_path / "file")
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(FlatFilesError, match="250 times"):
            d.download("bkt", "bomb.gz")
        # As it is, it is a file like any other.
        assert d.download("bkt", "bomb.gz", decompress=False).getvalue() == bomb


_BODY = BODIES["a.csv"]
_MD5 = f'"{hashlib.md5(_BODY, usedforsecurity=False).hexdigest()}"'


def _answer(body=_BODY, status=200, **headers):
    """What is answered of a.csv, whatever is asked of it; its listing stays right."""
    given = {"ETag": _MD5, "Last-Modified": LAST_MODIFIED} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return lambda request: Response(status, given, body) if request.path.endswith("/a.csv") else None


def _mirrored(store, folder):
    obstore_client.build.cache_clear()
    with FileCache(folder / "mirror") as cache:
        (result,) = fetch_files(_connection(store), "bkt", cache, ["a.csv"], retry_policy=QUICK, timeout=2)
    return result


_OF_PARTS = '"0123456789abcdef0123456789abcdef-2"'
_NOT_THE_OBJECT = {
    "a part that nobody asked for": _answer(_BODY[:4], 206, Content_Range="bytes 0-3/8"),
    # Whose bytes prove nothing: an ETag of an upload in parts.
    "a part that nobody asked for, of an upload in parts": _answer(
        _BODY[:4], 206, ETag=_OF_PARTS, Content_Range="bytes 0-3/8"
    ),
    "the end of an upload in parts": _answer(_BODY[4:], 206, ETag=_OF_PARTS, Content_Range="bytes 4-7/8"),
    "a part of nobody knows what": _answer(_BODY[:4], 206, ETag=_OF_PARTS),
    "no content, of an upload in parts": _answer(b"", 204, ETag=_OF_PARTS),
    "content to be reset, of an upload in parts": _answer(b"", 205, ETag=_OF_PARTS),
    "compressed on the way, of an upload in parts": _answer(
        gzip.compress(_BODY, mtime=0), ETag=_OF_PARTS, Content_Encoding="gzip"
    ),
    "a log-in page, of an upload in parts": _answer(
        b"<html>log in</html>", ETag=_OF_PARTS, Content_Type="text/html; charset=utf-8"
    ),
    "compressed on the way": _answer(gzip.compress(_BODY, mtime=0), Content_Encoding="gzip"),
    "deflated on the way": _answer(zlib.compress(_BODY), Content_Encoding="deflate"),
    "no content": _answer(b"", 204, ETag=None),
    "nothing, and no ETag": _answer(b"", ETag=None),
    "an error in an answer of success": _answer(
        b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>", ETag=None, Content_Type="text/xml"
    ),
    "a gateway's message": _answer(b'{"message": "Forbidden"}', ETag=None, Content_Type="application/json"),
    "a log-in page": _answer(b"<html>log in</html>", ETag=None, Content_Type="text/html; charset=utf-8"),
    "not modified, though nobody asked": _answer(b"", 304),
    "a length below zero": _answer(Content_Length="-5"),
    "a length that is no number": _answer(Content_Length="many"),
    "a length beyond all numbers": _answer(Content_Length="9" * 23),
    "another object": _answer(b"c,d\n" * 2, ETag=None, Content_Length="9" * 5),
    "early hints only": _answer(b"", 205, ETag=None),
}


@pytest.mark.parametrize("answer", _NOT_THE_OBJECT.values(), ids=_NOT_THE_OBJECT)
def test_what_is_not_the_object_is_not_taken_for_it(get, tmp_path, answer):
    with SmallStore({"a.csv": _BODY}, answer=answer) as store:
        with pytest.raises(DownloadError):
            get(store, "a.csv")
        assert list(tmp_path.iterdir()) == []
        result = _mirrored(store, tmp_path)
        assert isinstance(result, DownloadError)
        with FileCache(tmp_path / "mirror") as cache:
            assert not cache.ledger.has_other_etags(store.url, "bkt"), "it says nothing of the store's ETags"


_THE_OBJECT = {
    "all of it as a range": _answer(status=206, Content_Range="bytes 0-7/8"),
    "an ETag with a letter": _answer(ETag='"caf\xe9"'),
    "an ETag without quotes": _answer(ETag=_MD5.strip('"')),
    "a weak ETag": _answer(ETag=f"W/{_MD5}"),
    "no ETag": _answer(ETag=None),
    "a date of ISO 8601": _answer(Last_Modified="2024-01-01T00:00:00Z"),
    "a date of RFC 850": _answer(Last_Modified="Monday, 01-Jan-24 00:00:00 GMT"),
    "a date of C": _answer(Last_Modified="Mon Jan  1 00:00:00 2024"),
    "an encoding that is none": _answer(Content_Encoding="identity"),
    "an encoding of the upload": _answer(Content_Encoding="aws-chunked"),
    "a name in the way of browsers": _answer(Content_Disposition="attachment; filename*=UTF-8''%E2%82%AC"),
    "data of a kind": _answer(Content_Type="application/json"),
}


@pytest.mark.parametrize("answer", _THE_OBJECT.values(), ids=_THE_OBJECT)
def test_an_object_is_taken_however_the_store_words_its_answer(get, tmp_path, answer):
    with SmallStore({"a.csv": _BODY}, answer=answer) as store:
        assert get(store, "a.csv") == _BODY
        assert _mirrored(store, tmp_path).path.read_bytes() == _BODY

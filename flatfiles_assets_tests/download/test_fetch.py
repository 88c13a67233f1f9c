"""`fetch_files` over HTTP: what is fetched, what is kept, in which order, and through which accidents."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from flatfiles_assets.download.cache import FetchedFile, FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.errors import (
    AuthenticationFailed,
    CorruptFile,
    NotEntitled,
    NotPublished,
    StorageFailed,
    TransferFailed,
)
from flatfiles_assets.download.fetch import fetch_files, list_remote
from flatfiles_assets.download.transfer import TransferLimits
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets_tests import faults
from flatfiles_assets_tests.download.stores import QUICK, SECRET, csv_gz, noise
from flatfiles_assets_tests.fault_proxy import FaultProxy
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

IN_RANGES = TransferLimits(
    stream_above_bytes=1000,
    ranges_above_bytes=10_000,
    part_bytes=500_000,
    parts_at_once=2,
    chunk_bytes=65_536,
)


@pytest.fixture
def fetch(bucket, cache):
    def run(*keys, connection=None, **options):
        options.setdefault("retry_policy", QUICK)
        return list(fetch_files(connection or bucket.connection, bucket.name, cache, keys, **options))

    return run


@pytest.fixture
def proxy(s3):
    with FaultProxy(s3.endpoint_url) as proxy:
        yield proxy


def files_in(cache):
    """Every file of the cache but the ledger's."""
    return sorted(
        str(path.relative_to(cache.root))
        for path in cache.root.rglob("*")
        if path.is_file() and path.parent.name != "metadata"
    )


def test_one_result_for_each_key_in_the_order_of_the_keys(bucket, cache, fetch):
    bodies = {f"p/{n:02}.csv.gz": bucket.put(f"p/{n:02}.csv.gz", csv_gz(n)) for n in range(20)}
    keys = [*reversed(bodies), "p/missing.csv.gz", "../escape", next(iter(bodies))]
    results = fetch(*keys)
    assert [getattr(result, "key", None) for result in results[:20]] == keys[:20]
    assert isinstance(results[20], NotPublished)
    assert isinstance(results[21], InvalidArgument)
    assert results[22] is results[19]
    for key, body in bodies.items():
        assert cache.path(key).read_bytes() == body
    entry = cache.ledger.get("p/00.csv.gz")
    assert (entry.state, entry.sha256, entry.attempts) == ("downloaded", results[19].sha256, 1)
    assert results[19].outcome == "downloaded"
    assert cache.ledger.get("p/missing.csv.gz").state == "not_published"


def test_nothing_is_fetched_for_no_keys(fetch):
    assert fetch() == []


def test_current_files_are_confirmed_with_one_listing_and_not_fetched(bucket, proxy, fetch):
    keys = [f"p/{n}.csv.gz" for n in range(5)]
    for number, key in enumerate(keys):
        bucket.put(key, csv_gz(number))
    first = fetch(*keys)
    again = fetch(*keys, connection=bucket.at(proxy.endpoint_url))
    assert [result.outcome for result in again] == ["unchanged"] * 5
    assert [result.sha256 for result in again] == [result.sha256 for result in first]
    assert len(proxy.requests()) == 1
    trusted = fetch(*keys, connection=bucket.at("http://127.0.0.1:9"), recheck=False)
    assert [result.outcome for result in trusted] == ["unchanged"] * 5


def test_a_replaced_object_is_fetched_again(bucket, cache, fetch):
    bucket.put("p/a.csv.gz", csv_gz(1))
    [before] = fetch("p/a.csv.gz")
    before_bytes = cache.path("p/a.csv.gz").read_bytes()
    body = bucket.put("p/a.csv.gz", csv_gz(2))
    [trusted] = fetch("p/a.csv.gz", recheck=False)
    [after] = fetch("p/a.csv.gz")
    assert (trusted.outcome, after.outcome) == ("unchanged", "replaced")
    assert after.etag != before.etag
    assert cache.path("p/a.csv.gz").read_bytes() == body
    assert [entry.etag for entry in cache.ledger.history("p/a.csv.gz")] == [before.etag, after.etag]
    kept = cache.root / "metadata" / "replaced" / f"{before.sha256}.csv.gz"
    assert kept.read_bytes() == before_bytes


@pytest.mark.parametrize("harm", ["remove", "truncate", "edit"])
def test_a_file_that_is_gone_or_changed_on_disk_is_fetched_again(bucket, cache, fetch, harm):
    body = bucket.put("a.csv.gz", csv_gz(1))
    fetch("a.csv.gz")
    path = cache.path("a.csv.gz")
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(body[:-1] if harm == "truncate" else body[:-1] + b"x")
    [result] = fetch("a.csv.gz", recheck=False)
    assert result.outcome == "replaced"
    assert path.read_bytes() == body


def test_a_deleted_object_is_not_published_and_its_file_stays(bucket, cache, fetch):
    body = bucket.put("a.csv.gz", csv_gz(1))
    [good] = fetch("a.csv.gz")
    bucket.delete("a.csv.gz")
    [result] = fetch("a.csv.gz")
    assert isinstance(result, NotPublished)
    assert cache.path("a.csv.gz").read_bytes() == body
    entry = cache.ledger.get("a.csv.gz")
    assert (entry.state, entry.sha256) == ("not_published", good.sha256)
    bucket.put("a.csv.gz", body)
    assert fetch("a.csv.gz")[0].outcome == "unchanged"
    assert cache.ledger.get("a.csv.gz").state == "downloaded"


@pytest.mark.parametrize("body", [csv_gz(2)[:-4], b""], ids=["truncated", "empty"])
def test_a_file_that_is_corrupt_in_the_bucket_is_not_stored_and_not_retried(bucket, cache, fetch, body):
    good = bucket.put("a.csv.gz", csv_gz(1))
    fetch("a.csv.gz")
    bucket.put("a.csv.gz", body)
    bucket.put("b.csv.gz", body)
    results = fetch("a.csv.gz", "b.csv.gz")
    assert [type(result) for result in results] == [CorruptFile, CorruptFile]
    assert cache.path("a.csv.gz").read_bytes() == good
    assert files_in(cache) == ["a.csv.gz"]
    assert [cache.ledger.get(key).state for key in ("a.csv.gz", "b.csv.gz")] == ["corrupt", "corrupt"]
    assert cache.ledger.get("b.csv.gz").attempts == 1


def test_text_under_a_gzip_name_is_stored_where_its_checksum_proves_it(bucket, cache, fetch):
    bucket.put("a.csv.gz", b"ticker,volume\nA,1\n")
    assert isinstance(fetch("a.csv.gz")[0], FetchedFile)


def test_a_plain_403_is_tried_three_times_and_then_believed(bucket, cache, proxy, fetch):
    bucket.put("a.csv.gz", csv_gz(1))
    proxy.add(faults.ACCESS_DENIED, times=None, path="a.csv.gz")
    [result] = fetch("a.csv.gz", connection=bucket.at(proxy.endpoint_url))
    assert isinstance(result, NotEntitled)
    assert len(proxy.requests("GET", "a.csv.gz")) == 3
    assert cache.ledger.get("a.csv.gz").state == "not_entitled"


def test_a_missing_object_is_asked_for_once(bucket, proxy, fetch):
    fetch("a.csv.gz", connection=bucket.at(proxy.endpoint_url))
    assert len(proxy.requests()) == 1


def test_a_failing_store_leaves_yesterdays_file_usable(bucket, cache, fetch):
    bucket.put("a.csv.gz", csv_gz(1))
    [good] = fetch("a.csv.gz")
    [result] = fetch("a.csv.gz", connection=bucket.at("http://127.0.0.1:9"))
    assert isinstance(result, TransferFailed)
    assert SECRET not in repr(result) + str(result) + repr(bucket.connection)
    entry = cache.ledger.get("a.csv.gz")
    assert (entry.state, entry.sha256) == ("failed", good.sha256)
    assert fetch("a.csv.gz", recheck=False)[0].sha256 == good.sha256


def test_a_cut_transfer_resumes_its_range(bucket, cache, proxy, fetch):
    body = bucket.put_in_parts("large.bin", noise(6 * 1024 * 1024))
    proxy.add(faults.Truncate(400_000), skip=3, times=3)
    [result] = fetch("large.bin", connection=bucket.at(proxy.endpoint_url), limits=IN_RANGES)
    assert cache.path("large.bin").read_bytes() == body
    assert result.attempts > 1
    ranged = [record for record in proxy.requests("GET", "large.bin") if record.range_header]
    assert sum(record.body_bytes_sent for record in ranged) < len(body) + 3 * 100_000


def test_another_run_resumes_what_a_failed_one_left(bucket, cache, proxy, fetch):
    body = bucket.put_in_parts("large.bin", noise(6 * 1024 * 1024))
    proxy.add(faults.INTERNAL_ERROR, skip=9, times=None)
    [failed] = fetch("large.bin", connection=bucket.at(proxy.endpoint_url), limits=IN_RANGES)
    assert isinstance(failed, TransferFailed)
    assert not cache.path("large.bin").exists()
    proxy.clear()
    [result] = fetch("large.bin", connection=bucket.at(proxy.endpoint_url), limits=IN_RANGES)
    assert result.outcome == "downloaded"
    assert cache.path("large.bin").read_bytes() == body
    assert files_in(cache) == ["large.bin"]
    ranged = [record for record in proxy.requests("GET", "large.bin") if record.range_header]
    assert sum(record.body_bytes_sent for record in ranged) < len(body) - 2_000_000


def test_parts_left_of_an_older_object_are_not_taken_for_those_of_the_new_one(bucket, cache, proxy, fetch):
    bucket.put_in_parts("p/large.bin", noise(5_300_000, 1))
    proxy.add(faults.Reset(), skip=3, times=None)
    fetch("p/large.bin", connection=bucket.at(proxy.endpoint_url), limits=IN_RANGES)
    assert list((cache.root / "p").glob(".*.partial.json"))
    # As long as the old one, and without an MD5 that would tell them apart.
    body = bucket.put_in_parts("p/large.bin", noise(5_300_000, 2))
    [result] = fetch("p/large.bin", limits=IN_RANGES)
    assert result.path.read_bytes() == body


def test_a_list_of_parts_that_outlived_its_file_is_not_believed(bucket, cache, proxy, fetch):
    body = bucket.put_in_parts("p/large.bin", noise(5_300_000))
    proxy.add(faults.Reset(), skip=3, times=None)
    fetch("p/large.bin", connection=bucket.at(proxy.endpoint_url), limits=IN_RANGES)
    (cache.root / "p" / ".large.bin.partial").unlink()
    assert list((cache.root / "p").glob(".*.partial.json"))
    # What follows is cut off before its first part is whole: no old list may vouch for it.
    proxy.clear()
    proxy.add(faults.Reset(), skip=1, times=None)
    fetch("p/large.bin", connection=bucket.at(proxy.endpoint_url), limits=IN_RANGES)
    proxy.clear()
    [result] = fetch("p/large.bin", connection=bucket.at(proxy.endpoint_url), limits=IN_RANGES)
    assert result.path.read_bytes() == body


def test_parts_of_an_object_that_was_replaced_meanwhile_are_not_mixed(bucket, cache, proxy, fetch):
    bucket.put("large.bin", noise(3_000_000, seed=1))
    proxy.add(faults.INTERNAL_ERROR, skip=4, times=None)
    fetch("large.bin", connection=bucket.at(proxy.endpoint_url), limits=IN_RANGES)
    body = bucket.put("large.bin", noise(3_000_000, seed=2))
    fetch("large.bin", limits=IN_RANGES)
    assert cache.path("large.bin").read_bytes() == body


def test_a_consumer_that_stops_early_ends_the_rest(bucket, cache, proxy):
    keys = [f"p/{n}.csv.gz" for n in range(30)]
    for key in keys:
        bucket.put(key, csv_gz(1))
    proxy.latency_seconds = 0.05
    threads = threading.active_count()
    results = fetch_files(
        bucket.at(proxy.endpoint_url), bucket.name, cache, keys, retry_policy=QUICK, max_concurrent=2
    )
    assert next(results).key == keys[0]
    results.close()
    assert threading.active_count() <= threads
    assert len(proxy.requests()) < 20
    assert all(not name.endswith(".tmp") for name in files_in(cache))
    # What was under way when the consumer left may lack its record, and is then fetched again.
    assert (
        1
        <= len(list(cache.ledger.entries()))
        <= len(files_in(cache))
        <= len(list(cache.ledger.entries())) + 2
    )


def test_a_consumer_may_stop_at_any_moment(bucket, tmp_path):
    bodies = {f"p/{n}.bin": bucket.put(f"p/{n}.bin", noise(150_000, n)) for n in range(24)}
    for round_ in range(12):
        with FileCache(tmp_path / str(round_)) as cache:
            results = fetch_files(bucket.connection, bucket.name, cache, list(bodies), retry_policy=QUICK)
            for _ in range(round_ + 1):
                next(results)
            time.sleep(round_ % 4 * 0.005)
            results.close()
            assert all(entry.state == "downloaded" for entry in cache.ledger.entries())
            assert files_in(cache) == [entry.key for entry in cache.ledger.entries()]
            assert all(cache.path(key).read_bytes() == bodies[key] for key in files_in(cache))


def test_requests_in_flight_are_limited(bucket, proxy, fetch):
    for number in range(12):
        bucket.put(f"{number}.bin", noise(30_000))
    proxy.latency_seconds = 0.02
    fetch(
        *(f"{number}.bin" for number in range(12)),
        connection=bucket.at(proxy.endpoint_url),
        max_concurrent=3,
    )
    assert 2 <= proxy.peak_in_flight <= 3


def test_keys_of_a_bucket_can_have_other_places_in_the_cache(bucket, cache, fetch):
    bucket.put("Daten/2002.zip", b"zip")
    [result] = fetch("Daten/2002.zip", local_key=lambda key: key.replace("Daten", "historical"))
    assert result.key == "Daten/2002.zip"
    assert result.path == cache.root / "historical" / "2002.zip"
    assert cache.ledger.get("historical/2002.zip").state == "downloaded"


def test_a_disk_that_refuses_is_named(bucket, cache, fetch):
    for key in ("a", "a/b"):
        bucket.put(key, b"1")
    [file], [below_the_file] = fetch("a"), fetch("a/b")
    assert isinstance(file, FetchedFile)
    assert isinstance(below_the_file, StorageFailed)


def test_a_name_that_cannot_be_given_fails_its_file_alone(bucket, cache, fetch):
    cache.path("p/taken.csv").mkdir(parents=True)
    for key in ("p/free.csv", "p/taken.csv"):
        bucket.put(key, b"1")
    free, taken = fetch("p/free.csv", "p/taken.csv")
    assert isinstance(free, FetchedFile)
    assert isinstance(taken, StorageFailed)
    assert str(cache.path("p/taken.csv")) in str(taken)
    assert cache.ledger.get("p/taken.csv").state == "failed"
    assert files_in(cache) == ["p/free.csv"]


def test_files_that_wait_for_their_record_are_limited(bucket, cache, fetch):
    keys = [f"p/{number}" for number in range(200)]
    for key in keys:
        bucket.put(key, b"1")
    results = []
    with contextlib.closing(sqlite3.connect(cache.ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        fetching = threading.Thread(target=lambda: results.extend(fetch(*keys, max_concurrent=1)))
        fetching.start()
        seen = [0]
        while seen[-1] < 50 or seen[-1] > seen[-2]:
            time.sleep(0.5)
            seen.append(len(files_in(cache)))
        other.execute("ROLLBACK")
    fetching.join()
    assert seen[-1] < 80
    assert [result.outcome for result in results] == ["downloaded"] * 200


def test_progress_is_reported_as_bytes_and_files(bucket, fetch):
    bodies = [bucket.put(f"{n}.bin", noise(5_000)) for n in range(3)]
    sizes, files = [], []
    fetch("0.bin", "1.bin", "2.bin", on_bytes=sizes.append, on_file=files.append)
    assert sum(sizes) == sum(map(len, bodies))
    assert sorted(result.key for result in files) == ["0.bin", "1.bin", "2.bin"]


def test_list_remote_describes_objects(bucket):
    body = bucket.put("p/a.csv.gz", csv_gz(1))
    bucket.put("p/b", b"")
    first, second = list_remote(bucket.connection, bucket.name, "p/")
    assert (first.key, first.size_bytes, second.key) == ("p/a.csv.gz", len(body), "p/b")
    assert '"' not in first.etag
    assert first.last_modified.utcoffset().total_seconds() == 0


@pytest.mark.integration
def test_wrong_credentials_are_told_apart_from_missing_entitlement(real_s3, cache):
    name = real_s3.new_bucket()
    real_s3.client().put_object(Bucket=name, Key="a", Body=b"1")
    wrong = S3Connection(real_s3.endpoint_url, real_s3.access_key_id, SECRET)
    [result] = fetch_files(wrong, name, cache, ["a"], retry_policy=QUICK)
    assert isinstance(result, AuthenticationFailed)
    assert SECRET not in str(result)


_FETCH = textwrap.dedent(
    """
    import sys
    from flatfiles_assets.download.cache import FileCache
    from flatfiles_assets.download.connection import S3Connection
    from flatfiles_assets.download.fetch import fetch_files
    from flatfiles_assets.download.transfer import TransferLimits

    url, user, bucket, root, *keys = sys.argv[1:]
    limits = TransferLimits(10_000, 1_000_000, 200_000, 2, 65_536)
    print("ready", flush=True)
    store = S3Connection(url, user, "secret")
    for result in fetch_files(store, bucket, FileCache(root), keys, limits=limits):
        print(result.outcome, flush=True)
    """
)


@contextlib.contextmanager
def fetching(bucket, endpoint_url, cache, keys):
    arguments = [endpoint_url, bucket.server.access_key_id, bucket.name, str(cache.root), *keys]
    with subprocess.Popen(
        [sys.executable, "-c", _FETCH, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_killed_run_leaves_no_half_file_and_the_next_completes_it(bucket, cache, proxy, fetch):
    bodies = {f"s/{n}.bin": bucket.put(f"s/{n}.bin", noise(50_000, n)) for n in range(10)}
    bodies["large.bin"] = bucket.put("large.bin", noise(3_000_000))
    proxy.add(faults.Throttle(200_000), times=None)
    with fetching(bucket, proxy.endpoint_url, cache, list(bodies)) as process:
        process.stdout.readline()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(proxy.requests()) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    for name in files_in(cache):
        if not name.endswith((".tmp", ".partial", ".partial.json")):
            assert cache.path(name).read_bytes() == bodies[name]
    proxy.clear()
    results = fetch(*bodies, connection=bucket.at(proxy.endpoint_url))
    assert all(isinstance(result, FetchedFile) for result in results)
    for key, body in bodies.items():
        assert cache.path(key).read_bytes() == body
    assert not [name for name in files_in(cache) if name.endswith(".tmp")]


def test_two_processes_fetching_the_same_keys_both_succeed(bucket, cache):
    bodies = {f"s/{n}.bin": bucket.put(f"s/{n}.bin", noise(60_000, n)) for n in range(15)}
    bodies["large.bin"] = bucket.put("large.bin", noise(2_000_000))
    url = bucket.server.endpoint_url
    with fetching(bucket, url, cache, bodies) as one, fetching(bucket, url, cache, bodies) as two:
        outputs = [process.communicate(timeout=PATIENCE_SECONDS)[0] for process in (one, two)]
    for output in outputs:
        assert len(output.split()) == 1 + len(bodies)
    for key, body in bodies.items():
        assert cache.path(key).read_bytes() == body
    assert {result.status for result in cache.verify()} == {"ok"}
    assert files_in(cache) == sorted(bodies)


_FETCH_IN_A_CHILD = """
import os, sys
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.fetch import fetch_files
def fetch(folder):
    with FileCache(folder) as cache:
        return list(fetch_files(S3Connection(*sys.argv[1:4]), sys.argv[4], cache, ["a.csv"]))
fetch(sys.argv[5])
child = os.fork()
if child == 0:
    try:
        fetch(sys.argv[5] + "-child")
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_process_forked_from_one_that_fetched_is_told_so_and_does_not_hang(bucket, tmp_path):
    bucket.put("a.csv", b"1")
    done = subprocess.run(
        [
            *(sys.executable, "-c", _FETCH_IN_A_CHILD, bucket.server.endpoint_url),
            *(bucket.server.access_key_id, SECRET, bucket.name, str(tmp_path / "cache")),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert "forked" in done.stdout
    assert "spawn" in done.stdout


@pytest.mark.parametrize("accident", ["a loop of links", "a folder", "a link to nothing"])
def test_a_copy_that_cannot_be_looked_at_costs_nobody_else_anything(bucket, cache, fetch, accident):
    """`stat` of one file may fail in many ways; the others' files are as good as before."""
    keys = ("d/a.csv.gz", "d/b.csv.gz", "d/c.csv.gz")
    bodies = {key: bucket.put(key, csv_gz(n)) for n, key in enumerate(keys)}
    fetch(*bodies)
    path = cache.path("d/b.csv.gz")
    path.unlink()
    if accident == "a folder":
        path.mkdir()
    else:
        path.symlink_to(path if accident == "a loop of links" else path.with_name("nothing"))
    verified = {result.key: result.status for result in cache.verify()}
    assert verified == {"d/a.csv.gz": "ok", "d/b.csv.gz": "missing", "d/c.csv.gz": "ok"}

    first, second, third = fetch(*bodies)

    assert (first.outcome, third.outcome) == ("unchanged", "unchanged")
    if accident == "a folder":
        assert isinstance(second, StorageFailed)
    else:
        assert second.outcome == "replaced"
        assert path.read_bytes() == bodies["d/b.csv.gz"]
        assert not path.is_symlink()


def test_a_key_with_a_name_longer_than_file_systems_take_is_mirrored(bucket, cache, fetch):
    long_key = f"{'長' * 90}/{'x' * 300}.csv.gz"
    bodies = {key: bucket.put(key, csv_gz(n)) for n, key in enumerate((long_key, "d/a.csv.gz"))}
    for outcome in ("downloaded", "unchanged"):
        assert [result.outcome for result in fetch(*bodies)] == [outcome, outcome]
    assert cache.path(long_key).read_bytes() == bodies[long_key]
    assert cache.ledger.get(long_key).has_file
    assert {result.key for result in cache.verify()} == set(bodies)

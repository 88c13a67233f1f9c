"""The cache: places, orphans, verification."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flatfiles_assets.download.atomic_files import TemporaryFile
from flatfiles_assets.download.fetch import fetch_files
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets_tests.download.stores import QUICK, csv_gz

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/../b",
        "a//b",
        "./a",
        "a/",
        "metadata/ledger.sqlite",
        "Metadata/x",
        "metadata",
        "a\\..\\b",
        "a\0b",
        "a/.x.1-0123abcd.tmp",
        "a/.x.partial",
        "a/.x.partial.json",
    ],
)
def test_a_key_that_escapes_or_collides_with_the_cache_has_no_place(cache, key):
    with pytest.raises(InvalidArgument):
        cache.path(key)


@pytest.mark.parametrize(
    "key", ["a.csv.gz", "us_stocks_sip/day_aggs_v1/2024/01/x.csv.gz", "x/metadata/y", ".a"]
)
def test_other_keys_lie_below_the_root(cache, key):
    assert cache.path(key) == cache.root / key


@pytest.fixture
def three_files(bucket, cache):
    keys = ["p/a.csv.gz", "p/b.csv.gz", "q/c.csv"]
    for number, key in enumerate(keys):
        bucket.put(key, csv_gz(number))
    list(fetch_files(bucket.connection, bucket.name, cache, keys, retry_policy=QUICK))
    return keys


def statuses(cache, **options):
    return {result.key: result.status for result in cache.verify(**options)}


def test_verify_finds_what_is_missing_changed_and_corrupt(cache, three_files):
    assert set(statuses(cache).values()) == {"ok"}
    cache.path("p/a.csv.gz").unlink()
    path = cache.path("p/b.csv.gz")
    times = path.stat()
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    cache.path("q/c.csv").write_bytes(b"other")
    seen = []
    assert statuses(cache, progress=seen.append) == {
        "p/a.csv.gz": "missing",
        "p/b.csv.gz": "corrupt",
        "q/c.csv": "changed",
    }
    assert [result.status for result in seen] == ["missing", "corrupt", "changed"]
    assert all(result.detail for result in seen)


def test_verify_can_be_narrowed(cache, three_files):
    assert list(statuses(cache, prefix="p/")) == ["p/a.csv.gz", "p/b.csv.gz"]
    assert statuses(cache, keys=["q/c.csv", "none"]) == {"q/c.csv": "ok", "none": "missing"}


def test_what_verify_found_damaged_is_fetched_again(bucket, cache, three_files):
    """Also bit rot, which changes neither the size nor the time of a file."""
    path = cache.path("p/b.csv.gz")
    original, times = path.read_bytes(), path.stat()
    path.write_bytes(original[:-1] + b"\7")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert statuses(cache)["p/b.csv.gz"] == "corrupt"
    [result] = fetch_files(bucket.connection, bucket.name, cache, ["p/b.csv.gz"], recheck=False)
    assert result.outcome == "replaced"
    assert path.read_bytes() == original
    assert set(statuses(cache).values()) == {"ok"}


def test_a_copied_cache_with_other_times_is_not_fetched_again(bucket, cache, three_files):
    os.utime(cache.path("q/c.csv"), (1, 1))
    [result] = fetch_files(bucket.connection, bucket.name, cache, ["q/c.csv"])
    assert result.outcome == "unchanged"


_LEAVE_A_TEMPORARY_FILE = """
import os, sys, pathlib
from flatfiles_assets.download.atomic_files import TemporaryFile
TemporaryFile(pathlib.Path(sys.argv[1])).write(b"half")
os._exit(1)
"""


def test_only_the_temporary_files_of_dead_processes_are_removed(cache):
    folder = cache.root / "p"
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", _LEAVE_A_TEMPORARY_FILE, str(folder / "dead")], check=False)
    living = TemporaryFile(folder / "living")
    (folder / ".hidden").write_bytes(b"a user's file")
    assert len(list(folder.iterdir())) == 3
    [removed] = cache.remove_orphans()
    assert "dead" in removed.name
    assert sorted(path.name for path in folder.iterdir()) == sorted([".hidden", Path(living.path).name])
    living.discard()

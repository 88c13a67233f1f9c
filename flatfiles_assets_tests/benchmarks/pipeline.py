"""One year of stock day bars from S3 to DuckDB through Dagster, and where the time goes.

Peers: the stock recipe (dagster-aws's resource, pandas, dagster-duckdb-pandas, one process per
partition); a bare script that does the same work; Dagster itself doing nothing over the same range.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np

from flatfiles_assets.calendars import day_bounds_ns, sessions
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.keys import market_key, raw_key
from flatfiles_assets.defs.partitions import dataset_partitions
from flatfiles_assets.defs.runs import run_ranges
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets_tests import s3_servers
from flatfiles_assets_tests.benchmarks import _bare_script, _empty_run
from flatfiles_assets_tests.benchmarks.report import Row

YEAR = ("2024-01-02", "2024-12-31")
ROWS_A_DAY = 11_000
BUCKET = "flatfiles"
STOCK_PARTITIONS = 3
RUNS = 5


def run() -> list[Row]:
    """Rows for the whole way, against the stock recipe and against the sum of its parts."""
    with s3_servers.rclone() as server, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        days = sessions("XNYS", *YEAR)
        _seed(server, days)
        with _environment(server, folder):
            stock = statistics.median(
                _stock_partition(server, folder, day) for day in days[:STOCK_PARTITIONS]
            )
            ours, bare, empty = [], [], []
            for number in range(RUNS):
                ours.append(_ours(folder / f"ours{number}", days))
                bare.append(_bare_script.seconds(server, folder / f"bare{number}", days))
                dataset = get_dataset("stocks_daily")
                keys = [raw_key(dataset), market_key(dataset)]
                empty.append(
                    _empty_run.seconds(folder / f"empty{number}", dataset_partitions(dataset), keys, days)
                )
    whole, parts = statistics.median(ours), statistics.median(bare) + statistics.median(empty)
    each = whole / len(days)
    return [
        Row(
            f"a year of day bars through Dagster ({len(days)} x {ROWS_A_DAY:,} rows), per partition",
            each,
            "stock recipe, a process per partition",
            stock,
            "s",
            stock / each,
            ">= 100",
        ),
        Row(
            "the same year, the whole run",
            whole,
            f"bare script {statistics.median(bare):.1f} s + empty range run {statistics.median(empty):.1f} s",
            parts,
            "s",
            whole / parts,
            "<= 1.3",
        ),
    ]


def _seed(server: s3_servers.S3Server, days: list[dt.date]) -> None:
    client, catalog = server.client(), S3Catalog()
    client.create_bucket(Bucket=BUCKET)

    def put(day: dt.date) -> None:
        client.put_object(Bucket=BUCKET, Key=catalog.get_stocks_daily_key(day), Body=day_file(day))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(put, days))


def day_file(day: dt.date) -> bytes:
    """A day of plausible bars in the vendor's format, the same at every call."""
    rng = np.random.default_rng(day.toordinal())
    close = np.round(rng.lognormal(3.5, 1.0, ROWS_A_DAY), 2) + 1
    spread = np.round(close * 0.01, 2)
    volume = rng.integers(100, 10_000_000, ROWS_A_DAY)
    start_ns = day_bounds_ns(day, "America/New_York")[0]
    lines = ["ticker,volume,open,close,high,low,window_start,transactions"]
    lines += [
        f"S{number:05d},{volume[number]},{close[number]:.2f},{close[number]:.2f},"
        f"{close[number] + spread[number]:.2f},{close[number] - spread[number]:.2f},{start_ns},"
        f"{volume[number] // 90}"
        for number in range(ROWS_A_DAY)
    ]
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as packed:
        packed.write(("\n".join(lines) + "\n").encode())
    return buffer.getvalue()


@contextlib.contextmanager
def _environment(server: s3_servers.S3Server, folder: Path) -> Iterator[None]:
    names = {
        "FLATFILES_ENDPOINT_URL": server.endpoint_url,
        "FLATFILES_ACCESS_KEY_ID": server.access_key_id,
        "FLATFILES_SECRET_ACCESS_KEY": server.secret_access_key,
        "FLATFILES_BUCKET": BUCKET,
        "BENCH_SCRATCH": str(folder),
    }
    with mock.patch.dict(os.environ, names):
        yield


def _ours(folder: Path, days: list[dt.date]) -> float:
    with mock.patch.dict(os.environ, {"FLATFILES_DATA_DIR": str(folder)}):
        defs = build_defs()
        started = time.perf_counter()
        runs = list(run_ranges(defs, "stocks_daily", [day.isoformat() for day in days], home=folder / "home"))
        seconds = time.perf_counter() - started
    if not all(run.succeeded for run in runs):
        raise RuntimeError(runs)
    return seconds


def _stock_partition(server: s3_servers.S3Server, folder: Path, day: dt.date) -> float:
    home = folder / "stock_home"
    home.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "dagster", "asset", "materialize"),
        *("-m", "flatfiles_assets_tests.benchmarks._stock_recipe"),
        *("--select", "*", "--partition", day.isoformat()),
    ]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "DAGSTER_HOME": str(home)})
    return time.perf_counter() - started

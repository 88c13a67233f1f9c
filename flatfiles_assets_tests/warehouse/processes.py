"""Processes that read and write one warehouse, for the tests to start, count and kill.

They come from a fork server that has the package imported already, so that starting one costs
milliseconds.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb

from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, day_bars

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["flatfiles_assets_tests.warehouse.processes"])


def rows_of_version(version: int) -> int:
    """How many rows a version of a session has, so that a mixture shows."""
    return 2_000 + version % 7


def write_partitions(path: Path, days: list[dt.date], results: Any) -> None:
    """Replace each session twice, first with other rows, each in a transaction of its own."""
    warehouse = Warehouse(path, lock_timeout_seconds=PATIENCE_SECONDS)
    for version in (1, 2):
        for day in days:
            bars = day_bars([day], row_count=rows_of_version(version), volume=version)
            with warehouse.writer(f"version {version} of {day}") as transaction:
                transaction.replace(STOCKS_DAILY, bars, {"trade_date": [day]})
    results.put("written")


def read_until(path: Path, done: Event, results: Any) -> None:
    """Read all the while, and report the queries made and every session that was not whole."""
    session = Warehouse(path, lock_timeout_seconds=PATIENCE_SECONDS).reader()
    broken, query_count = [], 0
    while True:
        is_last = done.is_set()
        counts = session.sql(
            "SELECT trade_date, min(volume), max(volume), count(*), count(DISTINCT ticker) "
            "FROM market.stocks_daily GROUP BY ALL"
        ).fetchall()
        query_count += 1
        broken += [
            row
            for row in counts
            if not (row[1] == row[2] and row[3] == row[4] == rows_of_version(int(row[1])))
        ]
        if is_last:
            results.put((query_count, broken))
            return


def write_forever(path: Path, days: list[dt.date], first_version: int, started: Event) -> None:
    """Replace some sessions together, version after version, until killed."""
    warehouse = Warehouse(path, lock_timeout_seconds=PATIENCE_SECONDS)
    version = first_version
    while True:
        bars = day_bars(days, row_count=rows_of_version(version), volume=version)
        with warehouse.writer(f"version {version}") as transaction:
            started.set()
            transaction.replace(STOCKS_DAILY, bars, {"trade_date": days})
        version += 1


def hold_for_writing(path: Path, purpose: str, held: Event) -> None:
    """Be the writer until killed."""
    with Warehouse(path).writer(purpose):
        held.set()
        time.sleep(PATIENCE_SECONDS)


def queue_for_writing(path: Path, purpose: str) -> None:
    """Wait to be the writer."""
    with Warehouse(path).writer(purpose):
        pass


def hold_with_plain_duckdb(path: Path, held: Event) -> None:
    """Have the file open for reading, the way anybody's own script does, until killed."""
    with duckdb.connect(path, read_only=True):
        held.set()
        time.sleep(PATIENCE_SECONDS)


def count_rows_as_nobody(path: Path, results: Any) -> None:
    """Read as a user who may not write where the warehouse is; also report what keeps them from it."""
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        (path.parent / "x").touch()
    except OSError as error:
        refusal = type(error).__name__
    else:
        refusal = "none"
    results.put((refusal, len(Warehouse(path).reader().sql("FROM market.stocks_daily"))))


def wait_for(condition: Any, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds, for so long at most."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come about")
        time.sleep(0.005)

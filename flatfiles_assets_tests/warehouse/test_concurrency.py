"""Many at once, and some of them killed: sessions stay whole."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from pathlib import Path

import pytest

from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.warehouse import processes
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, TUESDAY, WEDNESDAY, day_bars
from flatfiles_assets_tests.warehouse.processes import CONTEXT, rows_of_version

pytestmark = pytest.mark.slow

KILLS = 12
WRITES_LIVED_THROUGH = 6


def test_four_writer_processes_and_two_readers_at_once(warehouse: Warehouse, path: Path):
    """Every partition is there exactly once, and no reader ever saw a part of one."""
    with warehouse.writer("an empty table") as transaction:
        transaction.create(STOCKS_DAILY)
    first = dt.date(2024, 1, 1)
    own_days = [[first + dt.timedelta(days=10 * writer + day) for day in range(6)] for writer in range(4)]
    contested = dt.date(2023, 12, 29)
    done, written, read = CONTEXT.Event(), CONTEXT.Queue(), CONTEXT.Queue()
    writers = [
        CONTEXT.Process(target=processes.write_partitions, args=(path, [*days, contested], written))
        for days in own_days
    ]
    readers = [CONTEXT.Process(target=processes.read_until, args=(path, done, read)) for _ in range(2)]
    for process in (*readers, *writers):
        process.start()
    try:
        assert [written.get(timeout=PATIENCE_SECONDS) for _ in writers] == ["written"] * 4
        done.set()
        reports = [read.get(timeout=PATIENCE_SECONDS) for _ in readers]
    finally:
        for process in (*readers, *writers):
            process.join(5)
            process.kill()
    assert all(broken == [] for _, broken in reports)
    assert all(query_count > 1 for query_count, _ in reports)
    rows = warehouse.reader().sql(
        "SELECT trade_date, count(*), count(DISTINCT ticker), min(volume), max(volume) "
        "FROM market.stocks_daily GROUP BY ALL ORDER BY ALL"
    )
    days = sorted({contested, *(day for days in own_days for day in days)})
    assert rows.fetchall() == [(day, rows_of_version(2), rows_of_version(2), 2.0, 2.0) for day in days]


def test_threads_of_one_process_take_turns_too(warehouse: Warehouse):
    days = [dt.date(2024, 1, day) for day in range(1, 9)]
    with warehouse.writer("an empty table") as transaction:
        transaction.create(STOCKS_DAILY)
    errors: list[BaseException] = []
    seen: list[int] = []

    def write(day: dt.date) -> None:
        with warehouse.writer(str(day)) as transaction:
            transaction.replace(STOCKS_DAILY, day_bars([day]), {"trade_date": [day]})

    def read(_: dt.date) -> None:
        seen.extend(
            count
            for (count,) in warehouse.reader()
            .sql("SELECT count(*) FROM market.stocks_daily GROUP BY trade_date")
            .fetchall()
        )

    def guarded(action, day: dt.date) -> None:
        try:
            action(day)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=guarded, args=(action, day)) for day in days for action in (write, read)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert errors == []
    assert set(seen) <= {3}
    counts = warehouse.reader().sql("SELECT count(*) FROM market.stocks_daily GROUP BY trade_date").fetchall()
    assert counts == [(3,)] * len(days)


def _seconds_of_one_write(warehouse: Warehouse, days: list[dt.date]) -> float:
    """So that the moments of the kills suit the machine and its load."""
    started = time.perf_counter()
    for _ in range(3):
        with warehouse.writer("version 0") as transaction:
            bars = day_bars(days, row_count=rows_of_version(0), volume=0)
            transaction.replace(STOCKS_DAILY, bars, {"trade_date": days})
    return (time.perf_counter() - started) / 3


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_whole_partitions_and_no_lock(warehouse: Warehouse, path: Path):
    """Both sessions are replaced in one transaction: they must always be of one version."""
    days = [TUESDAY, WEDNESDAY]
    with warehouse.writer("version 0") as transaction:
        transaction.replace(
            STOCKS_DAILY, day_bars(days, row_count=rows_of_version(0), volume=0), {"trade_date": days}
        )
    moments = random.Random(20240102)
    one_write = _seconds_of_one_write(warehouse, days)
    version = 0
    for _ in range(KILLS):
        started = CONTEXT.Event()
        process = CONTEXT.Process(target=processes.write_forever, args=(path, days, version + 1, started))
        process.start()
        assert started.wait(PATIENCE_SECONDS)
        time.sleep(moments.uniform(0, WRITES_LIVED_THROUGH * one_write))
        process.kill()
        process.join(PATIENCE_SECONDS)

        # A lock left behind would make these wait for good and fail.
        stored = warehouse.reader(timeout=PATIENCE_SECONDS).sql(
            "SELECT trade_date, min(volume)::INT, max(volume)::INT, count(*), count(DISTINCT ticker) "
            "FROM market.stocks_daily GROUP BY ALL ORDER BY ALL"
        )
        found = stored.fetchall()[0][1]
        assert found >= version
        version = found
        rows = rows_of_version(version)
        assert stored.fetchall() == [(day, version, version, rows, rows) for day in days]
        with warehouse.writer("after a kill", timeout=PATIENCE_SECONDS) as transaction:
            assert transaction.query("SELECT count(*) FROM market.stocks_daily").fetchone() == (2 * rows,)
    assert version > 0
    # Each state of the past is whole, too: the versions in their order, without those of the dead.
    state = warehouse.reader().state()
    assert state is not None
    for past in (state, state // 2, 2):
        found = (
            warehouse.at(past)
            .reader()
            .sql(
                "SELECT trade_date, min(volume)::INT, max(volume)::INT, count(*) FROM market.stocks_daily "
                "GROUP BY ALL ORDER BY ALL"
            )
        )
        then = found.fetchall()[0][1]
        assert found.fetchall() == [(day, then, then, rows_of_version(then)) for day in days]
        # After the empty file: version 0 four times, the last three of which change nothing.
        assert then == max(0, past - 5)

"""The past beside other processes: read while one writes, and history begun by one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.versions import recorded_versions
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, TUESDAY, WEDNESDAY, day_bars

pytestmark = pytest.mark.slow

_WRITER = """
import itertools, sys
from pathlib import Path
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, TUESDAY, WEDNESDAY, day_bars
warehouse = Warehouse(Path(sys.argv[1]), lock_timeout_seconds=60)
for number in itertools.count(10):
    with warehouse.writer("live") as transaction:
        days = [TUESDAY, WEDNESDAY][: 1 + number % 2]
        transaction.replace(STOCKS_DAILY, day_bars(days, volume=float(number)), {"trade_date": days})
    print(number, flush=True)
"""
_MIGRATION = """
import sys
from pathlib import Path
from flatfiles_assets.warehouse.connection import Warehouse
print("ready", flush=True)
with Warehouse(Path(sys.argv[1]), lock_timeout_seconds=60).writer("migrate"):
    pass
"""
# Stops for ever before the statement of that number of the migration's transaction.
_STOPPING = """
import sys, time
from pathlib import Path
from flatfiles_assets.warehouse import database, versions
from flatfiles_assets.warehouse.connection import Warehouse
class Stopping:
    def __init__(self, connection, left):
        self._connection, self._left = connection, left
    def execute(self, *arguments):
        if not self._left:
            print("stopped", flush=True)
            time.sleep(600)
        self._left -= 1
        return self._connection.execute(*arguments)
left = int(sys.argv[2])
database.record_versions = lambda connection: versions.record_versions(Stopping(connection, left))
with Warehouse(Path(sys.argv[1]), lock_timeout_seconds=60).writer("migrate"):
    pass
print("done", flush=True)
"""


def _rows(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return sorted(warehouse.reader().sql("FROM market.stocks_daily").fetchall())


def test_the_past_is_read_beside_a_process_that_writes(warehouse: Warehouse, path: Path):
    then: dict[int, list[tuple[object, ...]]] = {}
    for volume in (1.0, 2.0):
        days = [TUESDAY, WEDNESDAY]
        with warehouse.writer("test") as transaction:
            transaction.replace(STOCKS_DAILY, day_bars(days, volume=volume), {"trade_date": days})
        state = warehouse.reader().state()
        assert state is not None
        then[state] = _rows(warehouse)
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as live:
        try:
            assert live.stdout is not None
            live.stdout.readline()
            first = warehouse.reader().state()
            rounds = 0
            # However slow the writer is: what is read must have been read beside one that commits.
            while rounds < 10 or warehouse.reader().state() == first:
                rounds += 1
                for state, expected in then.items():
                    assert _rows(warehouse.at(state)) == expected
                with warehouse.at(max(then)).reader().held() as held:
                    assert sorted(held.sql("FROM market.stocks_daily").fetchall()) == then[max(then)]
            last = warehouse.reader().state()
            assert first is not None
            assert last is not None
            assert last > first, "nothing was written meanwhile"
        finally:
            os.kill(live.pid, signal.SIGKILL)
    for state, expected in then.items():
        assert _rows(warehouse.at(state)) == expected


def _make_schema_1(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        for table in ("states", "tables", "loads", "made_from"):
            connection.execute(f"DROP TABLE flatfiles.{table}")
        connection.execute("UPDATE flatfiles.versions SET version = '1' WHERE part = 'schema'")


def _schema(path: Path) -> str:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS warehouse (READ_ONLY)")
        return recorded_versions(connection)["schema"]


@pytest.mark.parametrize("statements", [0, 3, 5, 10, 11, 14, 16, 18])
def test_a_migration_that_is_killed_leaves_the_file_as_it_was(
    statements: int, warehouse: Warehouse, path: Path
):
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    _make_schema_1(path)
    before = _rows(warehouse)
    command = [sys.executable, "-c", _STOPPING, str(path), str(statements)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as migrating:
        try:
            assert migrating.stdout is not None
            assert migrating.stdout.readline() == "stopped\n"
        finally:
            os.kill(migrating.pid, signal.SIGKILL)
    assert _rows(warehouse) == before
    assert _schema(path) == "1"
    assert warehouse.reader().state() is None
    _replace_and_look_back(warehouse, before)


@pytest.mark.parametrize("milliseconds", [0, 20, 60])
def test_a_migration_killed_at_any_moment(milliseconds: int, warehouse: Warehouse, path: Path):
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    _make_schema_1(path)
    before = _rows(warehouse)
    with subprocess.Popen(
        [sys.executable, "-c", _MIGRATION, str(path)], stdout=subprocess.PIPE, text=True
    ) as migrating:
        assert migrating.stdout is not None
        migrating.stdout.readline()
        time.sleep(milliseconds / 1000)
        os.kill(migrating.pid, signal.SIGKILL)
    assert _rows(warehouse) == before
    _replace_and_look_back(warehouse, before)


def _replace_and_look_back(warehouse: Warehouse, before: list[tuple[object, ...]]) -> None:
    """The next writer begins history with what is there."""
    with warehouse.waiting(PATIENCE_SECONDS).writer("after") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY], volume=9), {"trade_date": [TUESDAY]})
    assert _rows(warehouse) != before
    assert _rows(warehouse.at(1)) == before

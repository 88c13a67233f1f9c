"""A warehouse is there whole or not at all, says which version made it, and names its damage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from flatfiles_assets import __version__
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import (
    WarehouseDamaged,
    WarehouseMissing,
    WarehouseTooNew,
    WarehouseTooOld,
)
from flatfiles_assets.warehouse.versions import FORMAT_VERSION, SCHEMA_VERSION
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, TUESDAY, day_bars

pytestmark = pytest.mark.slow


@pytest.fixture
def loaded(warehouse: Warehouse) -> Warehouse:
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY], row_count=50_000), {"trade_date": [TUESDAY]})
    return warehouse


@pytest.mark.parametrize("size_bytes", [0, 1, 4096, 8192, 12_287])
def test_the_beginning_of_a_file_is_no_warehouse_and_is_in_no_writers_way(
    warehouse: Warehouse, size_bytes: int
):
    """A process killed while it made the file, as earlier versions did, left that much of it."""
    warehouse.path.parent.mkdir(parents=True)
    with duckdb.connect(warehouse.path.with_name("whole")) as connection:
        connection.execute("CREATE TABLE x AS SELECT 1")
    warehouse.path.write_bytes(warehouse.path.with_name("whole").read_bytes()[:size_bytes])
    with pytest.raises(WarehouseMissing):
        warehouse.reader().sql("SELECT 1")
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    assert len(warehouse.reader().sql("FROM market.stocks_daily")) == 3


def test_the_beginning_of_a_file_with_changes_logged_beside_it_is_damage(loaded: Warehouse):
    loaded.path.write_bytes(b"")
    loaded.path.with_name("warehouse.duckdb.wal").write_bytes(b"x" * 1000)
    with pytest.raises(WarehouseDamaged, match="flatfiles rebuild"):
        loaded.reader().sql("SELECT 1")


def test_a_process_killed_at_any_moment_of_making_it_leaves_none_or_a_whole_one(warehouse: Warehouse):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from flatfiles_assets.warehouse.connection import Warehouse\n"
        "warehouse = Warehouse(Path(sys.argv[1]))\n"
        "print('go', flush=True)\n"
        "with warehouse.writer('test'):\n"
        "    print('made', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    for delay in (0.0, 0.002, 0.01, 0.03):
        warehouse.path.unlink(missing_ok=True)
        command = [sys.executable, "-c", script, str(warehouse.path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "go\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(delay)
            os.kill(process.pid, signal.SIGKILL)
        assert not warehouse.path.exists() or warehouse.reader().tables() == []
    with warehouse.writer("test"):
        pass
    names = {path.name for path in warehouse.path.parent.iterdir()}
    assert names == {"warehouse.duckdb", "warehouse.duckdb.queue"}


def test_what_killed_processes_left_is_swept_by_the_next_writer(loaded: Warehouse):
    folder = loaded.path.parent
    (folder / "warehouse.duckdb.spill-1-abc").mkdir()
    (folder / "warehouse.duckdb.spill-1-abc" / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"x")
    (folder / "warehouse.duckdb.unfinished-1-abc").write_bytes(b"x")
    (folder / "warehouse.duckdb.compacted").write_bytes(b"x")
    queue = folder / "warehouse.duckdb.queue"
    # What stands before a reader without being in its way is swept as well.
    for name in ("000000001-read-aaaa.ticket", "000000001-read-aaaa.json", "000000002-write-bbbb.ticket"):
        (queue / name).touch()
    theirs = folder / "warehouse.duckdb.copy"
    theirs.touch()
    loaded.reader().sql("SELECT 1")
    assert [path.name for path in queue.iterdir()] == ["counter.lock"]
    with loaded.writer("test"):
        pass
    assert {path.name for path in folder.iterdir()} == {loaded.path.name, queue.name, theirs.name}


def test_it_says_which_versions_made_it(loaded: Warehouse):
    found = loaded.reader().sql("SELECT part, version FROM flatfiles.versions").fetchall()
    assert dict(found) == {
        "format": str(FORMAT_VERSION),
        "schema": str(SCHEMA_VERSION),
        "package": __version__,
    }
    assert loaded.reader().tables() == ["market.stocks_daily"]


@pytest.mark.parametrize("part", ["format", "schema"])
def test_a_newer_one_is_refused_by_name_to_read_and_to_write(loaded: Warehouse, part: str):
    with duckdb.connect(loaded.path) as connection:
        connection.execute("UPDATE flatfiles.versions SET version = '99' WHERE part = ?", [part])
        connection.execute("UPDATE flatfiles.versions SET version = '7.1' WHERE part = 'package'")
    named = rf"{part} is 99, by flatfiles_assets 7\.1"
    with pytest.raises(WarehouseTooNew, match=named):
        loaded.reader().sql("SELECT 1")
    with pytest.raises(WarehouseTooNew, match=named), loaded.writer("test"):
        pass


def test_an_older_one_is_refused_with_the_command_that_upgrades_it(warehouse: Warehouse):
    warehouse.path.parent.mkdir(parents=True)
    with duckdb.connect(warehouse.path.with_name("market.duckdb")) as connection:
        connection.execute("CREATE TABLE files (x INT)")
    with pytest.raises(WarehouseTooOld, match=r"market\.duckdb.*flatfiles upgrade"):
        warehouse.reader().sql("SELECT 1")
    with pytest.raises(WarehouseTooOld, match="flatfiles upgrade"), warehouse.writer("test"):
        pass
    older = Warehouse(warehouse.path.with_name("market.duckdb"))
    with pytest.raises(WarehouseTooOld, match="flatfiles upgrade"):
        older.reader().sql("SELECT 1")


def test_a_file_that_is_no_database_is_called_damaged(loaded: Warehouse):
    loaded.path.write_bytes(b"no database" * 10_000)
    with pytest.raises(WarehouseDamaged, match="flatfiles rebuild"):
        loaded.reader().sql("SELECT 1")


def test_a_flipped_bit_in_a_block_is_called_damage_by_whoever_reads_it(loaded: Warehouse, path: Path):
    content = bytearray(path.read_bytes())
    # One in each block: which of them hold the table is DuckDB's affair.
    for place in range(3 * 4096 + 100, len(content), 2**18):
        content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(WarehouseDamaged, match=r"checksum.*flatfiles rebuild"):
        loaded.reader().sql("FROM market.stocks_daily")

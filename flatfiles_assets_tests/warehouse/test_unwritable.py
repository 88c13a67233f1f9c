"""Reading where one may not write: a read-only mount, somebody else's folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flatfiles_assets.download.errors import LedgerFailed
from flatfiles_assets.download.ledger import Ledger, LedgerEntry
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.platform import Platform

DAYS = ["2024-01-02", "2024-01-03"]

PROGRAM = """
import json, os, sys, time, warnings
from click.testing import CliRunner
from flatfiles_assets import DataIntegration, open_warehouse
from flatfiles_assets.cli import main

def run(*arguments):
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 0, (arguments, found.output, found.exception)
    return found.output

SPILLING = "SELECT count(*) FROM (SELECT random()::VARCHAR AS x FROM range(300_000) ORDER BY x)"

def read(**options):
    status = json.loads(run("status", "stocks_daily", "--json"))
    sql = json.loads(run("sql", "SELECT count(*) AS n FROM market.stocks_daily", "--json"))
    rows = open_warehouse().table("market.stocks_daily").pl().height
    spilled = open_warehouse().sql(SPILLING).fetchone()[0]
    tickers = open_warehouse().sql("SELECT min(ticker) FROM market.stocks_daily").fetchone()
    data = DataIntegration(**options).get_data_for_algorithm(
        "momentum", list(tickers), "2024-01-02", "2024-01-03", ensure=False
    )
    return [status["stocks_daily"]["states"], sql["n"], rows, spilled, len(data["price_data"])]

warnings.simplefilter("ignore")
if sys.argv[1] == "nobody":
    read(cache_bytes=0)  # Nobody may not even read the interpreter: everything is imported first.
    os.setgid(65534)
    os.setuid(65534)
started = time.perf_counter()
print(json.dumps([*read(), time.perf_counter() - started]))
"""


@pytest.fixture
def loaded(platform: Platform) -> Platform:
    for day in DAYS:
        platform.put(day)
    (run,) = platform.run(DAYS)
    assert run.succeeded, run.message
    (run,) = platform.run(DAYS, job="daily_prices")
    assert run.succeeded, run.message
    return platform


@contextmanager
def _mounted_read_only(folder: Path) -> Iterator[Path]:
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    commands = [["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder]]
    for command in commands:
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("this machine permits no bind mounts")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def _not_ours_to_write(folder: Path) -> Iterator[Path]:
    """The same in a place that anybody may enter: pytest closes its own to other users."""
    if os.geteuid() != 0:
        pytest.skip("running as another user needs root")
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(shutil.copytree(folder, Path(place) / "data"))


def _read(user: str) -> list:
    command = [sys.executable, "-c", PROGRAM, user]
    found = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


@pytest.mark.parametrize(("place", "user"), [(_mounted_read_only, "root"), (_not_ours_to_write, "nobody")])
def test_every_door_reads_where_nothing_can_be_written(
    loaded: Platform, monkeypatch: pytest.MonkeyPatch, place: Callable, user: str
):
    rows = loaded.rows("SELECT count(*) FROM market.stocks_daily")[0][0]
    with place(loaded.data_dir) as data_dir:
        monkeypatch.setenv("FLATFILES_DATA_DIR", str(data_dir))
        before = sorted(data_dir.rglob("*"))
        found = _read(user)
        assert sorted(data_dir.rglob("*")) == before
    *found, seconds = found
    assert found == [{"present": 2}, rows, rows, 300_000, 2]
    assert seconds < PATIENCE_SECONDS, "it retried"


def _entry(key: str) -> LedgerEntry:
    return LedgerEntry.failure(key, "not_published", "404")


def _ledger_with(folder: Path, *keys: str) -> Path:
    path = folder / "cache" / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.record_many(map(_entry, keys))
    return path


@pytest.fixture
def mounted(tmp_path: Path) -> Callable:
    return lambda: _mounted_read_only(tmp_path / "cache")


def test_an_unwritable_ledger_is_read_at_once_and_refuses_changes(tmp_path: Path, mounted: Callable):
    path = _ledger_with(tmp_path, "a")
    with mounted():
        started = time.perf_counter()
        with Ledger(path) as ledger:
            assert not ledger.is_writable
            assert ledger.get("a") is not None
            ledger.set_mtime("a", 5)
            with pytest.raises(LedgerFailed, match=r"readonly|unable to open"):
                ledger.record(_entry("b"))
        assert time.perf_counter() - started < PATIENCE_SECONDS
    with Ledger(path) as ledger:
        assert ledger.is_writable


def test_an_unwritable_ledger_beside_a_writer_shows_what_it_committed(tmp_path: Path, mounted: Callable):
    """A container sees the data directory read-only while the host goes on loading."""
    path = _ledger_with(tmp_path, "a")
    script = (
        "import sys\n"
        "from flatfiles_assets.download.ledger import Ledger, LedgerEntry\n"
        "with Ledger(sys.argv[1]) as writer:\n"
        "    writer.record(LedgerEntry.failure('b', 'failed', 'x'))\n"
        "    print('written', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        with mounted(), Ledger(path) as reader:
            assert not reader.is_writable
            assert [entry.key for entry in reader.entries()] == ["a", "b"]


def test_a_read_only_ledger_shows_what_a_killed_writer_committed(tmp_path: Path, mounted: Callable):
    path = _ledger_with(tmp_path, "a")
    script = (
        "import os, sys\n"
        "from flatfiles_assets.download.ledger import Ledger, LedgerEntry\n"
        "Ledger(sys.argv[1]).record(LedgerEntry.failure('b', 'failed', 'x'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    path.with_name("ledger.sqlite-shm").unlink()
    with mounted(), Ledger(path) as reader:
        assert [entry.key for entry in reader.entries()] == ["a", "b"]


def test_where_there_is_no_ledger_and_none_can_be_made_it_is_empty(tmp_path: Path, mounted: Callable):
    (tmp_path / "cache").mkdir()
    with mounted(), Ledger(tmp_path / "cache" / "metadata" / "ledger.sqlite") as ledger:
        assert list(ledger.entries()) == []
        with pytest.raises(LedgerFailed):
            ledger.record(_entry("a"))


@pytest.mark.parametrize(
    "arguments", [["status"], ["backfill", "stocks_daily", "--start", DAYS[0], "--end", DAYS[1]]]
)
def test_status_and_backfill_wait_as_long_as_the_settings_say(loaded: Platform, arguments: list[str]):
    script = (
        "import duckdb, sys, time\n"
        f"connection = duckdb.connect({str(loaded.warehouse.path)!r})\n"
        "print('held', flush=True)\n"
        "time.sleep(300)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        command = [sys.executable, "-m", "flatfiles_assets", *arguments]
        found = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            env={**os.environ, "FLATFILES_LOCK_TIMEOUT_SECONDS": "0.3"},
        )
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert found.returncode == 1
    assert f"PID {holder.pid}" in found.stderr
    assert "waited 0.3 s" in found.stderr


def test_a_spill_folder_is_one_connections_own_and_is_gone_with_it(loaded: Platform):
    seen = "SELECT current_setting('temp_directory')"
    folders = {loaded.rows(seen)[0][0] for _ in range(2)}
    assert len(folders) == 2
    loaded.rows("SELECT count(*) FROM (SELECT random() AS x FROM range(1000) ORDER BY x)")
    assert not any(Path(folder).exists() for folder in folders)

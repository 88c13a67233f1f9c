"""A backup is whole although everybody works, and what comes back is what was backed up."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from flatfiles_assets.cli import main
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets_tests.platform import Platform
from flatfiles_assets_tests.snapshots import start_from
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, TUESDAY, WEDNESDAY, day_bars
from flatfiles_assets_tests.warehouse.damage import flip_a_bit

DAYS = ["2024-01-02", "2024-01-03"]
ROWS = "SELECT trade_date, ticker, close, volume FROM market.stocks_daily ORDER BY ALL"


def _flatfiles(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


@pytest.fixture
def loaded(platform: Platform) -> Platform:
    for day in DAYS:
        platform.put(day)
    return start_from("backup", platform, _load)


def _load(platform: Platform) -> None:
    (run,) = platform.run(DAYS)
    assert run.succeeded, run.message


def _backup(place: Path) -> Path:
    code, output = _flatfiles("backup", str(place))
    assert code == 0, output
    (taken,) = place.iterdir()
    return taken


def test_a_backup_brings_everything_back_and_keeps_what_it_replaces(loaded: Platform, tmp_path: Path):
    before = loaded.rows(ROWS)
    taken = _backup(tmp_path / "backups")
    assert _flatfiles("restore", str(taken))[0] == 0
    with loaded.warehouse.writer("spoil") as transaction:
        transaction.execute("DELETE FROM market.stocks_daily")
    (loaded.data_dir / "flatfiles_cache/metadata/ledger.sqlite").unlink()
    (loaded.home / "history" / "runs" / "index.db").write_bytes(b"")

    assert loaded.rows(ROWS) == []
    code, output = _flatfiles("restore", str(taken), "--yes")
    assert code == 0, output

    assert loaded.rows(ROWS) == before
    assert json.loads(_flatfiles("status", "stocks_daily", "--json")[1])["stocks_daily"]["states"] == {
        "present": 2
    }
    assert _flatfiles("verify")[0] == 0, _flatfiles("verify")[1]
    with open_instance(loaded.home) as instance:
        assert len(instance.get_materialized_partitions(dg.AssetKey(["market", "stocks_daily"]))) == 2
    assert list((loaded.data_dir / "warehouse").glob("warehouse.duckdb.before-restore-*"))


def test_a_backup_comes_back_in_an_empty_place(
    loaded: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = loaded.rows(ROWS)
    taken = _backup(tmp_path / "backups")
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path / "elsewhere"))
    assert _flatfiles("restore", str(taken), "--yes")[0] == 0
    loaded.data_dir = tmp_path / "elsewhere"
    assert loaded.rows(ROWS) == before
    with open_instance(loaded.home) as instance:
        assert len(instance.get_runs()) == 1


WRITING = """
import sys
from pathlib import Path
from flatfiles_assets.download.ledger import Ledger, LedgerEntry
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests.snapshots import start_from
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, TUESDAY, WEDNESDAY, day_bars
warehouse, ledger = Warehouse(Path(sys.argv[1])), Ledger(sys.argv[2])
volume = 0
while True:
    volume += 1
    with warehouse.writer("test") as transaction:
        rows = day_bars([TUESDAY, WEDNESDAY], volume=float(volume), row_count=5_000)
        transaction.replace(STOCKS_DAILY, rows, {"trade_date": [TUESDAY, WEDNESDAY]})
    ledger.record_many([LedgerEntry.failure(f"{key}-{volume}", "failed", "x") for key in "ab"])
    if volume == 2:
        print("writing", flush=True)
"""


def test_a_backup_taken_while_others_write_and_read_has_whole_transactions(loaded: Platform, tmp_path: Path):
    with loaded.warehouse.writer("test") as transaction:
        transaction.replace(
            STOCKS_DAILY, day_bars([TUESDAY, WEDNESDAY]), {"trade_date": [TUESDAY, WEDNESDAY]}
        )
    ledger = loaded.data_dir / "flatfiles_cache/metadata/ledger.sqlite"
    command = [sys.executable, "-c", WRITING, str(loaded.warehouse.path), str(ledger)]
    stop, errors = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                assert loaded.rows("SELECT count(DISTINCT volume) FROM market.stocks_daily") == [(1,)]
            except Exception as error:
                errors.append(error)

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writing:
        assert writing.stdout is not None
        assert writing.stdout.readline() == "writing\n"
        reader = threading.Thread(target=read)
        reader.start()
        try:
            taken = [_backup(tmp_path / f"backups-{number}") for number in range(3)]
        finally:
            stop.set()
            reader.join()
            writing.kill()
    assert not errors
    for each in taken:
        assert _flatfiles("restore", str(each), "--yes")[0] == 0
        ((volumes, rows),) = loaded.rows("SELECT count(DISTINCT volume), count(*) FROM market.stocks_daily")
        assert (volumes, rows) == (1, 10_000)
        with FileCache(loaded.data_dir / "flatfiles_cache") as cache:
            keys = [entry.key for entry in cache.ledger.entries() if entry.key[:2] in ("a-", "b-")]
        assert sorted(key[2:] for key in keys if key[0] == "a") == sorted(
            key[2:] for key in keys if key[0] == "b"
        )


def test_a_damaged_backup_is_not_brought_back(loaded: Platform, tmp_path: Path):
    before = loaded.rows(ROWS)
    taken = _backup(tmp_path / "backups")
    for path in (
        taken / "warehouse" / "warehouse.duckdb",
        taken / "flatfiles_cache/metadata/ledger.sqlite",
        taken / "dagster_home" / "history" / "runs.db",
    ):
        whole = path.read_bytes()
        flip_a_bit(path)
        code, output = _flatfiles("restore", str(taken), "--yes")
        assert code == 1
        assert path.name in output.replace("\n", "")
        path.write_bytes(whole)
    assert loaded.rows(ROWS) == before


def test_damage_is_not_backed_up_without_a_word(loaded: Platform, tmp_path: Path):
    flip_a_bit(loaded.data_dir / "warehouse" / "warehouse.duckdb", 0.3)
    code, output = _flatfiles("backup", str(tmp_path / "backups"))
    if code:
        assert "flatfiles rebuild" in output
        assert not list((tmp_path / "backups").iterdir())
    else:  # the bit is in no block that is used
        assert _flatfiles("verify")[0] == 0


def test_what_is_no_backup_is_said(tmp_path: Path, loaded: Platform):
    taken = _backup(tmp_path / "backups")
    code, output = _flatfiles("restore", str(tmp_path / "backups"))
    assert code == 1
    assert taken.name in output
    assert loaded.rows(ROWS)

"""Damage is found by `verify`, named with what mends it, and `rebuild` mends it without the network."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from flatfiles_assets.cli import main, rebuilding
from flatfiles_assets.data_integration.cache import ResultCache
from flatfiles_assets_tests.platform import Platform
from flatfiles_assets_tests.snapshots import start_from
from flatfiles_assets_tests.warehouse.damage import flip_a_bit, flip_a_bit_of

DAYS = ["2024-01-02", "2024-01-03", "2024-01-04"]
ROWS = "SELECT trade_date, ticker, close, volume FROM market.stocks_daily ORDER BY ALL"
FILES = "SELECT trade_date, feed, sha256, rows_accepted FROM market.files ORDER BY ALL"


def _flatfiles(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def loaded(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("FLATFILES_ACCEPTED_SESSIONS", f"stocks_daily:{DAYS[1]}")
    platform.put(DAYS[0])
    platform.put(DAYS[1], "bad_rows")
    platform.put(DAYS[2])
    return start_from("damage", platform, _load)


def _load(platform: Platform) -> None:
    (run,) = platform.run(DAYS)
    assert run.succeeded, run.message
    assert _flatfiles("verify")[0] == 0, _flatfiles("verify")[1]


@pytest.fixture
def offline(loaded: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be had from the network any more."""
    assert loaded
    monkeypatch.setenv("FLATFILES_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("FLATFILES_ACCESS_KEY_ID")
    monkeypatch.delenv("FLATFILES_SECRET_ACCESS_KEY")


def _warehouse(data: Path) -> Path:
    return data / "warehouse" / "warehouse.duckdb"


def _ledger(data: Path) -> Path:
    return data / "flatfiles_cache" / "metadata" / "ledger.sqlite"


def _index(data: Path) -> Path:
    return data / "dagster_home" / "history" / "runs" / "index.db"


def _overwrite(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "the warehouse's header": lambda data: _overwrite(_warehouse(data)),
    "the warehouse cut short": lambda data: os.truncate(_warehouse(data), 100_000),
    "the ledger's bytes": lambda data: _overwrite(_ledger(data)),
    "the ledger emptied": lambda data: os.truncate(_ledger(data), 0),
    "the ledger's header": lambda data: flip_a_bit(_ledger(data), 0),
    "a checksum in the ledger": lambda data: flip_a_bit_of(_ledger(data), b"us_stocks_sip/day_aggs_v1/2024"),
    "a raw file": lambda data: flip_a_bit(next((data / "flatfiles_cache" / "us_stocks_sip").rglob("*.gz"))),
    "Dagster's event log": lambda data: _overwrite(_index(data)),
    "Dagster's runs": lambda data: _overwrite(data / "dagster_home" / "history" / "runs.db"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_finds_damage_and_names_what_mends_it(loaded: Platform, damage: str):
    DAMAGES[damage](loaded.data_dir)
    code, output = _flatfiles("verify")
    assert code == 1, output
    assert "Next: " in output
    assert "flatfiles rebuild" in output or "flatfiles backfill" in output


def test_a_bit_flipped_in_any_used_block_of_the_warehouse_is_found(loaded: Platform):
    path = _warehouse(loaded.data_dir)
    whole = path.read_bytes()
    used = "SELECT used_blocks FROM pragma_database_size() WHERE database_name = 'warehouse'"
    ((blocks,),) = loaded.rows(used)
    found = 0
    # Each block of 256 KiB behind three headers of 4 KiB; a bit in its middle, or in what is used of it.
    for at in range(3 * 4096 + 64, len(whole), 262_144):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        code, output = _flatfiles("verify")
        found += code
        assert code == 0 or "flatfiles rebuild" in output
    path.write_bytes(whole)
    assert found >= blocks - 1, "a block of the free list may hold nothing"


BACKFILL = ["backfill", "stocks_daily", "--start", DAYS[0], "--end", DAYS[2]]


@pytest.mark.parametrize("verb", [["status"], BACKFILL])
@pytest.mark.parametrize("damage", ["the warehouse's header", "the ledger's bytes", "Dagster's event log"])
def test_what_meets_damage_names_the_command_that_mends_it(loaded: Platform, verb: list[str], damage: str):
    if "Dagster" in damage:
        if verb == ["status"]:
            pytest.skip("status asks nothing of Dagster")
        verb = [*verb, "--reload"]
    DAMAGES[damage](loaded.data_dir)
    code, output = _flatfiles(*verb)
    assert code == 1
    assert "flatfiles rebuild" in output
    assert "Traceback" not in output
    assert len(output.splitlines()) < 10


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("damage", ["nothing", "everything", "the warehouse's header"])
def test_everything_is_made_anew_from_the_files_on_disk(loaded: Platform, damage: str):
    rows, files = loaded.rows(ROWS), loaded.rows(FILES)
    quarantine = loaded.rows("SELECT count(*) FROM market.quarantine")
    if damage == "everything":
        shutil.rmtree(loaded.data_dir / "dagster_home")
        _overwrite(_warehouse(loaded.data_dir))
        _overwrite(_ledger(loaded.data_dir))
    elif damage != "nothing":
        DAMAGES[damage](loaded.data_dir)

    code, output = _flatfiles("rebuild", "--workers", "1")

    assert "stocks_daily: 3 sessions from the mirror" in output
    if damage == "nothing":
        assert code == 0, output
    assert loaded.rows(ROWS) == rows
    assert loaded.rows(FILES) == files
    assert loaded.rows("SELECT count(*) FROM market.quarantine") == quarantine
    assert json.loads(_flatfiles("status", "--json")[1])["stocks_daily"]["states"] == {"present": 3}
    assert _flatfiles("verify")[0] == 0, _flatfiles("verify")[1]
    assert _recorded(loaded) == {"market": 3, "raw": 3}
    assert not (loaded.data_dir / ".rebuilding").exists()


def _recorded(platform: Platform) -> dict[str, int]:
    import dagster as dg

    from flatfiles_assets.defs.instance.home import open_instance

    with open_instance(platform.home) as instance:
        assert instance.event_log_storage.get_concurrency_info("duckdb_writer").slot_count == 1
        return {
            layer: len(instance.get_materialized_partitions(dg.AssetKey([layer, "stocks_daily"])))
            for layer in ("market", "raw")
        }


@pytest.mark.usefixtures("offline")
def test_what_no_file_has_is_kept_from_the_old_warehouse_and_what_cannot_be_is_said(loaded: Platform):
    with loaded.warehouse.writer("own") as transaction:
        transaction.execute("CREATE SCHEMA mine")
        transaction.execute("CREATE TABLE mine.notes AS SELECT 'kept' AS note")
    before = loaded.rows(ROWS)
    assert _flatfiles("prune", "--older-than", "30", "--yes")[0] == 0
    code, output = _flatfiles("rebuild", "--workers", "1")

    assert code == 0, output
    assert "rows that only the old warehouse had" in output
    assert loaded.rows(ROWS) == before
    assert loaded.rows("SELECT note FROM mine.notes") == [("kept",)]
    assert (loaded.data_dir / "warehouse" / "warehouse.duckdb.before-rebuild").exists()


def test_a_damaged_raw_file_is_said_not_loaded_and_fetched_again_later(loaded: Platform):
    raw = loaded.data_dir / "flatfiles_cache/us_stocks_sip/day_aggs_v1/2024/01/2024-01-03.csv.gz"
    whole, rows = raw.read_bytes(), loaded.rows(ROWS)
    flip_a_bit(raw)
    _overwrite(_warehouse(loaded.data_dir))
    code, output = _flatfiles("rebuild", "--workers", "1")
    assert code == 1
    assert "2024-01-03.csv.gz" in output
    assert loaded.rows("SELECT count(DISTINCT trade_date) FROM market.stocks_daily") == [(2,)]
    assert _flatfiles("backfill", "stocks_daily", "--start", DAYS[0], "--end", DAYS[2])[0] == 0
    assert raw.read_bytes() == whole
    assert loaded.rows(ROWS) == rows


def test_a_flipped_bit_in_a_cached_result_is_found(loaded: Platform):
    cache = ResultCache(loaded.data_dir / "integration_cache", 10**9)
    cache.store("request", "input", {"prices": pa.table({"close": [1.0, 2.0]})}, {})
    assert _flatfiles("verify")[0] == 0
    flip_a_bit(loaded.data_dir / "integration_cache" / "request" / "input" / "prices.arrow")
    code, output = _flatfiles("verify")
    assert code == 1
    assert "the cached result request/input" in output


def test_folders_that_killed_processes_left_in_the_cache_of_results_are_swept(tmp_path: Path):
    cache = ResultCache(tmp_path, 10**9)
    left, new = tmp_path / ".dead", tmp_path / ".alive"
    for folder in (left, new):
        folder.mkdir()
    os.utime(left, (1, 1))
    cache.store("request", "input", {}, {})
    assert not left.exists()
    assert new.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_ranges_side_by_side_make_the_same(loaded: Platform, monkeypatch: pytest.MonkeyPatch):
    rows, files = loaded.rows(ROWS), loaded.rows(FILES)
    monkeypatch.setattr(rebuilding, "_FEWEST_SESSIONS_A_PROCESS", 1)
    code, output = _flatfiles("rebuild", "--workers", "2")
    assert code == 0, output
    assert "3 sessions in 2 ranges" in output
    assert loaded.rows(ROWS) == rows
    assert loaded.rows(FILES) == files
    assert _recorded(loaded) == {"market": 3, "raw": 3}

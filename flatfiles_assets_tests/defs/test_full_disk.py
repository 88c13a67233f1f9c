"""A disk that is full at any moment loses nothing, holds nobody up, and is no reason not to read.

The disk is a tmpfs of some size, which is made larger afterwards, as an operator makes room.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from flatfiles_assets.cli import main
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.vendor_files import object_key, vendor_file
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets_tests.platform import Platform

MARKET = SyntheticMarket(n_symbols=2_000)
DAYS = ["2024-01-02", "2024-01-03", "2024-01-04"]
BACKFILL = ("backfill", "stocks_daily", "--start", DAYS[0], "--end", DAYS[-1])
FEW_SIZES = (400, 1_200, 2_100)
# The time limit of a waiting writer is short here: what holds up, holds up for ever.
LIMIT_SECONDS = "20"


@pytest.fixture
def disk(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A platform whose data directory is a file system of its own."""
    platform.data_dir.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(platform.data_dir)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine permits no mounts")
    monkeypatch.setenv("FLATFILES_LOCK_TIMEOUT_SECONDS", LIMIT_SECONDS)
    for day in DAYS:
        body = vendor_file(MARKET.day_bars(dt.date.fromisoformat(day)))
        key = object_key("stocks_daily", dt.date.fromisoformat(day))
        platform.server.client().put_object(Bucket=platform.bucket, Key=key, Body=body)
    try:
        yield platform
    finally:
        subprocess.run(["umount", "-l", platform.data_dir], check=True)


def _resize(disk: Platform, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk.data_dir], check=True)


def _flatfiles(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def _is_whole_afterwards(disk: Platform) -> None:
    code, output = _flatfiles(*BACKFILL)
    assert code == 0, output
    stored = "SELECT count(*), count(DISTINCT trade_date) FROM market.stocks_daily"
    assert disk.rows(stored) == disk.rows("SELECT sum(rows_accepted), count(*) FROM market.files")
    assert '"present": 3' in _flatfiles("status", "stocks_daily", "--json")[1]
    code, output = _flatfiles("verify")
    assert code == 0, output


def _try_with(disk: Platform, options: str) -> None:
    for left in disk.data_dir.iterdir():
        shutil.rmtree(left)
    _resize(disk, options)
    code, output = _flatfiles(*BACKFILL)
    assert code in (0, 1), output
    assert len(output.splitlines()) < 30, output
    _resize(disk, "size=64m,nr_inodes=100000")
    _is_whole_afterwards(disk)


@pytest.mark.parametrize("kilobytes", FEW_SIZES)
def test_after_a_full_disk_the_next_backfill_completes_everything(disk: Platform, kilobytes: int):
    _try_with(disk, f"size={kilobytes}k")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_after_a_disk_full_at_any_size_the_next_backfill_completes_everything(disk: Platform):
    for kilobytes in range(300, 3_001, 100):
        _try_with(disk, f"size={kilobytes}k")


@pytest.mark.parametrize("inodes", [20, 32])
def test_after_a_disk_without_inodes_the_next_backfill_completes_everything(disk: Platform, inodes: int):
    _try_with(disk, f"nr_inodes={inodes}")


def _fill(disk: Platform) -> Path:
    """Take what room there is."""
    ballast = disk.data_dir / "ballast"
    for size in (65_536, 4_096):
        try:
            with ballast.open("ab", buffering=0) as file:
                while True:
                    file.write(b"x" * size)
        except OSError:
            continue
    return ballast


def test_on_a_full_disk_everything_is_read_and_pruning_makes_room(disk: Platform):
    assert _flatfiles(*BACKFILL)[0] == 0
    rows = disk.rows("SELECT count(*) FROM market.stocks_daily")
    ballast = _fill(disk)

    assert disk.rows("SELECT count(*) FROM market.stocks_daily") == rows
    assert _flatfiles("sql", "SELECT 1")[0] == 0
    code, output = _flatfiles("status", "stocks_daily", "--json")
    assert code == 0
    assert '"present": 3' in output
    code, output = _flatfiles(*BACKFILL, "--reload")
    assert code == 1
    _fill(disk)

    code, output = _flatfiles("prune", "--older-than", "30", "--yes")
    assert code == 0, output
    assert not list((disk.data_dir / "flatfiles_cache" / "us_stocks_sip").rglob("*.csv.gz"))
    with FileCache(disk.data_dir / "flatfiles_cache") as cache:
        assert len(cache.ledger.pruned(entry.key for entry in cache.ledger.entries())) == 3
    ballast.unlink()
    _is_whole_afterwards(disk)

"""Pipes, sockets, folders and links in a circle where a file belongs: named at once, waited for never."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.errors import LedgerFailed
from flatfiles_assets.download.ledger import Ledger, LedgerEntry
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import WarehouseError, WarehouseMissing
from flatfiles_assets.warehouse.verification import verify_warehouse
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes in folders")


def _socket(path: Path) -> None:
    # Names of sockets are short, whatever the folder's is.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


KINDS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a folder": Path.mkdir,
    "a link in a circle": lambda path: path.symlink_to(path.name),
}
kinds = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


@kinds
def test_in_the_place_of_the_warehouse_it_is_named_to_readers_writers_and_verify(
    tmp_path: Path, make: Callable
):
    path = tmp_path / "warehouse.duckdb"
    make(path)
    for ask in (
        lambda: Warehouse(path, 1).reader().sql("SELECT 1"),
        lambda: Warehouse(path, 1).writer("a test").__enter__(),
    ):
        with pytest.raises(WarehouseError, match=r"no regular file|leads nowhere") as caught:
            ask()
        assert not isinstance(caught.value, WarehouseMissing)
    if not path.is_symlink():
        (finding,) = verify_warehouse(Warehouse(path, 1), [])
        assert "rebuild" in finding.next_step


@kinds
def test_in_the_place_of_the_ledger_it_is_no_empty_ledger(tmp_path: Path, make: Callable):
    make(tmp_path / "ledger.sqlite")
    with pytest.raises(LedgerFailed, match="it is"):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_ledger_that_is_a_link_to_nothing_is_not_taken_for_an_empty_one(tmp_path: Path):
    (tmp_path / "ledger.sqlite").symlink_to(tmp_path / "volume" / "ledger.sqlite")
    with pytest.raises(LedgerFailed, match="leads nowhere"):
        Ledger(tmp_path / "ledger.sqlite")


@kinds
def test_in_the_place_of_a_mirrored_file_it_is_no_good_copy(tmp_path: Path, make: Callable):
    with FileCache(tmp_path) as cache:
        make(tmp_path / "a.csv")
        entry = LedgerEntry("a.csv", None, 0, "0" * 64, None, None, 1, "downloaded", mtime_ns=1)
        cache.ledger.record(entry)
        (found,) = cache.verify()
        assert found.status == "missing"
        assert cache.stored(entry) is None


def test_from_a_working_directory_that_was_removed_the_data_are_still_read(tmp_path: Path):
    script = (
        "import os, sys, tempfile\n"
        "from click.testing import CliRunner\n"
        "from flatfiles_assets.cli import main\n"
        "folder = tempfile.mkdtemp()\n"
        "os.chdir(folder); os.rmdir(folder)\n"
        "arguments = 'status stocks_daily --start 2024-01-02 --end 2024-01-05'.split()\n"
        "found = CliRunner().invoke(main, arguments)\n"
        "print(found.output); sys.exit(found.exit_code)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, "FLATFILES_DATA_DIR": str(tmp_path / "data")},
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "4" in found.stdout

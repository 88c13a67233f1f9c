"""A warehouse where there was none: whole under its name, or not there at all.

Here: making the file under another name, and what killed processes left beside a warehouse. Not here:
opening it (`database.py`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import duckdb

from flatfiles_assets.download.descriptors import sync_folder
from flatfiles_assets.escaping import literal, quoted
from flatfiles_assets.warehouse.errors import WarehouseDamaged, WarehouseError
from flatfiles_assets.warehouse.table import CATALOG, MARKET
from flatfiles_assets.warehouse.versions import record_versions

#: The storage format of every file that we make: the newest that every supported DuckDB can read.
STORAGE_VERSION = "v1.5.0"

#: After the warehouse's name, a folder for rows that did not fit into memory; then whose.
SPILL_SUFFIX = ".spill"
#: After the warehouse's name, a file that is not whole yet; then whose.
UNFINISHED_SUFFIX = ".unfinished"

# DuckDB's three headers, which it writes before anything else: a shorter file never held a row.
_HEADERS_BYTES = 3 * 4096


_KINDS = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}


def is_there(path: Path) -> bool:
    """Whether there is a warehouse: not merely the beginning of one, as earlier versions could leave it.

    Raises:
        WarehouseError: Something else than a file is in its place.
        WarehouseDamaged: The beginning has a log of changes, so it was once more.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise WarehouseError(
            "the warehouse is no regular file",
            where=str(path),
            why=f"it is a {_KINDS.get(stat.S_IFMT(status.st_mode), 'device')}",
            next_step="move it away; `flatfiles rebuild` makes the warehouse anew from the files on disk",
        )
    size_bytes = status.st_size
    if size_bytes >= _HEADERS_BYTES:
        return True
    log = path.with_name(f"{path.name}.wal")
    if log.exists() and log.stat().st_size:
        raise damaged(path, f"it has {size_bytes} bytes, and changes are logged beside it")
    return False


def make_warehouse(path: Path) -> None:
    """Make an empty warehouse; others see all of it or nothing.

    Raises:
        WarehouseError: DuckDB could not make it.
    """
    unfinished = unfinished_name(path)
    with (
        made_beside(
            path,
            unfinished,
            "the warehouse cannot be made",
            "check the folder's permissions and the free space",
        ),
        duckdb.connect() as connection,
    ):
        connection.execute(
            f"ATTACH {literal(str(unfinished))} AS {CATALOG} (STORAGE_VERSION '{STORAGE_VERSION}')"
        )
        connection.execute(f"CREATE SCHEMA {CATALOG}.{quoted(MARKET)}")
        record_versions(connection)
        connection.execute(f"DETACH {CATALOG}")


@contextlib.contextmanager
def made_beside(path: Path, unfinished: Path, failure: str, next_step: str) -> Iterator[None]:
    """Inside, a file of DuckDB's is made under another name; at the end it takes the warehouse's.

    Args:
        path: The warehouse, which stays as it is until then.
        unfinished: The other name, in the same folder; whatever is there is removed first and last.
        failure: What to say of an error of DuckDB's.
        next_step: What to do about it.

    Raises:
        WarehouseError: DuckDB could not make the file.
    """
    try:
        remove_database(unfinished)
        yield
        put_in_place(unfinished, path)
    except duckdb.Error as error:
        raise WarehouseError(failure, where=str(path), why=str(error), next_step=next_step) from error
    finally:
        remove_database(unfinished)


def unfinished_name(path: Path) -> Path:
    """A name beside a warehouse for one that is being made, by this process alone."""
    return path.with_name(f"{path.name}{UNFINISHED_SUFFIX}-{os.getpid()}-{secrets.token_hex(4)}")


def put_in_place(finished: Path, path: Path) -> None:
    """Give a file, closed and whole, the warehouse's name, for good even after a power cut."""
    with finished.open("rb") as file:
        os.fsync(file.fileno())
    finished.replace(path)
    sync_folder(path.parent)


def remove_database(path: Path) -> None:
    """Remove a file of DuckDB's and its log."""
    for each in (path, path.with_name(f"{path.name}.wal")):
        each.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """Remove what killed processes left beside a warehouse; only for whoever has the write turn."""
    for left in path.parent.glob(f"{path.name}.*"):
        suffix = left.name[len(path.name) :]
        if suffix.startswith((f"{SPILL_SUFFIX}-", UNFINISHED_SUFFIX, ".compacted")) or suffix == SPILL_SUFFIX:
            with contextlib.suppress(OSError):
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def damaged(path: Path | str, why: str) -> WarehouseDamaged:
    """The error for a file whose contents are not what DuckDB wrote."""
    return WarehouseDamaged(
        "the warehouse is damaged",
        where=str(path),
        why=why,
        next_step="`flatfiles rebuild` makes it anew from the files on disk, without the network; "
        "`flatfiles restore` brings a backup back",
    )

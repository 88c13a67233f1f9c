"""Keeping the disk small: raw files whose rows are safe, and the warehouse without its holes.

Here: what may be pruned, pruning, bringing back, compacting. Not here: questions to the user
(`cli/prune.py`, `cli/compact.py`).

A pruned file's record stays in the ledger. Syncs go on comparing it with the bucket: the same object
is not fetched again, a replaced one is. It is fetched again when its rows are needed again: with
``reload``, or when the warehouse does not hold them any more.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from flatfiles_assets.datasets import Dataset
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.errors import LedgerFailed
from flatfiles_assets.download.ledger_file import is_full
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.escaping import literal
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.database import must_be_there
from flatfiles_assets.warehouse.evidence import session_figures
from flatfiles_assets.warehouse.inventory import loaded_sessions
from flatfiles_assets.warehouse.loading import current_sessions
from flatfiles_assets.warehouse.locking import FileQueue
from flatfiles_assets.warehouse.new_file import STORAGE_VERSION, made_beside
from flatfiles_assets.warehouse.tables import get_table


@dataclasses.dataclass(frozen=True)
class PrunableFile:
    """A raw file whose rows the warehouse holds, all of them.

    Attributes:
        key: Its key.
        session: Its session.
        path: Where it lies.
        size_bytes: What removing it frees.
        sha256: Its checksum, in the ledger and in ``market.files``.
    """

    key: str
    session: dt.date
    path: Path
    size_bytes: int
    sha256: str


def prunable_files(
    dataset: Dataset, catalog: S3Catalog, cache: FileCache, warehouse: Warehouse, before: dt.date
) -> list[PrunableFile]:
    """The files of a feed that can be removed without losing a row, oldest first.

    A file counts when the warehouse was loaded from these very bytes, by SHA-256, and the table still
    has every row that was accepted then.

    Args:
        dataset: The feed.
        catalog: Sessions to keys.
        cache: Where the files are.
        warehouse: Where the rows are.
        before: Only files of sessions before this day.
    """
    with warehouse.reader() as reader:
        loaded = {day: line for day, line in loaded_sessions(reader, dataset.name).items() if day < before}
        stored = session_figures(reader, get_table(("market", dataset.name)), (), list(loaded))
    keys = {day: catalog.get_key(dataset.name, day) for day in loaded}
    entries = cache.ledger.get_many(list(keys.values()))
    found = []
    for day, line in loaded.items():
        entry = entries.get(keys[day])
        rows = stored[day].rows if day in stored else 0
        if entry is None or entry.sha256 != line.sha256 or rows != line.rows_accepted:
            continue
        path = cache.path(entry.key)
        if path.is_file():
            found.append(PrunableFile(entry.key, day, path, path.stat().st_size, line.sha256))
    return found


def prune(cache: FileCache, files: Sequence[PrunableFile]) -> int:
    """Remove files and note it in the ledger; returns the bytes freed."""
    removed_first = 0
    while True:
        try:
            # Noted first: a process killed in between leaves files that are merely still there.
            cache.ledger.mark_pruned({file.key: file.sha256 for file in files})
            break
        except LedgerFailed as error:
            if removed_first == len(files) or not is_full(error.__cause__):
                raise
            # No room even for the note: what a process killed now has removed is fetched again.
            files[removed_first].path.unlink(missing_ok=True)
            removed_first += 1
    for file in files:
        file.path.unlink(missing_ok=True)
    return sum(file.size_bytes for file in files)


def restore_pruned(
    dataset: Dataset,
    keys: Mapping[dt.date, str],
    cache: FileCache,
    warehouse: Warehouse,
    *,
    reload: bool,
) -> None:
    """Let the next fetch bring back the pruned files whose rows have to be loaded again.

    Args:
        dataset: The feed.
        keys: Sessions and keys that are about to be fetched or loaded.
        cache: Where the files were.
        warehouse: Where their rows should be.
        reload: Whether all of them are to be loaded again.
    """
    pruned = cache.ledger.pruned(keys.values())
    if not pruned:
        return
    held: Mapping[str, str] = {}
    if not reload:
        known = current_sessions(warehouse, dataset)
        held = {keys[day]: file.sha256 for day, file in known.items() if day in keys}
    cache.ledger.unmark_pruned(key for key, sha256 in pruned.items() if held.get(key) != sha256)


def compact(warehouse: Warehouse) -> tuple[int, int]:
    """Write the warehouse anew without the space that deleted rows left, in place of the old file.

    Readers and writers wait meanwhile; a process that dies leaves the old file as it was. It needs as
    much free disk as the result.

    Returns:
        Sizes before and after, bytes.

    Raises:
        WarehouseMissing: There is no warehouse.
        WarehouseBusy: Somebody else held it for longer than the limit.
        WarehouseError: DuckDB could not copy it; the old file stays.
    """
    path = warehouse.path
    must_be_there(path)
    queue = FileQueue(path.with_name(f"{path.name}.queue"), path)
    fresh = path.with_name(f"{path.name}.compacted")
    with queue.turn("write", "compacting", warehouse.lock_timeout_seconds):
        size_before = path.stat().st_size
        with (
            made_beside(
                path,
                fresh,
                "the warehouse could not be compacted; it is as it was",
                "make room on the disk, close what else has the file open, and try again",
            ),
            duckdb.connect() as connection,
        ):
            connection.execute(f"ATTACH {literal(str(path))} AS old")
            # Rows of the log that a killed writer left are in the file before it is copied.
            connection.execute("CHECKPOINT old")
            options = f"STORAGE_VERSION '{STORAGE_VERSION}'"
            connection.execute(f"ATTACH {literal(str(fresh))} AS fresh ({options})")
            connection.execute("COPY FROM DATABASE old TO fresh")
            connection.execute("DETACH fresh")
            connection.execute("DETACH old")
        return size_before, path.stat().st_size

"""Backups: the warehouse, the ledgers and Dagster's records, taken while everybody works.

Here: taking, checking and bringing back. Not here: the mirrors' files, which the stores have, and
which `flatfiles verify` compares with the ledgers.

A backup is a folder with the files of the data directory under their names, and ``backup.json`` with
the checksum of each. It has its final name only when it is whole.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TypedDict

from flatfiles_assets import __version__
from flatfiles_assets.download.cache import METADATA_FOLDER
from flatfiles_assets.download.ledger_file import read_only_uri
from flatfiles_assets.download.replaced_files import FOLDER as FOLDER_OF_REPLACED
from flatfiles_assets.errors import FlatFilesError, InvalidArgument
from flatfiles_assets.living import process_lives
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import BackupDamaged
from flatfiles_assets.warehouse.locking import FileQueue
from flatfiles_assets.warehouse.new_file import is_there
from flatfiles_assets.warehouse.verification import Finding, verify_sqlite, verify_warehouse
from flatfiles_assets.warehouse.versions import FORMAT_VERSION
from flatfiles_assets.whole_files import sha256_of, write_json

CONTENTS = "backup.json"
_UNFINISHED = ".unfinished"
_SQLITE_HEADER = b"SQLite format 3\0"
# Made anew by whoever opens the databases, or of no use without the process that made them.
_PASSING = ("-wal", "-shm", "-journal", ".alive", ".lock", ".opening")


@dataclasses.dataclass(frozen=True)
class Backup:
    """A backup that was taken or brought back.

    Attributes:
        path: Its folder.
        files: How many files it has.
        size_bytes: Their size.
        taken_at: When, UTC.
    """

    path: Path
    files: int
    size_bytes: int
    taken_at: dt.datetime


class _Contents(TypedDict):
    """What ``backup.json`` holds."""

    taken_at: str
    package: str
    format: int
    files: dict[str, str]


def take_backup(settings: Settings, warehouse: Warehouse, place: Path) -> Backup:
    """Copy warehouse, ledgers and Dagster's records into a new folder below `place`, and check the copies.

    Readers go on; writers of the warehouse wait while it is copied. SQLite copies its own databases
    while they are being written.

    Raises:
        WarehouseBusy: A writer holds the warehouse for longer than the limit.
        BackupDamaged: A copy is not whole: what it was made from is damaged; nothing is kept.
    """
    taken_at = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
    place.mkdir(parents=True, exist_ok=True)
    for left in place.glob(f"*{_UNFINISHED}"):
        if _is_dead(left):
            shutil.rmtree(left, ignore_errors=True)
    name = f"{taken_at:%Y-%m-%dT%H%M%SZ}"
    unfinished = place / f"{name}-{os.getpid()}-{secrets.token_hex(2)}{_UNFINISHED}"
    unfinished.mkdir()
    try:
        _copy_warehouse(warehouse, unfinished / "warehouse" / warehouse.path.name)
        for source in _other_files(settings):
            _copy(source, unfinished / _place_of(source, settings))
        backup = _write_contents(unfinished, taken_at)
        check_backup(unfinished)
        final = _free_name(place, name)
        unfinished.rename(final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return dataclasses.replace(backup, path=final)


def check_backup(folder: Path) -> Backup:
    """Read every byte of a backup, and every table and database in it.

    Raises:
        InvalidArgument: There is no backup.
        BackupDamaged: Something in it is not what was backed up.
    """
    contents = _contents(folder)
    for name, sha256 in contents["files"].items():
        path = folder / name
        if not path.is_file() or _sha256(path) != sha256:
            raise _damaged(path, "its bytes are not those that were backed up")
    problems: list[Finding] = []
    for name in contents["files"]:
        path = folder / name
        if path.suffix == ".duckdb":
            problems += verify_warehouse(_unqueued(path), ())
        elif _is_sqlite(path):
            problems += verify_sqlite(path)
    for problem in problems:
        raise _damaged(folder / problem.what, problem.detail)
    sizes = [(folder / name).stat().st_size for name in contents["files"]]
    return Backup(folder, len(sizes), sum(sizes), dt.datetime.fromisoformat(contents["taken_at"]))


def restore_backup(settings: Settings, warehouse: Warehouse, folder: Path) -> tuple[Backup, list[Path]]:
    """Bring a backup back, checked before and after; what is in its place is kept beside it.

    Processes that load must have ended: they would go on writing into the files that are put aside.

    Returns:
        The backup, and where what was there before is now.

    Raises:
        InvalidArgument, BackupDamaged: As `check_backup`; nothing was changed.
        WarehouseBusy: Somebody holds the warehouse for longer than the limit.
    """
    backup = check_backup(folder)
    names = list(_contents(folder)["files"])
    stamp = f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%dT%H%M%SZ}"
    staged: list[tuple[Path, Path]] = []
    queue = FileQueue(warehouse.path.with_name(f"{warehouse.path.name}.queue"), warehouse.path)
    try:
        with queue.turn("write", "restoring a backup", warehouse.lock_timeout_seconds):
            for name in names:
                target = _target(name, settings, warehouse)
                target.parent.mkdir(parents=True, exist_ok=True)
                copy = target.with_name(f"{target.name}.{secrets.token_hex(4)}.restoring")
                shutil.copyfile(folder / name, copy)
                staged.append((copy, target))
            # Every copy is there: from here on only names change.
            aside = [kept for _, target in staged for kept in _put_aside(target, stamp)]
            for copy, target in staged:
                copy.replace(target)
    finally:
        for copy, _ in staged:
            copy.unlink(missing_ok=True)
    contents = _contents(folder)
    for name in names:
        target = _target(name, settings, warehouse)
        if _sha256(target) != contents["files"][name]:
            raise _damaged(target, "what was written back is not what the backup holds")
    return backup, aside


def _copy_warehouse(warehouse: Warehouse, target: Path) -> None:
    if not is_there(warehouse.path):
        return
    target.parent.mkdir(parents=True)
    queue = FileQueue(warehouse.path.with_name(f"{warehouse.path.name}.queue"), warehouse.path)
    with queue.turn("read", "a backup", warehouse.lock_timeout_seconds):
        # Nobody writes meanwhile. A killed writer's log belongs to the file.
        for suffix in ("", ".wal"):
            source = warehouse.path.with_name(warehouse.path.name + suffix)
            if source.exists():
                shutil.copyfile(source, target.with_name(target.name + suffix))


def _other_files(settings: Settings) -> Iterator[Path]:
    """The ledgers and what else the mirrors know of themselves, and Dagster's records."""
    for folder in (
        settings.flatfiles_cache_dir / METADATA_FOLDER,
        settings.minio_cache_dir / METADATA_FOLDER,
        settings.dagster_home,
    ):
        for path in sorted(folder.rglob("*")):
            logs = folder == settings.dagster_home and path.relative_to(folder).parts[0] == "storage"
            raw = folder != settings.dagster_home and path.parent == folder / FOLDER_OF_REPLACED
            if path.is_file() and not logs and not raw and not path.name.endswith(_PASSING):
                yield path


def _place_of(path: Path, settings: Settings) -> Path:
    if path.is_relative_to(settings.dagster_home):
        return Path("dagster_home") / path.relative_to(settings.dagster_home)
    return path.relative_to(settings.data_dir)


def _target(name: str, settings: Settings, warehouse: Warehouse) -> Path:
    place = Path(name)
    if place.is_absolute() or ".." in place.parts:
        raise _damaged(place, "the name leads out of the backup")
    if place.parts[0] == "warehouse":
        return warehouse.path.with_name(place.name)
    if place.parts[0] == "dagster_home":
        return settings.dagster_home.joinpath(*place.parts[1:])
    return settings.data_dir / place


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not _is_sqlite(source):
        with suppress(FileNotFoundError):  # Another process is done with it.
            shutil.copyfile(source, target)
        return
    try:
        with (
            closing(sqlite3.connect(read_only_uri(source), uri=True, timeout=60)) as live,
            closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy)
    except sqlite3.Error as error:
        raise _damaged(source, f"SQLite: {error}") from error


def _put_aside(target: Path, stamp: str) -> Iterator[Path]:
    for suffix in ("", ".wal", "-wal", "-shm"):
        path = target.with_name(target.name + suffix)
        if not path.exists():
            continue
        kept = path.with_name(f"{path.name}.before-restore-{stamp}")
        path.rename(kept)
        yield kept


def _write_contents(folder: Path, taken_at: dt.datetime) -> Backup:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    contents: _Contents = {
        "taken_at": taken_at.isoformat(),
        "package": __version__,
        "format": FORMAT_VERSION,
        "files": {path.relative_to(folder).as_posix(): _sha256(path) for path in files},
    }
    write_json(folder / CONTENTS, contents)
    return Backup(folder, len(files), sum(path.stat().st_size for path in files), taken_at)


def _contents(folder: Path) -> _Contents:
    try:
        contents: _Contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        found = sorted(path.parent.name for path in folder.glob(f"*/{CONTENTS}"))
        raise InvalidArgument(
            "there is no backup",
            where=str(folder),
            next_step=f"name one of the folders in it: {', '.join(found[-5:])}" if found else None,
        ) from None
    except ValueError as error:
        raise _damaged(folder / CONTENTS, str(error)) from None
    if contents["format"] > FORMAT_VERSION:
        raise InvalidArgument(
            "the backup was made by a newer version of this package",
            where=str(folder),
            why=f"it is of flatfiles_assets {contents['package']}; this is {__version__}",
            next_step="install that version, or a later one",
        )
    return contents


def _unqueued(path: Path) -> Warehouse:
    return Warehouse(path, lock_timeout_seconds=60)


def _free_name(place: Path, name: str) -> Path:
    path, number = place / name, 1
    while path.exists():
        number += 1
        path = place / f"{name}-{number}"
    return path


def _is_dead(left: Path) -> bool:
    with suppress(ValueError, IndexError):
        return not process_lives(int(left.name.split("-")[-2]))
    return False


def _is_sqlite(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return sha256_of(file)[0]


def _damaged(path: Path, why: str) -> FlatFilesError:
    return BackupDamaged(
        "the backup is not whole",
        where=str(path),
        why=why,
        next_step="use another backup, or `flatfiles rebuild`, which makes everything anew from the files "
        "on disk",
    )

"""Putting a whole folder in the place of another in one step.

Here: `replace_folder`, working folders and what killed processes leave of them. A reader, and a
process that is killed at any moment, finds the old folder or the new one. Not here: what the folders
hold.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# The kernel has no such call, or the file system does not do it.
_CANNOT_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EOPNOTSUPP}


@contextlib.contextmanager
def working_folder(target: Path) -> Iterator[Path]:
    """A new folder beside the target, removed at the end unless it was moved away.

    What killed processes left beside the target is removed first; a living process's folder is
    locked, and stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    restore(target)
    for leftover in target.parent.glob(f".{_escaped(target.name)}.*.extracting"):
        _remove_if_dead(leftover)
    room, lock = _create_locked(target)
    folder = room / "files"
    try:
        folder.mkdir()
        yield folder
    finally:
        # Its files first, while nobody else may; the lock's own file last, for some systems keep open ones.
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        shutil.rmtree(room, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Give `new` the name `target`; a folder that has it is removed.

    Args:
        new: A whole folder on the same file system.
        target: Its place; may exist or not.
    """
    if not target.exists():
        new.rename(target)
    elif _exchanged(new, target):
        shutil.rmtree(new, ignore_errors=True)
    else:
        _replace_in_two_steps(new, target)
    _sync_folder(target.parent)


def restore(target: Path) -> None:
    """Finish what a process killed between the two steps of a replacement left: the old state."""
    retired = _retired(target)
    if retired.exists():
        if target.exists():
            shutil.rmtree(retired, ignore_errors=True)
        else:
            retired.rename(target)


def _replace_in_two_steps(new: Path, target: Path) -> None:
    """Without an exchange, readers may miss the folder for an instant; `restore` brings it back."""
    restore(target)
    retired = _retired(target)
    target.rename(retired)
    new.rename(target)
    shutil.rmtree(retired, ignore_errors=True)


def _retired(target: Path) -> Path:
    return target.with_name(f".{target.name}.retired")


def _exchanged(new: Path, target: Path) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if exchange is None:
        return False
    if exchange(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(target))


def _create_locked(target: Path) -> tuple[Path, FileLock]:
    while True:
        room = target.with_name(f".{target.name}.{secrets.token_hex(6)}.extracting")
        room.mkdir()
        # A cleaner may find it between its creation and its lock, and lock or remove it.
        with contextlib.suppress(FileNotFoundError, Timeout):
            lock = _lock_of(room)
            lock.acquire(blocking=False)
            if Path(lock.lock_file).exists():
                return room, lock
            lock.release()


def _lock_of(room: Path) -> FileLock:
    # Whoever extracts may hand the folder to another thread.
    return FileLock(room / "lock", thread_local=False)


def _remove_if_dead(room: Path) -> None:
    lock = _lock_of(room)
    try:
        lock.acquire(blocking=False)
    except (Timeout, FileNotFoundError):
        return
    shutil.rmtree(room, ignore_errors=True)
    lock.release()
    shutil.rmtree(room, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows opens no folder for this.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)

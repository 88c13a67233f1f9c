"""Files that appear whole or not at all.

Here: temporary names, their locks, renaming, and what a killed run leaves behind. An open temporary
file is locked with `flock`, which the kernel releases when its process dies: whoever can lock one
may remove it. Not here: what the files hold, and systems without `flock` (`descriptors.py`).
"""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path

from flatfiles_assets.download.descriptors import BINARY, OPEN_FILES_ARE_PINNED, sync_data, try_lock

_TEMPORARY = re.compile(r"^\..+\.\d+-[0-9a-f]{8}\.tmp$")
_PARTIAL = re.compile(r"^\..+\.partial(\.json)?$")
PARTIAL_LIFETIME_SECONDS = 7 * 24 * 3600


def is_reserved_name(name: str) -> bool:
    """Whether a file's name is one that this module gives to unfinished files."""
    return bool(_TEMPORARY.match(name) or _PARTIAL.match(name))


class TemporaryFile:
    """A new file beside its final place, renamed by `commit` or removed by `discard`."""

    def __init__(self, final_path: Path) -> None:
        self._final_path = os.fspath(final_path)
        self.path, self.descriptor = _create(self._final_path)
        self._closed = False

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]

    def commit(self) -> int:
        """Flush, rename to the final name and close.

        Returns:
            The file's modification time, nanoseconds since 1970.
        """
        # Data and length, which make the file whole; a lost modification time costs one more hashing.
        sync_data(self.descriptor)
        mtime_ns = os.fstat(self.descriptor).st_mtime_ns
        if OPEN_FILES_ARE_PINNED:
            self._close()
        os.replace(self.path, self._final_path)  # noqa: PTH105
        self._close()
        return mtime_ns

    def discard(self) -> None:
        """Remove the file, unless it is committed."""
        if not self._closed:
            if OPEN_FILES_ARE_PINNED:
                self._close()
            Path(self.path).unlink(missing_ok=True)
            self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self.descriptor)


# Strings, since a path object for every step would cost as much as the steps.
def _create(final_path: str) -> tuple[str, int]:
    folder, name = os.path.split(final_path)
    while True:
        path = os.path.join(folder, f".{name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")  # noqa: PTH118
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY, 0o644)
        # A cleaner may have found it between its creation and its lock.
        if try_lock(descriptor) and os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)


def remove_orphans(folder: Path) -> list[Path]:
    """Remove from one folder the temporary files whose process is dead.

    Partial files of ranged transfers are kept for `PARTIAL_LIFETIME_SECONDS`, for they can be resumed.

    Returns:
        The files removed.
    """
    removed = []
    for entry in os.scandir(folder):
        is_partial = bool(_PARTIAL.match(entry.name))
        if not (is_partial or _TEMPORARY.match(entry.name)):
            continue
        try:
            if is_partial and time.time() - entry.stat().st_mtime < PARTIAL_LIFETIME_SECONDS:
                continue
            if _remove_if_dead(entry.path):
                removed.append(Path(entry.path))
        except FileNotFoundError:
            continue
    return removed


def _remove_if_dead(path: str) -> bool:
    if OPEN_FILES_ARE_PINNED:
        try:
            Path(path).unlink()
        except PermissionError:
            return False
        return True
    descriptor = os.open(path, os.O_RDWR)
    try:
        if not try_lock(descriptor):
            return False
        Path(path).unlink()
        return True
    finally:
        os.close(descriptor)

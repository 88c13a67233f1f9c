"""Open files by their descriptors, alike on every system: locks, reads and writes in place, flushes.

Here: what Linux has as one call and another system lacks. Windows has no `flock`, no positioned reads
and writes, and no folders that can be flushed; macOS has no `fdatasync`. Nothing here is chosen at
import but what `os` has. Not here: what the files are (`atomic_files.py`, `partial_file.py`).
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    _HAS_FLOCK = False
else:
    _HAS_FLOCK = True

#: An open file can be neither renamed nor removed there.
OPEN_FILES_ARE_PINNED = os.name == "nt"

#: Or Windows would take 0x1A for the end of a file, and write two bytes for a line feed.
BINARY = getattr(os, "O_BINARY", 0)

_seeking = threading.Lock()


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file without waiting; False where a live process holds it.

    The kernel releases it when the process dies. Without `flock`, an open file cannot be removed by
    others, which is what the lock is for: there it always succeeds.
    """
    if not _HAS_FLOCK:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync_data(descriptor: int) -> None:
    """Have an open file's bytes and length on disk."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames within a folder survive a power cut, where a folder can be opened for it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        if os.name == "nt":
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_at(descriptor: int, size_bytes: int, offset: int) -> bytes:
    """Up to so many bytes from an offset; empty at the end."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size_bytes, offset)
    with _seeking:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size_bytes)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Put all bytes at an offset."""
    view = memoryview(data)
    while view:
        if hasattr(os, "pwrite"):
            written = os.pwrite(descriptor, view, offset)
        else:
            with _seeking:
                os.lseek(descriptor, offset, os.SEEK_SET)
                written = os.write(descriptor, view)
        view, offset = view[written:], offset + written

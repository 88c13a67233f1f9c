"""A large object arriving in parts, resumable by the next process.

Here: the partial file, and beside it the list of its finished parts. Not here: requests
(`transfer.py`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from pathlib import Path

from flatfiles_assets.download.atomic_files import TemporaryFile
from flatfiles_assets.download.descriptors import (
    BINARY,
    OPEN_FILES_ARE_PINNED,
    sync_data,
    try_lock,
    write_at,
)


@dataclasses.dataclass(frozen=True)
class Part:
    """A range of an object: first byte and the byte after its last."""

    start: int
    end: int


class PartialFile:
    """The file ``.<name>.partial``, owned through a lock, valid for one ETag.

    Parts whose data are on disk are listed in ``.<name>.partial.json``. A list made for another ETag
    or size is forgotten, and so are its data.
    """

    def __init__(self, path: Path, descriptor: int, *, etag: str, size_bytes: int, part_bytes: int) -> None:
        self.final_path = path
        self.path = _partial_path(path)
        self.descriptor = descriptor
        self._closed = False
        self._identity = {"etag": etag, "size_bytes": size_bytes, "part_bytes": part_bytes}
        self._size_bytes = size_bytes
        self._part_bytes = part_bytes
        self._finishing = threading.Lock()
        self._finished = self._load()
        if not self._finished:
            # First, or what an earlier file left would be taken for a list of these parts.
            _sidecar_path(path).unlink(missing_ok=True)
            os.ftruncate(descriptor, 0)
            os.ftruncate(descriptor, size_bytes)

    @classmethod
    def open(cls, path: Path, *, etag: str, size_bytes: int, part_bytes: int) -> PartialFile | None:
        """The partial file of a path, with what an earlier run left in it.

        Returns:
            None where another live transfer owns it.
        """
        partial = _partial_path(path)
        while True:
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | BINARY, 0o644)
            if not try_lock(descriptor):
                os.close(descriptor)
                return None
            try:
                # Its former owner may have renamed or removed it before releasing the lock.
                if partial.stat().st_ino == os.fstat(descriptor).st_ino:
                    return cls(path, descriptor, etag=etag, size_bytes=size_bytes, part_bytes=part_bytes)
            except FileNotFoundError:
                pass
            os.close(descriptor)

    def missing_parts(self) -> list[Part]:
        """The parts that are still to be fetched, in order."""
        starts = range(0, self._size_bytes, self._part_bytes)
        return [
            Part(start, min(start + self._part_bytes, self._size_bytes))
            for start in starts
            if start not in self._finished
        ]

    def write(self, data: bytes, offset: int) -> None:
        """Put bytes at their place."""
        write_at(self.descriptor, data, offset)

    def finish_part(self, part: Part) -> None:
        """Record that a part is complete and on disk."""
        sync_data(self.descriptor)
        with self._finishing:
            self._finished.add(part.start)
            sidecar = TemporaryFile(_sidecar_path(self.final_path))
            sidecar.write(json.dumps({**self._identity, "finished": sorted(self._finished)}).encode())
            sidecar.commit()

    def commit(self) -> int:
        """Flush and rename to the final name; returns the modification time in nanoseconds."""
        os.fsync(self.descriptor)
        mtime_ns = os.fstat(self.descriptor).st_mtime_ns
        if OPEN_FILES_ARE_PINNED:
            self._close()
        self.path.replace(self.final_path)
        _sidecar_path(self.final_path).unlink(missing_ok=True)
        self._close()
        return mtime_ns

    def discard(self) -> None:
        """Remove the data, unless they are committed: they turned out to be wrong."""
        if not self._closed:
            _sidecar_path(self.final_path).unlink(missing_ok=True)
            if OPEN_FILES_ARE_PINNED:
                self._close()
            self.path.unlink(missing_ok=True)
            self._close()

    def suspend(self) -> None:
        """Leave the finished parts for a later attempt."""
        self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self.descriptor)

    def _load(self) -> set[int]:
        try:
            sidecar = json.loads(_sidecar_path(self.final_path).read_bytes())
            same = {name: sidecar[name] for name in self._identity} == self._identity
            if same and os.fstat(self.descriptor).st_size == self._size_bytes:
                return {int(start) for start in sidecar["finished"]}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass
        return set()


def _partial_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _sidecar_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial.json")

"""Results on disk, found again by what was asked and by the content of what they were made from.

Here: entries, their lookup and their eviction. Not here: what a key is made of, which its caller
knows.

An entry lies under two hashes: of the request (arguments, options, code) and of the input (the
prices and corporate actions that were read). Beside it is noted at which state of the warehouse
file the input was last read; while the file has not changed, a result is found without opening it.
After a change the input is read and hashed again, so an entry lives on exactly as long as what it
depends on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import glob
import hashlib
import json
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from isal import isal_zlib

from flatfiles_assets import algorithms, warehouse
from flatfiles_assets.whole_files import write_json

_log = logging.getLogger(__name__)

# By folder: another `DataIntegration` of this process must find what this one is still storing.
_storing: dict[Path, threading.Thread] = {}

_LONGEST_STORING_SECONDS = 3600

_MANIFEST, _STATE = "manifest.json", "state.json"


@dataclasses.dataclass(frozen=True)
class Cached:
    """A stored result: tables by key, mapped from disk, and what was said of them."""

    tables: dict[str, pa.Table]
    metadata: dict[str, Any]


class ResultCache:
    """Stored results below one folder; any number of processes may share it.

    Args:
        directory: The folder; made when something is stored.
        max_bytes: Size above which the entries unused for longest are removed.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.directory = directory
        self.max_bytes = max_bytes

    def find_unchanged(self, request: str, warehouse_state: str) -> Cached | None:
        """The result of a request, if the warehouse is as it was when its input was last read."""
        self.wait()
        try:
            state = json.loads((self.directory / request / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return self.find(request, state["input"]) if state.get("warehouse") == warehouse_state else None

    def find(self, request: str, input_hash: str) -> Cached | None:
        """The result of a request made from that input."""
        folder = self.directory / request / input_hash
        try:
            manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
            if manifest.pop("hash") != hashed(manifest):
                return None
            tables = {
                name: _read(folder / f"{name}.arrow", sum_) for name, sum_ in manifest["tables"].items()
            }
            os.utime(folder / _MANIFEST)
        except (OSError, ValueError, KeyError, AttributeError, TypeError, pa.ArrowException):
            # Removed by another process, or damaged: as good as never stored.
            return None
        return Cached(tables, manifest["metadata"])

    def knows(self, request: str) -> bool:
        """Whether there is a result of a request, from whatever input."""
        self.wait()
        return (self.directory / request).exists()

    def store_later(
        self,
        request: str,
        hash_input: Callable[[], str],
        tables: Mapping[str, pa.Table],
        metadata: Mapping[str, Any],
        warehouse_state: str,
    ) -> None:
        """Store a result behind the caller's back, who has it already; `wait` or exit ends it."""

        def store() -> None:
            try:
                input_hash = hash_input()
                self.store(request, input_hash, tables, metadata)
                self.note(request, input_hash, warehouse_state)
            except OSError as error:
                # A full or read-only disk costs the next call its speed, and this one nothing.
                _log.warning("a result could not be cached below %s: %s", self.directory, error)

        self.wait()
        thread = threading.Thread(target=store, name="flatfiles-result-cache")
        thread.start()
        _storing[self.directory] = thread

    def wait(self) -> None:
        """Wait until what this process is storing in this folder is stored."""
        thread = _storing.pop(self.directory, None)
        if thread is not None:
            thread.join()

    def store(
        self, request: str, input_hash: str, tables: Mapping[str, pa.Table], metadata: Mapping[str, Any]
    ) -> None:
        """Store a result; other processes see all of it or nothing."""
        parent = self.directory / request
        staging = self.directory / f".{uuid.uuid4().hex}"
        staging.mkdir(parents=True)
        try:
            sums = {name: _write(staging / f"{name}.arrow", table) for name, table in tables.items()}
            manifest: dict[str, Any] = {"tables": sums, "metadata": dict(metadata)}
            manifest["hash"] = hashed(json.loads(json.dumps(manifest)))
            write_json(staging / _MANIFEST, manifest)
            parent.mkdir(exist_ok=True)
            # Of two processes with the same result one comes second; a damaged one makes room.
            shutil.rmtree(parent / input_hash, ignore_errors=True)
            with contextlib.suppress(OSError):
                staging.rename(parent / input_hash)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self._evict(keep=parent / input_hash)

    def note(self, request: str, input_hash: str, warehouse_state: str) -> None:
        """Note which input a request has at a state of the warehouse."""
        path = self.directory / request / _STATE
        with contextlib.suppress(OSError):
            write_json(path, {"input": input_hash, "warehouse": warehouse_state})

    def damaged(self) -> list[str]:
        """The entries whose bytes are not those that were stored; they are never used."""
        found = (folder for _, folder, _ in self._entries())
        return [
            f"{folder.parent.name}/{folder.name}"
            for folder in found
            if self.find(folder.parent.name, folder.name) is None
        ]

    def clear(self) -> int:
        """Remove everything; returns the bytes freed."""
        self.wait()
        freed = sum(size for _, _, size in self._entries())
        shutil.rmtree(self.directory, ignore_errors=True)
        return freed

    def _evict(self, keep: Path) -> None:
        self._sweep()
        entries = sorted(self._entries())
        total = sum(size for _, _, size in entries)
        for _, folder, size in entries:
            if total <= self.max_bytes:
                return
            if folder != keep:
                shutil.rmtree(folder, ignore_errors=True)
                total -= size

    def _sweep(self) -> None:
        """Remove what killed processes were storing: nobody stores for so long."""
        for left in self.directory.glob(".*"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _LONGEST_STORING_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)

    def _entries(self) -> list[tuple[float, Path, int]]:
        """Last use, folder and size of each entry."""
        found = []
        # `Path.glob` would raise where another process removes a folder between its steps.
        for name in glob.iglob(f"*/*/{_MANIFEST}", root_dir=self.directory):  # noqa: PTH207
            manifest = self.directory / name
            with contextlib.suppress(OSError):
                size_bytes = sum(path.stat().st_size for path in manifest.parent.iterdir())
                found.append((manifest.stat().st_mtime, manifest.parent, size_bytes))
        return found


def _write(path: Path, table: pa.Table) -> str:
    """Write a table; returns the checksum of its file."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pa.memory_map(str(path)) as source:
        return _checksum(source.read_buffer())


def _read(path: Path, checksum: str) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        content = source.read_buffer()
        if _checksum(content) != checksum:
            raise ValueError(f"{path} is damaged")
        return pa.ipc.open_file(content).read_all()


def _checksum(content: pa.Buffer) -> str:
    """Length and CRC-32, ten times as fast as the fastest hash: against damage, not against people."""
    return f"{content.size}:{isal_zlib.crc32(content)}"


def file_state(path: Path) -> str:
    """What changes whenever the warehouse file does."""
    parts = [str(path)]
    for each in (path, path.with_name(f"{path.name}.wal")):
        with contextlib.suppress(OSError):
            status = each.stat()
            parts.append(f"{status.st_ino} {status.st_size} {status.st_mtime_ns}")
    return "; ".join(parts)


@functools.cache
def code_hash() -> str:
    """Hash of the code that results are computed with: another version never sees its results."""
    digest = hashlib.blake2b(digest_size=16)
    here = Path(__file__).parent
    folders = (*(Path(str(room.__file__)).parent for room in (algorithms, warehouse)), here)
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def hashed(value: Any) -> str:
    """Hash of a value of JSON."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

"""What happens to each key of a fetch: is the copy current, or which object replaces it?

Here: workers over keys, one listing for each folder that is rechecked, and the ledger's records.
Not here: the thread they run in (`fetch.py`), how one object is received (`transfer.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flatfiles_assets.download import replaced_files
from flatfiles_assets.download.atomic_files import TemporaryFile
from flatfiles_assets.download.cache import METADATA_FOLDER, FetchedFile, FileCache, Outcome
from flatfiles_assets.download.descriptors import sync_folder
from flatfiles_assets.download.errors import CorruptFile, DownloadError, LedgerFailed, state_of
from flatfiles_assets.download.faults import NotModified
from flatfiles_assets.download.ledger import LedgerEntry
from flatfiles_assets.download.listing import RemoteObject
from flatfiles_assets.download.partial_file import PartialFile
from flatfiles_assets.download.retries import Attempts
from flatfiles_assets.download.transfer import ObjectTransfer
from flatfiles_assets.download.uninterrupted import ended
from flatfiles_assets.download.verified_files import ArrivedFile, storage_failed
from flatfiles_assets.errors import InvalidArgument

FetchResult = FetchedFile | DownloadError | CorruptFile | InvalidArgument
"""A file in the cache, or why it could not be had (with a key that is no path: `InvalidArgument`)."""

# A fast store brings hundreds of files a second: few commits serve them all, and nobody waits long.
_GATHERED_SECONDS = 0.02
_FLUSHES_AT_ONCE = 4
# Each is an open file until it is committed; systems allow a process as few as 256.
_MOST_UNRECORDED = 64
_EPOCH = dt.datetime.fromtimestamp(0, dt.timezone.utc)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a key's file belongs.

    Attributes:
        key: Key in the bucket.
        local_key: Key in cache and ledger.
        path: Its file; None for a key that has no place in the cache, for the reason `error`.
        error: That reason.
    """

    key: str
    local_key: str
    path: Path | None
    error: InvalidArgument | None = None

    @classmethod
    def of(cls, key: str, local_key: str, cache: FileCache) -> Place:
        """The place of a key in a cache."""
        try:
            return cls(key, local_key, cache.path(local_key))
        except InvalidArgument as error:
            return cls(key, local_key, None, error)


@dataclasses.dataclass
class _Finished:
    """A key that was dealt with, on its way to the ledger and the consumer."""

    place: Place
    result: FetchResult
    attempts: int
    file: TemporaryFile | PartialFile | None = None
    mtime_ns: int | None = None
    keep_replaced: Callable[[], None] | None = None

    def commit(self) -> None:
        """Give a new file its name; what the disk says against it becomes the result."""
        if self.file:
            try:
                if self.keep_replaced:
                    self.keep_replaced()
                self.mtime_ns = self.file.commit()
            except OSError as error:
                self.result = storage_failed(error, self.place.path)
            finally:
                self.file.discard()

    def discard(self) -> None:
        """Remove a new file that has no name yet."""
        if self.file:
            self.file.discard()


class Fetcher:
    """Workers over the keys of one call, in one event loop."""

    def __init__(
        self,
        cache: FileCache,
        transfer: ObjectTransfer,
        *,
        listed: Mapping[str, RemoteObject],
        recheck: bool,
        deliver: Callable[[list[tuple[str, FetchResult]]], None],
        on_file: Callable[[FetchResult], None],
    ) -> None:
        self._cache = cache
        self._transfer = transfer
        self._listed = listed
        self._recheck = recheck
        self._deliver = deliver
        self._on_file = on_file
        self._good: dict[str, LedgerEntry] = {}
        self._had_file: set[str] = set()
        self._listings: dict[str, asyncio.Task[dict[str, RemoteObject] | None]] = {}
        self._folders: set[Path] = set()
        self._unrecorded: list[_Finished] = []
        self._has_unrecorded = asyncio.Event()
        self._record_now = asyncio.Event()
        self._fetched_all = False
        self._ledger_failed = False

    async def run(self, places: Sequence[Place], *, workers: int) -> None:
        """Fetch all; deliver results in batches, each recorded in the ledger before."""
        await self._transfer.in_thread(self._read_ledger, places)
        waiting = iter(places)
        room = asyncio.Semaphore(workers + _MOST_UNRECORDED)

        async def worker() -> None:
            for place in waiting:
                if room.locked():
                    self._record_now.set()
                await room.acquire()
                finished = await self._fetch(place)
                self._unrecorded.append(finished)
                self._has_unrecorded.set()

        async def work() -> None:
            await asyncio.gather(*working)
            self._fetched_all = True
            self._has_unrecorded.set()
            self._record_now.set()

        working = [asyncio.create_task(worker()) for _ in range(min(workers, len(places)))]
        others = [asyncio.create_task(work()), asyncio.create_task(self._record_in_batches(room))]
        try:
            await asyncio.gather(*others)
        finally:
            running = [*working, *others, *self._listings.values()]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await ended(asyncio.create_task(self._conclude()))

    def _read_ledger(self, places: Sequence[Place]) -> None:
        entries = self._cache.ledger.get_many({place.local_key for place in places if place.path})
        self._had_file = {key for key, entry in entries.items() if entry.has_file}
        self._good = {key: entry for key, entry in entries.items() if self._cache.stored(entry)}

    async def _fetch(self, place: Place) -> _Finished:
        started = time.monotonic()
        attempts = Attempts()
        try:
            if place.path is None:
                raise place.error or AssertionError(place)
            return await self._fetch_or_raise(place, place.path, attempts, started)
        except (DownloadError, CorruptFile, InvalidArgument) as error:
            return _Finished(place, error, attempts.count)

    async def _fetch_or_raise(
        self, place: Place, path: Path, attempts: Attempts, started: float
    ) -> _Finished:
        good = self._good.get(place.local_key)
        known_etag: str | None = None
        remote = self._listed.get(place.key)
        if good:
            unchanged = _Finished(place, _unchanged(place.key, path, good, started), 0)
            if not self._recheck:
                return unchanged
            listing = await self._list_folder(place.key)
            remote = listing.get(place.key) if listing else remote
            if remote and _is_same(good, remote):
                return unchanged
            # Not listed, or no listing to be had: the object itself has the last word.
            known_etag = None if remote else good.etag
        self._prepare_folder(path.parent)
        try:
            arrived = await self._transfer.to_file(
                place.key, path, attempts, listed=remote, if_none_match=known_etag
            )
        except NotModified:
            return unchanged
        outcome: Outcome = "replaced" if place.local_key in self._had_file else "downloaded"
        fetched = _fetched(place.key, path, arrived, attempts, started, outcome)
        keep_replaced = None
        if good and good.sha256 and good.sha256 != fetched.sha256:
            metadata_folder = self._cache.root / METADATA_FOLDER
            keep_replaced = functools.partial(replaced_files.keep, path, good.sha256, metadata_folder)
        return _Finished(place, fetched, attempts.count, arrived.file, keep_replaced=keep_replaced)

    def _prepare_folder(self, folder: Path) -> None:
        if folder not in self._folders:
            try:
                self._cache.prepare_folder(folder)
            except OSError as error:
                raise storage_failed(error, folder) from error
            self._folders.add(folder)

    async def _list_folder(self, key: str) -> dict[str, RemoteObject] | None:
        folder = key.rpartition("/")[0]
        if folder not in self._listings:
            self._listings[folder] = asyncio.create_task(self._list(folder))
        return await asyncio.shield(self._listings[folder])

    async def _list(self, folder: str) -> dict[str, RemoteObject] | None:
        try:
            return await self._transfer.folder(folder, Attempts())
        except DownloadError:
            return None

    async def _record_in_batches(self, room: asyncio.Semaphore) -> None:
        """Record the first result at once, and those that gather meanwhile together."""
        while not self._fetched_all:
            await self._has_unrecorded.wait()
            self._has_unrecorded.clear()
            # Whole or not at all: the batch's files are named in several threads.
            for _ in range(await ended(asyncio.create_task(self._record()))):
                room.release()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._record_now.wait(), _GATHERED_SECONDS)
            self._record_now.clear()

    async def _conclude(self) -> None:
        """Record what is left, unless that has failed before, and make all names survive a power cut."""
        if self._ledger_failed:
            for finished in self._unrecorded:
                finished.discard()
        else:
            await self._record()
        await asyncio.gather(*(self._transfer.in_thread(sync_folder, folder) for folder in self._folders))

    async def _record(self) -> int:
        """Commit what has arrived, record and deliver it; returns how many results it was."""
        batch, self._unrecorded = self._unrecorded, []
        if not batch:
            return 0
        # Flushes that a disk is asked for at once cost it little more than one.
        parts = [batch[start::_FLUSHES_AT_ONCE] for start in range(_FLUSHES_AT_ONCE)]
        await asyncio.gather(*(self._transfer.in_thread(_commit, part) for part in parts if part))
        try:
            await self._transfer.in_thread(self._write_ledger, batch)
        except LedgerFailed:
            self._ledger_failed = True
            raise
        self._deliver([(finished.place.key, finished.result) for finished in batch])
        for finished in batch:
            self._on_file(finished.result)
        return len(batch)

    def _write_ledger(self, batch: Sequence[_Finished]) -> None:
        attempted, recovered = [], []
        for finished in batch:
            key, result = finished.place.local_key, finished.result
            if not isinstance(result, FetchedFile):
                if finished.place.path:
                    attempted.append(
                        LedgerEntry.failure(key, state_of(result), str(result), finished.attempts)
                    )
            elif result.outcome != "unchanged":
                attempted.append(_entry(key, result, finished.mtime_ns))
            elif self._recheck and self._good[key].state != "downloaded":
                recovered.append(key)
        if attempted:
            self._cache.ledger.record_many(attempted)
        if recovered:
            self._cache.ledger.mark_many(recovered, "downloaded")


def _commit(part: Sequence[_Finished]) -> None:
    for finished in part:
        finished.commit()


def _is_same(entry: LedgerEntry, remote: RemoteObject) -> bool:
    if entry.size_bytes != remote.size_bytes:
        return False
    if entry.etag and remote.etag:
        return entry.etag == remote.etag
    return entry.last_modified == remote.last_modified


def _unchanged(key: str, path: Path, good: LedgerEntry, started: float) -> FetchedFile:
    return FetchedFile(
        key=key,
        path=path,
        etag=good.etag,
        size_bytes=good.size_bytes or 0,
        sha256=good.sha256 or "",
        last_modified=good.last_modified,
        fetched_at=good.fetched_at or _EPOCH,
        attempts=0,
        seconds=time.monotonic() - started,
        outcome="unchanged",
    )


def _fetched(
    key: str, path: Path, arrived: ArrivedFile, attempts: Attempts, started: float, outcome: Outcome
) -> FetchedFile:
    return FetchedFile(
        key=key,
        path=path,
        etag=arrived.remote.etag,
        size_bytes=arrived.remote.size_bytes,
        sha256=arrived.sha256,
        last_modified=arrived.remote.last_modified,
        fetched_at=dt.datetime.now(dt.timezone.utc),
        attempts=attempts.count,
        seconds=time.monotonic() - started,
        outcome=outcome,
    )


def _entry(local_key: str, fetched: FetchedFile, mtime_ns: int | None) -> LedgerEntry:
    return LedgerEntry(
        key=local_key,
        etag=fetched.etag,
        size_bytes=fetched.size_bytes,
        sha256=fetched.sha256,
        last_modified=fetched.last_modified,
        fetched_at=fetched.fetched_at,
        attempts=fetched.attempts,
        state="downloaded",
        mtime_ns=mtime_ns,
    )

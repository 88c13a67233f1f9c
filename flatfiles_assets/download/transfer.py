"""One object, from the bucket to memory or to a verified file.

Here: requests, the three ways to receive a body (at once, streamed, in parallel
ranges) and what must hold before a file gets its name. Not here: which files are needed
(`fetch.py`), where they lie (`cache.py`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flatfiles_assets.download.atomic_files import TemporaryFile
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.errors import CorruptFile, DamagedTransfer
from flatfiles_assets.download.etags import Agreement, EtagNotes
from flatfiles_assets.download.faults import (
    RangesNotSupported,
    changed,
    check_key,
    contradicts_the_listing,
    incomplete,
    location,
)
from flatfiles_assets.download.integrity import Digest, Digester
from flatfiles_assets.download.listing import RemoteObject
from flatfiles_assets.download.objects import Answer
from flatfiles_assets.download.pace import LONG_BYTES, UNKNOWN_SIZE
from flatfiles_assets.download.partial_file import Part, PartialFile
from flatfiles_assets.download.proof import Judge, Proof
from flatfiles_assets.download.requests import BucketRequests
from flatfiles_assets.download.retries import Attempts, RetryPolicy, retry_async
from flatfiles_assets.download.uninterrupted import ended
from flatfiles_assets.download.verified_files import (
    ArrivedFile,
    GzipJudge,
    digest_partial,
    examine_memory,
    gzip_blamed_on_the_bucket,
    storage,
    storage_failed,
    take_chunk,
)

if TYPE_CHECKING:
    from obstore import GetOptions
    from typing_extensions import Buffer

T = TypeVar("T")
_MIB = 1024 * 1024
# Up to here hashing, checking and writing cost less than the way to a thread and back.
_IN_PLACE_BYTES = 64 * 1024


@dataclasses.dataclass(frozen=True)
class TransferLimits:
    """From which sizes on an object is received differently.

    Attributes:
        stream_above_bytes: Larger objects are streamed to disk instead of held in memory.
        ranges_above_bytes: Larger objects are fetched in parallel ranges, and resume after a cut.
        part_bytes: Size of a range.
        parts_at_once: Ranges of one object in flight.
        chunk_bytes: Least size of a streamed chunk.
        list_above_bytes: Larger objects are compared with their listing before they are read.
    """

    stream_above_bytes: int = 4 * _MIB
    ranges_above_bytes: int = 64 * _MIB
    part_bytes: int = 16 * _MIB
    parts_at_once: int = 4
    chunk_bytes: int = _MIB
    list_above_bytes: int = LONG_BYTES


class ObjectTransfer:
    """Receives objects of one bucket; belongs to one event loop.

    Args:
        connection: The store.
        bucket: Bucket's name.
        executor: Threads for hashing, checking and writing.
        max_concurrent: Requests in flight, over all objects.
        policy: Retries of each object.
        timeout: Longest silence in a transfer, seconds.
        limits: Sizes that decide how an object is received.
        max_pool_connections: Idle connections that are kept open.
        on_bytes: Called with the number of bytes as they arrive.
        notes: Where it is kept what the store's ETags mean; None for this process's memory alone.
    """

    def __init__(
        self,
        connection: S3Connection,
        bucket: str,
        *,
        executor: concurrent.futures.Executor,
        max_concurrent: int,
        policy: RetryPolicy,
        timeout: float,
        limits: TransferLimits,
        max_pool_connections: int = 50,
        on_bytes: Callable[[int], None] | None = None,
        notes: EtagNotes | None = None,
    ) -> None:
        self._bucket = bucket
        self._executor = executor
        self._slots = asyncio.Semaphore(max_concurrent)
        self._policy = policy
        self._limits = limits
        self._on_bytes = on_bytes or (lambda _: None)
        self._server_has_ranges = True
        self._requests = BucketRequests(
            connection,
            bucket,
            executor=executor,
            timeout_seconds=timeout,
            max_concurrent=max_concurrent,
            max_pool_connections=max_pool_connections,
        )
        self._proof = Proof(self._requests, notes)

    async def to_memory(self, key: str, attempts: Attempts, *, decompress: bool) -> Buffer:
        """An object's bytes, verified; decompressed where that is asked for and they are gzip.

        Raises:
            InvalidArgument: No request can name the key.
            CorruptFile: It is truncated or damaged gzip.
            DownloadError: It could not be had.
        """
        check_key(self._bucket, key)
        judge = self._judge(key, as_is=not decompress, allow_empty=True)

        async def attempt() -> Buffer:
            async with self._slots:
                answer = await self._get_as_listed(key)
                data = await self._body(answer)
            digest, decoded = await self.in_thread(
                examine_memory, data, judge.check_gzip, judge.check_gzip and decompress
            )
            await self._settle(digest, answer.remote, judge)
            return decoded

        with gzip_blamed_on_the_bucket():
            return await retry_async(attempt, self._policy, attempts)

    async def to_file(
        self,
        key: str,
        path: Path,
        attempts: Attempts,
        *,
        listed: RemoteObject | None = None,
        if_none_match: str | None = None,
        as_is: bool = False,
        allow_empty: bool = False,
    ) -> ArrivedFile:
        """An object's bytes as they are, beside a path whose folder exists.

        A ``.gz`` object must be whole gzip, or proven by its checksum to be something else.

        Args:
            key: Key in the bucket.
            path: Where the file belongs; nothing is there, or what was, until it is committed.
            attempts: Counts the requests.
            listed: The object as a listing described it before, where there was one.
            if_none_match: ETag (without quotes) that is not to be fetched again.
            as_is: Whether broken gzip will do, if that is surely what the bucket holds.
            allow_empty: Whether a ``.gz`` object without bytes is acceptable.

        Returns:
            The verified file, which the caller commits or discards.

        Raises:
            InvalidArgument: No request can name the key.
            CorruptFile: The object is truncated or damaged gzip, or empty.
            DownloadError: It could not be had.
            NotModified: The object still has the ETag `if_none_match`.
        """
        check_key(self._bucket, key)
        judge = self._judge(key, as_is=as_is, allow_empty=allow_empty)
        options: GetOptions | None = {"if_none_match": f'"{if_none_match}"'} if if_none_match else None

        async def attempt() -> ArrivedFile:
            async with self._slots:
                answer = await self._get_as_listed(key, options, listed)
                remote = answer.remote
                small = 0 <= remote.size_bytes <= self._limits.stream_above_bytes
                in_ranges = remote.size_bytes > self._limits.ranges_above_bytes and bool(remote.etag)
                if small:
                    body = _once(await self._body(answer))
                elif not (in_ranges and self._server_has_ranges):
                    return await self._written(self._chunks(answer), remote, path, judge)
            if small:
                return await self._written(body, remote, path, judge)
            del answer  # closes the connection: its body is fetched in ranges instead
            return await self._in_ranges(remote, path, judge, attempts)

        with gzip_blamed_on_the_bucket():
            return await retry_async(attempt, self._policy, attempts)

    async def folder(self, folder: str, attempts: Attempts) -> dict[str, RemoteObject]:
        """The objects directly in a folder, by key."""

        async def attempt() -> dict[str, RemoteObject]:
            async with self._slots:
                listed = await self._requests.folder(folder)
            return {item.key: item for item in listed}

        return await retry_async(attempt, self._policy, attempts)

    async def _written(
        self,
        chunks: AsyncIterator[Buffer],
        remote: RemoteObject,
        path: Path,
        judge: Judge,
    ) -> ArrivedFile:
        digester = Digester(check_gzip=judge.check_gzip)
        with storage(path):
            file = TemporaryFile(path)
        try:
            async for chunk in chunks:
                if len(memoryview(chunk)) > _IN_PLACE_BYTES:
                    await self.in_thread(take_chunk, file, digester, chunk)
                else:
                    with storage(path):
                        take_chunk(file, digester, chunk)
            digest = digester.digest()
            settled = await self._settle(digest, remote, judge)
            return ArrivedFile(settled, digest.sha256, file)
        except BaseException:
            file.discard()
            raise

    async def _in_ranges(
        self, remote: RemoteObject, path: Path, judge: Judge, attempts: Attempts
    ) -> ArrivedFile:
        with storage(path):
            partial = PartialFile.open(
                path,
                etag=remote.etag or "",
                size_bytes=remote.size_bytes,
                part_bytes=self._limits.part_bytes,
            )
        if partial is None:  # another process is fetching it: be independent of its fate
            return await self._streamed_anew(remote.key, path, judge)
        try:
            await self._fetch_parts(remote, partial, attempts)
            digest = await self.in_thread(digest_partial, partial, judge.check_gzip)
            await self._settle(digest, remote, judge)
            return ArrivedFile(remote, digest.sha256, partial)
        except RangesNotSupported:
            self._server_has_ranges = False
            partial.discard()
        except (DamagedTransfer, CorruptFile):
            partial.discard()
            raise
        except BaseException:
            partial.suspend()
            raise
        return await self._streamed_anew(remote.key, path, judge)

    async def _streamed_anew(self, key: str, path: Path, judge: Judge) -> ArrivedFile:
        async with self._slots:
            answer = await self._get_as_listed(key)
            return await self._written(self._chunks(answer), answer.remote, path, judge)

    async def _fetch_parts(self, remote: RemoteObject, partial: PartialFile, attempts: Attempts) -> None:
        waiting = iter(partial.missing_parts())

        async def worker() -> None:
            for part in waiting:
                await self._fetch_part(remote, partial, part, attempts)

        tasks = [asyncio.create_task(worker()) for _ in range(self._limits.parts_at_once)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch_part(
        self, remote: RemoteObject, partial: PartialFile, part: Part, attempts: Attempts
    ) -> None:
        position = part.start

        async def attempt() -> None:
            nonlocal position
            options: GetOptions = {"range": (position, part.end), "if_match": f'"{remote.etag}"'}
            async with self._slots:
                answer = await self._get(remote.key, options)
                if answer.remote.etag != remote.etag:
                    raise changed(self._where(remote.key))
                async for chunk in self._chunks(answer):
                    await self.in_thread(partial.write, chunk, position)
                    position += len(chunk)
            if position != part.end:
                raise incomplete(self._where(remote.key), part.end - part.start, position - part.start)

        counter = Attempts()
        try:
            if position < part.end:
                await retry_async(attempt, self._policy, counter, restart_changed=False)
        finally:
            attempts.count += counter.retries
        await self.in_thread(partial.finish_part, part)

    def _judge(self, key: str, *, as_is: bool, allow_empty: bool) -> Judge:
        gzip = GzipJudge(key, as_is=as_is, allow_empty=allow_empty, owner=self._requests.owner)
        return Judge(gzip, Agreement())

    def _where(self, key: str) -> str:
        return location(self._bucket, key)

    async def _get(self, key: str, options: GetOptions | None = None) -> Answer:
        return await self._requests.get(key, options)

    async def _get_as_listed(
        self, key: str, options: GetOptions | None = None, listed: RemoteObject | None = None
    ) -> Answer:
        """An answer that announces what the listing says; its body is not read before.

        Without a listing, one is asked for where the body is long: a length out of the air would
        fill the disk.

        Raises:
            DamagedTransfer: It announces another length than a listing of this moment.
        """
        answer = await self._get(key, options)
        announced = answer.remote.size_bytes
        if (
            (announced > self._limits.list_above_bytes)
            if listed is None
            else (announced != listed.size_bytes)
        ):
            # The object may have been replaced since it was listed.
            listed = await self._requests.in_thread(lambda: self._requests.listed(key))
            if listed and announced not in (listed.size_bytes, UNKNOWN_SIZE):
                raise contradicts_the_listing(self._where(key), listed.size_bytes, announced)
        return answer

    async def _settle(self, digest: Digest, remote: RemoteObject, judge: Judge) -> RemoteObject:
        return await self._proof.settle(digest, remote, judge)

    async def _body(self, answer: Answer) -> Buffer:
        data = await self._requests.body(answer)
        self._on_bytes(len(memoryview(data)))
        return data

    async def _chunks(self, answer: Answer) -> AsyncIterator[bytes]:
        async for chunk in self._requests.chunks(answer, self._limits.chunk_bytes):
            self._on_bytes(len(chunk))
            yield chunk

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run in a thread; when cancelled, wait for it first, so that nothing it uses is closed."""
        try:
            return await ended(asyncio.get_running_loop().run_in_executor(self._executor, function, *args))
        except OSError as error:
            raise storage_failed(error) from error


async def _once(body: Buffer) -> AsyncIterator[Buffer]:
    yield body

"""One object, from the bucket to memory or to a verified file.

Here: requests through obstore, the three ways to receive a body (at once, streamed, in parallel
ranges) and what must hold before a file gets its name. Not here: which files are needed
(`fetch.py`), where they lie (`cache.py`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore

from flatfiles_assets.download.atomic_files import TemporaryFile
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.errors import CorruptFile, DamagedTransfer
from flatfiles_assets.download.faults import (
    RangesNotSupported,
    changed,
    check_key,
    damaged,
    incomplete,
    location,
    raise_control_flow,
    translate,
)
from flatfiles_assets.download.integrity import (
    Digest,
    Digester,
    clean_etag,
    is_md5,
)
from flatfiles_assets.download.listing import RemoteObject
from flatfiles_assets.download.partial_file import Part, PartialFile
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
    from mypy_boto3_s3 import S3Client
    from obstore import GetOptions, GetResult, ObjectMeta
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
    """

    stream_above_bytes: int = 4 * _MIB
    ranges_above_bytes: int = 64 * _MIB
    part_bytes: int = 16 * _MIB
    parts_at_once: int = 4
    chunk_bytes: int = _MIB


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
    ) -> None:
        self._connection = connection
        self._bucket = bucket
        self._executor = executor
        self._slots = asyncio.Semaphore(max_concurrent)
        self._policy = policy
        self._timeout = timeout
        self._limits = limits
        self._on_bytes = on_bytes or (lambda _: None)
        self._server_has_ranges = True
        self._store = connection.obstore(
            bucket, timeout_seconds=timeout, max_pool_connections=max_pool_connections
        )

    async def to_memory(self, key: str, attempts: Attempts, *, decompress: bool) -> Buffer:
        """An object's bytes, verified; decompressed where that is asked for and they are gzip.

        Raises:
            InvalidArgument: No request can name the key.
            CorruptFile: It is truncated or damaged gzip.
            DownloadError: It could not be had.
        """
        check_key(self._bucket, key)
        judge = GzipJudge(key, as_is=not decompress, allow_empty=True)

        async def attempt() -> Buffer:
            async with self._slots:
                result = await self._get(key)
                data = await self._body(result, key)
            digest, decoded = await self.in_thread(
                examine_memory, data, judge.check_gzip, judge.check_gzip and decompress
            )
            await self._settle(digest, _remote(key, result.meta), judge)
            return decoded

        with gzip_blamed_on_the_bucket():
            return await retry_async(attempt, self._policy, attempts)

    async def to_file(
        self,
        key: str,
        path: Path,
        attempts: Attempts,
        *,
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
        judge = GzipJudge(key, as_is=as_is, allow_empty=allow_empty)
        options: GetOptions | None = {"if_none_match": f'"{if_none_match}"'} if if_none_match else None

        async def attempt() -> ArrivedFile:
            async with self._slots:
                result = await self._get(key, options)
                remote = _remote(key, result.meta)
                small = remote.size_bytes <= self._limits.stream_above_bytes
                in_ranges = remote.size_bytes > self._limits.ranges_above_bytes and bool(remote.etag)
                if small:
                    body = _once(await self._body(result, key))
                elif not (in_ranges and self._server_has_ranges):
                    return await self._written(self._chunks(result, key), remote, path, judge)
            if small:
                return await self._written(body, remote, path, judge)
            del result  # closes the connection: its body is fetched in ranges instead
            return await self._in_ranges(remote, path, judge, attempts)

        with gzip_blamed_on_the_bucket():
            return await retry_async(attempt, self._policy, attempts)

    async def folder(self, folder: str, attempts: Attempts) -> dict[str, RemoteObject]:
        """The objects directly in a folder, by key."""

        async def attempt() -> dict[str, RemoteObject]:
            async with self._slots:
                with self._translated(folder):
                    listed = await obstore.list_with_delimiter_async(self._store, folder or None)
            return {meta["path"]: _remote(meta["path"], meta) for meta in listed["objects"]}

        return await retry_async(attempt, self._policy, attempts)

    async def _written(
        self,
        chunks: AsyncIterator[Buffer],
        remote: RemoteObject,
        path: Path,
        judge: GzipJudge,
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
            await self._settle(digest, remote, judge)
            return ArrivedFile(remote, digest.sha256, file)
        except BaseException:
            file.discard()
            raise

    async def _in_ranges(
        self, remote: RemoteObject, path: Path, judge: GzipJudge, attempts: Attempts
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

    async def _streamed_anew(self, key: str, path: Path, judge: GzipJudge) -> ArrivedFile:
        async with self._slots:
            result = await self._get(key)
            chunks = self._chunks(result, key)
            return await self._written(chunks, _remote(key, result.meta), path, judge)

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
                result = await self._get(remote.key, options)
                if clean_etag(result.meta["e_tag"]) != remote.etag:
                    raise changed(self._where(remote.key))
                async for chunk in self._chunks(result, remote.key):
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

    async def _settle(self, digest: Digest, remote: RemoteObject, judge: GzipJudge) -> None:
        """Raise unless the bytes are proven, or at least nothing speaks against them."""
        if digest.size_bytes != remote.size_bytes:
            raise incomplete(self._where(remote.key), remote.size_bytes, digest.size_bytes)
        proven = digest.md5 == remote.etag
        if not proven:
            if is_md5(remote.etag) and not await self.in_thread(self._etag_is_encrypted, remote.key):
                why = f"MD5 {digest.md5} where the ETag is {remote.etag}"
                raise damaged(self._where(remote.key), why)
            await self._confirm_size(remote)
        judge.judge(digest, etag=remote.etag, proven=proven, where=self._where(remote.key))

    async def _confirm_size(self, remote: RemoteObject) -> None:
        """Compare with HEAD, where no checksum can tell a short body with a rewritten length."""
        # Without a slot: the caller may hold the last one.
        with self._translated(remote.key):
            meta = await obstore.head_async(self._store, remote.key)
        if clean_etag(meta["e_tag"]) != remote.etag:
            raise changed(self._where(remote.key))
        if meta["size"] != remote.size_bytes:
            raise incomplete(self._where(remote.key), meta["size"], remote.size_bytes)

    @functools.cached_property
    def _boto3(self) -> S3Client:
        # For headers that obstore does not show; needed only where bodies look damaged.
        return self._connection.boto3(timeout_seconds=self._timeout)

    def _etag_is_encrypted(self, key: str) -> bool:
        """Whether the store encrypts with a key service, so that the ETag is no MD5 of the object."""
        try:
            head = self._boto3.head_object(Bucket=self._bucket, Key=key)
        except Exception as error:
            if (typed := translate(error, self._bucket, key)) is None:
                raise
            raise typed from None
        return "kms" in head.get("ServerSideEncryption", "") or bool(head.get("SSECustomerAlgorithm"))

    def _where(self, key: str) -> str:
        return location(self._bucket, key)

    async def _get(self, key: str, options: GetOptions | None = None) -> GetResult:
        with self._translated(key, conditional=options is not None):
            return await obstore.get_async(self._store, key, options=options)

    async def _body(self, result: GetResult, key: str) -> Buffer:
        with self._translated(key):
            data = await result.bytes_async()
        self._on_bytes(len(data))
        return data

    async def _chunks(self, result: GetResult, key: str) -> AsyncIterator[bytes]:
        stream = result.stream(min_chunk_size=self._limits.chunk_bytes)
        while True:
            with self._translated(key):
                try:
                    chunk = await stream.__anext__()
                except StopAsyncIteration:
                    return
            self._on_bytes(len(chunk))
            yield chunk

    @contextlib.contextmanager
    def _translated(self, key: str, *, conditional: bool = False) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if conditional:
                raise_control_flow(error)
            if (typed := translate(error, self._bucket, key)) is None:
                raise
            raise typed from None

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run in a thread; when cancelled, wait for it first, so that nothing it uses is closed."""
        try:
            return await ended(asyncio.get_running_loop().run_in_executor(self._executor, function, *args))
        except OSError as error:
            raise storage_failed(error) from error


async def _once(body: Buffer) -> AsyncIterator[Buffer]:
    yield body


def _remote(key: str, meta: ObjectMeta) -> RemoteObject:
    return RemoteObject(key, clean_etag(meta["e_tag"]), meta["size"], meta["last_modified"])

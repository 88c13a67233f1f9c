"""Objects of one bucket as awaitables, whichever client asks for them.

Here: `ObjectStore`, on obstore (fast, many small objects at once) and on boto3 in threads (for stores
that obstore cannot read). What they raise is the clients' own. Not here: what must hold before a body is
believed (`transfer.py`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import datetime as dt
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import obstore

from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.faults import RangesNotSupported, location, no_object, only_a_part, web_page
from flatfiles_assets.download.integrity import clean_etag
from flatfiles_assets.download.listing import RemoteObject, describe_objects, listed_object, read_head
from flatfiles_assets.download.pace import UNKNOWN_SIZE, read_in_pieces

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta
    from obstore.store import S3Store
    from typing_extensions import Buffer

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Answer:
    """A GET that was answered; its body has still to be read, once.

    Attributes:
        remote: The object, as the answer's head describes it.
        body: Reads everything.
        chunks: Reads pieces of at least so many bytes, the last excepted.
    """

    remote: RemoteObject
    body: Callable[[], Awaitable[Buffer]]
    chunks: Callable[[int], AsyncIterator[bytes]]


class ObjectStore(Protocol):
    """What a transfer asks of a bucket."""

    async def get(self, key: str, options: GetOptions | None) -> Answer:
        """The object's head, and its body to come."""
        ...

    async def head(self, key: str) -> RemoteObject:
        """The object's description."""
        ...

    async def folder(self, folder: str) -> list[RemoteObject]:
        """The objects directly in a folder."""
        ...


class ObstoreObjects:
    """A bucket through obstore."""

    def __init__(self, store: S3Store, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    async def get(self, key: str, options: GetOptions | None) -> Answer:
        """The object's head, and its body to come."""
        result = await obstore.get_async(self._store, key, options=options)
        kind = str(result.attributes.get("Content-Type", ""))
        check_no_page(kind, result.meta["e_tag"], self._bucket, key)
        return Answer(
            _described(key, result.meta), result.bytes_async, lambda least: _stream_chunks(result, least)
        )

    async def head(self, key: str) -> RemoteObject:
        """The object's description."""
        return _described(key, await obstore.head_async(self._store, key))

    async def folder(self, folder: str) -> list[RemoteObject]:
        """The objects directly in a folder."""
        listed = await obstore.list_with_delimiter_async(self._store, folder or None)
        return [_described(meta["path"], meta) for meta in listed["objects"]]


class BlockingObjects:
    """A bucket through boto3, in threads of its own.

    Args:
        connection: The store.
        bucket: Bucket's name.
        timeout_seconds: Longest silence.
        max_concurrent: Requests in flight.
    """

    def __init__(
        self, connection: S3Connection, bucket: str, *, timeout_seconds: float, max_concurrent: int
    ) -> None:
        self._bucket = bucket
        self._timeout_seconds = timeout_seconds
        self._client = connection.boto3(
            timeout_seconds=timeout_seconds, max_pool_connections=max_concurrent + 1
        )
        self._threads = concurrent.futures.ThreadPoolExecutor(max_concurrent + 1, "object")

    async def get(self, key: str, options: GetOptions | None) -> Answer:
        """The object's head, and its body to come."""
        response = await self._in_thread(lambda: self._get(key, options))
        remote = read_head(key, response)
        if "ContentLength" not in response:
            length = await self._in_thread(lambda: self._length(key))
            remote = dataclasses.replace(remote, size_bytes=length)
        pieces: Callable[[int], Iterator[bytes]] = lambda least: read_in_pieces(  # noqa: E731
            response["Body"],
            self._bucket,
            key,
            where=location(self._bucket, key),
            piece_bytes=least,
            size_bytes=remote.size_bytes,
            timeout_seconds=self._timeout_seconds,
        )
        return Answer(
            remote,
            lambda: self._in_thread(lambda: b"".join(pieces(2**20))),
            lambda least: self._chunks(pieces(least)),
        )

    async def head(self, key: str) -> RemoteObject:
        """The object's description; its size is unknown where the store does not say it."""
        response = await self._in_thread(lambda: self._client.head_object(Bucket=self._bucket, Key=key))
        return read_head(key, response)

    async def folder(self, folder: str) -> list[RemoteObject]:
        """The objects directly in a folder."""
        prefix = f"{folder}/" if folder else ""
        return await self._in_thread(lambda: list(self._folder(prefix)))

    def _get(self, key: str, options: GetOptions | None) -> Any:
        request: dict[str, Any] = {"Bucket": self._bucket, "Key": key}
        wanted: dict[str, Any] = dict(options or {})
        if "range" in wanted:
            start, end = wanted["range"]
            request["Range"] = f"bytes={start}-{end - 1}"
        if "if_match" in wanted:
            request["IfMatch"] = wanted["if_match"]
        if "if_none_match" in wanted:
            request["IfNoneMatch"] = wanted["if_none_match"]
        response = self._client.get_object(**request)
        if "range" in wanted and response["ResponseMetadata"]["HTTPStatusCode"] != 206:
            response["Body"].close()
            raise RangesNotSupported
        if "range" not in wanted:
            check_whole(response, self._bucket, key)
        check_no_page(response.get("ContentType", ""), response.get("ETag"), self._bucket, key)
        return response

    def _length(self, key: str) -> int:
        with contextlib.suppress(Exception):
            head = self._client.head_object(Bucket=self._bucket, Key=key)
            if "ContentLength" in head:
                return head["ContentLength"]
        listed = listed_object(self._client, self._bucket, key)
        return listed.size_bytes if listed else UNKNOWN_SIZE

    def _folder(self, prefix: str) -> Iterator[RemoteObject]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/"):
            yield from describe_objects(page, prefix)

    async def _chunks(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        while piece := await self._in_thread(lambda: next(pieces, b"")):
            yield piece

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)


async def _stream_chunks(result: GetResult, least_bytes: int) -> AsyncIterator[bytes]:
    async for chunk in result.stream(min_chunk_size=least_bytes):
        yield chunk


def check_no_page(content_type: str, etag: str | None, bucket: str, key: str) -> None:
    """A log-in page, a console or a gateway answers 200 to everything; objects have ETags."""
    kind, name = content_type.lower(), key.lower()
    if etag is not None:
        return
    if "html" in kind and not name.endswith((".html", ".htm")):
        raise web_page(location(bucket, key))
    for message in ("xml", "json"):
        if message in kind and f".{message}" not in name:
            raise no_object(location(bucket, key))


def check_whole(response: Any, bucket: str, key: str) -> None:
    """A cache in front of a store may answer with the part of an object that it has.

    Raises:
        DamagedTransfer: It is not all of the object, which was asked for.
        TransferFailed: There is no body at all.
    """
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 206 and not _is_whole(response.get("ContentRange", "")):
        response["Body"].close()
        raise only_a_part(location(bucket, key), response.get("ContentRange", ""))
    if status in (204, 205):
        response["Body"].close()
        raise no_object(location(bucket, key))


def _described(key: str, meta: ObjectMeta) -> RemoteObject:
    return RemoteObject(key, clean_etag(meta["e_tag"]), meta["size"], _in_utc(meta["last_modified"]))


def _in_utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.timezone.utc)


def _is_whole(content_range: str) -> bool:
    match = re.fullmatch(r"bytes 0-(\d+)/(\d+)", content_range.strip())
    return bool(match and int(match[1]) + 1 == int(match[2]))

"""Requests to one bucket: through whichever client can, in time, with typed errors only.

Here: the choice of the client, the least rate, the translation of what clients raise. Not here: what
must hold before a body is believed (`proof.py`), and when a request is repeated (`retries.py`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from flatfiles_assets.download.answers import REDIRECTS, StoreOwner, from_status
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.errors import DownloadError
from flatfiles_assets.download.faults import HeadersMissing, location, raise_control_flow, translated
from flatfiles_assets.download.listing import RemoteObject, listed_object
from flatfiles_assets.download.objects import Answer, BlockingObjects, ObjectStore, ObstoreObjects
from flatfiles_assets.download.pace import patience, too_slow

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from obstore import GetOptions
    from typing_extensions import Buffer

T = TypeVar("T")

# Stores that leave out what obstore needs: asked through boto3 from the first request on.
_terse_stores: set[tuple[str, str]] = set()
_LOOK_SECONDS = 5.0


class BucketRequests:
    """What a transfer asks of one bucket; belongs to one event loop.

    Args:
        connection: The store.
        bucket: Bucket's name.
        executor: Threads for what blocks.
        timeout_seconds: Longest silence.
        max_concurrent: Requests in flight.
        max_pool_connections: Idle connections that are kept open.

    Raises:
        FlatFilesError: No client can be made of the connection.
    """

    def __init__(
        self,
        connection: S3Connection,
        bucket: str,
        *,
        executor: concurrent.futures.Executor,
        timeout_seconds: float,
        max_concurrent: int,
        max_pool_connections: int,
    ) -> None:
        self._connection = connection.for_bucket(bucket)
        self._executor = executor
        self._timeout_seconds = timeout_seconds
        self._max_concurrent = max_concurrent
        self.bucket = bucket
        self.identity = (self._connection.endpoint_url, bucket)
        self._look: asyncio.Future[None] | None = None
        self._objects: ObjectStore
        if self._connection.needs_blocking_client or self.identity in _terse_stores:
            self._objects = self._through_boto3()
        else:
            store = self._connection.obstore(
                bucket, timeout_seconds=timeout_seconds, max_pool_connections=max_pool_connections
            )
            self._objects = ObstoreObjects(store, bucket)

    @property
    def owner(self) -> StoreOwner | None:
        """Whose store it is."""
        return self._connection.owner

    async def get(self, key: str, options: GetOptions | None) -> Answer:
        """The head of an object, with its body to come.

        Raises:
            NotModified: It still has the ETag in the options.
            RangesNotSupported: The store sends the whole object where a range was asked for.
            DownloadError: It could not be had.
        """
        with self.translated(key):
            await self._look_where_it_leads(key)
            try:
                return await self._asked(key, options)
            except HeadersMissing:
                _terse_stores.add(self.identity)
                self._objects = await self.in_thread(self._through_boto3)
                return await self._asked(key, options)

    async def body(self, answer: Answer) -> Buffer:
        """Everything that an answer holds."""
        return await self._in_time(answer.body(), answer.remote.key, max(answer.remote.size_bytes, 0))

    async def chunks(self, answer: Answer, least_bytes: int) -> AsyncIterator[bytes]:
        """The same in pieces."""
        stream = answer.chunks(least_bytes)
        while chunk := await self._in_time(_next(stream), answer.remote.key, least_bytes):
            yield chunk

    async def head(self, key: str) -> RemoteObject:
        """An object's description."""
        with self.translated(key):
            return await self._objects.head(key)

    async def folder(self, folder: str) -> list[RemoteObject]:
        """The objects directly in a folder."""
        with self.translated(folder):
            return await self._objects.folder(folder)

    def listed(self, key: str) -> RemoteObject | None:
        """An object as a listing of this moment has it; None where it has not, or cannot be had."""
        with contextlib.suppress(DownloadError), self.translated(key):
            return listed_object(self._boto3, self.bucket, key)
        return None

    def etag_is_encrypted(self, key: str) -> bool:
        """Whether the store encrypts with a key service, so that the ETag is no MD5 of the object."""
        with self.translated(key):
            head = self._boto3.head_object(Bucket=self.bucket, Key=key)
            return "kms" in head.get("ServerSideEncryption", "") or bool(head.get("SSECustomerAlgorithm"))

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Await what blocks."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    @contextlib.contextmanager
    def translated(self, key: str) -> Iterator[None]:
        """Let nothing but typed errors out of a request about a key."""
        with translated(self.bucket, key, self._connection.owner):
            yield

    @functools.cached_property
    def _boto3(self) -> S3Client:
        # For headers that obstore does not show; needed only where bodies or their lengths look wrong.
        return self._connection.boto3(timeout_seconds=self._timeout_seconds)

    def _through_boto3(self) -> BlockingObjects:
        return BlockingObjects(
            self._connection,
            self.bucket,
            timeout_seconds=self._timeout_seconds,
            max_concurrent=self._max_concurrent,
        )

    async def _look_where_it_leads(self, key: str) -> None:
        """Ask once whether the store redirects: obstore would follow, within its host."""
        if isinstance(self._objects, BlockingObjects):
            return
        if self._look is None:
            self._look = asyncio.ensure_future(self.in_thread(lambda: self._raise_for_redirect(key)))
        await asyncio.shield(self._look)

    def _raise_for_redirect(self, key: str) -> None:
        connection = self._connection
        url = f"{connection.bucket_url(self.bucket)}/{quote(key)}"
        try:
            request = AWSRequest("HEAD", url)
            keys = Credentials(connection.access_key_id, connection.secret_access_key)
            S3SigV4Auth(keys, "s3", connection.region).add_auth(request)
            with connection.network.pool(url) as pool:
                answer = pool.request(
                    "HEAD",
                    url,
                    headers=dict(request.headers.items()),
                    redirect=False,
                    retries=False,
                    timeout=_LOOK_SECONDS,
                )
        except Exception:
            return
        if answer.status in REDIRECTS:
            raise from_status(
                answer.status,
                None,
                location(self.bucket, key),
                region=answer.headers.get("x-amz-bucket-region"),
                location=answer.headers.get("location"),
                owner=self.owner,
            )

    async def _asked(self, key: str, options: GetOptions | None) -> Answer:
        try:
            return await self._objects.get(key, options)
        except Exception as error:
            raise_control_flow(error, may_be_unmodified=bool(options and options.get("if_none_match")))
            raise

    async def _in_time(self, arriving: Awaitable[T], key: str, size_bytes: int) -> T:
        with self.translated(key):
            try:
                return await asyncio.wait_for(arriving, patience(size_bytes, self._timeout_seconds))
            except (TimeoutError, asyncio.TimeoutError):
                raise too_slow(location(self.bucket, key), size_bytes, self._timeout_seconds) from None
        raise AssertionError("unreachable")  # pragma: no cover


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    return await anext(stream, b"")

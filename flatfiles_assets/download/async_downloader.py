"""`AsyncS3Downloader`: objects into memory or files, without a cache.

Here: the class that the documentation names. Not here: how one object is received (`transfer.py`),
and the mirror with its ledger, which `fetch.py` fills.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import TracebackType

from flatfiles_assets.download.connection import S3Connection, StoreOptions, check_limits
from flatfiles_assets.download.decoded_file import commit_decoded
from flatfiles_assets.download.descriptors import sync_folder
from flatfiles_assets.download.integrity import is_gzip_name
from flatfiles_assets.download.listing import list_with
from flatfiles_assets.download.retries import Attempts, RetryPolicy
from flatfiles_assets.download.statistics import DownloadCounter, DownloadStatistics
from flatfiles_assets.download.transfer import ObjectTransfer, TransferLimits
from flatfiles_assets.download.verified_files import storage
from flatfiles_assets.errors import FlatFilesError, InvalidArgument


class AsyncS3Downloader:
    """Downloads objects concurrently; every body is verified before it is handed out.

    Objects named ``.gz`` are decompressed unless told otherwise: all members of a multi-member gzip;
    objects that are not gzip despite their name, and empty ones, come as they are.

    Example:
        >>> async with AsyncS3Downloader(credentials) as downloader:  # doctest: +SKIP
        ...     files = await downloader.download_batch("flatfiles", keys)

    Args:
        credentials: With ``access_key_id`` and ``secret_access_key``.
        endpoint_url: Endpoint of the store; plain HTTP is allowed.
        max_retries: Further attempts for each object after its first.
        timeout: Longest silence within a transfer, seconds.
        max_pool_connections: Idle connections that are kept open.
        max_concurrent: Requests in flight.
        retry_policy: Number and spacing of the retries; overrides `max_retries`.
        limits: Sizes above which objects are streamed, or fetched in parallel ranges.
        options: Region, addressing style, proxy and certificates; None for the settings'.

    Raises:
        MissingCredentials: A credential is absent.
        InvalidArgument: A number is out of range, or the endpoint is no URL.
    """

    def __init__(
        self,
        credentials: Mapping[str, str],
        endpoint_url: str = "https://files.polygon.io",
        max_retries: int = 5,
        timeout: float = 60,
        max_pool_connections: int = 50,
        max_concurrent: int = 8,
        *,
        retry_policy: RetryPolicy | None = None,
        limits: TransferLimits | None = None,
        options: StoreOptions | None = None,
    ) -> None:
        if max_concurrent < 1:
            raise InvalidArgument(f"max_concurrent is {max_concurrent}", next_step="use at least 1")
        check_limits(timeout, max_pool_connections)
        self._connection = S3Connection.from_credentials(credentials, endpoint_url, options)
        self._policy = retry_policy or RetryPolicy(max_retries)
        self._timeout = timeout
        self._max_pool_connections = max_pool_connections
        self._max_concurrent = max_concurrent
        self._limits = limits or TransferLimits()
        self._counter = DownloadCounter()
        self._executor: concurrent.futures.ThreadPoolExecutor | None = None
        self._transfers: dict[str, ObjectTransfer] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.endpoint_url!r})"

    async def __aenter__(self) -> AsyncS3Downloader:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Release threads and connections; the next use makes new ones."""
        executor, self._executor = self._executor, None
        self._transfers.clear()
        if executor:
            await asyncio.to_thread(executor.shutdown)

    async def download_one(self, bucket: str, key: str, decompress: bool = True) -> BytesIO:
        """One object's bytes.

        Args:
            bucket: Bucket's name.
            key: Key.
            decompress: Whether to decompress gzip where the key ends in ``.gz``.

        Raises:
            NotPublished: The object does not exist (404).
            NotEntitled: The account may not read it (403).
            CorruptFile: It is truncated or damaged gzip, and is to be decompressed.
            DownloadError: It could not be had; the subclass says why.
        """
        with self._counter.download() as attempts:
            data = await self._transfer(bucket).to_memory(key, attempts, decompress=decompress)
        return BytesIO(data)

    async def download_batch(
        self, bucket: str, keys: Sequence[str], decompress: bool = True
    ) -> list[BytesIO | None]:
        """Many objects' bytes, in the order of `keys`; None where one could not be had.

        One bad key never raises; call `download_one` with it to learn why.
        """
        results: list[BytesIO | None] = [None] * len(keys)
        waiting = iter(enumerate(keys))

        async def worker() -> None:
            for index, key in waiting:
                with contextlib.suppress(FlatFilesError):
                    results[index] = await self.download_one(bucket, key, decompress)

        await asyncio.gather(*(worker() for _ in range(min(self._max_concurrent, len(keys)))))
        return results

    async def download_to_file(
        self, bucket: str, key: str, local_path: str | os.PathLike[str], decompress: bool = True
    ) -> None:
        """One object into a file, which appears whole or not at all; folders are created.

        Raises:
            CorruptFile: It is truncated or damaged gzip, and is to be decompressed.
            DownloadError: It could not be had, or not be written.
        """
        path = Path(local_path)
        with self._counter.download() as attempts, storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            transfer = self._transfer(bucket)
            arrived = await transfer.to_file(key, path, attempts, as_is=not decompress, allow_empty=True)
            file = arrived.file
            try:
                if decompress and is_gzip_name(key):
                    await transfer.in_thread(commit_decoded, file, path)
                else:
                    await transfer.in_thread(file.commit)
            finally:
                file.discard()
            await transfer.in_thread(sync_folder, path.parent)

    async def list_objects(self, bucket: str, prefix: str, max_keys: int | None = 1000) -> list[str]:
        """The keys that begin with a prefix, in order, over all pages.

        Args:
            bucket: Bucket's name.
            prefix: Any text, not necessarily a whole folder.
            max_keys: Most keys to return; None for all.

        Raises:
            DownloadError: The bucket could not be listed.
        """
        attempts = Attempts()
        try:
            return await asyncio.to_thread(self._list, bucket, prefix, max_keys, attempts)
        finally:
            self._counter.add_retries(attempts.count)

    def get_statistics(self) -> DownloadStatistics:
        """Counts since creation or the last reset; `success_rate` is a fraction, 0.0 to 1.0."""
        return self._counter.snapshot()

    def reset_statistics(self) -> None:
        """Set all counts to zero."""
        self._counter.reset()

    def _list(self, bucket: str, prefix: str, max_keys: int | None, attempts: Attempts) -> list[str]:
        owner = self._connection.owner
        client = self._connection.for_bucket(bucket).boto3(timeout_seconds=self._timeout)
        try:
            listed = list_with(
                client,
                bucket,
                prefix,
                max_keys=max_keys,
                policy=self._policy,
                attempts=attempts,
                owner=owner,
            )
            return [item.key for item in listed]
        finally:
            client.close()

    def _transfer(self, bucket: str) -> ObjectTransfer:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._transfers.clear()
        if self._executor is None:
            self._executor = concurrent.futures.ThreadPoolExecutor(
                min(self._max_concurrent, (os.cpu_count() or 1) + 2), "download"
            )
        if bucket not in self._transfers:
            self._transfers[bucket] = ObjectTransfer(
                self._connection,
                bucket,
                executor=self._executor,
                max_concurrent=self._max_concurrent,
                policy=self._policy,
                timeout=self._timeout,
                limits=self._limits,
                max_pool_connections=self._max_pool_connections,
            )
        return self._transfers[bucket]

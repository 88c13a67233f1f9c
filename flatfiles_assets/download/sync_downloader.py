"""`SyncS3Downloader`: the blocking twin of `AsyncS3Downloader`, on boto3.

Here: the class that the documentation names. Not here: concurrency (`async_downloader.py`) and the
cache (`fetch.py`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from flatfiles_assets.download import gzip_stream
from flatfiles_assets.download.atomic_files import TemporaryFile
from flatfiles_assets.download.connection import S3Connection, StoreOptions, check_limits
from flatfiles_assets.download.decoded_file import commit_decoded, not_unpacked
from flatfiles_assets.download.descriptors import sync_folder
from flatfiles_assets.download.errors import DamagedTransfer, DownloadError, NotPublished, ObjectChanged
from flatfiles_assets.download.etags import Agreement, etags_of
from flatfiles_assets.download.faults import (
    changed,
    contradicts_the_listing,
    damaged,
    incomplete,
    location,
    no_object,
    translated,
)
from flatfiles_assets.download.gzip_stream import is_gzip
from flatfiles_assets.download.integrity import Digest, Digester, clean_etag, is_gzip_name, is_md5
from flatfiles_assets.download.listing import RemoteObject, list_with, listed_object, read_head
from flatfiles_assets.download.objects import check_no_page, check_whole
from flatfiles_assets.download.pace import LONG_BYTES, UNKNOWN_SIZE, read_in_pieces
from flatfiles_assets.download.retries import Attempts, RetryPolicy, retry_sync
from flatfiles_assets.download.statistics import DownloadCounter, DownloadStatistics
from flatfiles_assets.download.verified_files import GzipJudge, gzip_blamed_on_the_bucket, storage
from flatfiles_assets.errors import FlatFilesError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_CHUNK_BYTES = 1024 * 1024


class SyncS3Downloader:
    """Downloads one object at a time; a body that is cut is resumed where it broke off.

    Args:
        credentials: With ``access_key_id`` and ``secret_access_key``.
        endpoint_url: Endpoint of the store; plain HTTP is allowed.
        max_retries: Further attempts for each object after its first.
        timeout: Longest silence within a transfer, seconds.
        max_pool_connections: Connections that are kept open.
        retry_policy: Number and spacing of the retries; overrides `max_retries`.
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
        max_pool_connections: int = 10,
        *,
        retry_policy: RetryPolicy | None = None,
        options: StoreOptions | None = None,
    ) -> None:
        check_limits(timeout, max_pool_connections)
        self._connection = S3Connection.from_credentials(credentials, endpoint_url, options)
        self._policy = retry_policy or RetryPolicy(max_retries)
        self._timeout = timeout
        self._max_pool_connections = max_pool_connections
        self._clients: dict[S3Connection, S3Client] = {}
        self._counter = DownloadCounter()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.endpoint_url!r})"

    def __enter__(self) -> SyncS3Downloader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def download(self, bucket: str, key: str, decompress: bool = True) -> BytesIO:
        """One object's bytes.

        Args:
            bucket: Bucket's name.
            key: Key.
            decompress: Whether to decompress gzip where the key ends in ``.gz``; objects that are not
                gzip despite their name, and empty ones, come as they are.

        Raises:
            NotPublished: The object does not exist (404).
            NotEntitled: The account may not read it (403).
            CorruptFile: It is truncated or damaged gzip, and is to be decompressed.
            DownloadError: It could not be had; the subclass says why.
        """
        with self._counter.download() as attempts:
            buffer = BytesIO()
            self._receive(bucket, key, buffer, attempts, as_is=not decompress)
            if decompress and is_gzip_name(key) and is_gzip(buffer.getbuffer()):
                try:
                    buffer = BytesIO(gzip_stream.decompress(buffer.getbuffer()))
                except gzip_stream.BrokenGzip as error:
                    raise not_unpacked(error, location(bucket, key)) from None
        buffer.seek(0)
        return buffer

    def download_to_file(
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
            file = TemporaryFile(path)
            try:
                with open(file.descriptor, "r+b", buffering=0, closefd=False) as sink:
                    self._receive(bucket, key, sink, attempts, as_is=not decompress)
                if decompress and is_gzip_name(key):
                    commit_decoded(file, path)
                else:
                    file.commit()
            finally:
                file.discard()
            sync_folder(path.parent)

    def list_objects(self, bucket: str, prefix: str, max_keys: int | None = 1000) -> list[str]:
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
            listed = list_with(
                self._client(bucket),
                bucket,
                prefix,
                max_keys=max_keys,
                policy=self._policy,
                attempts=attempts,
                owner=self._connection.owner,
            )
            return [item.key for item in listed]
        finally:
            self._counter.add_retries(attempts.count)

    def check_exists(self, bucket: str, key: str) -> bool:
        """Whether an object exists.

        Raises:
            NotEntitled: The store answers 403, which says neither yes nor no.
            DownloadError: The store could not be asked.
        """
        attempts = Attempts()
        try:
            retry_sync(lambda: self._head(bucket, key), self._policy, attempts)
        except NotPublished:
            return False
        finally:
            self._counter.add_retries(attempts.retries)
        return True

    def get_statistics(self) -> DownloadStatistics:
        """Counts since creation or the last reset; `success_rate` is a fraction, 0.0 to 1.0."""
        return self._counter.snapshot()

    def reset_statistics(self) -> None:
        """Set all counts to zero."""
        self._counter.reset()

    def _client(self, bucket: str) -> S3Client:
        connection = self._connection.for_bucket(bucket)
        if connection not in self._clients:
            self._clients[connection] = connection.boto3(
                timeout_seconds=self._timeout, max_pool_connections=self._max_pool_connections
            )
        return self._clients[connection]

    def _translated(self, bucket: str, key: str) -> AbstractContextManager[None]:
        return translated(bucket, key, self._connection.owner)

    def _head(self, bucket: str, key: str) -> RemoteObject:
        client = self._client(bucket)
        with self._translated(bucket, key):
            return read_head(key, client.head_object(Bucket=bucket, Key=key))

    def _receive(self, bucket: str, key: str, sink: _Sink, attempts: Attempts, *, as_is: bool) -> None:
        """Write a verified body into an empty sink."""
        where, client = location(bucket, key), self._client(bucket)
        judge = GzipJudge(key, as_is=as_is, allow_empty=True, owner=self._connection.owner)
        reception = _Reception(sink, where, check_gzip=judge.check_gzip)
        agreement = Agreement()

        def attempt() -> None:
            try:
                with self._translated(bucket, key):
                    request = {"Bucket": bucket, "Key": key, **reception.resume_request()}
                    response = client.get_object(**request)
                    if "Range" not in request:
                        check_whole(response, bucket, key)
                    check_no_page(response.get("ContentType", ""), response.get("ETag"), bucket, key)
                if "ContentLength" not in dict(response):
                    response["ContentLength"] = self._announced_size(bucket, key)
                self._compare_with_listing(bucket, key, response)
                reception.begin(response)
                pieces = read_in_pieces(
                    response["Body"],
                    bucket,
                    key,
                    where=where,
                    piece_bytes=_CHUNK_BYTES,
                    size_bytes=reception.missing_bytes,
                    timeout_seconds=self._timeout,
                )
                for piece in pieces:
                    reception.take(piece)
                self._verify(reception, bucket, key, judge, agreement)
            except (ObjectChanged, DamagedTransfer):
                reception.forget()
                raise

        with gzip_blamed_on_the_bucket():
            retry_sync(attempt, self._policy, attempts)

    def _confirm_by_listing(self, bucket: str, key: str, digest: Digest, etag: str | None) -> None:
        """Compare with the listing, where no MD5 speaks for what arrived."""
        where, listed = location(bucket, key), self._listed(bucket, key)
        if listed and listed.size_bytes != digest.size_bytes:
            raise incomplete(where, listed.size_bytes, digest.size_bytes)
        if listed is None and etag is None and not digest.size_bytes:
            raise no_object(where)

    def _listed(self, bucket: str, key: str) -> RemoteObject | None:
        """An object as a listing of this moment has it; None where it has not, or cannot be had."""
        with contextlib.suppress(DownloadError), self._translated(bucket, key):
            return listed_object(self._client(bucket), bucket, key)
        return None

    def _announced_size(self, bucket: str, key: str) -> int:
        """The length of an object as HEAD or the listing say it, where the answer does not."""
        with contextlib.suppress(FlatFilesError):
            if (size := self._head(bucket, key).size_bytes) != UNKNOWN_SIZE:
                return size
        with self._translated(bucket, key):
            listed = listed_object(self._client(bucket), bucket, key)
        return listed.size_bytes if listed else UNKNOWN_SIZE

    def _compare_with_listing(self, bucket: str, key: str, response: GetObjectOutputTypeDef) -> None:
        """Refuse a long body of which the listing says another length, before it is read.

        Raises:
            DamagedTransfer: The answer announces another length than a listing of this moment.
        """
        announced = response["ContentLength"]
        if announced <= LONG_BYTES or response["ResponseMetadata"]["HTTPStatusCode"] == 206:
            return
        listed = self._listed(bucket, key)
        if listed and listed.size_bytes != announced:
            response["Body"].close()
            raise contradicts_the_listing(location(bucket, key), listed.size_bytes, announced)

    def _verify(
        self, reception: _Reception, bucket: str, key: str, judge: GzipJudge, agreement: Agreement
    ) -> None:
        where = location(bucket, key)
        digest, etag, expected = reception.digest(), reception.etag, reception.size_bytes
        etags = etags_of(self._connection.for_bucket(bucket).endpoint_url, bucket)
        compares = reception.etag_is_md5 and not etags.are_no_md5
        proven = digest.md5 == etag
        if not (compares and proven):
            head = self._head(bucket, key)
            if head.etag != etag:
                raise changed(where)
            expected = expected if head.size_bytes == UNKNOWN_SIZE else head.size_bytes
        if expected not in (digest.size_bytes, UNKNOWN_SIZE):
            raise incomplete(where, expected, digest.size_bytes)
        agrees = not proven and agreement.is_second(etag, digest)
        if not proven and (agrees or not compares):
            # All answers may be of one part, or of a copy that was compressed on the way.
            self._confirm_by_listing(bucket, key, digest, etag)
        if proven:
            etags.matched()
        elif compares and not (agrees and etags.differed_twice()):
            raise damaged(where, f"MD5 {digest.md5} where the ETag is {etag}")
        elif expected == UNKNOWN_SIZE and not compares and not agrees:
            raise damaged(where, "the store does not say how long the object is")
        judge.judge(digest, etag=etag, proven=proven, where=where)


class _Sink(Protocol):
    """What a body is written into: memory, or a file without buffer."""

    def write(self, data: bytes, /) -> int | None: ...
    def seek(self, offset: int, /) -> int: ...
    def truncate(self, size: int, /) -> int: ...


class _Reception:
    """A body as far as it has arrived, over all attempts."""

    def __init__(self, sink: _Sink, where: str, *, check_gzip: bool) -> None:
        self._sink = sink
        self._where = where
        self._check_gzip = check_gzip
        self._digester = Digester(check_gzip=check_gzip)
        self._position = 0
        self.size_bytes = 0
        self.etag: str | None = None
        self.etag_is_md5 = False

    def resume_request(self) -> dict[str, Any]:
        """Parameters that ask for what is missing, of the same object."""
        if not (self._position and self.etag):
            return {}
        return {"Range": f"bytes={self._position}-", "IfMatch": f'"{self.etag}"'}

    def begin(self, response: GetObjectOutputTypeDef) -> None:
        """Start from zero, unless the answer continues what is there.

        Raises:
            ObjectChanged: It continues another object.
            DamagedTransfer: It continues at another byte.
        """
        etag = clean_etag(response.get("ETag"))
        if self._position and response["ResponseMetadata"]["HTTPStatusCode"] == 206:
            if etag != self.etag:
                raise changed(self._where)
            found = response.get("ContentRange", "")
            if not found.startswith(f"bytes {self._position}-"):
                raise damaged(self._where, f"{found or 'no range'} where byte {self._position} was asked for")
            return
        self.forget()
        self.size_bytes = response["ContentLength"]
        self.etag = etag
        is_encrypted = "kms" in response.get("ServerSideEncryption", "") or bool(
            response.get("SSECustomerAlgorithm")
        )
        self.etag_is_md5 = is_md5(self.etag) and not is_encrypted

    @property
    def missing_bytes(self) -> int:
        """How many bytes are still to come, if that is known."""
        return UNKNOWN_SIZE if self.size_bytes == UNKNOWN_SIZE else self.size_bytes - self._position

    def take(self, chunk: bytes) -> None:
        """Keep the next bytes."""
        view = memoryview(chunk)
        while view:
            view = view[self._sink.write(bytes(view)) or 0 :]
        self._digester.update(chunk)
        self._position += len(chunk)

    def digest(self) -> Digest:
        """What is known of the bytes so far."""
        return self._digester.digest()

    def forget(self) -> None:
        """Drop what has arrived."""
        self._sink.seek(0)
        self._sink.truncate(0)
        self._position = 0
        self._digester = Digester(check_gzip=self._check_gzip)

"""What a bucket holds, by prefix.

Here: paginated LIST through boto3, whose prefixes are plain text as S3 defines them (obstore's are
folders). Not here: keys of feeds (`s3_catalog.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.errors import TransferFailed
from flatfiles_assets.download.faults import location, translate
from flatfiles_assets.download.integrity import clean_etag
from flatfiles_assets.download.retries import Attempts, RetryPolicy, retry_sync

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef, ObjectTypeDef

_PAGE_KEYS = 1000


@dataclasses.dataclass(frozen=True)
class RemoteObject:
    """One object as its store describes it.

    Attributes:
        key: Key in the bucket.
        etag: Entity tag without quotes; None where the store sends none.
        size_bytes: Length.
        last_modified: Time of the last change, UTC.
    """

    key: str
    etag: str | None
    size_bytes: int
    last_modified: dt.datetime


def list_remote(
    connection: S3Connection,
    bucket: str,
    prefix: str = "",
    *,
    max_keys: int | None = None,
    max_retries: int = 5,
    timeout: float = 60,
) -> Iterator[RemoteObject]:
    """The objects whose keys begin with a prefix, in the order of their keys.

    Args:
        connection: The store.
        bucket: Bucket's name.
        prefix: Any text, not necessarily a whole folder.
        max_keys: Most objects to yield; None for all.
        max_retries: Further attempts for each page.
        timeout: Longest silence, seconds.

    Raises:
        DownloadError: A page could not be had.
    """
    client = connection.boto3(timeout_seconds=timeout)
    try:
        yield from list_with(client, bucket, prefix, max_keys=max_keys, policy=RetryPolicy(max_retries))
    finally:
        client.close()


def list_with(
    client: S3Client,
    bucket: str,
    prefix: str,
    *,
    max_keys: int | None,
    policy: RetryPolicy,
    attempts: Attempts | None = None,
) -> Iterator[RemoteObject]:
    """`list_remote` on a client that exists already."""
    remaining = max_keys
    token: str | None = None
    while remaining is None or remaining > 0:
        size = _PAGE_KEYS if remaining is None else min(_PAGE_KEYS, remaining)
        counter = Attempts()
        try:
            page = retry_sync(partial(_page, client, bucket, prefix, token, size), policy, counter)
        finally:
            if attempts:
                attempts.count += counter.retries
        objects = [_described(item) for item in page.get("Contents", [])][:remaining]
        yield from objects
        remaining = None if remaining is None else remaining - len(objects)
        token = page.get("NextContinuationToken")
        if not page.get("IsTruncated") or not token:
            return


def _described(item: ObjectTypeDef) -> RemoteObject:
    modified_at = item["LastModified"].astimezone(dt.timezone.utc)
    return RemoteObject(item["Key"], clean_etag(item.get("ETag")), item["Size"], modified_at)


def _page(
    client: S3Client, bucket: str, prefix: str, token: str | None, max_keys: int
) -> ListObjectsV2OutputTypeDef:
    try:
        if token is None:
            page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=max_keys)
        else:
            page = client.list_objects_v2(
                Bucket=bucket, Prefix=prefix, MaxKeys=max_keys, ContinuationToken=token
            )
    except Exception as error:
        if (typed := translate(error, bucket, prefix)) is None:
            raise
        raise typed from None
    if not {"Name", "IsTruncated"} & page.keys():
        # boto3 takes an answer without a body for a bucket without objects.
        raise TransferFailed(
            "the listing arrived empty",
            where=location(bucket, prefix),
            next_step="check the network and run again",
        )
    return page

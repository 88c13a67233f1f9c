"""What a bucket holds, by prefix.

Here: paginated LIST through boto3, whose prefixes are plain text as S3 defines them (obstore's are
folders). Not here: keys of feeds (`s3_catalog.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from flatfiles_assets.download.answers import StoreOwner
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.errors import RequestRejected, TransferFailed
from flatfiles_assets.download.faults import location, translated
from flatfiles_assets.download.integrity import clean_etag
from flatfiles_assets.download.retries import Attempts, RetryPolicy, retry_sync

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

T = TypeVar("T")
_PAGE_KEYS = 1000
# A store that sends no time of change: older than everything else.
_NO_TIME = dt.datetime.fromtimestamp(0, dt.timezone.utc)


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
        DownloadError: A page could not be had, or is not one of a listing.
    """
    client = connection.for_bucket(bucket).boto3(timeout_seconds=timeout)
    try:
        policy = RetryPolicy(max_retries)
        yield from list_with(client, bucket, prefix, max_keys=max_keys, policy=policy, owner=connection.owner)
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
    owner: StoreOwner | None = None,
) -> Iterator[RemoteObject]:
    """`list_remote` on a client that exists already."""
    remaining = max_keys
    token: str | None = None
    tokens: set[str] = set()
    pages: set[tuple[str, str, int]] = set()
    while remaining is None or remaining > 0:
        size = _PAGE_KEYS if remaining is None else min(_PAGE_KEYS, remaining)
        counter = Attempts()
        try:
            page = retry_sync(partial(_page, client, bucket, prefix, token, size, owner), policy, counter)
        finally:
            if attempts:
                attempts.count += counter.retries
        objects = describe_objects(page, location(bucket, prefix))[:remaining]
        if objects and _is_known((objects[0].key, objects[-1].key, len(objects)), pages):
            raise _in_a_circle(bucket, prefix, f"the page from {objects[0].key!r} came twice")
        yield from objects
        remaining = None if remaining is None else remaining - len(objects)
        token = page.get("NextContinuationToken")
        if not page.get("IsTruncated") or not token:
            return
        if _is_known(token, tokens):
            raise _in_a_circle(bucket, prefix, "the store names a page as the next that it has given already")


def listed_object(client: S3Client, bucket: str, key: str) -> RemoteObject | None:
    """One object as a listing of this moment describes it; None where it is not listed.

    What it raises is the client's own.
    """
    # Of all keys that begin like it, the key itself is the first.
    page = client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    return next((item for item in describe_objects(page, location(bucket, key)) if item.key == key), None)


def describe_objects(page: Any, where: str) -> list[RemoteObject]:
    """The objects of one page of a listing.

    Raises:
        RequestRejected: An object has no key, no length, or neither a time of change nor an ETag.
    """
    return [_described(item, where) for item in page.get("Contents", [])]


def read_head(key: str, response: Any) -> RemoteObject:
    """An object as the head of an answer describes it; -1 for a length that it does not say."""
    modified_at = _in_utc(response.get("LastModified"))
    return RemoteObject(
        key, clean_etag(response.get("ETag")), response.get("ContentLength", -1), modified_at or _NO_TIME
    )


def _described(item: Any, where: str) -> RemoteObject:
    etag, modified_at = clean_etag(item.get("ETag")), _in_utc(item.get("LastModified"))
    lacking = [name for name in ("Key", "Size") if name not in item]
    if modified_at is None and etag is None:
        lacking.append("LastModified")
    if lacking:
        raise RequestRejected(
            "the listing is not one of S3",
            where=where,
            why=f"an object is listed without {' and '.join(lacking)}",
            next_step="check the endpoint: a store that can be mirrored says an object's key, its length, "
            "and its ETag or its last change",
        )
    return RemoteObject(item["Key"], etag, item["Size"], modified_at or _NO_TIME)


def _in_utc(moment: dt.datetime | None) -> dt.datetime | None:
    """A moment in UTC; None for one that is no point in time (year 1, year 9999)."""
    try:
        return moment.astimezone(dt.timezone.utc) if moment else None
    except (OverflowError, ValueError, OSError):
        return None


def _is_known(item: T, seen: set[T]) -> bool:
    """Whether something is in a set, into which it is put."""
    if item in seen:
        return True
    seen.add(item)
    return False


def _in_a_circle(bucket: str, prefix: str, why: str) -> RequestRejected:
    return RequestRejected(
        "the listing leads in a circle",
        where=location(bucket, prefix),
        why=why,
        next_step="check the endpoint and whatever stands in front of it; nothing was decided by the listing",
    )


def _page(
    client: S3Client, bucket: str, prefix: str, token: str | None, max_keys: int, owner: StoreOwner | None
) -> ListObjectsV2OutputTypeDef:
    more: dict[str, Any] = {} if token is None else {"ContinuationToken": token}
    with translated(bucket, prefix, owner):
        page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=max_keys, **more)
        known = {"Name", "IsTruncated"} & page.keys()
    if not known:
        # boto3 takes an answer without a body for a bucket without objects.
        raise TransferFailed(
            "the listing arrived empty",
            where=location(bucket, prefix),
            next_step="check the network and run again",
        )
    return page

"""Raw failures of obstore and boto3 → the package's typed errors.

Here: reading status, S3 error code and cause out of what the two clients raise. Response bodies are
never quoted, since they may echo credentials. Not here: the decision to try again (`retries.py`).
"""

from __future__ import annotations

import re

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError
from obstore import exceptions as obstore_errors

from flatfiles_assets.download.errors import (
    AuthenticationFailed,
    BucketNotFound,
    DamagedTransfer,
    DownloadError,
    NotEntitled,
    NotPublished,
    ObjectChanged,
    RequestRejected,
    Throttled,
    TransferFailed,
)
from flatfiles_assets.errors import FlatFilesError, InvalidArgument

THROTTLING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ServiceUnavailable",
        "SlowDown",
        "SlowDownRead",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
AUTHENTICATION_CODES = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_STATUS = re.compile(r"returned non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]+)\s*</Code>")
_KIND = re.compile(r"HttpError \{\s*kind: (\w+)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KINDS = {
    "Connect": "no connection could be made",
    "Timeout": "nothing arrived within the timeout",
    "Interrupted": "the connection was cut in the middle of the answer",
    "Request": "the connection was cut before the answer",
    "Decode": "the answer could not be read",
}
_ClientFailure = (obstore_errors.BaseError, FileNotFoundError, ValueError)


class RangesNotSupported(Exception):
    """The server answers a ranged request with the whole object."""


class NotModified(Exception):
    """The object still has the ETag that was sent with If-None-Match."""


def location(bucket: str, key: str) -> str:
    """How errors name an object."""
    return f"s3://{bucket}/{key}"


def changed(where: str) -> ObjectChanged:
    """The error for an answer that is about another state of the object than the one before."""
    return ObjectChanged("the object was replaced while it was read", where=where)


def damaged(where: str, why: str) -> DamagedTransfer:
    """The error for bytes, or an answer about them, that are not what the store holds."""
    return DamagedTransfer(
        "the data arrived damaged", where=where, why=why, next_step="check the network and run again"
    )


def incomplete(where: str, expected_bytes: int, found_bytes: int) -> DamagedTransfer:
    """The error for a body of another length than it should have."""
    return DamagedTransfer(
        "the data arrived incomplete",
        where=where,
        why=f"{found_bytes} bytes where {expected_bytes} are expected",
        next_step="check the network and run again",
    )


def check_key(bucket: str, key: str) -> None:
    """Refuse a key that obstore cannot ask for, or would take for another one's.

    Raises:
        InvalidArgument: It is no text, or has empty, ``.`` or ``..`` parts, or control characters.
    """
    if not isinstance(key, str) or not {"", ".", ".."}.isdisjoint(key.split("/")) or _CONTROL.search(key):
        raise _unusable_key(location(bucket, key))


def _unusable_key(where: str) -> InvalidArgument:
    return InvalidArgument(
        "not a usable key",
        where=where,
        next_step="use a key without control characters and without empty, . or .. parts",
    )


def translate(error: BaseException, bucket: str, key: str) -> FlatFilesError | None:
    """The typed error for a failure of obstore or boto3; None where it is neither's.

    Only wrap calls of the clients: obstore reports 404 as `FileNotFoundError`, which from local
    disk means something else.
    """
    where = location(bucket, key)
    if isinstance(error, FlatFilesError):
        return error
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return from_status(status, error.response.get("Error", {}).get("Code"), where)
    if isinstance(error, (BotoConnectionError, HTTPClientError, IncompleteReadError)):
        return _transfer_failed(where, type(error).__name__)
    if isinstance(error, BotoCoreError):
        return RequestRejected("the request could not be made", where=where, why=type(error).__name__)
    if isinstance(error, _ClientFailure):
        return _from_obstore(error, where)
    if isinstance(error, OSError):
        return _transfer_failed(where, type(error).__name__)
    return None


def _from_obstore(error: Exception, where: str) -> FlatFilesError:
    text = str(error)
    if isinstance(error, (ValueError, obstore_errors.InvalidPathError)) and "could not parse" in text.lower():
        return _unusable_key(where)
    code = match.group(1) if (match := _CODE.search(text)) else None
    if match := _STATUS.search(text):
        return from_status(int(match.group(1)), code, where)
    if isinstance(error, FileNotFoundError):
        return from_status(404, code, where)
    if "Received redirect" in text:
        return from_status(301, "PermanentRedirect", where)
    kind = match.group(1) if (match := _KIND.search(text)) else None
    return _transfer_failed(where, _KINDS.get(kind or "", f"network error ({kind or 'unknown'})"))


def raise_control_flow(error: Exception) -> None:
    """Raise what is an answer rather than a failure: not modified, ranges not supported."""
    if isinstance(error, obstore_errors.NotModifiedError):
        raise NotModified from None
    if isinstance(error, obstore_errors.BaseError) and "NotPartial" in str(error):
        raise RangesNotSupported from None


def from_status(status: int, code: str | None, where: str) -> DownloadError:
    """The typed error for an HTTP status and an S3 error code."""
    evidence = f"the store answered {status}" + (f" {code}" if code and code != str(status) else "")
    if code == "NoSuchBucket":
        return BucketNotFound(
            "the bucket does not exist", where=where, why=evidence, next_step="check the bucket and endpoint"
        )
    if status in (429, 503) or code in THROTTLING_CODES:
        return Throttled(
            "the store asks to slow down",
            where=where,
            why=evidence,
            next_step="lower the number of concurrent downloads (FLATFILES_MAX_CONCURRENT) and run again",
        )
    if status == 401 or code in AUTHENTICATION_CODES:
        return AuthenticationFailed(
            "the store does not accept the credentials",
            where=where,
            why=evidence,
            next_step="check the access key id, the secret, and this machine's clock",
        )
    if status == 404:
        return NotPublished(
            "the store has no such object",
            where=where,
            why=evidence,
            next_step="run again after publication, about 11:00 New York time on the next day",
        )
    if status == 403:
        return NotEntitled(
            "the account may not read this object",
            where=where,
            why=f"{evidence}; that it is listed does not mean that it is readable, "
            "since LIST covers the whole bucket and GET only what the subscription covers",
            next_step="check the dates and data types of the subscription",
        )
    if status in (412, 416):
        return ObjectChanged(
            "the object was replaced while it was read", where=where, why=evidence, next_step="run again"
        )
    if status >= 500 or status == 408 or code == "RequestTimeout":
        return _transfer_failed(where, evidence)
    return RequestRejected(
        "the store refused the request",
        where=where,
        why=evidence,
        next_step="check the endpoint, region and key",
    )


def _transfer_failed(where: str, why: str) -> TransferFailed:
    return TransferFailed(
        "the transfer failed", where=where, why=why, next_step="check the network and run again"
    )

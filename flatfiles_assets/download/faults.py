"""Raw failures of obstore and boto3 → the package's typed errors.

Here: reading status, S3 error code, message and cause out of what the two clients raise, whatever that
is. Not here: what an answer means (`answers.py`), and the decision to try again (`retries.py`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import cast

import urllib3.exceptions
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError, SSLError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError
from obstore import exceptions as obstore_errors

from flatfiles_assets.download.answers import StoreOwner, from_status, in_its_words, transfer_failed
from flatfiles_assets.download.errors import DamagedTransfer, ObjectChanged, RequestRejected, TransferFailed
from flatfiles_assets.download.obstore_client import NOWHERE
from flatfiles_assets.errors import FlatFilesError, InvalidArgument

__all__ = [
    "HeadersMissing",
    "NotModified",
    "RangesNotSupported",
    "changed",
    "check_key",
    "contradicts_the_listing",
    "damaged",
    "from_status",
    "incomplete",
    "location",
    "raise_control_flow",
    "translate",
    "translated",
]

_STATUS = re.compile(r"returned non-2xx status code: (\d{3})")
_ELEMENT = re.compile(r"<(Code|Message|Region)>([^<]{0,2000})</\1>")
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
_WEB_PAGE = re.compile(r"<!doctype html|<html", re.IGNORECASE)
_CERTIFICATE = re.compile(
    r"InvalidCertificate\(\s*(?:Other\(\s*OtherError\(\s*)?(\w+)|(CERTIFICATE_VERIFY_FAILED\][^(]*)"
)
_NO_TLS = re.compile(
    r"InvalidMessage|CorruptMessage|WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL"
)


_API_ADDRESS = (
    "use the API's address: MinIO's listens on port 9000, its console on 9001; behind a log-in page, "
    "log in first"
)


class HeadersMissing(Exception):
    """The store's answer lacks a header without which obstore reads no object, or words it in its own way."""


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


def contradicts_the_listing(where: str, listed_bytes: int, announced_bytes: int) -> DamagedTransfer:
    """The error for an answer that announces another length than the listing of the same moment."""
    return DamagedTransfer(
        "the store contradicts its own listing",
        where=where,
        why=f"the listing says {listed_bytes:,} bytes, and the answer {announced_bytes:,}; it was not read",
        next_step="check the endpoint and whatever stands in front of it",
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


def translate(error: BaseException, bucket: str, key: str, owner: StoreOwner | None = None) -> FlatFilesError:
    """The typed error for whatever a call of obstore or boto3 raised.

    Only wrap calls of the clients: obstore reports 404 as `FileNotFoundError`, which from local
    disk means something else.
    """
    where = location(bucket, key)
    if isinstance(error, FlatFilesError):
        return error
    if isinstance(error, ClientError):
        return _from_client_error(error, where, owner)
    if found := _of_the_way(error, where):
        return found
    if isinstance(error, ResponseParserError):
        return _unreadable(str(error), where)
    if isinstance(
        error,
        (BotoConnectionError, HTTPClientError, IncompleteReadError, urllib3.exceptions.HTTPError),
    ):
        proxy = type(error).__name__ in ("ProxyConnectionError", "ProxyError")
        return transfer_failed(
            where,
            type(error).__name__,
            "check FLATFILES_PROXY_URL, MINIO_PROXY_URL and HTTPS_PROXY; `none` asks without a proxy"
            if proxy
            else "check the network and run again",
        )
    if isinstance(error, BotoCoreError):
        return RequestRejected("the request could not be made", where=where, why=type(error).__name__)
    if isinstance(error, _ClientFailure):
        return _from_obstore(error, where, owner)
    if isinstance(error, OSError):
        return transfer_failed(where, type(error).__name__)
    return RequestRejected(
        "the client failed in a way that it should not",
        where=where,
        why=in_its_words(f"{type(error).__name__}: {error}"),
        next_step="check the endpoint; if it is right, report this with the log",
    )


@contextlib.contextmanager
def translated(bucket: str, key: str, owner: StoreOwner | None = None) -> Iterator[None]:
    """Let nothing but typed errors out of a call of a client.

    Raises:
        FlatFilesError: What the call came to.
    """
    try:
        yield
    except (NotModified, RangesNotSupported, HeadersMissing):
        raise
    except Exception as error:
        raise translate(error, bucket, key, owner) from None
    except BaseException as error:
        # What a panic of Rust code is to Python; the others are interrupts and cancellations.
        if type(error).__name__ != "PanicException":
            raise
        raise translate(error, bucket, key, owner) from None


def _from_client_error(error: ClientError, where: str, owner: StoreOwner | None) -> FlatFilesError:
    metadata, found = error.response.get("ResponseMetadata", {}), error.response.get("Error", {})
    headers, named = metadata.get("HTTPHeaders", {}), cast("dict[str, str]", found)
    status = int(metadata.get("HTTPStatusCode") or 0)
    if status == 500 and "html" in headers.get("content-type", ""):
        # botocore makes a 500 of a 200 that holds no XML, so that it is tried again.
        return transfer_failed(where, "the store answered with a web page", _API_ADDRESS)
    # Without a body botocore writes the status for the code and its reason for the message.
    has_body = found.get("Code") not in (str(status), None)
    return from_status(
        status,
        found.get("Code"),
        where,
        message=found.get("Message") if has_body else None,
        region=headers.get("x-amz-bucket-region") or named.get("Region"),
        location=headers.get("location"),
        owner=owner,
    )


def _from_obstore(error: Exception, where: str, owner: StoreOwner | None) -> FlatFilesError:
    text = str(error)
    if isinstance(error, (ValueError, obstore_errors.InvalidPathError)) and "could not parse" in text.lower():
        return _unusable_key(where)
    found = {name.lower(): value.strip() for name, value in reversed(_ELEMENT.findall(text))}
    status = int(match.group(1)) if (match := _STATUS.search(text)) else None
    if status is None and isinstance(error, FileNotFoundError):
        status = 404
    if status is not None:
        message = found.get("message") or (text if "HTTPS" in text.split("\n", 1)[0] else None)
        code, region = found.get("code"), found.get("region")
        return from_status(status, code, where, message=message, region=region, owner=owner)
    if NOWHERE in text or "following redirect" in text or "Received redirect" in text:
        return from_status(301, "PermanentRedirect", where, owner=owner)
    if _WEB_PAGE.search(text) or "invalid list response" in text.lower():
        return _unreadable(text, where)
    kind = match.group(1) if (match := _KIND.search(text)) else None
    return transfer_failed(where, _KINDS.get(kind or "", f"network error ({kind or 'unknown'})"))


def certificate_refused(error: BaseException, where: str) -> RequestRejected | None:
    """The error for a server whose certificate is not believed; None where it failed otherwise."""
    text = str(error)
    match = _CERTIFICATE.search(text)
    if match or (isinstance(error, SSLError) and not _NO_TLS.search(text)):
        reason = in_its_words(match.group(match.lastindex or 0) if match else text).removeprefix(
            "CERTIFICATE_"
        )
        return RequestRejected(
            "the store's certificate is not believed",
            where=where,
            why=f"TLS: {reason}",
            next_step="set FLATFILES_CA_BUNDLE (MINIO_CA_BUNDLE for your own bucket) to the PEM file of the "
            "authority or of the store's own certificate; the endpoint's host must be a name in it, and it "
            "must not have expired",
        )
    return None


def _of_the_way(error: BaseException, where: str) -> FlatFilesError | None:
    """What stands between the client and the store's answer: certificates, no TLS at all, redirects."""
    text = str(error)
    if refused := certificate_refused(error, where):
        return refused
    if isinstance(error, HTTPClientError) and "expected str instance, bytes found" in text:
        # What urllib3 makes of a 303 to another host, where botocore wants no redirects.
        return from_status(303, None, where)
    if _NO_TLS.search(text):
        return RequestRejected(
            "the endpoint does not speak TLS",
            where=where,
            why="what it answered to a TLS handshake is something else",
            next_step="use http:// in the endpoint's URL, or the port that serves https",
        )
    return None


def _unreadable(text: str, where: str) -> FlatFilesError:
    if _WEB_PAGE.search(text):
        return web_page(where)
    return transfer_failed(where, "the answer is not what S3 answers", "check the endpoint and run again")


def web_page(where: str) -> RequestRejected:
    """The error for a page for people in the place of an answer."""
    return RequestRejected(
        "the endpoint is not an S3 API",
        where=where,
        why="it answered with a web page",
        next_step=_API_ADDRESS,
    )


def no_object(where: str) -> TransferFailed:
    """The error for an answer of success that holds a message in the place of an object."""
    return transfer_failed(
        where,
        "the answer has no ETag, and holds a message or nothing in the place of an object",
        "check the endpoint and whatever stands in front of it",
    )


def only_a_part(where: str, content_range: str) -> DamagedTransfer:
    """The error for a part of an object that came where all of it was asked for."""
    return damaged(where, f"{content_range or 'a part of it'} came where all of it was asked for")


def raise_control_flow(error: Exception, *, may_be_unmodified: bool = False) -> None:
    """Raise what is an answer rather than a failure: not modified, ranges not supported.

    Args:
        error: What the client raised.
        may_be_unmodified: Whether that was asked at all.
    """
    if may_be_unmodified and isinstance(error, obstore_errors.NotModifiedError):
        raise NotModified from None
    if (
        may_be_unmodified
        and isinstance(error, ClientError)
        and error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 304
    ):
        raise NotModified from None
    if isinstance(error, obstore_errors.BaseError) and "NotPartial" in str(error):
        raise RangesNotSupported from None
    # A header that is missing, or written in another way than obstore takes it: boto3 takes more.
    if isinstance(error, obstore_errors.BaseError) and re.search(
        r"source: Header \{|MissingContentLength", str(error)
    ):
        raise HeadersMissing from None

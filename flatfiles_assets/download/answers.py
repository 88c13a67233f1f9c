"""What a store's refusal means: status, S3 error code, region and message → the package's typed errors.

Here: the meaning, and what of a store's own words may be shown. Not here: reading these out of what the
clients raise (`faults.py`).
"""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

from flatfiles_assets.download.errors import (
    AuthenticationFailed,
    BucketNotFound,
    DownloadError,
    NotEntitled,
    NotPublished,
    ObjectChanged,
    RequestRejected,
    Throttled,
    TransferFailed,
)

StoreOwner = Literal["vendor", "user"]
"""Whose store it is: what a refusal means depends on it."""

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
_TOKEN_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"})
_CLOCK_CODES = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
AUTHENTICATION_CODES = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "SignatureDoesNotMatch",
        *_TOKEN_CODES,
        *_CLOCK_CODES,
    }
)
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REGION_CODES = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidRegion",
        "PermanentRedirect",
    }
)

_MOST_CHARACTERS = 300
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")
_REGION_IN_WORDS = re.compile(r"expecting '([a-z0-9-]{1,40})'")
# What a signature, or a header that carries one, looks like: stores echo them when they refuse one.
_SIGNED = re.compile(
    r"[0-9a-f]{64}|AWS4-HMAC-SHA256\S*|(?:Credential|Signature|SignedHeaders)=[^\s,<]+", re.I
)
_AWS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")
_SHORTEST_SECRET = 4

_secrets: set[str] = set()


def conceal(*secrets: str | None) -> None:
    """Let no message show these from now on: what a store says may echo them."""
    _secrets.update(text for text in secrets if text and len(text) >= _SHORTEST_SECRET)


def in_its_words(text: str | None) -> str:
    """What a server said, fit to be shown: one short printable line without keys and signatures."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())
    for secret in sorted(_secrets, key=len, reverse=True):
        if secret in line:
            line = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", "…", line)
    line = _AWS_KEY.sub("…", _SIGNED.sub("…", line)).strip().rstrip(".")
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 1]}…"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """An answer that is no success.

    Attributes:
        status: HTTP status.
        code: S3's error code, where there is one.
        message: The store's own words, as it sent them.
        region: The region that the store names as the right one.
        location: Where the store sends the client instead.
    """

    status: int
    code: str | None = None
    message: str | None = None
    region: str | None = None
    location: str | None = None

    @property
    def known_code(self) -> str | None:
        """The code, if it is one and not something else in its place."""
        return self.code if self.code and _CODE.fullmatch(self.code) else None

    @property
    def right_region(self) -> str | None:
        """The region that the store expects."""
        found = _REGION_IN_WORDS.search(self.message or "")
        region = self.region or (found[1] if found else None)
        return region if region and re.fullmatch(r"[A-Za-z0-9-]{1,40}", region) else None

    @property
    def evidence(self) -> str:
        """Status, code and the store's words, in one line."""
        said = in_its_words(self.message)
        code = self.known_code
        shown = f" {code}" if code and code != str(self.status) else ""
        return f"the store answered {self.status}{shown}" + (f": {said}" if said else "")


def from_status(
    status: int,
    code: str | None,
    where: str,
    *,
    message: str | None = None,
    region: str | None = None,
    location: str | None = None,
    owner: StoreOwner | None = None,
) -> DownloadError:
    """The typed error for an HTTP status and an S3 error code.

    Args:
        status: HTTP status.
        code: S3's error code.
        where: The object or bucket.
        message: The store's own words.
        region: The region that the store names as the right one.
        location: Where the store sends the client instead.
        owner: Whose store it is; the vendor's where that is not known.
    """
    answer = Refusal(status, code, message, region, location)
    return (
        _about_the_request(answer, where)
        or _about_the_store(answer, where, owner)
        or _about_the_object(answer, where, owner)
    )


def _about_the_request(answer: Refusal, where: str) -> DownloadError | None:
    status, code, why = answer.status, answer.known_code, answer.evidence
    said = (answer.message or "").lower()
    if "api port" in said or "http request to an https server" in said or "sent to https port" in said:
        return RequestRejected(
            "the endpoint's port is not that of an S3 API over this protocol",
            where=where,
            why=why,
            next_step="use the API's port (MinIO's API listens on 9000, its console on 9001), and https:// "
            "where the store has a certificate",
        )
    if status == 407:
        return RequestRejected(
            "the proxy wants a name and a password",
            where=where,
            why=f"the proxy answered {status}",
            next_step="set FLATFILES_PROXY_URL or MINIO_PROXY_URL to http://name:password@host:port",
        )
    if (status in REDIRECTS or code in _REGION_CODES) and (region := answer.right_region):
        kind = AuthenticationFailed if code == "AuthorizationHeaderMalformed" else RequestRejected
        return kind(
            "the store is in another region than the one that requests are signed for",
            where=where,
            why=f"{why}; it expects the region {region}",
            next_step=f"set the region to {region} (FLATFILES_REGION, or MINIO_REGION for your own bucket)",
        )
    if status in REDIRECTS or code in ("PermanentRedirect", "TemporaryRedirect"):
        leads = in_its_words(answer.location)
        return RequestRejected(
            "the store redirects to another address, which is not followed",
            where=where,
            why=f"{why}, to {leads}" if leads else why,
            next_step="set the endpoint to the address itself (http:// or https://, host, port, without the "
            "bucket), and the region to the bucket's",
        )
    return None


def _about_the_store(answer: Refusal, where: str, owner: StoreOwner | None) -> DownloadError | None:
    status, code, why = answer.status, answer.known_code, answer.evidence
    if code == "NoSuchBucket":
        return BucketNotFound(
            "the bucket does not exist", where=where, why=why, next_step="check the bucket and endpoint"
        )
    if status in (429, 503) or code in THROTTLING_CODES:
        return Throttled(
            "the store asks to slow down",
            where=where,
            why=why,
            next_step="lower the number of concurrent downloads (FLATFILES_MAX_CONCURRENT) and run again",
        )
    if code in _TOKEN_CODES:
        names = "MINIO_SESSION_TOKEN" if owner == "user" else "FLATFILES_SESSION_TOKEN"
        return AuthenticationFailed(
            "the store does not accept the session token",
            where=where,
            why=why,
            next_step=f"renew the key, the secret and {names} together; permanent keys have no token",
        )
    if code in _CLOCK_CODES:
        return AuthenticationFailed(
            "this machine's clock is not the store's",
            where=where,
            why=why,
            next_step="set this machine's clock",
        )
    if status == 401 or code in AUTHENTICATION_CODES:
        return AuthenticationFailed(
            "the store does not accept the credentials",
            where=where,
            why=why,
            next_step="check the access key id, the secret, and this machine's clock",
        )
    return None


def _about_the_object(answer: Refusal, where: str, owner: StoreOwner | None) -> DownloadError:
    status, code, why = answer.status, answer.known_code, answer.evidence
    if code == "InvalidObjectState":
        return RequestRejected(
            "the object is archived and cannot be read now",
            where=where,
            why=why,
            next_step="restore it from its archive (Glacier) in the store, then run again",
        )
    if status == 404:
        return NotPublished(
            "the store has no such object",
            where=where,
            why=why,
            next_step="check the key, the bucket and the prefix"
            if owner == "user"
            else "run again after publication, about 11:00 New York time on the next day",
        )
    if status == 403:
        return _denied(where, why, owner)
    if status in (412, 416):
        return ObjectChanged(
            "the object was replaced while it was read", where=where, why=why, next_step="run again"
        )
    if status >= 500 or status == 408 or code == "RequestTimeout":
        return transfer_failed(where, why)
    return RequestRejected(
        "the store refused the request",
        where=where,
        why=why,
        next_step="check the endpoint, region and key",
    )


def _denied(where: str, why: str, owner: StoreOwner | None) -> NotEntitled:
    if owner == "user":
        return NotEntitled(
            "the access key may not read this",
            where=where,
            why=why,
            next_step="check the policy of the access key and of the bucket: it needs s3:GetObject and "
            "s3:ListBucket",
        )
    return NotEntitled(
        "the account may not read this object",
        where=where,
        why=f"{why}; that it is listed does not mean that it is readable, "
        "since LIST covers the whole bucket and GET only what the subscription covers",
        next_step="check the dates and data types of the subscription",
    )


def transfer_failed(
    where: str, why: str, next_step: str = "check the network and run again"
) -> TransferFailed:
    """The error for a network or a server that failed."""
    return TransferFailed("the transfer failed", where=where, why=why, next_step=next_step)

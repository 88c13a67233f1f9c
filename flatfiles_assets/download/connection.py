"""Where a store is and who we are there, and the two clients built from that.

Here: `S3Connection`. Not here: requests. Clients are asked for where they are used, because neither
survives a fork.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import os
import re
import urllib.parse
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from obstore.store import S3Store

from flatfiles_assets.errors import FlatFilesError, InvalidArgument, MissingCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client

_CONNECT_TIMEOUT_SECONDS = 10.0
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
# Gateways have names that S3 would not allow, but none with what has a meaning in a URL.
_BUCKET = re.compile(r"[^\s/\\?#%\x00-\x1f\x7f]+")
_NO_TOTAL_TIMEOUT = dt.timedelta(days=7)


@dataclasses.dataclass(frozen=True)
class S3Connection:
    """An S3-compatible store: path style, signature v4, plain HTTP allowed.

    Raises:
        InvalidArgument: The endpoint is no URL of a host, or a key cannot be one.

    Attributes:
        endpoint_url: Scheme, host and port.
        access_key_id: Access key id.
        secret_access_key: Secret; in no representation.
        region: Region that requests are signed for.
    """

    endpoint_url: str
    access_key_id: str = dataclasses.field(repr=False)
    secret_access_key: str = dataclasses.field(repr=False)
    region: str = "us-east-1"

    def __post_init__(self) -> None:
        _check_endpoint(self.endpoint_url)
        for name in ("access_key_id", "secret_access_key"):
            value = getattr(self, name)
            if not value.isascii() or not value.isprintable() or " " in value:
                raise InvalidArgument(
                    f"the {name} holds a character that no key has",
                    why="white space, a line end or a letter that is not ASCII",
                    next_step="set it without quotes, spaces and line ends",
                )

    @classmethod
    def from_credentials(cls, credentials: Mapping[str, str], endpoint_url: str) -> S3Connection:
        """A connection from a mapping with ``access_key_id`` and ``secret_access_key``.

        Raises:
            MissingCredentials: One of them is absent or empty.
        """
        names = ("access_key_id", "secret_access_key")
        missing = [name for name in names if not credentials.get(name)]
        if missing:
            raise MissingCredentials(
                f"{' and '.join(missing)} missing from the credentials",
                next_step=f"pass a dict with {' and '.join(names)}",
            )
        return cls(endpoint_url, credentials["access_key_id"], credentials["secret_access_key"])

    def obstore(self, bucket: str, *, timeout_seconds: float = 60, max_pool_connections: int = 50) -> S3Store:
        """The obstore client of one bucket in this process, without retries of its own.

        Args:
            bucket: Bucket's name.
            timeout_seconds: Longest silence in a transfer; the transfer as a whole has no limit.
            max_pool_connections: Idle connections that are kept open.

        Raises:
            InvalidArgument: A number is out of range, or the name is no bucket's.
            ForkedProcess: A parent of this process made one before it was forked.
        """
        check_limits(timeout_seconds, max_pool_connections)
        _check_not_forked()
        if not _BUCKET.fullmatch(bucket):
            raise InvalidArgument("not the name of a bucket", where=repr(bucket))
        return _store(self, bucket, timeout_seconds, max_pool_connections)

    def boto3(self, *, timeout_seconds: float = 60, max_pool_connections: int = 10) -> S3Client:
        """A boto3 client, without retries and without checksum headers that S3 gateways refuse.

        Raises:
            InvalidArgument: A number is out of range.
        """
        check_limits(timeout_seconds, max_pool_connections)
        options: dict[str, Any] = {
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=min(timeout_seconds, _CONNECT_TIMEOUT_SECONDS),
            read_timeout=timeout_seconds,
            max_pool_connections=max_pool_connections,
            **options,
        )
        session = boto3.Session(
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name=self.region,
        )
        return session.client("s3", endpoint_url=self.endpoint_url, config=config)


class ForkedProcess(FlatFilesError):
    """Downloads began in a parent process; its threads did not survive the fork, and a request would hang."""


_process_of_runtime: int | None = None


def _check_not_forked() -> None:
    global _process_of_runtime
    _process_of_runtime = _process_of_runtime or os.getpid()
    if _process_of_runtime != os.getpid():
        raise ForkedProcess(
            "this process cannot download",
            why="it was forked from one that had downloaded before",
            next_step="start worker processes with multiprocessing's spawn instead of fork",
        )


def check_limits(timeout_seconds: float, max_pool_connections: int) -> None:
    """Refuse numbers that the clients refuse only later, and each in its own words.

    Raises:
        InvalidArgument: A number is out of range.
    """
    if not timeout_seconds > 0:
        raise InvalidArgument(f"the timeout is {timeout_seconds} s", next_step="use more than 0")
    if max_pool_connections < 1:
        raise InvalidArgument(f"max_pool_connections is {max_pool_connections}", next_step="use at least 1")


def _check_endpoint(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    # What may be a password is not shown.
    if "@" in url:
        raise InvalidArgument(
            "the endpoint's URL holds a name or password",
            next_step="set the access key id and the secret on their own",
        )
    if not usable or _SPACE.search(url):
        raise InvalidArgument(
            "the endpoint is not a URL",
            where=repr(url),
            next_step="use scheme, host and port, e.g. https://files.polygon.io or http://localhost:9000",
        )


@functools.lru_cache(maxsize=16)
def _store(
    connection: S3Connection,
    bucket: str,
    timeout_seconds: float,
    max_pool_connections: int,
) -> S3Store:
    """One client for each store and bucket: making it reads every certificate of the system."""
    return S3Store(
        bucket,
        endpoint=connection.endpoint_url.rstrip("/"),
        access_key_id=connection.access_key_id,
        secret_access_key=connection.secret_access_key,
        region=connection.region,
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": True,
            "timeout": _NO_TOTAL_TIMEOUT,
            "connect_timeout": dt.timedelta(seconds=min(timeout_seconds, _CONNECT_TIMEOUT_SECONDS)),
            "read_timeout": dt.timedelta(seconds=timeout_seconds),
            "pool_max_idle_per_host": str(max_pool_connections),
        },
        retry_config={"max_retries": 0, "retry_timeout": _NO_TOTAL_TIMEOUT},
    )

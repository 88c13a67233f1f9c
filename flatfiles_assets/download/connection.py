"""Where a store is and who we are there, and the two clients built from that.

Here: `S3Connection`, the one place that builds clients, with every option passed: what other
programs' variables and files (``AWS_*``, ``~/.aws/config``) say reaches no request. Not here:
requests. Clients are asked for where they are used, because neither survives a fork.
"""

from __future__ import annotations

import dataclasses
import os
import re
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast, get_args

from flatfiles_assets.download import boto3_client, obstore_client
from flatfiles_assets.download.answers import StoreOwner, conceal
from flatfiles_assets.download.faults import translated
from flatfiles_assets.download.network import NetworkOptions
from flatfiles_assets.errors import FlatFilesError, InvalidArgument, MissingCredentials
from flatfiles_assets.settings import AddressingStyle, Settings, load_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from obstore.store import S3Store

_CONTROL = re.compile(r"[\s\x00-\x1f\x7f]")
# Gateways have names that S3 would not allow, but none with what has a meaning in a URL.
_BUCKET = re.compile(r"[^\s/\\?#%\x00-\x1f\x7f]+")
_VENDOR_HOSTS = ("polygon.io", "massive.com")
_REGION = re.compile(r"(?![0-9]+$)(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
# Hosts of which it is certain that a label before them is a bucket's name.
_STORE_HOSTS = re.compile(
    r"s3[.-].*|.*\.s3[.-].*|.*\.(amazonaws\.com(\.cn)?|r2\.cloudflarestorage\.com|digitaloceanspaces\.com"
    r"|wasabisys\.com|backblazeb2\.com|linodeobjects\.com|scw\.cloud|aliyuncs\.com|ovh\.net)"
    r"|storage\.googleapis\.com"
)

_USUAL_WAY = NetworkOptions()


@dataclasses.dataclass(frozen=True)
class StoreOptions:
    """How a store is spoken to, beside its address and the keys.

    Attributes:
        region: Region that requests are signed for.
        addressing_style: Whether the bucket stands in the path or in front of the host.
        network: Proxy and certificates.
    """

    region: str = "us-east-1"
    addressing_style: AddressingStyle = "path"
    network: NetworkOptions = _USUAL_WAY

    @classmethod
    def of_vendor(cls, settings: Settings) -> StoreOptions:
        """What the settings say of the vendor's store."""
        network = NetworkOptions(settings.ca_bundle, _plain(settings.proxy_url))
        style = _addressing_style(settings.addressing_style, "FLATFILES_ADDRESSING_STYLE")
        return cls(settings.region, style, network)

    @classmethod
    def of_user(cls, settings: Settings) -> StoreOptions:
        """What the settings say of the user's store."""
        network = NetworkOptions(settings.minio_ca_bundle, _plain(settings.minio_proxy_url))
        style = _addressing_style(settings.minio_addressing_style, "MINIO_ADDRESSING_STYLE")
        return cls(settings.minio_region, style, network)


@dataclasses.dataclass(frozen=True)
class S3Connection:
    """An S3-compatible store: signature v4, plain HTTP allowed.

    Raises:
        InvalidArgument: The endpoint is no URL of a host, or a key or the region cannot be one.

    Attributes:
        endpoint_url: Scheme, host and port.
        access_key_id: Access key id.
        secret_access_key: Secret; in no representation.
        region: Region that requests are signed for.
        session_token: Token of temporary credentials; None for permanent ones.
        addressing_style: Whether the bucket stands in the path or in front of the host.
        network: Proxy and certificates.
        owner: Whose store it is; None where only the keys can tell.
    """

    endpoint_url: str
    access_key_id: str = dataclasses.field(repr=False)
    secret_access_key: str = dataclasses.field(repr=False)
    region: str = "us-east-1"
    session_token: str | None = dataclasses.field(default=None, repr=False)
    addressing_style: AddressingStyle = "path"
    network: NetworkOptions = _USUAL_WAY
    owner: StoreOwner | None = None

    def __post_init__(self) -> None:
        _check_endpoint(self.endpoint_url)
        for name in ("access_key_id", "secret_access_key", "session_token"):
            value = getattr(self, name)
            if value is not None and (not value.isascii() or not value.isprintable() or " " in value):
                raise InvalidArgument(
                    f"the {name} holds a character that no key has",
                    why="white space, a line end or a letter that is not ASCII",
                    next_step="set it without quotes, spaces and line ends",
                )
        if not _REGION.fullmatch(self.region):
            raise InvalidArgument(
                "not the name of a region",
                where=repr(self.region),
                next_step="set FLATFILES_REGION or MINIO_REGION to a name such as us-east-1",
            )
        conceal(self.access_key_id, self.secret_access_key, self.session_token)

    @classmethod
    def from_credentials(
        cls, credentials: Mapping[str, str], endpoint_url: str, options: StoreOptions | None = None
    ) -> S3Connection:
        """A connection from a mapping with ``access_key_id`` and ``secret_access_key``.

        Args:
            credentials: With these two, and ``session_token`` where they are temporary.
            endpoint_url: The store.
            options: How it is spoken to; None for what the settings say of the vendor's store.

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
        settings = load_settings()
        options = StoreOptions.of_vendor(settings) if options is None else options
        owner: StoreOwner = "vendor" if _is_vendors(endpoint_url, settings) else "user"
        key, secret = (credentials[name] for name in names)
        return cls._of(endpoint_url, key, secret, credentials.get("session_token") or None, options, owner)

    @classmethod
    def of_vendor(cls, settings: Settings) -> S3Connection:
        """The vendor's store, as the settings have it.

        Raises:
            MissingCredentials: They are not set.
        """
        key, secret = settings.flatfiles_credentials()
        options, token = StoreOptions.of_vendor(settings), _plain(settings.session_token)
        return cls._of(settings.endpoint_url, key, secret, token, options, "vendor")

    @classmethod
    def of_user(cls, settings: Settings) -> S3Connection:
        """The user's own store, as the settings have it.

        Raises:
            MissingCredentials: They are not set.
        """
        key, secret = settings.minio_credentials()
        options, token = StoreOptions.of_user(settings), _plain(settings.minio_session_token)
        return cls._of(settings.minio_endpoint_url, key, secret, token, options, "user")

    @classmethod
    def _of(
        cls, url: str, key: str, secret: str, token: str | None, options: StoreOptions, owner: StoreOwner
    ) -> S3Connection:
        return cls(url, key, secret, options.region, token, options.addressing_style, options.network, owner)

    @property
    def host(self) -> str:
        """The endpoint's host, in lower case."""
        return urllib.parse.urlsplit(self.endpoint_url).hostname or ""

    @property
    def needs_blocking_client(self) -> bool:
        """Whether only boto3 can be trusted with this store.

        obstore would carry a session token along to wherever an answer redirects it, and does not
        believe a server whose own certificate says that it is an authority.
        """
        return self.session_token is not None or (
            self.endpoint_url.startswith("https") and self.network.is_own_certificate(self.host)
        )

    def for_bucket(self, bucket: str) -> S3Connection:
        """The same store without the bucket's name in its endpoint, where people often put it.

        Raises:
            InvalidArgument: The name is no bucket's.
        """
        if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
            raise InvalidArgument("not the name of a bucket", where=repr(bucket))
        parts = urllib.parse.urlsplit(self.endpoint_url)
        path = parts.path.rstrip("/").removesuffix(f"/{bucket}")
        style, netloc = self.addressing_style, parts.netloc
        rest = netloc.lower().removeprefix(f"{bucket.lower()}.")
        if rest != netloc.lower() and (style == "virtual" or _STORE_HOSTS.fullmatch(rest.partition(":")[0])):
            style, netloc = "virtual", rest
        endpoint_url = urllib.parse.urlunsplit((parts.scheme, netloc, path, "", ""))
        return dataclasses.replace(self, endpoint_url=endpoint_url, addressing_style=style)

    def bucket_url(self, bucket: str) -> str:
        """Where a bucket's objects are, as its addressing style has it; no slash at the end."""
        found = self.for_bucket(bucket)
        parts = urllib.parse.urlsplit(found.endpoint_url)
        if found.addressing_style == "virtual":
            return f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path}"
        return f"{found.endpoint_url}/{bucket}"

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
        found = self.for_bucket(bucket)
        with translated(bucket, "", self.owner):
            return obstore_client.build(
                bucket,
                endpoint_url=found.endpoint_url,
                keys=(found.access_key_id, found.secret_access_key, found.session_token),
                region=found.region,
                virtual=found.addressing_style == "virtual",
                proxy_url=found.network.proxy_for(found.endpoint_url),
                certificates=found.network.certificates(),
                timeout_seconds=timeout_seconds,
                max_pool_connections=max_pool_connections,
            )

    def boto3(self, *, timeout_seconds: float = 60, max_pool_connections: int = 10) -> S3Client:
        """A boto3 client, without retries and without checksum headers that S3 gateways refuse.

        For one bucket ask ``for_bucket(bucket)`` for it.

        Raises:
            InvalidArgument: A number is out of range.
        """
        check_limits(timeout_seconds, max_pool_connections)
        with translated("", "", self.owner):
            return boto3_client.build(
                endpoint_url=self.endpoint_url,
                keys=(self.access_key_id, self.secret_access_key, self.session_token),
                region=self.region,
                addressing_style=self.addressing_style,
                proxy_url=self.network.proxy_for(self.endpoint_url),
                ca_file=self.network.ca_file(),
                timeout_seconds=timeout_seconds,
                max_pool_connections=max_pool_connections,
            )


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


def _is_vendors(endpoint_url: str, settings: Settings) -> bool:
    _check_endpoint(endpoint_url)
    host = urllib.parse.urlsplit(endpoint_url).hostname or ""
    return endpoint_url == settings.endpoint_url or host.endswith(_VENDOR_HOSTS)


def _addressing_style(text: str, name: str) -> AddressingStyle:
    for style in get_args(AddressingStyle):
        if text.strip().lower() == style:
            return cast("AddressingStyle", style)
    raise InvalidArgument(
        f"{text!r} is no way to address a bucket",
        where=name,
        next_step="use path (the bucket in the URL's path) or virtual (in front of the host)",
    )


def _plain(secret: object) -> str | None:
    return secret.get_secret_value() if hasattr(secret, "get_secret_value") else None


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
    if not usable or _CONTROL.search(url):
        raise InvalidArgument(
            "the endpoint is not a URL",
            where=repr(url),
            next_step="use scheme, host and port, e.g. https://files.polygon.io or http://localhost:9000",
        )

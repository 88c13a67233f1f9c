"""Dagster resources: the two stores and the warehouse, as the assets see them.

Here: what an asset may ask for. Not here: how it is done (`download/`, `warehouse/`). Every field
defaults to None, which means "from the settings, when the run needs it": no environment is read
at import, and no secret enters Dagster's configuration, where the UI would show it. No run can set
one at its launch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from dagster import ConfigurableResource, InitResourceContext
from dagster_aws.s3 import S3Resource
from pydantic import Field, PrivateAttr, SecretStr

from flatfiles_assets.defs.launch import Settled
from flatfiles_assets.download.cache import FetchedFile, FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.fetch import fetch_files
from flatfiles_assets.download.listing import RemoteObject, list_remote
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.errors import FlatFilesError, InvalidArgument
from flatfiles_assets.minio_data_downloader import MinIODataDownloader
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.loading import ExtraColumns
from flatfiles_assets.warehouse.workspace import Workspace


class _CachedS3Resource(Settled, S3Resource):
    """dagster-aws's S3 resource, plus a local mirror that is filled by asynchronous batches."""

    bucket: str | None = Field(default=None, description="Bucket; None for the settings' one.")
    cache_dir: str | None = Field(
        default=None, description="Folder of the mirror; None for the settings' one."
    )
    max_concurrent: int | None = Field(
        default=None, description="Downloads at once; None for the settings' figure."
    )

    def _settings(self) -> Settings:
        return load_settings()

    def _connection(self, settings: Settings) -> S3Connection:
        raise NotImplementedError

    def bucket_name(self) -> str:
        """The bucket that is read."""
        raise NotImplementedError

    def connection(self) -> S3Connection:
        """Endpoint and credentials for the downloaders.

        Raises:
            MissingCredentials: They are not set.
        """
        settings = self._settings()
        if self.aws_access_key_id and self.aws_secret_access_key:
            settings = settings.model_copy(update=self._own_credentials())
        found = self._connection(settings)
        found = dataclasses.replace(
            found,
            endpoint_url=self.endpoint_url or found.endpoint_url,
            region=self.region_name or found.region,
        )
        return found.for_bucket(self.bucket_name())

    def _own_credentials(self) -> dict[str, Any]:
        """The resource's own keys as the fields of the settings."""
        raise NotImplementedError

    def get_client(self) -> Any:
        """A boto3 client for the same endpoint, path style, checksums only when required."""
        return self.connection().boto3()

    def get_object_to_set_on_execution_context(self) -> Any:
        """This resource, not a client: without credentials a step must get as far as to say so."""
        return self

    def cache(self) -> FileCache:
        """The local mirror and its ledger."""
        raise NotImplementedError

    def fetch(
        self, cache: FileCache, keys: Sequence[str], *, recheck: bool = True
    ) -> Iterator[FetchedFile | FlatFilesError]:
        """Bring the mirror up to date for some keys: many downloads at once, results in order.

        The asynchronous client lives inside this call, because it would not survive a fork.

        Args:
            cache: The mirror to fill.
            keys: Keys in the bucket.
            recheck: Ask the bucket whether a file that is here has been replaced.

        Yields:
            For each key, in the order given, the cached file or why it could not be had.
        """
        settings = self._settings()
        yield from fetch_files(
            self.connection(),
            self.bucket_name(),
            cache,
            keys,
            max_concurrent=self.max_concurrent or settings.max_concurrent,
            max_retries=settings.max_retries,
            timeout=settings.timeout_seconds,
            recheck=recheck,
        )

    def list_remote(self, prefix: str) -> Iterator[RemoteObject]:
        """Every object below a prefix of the bucket."""
        settings = self._settings()
        return list_remote(
            self.connection(),
            self.bucket_name(),
            prefix,
            max_retries=settings.max_retries,
            timeout=settings.timeout_seconds,
        )


class FlatFilesS3Resource(_CachedS3Resource):
    """The vendor's flat-file bucket."""

    options_prefix: str | None = Field(
        default=None, description="First folder of the option feeds' keys; None for the settings' one."
    )

    def _connection(self, settings: Settings) -> S3Connection:
        return S3Connection.of_vendor(settings)

    def _own_credentials(self) -> dict[str, Any]:
        return {
            "access_key_id": _secret(self.aws_access_key_id),
            "secret_access_key": _secret(self.aws_secret_access_key),
            "session_token": _secret(self.aws_session_token),
        }

    def cache(self) -> FileCache:
        """The local mirror and its ledger."""
        return Workspace.from_settings(self._settings()).flat_file_cache(self.cache_dir)

    def bucket_name(self) -> str:
        """The vendor's bucket."""
        return self.bucket or self._settings().bucket

    def catalog(self) -> S3Catalog:
        """Dates to keys and back, with the option prefix in force."""
        return Workspace.from_settings(
            self._settings(), bucket=self.bucket, options_prefix=self.options_prefix
        ).catalog


class MinIOS3Resource(_CachedS3Resource):
    """The user's own bucket with historical years and directories."""

    def _connection(self, settings: Settings) -> S3Connection:
        return S3Connection.of_user(settings)

    def _own_credentials(self) -> dict[str, Any]:
        return {
            "minio_access_key": _secret(self.aws_access_key_id),
            "minio_secret_key": _secret(self.aws_secret_access_key),
            "minio_session_token": _secret(self.aws_session_token),
        }

    def cache(self) -> FileCache:
        """The local mirror and its ledger."""
        return Workspace.from_settings(self._settings()).minio_cache(self.cache_dir)

    def bucket_name(self) -> str:
        """The user's bucket."""
        return self.bucket or self._settings().minio_bucket

    def downloader(self) -> MinIODataDownloader:
        """The mirror of the bucket; nothing is asked of it until something is downloaded."""
        settings = self._settings()
        return MinIODataDownloader(
            Path(self.cache_dir) if self.cache_dir else settings.minio_cache_dir,
            endpoint_url=self.endpoint_url,
            bucket=self.bucket,
            access_key=self.aws_access_key_id,
            secret_key=self.aws_secret_access_key,
            max_concurrent=self.max_concurrent,
        )


def _secret(value: str | None) -> SecretStr | None:
    return SecretStr(value) if value else None


class WarehouseResource(Settled, ConfigurableResource[Any]):
    """The DuckDB warehouse."""

    database: str | None = Field(
        default=None, description="Path of the DuckDB file; None for the settings' one."
    )
    lock_timeout_seconds: float | None = Field(
        default=None, description="Longest wait for the file; None for the settings' figure."
    )
    _run_id: str | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Learn which run writes: the warehouse tells later what that run left."""
        self._run_id = context.run.run_id if context.run else None

    def open(self) -> Warehouse:
        """The warehouse; nothing is locked until a transaction or a query asks for it."""
        return Workspace.from_settings(
            warehouse_path=self.database, lock_timeout_seconds=self.lock_timeout_seconds
        ).warehouse.in_run(self._run_id)


def extra_columns() -> ExtraColumns:
    """What becomes of columns that are not the feed's.

    Raises:
        InvalidArgument: The setting is none of the answers.
    """
    configured = load_settings().extra_columns.strip().lower()
    for answer in get_args(ExtraColumns):
        if configured == answer:
            return cast("ExtraColumns", answer)
    raise InvalidArgument(
        f"{configured!r} says nothing about further columns",
        where="FLATFILES_EXTRA_COLUMNS",
        next_step=f"use one of {', '.join(get_args(ExtraColumns))}",
    )


def test_tickers() -> frozenset[str] | None:
    """The configured test tickers; None for the known ones."""
    configured = load_settings().test_tickers
    if configured is None:
        return None
    return frozenset(ticker.strip() for ticker in configured.split(",") if ticker.strip())

"""`MinIODataDownloader`: the user's bucket mirrored, its years extracted, everything verifiable.

Here: the class that users meet, thin over its neighbours. Not here: any command line (`flags`,
`commands`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.errors import NotPublished
from flatfiles_assets.download.listing import RemoteObject, list_remote
from flatfiles_assets.download.transfer import TransferLimits
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.ingest.archives.extraction import (
    ArchiveLimits,
    ArchiveManifest,
    extract_archive,
    read_manifest,
    verify_extracted,
)
from flatfiles_assets.minio_data_downloader import bucket_contents as contents
from flatfiles_assets.minio_data_downloader.integration_config import IntegrationConfig, describe_cache
from flatfiles_assets.minio_data_downloader.integrity import IntegrityReport, verify_cache
from flatfiles_assets.minio_data_downloader.progress import Unwatched, Work
from flatfiles_assets.minio_data_downloader.sync import (
    FetchOptions,
    SyncReport,
    kept_though_deleted,
    synchronise,
)
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.warehouse.workspace import Workspace


class NotDownloaded(FlatFilesError):
    """A year's ZIP is asked for and is not in the cache."""


class MinIODataDownloader:
    """Mirror of a bucket with yearly ZIPs and directories.

    The bucket is asked only by the methods that download; extraction, verification and the
    integration config work without it. Everything is incremental and may be interrupted: an
    up-to-date file costs no download, a large one that was cut continues where it was.

    Args:
        cache_dir: Folder of the mirror: ``historical/2008.zip``, ``historical/2008/…``,
            ``financials/`` and so on under their own names, and ``metadata/`` with the ledger. None
            for the settings' folder.
        endpoint_url: The store; like all that follows, None for the settings' value.
        bucket: Bucket's name.
        access_key: Access key.
        secret_key: Secret; in no representation.
        historical_prefix: Beginning of the keys of the yearly ZIPs; None for anywhere.
        max_concurrent: Requests in flight.
        max_retries: Further attempts for each object after its first.
        timeout: Longest silence in a transfer, seconds.
        archive_limits: How much a ZIP may become.
        transfer_limits: Sizes from which on objects are fetched in resumable ranges.
        work: Told of long work.
    """

    def __init__(
        self,
        cache_dir: str | Path | None = "data/minio_cache",
        *,
        endpoint_url: str | None = None,
        bucket: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        historical_prefix: str | None = None,
        max_concurrent: int | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
        archive_limits: ArchiveLimits | None = None,
        transfer_limits: TransferLimits | None = None,
        work: Work | None = None,
    ) -> None:
        self._settings = _settings(
            minio_endpoint_url=endpoint_url,
            minio_bucket=bucket,
            minio_access_key=access_key,
            minio_secret_key=secret_key,
            minio_historical_prefix=historical_prefix,
            max_concurrent=max_concurrent,
            max_retries=max_retries,
            timeout_seconds=timeout,
        )
        self.cache_dir = Path(self._settings.minio_cache_dir if cache_dir is None else cache_dir)
        self._archive_limits = archive_limits or ArchiveLimits()
        self._transfer_limits = transfer_limits
        self._work = work or Unwatched()

    def __repr__(self) -> str:
        settings = self._settings
        return (
            f"{type(self).__name__}({str(self.cache_dir)!r}, endpoint_url={settings.minio_endpoint_url!r},"
            f" bucket={settings.minio_bucket!r})"
        )

    def _mirror(self) -> FileCache:
        return Workspace.from_settings(self._settings).minio_cache(self.cache_dir)

    def available_years(self) -> list[int]:
        """The years whose ZIPs the bucket has, in order."""
        return list(contents.find_years(*self._list_historical()))

    def download_historical_zips(self, years: Iterable[int] | int | None = None) -> list[Path]:
        """Bring yearly ZIPs up to date.

        Args:
            years: Which; None for every year the bucket has.

        Returns:
            The ZIPs on disk, in order; without those that were removed after their extraction.

        Raises:
            SyncFailed: One of them could not be had; the others are there.
        """
        return self.sync_historical(years).raise_for_failures().paths

    def sync_historical(self, years: Iterable[int] | int | None = None) -> SyncReport:
        """`download_historical_zips`, with a report instead of an exception for failures."""
        wanted_years = None if years is None else [years] if isinstance(years, int) else list(years)
        try:
            objects, prefix = self._list_historical()
        except NotPublished as error:
            names = [str(year) for year in wanted_years or ()] or [str(error.where)]
            return SyncReport(failures=dict.fromkeys(names, error))
        with self._mirror() as cache:
            return self._sync_years(cache, objects, prefix, wanted_years)

    def extract_historical_data(self, year: int, cleanup: bool = False) -> Path:
        """Extract a downloaded year, unless its extraction is there and whole.

        Args:
            year: The year.
            cleanup: Whether to remove the ZIP once the extraction is verified. The ledger remembers
                it, so that it is fetched again only when the bucket has another.

        Returns:
            The folder with the files.

        Raises:
            NotDownloaded: The ZIP is not in the cache.
            UnsafeArchive: It must not be extracted.
            CorruptFile: It is damaged, or the extraction cannot be verified.
        """
        folder = self.cache_dir / contents.year_folder_key(year)
        archive = self.cache_dir / contents.year_key(year)
        with self._mirror() as cache:
            entry = cache.ledger.get(contents.year_key(year))
        expected_sha256 = entry.sha256 if entry else None
        if not _is_whole_extraction(folder, expected_sha256):
            if not archive.exists():
                raise NotDownloaded(
                    f"the ZIP of {year} is not in the cache",
                    where=str(archive),
                    next_step=f"download_historical_zips([{year}]) or --download-historical {year}",
                )
            self._extract(archive, folder, expected_sha256)
        if cleanup and archive.exists() and _is_whole_extraction(folder, expected_sha256):
            archive.unlink()
        return folder

    def download_directory(self, prefix: str, recursive: bool = True) -> list[Path]:
        """Bring the files of a directory of the bucket up to date.

        Args:
            prefix: The directory, e.g. ``"financials"``.
            recursive: Whether its subdirectories come too.

        Returns:
            Its files on disk, in the order of their keys.

        Raises:
            SyncFailed: A file could not be had, or the bucket has no such directory.
            InvalidArgument: The directory cannot be mirrored.
        """
        return self.sync_directory(prefix, recursive=recursive).raise_for_failures().paths

    def sync_directory(self, directory: str, *, recursive: bool = True) -> SyncReport:
        """`download_directory`, with a report instead of an exception for failures."""
        prefix = contents.directory_prefix(directory)
        objects = self._list(prefix)
        if not objects:
            error = NotPublished(
                "the bucket has no such directory",
                where=f"s3://{self._settings.minio_bucket}/{prefix}",
                next_step=f"look for its name; known are {', '.join(contents.DIRECTORIES)}",
            )
            return SyncReport(failures={prefix: error})
        with self._mirror() as cache:
            wanted = contents.find_directory(objects, prefix, recursive=recursive)
            everything = [item.local_key for item in contents.find_directory(objects, prefix)]
            kept = kept_though_deleted(cache, prefix, everything)
            return self._synchronise(cache, wanted) + SyncReport(kept_though_deleted=kept)

    def sync_all(self) -> SyncReport:
        """Bring every year and every known directory that the bucket has up to date.

        Files whose objects are gone from the bucket are kept, and named in the report.

        Returns:
            What was found and done, failures included.
        """
        no_years: NotPublished | None = None
        historical: list[RemoteObject] = []
        prefix = self._settings.minio_historical_prefix
        try:
            historical, prefix = self._list_historical()
        except NotPublished as error:
            no_years = error
        if prefix is None:
            objects = historical
        else:
            objects = [found for name in contents.DIRECTORIES for found in self._list(f"{name}/")]
        with self._mirror() as cache:
            report = SyncReport()
            wanted: list[contents.Wanted] = []
            for name in contents.DIRECTORIES:
                files = contents.find_directory(objects, f"{name}/")
                kept = kept_though_deleted(cache, f"{name}/", (item.local_key for item in files))
                report += SyncReport(kept_though_deleted=kept)
                wanted += files
            if no_years:
                report += SyncReport(failures={str(no_years.where): no_years})
                return self._synchronise(cache, wanted) + report
            return self._sync_years(cache, historical, prefix, None, also=wanted) + report

    def verify_data_integrity(self) -> IntegrityReport:
        """Recompute the hash of every downloaded and extracted file.

        A downloaded file that fails is fetched again by the next synchronisation, an extracted one
        is extracted again by `extract_historical_data`.

        Returns:
            ``files``: by path below the cache folder, ``status`` (ok, missing, changed, corrupt) and
            ``detail``; ``summary``: counts by status, and ``total``; ``ok``: whether all are.
        """
        with self._mirror() as cache:
            return verify_cache(cache, self._work)

    def get_integration_config(self) -> IntegrationConfig:
        """What data there is, where, with which columns and date range; JSON throughout."""
        with self._mirror() as cache:
            return describe_cache(cache, self._work)

    def manifest(self, year: int) -> ArchiveManifest | None:
        """What a year was extracted to; None where it is not extracted."""
        return read_manifest(self.cache_dir / contents.year_folder_key(year))

    def _list(self, prefix: str) -> list[RemoteObject]:
        settings = self._settings
        return list(
            list_remote(
                self._connection,
                settings.minio_bucket,
                prefix,
                max_retries=settings.max_retries,
                timeout=settings.timeout_seconds,
            )
        )

    def _list_historical(self) -> tuple[list[RemoteObject], str | None]:
        """The objects among which the years are, and the beginning of their keys; None for anywhere."""
        settings = self._settings
        prefix = contents.historical_prefix(settings.minio_historical_prefix, settings.minio_bucket)
        objects = self._list(prefix or "")
        if prefix and not contents.find_years(objects, prefix):
            everything = self._list("")
            similar = contents.similar_prefix(everything, prefix)
            if similar is None:
                raise contents.no_years_below(prefix, settings.minio_bucket, everything)
            return everything, similar
        return objects, prefix

    @functools.cached_property
    def _connection(self) -> S3Connection:
        return S3Connection.of_user(self._settings).for_bucket(self._settings.minio_bucket)

    def _sync_years(
        self,
        cache: FileCache,
        objects: Sequence[RemoteObject],
        prefix: str | None,
        years: Sequence[int] | None,
        also: Sequence[contents.Wanted] = (),
    ) -> SyncReport:
        """Synchronise years, and other files in the same stride."""
        found = contents.find_years(objects, prefix)
        failures: dict[str, FlatFilesError] = {}
        wanted: list[contents.Wanted] = []
        for year in found if years is None else dict.fromkeys(years):
            item = found.get(year) or self._year_not_found(year, list(found))
            if isinstance(item, contents.Wanted):
                wanted.append(item)
            else:
                failures[str(year)] = item
        kept: tuple[str, ...] = ()
        if years is None:
            there = [contents.year_key(year) for year in found]
            kept = kept_though_deleted(cache, f"{contents.HISTORICAL_FOLDER}/", there)
        return self._synchronise(cache, [*wanted, *also]) + SyncReport(
            failures=failures, kept_though_deleted=kept
        )

    def _year_not_found(self, year: int, years: Sequence[int]) -> NotPublished:
        settings = self._settings
        return NotPublished(
            f"the bucket has no {year}.zip",
            where=f"s3://{settings.minio_bucket}/{settings.minio_historical_prefix or ''}",
            why=f"there are {', '.join(map(str, years))}" if years else "there is no year at all",
            next_step="ask for one of these, or set historical_prefix (MINIO_HISTORICAL_PREFIX)",
        )

    def _synchronise(self, cache: FileCache, wanted: Sequence[contents.Wanted]) -> SyncReport:
        settings = self._settings
        options = FetchOptions(
            settings.max_concurrent, settings.max_retries, settings.timeout_seconds, self._transfer_limits
        )
        return synchronise(self._connection, settings.minio_bucket, cache, wanted, options, self._work)

    def _extract(self, archive: Path, folder: Path, expected_sha256: str | None) -> None:
        with self._work.begin(f"extracting {archive.name}", 0) as advance:
            extract_archive(
                archive,
                folder,
                limits=self._archive_limits,
                expected_sha256=expected_sha256,
                on_bytes=advance,
            )


def _settings(**overrides: Any) -> Settings:
    return load_settings(**{name: value for name, value in overrides.items() if value is not None})


def _is_whole_extraction(folder: Path, archive_sha256: str | None) -> bool:
    manifest = read_manifest(folder)
    if manifest is None or archive_sha256 not in (None, manifest.archive_sha256):
        return False
    return all(member.status == "ok" for member in verify_extracted(folder))

"""Bringing files of the cache up to date with a listing of the bucket.

Here: which files are current, fetching the rest, and the report. A listing is all that is asked of
the bucket when nothing has changed. Not here: which objects are wanted (`bucket_contents`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from flatfiles_assets.download.cache import FetchedFile, FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.fetch import fetch_files
from flatfiles_assets.download.ledger import LedgerEntry
from flatfiles_assets.download.listing import RemoteObject
from flatfiles_assets.download.transfer import TransferLimits
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.ingest.archives.extraction import is_extraction_of
from flatfiles_assets.minio_data_downloader.bucket_contents import Wanted
from flatfiles_assets.minio_data_downloader.progress import Work


class SyncFailed(FlatFilesError):
    """Some files could not be fetched; the message names each with its reason. The others are here.

    Attributes:
        report: What was fetched and what was not.
    """

    report: SyncReport

    @classmethod
    def of(cls, report: SyncReport) -> SyncFailed:
        """The error for a report with failures."""
        reasons = "; ".join(f"{key}: {error}" for key, error in report.failures.items())
        count = len(report.failures)
        error = cls(
            f"{count} file{'s' if count > 1 else ''} could not be fetched",
            why=reasons,
            next_step="run it again: what is here already is not fetched a second time",
        )
        error.report = report
        return error


@dataclasses.dataclass(frozen=True)
class SyncReport:
    """What a synchronisation found and did.

    Attributes:
        files: Files of the bucket that are in the cache now, as `FetchedFile.outcome` says: new,
            replaced, or there already.
        failures: Why others are not, by key.
        kept_though_deleted: Files of the cache whose objects are gone from the bucket.
        extracted_only: ZIPs that were removed after their extraction, which is current.
    """

    files: tuple[FetchedFile, ...] = ()
    failures: dict[str, FlatFilesError] = dataclasses.field(default_factory=dict)
    kept_though_deleted: tuple[str, ...] = ()
    extracted_only: tuple[str, ...] = ()

    def __add__(self, other: SyncReport) -> SyncReport:
        return SyncReport(
            self.files + other.files,
            self.failures | other.failures,
            self.kept_though_deleted + other.kept_though_deleted,
            self.extracted_only + other.extracted_only,
        )

    @property
    def ok(self) -> bool:
        """Whether everything wanted is here."""
        return not self.failures

    @property
    def paths(self) -> list[Path]:
        """The files on disk."""
        return [file.path for file in self.files]

    @property
    def fetched(self) -> list[FetchedFile]:
        """The files that were not there already."""
        return [file for file in self.files if file.outcome != "unchanged"]

    @property
    def fetched_bytes(self) -> int:
        """Length of `fetched` together."""
        return sum(file.size_bytes for file in self.fetched)

    def raise_for_failures(self) -> SyncReport:
        """The report itself.

        Raises:
            SyncFailed: A file could not be fetched.
        """
        if self.failures:
            raise SyncFailed.of(self)
        return self


@dataclasses.dataclass(frozen=True)
class FetchOptions:
    """How files are fetched; see `fetch_files`."""

    max_concurrent: int
    max_retries: int
    timeout_seconds: float
    transfer_limits: TransferLimits | None = None


def synchronise(
    connection: S3Connection,
    bucket: str,
    cache: FileCache,
    wanted: Sequence[Wanted],
    options: FetchOptions,
    work: Work,
) -> SyncReport:
    """Fetch the wanted objects that the cache lacks or holds in another version.

    Args:
        connection: The store.
        bucket: Bucket's name.
        cache: Files and ledger.
        wanted: Objects as a listing just described them.
        options: How to fetch.
        work: Told of the bytes that arrive.
    """
    entries = cache.ledger.get_many(item.local_key for item in wanted)
    current: dict[str, FetchedFile] = {}
    extracted_only: list[str] = []
    stale: dict[str, Wanted] = {}
    for item in wanted:
        entry = entries.get(item.local_key)
        if entry is None or not _describes(entry, item.remote):
            stale[item.remote.key] = item
        elif path := cache.stored(entry):
            stored = FetchedFile.stored(entry, path)
            current[item.remote.key] = dataclasses.replace(stored, key=item.remote.key)
        elif is_replaced_by_its_extraction(cache, entry):
            extracted_only.append(item.local_key)
        else:
            stale[item.remote.key] = item
    failures: dict[str, FlatFilesError] = {}
    with work.begin("fetching", sum(item.remote.size_bytes for item in stale.values())) as advance:
        for key, result in zip(
            stale,
            fetch_files(
                connection,
                bucket,
                cache,
                list(stale),
                max_concurrent=options.max_concurrent,
                max_retries=options.max_retries,
                timeout=options.timeout_seconds,
                local_key=lambda key: stale[key].local_key,
                listed={key: item.remote for key, item in stale.items()},
                limits=options.transfer_limits,
                on_bytes=advance,
            ),
            strict=True,
        ):
            if isinstance(result, FetchedFile):
                current[key] = result
            else:
                failures[key] = result
    return SyncReport(
        tuple(current[item.remote.key] for item in wanted if item.remote.key in current),
        failures,
        extracted_only=tuple(extracted_only),
    )


def kept_though_deleted(cache: FileCache, prefix: str, local_keys: Iterable[str]) -> tuple[str, ...]:
    """Files of the cache below a prefix whose objects a full listing does not have any more."""
    there = set(local_keys)
    return tuple(
        entry.key for entry in cache.ledger.entries(prefix) if entry.has_file and entry.key not in there
    )


def is_replaced_by_its_extraction(cache: FileCache, entry: LedgerEntry) -> bool:
    """Whether a downloaded ZIP was removed on purpose, after an extraction that is still whole."""
    path = cache.path(entry.key)
    return (
        path.suffix.lower() == ".zip"
        and not path.exists()
        and entry.sha256 is not None
        and is_extraction_of(path.with_suffix(""), entry.sha256)
    )


def _describes(entry: LedgerEntry, remote: RemoteObject) -> bool:
    if not entry.has_file or entry.size_bytes != remote.size_bytes:
        return False
    if entry.etag and remote.etag:
        return entry.etag == remote.etag
    return entry.last_modified == remote.last_modified

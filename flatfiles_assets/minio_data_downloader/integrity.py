"""Every file of the cache against what was downloaded and extracted.

Here: recomputing hashes. Not here: repairing, which is what the next synchronisation or extraction
does with a file that failed.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict, get_args

from flatfiles_assets.download.cache import FileCache, FileStatus, VerifiedFile
from flatfiles_assets.ingest.archives.extraction import read_manifest, verify_extracted
from flatfiles_assets.minio_data_downloader.bucket_contents import HISTORICAL_FOLDER
from flatfiles_assets.minio_data_downloader.progress import Work
from flatfiles_assets.minio_data_downloader.sync import is_replaced_by_its_extraction


class FileIntegrity(TypedDict):
    """One file: ``ok``, ``missing``, ``changed`` or ``corrupt``, and what was expected and found."""

    status: FileStatus
    detail: str


class IntegrityReport(TypedDict):
    """Every file by its path below the cache folder, counts by status with ``total``, and the verdict."""

    files: dict[str, FileIntegrity]
    summary: dict[str, int]
    ok: bool


def verify_cache(cache: FileCache, work: Work) -> IntegrityReport:
    """Recompute the hash of every downloaded and every extracted file.

    Args:
        cache: Files and ledger.
        work: Told of the bytes that were hashed.
    """
    downloaded = {entry.key: entry.size_bytes or 0 for entry in cache.ledger.entries() if entry.has_file}
    for entry in cache.ledger.get_many(downloaded).values():
        if is_replaced_by_its_extraction(cache, entry):
            del downloaded[entry.key]
    extracted = {
        f"{HISTORICAL_FOLDER}/{folder.name}/{member.path}": member.size_bytes
        for folder in _extracted_folders(cache)
        if (manifest := read_manifest(folder))
        for member in manifest.members
    }
    sizes = downloaded | extracted
    results: dict[str, VerifiedFile] = {}
    with work.begin("verifying", sum(sizes.values())) as advance:
        for result in itertools.chain(cache.verify(keys=list(downloaded)), _verify_extractions(cache)):
            results[result.key] = result
            advance(sizes.get(result.key, 0))
    return _report(results)


def verified_files(cache: FileCache, prefix: str | None = None) -> Iterator[VerifiedFile]:
    """Each downloaded and each extracted file of a mirror, compared with ledger and manifests.

    Args:
        cache: Files and ledger.
        prefix: Narrows to keys that begin with it.
    """
    replaced = {
        entry.key for entry in cache.ledger.entries(prefix) if is_replaced_by_its_extraction(cache, entry)
    }
    known = [entry.key for entry in cache.ledger.entries(prefix) if entry.has_file]
    yield from cache.verify(keys=[key for key in known if key not in replaced])
    if prefix is None:
        yield from _verify_extractions(cache)


def _extracted_folders(cache: FileCache) -> list[Path]:
    historical = cache.root / HISTORICAL_FOLDER
    return sorted(path for path in historical.glob("[0-9]*") if path.is_dir())


def _verify_extractions(cache: FileCache) -> Iterator[VerifiedFile]:
    for folder in _extracted_folders(cache):
        for member in verify_extracted(folder):
            key = f"{HISTORICAL_FOLDER}/{folder.name}/{member.path}"
            yield VerifiedFile(key, member.status, member.detail)


def _report(results: dict[str, VerifiedFile]) -> IntegrityReport:
    counts = collections.Counter(result.status for result in results.values())
    return IntegrityReport(
        files={
            key: FileIntegrity(status=result.status, detail=result.detail) for key, result in results.items()
        },
        summary={"total": len(results), **{status: counts[status] for status in get_args(FileStatus)}},
        ok=counts["ok"] == len(results),
    )

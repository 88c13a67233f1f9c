"""What data the cache holds, where, with which columns and dates: for programs that build on it.

Here: the description, found out once for each version of a file and remembered in
``metadata/contents.json``. Not here: how a year's layout is discovered (`ingest.historical`) and how
one file is looked at (`file_summary`).
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, TypedDict, cast

import pyarrow.compute as pc

from flatfiles_assets import __version__
from flatfiles_assets.download.cache import METADATA_FOLDER, FileCache
from flatfiles_assets.download.ledger import LedgerEntry
from flatfiles_assets.ingest.archives.extraction import MANIFEST_NAME, ArchiveManifest, read_manifest
from flatfiles_assets.ingest.historical.reader import read_extracted_year
from flatfiles_assets.ingest.layouts.sidecars import sidecar_pattern
from flatfiles_assets.minio_data_downloader.bucket_contents import HISTORICAL_FOLDER, year_folder_key
from flatfiles_assets.minio_data_downloader.file_summary import FileSummary, summarise_file
from flatfiles_assets.minio_data_downloader.progress import Work
from flatfiles_assets.whole_files import write_json


class Part(TypedDict):
    """A year or a directory.

    ``path``: its folder. ``files`` and ``size_bytes``: how much there is. ``columns``: names of the
    columns of all its tables. ``first_date`` and ``last_date``: ``YYYY-MM-DD``, None where unknown.
    ``problems``: what could not be understood, file by file, with the reason.
    """

    path: str
    files: int
    size_bytes: int
    columns: list[str]
    first_date: str | None
    last_date: str | None
    problems: list[str]


class Year(Part):
    """A year: a `Part`, with what discovery found in its files.

    ``extracted``: whether its ZIP was extracted; if not, nothing else is known. ``bars``: daily bars
    that were accepted. ``layouts``: how many files were understood as what.
    """

    extracted: bool
    bars: int
    layouts: dict[str, int]


class IntegrationConfig(TypedDict):
    """What the cache holds: years by number as text, directories by name."""

    cache_dir: str
    historical: dict[str, Year]
    directories: dict[str, Part]


def describe_cache(cache: FileCache, work: Work) -> IntegrationConfig:
    """Describe every year and every directory of a cache.

    Args:
        cache: Files and ledger.
        work: Told of the bytes that were read.
    """
    known = _Remembered(cache.root / METADATA_FOLDER / "contents.json")
    directories: dict[str, list[LedgerEntry]] = {}
    years: dict[str, LedgerEntry | None] = {
        folder.name: None for folder in (cache.root / HISTORICAL_FOLDER).glob("[0-9][0-9][0-9][0-9]")
    }
    for entry in cache.ledger.entries():
        folder, _, rest = entry.key.partition("/")
        if not entry.has_file or not rest:
            continue
        if folder == HISTORICAL_FOLDER:
            years[Path(rest).stem] = entry
        else:
            directories.setdefault(folder, []).append(entry)
    config = IntegrationConfig(
        cache_dir=str(cache.root),
        historical={name: _year(cache.root, int(name), years[name], known, work) for name in sorted(years)},
        directories={
            name: _directory(cache, name, entries, known, work)
            for name, entries in sorted(directories.items())
        },
    )
    known.save()
    return config


def _year(root: Path, year: int, entry: LedgerEntry | None, known: _Remembered, work: Work) -> Year:
    folder = root / year_folder_key(year)
    manifest = read_manifest(folder)
    if manifest is None:
        return Year(
            path=str(folder),
            files=0,
            size_bytes=(entry.size_bytes or 0) if entry else 0,
            columns=[],
            first_date=None,
            last_date=None,
            problems=["its ZIP is not extracted"],
            extracted=False,
            bars=0,
            layouts={},
        )
    name = f"year {year} of {manifest.archive_sha256}"
    found = known.get(name)
    if found is None:
        with work.begin(f"understanding {year}", manifest.size_bytes) as advance:
            found = known.put(name, _read_year(folder, year, manifest))
            advance(manifest.size_bytes)
    return cast("Year", {"path": str(folder), **found})


def _read_year(folder: Path, year: int, manifest: ArchiveManifest) -> dict[str, Any]:
    columns: list[str] = []
    days: list[str] = []
    with read_extracted_year(folder, year) as bars:
        for batch in bars.read():
            limits = pc.min_max(batch.column("trade_date"))
            if limits["min"].is_valid:
                days += [limits["min"].as_py().isoformat(), limits["max"].as_py().isoformat()]
            columns += [
                name
                for name, values in zip(batch.schema.names, batch.columns, strict=True)
                if name not in columns and values.null_count < len(values)
            ]
        report = bars.report
        order = bars.read().schema.names
    return {
        "files": len(manifest.members),
        "size_bytes": manifest.size_bytes,
        "columns": sorted(columns, key=order.index),
        "first_date": min(days, default=None),
        "last_date": max(days, default=None),
        "problems": [
            f"{file.file}: {file.reason}"
            for file in report.files
            if file.reason and file.file != MANIFEST_NAME
        ],
        "extracted": True,
        "bars": report.bars,
        "layouts": report.layouts,
    }


def _directory(
    cache: FileCache, name: str, entries: list[LedgerEntry], known: _Remembered, work: Work
) -> Part:
    tables: dict[str, FileSummary] = {}
    with work.begin(f"reading {name}", sum(entry.size_bytes or 0 for entry in entries)) as advance:
        for entry in entries:
            tables[entry.key] = _table(cache, entry, known)
            advance(entry.size_bytes or 0)
    found = tables.values()
    return Part(
        path=str(cache.root / name),
        files=len(entries),
        size_bytes=sum(entry.size_bytes or 0 for entry in entries),
        columns=list(dict.fromkeys(column for table in found for column in table.columns)),
        first_date=min((table.first_date for table in found if table.first_date), default=None),
        last_date=max((table.last_date for table in found if table.last_date), default=None),
        problems=[f"{key}: {table.problem}" for key, table in tables.items() if table.problem],
    )


def _table(cache: FileCache, entry: LedgerEntry, known: _Remembered) -> FileSummary:
    if sidecar_pattern(entry.key):
        return FileSummary()
    path = cache.path(entry.key)
    if not path.is_file():
        return FileSummary(problem="the file is not on disk")
    name = f"table {path.suffix.lower()} {entry.sha256}"
    found = known.get(name)
    if found is None:
        found = known.put(name, dataclasses.asdict(summarise_file(path)))
    return FileSummary(**{**found, "columns": tuple(found["columns"])})


class _Remembered:
    """What was found out about contents before, by their hash; forgotten by another version of us."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: dict[str, dict[str, Any]] = {}
        self._now: dict[str, dict[str, Any]] = {}
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["version"] == __version__:
                self._before = stored["contents"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass

    def get(self, name: str) -> dict[str, Any] | None:
        """What is known; None where nothing is."""
        found = self._now.get(name) or self._before.get(name)
        return self.put(name, found) if found is not None else None

    def put(self, name: str, found: dict[str, Any]) -> dict[str, Any]:
        """Remember, and return, what was found out."""
        self._now[name] = found
        return found

    def save(self) -> None:
        """Keep what is still of use."""
        write_json(self._path, {"version": __version__, "contents": self._now})

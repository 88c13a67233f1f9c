"""What a command line can ask for, done in order, with one account of it all.

Here: `MirrorRequest` to `Outcome`, shared by both command lines. Not here: flags (`flags`), verbs
(`commands`), what is drawn (`terminal`).
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable
from typing import Any

from flatfiles_assets.minio_data_downloader.downloader import MinIODataDownloader
from flatfiles_assets.minio_data_downloader.sync import SyncReport
from flatfiles_assets.unexpected import explained


@dataclasses.dataclass(frozen=True)
class MirrorRequest:
    """What is asked for; done in the order of the attributes.

    Attributes:
        download_years: Years to download; empty for all that the bucket has, None for no download.
        extract_years: Years to extract.
        cleanup: Whether ZIPs are removed after a verified extraction.
        directories: Directories to download.
        sync_all: Whether to bring everything up to date.
        verify: Whether to verify.
        integration_config: Whether to describe what there is.
    """

    download_years: tuple[int, ...] | None = None
    extract_years: tuple[int, ...] = ()
    cleanup: bool = False
    directories: tuple[str, ...] = ()
    sync_all: bool = False
    verify: bool = False
    integration_config: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for."""
        return self == MirrorRequest(cleanup=self.cleanup)


@dataclasses.dataclass(frozen=True)
class Done:
    """One thing that was asked for.

    Attributes:
        action: What it was, in words.
        ok: Whether it is true now.
        result: One line on what came of it.
        problems: What is wrong, and where, one line each.
        notes: What is worth knowing and not wrong.
        data: The same for programs.
    """

    action: str
    ok: bool
    result: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    data: Any = None

    def to_json(self) -> dict[str, Any]:
        """The account as plain values."""
        return dataclasses.asdict(self)


def perform(downloader: MinIODataDownloader, request: MirrorRequest) -> list[Done]:
    """Do what is asked, each thing even where one before it failed."""
    steps: list[tuple[str, Callable[[], Done]]] = []
    years = request.download_years
    if years is not None:
        title = f"download {', '.join(map(str, years)) or 'every year'}"
        steps.append((title, lambda: _synced(title, downloader.sync_historical(years or None))))
    steps += [
        (f"extract {year}", _extracting(downloader, year, cleanup=request.cleanup))
        for year in request.extract_years
    ]
    steps += [
        (f"download {directory}", _downloading(downloader, directory)) for directory in request.directories
    ]
    if request.sync_all:
        steps.append(("synchronise all", lambda: _synced("synchronise all", downloader.sync_all())))
    if request.verify:
        steps.append(("verify", lambda: _verified(downloader)))
    if request.integration_config:
        steps.append(("describe", lambda: _described(downloader)))
    return [_attempt(title, step) for title, step in steps]


def _attempt(title: str, step: Callable[[], Done]) -> Done:
    try:
        return step()
    except Exception as error:
        # One thing that fails in a way nobody foresaw must not keep the others from being done.
        return Done(title, ok=False, result="failed", problems=(str(explained(error)),))


def _downloading(downloader: MinIODataDownloader, directory: str) -> Callable[[], Done]:
    return lambda: _synced(f"download {directory}", downloader.sync_directory(directory))


def _extracting(downloader: MinIODataDownloader, year: int, *, cleanup: bool) -> Callable[[], Done]:
    def step() -> Done:
        folder = downloader.extract_historical_data(year, cleanup=cleanup)
        manifest = downloader.manifest(year)
        members = manifest.members if manifest else ()
        size_bytes = manifest.size_bytes if manifest else 0
        return Done(
            f"extract {year}",
            ok=True,
            result=f"{len(members)} files, {_size(size_bytes)}",
            data={"folder": str(folder), "files": len(members), "size_bytes": size_bytes},
        )

    return step


def _synced(title: str, report: SyncReport) -> Done:
    outcomes = collections.Counter(file.outcome for file in report.files)
    counts = {
        "downloaded": outcomes["downloaded"],
        "replaced": outcomes["replaced"],
        "unchanged": outcomes["unchanged"] + len(report.extracted_only),
        "failed": len(report.failures),
    }
    return Done(
        title,
        ok=report.ok,
        result=", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing there",
        problems=tuple(map(str, report.failures.values())),
        notes=tuple(
            f"{key} is kept here, though the bucket does not have it any more"
            for key in report.kept_though_deleted
        ),
        data={
            **counts,
            "fetched_bytes": report.fetched_bytes,
            "files": [str(path) for path in report.paths],
            "failures": {key: str(error) for key, error in report.failures.items()},
            "kept_though_deleted": list(report.kept_though_deleted),
        },
    )


def _verified(downloader: MinIODataDownloader) -> Done:
    report = downloader.verify_data_integrity()
    summary = report["summary"]
    return Done(
        "verify",
        ok=report["ok"],
        result=f"{summary['total']} files"
        + "".join(f", {count} {name}" for name, count in summary.items() if count and name != "total"),
        problems=tuple(
            f"{key} is {file['status']}: {file['detail']}"
            for key, file in report["files"].items()
            if file["status"] != "ok"
        ),
        data=report,
    )


def _described(downloader: MinIODataDownloader) -> Done:
    config = downloader.get_integration_config()
    years, directories = config["historical"], config["directories"]
    problems = [
        f"{kind}/{name}: {problem}"
        for kind, parts in (("historical", years), ("directories", directories))
        for name, part in parts.items()
        for problem in part["problems"]
    ]
    files = sum(part["files"] for part in (*years.values(), *directories.values()))
    return Done(
        "describe",
        ok=True,
        result=f"{len(years)} years and {len(directories)} directories, {files} files",
        notes=tuple(problems),
        data=config,
    )


def _size(size_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size_bytes < 1_000 or unit == "GB":
            break
        size_bytes /= 1_000
    return f"{size_bytes:,.0f} {unit}" if unit == "bytes" else f"{size_bytes:,.1f} {unit}"

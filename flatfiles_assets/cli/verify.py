"""`flatfiles verify`: read everything once, and say what is not as it was stored."""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterator, Sequence

import click
from rich.console import Console
from rich.progress import track

from flatfiles_assets.cli.arguments import FEED
from flatfiles_assets.console import console as terminal
from flatfiles_assets.data_integration.cache import ResultCache
from flatfiles_assets.datasets import Dataset, get_dataset, selected_datasets
from flatfiles_assets.download.cache import METADATA_FOLDER, FileCache
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.minio_data_downloader.integrity import verified_files
from flatfiles_assets.warehouse.verification import (
    REBUILD,
    Finding,
    verify_dagster,
    verify_ledger,
    verify_provenance,
    verify_replaced,
    verify_warehouse,
)
from flatfiles_assets.warehouse.workspace import Workspace


@click.command()
@click.argument("feed", type=FEED, required=False)
def verify(feed: str | None) -> None:
    """Check that everything is as it was stored: of FEED, or of all feeds and whatever else there is.

    Every downloaded and extracted file against its recorded SHA-256, every block of the warehouse
    against its checksum, the ledgers and Dagster's databases, and what each says of the others.
    """
    workspace = Workspace.from_settings()
    console = terminal(stderr=True)
    datasets = [get_dataset(feed)] if feed else selected_datasets(workspace.settings.extra_feeds)
    findings = [*_files(workspace, console, feed), *_records(workspace, datasets, everything=feed is None)]
    for finding in findings:
        console.print(f"{finding.what}: {finding.detail}")
    for next_step in dict.fromkeys(finding.next_step for finding in findings):
        console.print(f"Next: {next_step}")
    if findings:
        sys.exit(1)


def _files(workspace: Workspace, console: Console, feed: str | None) -> Iterator[Finding]:
    """The mirrors' files against the ledgers and manifests; prints the count."""
    counts: collections.Counter[str] = collections.Counter()
    prefix = workspace.catalog.get_prefix(feed) if feed else None
    places = [workspace.settings.flatfiles_cache_dir]
    if feed is None:
        places.append(workspace.settings.minio_cache_dir)
    for place in places:
        if not place.exists():
            continue
        try:
            with FileCache(place) as cache:
                if feed is None:
                    cache.remove_orphans()
                    yield from verify_ledger(cache)
                    yield from verify_replaced(place / METADATA_FOLDER)
                files = list(verified_files(cache, prefix))
                for file in track(files, "verifying", console=console, disable=not console.is_terminal):
                    counts[file.status] += 1
                    if file.status != "ok":
                        yield Finding(
                            f"{file.status}: {file.key}",
                            file.detail,
                            "run flatfiles backfill over these sessions; a damaged file is fetched again",
                        )
        except FlatFilesError as error:
            yield Finding(str(error.where or place), error.why or error.what, error.next_step or REBUILD)
    found = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    console.print(f"{sum(counts.values())} files: {found or 'none'}")


def _records(workspace: Workspace, datasets: Sequence[Dataset], *, everything: bool) -> Iterator[Finding]:
    """The warehouse, the ledger's knowledge of it, Dagster's databases and the cached results."""
    yield from verify_warehouse(workspace.warehouse, datasets)
    try:
        with workspace.flat_file_cache() as cache:
            for dataset in datasets:
                yield from verify_provenance(dataset, workspace.catalog, cache, workspace.warehouse)
    except FlatFilesError:
        pass  # Said already, by those who looked at each alone.
    if everything:
        yield from verify_dagster(workspace.settings.dagster_home)
        for name in ResultCache(workspace.settings.integration_cache_dir, max_bytes=0).damaged():
            yield Finding(
                f"the cached result {name}",
                "its bytes are not those that were stored",
                f"nothing: it is never used, and computed anew; or remove "
                f"{workspace.settings.integration_cache_dir}",
            )

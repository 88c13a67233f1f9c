"""`flatfiles verify`: recompute every checksum of the mirror of the vendor's bucket."""

from __future__ import annotations

import collections
import sys

import click
from rich.progress import track

from flatfiles_assets.cli.arguments import FEED
from flatfiles_assets.console import console as terminal
from flatfiles_assets.warehouse.workspace import Workspace


@click.command()
@click.argument("feed", type=FEED, required=False)
def verify(feed: str | None) -> None:
    """Check every downloaded file of FEED (or of all feeds) against its recorded SHA-256."""
    workspace = Workspace.from_settings()
    console = terminal(stderr=True)
    prefix = workspace.catalog.get_prefix(feed) if feed else None
    counts: collections.Counter[str] = collections.Counter()
    with workspace.flat_file_cache() as cache:
        files = cache.verify(prefix=prefix)
        for file in track(files, "verifying", console=console, disable=not console.is_terminal):
            counts[file.status] += 1
            if file.status != "ok":
                console.print(f"{file.status}: {file.key}: {file.detail}")
    total = sum(counts.values())
    console.print(
        f"{total} files: " + (", ".join(f"{n} {status}" for status, n in sorted(counts.items())) or "none")
    )
    if counts["ok"] != total:
        console.print("Next: run flatfiles backfill over these sessions; a damaged file is fetched again.")
        sys.exit(1)

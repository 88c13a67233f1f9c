"""`flatfiles rebuild`: everything anew from the files on disk."""

from __future__ import annotations

import os
import sys

import click

from flatfiles_assets.console import console as terminal
from flatfiles_assets.settings import load_settings


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default="the processors",
    help="Ranges of sessions that are loaded side by side.",
)
def rebuild(workers: int) -> None:
    """Make the warehouse, the ledgers and Dagster's records anew from the files on disk.

    Nothing is asked of the network. What was there before is kept beside it. Stop `flatfiles dev` and
    what else loads first.
    """
    # Dagster takes seconds to import.
    from flatfiles_assets.cli import rebuilding

    console = terminal(stderr=True)
    done = rebuilding.rebuild(load_settings(), workers=workers, say=lambda step: console.print(f"… {step}"))
    for feed, sessions in done.sessions.items():
        console.print(f"{feed}: {sessions} sessions from the mirror")
    for table, rows in done.kept.items():
        console.print(f"{table}: {rows:,} rows that only the old warehouse had")
    if done.aside:
        console.print(f"What was there before is kept: {', '.join(map(str, done.aside))}")
        console.print("The past that the old warehouse remembered is in it; history begins anew.")
    if done.could_not:
        console.print("Could not be made anew:")
        for each in done.could_not:
            console.print(f"  {each}")
        console.print("Next: flatfiles status; what is missing is fetched by flatfiles backfill.")
        sys.exit(1)
    console.print("Next: flatfiles verify.")

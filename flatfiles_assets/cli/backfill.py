"""`flatfiles backfill`: fetch and load a range of sessions, through Dagster."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from flatfiles_assets.calendars import parse_range
from flatfiles_assets.cli.arguments import DATE, FEED
from flatfiles_assets.cli.status import reasons
from flatfiles_assets.console import console as terminal
from flatfiles_assets.console import draws_bars, styled
from flatfiles_assets.datasets import Dataset, get_dataset
from flatfiles_assets.defs import progress
from flatfiles_assets.defs.runs import RangeRun, by_outcome, run_ranges
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.errors import DownloadError
from flatfiles_assets.download.listing import list_remote
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.warehouse import inventory
from flatfiles_assets.warehouse.workspace import Workspace


@click.command()
@click.argument("feed", type=FEED)
@click.option("--start", type=DATE, required=True, help="First session, included.")
@click.option("--end", type=DATE, help="Last session, included; default: the last one published.")
@click.option("--all", "everything", is_flag=True, help="Also ask for sessions that are already present.")
@click.option("--reload", is_flag=True, help="Load again what the warehouse already holds (implies --all).")
def backfill(feed: str, start: dt.date, end: dt.date | None, everything: bool, reload: bool) -> None:
    """Fetch and load the missing sessions of FEED from START to END.

    What is already there is not asked for again; --all has the bucket asked whether a file was
    replaced. The runs are recorded in Dagster and show in the UI.
    """
    dataset = get_dataset(feed)
    settings = load_settings()
    settings.flatfiles_credentials()
    now = dt.datetime.now(dt.timezone.utc)
    # Of days to come there is nothing to ask for, and nothing missing.
    last = min(end, now.date()) if end else inventory.last_published_session(dataset, now)
    if end and start > last and start <= end:
        raise InvalidArgument(f"{start} is yet to come", where="--start", next_step="choose an earlier day")
    parse_range(start, last)
    console = terminal(stderr=True)
    before = feed_inventory(dataset, settings, start, last)
    if not before:
        _look_for_closed_days(console, dataset, settings, start, last)
        console.print(
            f"{feed}: there is no session from {start} to {last}. If the vendor has a file of such a day, "
            f"set FLATFILES_EXTRA_SESSIONS={dataset.calendar}:{start} (see docs/reference/settings.md)."
        )
        return
    wanted = [status.session for status in before] if everything or reload else inventory.incomplete(before)
    if not wanted:
        console.print(f"{feed}: all {len(before)} sessions from {start} to {last} are present.")
        return
    console.print(f"{feed}: {len(wanted)} of {len(before)} sessions from {start} to {last} to do.")
    runs = backfill_sessions(dataset, settings, wanted, reload=reload, console=console)
    _look_for_closed_days(console, dataset, settings, start, last)
    after = feed_inventory(dataset, settings, start, last)
    _summarise(console, feed, after, runs)
    if inventory.incomplete(after) or not all(run.succeeded for run in runs):
        sys.exit(1)


def _look_for_closed_days(
    console: Console, dataset: Dataset, settings: Settings, start: dt.date, end: dt.date
) -> None:
    """Note files of days that the calendar calls closed, which nobody asked for; the status shows them."""
    workspace = Workspace.from_settings(settings)
    catalog, connection = workspace.catalog, S3Connection.of_vendor(settings)
    closed: list[dt.date] = []
    # The backfill itself is done: what cannot be listed now is found by a sensor, or another time.
    with contextlib.suppress(DownloadError), workspace.flat_file_cache() as cache:
        for year in range(start.year, end.year + 1):
            prefix = f"{catalog.get_prefix(dataset.name)}{year:04}/"
            listed = list_remote(
                connection, settings.bucket, prefix, max_retries=1, timeout=settings.timeout_seconds
            )
            files = (item.key for item in listed if catalog.validate_key(item.key))
            dated = {dt.date.fromisoformat(catalog.parse_key_metadata(key)["date"]): key for key in files}
            keys = {day: key for day, key in dated.items() if start <= day <= end}
            entries = cache.ledger.get_many(list(keys.values()))
            closed += inventory.note_closed_days(dataset, cache.ledger, keys, entries)
    if closed:
        console.print(
            f"{dataset.name}: the bucket has files of {len(closed)} day(s) that the calendar calls closed "
            f"({closed[0]} to {closed[-1]}): `flatfiles status {dataset.name}` says how to load them.",
            soft_wrap=True,
        )


def feed_inventory(
    dataset: Dataset, settings: Settings, start: dt.date, end: dt.date
) -> list[inventory.SessionStatus]:
    """The status of each session of a range, by the cache and warehouse of the settings."""
    workspace = Workspace.from_settings(settings)
    with workspace.flat_file_cache() as cache:
        return inventory.feed_inventory(
            dataset, workspace.catalog, cache.ledger, workspace.warehouse, start, end
        )


def backfill_sessions(
    dataset: Dataset,
    settings: Settings,
    wanted: Sequence[dt.date],
    *,
    reload: bool = False,
    console: Console,
) -> list[RangeRun]:
    """Run the feed's job over some sessions, with a progress bar on a terminal."""
    # Dagster is imported with the definitions, which takes seconds: only now, when it is needed.
    from flatfiles_assets.definitions import build_defs

    extra = ",".join([settings.extra_feeds, dataset.name])
    defs = build_defs(extra_feeds=extra)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not draws_bars(console)) as bars:
        task = bars.add_task(dataset.name, total=len(wanted))
        with progress.reporting(lambda _, count: bars.advance(task, count)):
            return list(
                run_ranges(
                    defs,
                    dataset.name,
                    [session.isoformat() for session in wanted],
                    home=settings.dagster_home,
                    op_config={"reload": reload},
                )
            )


def _summarise(
    console: Console, feed: str, statuses: list[inventory.SessionStatus], runs: list[RangeRun]
) -> None:
    rows = sum(status.rows for status in statuses)
    counts = inventory.count_states(statuses)
    present = counts.get("present", 0)
    console.print(
        f"{feed}: {present} of {len(statuses)} sessions present, {rows:,} rows, {len(runs)} run(s)."
    )
    if inventory.incomplete(statuses):
        console.print(reasons(statuses, "What is not there:"))
    for alike in by_outcome(run for run in runs if not run.succeeded):
        run = alike[0]
        first_line = run.message.splitlines()[0] if run.message else "see it in the UI"
        many = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
        console.print(styled("red", f"run {run.run_id[:8]}{many}: ", first_line), soft_wrap=True)

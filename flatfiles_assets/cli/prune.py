"""`flatfiles prune`: remove raw files whose rows are safe in the warehouse, and old runs of Dagster's."""

from __future__ import annotations

import datetime as dt
import re

import click
from rich.console import Console

from flatfiles_assets import calendars
from flatfiles_assets.cli.arguments import FEED
from flatfiles_assets.console import console as terminal
from flatfiles_assets.datasets import Dataset, get_dataset, selected_datasets
from flatfiles_assets.download.cache import METADATA_FOLDER
from flatfiles_assets.download.replaced_files import beyond, replaced_files
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.warehouse.housekeeping import prunable_files
from flatfiles_assets.warehouse.housekeeping import prune as remove_files
from flatfiles_assets.warehouse.workspace import Workspace

_AGE = re.compile(r"(?P<count>\d+)\s*(?P<unit>d|days?|s|sessions?)?", re.IGNORECASE)


class Age(click.ParamType[tuple[int, str]]):
    """A number of days, or of sessions: ``90``, ``90d``, ``90days``, ``60sessions``."""

    name = "AGE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, str]:
        """Number and unit, or a usage error that says how to write them."""
        if isinstance(value, tuple):
            return value
        found = _AGE.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not an age; write 90, 90days or 60sessions", param, ctx)
        return int(found["count"]), "sessions" if (found["unit"] or "d").lower().startswith("s") else "days"


@click.command()
@click.option(
    "--older-than", type=Age(), required=True, help="Age of a session: 90 or 90days, or 60sessions."
)
@click.option("--feed", type=FEED, help="Only this feed.")
@click.option("--runs", is_flag=True, help="Remove old runs and logs of Dagster's instead of files.")
@click.option("--yes", is_flag=True, help="Remove; without it everything is only counted.")
def prune(older_than: tuple[int, str], feed: str | None, runs: bool, yes: bool) -> None:
    """Remove raw files whose rows the warehouse holds, all of them, from these very bytes.

    A removed file is not fetched again while the vendor's is the same; flatfiles backfill --reload
    fetches it. Files that the store has replaced go by FLATFILES_KEEP_REPLACED_DAYS and _BYTES. With
    --runs: of Dagster's runs that ended before, those whose partitions were all taken up again since,
    and the logs of the others; what a partition's latest materialisation says stays.
    """
    if runs:
        if feed:
            raise click.UsageError("--runs concerns all feeds; leave out --feed")
        _prune_runs(older_than, yes)
        return
    workspace = Workspace.from_settings()
    datasets = [get_dataset(feed)] if feed else selected_datasets(workspace.settings.extra_feeds)
    today = dt.datetime.now(dt.timezone.utc).date()
    console = terminal(stderr=True)
    total_bytes = 0
    with workspace.flat_file_cache() as cache:
        for dataset in datasets:
            before = first_kept(dataset, older_than, today)
            files = prunable_files(dataset, workspace.catalog, cache, workspace.warehouse, before)
            size_bytes = remove_files(cache, files) if yes else sum(file.size_bytes for file in files)
            total_bytes += size_bytes
            console.print(
                f"{dataset.name}: {len(files)} file(s) before {before}, {size_bytes / 1e6:,.1f} MB",
            )
    if not feed:
        total_bytes += _prune_replaced(workspace.settings, console, yes)
    if yes:
        console.print(f"{total_bytes / 1e6:,.1f} MB removed.")
    else:
        console.print(
            f"{total_bytes / 1e6:,.1f} MB could be removed; nothing was. Next: the same with --yes.",
        )


def _prune_replaced(settings: Settings, console: Console, yes: bool) -> int:
    """Remove the files that stores have replaced, as far as the settings' rule lets them go; their bytes."""
    total_bytes = 0
    for mirror in (settings.flatfiles_cache_dir, settings.minio_cache_dir):
        kept = replaced_files(mirror / METADATA_FOLDER)
        gone = beyond(
            kept,
            now=dt.datetime.now(dt.timezone.utc),
            keep_days=settings.keep_replaced_days,
            keep_bytes=settings.keep_replaced_bytes,
        )
        size_bytes = sum(file.size_bytes for file in gone)
        total_bytes += size_bytes
        if kept:
            console.print(
                f"replaced files of {mirror.name}: {len(gone)} of {len(kept)} beyond "
                f"FLATFILES_KEEP_REPLACED_DAYS or _BYTES, {size_bytes / 1e6:,.1f} MB"
            )
        if yes:
            for file in gone:
                file.path.unlink(missing_ok=True)
    return total_bytes


def _prune_runs(older_than: tuple[int, str], yes: bool) -> None:
    # Dagster takes seconds to import: only where it is needed.
    from flatfiles_assets.defs.instance.home import open_instance
    from flatfiles_assets.defs.instance.retention import old_runs, remove_old_runs

    first = first_kept(get_dataset("stocks_daily"), older_than, dt.datetime.now(dt.timezone.utc).date())
    before = dt.datetime.combine(first, dt.time(), dt.timezone.utc)
    with open_instance(load_settings().dagster_home) as instance:
        found = old_runs(instance, before)
        if yes:
            remove_old_runs(instance, found)
    terminal(stderr=True).print(
        f"Dagster's runs before {first}: {len(found.superseded)} whole, the logs of {len(found.logs)} more, "
        f"{found.log_bytes / 1e6:,.1f} MB "
        + ("removed." if yes else "could be removed; nothing was. Next: the same with --yes.")
    )


def first_kept(dataset: Dataset, older_than: tuple[int, str], today: dt.date) -> dt.date:
    """The first day that is not older than that, counted back from today."""
    count, unit = older_than
    if unit == "days":
        return today - dt.timedelta(days=min(count, (today - calendars.FIRST_DAY).days))
    sessions = calendars.sessions(dataset.calendar, dataset.first_session, today)
    return sessions[max(len(sessions) - count, 0)] if count else today + dt.timedelta(days=1)

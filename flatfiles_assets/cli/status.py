"""`flatfiles status`: what is present, what is missing and why, per feed."""

from __future__ import annotations

import collections
import datetime as dt
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from flatfiles_assets.cli.arguments import DATE, FEED
from flatfiles_assets.cli.status_page import status_page
from flatfiles_assets.console import console as terminal
from flatfiles_assets.datasets import Dataset, get_dataset, selected_datasets
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.warehouse import inventory
from flatfiles_assets.warehouse.inventory import SessionStatus
from flatfiles_assets.warehouse.session_states import SESSION_STATES, STATES, State
from flatfiles_assets.warehouse.workspace import Workspace

_MOST_REASONS = 5


@click.command()
@click.argument("feed", type=FEED, required=False)
@click.option("--start", type=DATE, help="First session; default: the first that was ever asked for.")
@click.option("--end", type=DATE, help="Last session; default: the last that was ever asked for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per feed.")
@click.option(
    "--html",
    "html_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write a page with a heat map of each feed and year; it needs no other file.",
)
def status(
    feed: str | None, start: dt.date | None, end: dt.date | None, as_json: bool, html_path: Path | None
) -> None:
    """Show per feed which sessions are present, which are missing and why."""
    settings = load_settings()
    datasets = [get_dataset(feed)] if feed else selected_datasets(settings.extra_feeds)
    inventories = {dataset: _inventory(dataset, settings, start, end) for dataset in datasets}
    if html_path:
        feeds = {dataset.name: found for dataset, found in inventories.items()}
        titles = {dataset.name: dataset.title for dataset in inventories}
        page = status_page(feeds, titles, dt.datetime.now(dt.timezone.utc))
        html_path.write_text(page, encoding="utf-8")
        terminal(stderr=True).print(f"wrote {html_path}")
        if not as_json:
            return
    if as_json:
        json.dump(
            {dataset.name: _as_json(found) for dataset, found in inventories.items()}, sys.stdout, indent=2
        )
        print()
        return
    console = terminal()
    console.print(summary_table(inventories))
    for dataset, statuses in inventories.items():
        if feed and statuses:
            console.print(calendar_picture(statuses))
        if inventory.incomplete(statuses):
            console.print(reasons(statuses, dataset.name))


def _inventory(
    dataset: Dataset, settings: Settings, start: dt.date | None, end: dt.date | None
) -> list[SessionStatus]:
    workspace = Workspace.from_settings(settings)
    with workspace.flat_file_cache() as cache:
        known = inventory.known_range(dataset, workspace.catalog, cache.ledger)
        first = start or (known[0] if known else None)
        last = end or (known[1] if known else first)
        if first is None or last is None:
            return []
        # Of days to come nothing can be missing.
        last = min(last, dt.datetime.now(dt.timezone.utc).date())
        if first > last:
            return []
        return inventory.feed_inventory(
            dataset,
            workspace.catalog,
            cache.ledger,
            workspace.warehouse,
            first,
            last,
            with_closed_days=True,
        )


def summary_table(inventories: dict[Dataset, list[SessionStatus]]) -> Table:
    """One line per feed: expected, present, missing, failed."""
    table = Table("feed", "from", "to", box=None, header_style="bold")
    for name in ("expected", "present", "missing", "failed", "rows"):
        table.add_column(name, justify="right")
    for dataset, statuses in inventories.items():
        if not statuses:
            table.add_row(dataset.name, "-", "-", "0", "0", "0", "0", "0")
            continue
        counts = inventory.count_states(statuses)
        present, missing = counts.get("present", 0), counts.get("missing", 0)
        table.add_row(
            dataset.name,
            str(statuses[0].session),
            str(statuses[-1].session),
            str(len(statuses)),
            str(present),
            str(missing),
            str(len(statuses) - present - missing),
            f"{sum(status.rows for status in statuses):,}",
        )
    return table


def reasons(statuses: Sequence[SessionStatus], title: str) -> Text:
    """The sessions that are not present, by reason, and what to do about each reason."""
    text = Text(f"{title}\n", style="bold")
    by_state: dict[State, list[SessionStatus]] = collections.defaultdict(list)
    for found in statuses:
        if found.state != "present":
            by_state[found.state].append(found)
    for state in STATES:
        if not by_state[state]:
            continue
        text.append(
            f"  {state}: {len(by_state[state])} session(s). ", style=SESSION_STATES[state].terminal_colour
        )
        text.append(f"{SESSION_STATES[state].next_step}\n", style="not bold")
        if state == "missing":
            continue
        for found in by_state[state][:_MOST_REASONS]:
            text.append(f"    {found.session}  {found.detail}\n", style="not bold dim")
        if len(by_state[state]) > _MOST_REASONS:
            text.append(f"    … and {len(by_state[state]) - _MOST_REASONS} more\n", style="not bold dim")
    return text


def calendar_picture(statuses: Sequence[SessionStatus]) -> Text:
    """One mark per session, a line per month; one line for a year of which there is nothing."""
    picture = Text()
    years: dict[str, list[SessionStatus]] = collections.defaultdict(list)
    for found in statuses:
        years[f"{found.session:%Y}"].append(found)
    lines: dict[str, list[SessionStatus]] = collections.defaultdict(list)
    for year, days in years.items():
        nothing = all(found.state == "missing" for found in days)
        for found in days:
            lines[year if nothing else f"{found.session:%Y-%m}"].append(found)
    for name, days in lines.items():
        picture.append(f"{name:7} ", style="bold")
        if len(name) == 4:
            picture.append(f"{len(days)} sessions missing\n", style="bright_black")
            continue
        for found in days:
            look = SESSION_STATES[found.state]
            picture.append(look.mark, style=look.terminal_colour)
        picture.append("\n")
    used = inventory.count_states(statuses)
    legend = "  ".join(f"{SESSION_STATES[state].mark} {state} {count}" for state, count in used.items())
    picture.append(legend + "\n", style="dim")
    return picture


def _as_json(statuses: Sequence[SessionStatus]) -> dict[str, object]:
    return {
        "expected": len(statuses),
        "states": inventory.count_states(statuses),
        "rows": sum(found.rows for found in statuses),
        "incomplete": [
            {"session": found.session.isoformat(), "state": found.state, "detail": found.detail}
            for found in statuses
            if found.state != "present"
        ],
    }

"""`flatfiles backup` and `flatfiles restore`."""

from __future__ import annotations

from pathlib import Path

import click

from flatfiles_assets.console import console as terminal
from flatfiles_assets.warehouse.backup import check_backup, restore_backup, take_backup
from flatfiles_assets.warehouse.workspace import Workspace

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", type=_FOLDER)
def backup(folder: Path) -> None:
    """Back up the warehouse, the ledgers and Dagster's records into a new folder in FOLDER.

    Readers and loads go on meanwhile. The raw files are not in it: the stores have them.
    """
    workspace = Workspace.from_settings()
    taken = take_backup(workspace.settings, workspace.warehouse, folder)
    terminal(stderr=True).print(
        f"{taken.path}: {taken.files} files, {taken.size_bytes / 1e6:,.1f} MB, checked."
    )


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--yes", is_flag=True, help="Bring it back; without it the backup is only checked.")
def restore(folder: Path, yes: bool) -> None:
    """Bring the backup in FOLDER back; what it replaces is kept beside it.

    Stop `flatfiles dev` and what else loads first.
    """
    console = terminal(stderr=True)
    if not yes:
        found = check_backup(folder)
        console.print(
            f"{found.path}: {found.files} files of {found.taken_at:%Y-%m-%d %H:%M:%S} UTC are whole. "
            "Nothing was changed. Next: stop what loads, then the same with --yes."
        )
        return
    workspace = Workspace.from_settings()
    restored, aside = restore_backup(workspace.settings, workspace.warehouse, folder)
    console.print(f"{restored.path}: {restored.files} files are back as of {restored.taken_at} UTC.")
    if aside:
        console.print(f"What was there is kept beside it: {len(aside)} files, …{aside[0].name[-32:]}.")
    console.print("Next: flatfiles verify, and flatfiles backfill for what was loaded since.")

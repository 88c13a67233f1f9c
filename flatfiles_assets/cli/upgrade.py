"""`flatfiles upgrade`: bring a warehouse of an earlier version of this package up to date."""

from __future__ import annotations

import click

from flatfiles_assets.console import console as terminal
from flatfiles_assets.warehouse.upgrading import upgrade as upgrade_warehouse
from flatfiles_assets.warehouse.workspace import Workspace


@click.command()
def upgrade() -> None:
    """Copy the warehouse of an earlier version into today's format; the old file stays as it is."""
    console = terminal(stderr=True)
    warehouse = Workspace.from_settings().warehouse
    done = upgrade_warehouse(warehouse)
    if done is None:
        console.print(f"{warehouse.path}: there is nothing to upgrade.")
        return
    console.print(
        f"{warehouse.path}: {sum(done.rows.values()):,} rows of {len(done.rows)} tables, "
        f"from {done.old_path}."
    )
    console.print(f"Next: flatfiles verify; then remove {done.old_path}, which is no longer used.")

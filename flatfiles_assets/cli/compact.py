"""`flatfiles compact`: write the warehouse anew, without the space that replaced rows left."""

from __future__ import annotations

import click

from flatfiles_assets.console import console as terminal
from flatfiles_assets.warehouse import housekeeping
from flatfiles_assets.warehouse.workspace import Workspace


@click.command()
def compact() -> None:
    """Rewrite the warehouse compactly; readers and writers wait meanwhile."""
    warehouse = Workspace.from_settings().warehouse
    before, after = housekeeping.compact(warehouse)
    terminal(stderr=True).print(
        f"{warehouse.path}: {before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB after",
    )

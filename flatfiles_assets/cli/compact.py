"""`flatfiles compact`: write the warehouse anew, without the space that replaced rows left."""

from __future__ import annotations

import click
from rich.console import Console

from flatfiles_assets import housekeeping
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse


@click.command()
def compact() -> None:
    """Rewrite the warehouse compactly; readers and writers wait meanwhile."""
    settings = load_settings()
    before, after = housekeeping.compact(Warehouse(settings.warehouse_path, settings.lock_timeout_seconds))
    Console(stderr=True).print(
        f"{settings.warehouse_path}: {before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB after",
        highlight=False,
    )

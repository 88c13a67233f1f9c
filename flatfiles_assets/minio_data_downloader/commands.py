"""The verbs of ``flatfiles minio``: click, over the same actions as the flags."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click
from rich.text import Text

from flatfiles_assets.console import console as terminal
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.minio_data_downloader.actions import MirrorRequest
from flatfiles_assets.minio_data_downloader.explanation import explain as explain_source
from flatfiles_assets.minio_data_downloader.explanation import show_explanation
from flatfiles_assets.minio_data_downloader.flags import run

YEAR = click.IntRange(1000, 9999)


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every verb."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the account as JSON."),
        click.option("--cache-dir", type=click.Path(file_okay=False), help="Folder of the mirror."),
    ):
        command = option(command)
    return command


def _run(request: MirrorRequest, cache_dir: str | None, as_json: bool) -> None:
    click.get_current_context().exit(run(request, cache_dir, as_json=as_json))


@click.group(name="minio")
def minio_group() -> None:
    """Mirror the MinIO bucket of historical data: yearly ZIPs and directories."""


@minio_group.command()
@click.argument("years", type=YEAR, nargs=-1)
@_common
def download_historical(years: tuple[int, ...], cache_dir: str | None, as_json: bool) -> None:
    """Download the ZIPs of YEARS, or of every year the bucket has."""
    _run(MirrorRequest(download_years=years), cache_dir, as_json)


@minio_group.command()
@click.argument("years", type=YEAR, nargs=-1, required=True)
@click.option("--cleanup", is_flag=True, help="Remove each ZIP after its extraction is verified.")
@_common
def extract_historical(years: tuple[int, ...], cleanup: bool, cache_dir: str | None, as_json: bool) -> None:
    """Extract the downloaded ZIPs of YEARS."""
    _run(MirrorRequest(extract_years=years, cleanup=cleanup), cache_dir, as_json)


@minio_group.command()
@click.argument("directories", metavar="PREFIX...", nargs=-1, required=True)
@_common
def download_directory(directories: tuple[str, ...], cache_dir: str | None, as_json: bool) -> None:
    """Download directories of the bucket, such as financials."""
    _run(MirrorRequest(directories=directories), cache_dir, as_json)


@minio_group.command()
@_common
def sync_all(cache_dir: str | None, as_json: bool) -> None:
    """Bring every year and directory up to date."""
    _run(MirrorRequest(sync_all=True), cache_dir, as_json)


@minio_group.command()
@_common
def verify(cache_dir: str | None, as_json: bool) -> None:
    """Recompute the checksum of every downloaded and extracted file."""
    _run(MirrorRequest(verify=True), cache_dir, as_json)


@minio_group.command()
@_common
def integration_config(cache_dir: str | None, as_json: bool) -> None:
    """Say what data there is, where, with which columns and dates."""
    _run(MirrorRequest(integration_config=True), cache_dir, as_json)


@minio_group.command()
@click.argument("source", metavar="YEAR|FILE")
@click.option("--year", type=YEAR, help="Year of the bars, where neither a name nor the dates say it.")
@click.option("--overrides", type=click.Path(dir_okay=False), help="A file of layout overrides to try.")
@_common
def explain(
    source: str, year: int | None, overrides: str | None, cache_dir: str | None, as_json: bool
) -> None:
    """Say what YEAR, or an archive, folder or FILE, is understood as and why; nothing is loaded.

    Exits with 1 where not one bar is understood.
    """
    try:
        found = explain_source(source, year, cache_dir, overrides)
    except FlatFilesError as error:
        if as_json:
            sys.stdout.write(json.dumps({"ok": False, "error": str(error)}, indent=2) + "\n")
        else:
            terminal(stderr=True).print(Text.assemble(("error: ", "red"), str(error)), soft_wrap=True)
        click.get_current_context().exit(1)
    if as_json:
        sys.stdout.write(json.dumps({"ok": bool(found.report.bars), **found.to_json()}, indent=2) + "\n")
    else:
        show_explanation(found, terminal())
    click.get_current_context().exit(0 if found.report.bars else 1)

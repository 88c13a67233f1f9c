"""`flatfiles demo`: the whole way on a store of our own, with faults planted and found.

Here: the order of the demonstration and what it prints. The store, the market and the planted
faults are in `demo/`; the work is done by the verbs that a user has.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

from flatfiles_assets.calendars import sessions
from flatfiles_assets.cli.backfill import backfill_sessions, feed_inventory
from flatfiles_assets.cli.demo_folder import fresh_folder, note_contents, own_settings
from flatfiles_assets.cli.demo_output import print_rows
from flatfiles_assets.cli.dev import check_address, dev_command, run_until_stopped
from flatfiles_assets.cli.own_command import own_command
from flatfiles_assets.cli.status import calendar_picture, reasons, summary_table
from flatfiles_assets.console import console as terminal
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.warehouse import inventory
from flatfiles_assets.warehouse.inventory import SessionStatus
from flatfiles_assets.warehouse.workspace import open_warehouse

BUCKET = "flatfiles"
MINIO_BUCKET = "market-data"

_QUARANTINE = """
    SELECT feed, rule, count(*) AS "rows", min(reason) AS example
    FROM market.quarantine GROUP BY ALL ORDER BY ALL
"""
_FRACTIONAL_VOLUMES = """
    SELECT trade_date, count(*) AS tickers, sum(volume) AS volume, count_if(volume % 1 <> 0) AS fractional
    FROM market.stocks_daily WHERE trade_date BETWEEN '2026-02-19' AND '2026-02-24' GROUP BY ALL ORDER BY ALL
"""


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Default: demo/ in the data directory.")
@click.option("--ui", is_flag=True, help="Keep the store running afterwards and open the Dagster UI on it.")
@click.option("--port", default=3000, show_default=True, help="Port of the UI.")
@click.option(
    "--replace", is_flag=True, help="Remove an earlier demo's folder also where something was added since."
)
def demo(data_dir: Path | None, ui: bool, port: int, replace: bool) -> None:
    """Run the main job on an embedded S3 store with a synthetic market in the vendor's format."""
    console = terminal()
    started = time.perf_counter()
    if ui:
        check_address("127.0.0.1", port)
    folder = fresh_folder(data_dir or load_settings().data_dir / "demo", replace=replace)
    shown, folder = folder, folder.absolute()
    with _seeded_store(folder, console):
        settings = load_settings()
        _backfill_feeds(settings, console)
        _replace_a_file(settings, console)
        _show_what_was_refused(console)
        _use_the_data(settings, console)
        note_contents(folder)
        _say_what_next(console, shown, time.perf_counter() - started)
        if ui:
            console.print(f"\nThe UI: http://127.0.0.1:{port} (Ctrl-C ends it and the store)")
            run_until_stopped(*dev_command("127.0.0.1", port))
            # Sensors load what the store has, and it is the demo's, too.
            note_contents(folder)
    sys.exit(0)


@contextlib.contextmanager
def _seeded_store(folder: Path, console: Console) -> Iterator[None]:
    from flatfiles_assets.demo.embedded_s3 import EmbeddedS3
    from flatfiles_assets.demo.market import SyntheticMarket
    from flatfiles_assets.demo.seed import seed_flatfiles_bucket, seed_minio_bucket

    with EmbeddedS3() as store:
        store.create_bucket(BUCKET)
        store.create_bucket(MINIO_BUCKET)
        with console.status("seeding an S3 store with a synthetic market"):
            market = SyntheticMarket()
            manifests = (
                seed_flatfiles_bucket(store.client(), BUCKET, market),
                seed_minio_bucket(store.client(), MINIO_BUCKET, market),
            )
        sizes = [size for manifest in manifests for size in manifest.sizes_bytes.values()]
        planted = sum(len(manifest.planted) for manifest in manifests)
        console.print(
            f"An S3 store on {store.endpoint_url}: {len(sizes)} files, {sum(sizes) / 2**20:.0f} MiB, "
            f"{planted} faults and oddities planted."
        )
        settings = {
            "FLATFILES_ENDPOINT_URL": store.endpoint_url,
            "FLATFILES_ACCESS_KEY_ID": store.access_key_id,
            "FLATFILES_SECRET_ACCESS_KEY": store.secret_access_key,
            "FLATFILES_BUCKET": BUCKET,
            "MINIO_ENDPOINT_URL": store.endpoint_url,
            "MINIO_ACCESS_KEY": store.access_key_id,
            "MINIO_SECRET_KEY": store.secret_access_key,
            "MINIO_BUCKET": MINIO_BUCKET,
            "FLATFILES_DATA_DIR": str(folder.absolute()),
            # A home that the user has elsewhere is not for the demo's runs.
            "DAGSTER_HOME": str(folder.absolute() / "dagster_home"),
        }
        with own_settings(folder, settings):
            yield


def _backfill_feeds(settings: Settings, console: Console) -> None:
    from flatfiles_assets.demo.seed import SEEDED_RANGES

    console.rule("Backfill: S3 to DuckDB through Dagster, a range of sessions a run")
    for feed, ranges in SEEDED_RANGES.items():
        dataset = get_dataset(feed)
        wanted = [day for start, end in ranges for day in sessions(dataset.calendar, start, end)]
        started = time.perf_counter()
        runs = backfill_sessions(dataset, settings, wanted, console=console)
        seconds = time.perf_counter() - started
        console.print(f"{feed}: {len(wanted)} sessions in {len(runs)} run(s), {seconds:.1f} s")
        for run in runs:
            if not run.succeeded:
                console.print(f"  {run.first} to {run.last}: {run.message.splitlines()[0]}")
    inventories = {get_dataset(feed): _seeded_inventory(feed, settings) for feed in SEEDED_RANGES}
    console.print(summary_table(inventories))
    stocks = inventories[get_dataset("stocks_daily")]
    console.print(calendar_picture(stocks))
    console.print(reasons(stocks, "What was refused, and what to do:"))


def _seeded_inventory(feed: str, settings: Settings) -> list[SessionStatus]:
    from flatfiles_assets.demo.seed import SEEDED_RANGES

    dataset = get_dataset(feed)
    return [
        status
        for start, end in SEEDED_RANGES[feed]
        for status in feed_inventory(dataset, settings, start, end)
    ]


def _replace_a_file(settings: Settings, console: Console) -> None:
    from flatfiles_assets.demo.embedded_s3 import s3_client
    from flatfiles_assets.demo.seed import REPLACED_SESSION, replace_one

    console.rule("The vendor replaces a published file")
    dataset = get_dataset("stocks_daily")
    (before,) = feed_inventory(dataset, settings, REPLACED_SESSION, REPLACED_SESSION)
    access_key_id, secret_access_key = settings.flatfiles_credentials()
    replace_one(s3_client(settings.endpoint_url, access_key_id, secret_access_key), BUCKET)
    backfill_sessions(dataset, settings, [REPLACED_SESSION], console=console)
    (after,) = feed_inventory(dataset, settings, REPLACED_SESSION, REPLACED_SESSION)
    console.print(
        f"{REPLACED_SESSION}: {before.rows} rows before, {after.rows} after: the new ETag was noticed, "
        "the file fetched again, the partition rewritten in one transaction. The check on row counts, "
        "which had stopped the incomplete day, passes."
    )


def _show_what_was_refused(console: Console) -> None:
    console.rule("Rows set aside: nothing is dropped in silence")
    with open_warehouse() as warehouse:
        print_rows(console, warehouse.sql(_QUARANTINE).fetchall(), ("feed", "rule", "rows", "for example"))
        console.rule("Volumes are fractional since 2026-02-23, in the same column")
        names = ("session", "tickers", "volume", "fractional")
        print_rows(console, warehouse.sql(_FRACTIONAL_VOLUMES).fetchall(), names)


def _use_the_data(settings: Settings, console: Console) -> None:
    # With it comes Dagster, which a refused data directory need not wait for.
    from flatfiles_assets.cli.demo_archives import load_archives
    from flatfiles_assets.cli.demo_research import research

    load_archives(settings, console)
    research(settings, console)


def _say_what_next(console: Console, folder: Path, seconds: float) -> None:
    console.rule(f"Done in {seconds:.0f} s")
    command = own_command()
    present = "SELECT ticker, close, volume FROM market.stocks_daily WHERE trade_date = '2024-03-28' LIMIT 5"
    console.print(
        "Look around:\n"
        f"  export FLATFILES_DATA_DIR={shlex.quote(str(folder))}\n"
        f"  {command} status stocks_daily\n"
        f'  {command} sql "{present}"\n'
        f"  {command} demo --ui      # the same in Dagster's UI, with the store kept running\n"
        "Your own data: put FLATFILES_ACCESS_KEY_ID and FLATFILES_SECRET_ACCESS_KEY into .env, then\n"
        f"  {command} backfill stocks_daily --start {_a_month_ago()}",
        soft_wrap=True,
    )


def _a_month_ago() -> dt.date:
    a_month_ago = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=30)
    return inventory.last_published_session(get_dataset("stocks_daily"), a_month_ago)

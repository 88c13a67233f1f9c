"""The part of `flatfiles demo` about the user's own bucket: archives, directories, one price table."""

from __future__ import annotations

from rich.console import Console

from flatfiles_assets.calendars import sessions
from flatfiles_assets.cli.demo_output import print_rows
from flatfiles_assets.console import styled
from flatfiles_assets.defs.keys import market_directory_key
from flatfiles_assets.defs.runs import RangeRun, run_job, run_ranges
from flatfiles_assets.minio_data_downloader import DIRECTORIES
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse.workspace import open_warehouse

_BOTH_SOURCES = """
    SELECT year(trade_date) AS year, source, count(DISTINCT trade_date), count(DISTINCT ticker), count(*)
    FROM market.daily_prices GROUP BY ALL ORDER BY ALL
"""
_ONE_SYMBOL = """
    SELECT trade_date, source, close, volume FROM market.daily_prices
    WHERE ticker = 'BRK.B' AND trade_date IN ('2008-03-20', '2008-05-20', '2024-03-28') ORDER BY trade_date
"""
_DIFFERENCES = """
    SELECT ticker, sessions_both, sessions_matched, sessions_different, sessions_only_flat_files,
           sessions_only_historical, suspected_split_ratio
    FROM market.price_reconciliation
    WHERE sessions_matched < greatest(sessions_both, 1) ORDER BY ticker
"""


def load_archives(settings: Settings, console: Console) -> None:
    """Extract the archives, load 2008, unify both sources and compare them."""
    from flatfiles_assets.definitions import build_defs
    from flatfiles_assets.demo.seed import HISTORICAL_LAYOUTS, HOSTILE_YEAR

    defs = build_defs()
    console.rule("The user's own bucket: yearly archives in layouts that nobody documented")
    years = [str(year) for year in sorted({*HISTORICAL_LAYOUTS, HOSTILE_YEAR})]
    extractions = list(run_ranges(defs, "historical_years", years, home=settings.dagster_home, bridge=0))
    _show_layouts(settings, console)
    for extraction in extractions:
        _show_refusals(extraction, console)
    run_job(defs, "directories", home=settings.dagster_home)
    _show_directories(console)

    console.rule("One table over both sources: 2008 from the archive, 2024 from the flat files")
    year = [day.isoformat() for day in sessions("XNYS", "2008-01-02", "2008-12-31")]
    quarter = [day.isoformat() for day in sessions("XNYS", "2024-01-02", "2024-03-28")]
    list(run_ranges(defs, "historical_daily", year, home=settings.dagster_home))
    list(run_ranges(defs, "daily_prices", [*year, *quarter], home=settings.dagster_home))
    run_job(defs, "price_reconciliation", home=settings.dagster_home)
    with open_warehouse() as warehouse:
        names = ("year", "source", "sessions", "symbols", "rows")
        print_rows(console, warehouse.sql(_BOTH_SOURCES).fetchall(), names)
        print_rows(console, warehouse.sql(_ONE_SYMBOL).fetchall(), ("session", "source", "close", "volume"))
        console.print("Where the sources overlap, the reconciliation finds what differs:")
        columns = ("symbol", "both", "matched", "differ", "only flat", "only archive", "split ratio")
        print_rows(console, warehouse.sql(_DIFFERENCES).fetchall(), columns)


def _show_layouts(settings: Settings, console: Console) -> None:
    from flatfiles_assets.ingest.historical.reader import read_extracted_year

    for folder in sorted((settings.minio_cache_dir / "historical").iterdir()):
        if folder.is_dir() and folder.name.isdigit():
            with read_extracted_year(folder, int(folder.name)) as year:
                report = year.report
            console.print(f"{folder.name}: {len(report.files)} file(s), {report.rows_in:,} rows")
            for layout, count in report.layouts.items():
                console.print(f"    {count} understood as: {layout}")
            for file in report.files:
                if file.status != "understood":
                    console.print(f"    {file.status}: {file.file}: {file.reason}")


def _show_refusals(run: RangeRun, console: Console) -> None:
    refused = [line for line in run.message.splitlines() if line[:4].isdigit() and line[4:5] == ":"]
    for line in refused:
        console.print(styled("red", "refused ", line))


def _show_directories(console: Console) -> None:
    rows = []
    with open_warehouse() as warehouse:
        for directory in DIRECTORIES:
            name = market_directory_key(directory).path[-1]
            files = warehouse.table(f"market.{name}", ["source_file"]).df()["source_file"]
            rows.append((f"market.{name}", len(files), files.nunique()))
    print_rows(console, rows, ("table", "rows", "from files"))

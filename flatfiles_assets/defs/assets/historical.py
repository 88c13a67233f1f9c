"""The user's yearly archives: `raw/historical_zip`, `historical/extracted_year`, `market/historical_daily`.

The first two are one step per year, as the feeds are: a hostile or damaged archive fails its own
year and no other. The third has daily partitions, each fed by the year that contains it.
"""

import datetime as dt
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from flatfiles_assets.defs.assets.flat_files import raw_metadata
from flatfiles_assets.defs.assets.range_report import RangeReport
from flatfiles_assets.defs.assets.table_metadata import column_schema
from flatfiles_assets.defs.checks.archive_checks import archive_check_specs, run_archive_check
from flatfiles_assets.defs.checks.table_checks import run_table_checks, table_check_specs
from flatfiles_assets.defs.keys import (
    DUCKDB_WRITER_POOL,
    EXTRACTED_YEAR_KEY,
    HISTORICAL_DAILY_KEY,
    HISTORICAL_ZIP_KEY,
    OWNERS,
    USER_BUCKET_KEY,
    WAREHOUSE_IO,
)
from flatfiles_assets.defs.partitions import session_partitions, year_partitions
from flatfiles_assets.defs.resources import MinIOS3Resource, WarehouseResource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.escaping import markdown, markdown_lines, printable, printable_lines
from flatfiles_assets.ingest.historical.reader import read_extracted_year
from flatfiles_assets.ingest.historical.year_report import YearReport
from flatfiles_assets.ingest.layouts.overrides import LayoutOverrides
from flatfiles_assets.minio_data_downloader import MinIODataDownloader
from flatfiles_assets.unexpected import explained
from flatfiles_assets.warehouse.archive_evidence import tickers_of_year
from flatfiles_assets.warehouse.archive_loading import LoadedYear, load_year, refuse_empty_year
from flatfiles_assets.warehouse.tables import HISTORICAL_DAILY
from flatfiles_assets.warehouse.workspace import Workspace

_NAMES_SHOWN = 5
FIRST_SESSION, END = dt.date(2002, 1, 2), dt.date(2010, 1, 1)


class NoBars(FlatFilesError):
    """A session is asked for of which the archive has no bar."""

    state = "missing"


def historical_partitions() -> dg.TimeWindowPartitionsDefinition:
    """The sessions of 2002 to 2009."""
    return session_partitions("XNYS", FIRST_SESSION, end=END)


@dg.multi_asset(
    name="ingest_historical_year",
    specs=[
        dg.AssetSpec(
            HISTORICAL_ZIP_KEY,
            deps=[USER_BUCKET_KEY],
            group_name="raw",
            description="The user's yearly ZIP, byte for byte, in the local mirror.",
            kinds={"s3"},
            owners=OWNERS,
        ),
        dg.AssetSpec(
            EXTRACTED_YEAR_KEY,
            deps=[HISTORICAL_ZIP_KEY],
            group_name="historical",
            description=(
                "The ZIP's files, safely extracted, and what the layout of each was understood as. "
                "A hostile or damaged archive is refused whole."
            ),
            kinds={"csv"},
            owners=OWNERS,
        ),
    ],
    can_subset=True,
    partitions_def=year_partitions(),
    backfill_policy=dg.BackfillPolicy.multi_run(8),
)
@door
def ingest_historical_year(
    context: dg.AssetExecutionContext, minio_s3: MinIOS3Resource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Fetch and extract some years."""
    selected = [key for key in (HISTORICAL_ZIP_KEY, EXTRACTED_YEAR_KEY) if key in context.selected_asset_keys]
    report = RangeReport(selected)
    # Read before anything is fetched: a mistake in the file is one message, not one for each year.
    overrides = _overrides()
    downloader = minio_s3.downloader()
    years = [int(partition) for partition in context.partition_keys]
    good = _download(downloader, years, report) if HISTORICAL_ZIP_KEY in selected else years
    if EXTRACTED_YEAR_KEY in selected:
        for year in good:
            try:
                found = _extract(context, downloader, year, warehouse, overrides)
                report.materialized(EXTRACTED_YEAR_KEY, str(year), found)
            except Exception as error:
                # Whatever it is, it is about this year, and the others are recorded all the same.
                failure = explained(error)
                context.log.error("%s", failure)
                report.failed(EXTRACTED_YEAR_KEY, str(year), failure)
    yield from report.conclude(context)


def _download(downloader: MinIODataDownloader, years: list[int], report: RangeReport) -> list[int]:
    sync = downloader.sync_historical(years)
    # Keys of the archives begin somewhere in the bucket and end in the year's name.
    for file in sync.files:
        report.materialized(HISTORICAL_ZIP_KEY, file.path.stem, raw_metadata(file))
    for key in sync.extracted_only:
        report.materialized(
            HISTORICAL_ZIP_KEY, Path(key).stem, {"note": "removed after its verified extraction"}
        )
    for key, error in sync.failures.items():
        for asset_key in (HISTORICAL_ZIP_KEY, EXTRACTED_YEAR_KEY):
            report.failed(asset_key, Path(key).stem, error)
    failed = {Path(key).stem for key in sync.failures}
    return [year for year in years if str(year) not in failed]


def _extract(
    context: dg.AssetExecutionContext,
    downloader: MinIODataDownloader,
    year: int,
    warehouse: WarehouseResource,
    overrides: LayoutOverrides,
) -> dict[str, dg.MetadataValue[Any] | int | str]:
    folder = downloader.extract_historical_data(year)
    manifest = downloader.manifest(year)
    known = tickers_of_year(warehouse.open().reader(), year)
    with read_extracted_year(folder, year, overrides, known_tickers=known) as found:
        report = found.report
    refuse_empty_year(report)
    for reason, names in report.refusals.items():
        context.log.warning(
            "%s: %s",
            printable(", ".join(names[:_NAMES_SHOWN])),
            printable_lines(f"{len(names)} file(s): {reason}"),
        )
    return {
        "path": dg.MetadataValue.path(str(folder)),
        "files": len(report.files),
        "size_bytes": manifest.size_bytes if manifest else 0,
        "archive_sha256": manifest.archive_sha256 if manifest else "",
        "understood_as": dg.MetadataValue.md(describe_layouts(report)),
        "not_understood": len(report.with_status("not understood")),
        "not_tables": len(report.with_status("not a table")),
        "rows": report.rows_in,
        "rows_quarantined": report.quarantined,
    }


def describe_layouts(report: YearReport) -> str:
    """What the files of a year were understood as, and which were not, as Markdown."""
    lines = [f"- {count} file(s): {markdown(layout)}" for layout, count in report.layouts.items()]
    lines += [f"- all files: {markdown(note)}" for note in report.notes]
    by_reason: dict[tuple[str, str], list[str]] = {}
    for file in report.files:
        if file.status != "understood":
            by_reason.setdefault((file.status, file.reason), []).append(file.file)
    for (status, reason), names in by_reason.items():
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        named = ", ".join(map(markdown, names[:_NAMES_SHOWN]))
        lines.append(f"- **{status}** {named}{more}: {markdown_lines(reason)}")
    return "\n".join(lines)


@dg.asset(
    key=HISTORICAL_DAILY_KEY,
    check_specs=[*table_check_specs(HISTORICAL_DAILY), *archive_check_specs()],
    deps=[dg.AssetDep(EXTRACTED_YEAR_KEY, partition_mapping=dg.TimeWindowPartitionMapping())],
    partitions_def=historical_partitions(),
    backfill_policy=dg.BackfillPolicy.multi_run(254),
    pool=DUCKDB_WRITER_POOL,
    group_name="market",
    description="Daily bars of the archives: typed and validated, as delivered. The year feeds its sessions.",
    kinds={"duckdb"},
    owners=OWNERS,
    metadata={
        "dagster/table_name": HISTORICAL_DAILY.sql_name,
        "dagster/column_schema": column_schema(HISTORICAL_DAILY),
        "partition_expr": "trade_date",
    },
    io_manager_key=WAREHOUSE_IO,
)
@door
def historical_daily(
    context: dg.AssetExecutionContext, minio_s3: MinIOS3Resource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Load some sessions, year by year."""
    report = RangeReport([HISTORICAL_DAILY_KEY])
    overrides = _overrides()
    sessions = [dt.date.fromisoformat(key) for key in context.partition_keys]
    folder = minio_s3.downloader().cache_dir / "historical"
    store = warehouse.open()
    for year, of_year in itertools.groupby(sessions, key=lambda session: session.year):
        wanted = list(of_year)
        try:
            loaded = load_year(folder / str(year), year, wanted, store, overrides)
        except Exception as error:
            for session in wanted:
                report.failed(HISTORICAL_DAILY_KEY, session.isoformat(), explained(error))
        else:
            _report_year(loaded, report)
    checks = [
        *run_table_checks(context, HISTORICAL_DAILY, sessions, store),
        run_archive_check(store, sessions),
    ]
    yield from report.conclude(context, checks)


def _report_year(loaded: LoadedYear, report: RangeReport) -> None:
    for session, rows in loaded.rows_by_session.items():
        if not rows:
            error = NoBars(
                "the archive has no bar of this session",
                where=f"{loaded.year}",
                next_step="see in historical/extracted_year which files were not understood",
            )
            report.failed(HISTORICAL_DAILY_KEY, session.isoformat(), error)
            continue
        metadata = {
            "dagster/partition_row_count": rows,
            "rows_quarantined": loaded.rejected_by_session[session],
        }
        report.materialized(HISTORICAL_DAILY_KEY, session.isoformat(), metadata)


def _overrides() -> LayoutOverrides:
    return Workspace.from_settings().layout_overrides()

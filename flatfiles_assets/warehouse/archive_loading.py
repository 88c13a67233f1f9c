"""An extracted year to warehouse partitions.

Here: which of a year's bars go to which session, and what cannot go to any. Not here: extraction
and discovery (`ingest/`), Dagster (`defs/assets/historical.py`).

Rejected rows need a partition in the quarantine: a row without a readable date, or with one that
is no session of the year, goes to the next session of its year, or else to the first.
"""

from __future__ import annotations

import bisect
import dataclasses
import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets import calendars
from flatfiles_assets.errors import CorruptFile, FlatFilesError
from flatfiles_assets.ingest.archives.extraction import verify_extracted
from flatfiles_assets.ingest.historical.bars import FEED
from flatfiles_assets.ingest.historical.reader import HistoricalYear, read_extracted_year
from flatfiles_assets.ingest.historical.year_report import YearReport
from flatfiles_assets.ingest.layouts.overrides import LayoutOverrides
from flatfiles_assets.warehouse.archive_evidence import tickers_of_year
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.tables import HISTORICAL_DAILY, QUARANTINE

_MOST_REASONS = 5


class NothingUnderstood(FlatFilesError):
    """A year of which not one bar was accepted."""

    state = "refused"


@dataclasses.dataclass(frozen=True)
class LoadedYear:
    """What became of one year.

    Attributes:
        year: The year.
        rows_by_session: Bars stored, for every session asked for.
        rejected_by_session: Quarantined rows, for every session asked for.
        report: What became of each file.
    """

    year: int
    rows_by_session: Mapping[dt.date, int]
    rejected_by_session: Mapping[dt.date, int]
    report: YearReport


def load_year(
    directory: Path,
    year: int,
    sessions: Sequence[dt.date],
    warehouse: Warehouse,
    overrides: LayoutOverrides | None = None,
) -> LoadedYear:
    """Load some sessions of an extracted year, in one transaction with their quarantined rows.

    Args:
        directory: Where the archive was extracted.
        year: Its year.
        sessions: Sessions of that year to replace.
        warehouse: Where the rows go.
        overrides: Layouts that the user states.

    Raises:
        InvalidArgument: The year is not extracted.
        NothingUnderstood: Not one bar of it was accepted.
        CorruptFile: A file is not as it was extracted.
        WarehouseBusy: Another process holds the warehouse for longer than the limit.
    """
    whole_year = calendars.sessions("XNYS", dt.date(year, 1, 1), dt.date(year, 12, 31))
    _check_extraction(directory, year)
    known = tickers_of_year(warehouse.reader(), year)
    with read_extracted_year(directory, year, overrides, known_tickers=known) as found:
        refuse_empty_year(found.report)
        rejected = _placed(found.rejected, whole_year, sessions)
        with warehouse.writer(f"load historical {min(sessions)} to {max(sessions)}") as transaction:
            rows = transaction.replace(
                HISTORICAL_DAILY, _only(found, sessions), where={"trade_date": sessions}, presorted=True
            )
            quarantined = transaction.replace(
                QUARANTINE, rejected, where={"trade_date": sessions, "feed": [FEED]}
            )
        return LoadedYear(year, rows, quarantined, found.report)


def _check_extraction(directory: Path, year: int) -> None:
    """Refuse files that are not what the archive held; of a folder without a manifest nothing is known."""
    changed = [member for member in verify_extracted(directory) if member.status != "ok"]
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise CorruptFile(
            f"{changed[0].path}{more} is not as it was extracted",
            where=str(directory),
            why=changed[0].detail,
            next_step=f"extract it again: `flatfiles minio extract-historical {year}`, or materialise "
            "historical/extracted_year",
        )


def refuse_empty_year(report: YearReport) -> None:
    """Nothing, for a year of which something was understood.

    Raises:
        NothingUnderstood: Not one bar was accepted; with the reasons.
    """
    if report.bars:
        return
    reasons = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
        for reason, names in list(report.refusals.items())[:_MOST_REASONS]
    ]
    quarantined = f"all {report.quarantined:,} rows are in quarantine" if report.quarantined else ""
    raise NothingUnderstood(
        "not one bar of the year was accepted",
        where=str(report.year),
        why="\n".join([*reasons, *([quarantined] if quarantined else [])]) or "it has no table",
        next_step=f"see `flatfiles minio explain {report.year}`, and state what settles it in the file that "
        "MINIO_LAYOUT_OVERRIDES names",
    )


def _only(year: HistoricalYear, sessions: Collection[dt.date]) -> pa.RecordBatchReader:
    wanted = pa.array(sorted(sessions), pa.date32())
    reader = year.read()

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            kept = batch.filter(pc.is_in(batch.column("trade_date"), wanted))
            if kept.num_rows:
                yield kept

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _placed(rejected: pa.Table, whole_year: Sequence[dt.date], sessions: Collection[dt.date]) -> pa.Table:
    """The rejected rows that belong to some sessions, each under a session of the year."""
    dates = rejected["trade_date"].combine_chunks().dictionary_encode()
    placed = pa.array([_session_for(day, whole_year) for day in dates.dictionary.to_pylist()], pa.date32())
    column = pc.fill_null(placed.take(dates.indices), pa.scalar(whole_year[0], pa.date32()))
    table = rejected.set_column(0, "trade_date", column)
    return table.filter(pc.is_in(column, pa.array(sorted(sessions), pa.date32())))


def _session_for(day: dt.date, whole_year: Sequence[dt.date]) -> dt.date:
    position = bisect.bisect_left(whole_year, day)
    in_year = day.year == whole_year[0].year and position < len(whole_year)
    return whole_year[position] if in_year else whole_year[0]

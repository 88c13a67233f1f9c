"""The door to historical files: what a file's layout is, its bars, and a whole extracted year.

Here: one file, and one year with its report. Layouts are found in `layouts` (and stated in its
`overrides`), rows typed and checked in `bar_rows`, bars put in order in `bar_buckets`.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from flatfiles_assets.errors import CorruptFile, InvalidArgument
from flatfiles_assets.ingest.historical.bar_buckets import BarBuckets
from flatfiles_assets.ingest.historical.bar_rows import ConvertedRows, convert_rows
from flatfiles_assets.ingest.historical.bars import FEED, HISTORICAL_SCHEMA, STAGED_SCHEMA
from flatfiles_assets.ingest.historical.file_blocks import DEFAULT_BLOCK_BYTES, NumberedFile, iter_blocks
from flatfiles_assets.ingest.historical.intraday import aggregate, regular_hours
from flatfiles_assets.ingest.historical.rejected_spill import RejectedSpill
from flatfiles_assets.ingest.historical.sibling_groups import group_siblings, list_files
from flatfiles_assets.ingest.historical.symbols import vendor_style
from flatfiles_assets.ingest.historical.year_files import YearFiles
from flatfiles_assets.ingest.historical.year_report import FileReport, YearReport
from flatfiles_assets.ingest.layouts.discovery import discover
from flatfiles_assets.ingest.layouts.layout import FileLayout, NotUnderstood
from flatfiles_assets.ingest.layouts.overrides import LayoutOverride, LayoutOverrides, load_overrides
from flatfiles_assets.ingest.layouts.source_file import SourceFile
from flatfiles_assets.ingest.quality import QUARANTINE_SCHEMA
from flatfiles_assets.ingest.scratch import scratch_folder
from flatfiles_assets.ingest.tables.bar_texts import BarTexts

__all__ = [
    "HISTORICAL_SCHEMA",
    "FileLayout",
    "FileReport",
    "HistoricalYear",
    "LayoutOverride",
    "LayoutOverrides",
    "NotUnderstood",
    "YearReport",
    "discover_layout",
    "load_overrides",
    "read_extracted_year",
    "read_historical_file",
]


def discover_layout(
    path: str | Path, override: LayoutOverride | None = None, *, year: int | None = None
) -> FileLayout | NotUnderstood:
    """The layout of one file, by the evidence of its lines and its name.

    Args:
        path: The file.
        override: What is stated about it; the rest is discovered.
        year: The year that its dates must lie in, where it is known.

    Returns:
        The layout, with what settled it, or the reason why nothing did.
    """
    return discover([_source(path)], override, year)


def read_historical_file(
    path: str | Path, layout: FileLayout, *, year: int | None = None, block_bytes: int = DEFAULT_BLOCK_BYTES
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Streams one file's daily bars; intraday bars are aggregated (see `intraday`) and come last.

    Args:
        path: The file.
        layout: From `discover_layout`.
        year: Year in which every date must lie; None for any.
        block_bytes: Bytes of text per batch, about.

    Yields:
        Accepted bars with `HISTORICAL_SCHEMA` and rejected rows with `QUARANTINE_SCHEMA`, in the
        file's order. That a (trade_date, ticker) is unique shows only in `read_extracted_year`.

    Raises:
        CorruptFile: The file cannot be read to its end, or its name lacks what the layout expects.
    """
    name = Path(path).name
    days: list[pa.Table] = []
    for converted in _convert(path, layout, year, block_bytes):
        if layout.bar_size == "daily":
            yield _with_source(converted.accepted, name), converted.rejected
        else:
            days.append(aggregate(pa.Table.from_batches([regular_hours(converted.accepted, layout)])))
            yield _NO_BARS, converted.rejected
    if days:
        nothing = pa.RecordBatch.from_pylist([], schema=QUARANTINE_SCHEMA)
        for batch in aggregate(pa.concat_tables(days)).combine_chunks().to_batches():
            yield _with_source(batch, name), nothing


_NO_BARS = pa.RecordBatch.from_pylist([], schema=HISTORICAL_SCHEMA)


def _source(path: str | Path) -> SourceFile:
    return SourceFile(Path(path), Path(path).name)


def _convert(
    path: str | Path, layout: FileLayout, year: int | None, block_bytes: int
) -> Iterator[ConvertedRows]:
    def refuse(file: NumberedFile, reason: NotUnderstood) -> None:
        raise CorruptFile(
            "the file cannot be read with this layout", where=str(file.source.path), why=reason.reason
        )

    for block, segments in iter_blocks([NumberedFile(0, _source(path))], layout, refuse, block_bytes):
        converted = convert_rows(block, segments, layout, year)
        place = STAGED_SCHEMA.get_field_index("ticker")
        named = converted.accepted.set_column(
            place, STAGED_SCHEMA.field(place), vendor_style(converted.accepted["ticker"])
        )
        yield dataclasses.replace(converted, accepted=named)


def _with_source(bars: pa.RecordBatch, name: str) -> pa.RecordBatch:
    sources = pa.array([name] * bars.num_rows, pa.string())
    arrays = [bars.column(n) for n in HISTORICAL_SCHEMA.names[:-1]]
    return pa.RecordBatch.from_arrays([*arrays, sources], schema=HISTORICAL_SCHEMA)


class HistoricalYear:
    """The bars of an extracted year, in order, with what became of every file.

    It keeps its bars in temporary files: close it, or use it as a context manager.

    Attributes:
        year: The year.
        report: What became of every file.
        rejected: The rejected rows with `QUARANTINE_SCHEMA`, mapped from disk: of use until closed.
    """

    def __init__(
        self,
        year: int,
        report: YearReport,
        rejected: pa.Table,
        buckets: BarBuckets,
        names: pa.StringArray,
        directory: tempfile.TemporaryDirectory[str],
    ) -> None:
        self.year = year
        self.report = report
        self.rejected = rejected
        self._buckets = buckets
        self._names = names
        self._directory = directory

    def read(self) -> pa.RecordBatchReader:
        """The accepted daily bars with `HISTORICAL_SCHEMA`, sorted by (trade_date, ticker).

        Each pair occurs once. The year is not held in memory; it can be read again.
        """
        return pa.RecordBatchReader.from_batches(HISTORICAL_SCHEMA, map(self._named, self._buckets.read()))

    def _named(self, bars: pa.RecordBatch) -> pa.RecordBatch:
        arrays = [bars.column(name) for name in HISTORICAL_SCHEMA.names[:-1]]
        sources = self._names.take(bars.column("file_id"))
        return pa.RecordBatch.from_arrays([*arrays, sources], schema=HISTORICAL_SCHEMA)

    def close(self) -> None:
        """Removes the temporary files."""
        self._directory.cleanup()

    def __enter__(self) -> HistoricalYear:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_extracted_year(
    directory: str | Path,
    year: int,
    overrides: LayoutOverrides | None = None,
    *,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    scratch_dir: str | Path | None = None,
    known_tickers: AbstractSet[str] = frozenset(),
) -> HistoricalYear:
    """Reads every file of an extracted year.

    Files that begin alike are discovered and read together. Memory holds a few blocks and the
    bars of ten days, whatever the year's size; the rest waits in temporary files. Of several rows with one
    (trade_date, ticker), the first stays, by the files' names and then by row, and the others go to
    quarantine as `duplicate`.

    Args:
        directory: Where the archive was extracted.
        year: Its year: rows of other years go to quarantine as `misdated`.
        overrides: From `load_overrides`.
        block_bytes: Bytes of text that are parsed at once.
        scratch_dir: Where to put the temporary files; by default the system's place for them.
        known_tickers: Tickers of that year's flat files, by which symbols are recognised; none where
            there are no flat files of it.

    Raises:
        InvalidArgument: There is no such directory.
    """
    root = Path(directory)
    if not root.is_dir():
        raise InvalidArgument(
            "there is no such directory", where=str(root), next_step=f"extract the archive of {year} first"
        )
    scratch = scratch_folder(f"historical-{year}", scratch_dir)
    try:
        return _read_year(root, year, overrides or LayoutOverrides(), block_bytes, scratch, known_tickers)
    except BaseException:
        scratch.cleanup()
        raise


def _read_year(
    root: Path,
    year: int,
    overrides: LayoutOverrides,
    block_bytes: int,
    scratch: tempfile.TemporaryDirectory[str],
    known_tickers: AbstractSet[str],
) -> HistoricalYear:
    spill = RejectedSpill(Path(scratch.name))
    files = YearFiles(year, BarBuckets(Path(scratch.name)), spill, block_bytes, known_tickers)
    texts = BarTexts(Path(scratch.name) / "opened", root)
    files.expansion = texts.expansion
    sources, unreadable = list_files(root)
    groups, refused = group_siblings(sources, overrides, year, texts.open)
    for name, reason in (unreadable | refused).items():
        files.report.refuse(name, reason)
    files.fellow_names = [file.name for group in groups for file in group.files]
    for group in groups:
        files.read(group)
    symbols = files.conclude()
    bars = 0
    for days in files.buckets.finish(files.dropped, symbols):
        bars += days.bars
        for rule, left_out in (("duplicate", days.duplicates), ("test_ticker", days.test_bars)):
            for batch in left_out.to_batches():
                spill.add(_left_out(batch, rule, files), batch.column("file_id"))
    rejected = spill.finish(files.dropped, symbols)
    report = files.report.build(year, bars)
    return HistoricalYear(year, report, rejected, files.buckets, pa.array(files.names, pa.string()), scratch)


_REASONS = {
    "duplicate": "an earlier row of the year has {ticker} on {trade_date}",
    "test_ticker": "{ticker} is an exchange's test symbol",
}


def _left_out(bars: pa.RecordBatch, rule: str, files: YearFiles) -> pa.RecordBatch:
    """Bars that break a rule of the whole year, with `QUARANTINE_SCHEMA`."""
    records = []
    for bar in bars.to_pylist():
        name = files.names[bar["file_id"]]
        files.report.count_rejected(name, rule, bar["rows"])
        row = {key: bar[key] for key in HISTORICAL_SCHEMA.names[1:-1] if bar[key] is not None}
        records.append(
            {
                "trade_date": bar["trade_date"],
                "feed": FEED,
                "file": name,
                "row_number": bar["row_number"],
                "rule": rule,
                "reason": _REASONS[rule].format(**bar),
                "ticker": bar["ticker"],
                "row": json.dumps({"trade_date": str(bar["trade_date"]), **row}, ensure_ascii=False),
            }
        )
    return pa.RecordBatch.from_pylist(records, schema=QUARANTINE_SCHEMA)

"""The files of `options/` to one typed table of quotes.

Here: each file understood by itself, its quotes beside what else it says. What is no table of option
quotes, or cannot be settled, is listed with the reason. Not here: how one file is understood
(`options`), and the vendor's option feeds, which have tables of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.directories.directories import (
    DEFAULT_BLOCK_BYTES,
    DirectoryTable,
    TableFileReport,
    survey,
    unified_schema,
)
from flatfiles_assets.ingest.directories.opened_files import OpenedFile, ScratchFolder, open_directory
from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.layouts.overrides import LayoutOverrides
from flatfiles_assets.ingest.options.headings import LAST_TRADES, columns_for, first_of
from flatfiles_assets.ingest.options.layouts import find_layout
from flatfiles_assets.ingest.options.option_layout import FileEvidence, OptionLayout
from flatfiles_assets.ingest.options.overrides import OptionsOverride
from flatfiles_assets.ingest.options.rows import as_text, convert_block
from flatfiles_assets.ingest.tables.table_files import MalformedRows, TableFile, column_names, iter_tables

OPTIONS_SCHEMA = pa.schema(
    [
        ("underlying", pa.string()),
        ("expiry", pa.date32()),
        ("option_type", pa.string()),
        ("strike", pa.float64()),
        ("quote_date", pa.date32()),
        ("bid", pa.float64()),
        ("ask", pa.float64()),
        ("last", pa.float64()),
        ("volume", pa.float64()),
        ("open_interest", pa.float64()),
        ("implied_volatility", pa.float64()),
        ("contract", pa.string()),
    ]
)
"""What every options table begins with: USD a share; days as written; volatility as a share of one."""

_MOST_UNDERLYINGS = 20_001
_SAMPLE_ROWS = 5000
# More than one row in twenty that is no quote: the layout is in doubt, not the rows.
_MOST_REFUSED = 0.05


def read_options_directory(
    directory: str | Path,
    overrides: LayoutOverrides | None = None,
    *,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    refused: Mapping[str, str] | None = None,
) -> DirectoryTable:
    """Reads every file of option quotes below a directory.

    Args:
        directory: Where the files are.
        overrides: What is stated about them; patterns see their paths below the directory.
        block_bytes: Bytes of text that are looked at at once.
        refused: Files that are not to be read, by their paths below the directory, and why.

    Returns:
        A table that begins with `OPTIONS_SCHEMA`; then the files' other columns, unified by name, and
        ``source_file``.

    Raises:
        InvalidArgument: There is no such directory.
    """
    stated = overrides or LayoutOverrides()
    scratch = ScratchFolder()
    reports: list[TableFileReport] = []
    tables: dict[str, TableFile] = {}
    for number, opened in enumerate(open_directory(directory, stated, scratch, refused)):
        target = scratch.path / f"quotes-{number}.parquet"
        report, table = _read(opened, _override(opened.name, stated), target, block_bytes)
        reports.append(report)
        if table is not None:
            tables[opened.name] = table
    schema = unified_schema(reports, OPTIONS_SCHEMA)
    return DirectoryTable(schema, tuple(reports), tables, block_bytes, scratch)


def _override(name: str, overrides: LayoutOverrides) -> OptionsOverride | None:
    found = overrides.for_file(name)
    return found.options if found else None


def _read(
    opened: OpenedFile, stated: OptionsOverride | None, target: Path, block_bytes: int
) -> tuple[TableFileReport, TableFile | None]:
    file = opened.content
    if isinstance(file, NotUnderstood):
        return TableFileReport(opened.name, reason=file.reason), None
    try:
        layout = find_layout(_evidence(opened.name, file, block_bytes), stated)
        if isinstance(layout, NotUnderstood):
            return TableFileReport(opened.name, file.kind, layout.reason), None
        malformed = MalformedRows()
        rows = _write(file, layout, target, block_bytes, malformed)
    except CorruptFile as error:
        return TableFileReport(opened.name, file.kind, f"{error.what}: {error.why}"), None
    except (pa.ArrowInvalid, OSError) as error:
        return TableFileReport(opened.name, file.kind, f"the file is damaged: {error}"), None
    kind = f"{file.kind}; {layout.describe()}"
    if malformed.count > _MOST_REFUSED * (rows + malformed.count):
        example = "; ".join(f"row {number}: {reason}" for number, reason in malformed.examples[:3])
        reason = f"{malformed.count:,} of {rows + malformed.count:,} rows are no quotes, e.g. {example}"
        return TableFileReport(opened.name, kind, reason), None
    if not rows:
        return TableFileReport(opened.name, kind, "it has a header and no rows"), None
    table = TableFile(target, "Parquet", tuple(pq.read_schema(target).names))
    widths = survey(opened.name, table, block_bytes).columns
    report = TableFileReport(opened.name, kind, "", rows, widths, malformed.count, tuple(malformed.examples))
    return report, table


def _blocks(file: TableFile, block_bytes: int, malformed: MalformedRows) -> Iterator[pl.DataFrame]:
    for table in iter_tables(file, block_bytes, malformed):
        yield pl.DataFrame(table.rename_columns(column_names(table.column_names)))


def _evidence(name: str, file: TableFile, block_bytes: int) -> FileEvidence:
    distinct: dict[str, dict[str, None]] = {}
    columns: dict[str, None] = {}
    sample: list[pl.DataFrame] = []
    for block in _blocks(file, block_bytes, MalformedRows()):
        columns |= dict.fromkeys(block.columns)
        wanted = {
            column
            for meaning in ("expiry", "quote_date", "option_type", "strike")
            for column in columns_for(meaning, block.columns)
        }
        if traded := first_of(LAST_TRADES, block.columns):
            wanted.add(traded)
        for column in wanted:
            values = as_text(block.get_column(column)).drop_nulls().unique(maintain_order=True)
            distinct.setdefault(column, {}).update(dict.fromkeys(values.to_list()))
        for column in columns_for("underlying", block.columns):
            if column not in wanted and len(distinct.setdefault(column, {})) < _MOST_UNDERLYINGS:
                values = as_text(block.get_column(column)).drop_nulls().unique(maintain_order=True)
                distinct[column].update(dict.fromkeys(values.to_list()))
        if sum(frame.height for frame in sample) < _SAMPLE_ROWS:
            head = block.head(_SAMPLE_ROWS)
            sample.append(head.select(as_text(head.get_column(c)).alias(c) for c in head.columns))
    first = pl.concat(sample, how="diagonal") if sample else pl.DataFrame()
    missing = [column for column in columns if column not in first.columns]
    first = first.with_columns(pl.lit(None, pl.String).alias(column) for column in missing)
    return FileEvidence(name, tuple(columns), {c: tuple(v) for c, v in distinct.items()}, first)


def _write(
    file: TableFile, layout: OptionLayout, target: Path, block_bytes: int, malformed: MalformedRows
) -> int:
    """Write a file's quotes as Parquet; the number of rows."""
    rows = 0
    place = 1
    writer: pq.ParquetWriter | None = None
    try:
        for block in _blocks(file, block_bytes, malformed):
            # Objects of JSON may lack keys.
            wanted = {*layout.columns.values()} - {*layout.sides} | {
                c for p in layout.sides.values() for c in p
            }
            block = block.with_columns(
                pl.lit(None, pl.String).alias(column) for column in wanted if column not in block.columns
            )
            quotes, refused = convert_block(block, layout, place)
            place += block.height
            for number, reason in refused.iter_rows():
                malformed.add(number, reason)
            table = quotes.to_arrow(compat_level=pl.CompatLevel.oldest())
            table = table.cast(pa.schema([_plain_field(field) for field in table.schema]))
            if writer is None:
                writer = pq.ParquetWriter(target, table.schema, compression="zstd")
            elif table.schema != writer.schema:
                table = _conformed(table, writer.schema)
            writer.write_table(table)
            rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def _plain_field(field: pa.Field) -> pa.Field:
    type_ = (
        pa.string() if pa.types.is_large_string(field.type) or pa.types.is_null(field.type) else field.type
    )
    return pa.field(field.name, type_)


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)

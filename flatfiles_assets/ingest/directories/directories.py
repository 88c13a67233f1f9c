"""A directory of files of unknown kind to one table: columns by name, types by widening.

For `financials/`, `samples/` and `us_financials/`, and the files of `options/` before their columns are
understood (`options_table`). Every file is read twice, in blocks: first for the types, then for the
rows, so that memory does not grow with the files. Archives and workbooks are opened first. Files that
are no tables are listed with the reason.

A column is `int64` where every value of every file is a whole number, `float64` where every value is
a number, and text otherwise. Nothing is lost by it: whole numbers with leading zeros (company ids)
are text, and so are fractions beside whole numbers that float64 cannot hold. Words for "no value"
(``NA``, ``null``, ``-``) are null beside numbers and stay text beside text. Dates stay text as they are
written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.directories.opened_files import ScratchFolder, open_directory
from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.layouts.overrides import LayoutOverrides
from flatfiles_assets.ingest.tables.table_files import (
    MalformedRows,
    TableFile,
    column_names,
    iter_tables,
)

DEFAULT_BLOCK_BYTES = 4 * 2**20

# What the values of a column ask for, each wider than the one before: words are those for "no value".
Width = Literal["nothing", "words", "int64", "large int64", "float64", "text"]
_WIDTHS: tuple[Width, ...] = ("nothing", "words", "int64", "large int64", "float64", "text")
_TYPES: dict[Width, pa.DataType] = {
    "nothing": pa.string(),
    "words": pa.string(),
    "int64": pa.int64(),
    "large int64": pa.int64(),
    "float64": pa.float64(),
    "text": pa.string(),
}
_NO_VALUE = pa.array(["nan", "na", "n/a", "#n/a", "null", "none", "nil", "-", "--"])
_INTEGER = r"^[+-]?(?:0|[1-9]\d{0,18})$"
_NUMBER = r"^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$"
# Whole numbers up to here are exact in float64.
_LARGEST_EXACT = 2**53


@dataclasses.dataclass(frozen=True)
class TableFileReport:
    """What became of one file.

    Attributes:
        file: Its path below the directory.
        kind: How it is written, in words; empty where it is no table.
        reason: Why it was not read; empty where it was.
        rows: Rows in the table.
        columns: Its columns' names in the table, each with the type that the file alone asks for.
        malformed_rows: Lines that are no rows of the table, and so are not in it.
        malformed_examples: The first of them: row number (from 1, without the header) and reason.
    """

    file: str
    kind: str = ""
    reason: str = ""
    rows: int = 0
    columns: dict[str, Width] = dataclasses.field(default_factory=dict)
    malformed_rows: int = 0
    malformed_examples: tuple[tuple[int, str], ...] = ()


class DirectoryTable:
    """The tables of a directory as one.

    What was in archives lies in a temporary folder until the object is closed or forgotten.

    Attributes:
        schema: The unified columns in the order of their first appearance, then `source_file`.
        files: What became of each file, by name.
        widened: Columns that are wider than some file alone asks for, with those files' types.
    """

    def __init__(
        self,
        schema: pa.Schema,
        files: tuple[TableFileReport, ...],
        tables: dict[str, TableFile],
        block_bytes: int,
        scratch: ScratchFolder,
    ) -> None:
        self.schema = schema
        self.files = files
        self._tables = tables
        self._block_bytes = block_bytes
        self._scratch = scratch

    def close(self) -> None:
        """Removes the temporary files."""
        self._scratch.close()

    @property
    def widened(self) -> dict[str, dict[str, Width]]:
        """By column: file → type, of the files that alone would have a narrower one."""
        found: dict[str, dict[str, Width]] = {}
        for file in self.files:
            for name, width in file.columns.items():
                if width not in ("nothing", "words") and _TYPES[width] != self.schema.field(name).type:
                    found.setdefault(name, {})[file.file] = width
        return found

    def read(self) -> pa.RecordBatchReader:
        """The rows of all files, file by file, with `schema`; null where a file lacks a column."""
        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for name, file in self._tables.items():
            for table in iter_tables(file, self._block_bytes, MalformedRows()):
                yield from _unified(table, self.schema, name).to_batches()


def read_directory(
    directory: str | Path,
    overrides: LayoutOverrides | None = None,
    *,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    refused: Mapping[str, str] | None = None,
) -> DirectoryTable:
    """Reads every file below a directory once, for its kind and the types of its columns.

    Args:
        directory: Where the files are; links are not followed.
        overrides: Which files are to be ignored; patterns see their paths below the directory.
        block_bytes: Bytes of text that are looked at at once.
        refused: Files that are not to be read, by their paths below the directory, and why.

    Raises:
        InvalidArgument: There is no such directory.
    """
    scratch = ScratchFolder()
    reports: list[TableFileReport] = []
    tables: dict[str, TableFile] = {}
    for opened in open_directory(directory, overrides or LayoutOverrides(), scratch, refused):
        report = (
            TableFileReport(opened.name, reason=opened.content.reason)
            if isinstance(opened.content, NotUnderstood)
            else survey(opened.name, opened.content, block_bytes)
        )
        reports.append(report)
        if isinstance(opened.content, TableFile) and not report.reason:
            tables[opened.name] = opened.content
    return DirectoryTable(unified_schema(reports), tuple(reports), tables, block_bytes, scratch)


def unified_schema(reports: Iterable[TableFileReport], fixed: pa.Schema | None = None) -> pa.Schema:
    """The columns of all files that were read, each as wide as its widest file asks for.

    Args:
        reports: What became of the files.
        fixed: Columns that come first and have their types already.
    """
    widths: dict[str, Width] = {}
    for report in reports:
        for column, width in report.columns.items() if not report.reason else ():
            widths[column] = _wider(widths.get(column, "nothing"), width)
    first = list(fixed or ())
    names = {field.name for field in first}
    fields = [pa.field(column, _TYPES[width]) for column, width in widths.items() if column not in names]
    return pa.schema([*first, *fields, pa.field("source_file", pa.string())])


def survey(name: str, file: TableFile, block_bytes: int) -> TableFileReport:
    """What a file holds: its columns with the types that it alone asks for, and its rows."""
    widths: dict[str, Width] = dict.fromkeys(column_names(file.columns), "nothing")
    malformed = MalformedRows()
    rows = 0
    try:
        for table in iter_tables(file, block_bytes, malformed):
            rows += table.num_rows
            for column, values in zip(column_names(table.column_names), table.columns, strict=True):
                widths[column] = _wider(widths.get(column, "nothing"), _width(values.combine_chunks()))
    except CorruptFile as error:
        return TableFileReport(name, file.kind, f"{error.what}: {error.why}")
    except (pa.ArrowInvalid, OSError) as error:
        return TableFileReport(name, file.kind, f"the file is damaged: {error}")
    return TableFileReport(name, file.kind, "", rows, widths, malformed.count, tuple(malformed.examples))


def _wider(one: Width, other: Width) -> Width:
    if {one, other} == {"large int64", "float64"}:
        return "text"
    return max(one, other, key=_WIDTHS.index)


def _width(values: pa.Array) -> Width:
    """The narrowest type that holds all values of a column."""
    if values.null_count == len(values):
        return "nothing"
    if pa.types.is_integer(values.type):
        return _integer_width(values)
    if pa.types.is_floating(values.type):
        return "float64"
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.string())
    if not pa.types.is_string(values.type):
        return "text"
    numbers = values.filter(pc.invert(pc.is_in(pc.utf8_lower(values), _NO_VALUE))).drop_null()
    if not len(numbers):
        return "words"
    if pc.all(pc.match_substring_regex(numbers, _INTEGER)).as_py():
        return _integer_width(pc.utf8_ltrim(numbers, "+"))
    return "float64" if pc.all(pc.match_substring_regex(numbers, _NUMBER)).as_py() else "text"


def _integer_width(values: pa.Array) -> Width:
    try:
        bounds = pc.min_max(values.cast(pa.int64())).as_py()
    except pa.ArrowInvalid:
        return "text"
    is_exact = bounds["min"] >= -_LARGEST_EXACT and bounds["max"] <= _LARGEST_EXACT
    return "int64" if is_exact else "large int64"


def _unified(table: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    own = dict(zip(column_names(table.column_names), table.columns, strict=True))
    columns = [
        _cast(own[field.name].combine_chunks(), field.type)
        if field.name in own
        else pa.nulls(table.num_rows, field.type)
        for field in schema
        if field.name != "source_file"
    ]
    sources = pa.array([name] * table.num_rows, pa.string())
    return pa.Table.from_arrays([*columns, sources], schema=schema)


def _cast(values: pa.Array, type_: pa.DataType) -> pa.Array:
    if pa.types.is_string(values.type) and not pa.types.is_string(type_):
        absent = pc.is_in(pc.utf8_lower(values), _NO_VALUE)
        return pc.utf8_ltrim(pc.if_else(absent, None, values), "+").cast(type_)
    if pa.types.is_nested(values.type):
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], type_)
    return values.cast(type_)

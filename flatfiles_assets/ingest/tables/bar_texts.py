"""The files of a year as texts, one row a line: what discovery of layouts reads.

Here: any container or typed table to CSV files in a folder. A file that is delimited text, compressed
or not, is handed over as it is, at the cost of a look at its first bytes. Not here: what the columns
mean (`layouts`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.archives.extraction import read_manifest
from flatfiles_assets.ingest.archives.zip_directory import ArchiveLimits, Expansion
from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.layouts.source_file import SourceFile
from flatfiles_assets.ingest.layouts.text_files import Head, read_head
from flatfiles_assets.ingest.tables.fixed_width import find_columns
from flatfiles_assets.ingest.tables.json_documents import begins_like_one
from flatfiles_assets.ingest.tables.table_files import MalformedRows, TableFile, iter_tables, open_table_file
from flatfiles_assets.ingest.tables.unpacking import RefusedMember, Unpacker
from flatfiles_assets.ingest.tables.wide_tables import find_wide_table, write_long_table

_BLOCK_BYTES = 4 * 2**20
_LARGEST_EXACT = 2**53
# Names that pandas gives to an index without one.
_INDEX_NAME = "__index_level_"


class BarTexts:
    """Opens what is no delimited text, for one year.

    Args:
        folder: Takes the texts that are made; it must outlive their reading.
        year_folder: Where the year was extracted: what is opened counts against its archive's limits.
    """

    def __init__(self, folder: Path, year_folder: Path | None = None) -> None:
        self._folder = folder
        self.expansion = _expansion_of(year_folder) if year_folder else None
        self._unpacker = Unpacker(folder, expansion=self.expansion)
        self._made = 0

    def open(self, file: SourceFile) -> tuple[list[SourceFile], dict[str, NotUnderstood]]:
        """The texts in a file that is not plain delimited text.

        Returns:
            Texts, each called by the file's name and its place in it (the file itself where it is
            what it should be), and by name why others could not be opened.
        """
        texts: list[SourceFile] = []
        refused: dict[str, NotUnderstood] = {}
        for member in self._unpacker.open(file.path, file.name):
            outcome = (
                member.reason
                if isinstance(member, RefusedMember)
                else self._as_text(SourceFile(member.path, member.name))
            )
            if isinstance(outcome, SourceFile):
                texts.append(outcome)
            else:
                refused[member.name] = outcome
        if not texts and not refused:
            refused[file.name] = NotUnderstood("the archive is empty", is_table=False)
        return texts, refused

    def _as_text(self, file: SourceFile) -> SourceFile | NotUnderstood:
        try:
            if (long_table := self._as_long_table(file)) is not None:
                return long_table
            if not _is_typed(file.path):
                return file
            table = open_table_file(file.path, file.name)
            if isinstance(table, NotUnderstood):
                return table
            if table.separator:
                return file
            target = self._new_target()
            write_csv(table, target)
        except (CorruptFile, pa.ArrowInvalid, OSError) as error:
            why = f"{error.what}: {error.why}" if isinstance(error, CorruptFile) else str(error)
            return NotUnderstood(f"the file is damaged: {why}")
        return SourceFile(target, file.name)

    def _as_long_table(self, file: SourceFile) -> SourceFile | None:
        """A table with several bars a row as one with one."""
        head = read_head(file.path)
        if isinstance(head, NotUnderstood):
            return None
        if (table := find_wide_table(head.lines)) is None:
            return None
        target = self._new_target()
        write_long_table(file.path, head, table, target)
        return SourceFile(target, file.name)

    def _new_target(self) -> Path:
        self._made += 1
        self._folder.mkdir(exist_ok=True)
        return self._folder / f"{self._made}.csv"


def needs_opening(head: Head | NotUnderstood) -> bool:
    """Whether a file with this beginning is a container, a typed or wide table, or text of fixed width."""
    if isinstance(head, NotUnderstood):
        return not head.is_table
    first = head.lines[0]
    if first.lstrip()[:1] in ("{", "["):
        return begins_like_one("\n".join(head.lines[:5]).encode())
    if find_wide_table(head.lines) is not None:
        return True
    # Of thousands of files nearly all end here.
    if "," in first or ";" in first or "\t" in first or "|" in first:
        return False
    return find_columns(head.lines) is not None


def _is_typed(path: Path) -> bool:
    with path.open("rb") as raw:
        if raw.read(8).startswith((b"PAR1", b"ARROW1")):
            return True
    head = read_head(path)
    # What is no text is refused where it is read, with its kind.
    return not isinstance(head, NotUnderstood) and needs_opening(head)


def _expansion_of(year_folder: Path) -> Expansion:
    manifest = read_manifest(year_folder)
    if manifest is None:
        archive_bytes = sum(p.stat().st_size for p in year_folder.rglob("*") if p.is_file())
        return Expansion(ArchiveLimits(), archive_bytes, str(year_folder))
    expansion = Expansion(ArchiveLimits(), manifest.archive_size_bytes, manifest.archive)
    expansion.total_bytes = manifest.size_bytes
    return expansion


def write_csv(table: TableFile, target: Path) -> None:
    """Write a table as CSV, its values as text: whole numbers without a point, dates as ISO 8601.

    Raises:
        CorruptFile: A text cannot be read to its end.
        pyarrow.ArrowInvalid: The table is damaged.
    """
    names = _names(table)
    has_names = table.widths is None or bool(table.widths.headings)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, block in enumerate(iter_tables(table, _BLOCK_BYTES, MalformedRows())):
            if number == 0 and has_names:
                writer.writerow(_heading(name, block.schema) for name in names)
            texts = {name: _texts(block.column(name).combine_chunks()) for name in block.column_names}
            absent = pa.nulls(block.num_rows, pa.string())
            columns = [texts.get(name, absent).to_pylist() for name in names]
            writer.writerows(_lines(columns))


def _heading(name: str, schema: pa.Schema) -> str:
    """A column's name; that of an index that has none is what its type says it is."""
    if not name.startswith(_INDEX_NAME):
        return name
    type_ = schema.field(name).type
    return "date" if pa.types.is_temporal(type_) and "date" not in schema.names else ""


def _names(table: TableFile) -> list[str]:
    if table.columns:
        return list(dict.fromkeys([*table.columns, *table.constants]))
    names: dict[str, None] = {}
    for block in iter_tables(table, _BLOCK_BYTES, MalformedRows()):
        names |= dict.fromkeys(block.column_names)
    return list(names)


def _lines(columns: list[list[str | None]]) -> Iterator[list[str]]:
    for row in zip(*columns, strict=True):
        # A line end always ends a row.
        yield ["" if cell is None else " ".join(cell.split()) if "\n" in cell else cell for cell in row]


def _texts(values: pa.Array) -> pa.Array:
    type_ = values.type
    if pa.types.is_dictionary(type_):
        return _texts(values.dictionary_decode())
    if pa.types.is_floating(type_):
        numbers = values.cast(pa.float64())
        is_whole = pc.and_(pc.equal(numbers, pc.round(numbers)), pc.less(pc.abs(numbers), _LARGEST_EXACT))
        whole = pc.if_else(is_whole, numbers, None).cast(pa.int64()).cast(pa.string())
        filled = pc.if_else(pc.is_finite(numbers), numbers, None).to_pylist()
        return pc.coalesce(whole, pa.array([None if n is None else repr(n) for n in filled], pa.string()))
    if pa.types.is_nested(type_) or pa.types.is_binary(type_):
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())

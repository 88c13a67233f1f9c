"""Plain tabular files to blocks of named columns, without a guess at their types.

Here: delimited text, text of fixed width, JSON lines, Parquet and Arrow files (Feather), one file at a
time, streamed. Not here: files in other files (`unpacking`), and how the columns of many files become
one table (`directories`).
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.layouts.date_formats import is_date
from flatfiles_assets.ingest.layouts.delimited import parse_cells, split_line
from flatfiles_assets.ingest.layouts.layout import SEPARATORS, NotUnderstood
from flatfiles_assets.ingest.layouts.number_formats import is_number
from flatfiles_assets.ingest.layouts.text_files import Head, iter_text_blocks, read_head
from flatfiles_assets.ingest.tables.fixed_width import FixedWidths, Words, find_columns
from flatfiles_assets.ingest.tables.json_documents import begins_like_one

_PARQUET_ROWS_PER_BATCH = 65536
_SHORT_LINE = 80
_MOST_TITLE_LINES = 20
# Names of columns and texts may be cut, too.
_ARROW_DAMAGE = (pa.ArrowException, UnicodeDecodeError)
_YEAR = re.compile(r"(?:FY)?(?:19|20)\d{2}(?:Q[1-4])?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class TableFile:
    """A file that is a table.

    Attributes:
        path: Where it is.
        kind: How it is written, in words.
        columns: Names of its columns as in the file; JSON lines have theirs in each line.
        head: Its beginning, for text.
        separator: Of delimited text.
        widths: Of text without separators.
        lines_before_rows: Lines of titles and headings in a text.
        constants: Columns that the folders it lies in state (``ticker=AAPL/part-0.parquet``).
    """

    path: Path
    kind: str
    columns: tuple[str, ...] = ()
    head: Head | None = None
    separator: str = ""
    widths: FixedWidths | Words | None = None
    lines_before_rows: int = 0
    constants: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class MalformedRows:
    """Rows of a file that are no rows of its table.

    Attributes:
        count: How many.
        examples: The first ones: row number (from 1, the header not counted) and reason.
    """

    count: int = 0
    examples: list[tuple[int, str]] = dataclasses.field(default_factory=list)

    def add(self, row_number: int, reason: str) -> None:
        """Counts a row, and keeps it while there are few."""
        self.count += 1
        if len(self.examples) < 20:
            self.examples.append((row_number, reason))


def open_table_file(path: Path, name: str | None = None) -> TableFile | NotUnderstood:
    """Recognises a tabular file by its content, or says what it is instead.

    Args:
        path: Where it is.
        name: What it is called, where that is not its path.

    Raises:
        OSError: It cannot be read.
    """
    found = _opened(path, name)
    if isinstance(found, NotUnderstood):
        return found
    return dataclasses.replace(found, constants=_constants(name or path.name))


def _constants(name: str) -> dict[str, str]:
    """The columns that Hive, Spark and others write as folders."""
    pairs = (part.split("=", 1) for part in name.split("/")[:-1] if "=" in part)
    given = {key: unquote(value) for key, value in pairs if key and value}
    return {key: value for key, value in given.items() if value != "__HIVE_DEFAULT_PARTITION__"}


def _opened(path: Path, name: str | None) -> TableFile | NotUnderstood:
    with path.open("rb") as file:
        beginning = file.read(8)
    if beginning.startswith((b"PAR1", b"ARROW1")):
        return _open_arrow(path, is_parquet=beginning.startswith(b"PAR1"))
    head = read_head(path)
    if isinstance(head, NotUnderstood):
        return head
    if begins_like_one("\n".join(head.lines[:5]).encode()):
        return _open_json(path, head)
    return _open_delimited(path, head, Path(name or path.name))


def _open_arrow(path: Path, *, is_parquet: bool) -> TableFile | NotUnderstood:
    kind = "Parquet" if is_parquet else "Arrow"
    try:
        if is_parquet:
            return TableFile(path, kind, tuple(pq.read_schema(path).names))
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
            return TableFile(path, kind, tuple(file.schema.names))
    except (*_ARROW_DAMAGE, OSError) as error:
        return NotUnderstood(f"the {kind} file is damaged: {error}")


def _open_json(path: Path, head: Head) -> TableFile | NotUnderstood:
    try:
        first = json.loads(head.lines[0])
    except ValueError:
        # A line may be longer than the head.
        is_long = len(head.lines) == 1 and not head.is_whole
        first = {} if is_long and head.lines[0].lstrip().startswith("{") else None
    if not isinstance(first, dict):
        return NotUnderstood("it is JSON, but not one object per line", is_table=False)
    return TableFile(path, "JSON lines", head=head)


def _open_delimited(path: Path, head: Head, name: Path) -> TableFile | NotUnderstood:
    lines = head.lines[:100]
    best = ("", 0, 0.0)
    for separator in SEPARATORS:
        widths = Counter(len(split_line(line, separator)) for line in lines)
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        if width > 1 and (count / len(lines), width) > (best[2], best[1]):
            best = (separator, width, count / len(lines))
    separator, width, share = best
    is_named_csv = bool({".csv", ".tsv"} & {suffix.lower() for suffix in name.suffixes})
    # Prose has commas, too: without a name that says so, nearly all lines must agree.
    if share <= (0.5 if is_named_csv else 0.8):
        if found := find_columns(head.lines):
            return _fixed_width_file(path, head, found)
        if not is_named_csv or any(len(line) > _SHORT_LINE for line in lines):
            return NotUnderstood("its lines are no rows of one width under any separator", is_table=False)
        separator, width = ",", 1
    table = [[cell.strip() for cell in split_line(line, separator)] for line in lines]
    header = _header_line(table, width)
    if header is None:
        names = [f"column {place}" for place in range(1, width + 1)]
    else:
        names = table[header] if len(table[header]) == width else ["", *table[header]]
    kind = f"{SEPARATORS[separator]}-separated text {'without' if header is None else 'with'} a header"
    before = 0 if header is None else header + 1
    return TableFile(path, kind, tuple(names), head, separator, lines_before_rows=before)


def _header_line(table: list[list[str]], width: int) -> int | None:
    """Which of a text's first lines names the columns; None where rows begin without names."""
    for place, cells in enumerate(table[:_MOST_TITLE_LINES]):
        filled = sum(map(bool, cells))
        # R writes no name above the names of rows.
        is_short = place == 0 and len(cells) == width - 1 and width > 2 and all(cells)
        is_series = width == 2 and len(cells) == 2 and not cells[0]
        if not is_short and (len(cells) != width or (filled < 2 and width > 1 and not is_series)):
            continue  # a title, or a line of something else
        rows = [row for row in table[place + 1 :] if len(row) == width]
        if is_short:
            cells = ["", *cells]
        if _are_headings(cells, rows):
            return place if len(set(cells)) == len(cells) or width == 1 or rows else None
        if filled > width / 2:
            return None  # a row; with fewer cells it may be a title all the same
    return None


def _are_headings(cells: list[str], rows: list[list[str]]) -> bool:
    if not any(cells) or all(is_number(cell) for cell in cells if cell):
        return False
    for place, cell in enumerate(cells):
        if is_number(cell) or is_date(cell):
            # A year may name a column of figures; it names no column of years.
            below = [row[place] for row in rows]
            if not _YEAR.fullmatch(cell) or not below or any(map(_YEAR.fullmatch, below)):
                return False
    if all(cells):
        return True
    # `DataFrame.to_csv()` does not name its index; a title or a row of text may lack cells, too, but
    # then no column has values where it has a word.
    is_index = not cells[0] and all(cells[1:])
    if not is_index and 2 * sum(map(bool, cells)) <= len(cells):
        return False
    of_values = (
        sum(is_number(row[place]) or is_date(row[place]) for row in rows) >= len(rows) / 2
        for place, cell in enumerate(cells)
        if cell or is_index
    )
    return bool(rows) and any(of_values)


def _fixed_width_file(path: Path, head: Head, found: FixedWidths | Words) -> TableFile:
    width = found.width if isinstance(found, Words) else len(found.fields)
    names = found.headings or tuple(f"column {place}" for place in range(1, width + 1))
    how = "blank-separated text" if isinstance(found, Words) else "text of fixed width"
    kind = f"{how} {'with' if found.headings else 'without'} a header"
    return TableFile(path, kind, names, head, widths=found, lines_before_rows=found.lines_before_rows)


def iter_tables(file: TableFile, block_bytes: int, malformed: MalformedRows) -> Iterator[pa.Table]:
    """The file's rows, block by block.

    Cells of text files are strings, null where they are empty. Parquet and Arrow columns have their
    own types.

    Args:
        file: From `open_table_file`.
        block_bytes: Bytes of text per block, about.
        malformed: Takes the rows that are no rows of the table.

    Raises:
        CorruptFile: The file is damaged or cannot be read to its end.
    """
    for table in _tables(file, block_bytes, malformed):
        for key, value in file.constants.items():
            if key not in table.column_names:
                table = table.append_column(key, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
        yield table


def _tables(file: TableFile, block_bytes: int, malformed: MalformedRows) -> Iterator[pa.Table]:
    if file.head is None:
        yield from _arrow_tables(file)
        return
    blocks = iter_text_blocks(file.path, file.head.encoding, file.head.compression, block_bytes)
    first_row = 1
    skipped = file.lines_before_rows
    for block in blocks:
        lines = block
        while skipped and lines:
            lines = lines[lines.index(b"\n") + 1 :]
            skipped -= 1
        if not lines:
            continue
        if file.separator:
            yield _delimited_table(lines, file, first_row, malformed)
        elif file.widths:
            yield _fixed_width_table(lines, file, file.widths, first_row, malformed)
        else:
            yield _json_table(lines, first_row, malformed)
        first_row += lines.count(b"\n")


def _arrow_tables(file: TableFile) -> Iterator[pa.Table]:
    try:
        for batch in _arrow_batches(file):
            # Lengths and texts that are none would be met far away, or crash the process.
            batch.validate(full=True)
            yield pa.Table.from_batches([batch])
    except (*_ARROW_DAMAGE, OSError) as error:
        raise CorruptFile(
            f"the {file.kind} file is damaged",
            where=str(file.path),
            why=str(error),
            next_step="fetch it again",
        ) from error


def _arrow_batches(file: TableFile) -> Iterator[pa.RecordBatch]:
    if file.kind == "Parquet":
        with pq.ParquetFile(file.path) as parquet:
            yield from parquet.iter_batches(_PARQUET_ROWS_PER_BATCH)
        return
    with pa.memory_map(str(file.path)) as source, pa.ipc.open_file(source) as arrow:
        for number in range(arrow.num_record_batches):
            yield arrow.get_batch(number)


def _delimited_table(block: bytes, file: TableFile, first_row: int, malformed: MalformedRows) -> pa.Table:
    width = len(file.columns)
    cells = parse_cells(block, file.separator, width, range(width))
    for index, reason in sorted(cells.malformed.items()):
        malformed.add(first_row + index, reason)
    columns = [_empty_as_null(cells.columns[place]) for place in range(width)]
    table = pa.Table.from_arrays(columns, names=list(file.columns))
    return _without_headings(table, file, first_row, cells.row_indices, malformed)


def _without_headings(
    table: pa.Table, file: TableFile, first_row: int, row_indices: Any, malformed: MalformedRows
) -> pa.Table:
    """A table without the header that files which were put together repeat: as values it is none."""
    if not file.lines_before_rows:
        return table
    named = [place for place, name in enumerate(file.columns) if name]
    is_header = pc.fill_null(pc.equal(table.column(named[0]), file.columns[named[0]]), False)
    if not pc.any(is_header).as_py():
        return table
    for place in named[1:]:
        same = pc.fill_null(pc.equal(table.column(place), file.columns[place]), False)
        is_header = pc.and_(is_header, same)
    for index in pc.indices_nonzero(is_header).to_pylist():
        malformed.add(first_row + int(row_indices[index]), "it repeats the header")
    return table.filter(pc.invert(is_header))


def _fixed_width_table(
    block: bytes, file: TableFile, widths: FixedWidths | Words, first_row: int, malformed: MalformedRows
) -> pa.Table:
    rows = []
    for number, line in enumerate(block.decode().split("\n")[:-1], first_row):
        if (cells := widths.cells(line)) is None:
            malformed.add(number, "it does not keep to the file's columns")
        else:
            rows.append(cells)
    columns = [
        pa.array([row[place] or None for row in rows], pa.string()) for place in range(len(file.columns))
    ]
    return pa.Table.from_arrays(columns, names=list(file.columns))


def _empty_as_null(cells: pa.StringArray) -> pa.StringArray:
    trimmed = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _json_table(block: bytes, first_row: int, malformed: MalformedRows) -> pa.Table:
    rows: list[dict[str, str | None]] = []
    for number, line in enumerate(block.split(b"\n")[:-1], first_row):
        try:
            value = json.loads(line, parse_float=str, parse_int=str)
        except (ValueError, RecursionError) as error:
            malformed.add(number, f"not JSON: {error}")
            continue
        if isinstance(value, dict):
            rows.append({name: _json_text(cell) for name, cell in value.items()})
        else:
            malformed.add(number, "not a JSON object")
    names = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    columns = [pa.array([row.get(name) for row in rows], pa.string()) for name in names]
    return pa.Table.from_arrays(columns, names=names)


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return json.dumps(value, ensure_ascii=False)


def column_names(names: Sequence[str]) -> list[str]:
    """Names of the unified table: snake case, each once.

    ``Total Revenue``, ``totalRevenue`` and ``TOTAL_REVENUE`` are one column. A second column of one
    name in a file gets a number; ``source_file`` is taken.

    >>> column_names(["Adj Close", "EPS (diluted)", "adjClose", "source_file"])
    ['adj_close', 'eps_diluted', 'adj_close_2', 'source_file_2']
    """
    taken = Counter({"source_file": 1})
    found = []
    for place, name in enumerate(names, 1):
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.strip())
        plain = re.sub(r"[\W_]+", "_", words).strip("_").lower() or f"column_{place}"
        taken[plain] += 1
        found.append(plain if taken[plain] == 1 else f"{plain}_{taken[plain]}")
    return found

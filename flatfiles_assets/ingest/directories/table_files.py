"""Tabular files of any kind to blocks of named columns, without a guess at their types.

Here: delimited text, JSON lines and Parquet, one file at a time, streamed. How the columns of many
files become one table is in `directories`.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flatfiles_assets.ingest.layouts.delimited import parse_cells, split_line
from flatfiles_assets.ingest.layouts.layout import SEPARATORS, NotUnderstood
from flatfiles_assets.ingest.layouts.number_formats import is_number
from flatfiles_assets.ingest.layouts.text_files import Head, iter_text_blocks, read_head

_PARQUET_ROWS_PER_BATCH = 65536
_SHORT_LINE = 80


@dataclasses.dataclass(frozen=True)
class TableFile:
    """A file that is a table.

    Attributes:
        path: Where it is.
        kind: How it is written, in words.
        columns: Names of its columns as in the file; JSON lines have theirs in each line.
        head: Its beginning, for text.
        separator: Of delimited text.
        has_header: Of delimited text.
    """

    path: Path
    kind: str
    columns: tuple[str, ...] = ()
    head: Head | None = None
    separator: str = ""
    has_header: bool = True


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


def open_table_file(path: Path) -> TableFile | NotUnderstood:
    """Recognises a tabular file by its content, or says what it is instead."""
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return _open_parquet(path)
    head = read_head(path)
    if isinstance(head, NotUnderstood):
        return head
    if head.lines[0].lstrip().startswith(("{", "[")):
        return _open_json(path, head)
    return _open_delimited(path, head)


def _open_parquet(path: Path) -> TableFile | NotUnderstood:
    try:
        return TableFile(path, "Parquet", tuple(pq.read_schema(path).names))
    except (pa.ArrowInvalid, OSError) as error:
        return NotUnderstood(f"the Parquet file is damaged: {error}")


def _open_json(path: Path, head: Head) -> TableFile | NotUnderstood:
    try:
        first = json.loads(head.lines[0])
    except ValueError:
        first = None
    if not isinstance(first, dict):
        return NotUnderstood("it is JSON, but not one object per line", is_table=False)
    return TableFile(path, "JSON lines", head=head)


def _open_delimited(path: Path, head: Head) -> TableFile | NotUnderstood:
    lines = head.lines[:100]
    best = ("", 0, 0.0)
    for separator in SEPARATORS:
        widths = Counter(len(split_line(line, separator)) for line in lines)
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        if width > 1 and (count / len(lines), width) > (best[2], best[1]):
            best = (separator, width, count / len(lines))
    separator, width, share = best
    is_named_csv = bool({".csv", ".tsv"} & {suffix.lower() for suffix in path.suffixes})
    # Prose has commas, too: without a name that says so, nearly all lines must agree.
    if share <= (0.5 if is_named_csv else 0.8):
        if not is_named_csv or any(len(line) > _SHORT_LINE for line in lines):
            return NotUnderstood("its lines are no rows of one width under any separator", is_table=False)
        separator, width = ",", 1
    first = [cell.strip() for cell in split_line(lines[0], separator)]
    has_header = len(first) == width and all(first) and not any(is_number(cell) for cell in first)
    if has_header and len(set(first)) < len(first) and width > 1 and len(lines) == 1:
        has_header = False
    names = first if has_header else [f"column {place}" for place in range(1, width + 1)]
    kind = f"{SEPARATORS[separator]}-separated text {'with' if has_header else 'without'} a header"
    return TableFile(path, kind, tuple(names), head, separator, has_header)


def iter_tables(file: TableFile, block_bytes: int, malformed: MalformedRows) -> Iterator[pa.Table]:
    """The file's rows, block by block.

    Cells of text files are strings, null where they are empty. Parquet columns have their own types.

    Args:
        file: From `open_table_file`.
        block_bytes: Bytes of text per block, about.
        malformed: Takes the rows that are no rows of the table.

    Raises:
        CorruptFile: The text cannot be read to its end.
        pyarrow.ArrowInvalid: The Parquet file is damaged.
    """
    if file.head is None:
        with pq.ParquetFile(file.path) as parquet:
            for batch in parquet.iter_batches(_PARQUET_ROWS_PER_BATCH):
                yield pa.Table.from_batches([batch])
        return
    blocks = iter_text_blocks(file.path, file.head.encoding, file.head.compression, block_bytes)
    first_row = 1
    for number, block in enumerate(blocks):
        lines = block
        if number == 0 and file.has_header and file.separator:
            lines = block[block.index(b"\n") + 1 :]
        if not lines:
            continue
        if file.separator:
            yield _delimited_table(lines, file, first_row, malformed)
        else:
            yield _json_table(lines, first_row, malformed)
        first_row += lines.count(b"\n")


def _delimited_table(block: bytes, file: TableFile, first_row: int, malformed: MalformedRows) -> pa.Table:
    width = len(file.columns)
    cells = parse_cells(block, file.separator, width, range(width))
    for index, reason in sorted(cells.malformed.items()):
        malformed.add(first_row + index, reason)
    columns = [_empty_as_null(cells.columns[place]) for place in range(width)]
    return pa.Table.from_arrays(columns, names=list(file.columns))


def _empty_as_null(cells: pa.StringArray) -> pa.StringArray:
    trimmed = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _json_table(block: bytes, first_row: int, malformed: MalformedRows) -> pa.Table:
    rows: list[dict[str, str | None]] = []
    for number, line in enumerate(block.split(b"\n")[:-1], first_row):
        try:
            value = json.loads(line, parse_float=str, parse_int=str)
        except ValueError as error:
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

"""Blocks of delimited lines to columns of text, with the lines that do not fit beside them.

A line end always ends a row: no value of a price file holds one, and so a stray quote costs one row
instead of the rest of the file. Here: splitting only; every cell stays text.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv as arrow_csv


@dataclasses.dataclass(frozen=True)
class Cells:
    """The cells of one block.

    Attributes:
        columns: The wanted columns, string arrays without nulls, by position in the file.
        row_indices: For each of their rows, its position among the block's lines, int64 from 0.
        malformed: Lines with the wrong number of cells or an unclosed quote: position and reason.
    """

    columns: dict[int, pa.StringArray]
    row_indices: npt.NDArray[np.int64]
    malformed: dict[int, str]


def split_line(line: str, separator: str) -> list[str]:
    """The cells of one line; a line that is no valid CSV is split at every separator."""
    if '"' in line:
        try:
            return next(csv.reader([line], delimiter=separator, strict=True))
        except (csv.Error, StopIteration):
            pass
    return line.split(separator)


def parse_cells(block: bytes, separator: str, width: int, wanted: Sequence[int]) -> Cells:
    """Splits a block.

    Args:
        block: UTF-8 lines, each ended by LF, none of them blank.
        separator: One character.
        width: Cells that a line must have.
        wanted: Positions of the columns to return.
    """
    malformed: dict[int, str] = {}
    line_count = block.count(b"\n")
    has_quotes = b'"' in block
    line_indices = np.arange(line_count, dtype=np.int64)
    if has_quotes:
        lines = block.splitlines(keepends=True)
        odd = [index for index, line in enumerate(lines) if line.count(b'"') % 2]
        if odd:
            malformed.update(dict.fromkeys(odd, "a quote is opened and not closed"))
            line_indices = np.delete(line_indices, odd)
            block = b"".join(lines[index] for index in line_indices.tolist())
    misfits: list[int] = []

    def skip(row: arrow_csv.InvalidRow) -> str:
        index = int(line_indices[row.number - 1])
        misfits.append(row.number - 1)
        malformed[index] = f"{row.actual_columns} cells where the file has {row.expected_columns}"
        return "skip"

    names = [str(position) for position in range(width)]
    chosen = [str(position) for position in wanted]
    if not block:
        empty: pa.StringArray = pa.array([], pa.string())
        return Cells(dict.fromkeys(wanted, empty), line_indices, malformed)
    table = arrow_csv.read_csv(
        pa.py_buffer(block),
        # Arrow numbers the rows only without threads; one block is one batch.
        read_options=arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
        parse_options=arrow_csv.ParseOptions(
            delimiter=separator,
            quote_char='"' if has_quotes else False,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(chosen, pa.string()), include_columns=chosen, strings_can_be_null=False
        ),
    )
    if misfits:
        line_indices = np.delete(line_indices, misfits)
    columns = {position: _whole(table.column(str(position))) for position in wanted}
    return Cells(columns, line_indices, malformed)


def _whole(column: pa.ChunkedArray) -> pa.StringArray:
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks or [pa.array([], pa.string())])
    )

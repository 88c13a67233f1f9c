"""A sample of the rows of files that begin alike: what discovery looks at.

Here: which rows, from which files, as text and as numbers. Not here: what they mean.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets.ingest.layouts.delimited import split_line
from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.layouts.number_formats import is_no_value, is_number, settle_decimal, to_numbers
from flatfiles_assets.ingest.layouts.source_file import SourceFile
from flatfiles_assets.ingest.layouts.text_files import HEAD_BYTES, read_head

_NEIGHBOURS, _SPREAD = 48, 16
_ROWS = 4_000
_CELLS_FOR_DECIMAL = 1_500
_MOST_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class Sample:
    """Rows of one width.

    Attributes:
        rows: Their cells.
        files: Position of each row's file among the files sampled.
        names: Names of the files sampled.
    """

    rows: list[list[str]]
    files: npt.NDArray[np.int64]
    names: tuple[str, ...]

    @functools.cached_property
    def columns(self) -> list[list[str]]:
        """The cells by column, without white space around them."""
        return [[cell.strip() for cell in column] for column in zip(*self.rows, strict=True)]

    @functools.cached_property
    def decimal(self) -> str | None:
        """The decimal mark that the numbers of all columns prove; None where they contradict each other."""
        step = max(1, len(self.rows) // _CELLS_FOR_DECIMAL)
        marks = {settle_decimal(self.columns[place][::step]) for place in self.numeric} - {"."}
        proofs = {mark for mark in marks if mark}
        return proofs.pop() if len(proofs) == 1 else "."

    @functools.cached_property
    def numeric(self) -> tuple[int, ...]:
        """Positions of the columns that hold numbers."""
        return tuple(place for place, cells in enumerate(self.columns) if share(is_number, cells) >= 0.95)

    def filled(self, place: int) -> list[str]:
        """The cells of a column that hold something."""
        return [cell for cell in self.columns[place] if not is_no_value(cell)]

    def numbers(self, place: int, decimal: str | None = None) -> npt.NDArray[np.float64]:
        """A column as numbers, nan for what is none."""
        text: pa.StringArray = pa.array(self.columns[place], pa.string())
        numbers, _ = to_numbers(text, decimal or self.decimal or ".")
        found: npt.NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False).astype(np.float64)
        return found


def share(test: Callable[[str], object], cells: Iterable[str]) -> float:
    """The share of the filled cells that pass a test; 0 where none is filled."""
    found = [bool(test(cell)) for cell in cells if not is_no_value(cell)]
    return sum(found) / len(found) if found else 0.0


def take_sample(
    files: Sequence[SourceFile], encoding: str | None, separator: str, width: int, lines_before_data: int
) -> Sample:
    """Rows from the beginnings of some files, neighbours and others spread over all of them.

    Args:
        files: Files that begin alike.
        encoding: Of their text, where it is stated.
        separator: Between cells.
        width: Cells of a row; rows of another width are left out.
        lines_before_data: Lines to leave out.
    """
    # The first ones together, because neighbours in name are often neighbours in time.
    rest = files[_NEIGHBOURS:]
    chosen = [*files[:_NEIGHBOURS], *rest[:: max(1, len(rest) // _SPREAD)][:_SPREAD]]
    head_bytes = max(HEAD_BYTES, min(_MOST_BYTES, _MOST_BYTES // len(chosen)))
    most = max(60, _ROWS // len(chosen))
    rows: list[list[str]] = []
    owners: list[int] = []
    for index, file in enumerate(chosen):
        head = read_head(file.path, encoding, head_bytes)
        if isinstance(head, NotUnderstood):
            continue
        of_file = [split_line(line, separator) for line in head.lines[lines_before_data:]]
        fitting = [cells for cells in of_file if len(cells) == width][:most]
        rows += fitting
        owners += [index] * len(fitting)
    return Sample(rows, np.array(owners, dtype=np.int64), tuple(file.name for file in chosen))

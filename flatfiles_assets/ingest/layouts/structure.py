"""What a file's lines show without a look at the values' meaning: separator, width, header, preamble."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.date_formats import is_date
from flatfiles_assets.ingest.layouts.delimited import split_line
from flatfiles_assets.ingest.layouts.layout import SEPARATORS, NotSettled
from flatfiles_assets.ingest.layouts.number_formats import is_number
from flatfiles_assets.ingest.layouts.overrides import LayoutOverride

_MOST_PREAMBLE_LINES = 20
_LINES_LOOKED_AT = 200
_FEWEST_CELLS = 4
_MOST_SUBHEADERS = 3


@dataclasses.dataclass(frozen=True)
class Structure:
    """The shape of a file.

    Attributes:
        separator: One of `SEPARATORS`.
        width: Cells per row.
        lines_before_data: Lines before the first row.
        headings: Names of the columns, as many as there are cells; empty where there is no header.
    """

    separator: str
    width: int
    lines_before_data: int
    headings: tuple[str, ...]


def find_structure(lines: Sequence[str], stated: LayoutOverride) -> Structure:
    """The shape of a file, from its first lines.

    The separator is the one under which most cells are a number, a date, a word or a known heading,
    in rows of one width.

    Raises:
        NotSettled: Under no separator are the lines rows of one width.
    """
    best: tuple[float, int, Structure] | None = None
    for separator in (stated.separator,) if stated.separator else SEPARATORS:
        table = [split_line(line, separator) for line in lines[:_LINES_LOOKED_AT]]
        widths = collections.Counter(len(cells) for cells in table[1:] or table)
        width, _ = max(widths.items(), key=lambda item: (item[1], item[0]))
        if width < _FEWEST_CELLS:
            continue
        structure = _with_header(table, separator, width, stated)
        rows = [cells for cells in table[structure.lines_before_data :] if len(cells) == width]
        if not rows:
            continue
        cells = [cell.strip() for row in rows[:50] for cell in row]
        clean = sum(_is_clean(cell) for cell in cells) / len(cells) * len(rows) / max(1, len(table) - 1)
        if best is None or (round(clean, 3), width) > best[:2]:
            best = (round(clean, 3), width, structure)
    if best is None or best[0] < 0.5:
        tried = ", ".join(SEPARATORS.values())
        raise NotSettled(f"its lines are no rows of one width under any separator ({tried})", is_table=False)
    return best[2]


def _is_clean(cell: str) -> bool:
    return not cell or is_number(cell) or is_date(cell) or not any(mark in cell for mark in ",;|\t")


def _with_header(table: list[list[str]], separator: str, width: int, stated: LayoutOverride) -> Structure:
    before = next((i for i, cells in enumerate(table) if len(cells) == width and _has_values(cells)), 0)
    header = next(
        (i for i, cells in enumerate(table[:_MOST_PREAMBLE_LINES]) if meaning.looks_like_header(cells)), None
    )
    if stated.header is True and header is None:
        header = 0
    if stated.header is False:
        header = None
    if header is None:
        named = before > 0 and stated.header is not False and len(table[before - 1]) in (width, width - 1)
        # Names that no table knows, over rows of values.
        headings = _fitted(table[before - 1], table[before:], width) if named else ()
        return Structure(separator, width, before, headings)
    below = header + 1
    # Units, or a second line of names, stand between the header and the first row.
    if before > below and before - below <= _MOST_SUBHEADERS:
        below = before
    return Structure(separator, width, below, _fitted(table[header], table[header + 1 :], width))


def _fitted(header: list[str], rows: list[list[str]], width: int) -> tuple[str, ...]:
    """The headings, one per cell of a row.

    R writes the names of rows without a heading, so that the header is one cell short; elsewhere a
    separator at the end of each row makes one cell more.
    """
    headings = tuple(cell.strip().strip('"').strip() for cell in header)
    if len(headings) == width - 1:
        full = [cells for cells in rows[:50] if len(cells) == width]
        if full and any(cells[-1].strip() for cells in full):
            return ("", *headings)
    return (*headings, *("",) * (width - len(headings)))[:width]


def _has_values(cells: list[str]) -> bool:
    return sum(is_number(cell.strip()) for cell in cells) >= _FEWEST_CELLS

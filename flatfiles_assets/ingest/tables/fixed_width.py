"""Text in columns of fixed width, as mainframes, Fortran and SAS write it, or with blanks between.

Here: where the columns are, and lines to cells. Where every line has as many words, blanks separate
them; else columns are bounded by the places that are blank in every line, and a line with something in
such a place is no row. Not here: text whose cells stand between separators.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from flatfiles_assets.ingest.layouts.date_formats import is_date
from flatfiles_assets.ingest.layouts.number_formats import is_number

_FEWEST_LINES = 3
_LONGEST_LINE = 4096
# Prose has gaps, too, but not below each other; where it does, no column of it is of numbers.
_SHARE_OF_VALUES = 0.9


@dataclasses.dataclass(frozen=True)
class FixedWidths:
    """Where the columns of a text are.

    Attributes:
        fields: First position of each, and the position after its last, from 0.
        headings: Their names; empty where there are none.
        lines_before_rows: Lines of headings and rulers.
    """

    fields: tuple[tuple[int, int], ...]
    headings: tuple[str, ...]
    lines_before_rows: int

    def cells(self, line: str) -> list[str] | None:
        """The cells of a line; None where it does not keep to the columns."""
        end = 0
        for first, after in self.fields:
            if line[end:first].strip():
                return None
            end = after
        if line[end:].strip():
            return None
        return [line[first:after].strip() for first, after in self.fields]


@dataclasses.dataclass(frozen=True)
class Words:
    """Columns that blanks separate.

    Attributes:
        width: How many there are.
        headings: Their names; empty where there are none.
        lines_before_rows: Lines of headings and rulers.
    """

    width: int
    headings: tuple[str, ...]
    lines_before_rows: int

    def cells(self, line: str) -> list[str] | None:
        """The cells of a line; None where it has more or fewer."""
        cells = line.split()
        return cells if len(cells) == self.width else None


def find_columns(lines: Sequence[str]) -> FixedWidths | Words | None:
    """The columns of a text without separators, from its first lines; None where it has none.

    Args:
        lines: Lines that are not blank.
    """
    return _find_words(lines) or _find_fixed_widths(lines)


def _find_words(lines: Sequence[str]) -> Words | None:
    rows = [line.split() for line in lines if not _is_ruler(line)]
    if len(rows) < _FEWEST_LINES or len({len(row) for row in rows}) > 1 or len(rows[0]) < 2:
        return None
    if not _columns_of_values(rows):
        return None
    has_header = not any(map(_is_value, rows[0]))
    return Words(len(rows[0]), tuple(rows[0]) if has_header else (), _lines_before(lines, has_header))


def _columns_of_values(rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        place
        for place, column in enumerate(zip(*rows[1:], strict=True))
        if sum(map(_is_value, column)) >= _SHARE_OF_VALUES * len(column)
    ]


def _lines_before(lines: Sequence[str], has_header: bool) -> int:
    """Lines before the first row: rulers, and one of headings."""
    places = [place for place, line in enumerate(lines) if not _is_ruler(line)]
    return places[1 if has_header else 0]


def _find_fixed_widths(lines: Sequence[str]) -> FixedWidths | None:
    rows = [line.rstrip() for line in lines if not _is_ruler(line)]
    longest = max(map(len, rows), default=0)
    if len(rows) < _FEWEST_LINES or longest > _LONGEST_LINE or any("\t" in row for row in rows):
        return None
    used = bytearray(longest)
    for row in rows:
        for position, character in enumerate(row):
            if character != " ":
                used[position] = 1
    fields, start = [], None
    for position, is_used in enumerate([*used, 0]):
        if is_used and start is None:
            start = position
        elif not is_used and start is not None:
            fields.append((start, position))
            start = None
    if len(fields) < 2:
        return None
    table = [[row[first:after].strip() for first, after in fields] for row in rows]
    if not _columns_of_values(table):
        return None
    has_header = all(table[0]) and not any(map(_is_value, table[0]))
    return FixedWidths(tuple(fields), tuple(table[0]) if has_header else (), _lines_before(lines, has_header))


def _is_ruler(line: str) -> bool:
    return not set(line) - set("-=+ |")


def _is_value(cell: str) -> bool:
    return is_number(cell) or is_date(cell)

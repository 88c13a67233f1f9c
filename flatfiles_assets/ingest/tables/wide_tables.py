"""Tables with the bars of several symbols side by side, rewritten with one bar a row.

pandas writes such tables with two lines of headings, symbols over fields or fields over symbols, and
a line that names the index; others join both into one heading, ``AAPL_Open``. Here: recognising and
rewriting them. Not here: what a field's heading means beyond the words of a bar (`layouts`).
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.delimited import split_line
from flatfiles_assets.ingest.layouts.layout import SEPARATORS
from flatfiles_assets.ingest.layouts.name_words import is_ticker_like
from flatfiles_assets.ingest.layouts.number_formats import is_number
from flatfiles_assets.ingest.layouts.text_files import Head, iter_text_blocks

_BLOCK_BYTES = 2**20
_MOST_HEADER_LINES = 4
_JOINED = (
    re.compile(r"^\(?['\"]?(.+?)['\"]?\s*(?:[_:|/ -]|,\s*)\s*['\"]?([^_:|/ ,'\"-]+)['\"]?\)?$"),
    re.compile(r"^(.+)\.([^.]+)$"),
    re.compile(r"^([^.]+)\.(.+)$"),
)


@dataclasses.dataclass(frozen=True)
class WideTable:
    """A table of bars side by side.

    Attributes:
        separator: Between cells.
        header_lines: Lines of headings.
        index: Positions of the columns that all bars of a row share, with their headings.
        bars: By symbol, the positions of its fields by their headings.
    """

    separator: str
    header_lines: int
    index: dict[int, str]
    bars: dict[str, dict[str, int]]

    @property
    def fields(self) -> list[str]:
        """The headings of all fields."""
        return list(dict.fromkeys(name for fields in self.bars.values() for name in fields))


def find_wide_table(lines: Sequence[str]) -> WideTable | None:
    """The table that lines begin, if bars stand side by side in it."""
    if len(lines) < 3 or lines[0].count(",") + lines[0].count(";") + lines[0].count("\t") < 4:
        return None
    for separator in SEPARATORS:
        if lines[0].count(separator) < 4:
            continue
        found = _joined(lines[0], separator)
        if found is None and not any(map(str.isdigit, lines[1])):
            table = [split_line(line, separator) for line in lines[: _MOST_HEADER_LINES + 1]]
            found = _two_levels(table, separator)
        if found is not None:
            return found
    return None


def _two_levels(table: list[list[str]], separator: str) -> WideTable | None:
    width = len(table[0])
    count = next((i for i, cells in enumerate(table) if sum(map(is_number, cells)) >= min(4, width - 1)), 0)
    if not 2 <= count <= _MOST_HEADER_LINES or any(len(cells) != width for cells in table[:count]):
        return None
    levels = [_unmerged([cell.strip() for cell in cells]) for cells in table[:count]]
    for fields, symbols in ((levels[0], levels[1]), (levels[1], levels[0])):
        places = [
            place
            for place in range(width)
            if meaning.meaning_of(fields[place]) is not None and _is_symbol(symbols[place])
        ]
        names = {meaning.meaning_of(fields[place]) for place in places}
        if not set(meaning.PRICES) <= names or 0 in places:
            continue
        index = {
            place: next((c for c in (*(level[place] for level in reversed(levels)),) if c), "Date")
            for place in range(width)
            if place not in places
        }
        bars: dict[str, dict[str, int]] = {}
        for place in places:
            bars.setdefault(symbols[place], {})[fields[place]] = place
        if len(index) <= 3:
            return WideTable(separator, count, {p: _index_name(name) for p, name in index.items()}, bars)
    return None


def _unmerged(level: list[str]) -> list[str]:
    """Headings with the cells filled that a spreadsheet merged with the one before them."""
    found = list(level)
    if level[0] and not re.search("[a-z]{3}", level[0]):
        return found
    if len({heading for heading in level[1:] if heading}) < 2:
        return found
    for place in range(2, len(found)):
        found[place] = found[place] or found[place - 1]
    return found


def _index_name(name: str) -> str:
    return name if meaning.meaning_of(name) == meaning.DATE else "Date"


def _is_symbol(text: str) -> bool:
    is_field = len(text) > 1 and meaning.meaning_of(text) in (*meaning.PRICES, meaning.VOLUME)
    return bool(text) and len(text) <= 16 and not is_field


@functools.lru_cache(maxsize=256)
def _joined(header: str, separator: str) -> WideTable | None:
    headings = [cell.strip() for cell in split_line(header, separator)]
    bars: dict[str, dict[str, int]] = {}
    index: dict[int, str] = {}
    for place, heading in enumerate(headings):
        pair = _split_heading(heading)
        if pair is None:
            index[place] = heading or "Date"
        else:
            bars.setdefault(pair[0], {})[pair[1]] = place
    are_bars = all(
        set(meaning.PRICES) <= {meaning.meaning_of(field) for field in fields} for fields in bars.values()
    )
    return WideTable(separator, 1, index, bars) if len(bars) >= 2 and are_bars and len(index) <= 3 else None


def _split_heading(heading: str) -> tuple[str, str] | None:
    """Symbol and field of a heading that has both."""
    bar = {*meaning.PRICES, meaning.VOLUME, meaning.ADJUSTED_CLOSE}
    for pattern in _JOINED:
        if (match := pattern.match(heading)) is None:
            continue
        for symbol, field in ((match[1], match[2]), (match[2], match[1])):
            if meaning.meaning_of(field) in bar and is_ticker_like(symbol) and not _is_field(symbol):
                return symbol, field
    return None


def _is_field(text: str) -> bool:
    """Whether a text is what columns are called; C, O, T and V are companies."""
    return len(text) > 1 and meaning.meaning_of(text) is not None


def write_long_table(path: Path, head: Head, table: WideTable, target: Path) -> None:
    """Writes a table with one bar a row: the index, a symbol, and the fields; empty bars are left out.

    Raises:
        CorruptFile: The text cannot be read to its end.
    """
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*table.index.values(), "Symbol", *table.fields])
        for number, line in enumerate(_lines(path, head)):
            if number < table.header_lines:
                continue
            cells = split_line(line, table.separator)
            for symbol, fields in table.bars.items():
                places = [fields.get(name) for name in table.fields]
                values = ["" if p is None or p >= len(cells) else cells[p] for p in places]
                if any(value.strip() for value in values):
                    index = [cells[p] if p < len(cells) else "" for p in table.index]
                    writer.writerow([*index, symbol, *values])


def _lines(path: Path, head: Head) -> Iterator[str]:
    for block in iter_text_blocks(path, head.encoding, head.compression, _BLOCK_BYTES):
        yield from block.decode().splitlines()

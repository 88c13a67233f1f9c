"""Which files of a directory begin alike, so that one discovery serves them all.

Here: files to groups. Siblings have the same compression, encoding, header and shape of date, or
without a header the same shape of row; that they really share a layout shows when they are read.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from flatfiles_assets.ingest.archives.extraction import MANIFEST_NAME, read_manifest
from flatfiles_assets.ingest.historical.name_variants import adjusted_copies, adjustment_of, frequency_of
from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.delimited import split_line
from flatfiles_assets.ingest.layouts.layout import SEPARATORS, NotUnderstood
from flatfiles_assets.ingest.layouts.name_dates import date_text
from flatfiles_assets.ingest.layouts.number_formats import is_number
from flatfiles_assets.ingest.layouts.overrides import LayoutOverride, LayoutOverrides
from flatfiles_assets.ingest.layouts.source_file import SourceFile
from flatfiles_assets.ingest.layouts.text_files import Head, read_head
from flatfiles_assets.ingest.tables.bar_texts import needs_opening
from flatfiles_assets.ingest.tables.files_below import files_below

# Enough for a header and a row of most files, and much cheaper than a whole head.
_FIRST_LINES_BYTES = 1024


@dataclasses.dataclass
class Group:
    """Siblings, in the order of their names.

    Attributes:
        files: The files.
        override: What is stated about them.
    """

    files: list[SourceFile]
    override: LayoutOverride | None


def list_files(directory: Path) -> tuple[list[SourceFile], dict[str, NotUnderstood]]:
    """Every regular file below a directory, by name, but the extraction's manifest.

    Returns:
        The files, and by name why others are not read: links are not followed, and beside a manifest
        nothing counts that it does not name.
    """
    found, refused = files_below(directory)
    found.pop(MANIFEST_NAME, None)
    reasons = {name: NotUnderstood(why, is_table=False) for name, why in refused.items()}
    manifest = read_manifest(directory)
    if manifest is not None:
        members = {unicodedata.normalize("NFC", member.path) for member in manifest.members}
        added = [name for name in found if unicodedata.normalize("NFC", name) not in members]
        for name in added:
            del found[name]
            reasons[name] = NotUnderstood(
                f"it is not in {manifest.archive}, from which the folder was extracted, and was added "
                "afterwards; put it into the archive, or remove it",
                is_table=False,
            )
    return [SourceFile(path, name) for name, path in found.items()], reasons


def group_siblings(
    files: Iterable[SourceFile],
    overrides: LayoutOverrides,
    year: int | None,
    open_container: Callable[[SourceFile], tuple[list[SourceFile], dict[str, NotUnderstood]]],
) -> tuple[list[Group], dict[str, NotUnderstood]]:
    """Groups of siblings, and by name the files that are no text, are to be ignored, or are adjusted copies.

    Args:
        files: The files of a year.
        overrides: What is stated about them.
        year: The year.
        open_container: The texts in a file that is none itself, and why others are not opened.
    """
    groups: dict[Hashable, Group] = {}
    refused: dict[str, NotUnderstood] = {}
    listed = list(files)
    copies = adjusted_copies([file.name for file in listed])
    waiting = collections.deque((file, True) for file in listed)
    while waiting:
        file, may_be_container = waiting.popleft()
        override = overrides.for_file(file.name, year)
        if ignored := overrides.why_ignored(file.name, year):
            refused[file.name] = NotUnderstood(ignored, is_table=False)
            continue
        if raw := copies.get(file.name) if override is None else None:
            refused[file.name] = NotUnderstood(
                f"its prices are adjusted, as its name says, and {raw} has them as they were traded",
                is_table=False,
            )
            continue
        encoding = override.encoding if override else None
        head = read_head(file.path, encoding, _FIRST_LINES_BYTES)
        if isinstance(head, NotUnderstood) or len(head.lines) < 2:
            head = read_head(file.path, encoding)
        if may_be_container and needs_opening(head):
            members, not_opened = open_container(file)
            refused |= not_opened
            waiting.extend((member, False) for member in members)
            continue
        if isinstance(head, NotUnderstood):
            refused[file.name] = head
            continue
        kind = (adjustment_of(file.name), frequency_of(file.name))
        key = (head.compression, head.encoding, id(override), kind, _shape(head, file.name))
        groups.setdefault(key, Group([], override)).files.append(file)
    return list(groups.values()), refused


def _shape(head: Head, name: str) -> Hashable:
    first = head.lines[0]
    date_in_name = _digits_as_nines(date_text(name) or "")
    header = _header_of(first)
    if header is None:
        separator = _separator_of(first)
        return (separator, tuple(map(_cell_shape, split_line(first, separator))), date_in_name)
    separator, date_position = header
    if date_position is None or len(head.lines) < 2:
        return (first, date_in_name)
    cells = split_line(head.lines[1], separator)
    date = cells[date_position] if date_position < len(cells) else ""
    return (first, _digits_as_nines(date), len(cells), date_in_name if not date else "")


@functools.lru_cache(maxsize=256)
def _header_of(line: str) -> tuple[str, int | None] | None:
    """Separator and position of the date of a line that is a header, else None."""
    for separator in SEPARATORS:
        cells = split_line(line, separator)
        if len(cells) >= 4 and meaning.looks_like_header(cells):
            meanings = [heading.meaning for heading in meaning.read_headings(cells)]
            # A column `Time` may hold the stamps.
            places = [meanings.index(name) for name in (meaning.DATE, meaning.TIME) if name in meanings]
            return separator, places[0] if places else None
    return None


def _separator_of(line: str) -> str:
    # A comma may be a decimal mark, so the others come first.
    return next((separator for separator in ("\t", ";", "|") if line.count(separator) >= 3), ",")


def _cell_shape(cell: str) -> str:
    return "n" if not cell.strip() or is_number(cell) else _digits_as_nines(cell)


def _digits_as_nines(text: str) -> str:
    return re.sub(r"[^\W\d_]+\.?", "a", re.sub(r"\d+", "9", text.strip()))

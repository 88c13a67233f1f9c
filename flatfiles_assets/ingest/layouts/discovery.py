"""From a file's lines to its layout, by evidence.

Here: separator, preamble, header, columns, decimal mark, date format, bar size, and where symbol and
date stand. Siblings (files of one archive that begin alike) are discovered together: they share the
evidence, and the time it takes.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.column_evidence import infer_meanings, is_date
from flatfiles_assets.ingest.layouts.date_evidence import DateVerdict, judge_siblings
from flatfiles_assets.ingest.layouts.date_formats import candidate_formats, parse_stamp, parse_time
from flatfiles_assets.ingest.layouts.delimited import parse_cells, split_line
from flatfiles_assets.ingest.layouts.file_names import common_decorations, date_text, symbol_text
from flatfiles_assets.ingest.layouts.layout import SEPARATORS, FileLayout, NotUnderstood, missing_columns
from flatfiles_assets.ingest.layouts.number_formats import is_number, settle_decimal
from flatfiles_assets.ingest.layouts.overrides import LayoutOverride
from flatfiles_assets.ingest.layouts.stamp_evidence import TimeOfDay, weigh_times
from flatfiles_assets.ingest.layouts.text_files import Head, iter_text_blocks, read_head

EVIDENCE_BLOCK_BYTES = 4 * 2**20
_MOST_PREAMBLE_LINES = 20
_SAMPLE_FILES = 16
_SAMPLE_ROWS = 2000


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """A file to read.

    Attributes:
        path: Where it is.
        name: Its path below the year's directory, with ``/``: for reports, and for what it says.
    """

    path: Path
    name: str


@dataclasses.dataclass(frozen=True)
class Structure:
    """What a file's lines show without a look at the values' meaning.

    Attributes:
        separator: One of `SEPARATORS`.
        width: Cells per row.
        lines_before_data: Lines before the first row.
        headings: Names of the columns, empty where there is no header.
    """

    separator: str
    width: int
    lines_before_data: int
    headings: tuple[str, ...]


def discover(
    files: Sequence[SourceFile], override: LayoutOverride | None = None, year: int | None = None
) -> FileLayout | NotUnderstood:
    """The layout that all these files share.

    Args:
        files: Siblings, at least one.
        override: What the user states about them.
        year: The year that their dates must lie in, where it is known.
    """
    stated = override or LayoutOverride()
    head = read_head(files[0].path, stated.encoding)
    if isinstance(head, NotUnderstood):
        return head
    structure = find_structure(head.lines, stated)
    if isinstance(structure, NotUnderstood):
        return structure
    rows = _sample(files, head, structure, stated)
    if not rows:
        return NotUnderstood("it has a header and no rows")
    columns = _columns(structure, rows, stated)
    if isinstance(columns, str):
        return NotUnderstood(columns)
    if absent := missing_columns(columns, meaning.PRICES):
        return NotUnderstood(f"no column means {', '.join(absent)}; its headings are {structure.headings}")
    decimal = stated.decimal or _decimal(rows, columns)
    if decimal is None:
        return NotUnderstood(
            "its prices can be read with a decimal comma or with a thousands comma, and nothing settles "
            "which; state `decimal` in an override"
        )
    draft = FileLayout(
        separator=structure.separator,
        columns=columns,
        date_format="",
        headings=structure.headings,
        encoding=head.encoding,
        compression=head.compression,
        decimal=decimal,
        lines_before_data=structure.lines_before_data,
        symbol=stated.symbol,
    )
    return _with_names_and_dates(files, draft, rows, stated, year)


def find_structure(lines: Sequence[str], stated: LayoutOverride) -> Structure | NotUnderstood:
    """Separator, width, header and preamble of a file, from its first lines.

    The separator is the one under which most cells are a number, a date, a word or a known heading,
    in rows of one width.
    """
    best: tuple[float, int, Structure] | None = None
    for separator in (stated.separator,) if stated.separator else SEPARATORS:
        table = [split_line(line, separator) for line in lines[:200]]
        widths = collections.Counter(len(cells) for cells in table[1:] or table)
        width, _ = max(widths.items(), key=lambda item: (item[1], item[0]))
        if width < 4:
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
        return NotUnderstood(
            f"its lines are no rows of one width under any separator ({tried})", is_table=False
        )
    return best[2]


def _is_clean(cell: str) -> bool:
    return not cell or is_number(cell) or is_date(cell) or not any(mark in cell for mark in ",;|\t")


def _with_header(table: list[list[str]], separator: str, width: int, stated: LayoutOverride) -> Structure:
    header = next((i for i, cells in enumerate(table[:_MOST_PREAMBLE_LINES]) if _is_header(cells)), None)
    if stated.header is True and header is None:
        header = 0
    if stated.header is False:
        header = None
    if header is None:
        before = next((i for i, cells in enumerate(table) if len(cells) == width and _has_values(cells)), 0)
        if before == 0:
            return Structure(separator, width, 0, ())
        # Names that no table knows, over rows of values.
        headings = tuple(cell.strip() for cell in table[before - 1])
        named = stated.header is not False and len(headings) == width
        return Structure(separator, width, before, headings if named else ())
    headings = tuple(cell.strip().strip('"') for cell in table[header])
    padded = (*headings, *("",) * (width - len(headings)))[:width]
    return Structure(separator, width, header + 1, padded)


def _is_header(cells: list[str]) -> bool:
    return meaning.looks_like_header(cells)


def _has_values(cells: list[str]) -> bool:
    return sum(is_number(cell.strip()) for cell in cells) >= 4


def _sample(
    files: Sequence[SourceFile], head: Head, structure: Structure, stated: LayoutOverride
) -> list[list[str]]:
    rows: list[list[str]] = []
    for index, file in enumerate(files[:_SAMPLE_FILES]):
        other = head if index == 0 else read_head(file.path, stated.encoding)
        if isinstance(other, NotUnderstood):
            continue
        split = (split_line(line, structure.separator) for line in other.lines[structure.lines_before_data :])
        rows.extend(cells for cells in split if len(cells) == structure.width)
        if len(rows) >= _SAMPLE_ROWS:
            break
    return rows[:_SAMPLE_ROWS]


def _columns(structure: Structure, rows: list[list[str]], stated: LayoutOverride) -> tuple[str, ...] | str:
    if stated.columns is not None:
        return stated.assign_columns(structure.headings, structure.width)
    if structure.headings:
        named = meaning.assign_meanings(structure.headings)
        # A header that names some prices and lacks others is believed: values must not overrule it.
        if isinstance(named, str):
            return named
        if set(named) & {*meaning.PRICES, meaning.ADJUSTED_CLOSE}:
            return _with_stamps_as_dates(named, rows)
    return infer_meanings(rows)


def _with_stamps_as_dates(columns: tuple[str, ...], rows: list[list[str]]) -> tuple[str, ...]:
    """A column `Time` with no date beside it may hold whole stamps: then it is the date."""
    if meaning.DATE in columns or meaning.TIME not in columns:
        return columns
    position = columns.index(meaning.TIME)
    are_times = all(parse_time(row[position]) is not None for row in rows if row[position].strip())
    return columns if are_times else (*columns[:position], meaning.DATE, *columns[position + 1 :])


def _decimal(rows: list[list[str]], columns: tuple[str, ...]) -> str | None:
    by_column = list(zip(*rows, strict=True))
    prices = [cell for name in meaning.PRICES for cell in by_column[columns.index(name)]]
    volumes = by_column[columns.index(meaning.VOLUME)] if meaning.VOLUME in columns else ()
    return settle_decimal(prices, volumes)


def _with_names_and_dates(
    files: Sequence[SourceFile],
    draft: FileLayout,
    rows: list[list[str]],
    stated: LayoutOverride,
    year: int | None,
) -> FileLayout | NotUnderstood:
    date_from_name = stated.date_source == "file name" or draft.position(meaning.DATE) is None
    symbol_from_name = stated.symbol_source == "file name" or draft.position(meaning.SYMBOL) is None
    names = [file.name for file in files]
    if date_from_name:
        texts = [date_text(name) for name in names]
        if None in texts:
            return NotUnderstood("it has no date column, and its name holds no date")
        verdict = _settle_dates([text for text in texts if text], None, stated, year)
    else:
        verdict = _settle_dates(_column_sample(rows, draft), (files, draft), stated, year)
    if isinstance(verdict, NotUnderstood):
        return verdict
    decorations = ("", "")
    if symbol_from_name and not draft.symbol:
        decorations = common_decorations(names, has_date=date_from_name)
        if symbol_text(names[0], decorations, has_date=date_from_name) is None:
            return NotUnderstood(
                "it has no symbol column, and its name is no symbol; state `symbol` in an override"
            )
    layout = dataclasses.replace(
        draft,
        date_format=verdict.formats[0],
        other_readings=verdict.refuted,
        date_source="file name" if date_from_name else "column",
        symbol_source="file name" if symbol_from_name else "column",
        name_decorations=decorations,
        evidence=(f"dates read so because {verdict.reason}",) if verdict.reason else (),
    )
    return _with_bar_size(files, layout, rows, stated)


def _column_sample(rows: list[list[str]], draft: FileLayout) -> list[str]:
    position = draft.columns.index(meaning.DATE)
    return [row[position].strip() for row in rows if row[position].strip()]


def _settle_dates(
    sample: list[str],
    source: tuple[Sequence[SourceFile], FileLayout] | None,
    stated: LayoutOverride,
    year: int | None,
) -> DateVerdict | NotUnderstood:
    if stated.date_format:
        return DateVerdict((stated.date_format,))
    shapes = collections.Counter(candidate_formats(text) for text in sample)
    shapes.pop((), None)
    if not shapes:
        return NotUnderstood(
            f"its dates are in no known format, e.g. {sample[0]!r}" if sample else "no dates"
        )
    candidates = shapes.most_common(1)[0][0]
    if source is None:
        # One file per day: the order of the names says nothing about that of the days.
        verdict = judge_siblings(([text] for text in sample), candidates, year)
    elif len(candidates) == 1:
        verdict = DateVerdict(candidates)
    else:
        files, draft = source
        try:
            verdict = judge_siblings(
                (list(iter_column(file, draft, meaning.DATE)) for file in files), candidates, year
            )
        except CorruptFile as error:
            return NotUnderstood(f"{error.what}: {error.why}")
    if len(verdict.formats) == 1:
        others = tuple(name for name in candidates if name != verdict.formats[0])
        return dataclasses.replace(verdict, refuted=others)
    if not verdict.formats:
        return NotUnderstood(f"its dates fit no format, e.g. {sample[0]!r}: {verdict.reason}".rstrip(": "))
    return NotUnderstood(
        f"its dates can be read as {' or '.join(verdict.formats)}, e.g. {sample[0]!r}: no day above 12, no "
        "closed day and no order of the rows settles which; state `date_format` in an override"
    )


def iter_column(file: SourceFile, layout: FileLayout, name: str) -> Iterator[str]:
    """The distinct cells of one column, in the order of their first appearance; streamed."""
    position = layout.columns.index(name)
    seen: set[str] = set()
    skipped = layout.lines_before_data
    for block in iter_text_blocks(file.path, layout.encoding, layout.compression, EVIDENCE_BLOCK_BYTES):
        while skipped and block:
            block = block[block.index(b"\n") + 1 :]
            skipped -= 1
        cells = parse_cells(block, layout.separator, len(layout.columns), [position])
        for text in cells.columns[position].unique().to_pylist():
            if (stripped := text.strip()) and stripped not in seen:
                seen.add(stripped)
                yield stripped


def _with_bar_size(
    files: Sequence[SourceFile], layout: FileLayout, rows: list[list[str]], stated: LayoutOverride
) -> FileLayout | NotUnderstood:
    name = meaning.TIME if meaning.TIME in layout.columns else meaning.DATE
    times = TimeOfDay()
    for file in files[:_SAMPLE_FILES] if _has_times(layout, rows) else ():
        try:
            times.add(iter_column(file, layout, name), layout)
        except CorruptFile:
            continue  # the reader will say so
        if times.is_settled:
            break
    return weigh_times(times, layout, stated)


def _has_times(layout: FileLayout, rows: list[list[str]]) -> bool:
    if meaning.TIME in layout.columns:
        return True
    texts = _column_sample(rows, layout) if layout.date_source == "column" else []
    stamps = (parse_stamp(text, layout.date_format) for text in texts)
    return any(stamp is not None and stamp.second is not None for stamp in stamps)

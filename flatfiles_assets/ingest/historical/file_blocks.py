"""Many files of one layout to few blocks of lines: small files share a block, large ones are cut.

Parsing has a price per block; with one block per file, thousands of small files would pay it
thousands of times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.archives.zip_directory import Expansion
from flatfiles_assets.ingest.historical.bar_rows import Segment, find_symbol
from flatfiles_assets.ingest.layouts.date_formats import parse_day
from flatfiles_assets.ingest.layouts.file_names import symbol_text
from flatfiles_assets.ingest.layouts.layout import FileLayout, NotSettled, NotUnderstood
from flatfiles_assets.ingest.layouts.name_dates import date_text
from flatfiles_assets.ingest.layouts.overrides import PLACEHOLDER
from flatfiles_assets.ingest.layouts.source_file import SourceFile
from flatfiles_assets.ingest.layouts.text_files import iter_text_blocks

DEFAULT_BLOCK_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class NumberedFile:
    """A file with its number in the year; lower numbers have precedence."""

    file_id: int
    source: SourceFile


def iter_blocks(
    files: Iterable[NumberedFile],
    layout: FileLayout,
    on_refusal: Callable[[NumberedFile, NotUnderstood], None],
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    expansion: Expansion | None = None,
    year: int | None = None,
) -> Iterator[tuple[bytes, list[Segment]]]:
    """Lines without headers, and whose they are.

    Args:
        files: Files of that layout.
        layout: Tells where the rows begin, and what the names hold.
        on_refusal: Called for a file whose name lacks what the layout expects, or which cannot be
            read to its end; blocks of it may have been yielded before.
        block_bytes: Size from which a block is yielded.
        expansion: Counts what compressed files become together.
        year: The archive's year, for names that hold month and day only.
    """
    waiting: list[bytes] = []
    segments: list[Segment] = []
    size = 0
    for file in files:
        try:
            symbol, day = _from_name(file.source.name, layout, year)
        except NotSettled as missing:
            on_refusal(file, missing.answer)
            continue
        row = 1
        for lines in _rows(file, layout, on_refusal, block_bytes, expansion):
            count = lines.count(b"\n")
            waiting.append(lines)
            segments.append(Segment(file.file_id, file.source.name, count, row, symbol, day))
            size += len(lines)
            row += count
            if size >= block_bytes:
                yield b"".join(waiting), segments
                waiting, segments, size = [], [], 0
    if waiting:
        yield b"".join(waiting), segments


def _rows(
    file: NumberedFile,
    layout: FileLayout,
    on_refusal: Callable[[NumberedFile, NotUnderstood], None],
    block_bytes: int,
    expansion: Expansion | None,
) -> Iterator[bytes]:
    skipped = layout.lines_before_data
    path, encoding, compression = file.source.path, layout.encoding, layout.compression
    try:
        for block in iter_text_blocks(path, encoding, compression, block_bytes, expansion):
            start = 0
            while skipped and start < len(block):
                start = block.index(b"\n", start) + 1
                skipped -= 1
            if start < len(block):
                yield block[start:] if start else block
    except CorruptFile as error:
        on_refusal(file, NotUnderstood(f"{error.what}: {error.why}"))


def _from_name(name: str, layout: FileLayout, year: int | None) -> tuple[str | None, int | None]:
    """The symbol and the day that a file's name holds, each where the layout looks for it there.

    Raises:
        NotSettled: The name holds no date or symbol, unlike its siblings'.
    """
    day = None
    if layout.date_source == "file name":
        text = date_text(name, year)
        day = parse_day(text, layout.date_format) if text else None
        if day is None:
            raise NotSettled(f"its name holds no date as {layout.date_format}, unlike its siblings'")
    symbol = layout.symbol
    if symbol is None and layout.symbol_source == "file name":
        if layout.symbol_pattern:
            symbol = find_symbol(name, layout.symbol_pattern)
        else:
            symbol = symbol_text(name, layout.name_rule)
        if not symbol:
            raise NotSettled(
                "it has no symbol column, and its name is no symbol; state `symbol` in an override",
                symbol=PLACEHOLDER,
            )
    return symbol, day

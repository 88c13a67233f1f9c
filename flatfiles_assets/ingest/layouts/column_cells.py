"""Whole columns of a file, streamed: for evidence that the beginning of a file does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from flatfiles_assets.ingest.layouts.delimited import parse_cells
from flatfiles_assets.ingest.layouts.layout import FileLayout
from flatfiles_assets.ingest.layouts.source_file import SourceFile
from flatfiles_assets.ingest.layouts.text_files import iter_text_blocks

EVIDENCE_BLOCK_BYTES = 4 * 2**20


def iter_column(file: SourceFile, layout: FileLayout, name: str) -> Iterator[str]:
    """The distinct cells of one column, in the order of their first appearance."""
    position = layout.columns.index(name)
    seen: set[str] = set()
    for columns in iter_columns(file, layout, [name], EVIDENCE_BLOCK_BYTES):
        for text in columns[position].unique().to_pylist():
            if (stripped := text.strip()) and stripped not in seen:
                seen.add(stripped)
                yield stripped


def iter_columns(
    file: SourceFile, layout: FileLayout, names: Sequence[str], block_bytes: int, every: int = 1
) -> Iterator[dict[int, pa.StringArray]]:
    """Blocks of some columns, by position.

    Args:
        file: The file.
        layout: As far as it is known: separator, columns, encoding.
        names: Meanings of the columns.
        block_bytes: Bytes of a block, about.
        every: Of how many blocks one is parsed.

    Raises:
        CorruptFile: The file cannot be read to its end.
    """
    positions = [layout.columns.index(name) for name in names]
    skipped = layout.lines_before_data
    blocks = iter_text_blocks(file.path, layout.encoding, layout.compression, block_bytes)
    for number, block in enumerate(blocks):
        while skipped and block:
            block = block[block.index(b"\n") + 1 :]
            skipped -= 1
        if number % every == 0:
            yield parse_cells(block, layout.separator, len(layout.columns), positions).columns

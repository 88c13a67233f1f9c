"""Text whose cells stand between blanks, however many: rewritten with commas.

Here: lines with one number of words each. Not here: columns at fixed places, where a cell may be
empty or hold a blank itself (`fixed_width`).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from flatfiles_assets.ingest.layouts.number_formats import is_number
from flatfiles_assets.ingest.layouts.text_files import Head, iter_text_blocks

_BLOCK_BYTES = 2**20
_FEWEST_WORDS = 5
_FEWEST_NUMBERS = 4


def is_spaced_text(lines: Sequence[str]) -> bool:
    """Whether lines are rows of numbers between blanks, all with as many cells."""
    words = [line.split() for line in lines]
    counts = {len(row) for row in words}
    rows = [row for row in words if sum(map(is_number, row)) >= _FEWEST_NUMBERS]
    return len(counts) == 1 and min(counts) >= _FEWEST_WORDS and len(rows) >= max(1, len(words) - 2)


def write_spaced_text(path: Path, head: Head, target: Path) -> None:
    """Writes the lines as CSV; a line with another number of words keeps it, and is no row there either.

    Raises:
        CorruptFile: The text cannot be read to its end.
    """
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for block in iter_text_blocks(path, head.encoding, head.compression, _BLOCK_BYTES):
            writer.writerows(line.split() for line in block.decode().splitlines())

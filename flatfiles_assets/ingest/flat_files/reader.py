"""A vendor's flat file to Arrow record batches, streamed: memory does not grow with the file.

Here: the header against the feed's columns, row numbers, and the order of work. Decompression is in
`line_blocks.py`, one block's parsing in `csv_rows.py`, what a row must satisfy in `quality.py`.
"""

from __future__ import annotations

import csv
import dataclasses
import difflib
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets.datasets import Dataset
from flatfiles_assets.errors import FlatFilesError, UnexpectedColumns
from flatfiles_assets.ingest.csv_rows import ParsedBlock, UnparsableRow, parse_block
from flatfiles_assets.ingest.flat_files.line_blocks import FileSource, iter_line_blocks

DEFAULT_BLOCK_BYTES = 2 * 2**20

_PARSERS = 2
_BLOCKS_AHEAD = 3
_OTHER = "\0"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class UnparsableRows(FlatFilesError):
    """A file has rows that cannot be read, and the caller did not ask for them.

    `read_row_blocks` and `staging.Stage` hand such rows out one by one instead.
    """


@dataclasses.dataclass(frozen=True)
class RowBlock:
    """Consecutive rows of a file.

    Attributes:
        first_row: Number of the first row, counted from 1, the header not counted.
        parsed: The rows; positions in it are relative to `first_row`.
        kept_out: The file's columns that are not the feed's.
    """

    first_row: int
    parsed: ParsedBlock
    kept_out: tuple[str, ...] = ()

    @property
    def batch(self) -> pa.RecordBatch:
        """The rows that could be read."""
        return self.parsed.batch

    @property
    def row_count(self) -> int:
        """Rows of the file in this block, those that cannot be read included."""
        return self.parsed.row_count

    def row_numbers(self) -> npt.NDArray[np.int64]:
        """Number in the file of each row of `batch`, int64, counted from 1."""
        numbers = np.arange(self.first_row, self.first_row + self.row_count, dtype=np.int64)
        missing = [row.index for row in self.parsed.unparsable]
        return np.delete(numbers, missing) if missing else numbers

    def unparsable(self) -> Iterator[tuple[int, UnparsableRow]]:
        """The rows that cannot be read, each after its number in the file."""
        for row in self.parsed.unparsable:
            yield self.first_row + row.index, row


def read_flat_file(
    source: FileSource, dataset: Dataset, *, key: str | None = None, block_bytes: int = DEFAULT_BLOCK_BYTES
) -> Iterator[pa.RecordBatch]:
    """Streams a flat file whose rows can all be read.

    Args:
        source: Path of the ``.csv.gz`` (or of the plain CSV), or an open binary file.
        dataset: The feed; its columns are found by name, in whatever order the file has them.
        key: Name for messages; by default the path.
        block_bytes: Decompressed bytes per batch, about.

    Yields:
        Batches with the fields of ``dataset.columns`` in that order, text never null, empty numbers
        null, timestamps as int64 nanoseconds since 1970 UTC. None for a file with only a header.

    Raises:
        CorruptFile: The file is empty, cut short or damaged. Batches may have been yielded before.
        UnexpectedColumns: The header is not the feed's.
        UnparsableRows: A row has the wrong number of fields or a value of the wrong type.
    """
    for block in read_row_blocks(source, dataset, key=key, block_bytes=block_bytes):
        for row_number, row in block.unparsable():
            raise UnparsableRows(
                f"row {row_number} cannot be read",
                where=_name(source, key),
                why=row.reason,
                next_step="use Stage or read_row_blocks, which hand such rows out and go on",
            )
        yield block.batch


def read_row_blocks(
    source: FileSource,
    dataset: Dataset,
    *,
    key: str | None = None,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    keep_out_others: bool = False,
) -> Iterator[RowBlock]:
    """Streams a flat file with its row numbers; rows that cannot be read come with their reason.

    Arguments are those of `read_flat_file`, and whether columns that are not the feed's are kept out
    instead of being a reason to refuse the file.

    Yields:
        Blocks in the file's order. None for a file with only a header.

    Raises:
        CorruptFile: The file is empty, cut short or damaged. Blocks may have been yielded before.
        UnexpectedColumns: The header is not the feed's.
    """
    name = _name(source, key)
    blocks = iter_line_blocks(source, name, block_bytes)
    first = next(blocks)
    header_line, _, first_rows = first.partition(b"\n")
    header, others = _checked_header(header_line, dataset, name)
    if others and not keep_out_others:
        raise _unexpected(dataset, name, _names(header_line))
    first_row = 1
    for parsed in _parse_in_parallel(first_rows, blocks, header, dataset):
        if parsed.row_count:
            yield RowBlock(first_row, parsed, others)
            first_row += parsed.row_count


def _parse_in_parallel(
    first: bytes, others: Iterator[bytes], header: Sequence[str], dataset: Dataset
) -> Iterator[ParsedBlock]:
    """Parses in worker threads while this thread decompresses; both leave Python's lock."""
    second = next(others, None)
    if second is None:
        if first:
            yield parse_block(first, header, dataset.columns)
        return
    pending: deque[Future[ParsedBlock]] = deque()
    with ThreadPoolExecutor(_PARSERS, thread_name_prefix="flat-file") as pool:
        for block in (first, second):
            if block:
                pending.append(pool.submit(parse_block, block, header, dataset.columns))
        for block in others:
            pending.append(pool.submit(parse_block, block, header, dataset.columns))
            if len(pending) > _BLOCKS_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _name(source: FileSource, key: str | None) -> str:
    if key is not None:
        return key
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else repr(source)


def further_columns(source: FileSource, dataset: Dataset, *, key: str | None = None) -> tuple[str, ...]:
    """The columns of a file that are not the feed's, by their names in the file.

    Raises:
        CorruptFile: The file is empty, cut short or damaged.
        UnexpectedColumns: It lacks columns of the feed.
    """
    name = _name(source, key)
    first = next(iter_line_blocks(source, name, DEFAULT_BLOCK_BYTES))
    return _checked_header(first.partition(b"\n")[0], dataset, name)[1]


def _names(line: bytes) -> list[str]:
    text = line.removeprefix(_BYTE_ORDER_MARK).rstrip(b"\r").decode("utf-8", "backslashreplace")
    try:
        return next(csv.reader([text]), [])
    except csv.Error:
        return [text]


def _checked_header(line: bytes, dataset: Dataset, key: str) -> tuple[list[str], tuple[str, ...]]:
    """The header in the file's order under the feed's names, and the names of its further columns.

    Case does not matter, nor does white space around a name.

    Raises:
        UnexpectedColumns: A column of the feed is missing, or one stands there twice.
    """
    found = _names(line)
    expected = {column.name.casefold(): column.name for column in dataset.columns}
    header, others = [], []
    for place, name in enumerate(found):
        known = expected.get(name.strip().casefold())
        header.append(known or f"{_OTHER}{place}")
        if known is None:
            others.append(name.strip())
    counts = Counter(name for name in header if not name.startswith(_OTHER))
    if counts.keys() != set(expected.values()) or max(counts.values()) > 1:
        raise _unexpected(dataset, key, found)
    return header, tuple(others)


def _unexpected(dataset: Dataset, key: str, found: Sequence[str]) -> UnexpectedColumns:
    return UnexpectedColumns(
        f"the header is not that of {dataset.name}",
        where=key,
        why="; ".join(_differences([column.name for column in dataset.columns], found)),
        next_step=f"see whether the file belongs to another feed, or the vendor changed {dataset.name}; "
        "FLATFILES_EXTRA_COLUMNS=ignore or store takes columns that were added",
    )


_SHOWN_COLUMNS = 30
_SHOWN_CHARACTERS = 60


def _differences(expected: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    yield f"expected {', '.join(expected)}"
    shown = [name[:_SHOWN_CHARACTERS] for name in found[:_SHOWN_COLUMNS]]
    yield f"found {', '.join(shown)}" + (" and more" if len(found) > _SHOWN_COLUMNS else "")
    spelled = {name.casefold(): name for name in expected}
    found = [spelled.get(name.strip().casefold(), name) for name in found]
    shown = [name[:_SHOWN_CHARACTERS] for name in found[:_SHOWN_COLUMNS]]
    missing = [name for name in expected if name not in found]
    extra = [name for name in shown if name not in expected]
    if missing:
        yield f"missing: {', '.join(missing)}"
    if extra:
        yield f"not expected: {', '.join(extra)}"
    if repeated := [name for name, count in Counter(shown).items() if count > 1]:
        yield f"more than once: {', '.join(repeated)}"
    for name in extra:
        if close := difflib.get_close_matches(name.strip().lower(), missing, n=1):
            yield f"{name!r} may be {close[0]!r} renamed"

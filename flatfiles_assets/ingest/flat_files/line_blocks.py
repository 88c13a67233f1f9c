"""Bytes on disk to blocks of whole lines: decompression, damage, and where a block may be cut.

Not here: what the lines mean (`csv_rows.py`) and which columns a feed has (`flat_files.py`).
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip, isal_zlib

from flatfiles_assets.errors import CorruptFile

# A line of these feeds is some hundred bytes; without a limit, one file without a line end would
# be collected in memory whole.
LONGEST_LINE_BYTES = 16 * 2**20

FileSource = str | os.PathLike[str] | BinaryIO

# isal's stub declares its exception class as an instance.
_DAMAGE = (gzip.BadGzipFile, cast("type[Exception]", isal_zlib.error))

_REFETCH = "fetch the file again; if it stays so, the vendor's copy is damaged"


def iter_line_blocks(source: FileSource, key: str, block_bytes: int) -> Iterator[bytes]:
    """The file's content, decompressed, in blocks that end where a line ends.

    Content is recognised by its first byte, not by the name: what is not gzip is read as it is. A
    gzip may have several members, and zero bytes after the last one (padding), as gzip itself has
    it; anything else after it is damage.

    Args:
        source: Path of the file, or an open binary file, which is left open.
        key: Name for messages.
        block_bytes: Decompressed bytes to read at once; a block is up to one line longer.

    Yields:
        Blocks that are never empty. Only the last may lack its final line end.

    Raises:
        CorruptFile: No content, gzip that is cut short or damaged, or a line without an end.
    """
    with ExitStack() as stack:
        file: BinaryIO
        if isinstance(source, (str, os.PathLike)):
            file = stack.enter_context(Path(source).open("rb"))
        else:
            file = source
        first_byte = file.read(1)
        if not first_byte:
            raise CorruptFile("the file has no content", where=key, why="0 bytes", next_step=_REFETCH)
        content: BinaryIO = _Rewound(first_byte, file)
        if first_byte == b"\x1f":
            content = stack.enter_context(igzip.open(content, "rb"))  # type: ignore[no-untyped-call]
        yield from _whole_lines(content, key, block_bytes)


def _whole_lines(content: BinaryIO, key: str, block_bytes: int) -> Iterator[bytes]:
    rest = b""
    empty = True
    while chunk := _read(content, key, block_bytes):
        empty = False
        end = chunk.rfind(b"\n") + 1
        if end == len(chunk) and not rest:
            yield chunk
        elif end:
            yield b"".join((rest, memoryview(chunk)[:end]))  # the one copy of what was decompressed
            rest = chunk[end:]
        else:
            rest += chunk
        if len(rest) > LONGEST_LINE_BYTES:
            raise CorruptFile(
                "the file is not lines of text",
                where=key,
                why=f"a line is longer than {LONGEST_LINE_BYTES:,} bytes",
                next_step=_REFETCH,
            )
    if empty:
        raise CorruptFile(
            "the file has no content", where=key, why="its gzip holds 0 bytes", next_step=_REFETCH
        )
    if rest:
        yield rest


def _read(content: BinaryIO, key: str, size: int) -> bytes:
    try:
        return content.read(size)
    except EOFError as error:
        raise CorruptFile(
            "the gzip is cut short", where=key, why="it ends before its end marker", next_step=_REFETCH
        ) from error
    except _DAMAGE as error:
        raise CorruptFile("the gzip is damaged", where=key, why=str(error), next_step=_REFETCH) from error


class _Rewound(io.RawIOBase, BinaryIO):
    """A file whose first byte was already read, and which may not be able to seek back."""

    def __init__(self, first_byte: bytes, file: BinaryIO) -> None:
        self._first_byte = first_byte
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if not self._first_byte:
            return self._file.read(size)
        first, self._first_byte = self._first_byte, b""
        return first + self._file.read(size - 1 if size > 0 else size)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

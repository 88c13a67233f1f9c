"""Files of unknown encoding and compression to UTF-8 lines, streamed.

Here: bytes on disk to blocks of whole lines. Not here: what the lines mean (`layout_discovery`).
`line_blocks` does the same for the vendor's flat files, whose encoding and layout are known.
"""

from __future__ import annotations

import codecs
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.archives.compressed import Compression, Decompressed, compression_of
from flatfiles_assets.ingest.archives.member_names import UnsafeArchive
from flatfiles_assets.ingest.archives.zip_directory import Expansion
from flatfiles_assets.ingest.layouts.file_kinds import kind_of_binary
from flatfiles_assets.ingest.layouts.layout import NotUnderstood

HEAD_BYTES = 16 * 1024
# No row of a table is as long: a file of one endless line would be copied for every block of it.
_LONGEST_FIRST_LINE_BYTES = 4 * 2**20
_LONGEST_LINE_BYTES = 16 * 2**20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes((*range(1, 9), *range(14, 26)))
_BLANK_LINES = re.compile(rb"(?m)^[ \t]*\n")
# One pass finds what might be such a line, far faster than finding the line itself.
_PERHAPS_BLANK = re.compile(rb"\n[\n \t]")


@dataclasses.dataclass(frozen=True)
class Head:
    """The beginning of a text file.

    Attributes:
        lines: Whole lines without their ends, blank ones left out; the last line of a file
            without a final line end included.
        encoding: Python's name of the encoding; ``"utf-8"`` for ASCII.
        compression: By content; None for none.
        is_whole: Whether these are all of the file's lines.
    """

    lines: tuple[str, ...]
    encoding: str
    compression: Compression | None
    is_whole: bool


def read_head(path: Path, encoding: str | None = None, head_bytes: int = HEAD_BYTES) -> Head | NotUnderstood:
    """The first lines of a file, with its encoding and compression found from its bytes.

    Args:
        path: The file.
        encoding: The encoding, where it is known.
        head_bytes: How much to read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            raw = file.read(head_bytes)
            compression = compression_of(raw)
            if compression:
                file.seek(0)
                raw = _whole_read(Decompressed(cast("BinaryIO", file), compression, path.name), head_bytes)
    except (CorruptFile, UnsafeArchive) as error:
        return NotUnderstood(f"{error.what}: {error.why}")
    except OSError as error:
        return NotUnderstood(f"the file cannot be read: {error.strerror or error}")
    is_whole = len(raw) < head_bytes
    if not raw.strip():
        return NotUnderstood("the file is empty", is_table=False)
    if kind := kind_of_binary(raw):
        return NotUnderstood(f"it is {kind}", is_table=False)
    encoding = encoding or _encoding_of(raw)
    if encoding is None:
        return NotUnderstood("it is binary, not text", is_table=False)
    text = raw.decode(encoding, "ignore").replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a")
    if not is_whole and "\n" not in text and head_bytes < _LONGEST_FIRST_LINE_BYTES:
        return read_head(path, encoding, _LONGEST_FIRST_LINE_BYTES)
    lines = text.split("\n")
    if not is_whole:
        lines.pop()
    lines = [line for line in lines if line.strip()]
    if not lines:
        why = (
            "the file holds no lines" if is_whole else f"its first line does not end in {head_bytes:,} bytes"
        )
        return NotUnderstood(why, is_table=False)
    return Head(tuple(lines), encoding, compression, is_whole)


def _whole_read(content: Decompressed, size: int) -> bytes:
    """So many bytes, where there are as many: a decompressor may return fewer at once."""
    found = b""
    while len(found) < size and (chunk := content.read(size - len(found))):
        found += chunk
    return found


def _encoding_of(raw: bytes) -> str | None:
    for bom, encoding in _BOMS:
        if raw.startswith(bom):
            return encoding
    if b"\0" in raw:
        # Text in UTF-16 is mostly ASCII, so that every other byte is zero.
        even, odd = raw[0::2].count(0), raw[1::2].count(0)
        if odd > 0.4 * len(raw) and not even:
            return "utf-16-le"
        return "utf-16-be" if even > 0.4 * len(raw) and not odd else None
    if len(raw) - len(raw.translate(None, _CONTROLS)) > len(raw) // 100:
        return None
    if raw.isascii():
        return "utf-8"
    try:
        # A character may be cut at the end of the head.
        codecs.getincrementaldecoder("utf-8")().decode(raw)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def iter_text_blocks(
    path: Path,
    encoding: str,
    compression: Compression | None,
    block_bytes: int,
    expansion: Expansion | None = None,
) -> Iterator[bytes]:
    """The file's lines as UTF-8, in blocks of whole lines.

    Line ends of any kind become LF and blank lines are left out; the last line gets a line end. A
    block of a ``utf-8`` file that is not valid UTF-8 is read as cp1252.

    Args:
        path: The file.
        encoding: Python's name of its encoding.
        compression: How it is compressed; None for not at all.
        block_bytes: Bytes to read at once; a block is up to one line longer.
        expansion: Counts what compressed files of one archive become together.

    Raises:
        CorruptFile: The file cannot be read, is cut short or damaged, expands beyond the limits for
            archives, has a line that no table has, or is not of that encoding.
    """
    try:
        with path.open("rb") as file:
            content = Decompressed(file, compression, path.name, expansion) if compression else file
            yield from _blocks(content, path, encoding, block_bytes)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def _unreadable(path: Path, why: str | None) -> CorruptFile:
    return CorruptFile(
        "the file cannot be read to its end",
        where=str(path),
        why=why,
        next_step="fetch and extract the archive again",
    )


def _blocks(content: BinaryIO | Decompressed, path: Path, encoding: str, block_bytes: int) -> Iterator[bytes]:
    single_byte = encoding in ("utf-8", "utf-8-sig", "cp1252", "latin-1")
    decoder = None if single_byte else codecs.getincrementaldecoder(encoding)()
    rest = b""
    first = True
    while True:
        try:
            raw = content.read(block_bytes)
            chunk = decoder.decode(raw, final=not raw).encode() if decoder else raw
        except (CorruptFile, UnsafeArchive) as error:
            raise _unreadable(path, error.why) from error
        except UnicodeDecodeError as error:
            raise _unreadable(path, str(error)) from error
        if first:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
            first = False
        if not raw:
            if tail := _clean(rest + chunk + b"\n", encoding).rstrip(b"\x1a"):
                yield tail
            return
        block = rest + chunk if rest else chunk
        end = block.rfind(b"\n") + 1
        if not end:
            # Old Macintosh line ends; the last one may be the first half of a CRLF.
            end = block[:-1].rfind(b"\r") + 1
        rest = block[end:]
        if len(rest) > max(_LONGEST_LINE_BYTES, 2 * block_bytes):
            raise _unreadable(path, f"it has a line of more than {len(rest):,} bytes, which is no row")
        if end and (clean := _clean(block[:end], encoding)):
            yield clean


def _clean(block: bytes, encoding: str) -> bytes:
    if encoding in ("cp1252", "latin-1") and not block.isascii():
        block = _from_single_byte(block)
    elif encoding in ("utf-8", "utf-8-sig") and not block.isascii():
        try:
            block.decode("utf-8")
        except UnicodeDecodeError:
            block = _from_single_byte(block)
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if block[:1] in b"\n \t" or _PERHAPS_BLANK.search(block):
        block = _BLANK_LINES.sub(b"", block)
    return b"" if block.strip() in (b"", b"\x1a") else block


def _from_single_byte(block: bytes) -> bytes:
    try:
        return block.decode("cp1252").encode()
    except UnicodeDecodeError:
        # A few codes have no character in cp1252; latin-1 has one for each.
        return block.decode("latin-1").encode()

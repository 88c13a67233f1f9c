"""Files of unknown encoding and compression to UTF-8 lines, streamed.

Here: bytes on disk to blocks of whole lines. Not here: what the lines mean (`layout_discovery`).
`line_blocks` does the same for the vendor's flat files, whose encoding and layout are known.
"""

from __future__ import annotations

import codecs
import dataclasses
import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, cast

from isal import igzip, isal_zlib

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.layouts.layout import NotUnderstood

HEAD_BYTES = 16 * 1024
_GZIP = b"\x1f\x8b"
# isal's stub declares its exception class as an instance.
_DAMAGE = (gzip.BadGzipFile, cast("type[Exception]", isal_zlib.error))
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = {
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"PAR1": "a Parquet file",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"BZh": "a bzip2 file",
    b"SQLite format 3": "a database",
}
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
        compression: ``"gzip"`` or None, by content.
        is_whole: Whether these are all of the file's lines.
    """

    lines: tuple[str, ...]
    encoding: str
    compression: Literal["gzip"] | None
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
            compression: Literal["gzip"] | None = "gzip" if raw.startswith(_GZIP) else None
            if compression:
                file.seek(0)
                raw = _unzipped(cast("BinaryIO", file)).read(head_bytes)
    except (EOFError, *_DAMAGE) as error:
        return NotUnderstood(f"the gzip is damaged: {error}")
    is_whole = len(raw) < head_bytes
    if not raw.strip():
        return NotUnderstood("the file is empty", is_table=False)
    for magic, kind in _MAGIC.items():
        if raw.startswith(magic):
            return NotUnderstood(f"it is {kind}, not text", is_table=False)
    encoding = encoding or _encoding_of(raw)
    if encoding is None:
        return NotUnderstood("it is binary, not text", is_table=False)
    text = raw.decode(encoding, "ignore").replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a")
    lines = text.split("\n")
    if not is_whole:
        lines.pop()
    lines = [line for line in lines if line.strip()]
    if not lines:
        return NotUnderstood("the file holds no lines", is_table=False)
    return Head(tuple(lines), encoding, compression, is_whole)


def _unzipped(file: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", igzip.open(file, "rb"))  # type: ignore[no-untyped-call]


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


def iter_text_blocks(path: Path, encoding: str, compression: str | None, block_bytes: int) -> Iterator[bytes]:
    """The file's lines as UTF-8, in blocks of whole lines.

    Line ends of any kind become LF and blank lines are left out; the last line gets a line end. A
    block of a ``utf-8`` file that is not valid UTF-8 is read as cp1252.

    Args:
        path: The file.
        encoding: Python's name of its encoding.
        compression: ``"gzip"`` or None.
        block_bytes: Bytes to read at once; a block is up to one line longer.

    Raises:
        CorruptFile: The gzip is cut short or damaged, or the text is not of that encoding.
    """
    with path.open("rb") as file:
        content = _unzipped(file) if compression else file
        yield from _blocks(content, path, encoding, block_bytes)


def _blocks(content: BinaryIO, path: Path, encoding: str, block_bytes: int) -> Iterator[bytes]:
    single_byte = encoding in ("utf-8", "utf-8-sig", "cp1252", "latin-1")
    decoder = None if single_byte else codecs.getincrementaldecoder(encoding)()
    rest = b""
    first = True
    while True:
        try:
            raw = content.read(block_bytes)
            chunk = decoder.decode(raw, final=not raw).encode() if decoder else raw
        except (EOFError, UnicodeDecodeError, *_DAMAGE) as error:
            raise CorruptFile(
                "the file cannot be read to its end",
                where=str(path),
                why=str(error),
                next_step="fetch and extract the archive again",
            ) from error
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

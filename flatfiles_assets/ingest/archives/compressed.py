"""Compressed files as streams, stopped where they expand beyond what an archive may.

Here: which compression a file has, by its first bytes, and its contents. Not here: what the contents
are (`tables`), and ZIPs (`extraction`).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from typing import BinaryIO, Literal, Protocol, cast

import pyarrow as pa
from isal import igzip, isal_zlib

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.archives.zip_directory import ArchiveLimits, Expansion

Compression = Literal["gzip", "bzip2", "xz", "zstd", "lz4"]

# bzip2 and the others begin with letters that a text could begin with, so the whole mark is asked for.
_MARKS: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
)
_BZIP2_MARKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
_FIRST_BYTES = (b"B", *(mark[:1] for mark, _ in _MARKS))
# isal's stub declares its exception class as an instance.
_DAMAGE = (
    gzip.BadGzipFile,
    cast("type[Exception]", isal_zlib.error),
    lzma.LZMAError,
    EOFError,
    pa.ArrowInvalid,
)


def compression_of(beginning: bytes) -> Compression | None:
    """The compression of a file that begins so; None for none that is read here."""
    if beginning[:1] not in _FIRST_BYTES:
        return None
    if beginning.startswith(b"BZh") and beginning[4:10] in _BZIP2_MARKS:
        return "bzip2"
    return next((kind for mark, kind in _MARKS if beginning.startswith(mark)), None)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Decompressed:
    """The contents of a compressed file, counted as they are read.

    Args:
        file: The open file, at its beginning.
        compression: From `compression_of`.
        where: The file, for messages.
        expansion: Counts them together with other members of one archive; by default the file is
            taken for an archive of its own.
    """

    def __init__(
        self, file: BinaryIO, compression: Compression, where: str, expansion: Expansion | None = None
    ) -> None:
        self._packed_bytes = os.fstat(file.fileno()).st_size
        self._expansion = expansion or Expansion(ArchiveLimits(), self._packed_bytes, where)
        self._content = _open(file, compression)
        self._compression = compression
        self._where = where
        self._read_bytes = 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most so many; none at the end.

        Raises:
            CorruptFile: The file is cut short or damaged.
            UnsafeArchive: It expands too far.
        """
        try:
            chunk = self._content.read(size)
        except (OSError, *_DAMAGE) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's, not the stream's
            raise CorruptFile(
                f"the {self._compression} is damaged",
                where=self._where,
                why=str(error) or type(error).__name__,
                next_step="fetch it again",
            ) from error
        self._read_bytes += len(chunk)
        self._expansion.total_bytes += len(chunk)
        self._expansion.check(self._read_bytes, self._packed_bytes, self._expansion.total_bytes, self._where)
        return chunk


def _open(file: BinaryIO, compression: Compression) -> _Readable:
    if compression == "gzip":
        return cast("_Readable", igzip.open(file, "rb"))  # type: ignore[no-untyped-call]
    if compression == "bzip2":
        return bz2.BZ2File(file)
    if compression == "xz":
        return lzma.LZMAFile(file)
    return cast("_Readable", pa.CompressedInputStream(pa.PythonFile(file, "r"), compression))

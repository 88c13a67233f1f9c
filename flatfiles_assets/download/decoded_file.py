"""A verified compressed file that has no name yet → the decompressed file under that name."""

from __future__ import annotations

from pathlib import Path

from flatfiles_assets.download.atomic_files import TemporaryFile
from flatfiles_assets.download.descriptors import read_at
from flatfiles_assets.download.gzip_stream import BrokenGzip, GzipDecoder, is_gzip
from flatfiles_assets.download.partial_file import PartialFile
from flatfiles_assets.errors import CorruptFile

_READ_BYTES = 1024 * 1024


def not_unpacked(error: BrokenGzip, where: str) -> CorruptFile:
    """The error for gzip that is not decompressed."""
    return CorruptFile(
        "the file is not decompressed",
        where=where,
        why=str(error),
        next_step="download it with decompress=False and look into it",
    )


def commit_decoded(source: TemporaryFile | PartialFile, path: Path) -> None:
    """Commit what a file decompresses to instead of it, or the file itself where it is not gzip.

    Args:
        source: The compressed file, whose final path is `path`; discarded.
        path: Where the decompressed file appears, whole or not at all.

    Raises:
        CorruptFile: It is truncated or damaged, or grows beyond all measure.
    """
    chunk = read_at(source.descriptor, _READ_BYTES, 0)
    if not is_gzip(chunk):
        source.commit()
        return
    file = TemporaryFile(path)
    try:
        decoder = GzipDecoder(bounded=True)
        position = 0
        while chunk:
            for piece in decoder.decode(chunk):
                file.write(piece)
            position += len(chunk)
            chunk = read_at(source.descriptor, _READ_BYTES, position)
        decoder.finish()
        file.commit()
    except BrokenGzip as error:
        raise not_unpacked(error, str(path)) from None
    finally:
        file.discard()
        source.discard()

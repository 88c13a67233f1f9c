"""A verified compressed file that has no name yet → the decompressed file under that name."""

from __future__ import annotations

from pathlib import Path

from flatfiles_assets.download.atomic_files import TemporaryFile
from flatfiles_assets.download.descriptors import read_at
from flatfiles_assets.download.gzip_stream import GzipDecoder, is_gzip
from flatfiles_assets.download.partial_file import PartialFile

_READ_BYTES = 1024 * 1024


def commit_decoded(source: TemporaryFile | PartialFile, path: Path) -> None:
    """Commit what a file decompresses to instead of it, or the file itself where it is not gzip.

    Args:
        source: The compressed file, whose final path is `path`; discarded.
        path: Where the decompressed file appears, whole or not at all.

    Raises:
        BrokenGzip: It is truncated or damaged.
    """
    chunk = read_at(source.descriptor, _READ_BYTES, 0)
    if not is_gzip(chunk):
        source.commit()
        return
    file = TemporaryFile(path)
    try:
        decoder = GzipDecoder()
        position = 0
        while chunk:
            for piece in decoder.decode(chunk):
                file.write(piece)
            position += len(chunk)
            chunk = read_at(source.descriptor, _READ_BYTES, position)
        decoder.finish()
        file.commit()
    finally:
        file.discard()
        source.discard()

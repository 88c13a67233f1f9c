"""A verified compressed file on disk → the decompressed file beside it."""

from __future__ import annotations

from pathlib import Path

from flatfiles_assets.download.atomic_files import TemporaryFile
from flatfiles_assets.download.gzip_stream import GzipDecoder, is_gzip

_READ_BYTES = 1024 * 1024


def decode_file(source: Path, target: Path) -> None:
    """Decompress, or move where it is not gzip, and remove the source; whole or not at all."""
    with source.open("rb") as compressed:
        chunk = compressed.read(_READ_BYTES)
        if not is_gzip(chunk):
            source.rename(target)
            return
        file = TemporaryFile(target)
        try:
            decoder = GzipDecoder()
            while chunk:
                for piece in decoder.decode(chunk):
                    file.write(piece)
                chunk = compressed.read(_READ_BYTES)
            decoder.finish()
            file.commit()
        except BaseException:
            file.discard()
            raise
        finally:
            source.unlink(missing_ok=True)

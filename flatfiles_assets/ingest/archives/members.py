"""The ordinary member of a yearly ZIP, read in one go.

Here: the contents of a small, plain member that is exactly what the archive says. Thousands of them
cost more in `zipfile`'s streams than in inflating. Not here: every other member, and what is wrong
with it (`archives` streams it).
"""

from __future__ import annotations

import zipfile
import zlib
from typing import BinaryIO

from flatfiles_assets.ingest.archives.zip_directory import CheckedEntry

# What is held in memory at once; larger members are streamed.
_MOST_BYTES = 2**20
_PATCHED_BIT = 0x20


def read_ordinary(file: BinaryIO, entry: CheckedEntry) -> bytes | None:
    """The contents of a member, of which never more is inflated than it declares.

    Args:
        file: The archive.
        entry: The member, as its archive declares it.

    Returns:
        None where the member is large, uses a rarer compression or is not what it declares.
    """
    member = entry.info
    if member.file_size > _MOST_BYTES or member.compress_size > _MOST_BYTES:
        return None
    if member.flag_bits & _PATCHED_BIT:
        return None
    file.seek(entry.data_offset)
    packed = file.read(member.compress_size)
    if member.compress_type == zipfile.ZIP_STORED:
        contents = packed
    elif member.compress_type == zipfile.ZIP_DEFLATED:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # One byte more than declared, for 0 would be no limit at all.
            contents = inflater.decompress(packed, member.file_size + 1)
        except zlib.error:
            return None
        if not inflater.eof:
            return None
    else:
        return None
    is_as_declared = len(contents) == member.file_size and zlib.crc32(contents) == member.CRC
    return contents if is_as_declared else None

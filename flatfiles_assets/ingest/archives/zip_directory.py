"""What a ZIP says of itself, checked before a byte of it is expanded.

Here: the central directory against the local headers, against the limits and against itself. Not
here: names (`archive_names`) and what the members really hold, which only expansion shows
(`archives`).
"""

from __future__ import annotations

import dataclasses
import stat
import struct
import zipfile
from typing import BinaryIO

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.archives.member_names import DEVICE_NAMES_EXIST_HERE, MemberNames, UnsafeArchive

_GIB = 2**30
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED_BITS = 0x1 | 0x40 | 0x2000
_UTF8_BIT = 0x800
_WINDOWS_DEVICE_OR_REPARSE_POINT = 0x40 | 0x400
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@dataclasses.dataclass(frozen=True)
class ArchiveLimits:
    """How much an archive may become; nested archives count together with the one they are in.

    Attributes:
        max_members: Most files and folders.
        max_total_bytes: Largest expanded size of all members.
        max_expansion_ratio: Largest expanded size over compressed size, of a member and of all.
        ratio_free_bytes: Expanded size that no ratio is asked of: very small files compress oddly.
        refuse_device_names: Whether names such as ``CON`` are refused.
    """

    max_members: int = 200_000
    max_total_bytes: int = 64 * _GIB
    max_expansion_ratio: float = 250.0
    ratio_free_bytes: int = 2**20
    refuse_device_names: bool = DEVICE_NAMES_EXIST_HERE


@dataclasses.dataclass(frozen=True)
class CheckedEntry:
    """A member whose local header agrees with the table of contents.

    Attributes:
        info: The member in the table of contents.
        data_offset: Where its data begins in the archive.
    """

    info: zipfile.ZipInfo
    data_offset: int


class Expansion:
    """Counts what an extraction becomes, and stops it at the limits.

    Args:
        limits: The limits.
        archive_bytes: Size of the outermost archive.
        where: The archive, for messages.
    """

    def __init__(self, limits: ArchiveLimits, archive_bytes: int, where: str) -> None:
        self.limits = limits
        self.members = 0
        self.total_bytes = 0
        self._archive_bytes = archive_bytes
        self._where = where

    def add_members(self, count: int) -> None:
        """Count members of an archive or of a nested one."""
        self.members += count
        if self.members > self.limits.max_members:
            raise self._unsafe(
                "the archive has too many members", f"more than {self.limits.max_members:,}", "max_members"
            )

    def check(self, member_bytes: int, compressed_bytes: int, total_bytes: int, name: str) -> None:
        """Compare sizes, declared or true, with the limits.

        Raises:
            UnsafeArchive: One is exceeded.
        """
        if total_bytes > self.limits.max_total_bytes:
            raise self._unsafe(
                "the archive expands too far", f"to more than {self.limits.max_total_bytes:,} bytes",
                "max_total_bytes",
            )  # fmt: skip
        for size, packed, what in (
            (member_bytes, compressed_bytes, f"member {name!r}"),
            (total_bytes, self._archive_bytes, "the whole"),
        ):
            if size > self.limits.ratio_free_bytes and size > packed * self.limits.max_expansion_ratio:
                raise self._unsafe(
                    "the archive expands too far",
                    f"{what} grows from {packed:,} to {size:,} bytes or more, over"
                    f" {self.limits.max_expansion_ratio:g} times",
                    "max_expansion_ratio",
                )

    def _unsafe(self, what: str, why: str, limit: str) -> UnsafeArchive:
        return UnsafeArchive(
            what, where=self._where, why=why, next_step=f"raise {limit} if the archive is trusted"
        )


def read_directory(
    archive: zipfile.ZipFile,
    file: BinaryIO,
    *,
    where: str,
    names: MemberNames,
    name_prefix: str,
    expansion: Expansion,
) -> list[CheckedEntry]:
    """The members of an archive in its order, all found safe as far as the archive's own words go.

    Args:
        archive: The opened archive.
        file: The same file, for its local headers.
        where: The archive, for messages.
        names: Claims the members' names.
        name_prefix: Folder that the members go to, with a slash at its end, or nothing.
        expansion: Counts members, and knows the limits.

    Raises:
        UnsafeArchive: It must not be extracted.
        CorruptFile: It contradicts itself.
    """
    members = archive.infolist()
    expansion.add_members(len(members))
    declared_bytes = expansion.total_bytes
    for member in members:
        _refuse_what_is_no_plain_file(member, where)
        names.claim(name_prefix + member.orig_filename, is_folder=is_folder(member))
        declared_bytes += member.file_size
        expansion.check(member.file_size, member.compress_size, declared_bytes, member.filename)
    data_offsets = _refuse_overlaps(archive, file, members, where)
    return [CheckedEntry(member, data_offsets[member.header_offset]) for member in members]


def is_folder(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a folder, by the name that the archive stores, which may be empty."""
    return member.orig_filename.endswith("/")


def _refuse_what_is_no_plain_file(member: zipfile.ZipInfo, where: str) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    name = member.orig_filename
    if member.flag_bits & _ENCRYPTED_BITS:
        problem = "is encrypted"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "is a symbolic link, a device or another special file"
    elif member.external_attr & _WINDOWS_DEVICE_OR_REPARSE_POINT:
        problem = "is a device or a reparse point"
    elif is_folder(member) and member.file_size:
        problem = "is a folder with contents of its own"
    elif member.compress_type not in _METHODS:
        problem = f"uses compression method {member.compress_type}, which is not supported"
    else:
        return
    raise UnsafeArchive(
        "a member is no plain file",
        where=where,
        why=f"{name!r} {problem}",
        next_step="pack the archive again with plain files only",
    )


def _refuse_overlaps(
    archive: zipfile.ZipFile, file: BinaryIO, members: list[zipfile.ZipInfo], where: str
) -> dict[int, int]:
    """Where data begins, by the local header's place.

    Members that share bytes are how a small archive expands to petabytes within any ratio.
    """
    data_offsets: dict[int, int] = {}
    end_of_previous = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end_of_previous:
            raise UnsafeArchive(
                "members of the archive overlap",
                where=where,
                why=f"{member.filename!r} begins within the member before it",
                next_step="do not trust whoever made it",
            )
        data_offset = data_offsets[member.header_offset] = _data_offset(member, file, where)
        end_of_previous = data_offset + member.compress_size
    if end_of_previous > archive.start_dir:
        raise CorruptFile(
            "the archive is damaged or cut",
            where=where,
            why="its last member reaches into the table of contents",
            next_step="fetch it again",
        )
    return data_offsets


def _data_offset(member: zipfile.ZipInfo, file: BinaryIO, where: str) -> int:
    """Where a member's data begins, from its local header, which must agree with the directory."""
    file.seek(max(member.header_offset, 0))
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise _contradiction(member, where, "has no header where the table of contents says")
    _, _, flags, method, *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    name = file.read(name_length)
    expected = member.orig_filename.encode("utf-8" if member.flag_bits & _UTF8_BIT else "cp437")
    if name != expected:
        raise _contradiction(member, where, f"is called {name!r} in its own header")
    if method != member.compress_type or flags & _ENCRYPTED_BITS:
        raise _contradiction(member, where, "is packed in another way according to its own header")
    data_offset: int = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    return data_offset


def _contradiction(member: zipfile.ZipInfo, where: str, why: str) -> UnsafeArchive:
    return UnsafeArchive(
        "the archive contradicts itself",
        where=where,
        why=f"{member.orig_filename!r} {why}",
        next_step="fetch it again; if it stays so, do not trust whoever made it",
    )

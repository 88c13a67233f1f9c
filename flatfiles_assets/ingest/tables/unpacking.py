"""Containers to the plain files in them: archives, spreadsheets, JSON documents, compressed binaries.

Here: what a file contains, by its first bytes, and bringing it into a folder for the time of a read,
within the limits that hold for archives. Text, JSON lines, Parquet and Arrow files are plain: they stay
where they are, compressed text too. Not here: how a plain file becomes rows (`table_files`).

One container that cannot be opened is refused by itself; the others are opened all the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.archives.compressed import Decompressed, compression_of
from flatfiles_assets.ingest.archives.extraction import MANIFEST_NAME, ExtractionFailed, extract_archive
from flatfiles_assets.ingest.archives.member_names import MemberNames, UnsafeArchive
from flatfiles_assets.ingest.archives.zip_directory import ArchiveLimits, Expansion
from flatfiles_assets.ingest.layouts.file_kinds import kind_of_binary
from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.tables import json_documents, spreadsheets

_BEGINNING_BYTES = 1024
_CHUNK_BYTES = 2**20
_MOST_NESTED = 2
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OLE = b"\xd0\xcf\x11\xe0"
_PLAIN_BINARIES = (b"PAR1", b"ARROW1")
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclasses.dataclass(frozen=True)
class Member:
    """A plain file of a container, or a file that is none.

    Attributes:
        path: Where it lies.
        name: What it is called: the file's name, and below it the path within the container.
    """

    path: Path
    name: str


@dataclasses.dataclass(frozen=True)
class RefusedMember:
    """A container, or one in it, that could not be opened.

    Attributes:
        name: As a member's.
        reason: What it is, and why it was not opened.
    """

    name: str
    reason: NotUnderstood


class Unpacker:
    """Opens containers into one folder.

    Args:
        folder: Takes what is in them; made when it is needed.
        limits: How much one container may become, as for ZIPs.
        expansion: Counts everything that is opened as parts of one archive; by default each file is
            one of its own.
    """

    def __init__(
        self, folder: Path, limits: ArchiveLimits | None = None, expansion: Expansion | None = None
    ) -> None:
        self._folder = folder
        self._limits = limits or ArchiveLimits()
        self._expansion = expansion
        self._opened = 0

    def open(self, path: Path, name: str) -> list[Member | RefusedMember]:
        """The plain files of a file, in its order; the file itself where it is plain."""
        try:
            size_bytes = path.stat().st_size
            expansion = self._expansion or Expansion(self._limits, size_bytes, name)
            return list(self._open(Member(path, name), expansion, depth=0))
        except (CorruptFile, UnsafeArchive, ExtractionFailed) as error:
            return [RefusedMember(name, NotUnderstood(f"{error.what}: {error.why}"))]
        except OSError as error:
            why = error.strerror or str(error)
            return [RefusedMember(name, NotUnderstood(f"the file cannot be read: {why}"))]
        except _DAMAGE as error:
            return [RefusedMember(name, NotUnderstood(f"the archive is damaged: {error}"))]

    def _open(self, file: Member, expansion: Expansion, depth: int) -> Iterator[Member | RefusedMember]:
        with file.path.open("rb") as raw:
            beginning = raw.read(_BEGINNING_BYTES)
            compression = compression_of(beginning)
            if compression:
                raw.seek(0)
                # The first look counts for nothing: the contents are counted when they are read.
                beginning = Decompressed(raw, compression, file.name).read(_BEGINNING_BYTES)
            if _is_tar(beginning):
                raw.seek(0)
                content = Decompressed(raw, compression, file.name, expansion) if compression else raw
                yield from self._open_tar(content, file, expansion, depth)
                return
            if compression:
                if _is_container(beginning) or kind_of_binary(beginning):
                    raw.seek(0)
                    plain = self._write(Decompressed(raw, compression, file.name, expansion))
                    yield from self._open(Member(plain, file.name), expansion, depth)
                else:
                    yield file
                return
        if beginning.startswith(_ZIP):
            yield from self._open_zip(file, expansion, depth)
        elif beginning.startswith(_OLE):
            yield from self._open_workbook(file)
        elif json_documents.is_document(file.path, beginning):
            yield from self._open_json(file)
        else:
            yield file

    def _open_zip(self, file: Member, expansion: Expansion, depth: int) -> Iterator[Member | RefusedMember]:
        with zipfile.ZipFile(file.path) as archive:
            names = archive.namelist()
            if spreadsheets.is_workbook(archive):
                spreadsheets.check_expansion(archive, expansion, file.name)
        if spreadsheets.are_names_of_workbook(names):
            yield from self._open_workbook(file)
            return
        if "word/document.xml" in names or "ppt/presentation.xml" in names:
            yield RefusedMember(file.name, NotUnderstood("it is an Office document, not a table", False))
            return
        self._check_depth(file, depth)
        left = max(0, self._limits.max_total_bytes - expansion.total_bytes)
        folder = self._next_place()
        manifest = extract_archive(
            file.path, folder, limits=dataclasses.replace(self._limits, max_total_bytes=left)
        )
        (folder / MANIFEST_NAME).unlink()
        expansion.total_bytes += manifest.size_bytes
        expansion.add_members(len(manifest.members))
        for member in manifest.members:
            inner = Member(folder / member.path, f"{file.name}/{member.path}")
            yield from self._open_inner(inner, expansion, depth)

    def _open_tar(
        self, content: BinaryIO | Decompressed, file: Member, expansion: Expansion, depth: int
    ) -> Iterator[Member | RefusedMember]:
        self._check_depth(file, depth)
        names = MemberNames(file.name, refuse_device_names=self._limits.refuse_device_names)
        folder = self._next_place()
        found: list[Member] = []
        with tarfile.open(fileobj=cast("IO[bytes]", content), mode="r|") as archive:
            for entry in archive:
                expansion.add_members(1)
                if entry.isdir():
                    continue
                if not entry.isreg() or entry.issparse():
                    raise UnsafeArchive(
                        "a member is no plain file",
                        where=file.name,
                        why=f"{entry.name!r} is a link, a device or another special file",
                        next_step="pack the archive again with plain files only",
                    )
                inside = entry.name.removeprefix("./")
                names.claim(inside, is_folder=False)
                target = folder / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(entry)
                with target.open("xb") as destination:
                    while source and (chunk := source.read(_CHUNK_BYTES)):
                        destination.write(chunk)
                found.append(Member(target, f"{file.name}/{inside}"))
        for member in found:
            yield from self._open_inner(member, expansion, depth)

    def _open_inner(
        self, member: Member, expansion: Expansion, depth: int
    ) -> Iterator[Member | RefusedMember]:
        try:
            yield from self._open(member, expansion, depth + 1)
        except (CorruptFile, UnsafeArchive) as error:
            yield RefusedMember(member.name, NotUnderstood(f"{error.what}: {error.why}"))
        except _DAMAGE as error:
            yield RefusedMember(member.name, NotUnderstood(f"the archive is damaged: {error}"))

    def _open_workbook(self, file: Member) -> Iterator[Member | RefusedMember]:
        folder = self._next_place()
        sheets = spreadsheets.write_sheets(file.path, folder)
        if isinstance(sheets, NotUnderstood):
            yield RefusedMember(file.name, sheets)
            return
        for sheet, path in sheets.items():
            yield Member(path, file.name if len(sheets) == 1 else f"{file.name}/{sheet}")

    def _open_json(self, file: Member) -> Iterator[Member | RefusedMember]:
        folder = self._next_place()
        tables = json_documents.write_tables(file.path, folder)
        if isinstance(tables, NotUnderstood):
            yield RefusedMember(file.name, tables)
            return
        for part, path in tables.items():
            yield Member(path, file.name if len(tables) == 1 else f"{file.name}/{part}")

    def _write(self, content: Decompressed) -> Path:
        path = self._next_place() / "contents"
        with path.open("xb") as destination:
            while chunk := content.read(_CHUNK_BYTES):
                destination.write(chunk)
        return path

    def _next_place(self) -> Path:
        self._opened += 1
        folder = self._folder / str(self._opened)
        folder.mkdir(parents=True)
        return folder

    def _check_depth(self, file: Member, depth: int) -> None:
        if depth >= _MOST_NESTED:
            raise UnsafeArchive(
                "archives are nested too deeply",
                where=file.name,
                why="an archive within an archive may not hold a third",
                next_step="unpack it by hand if it is trusted",
            )


def _is_tar(beginning: bytes) -> bool:
    if len(beginning) < 512:
        return False
    with contextlib.suppress(tarfile.HeaderError):
        # Its checksum tells a header from a text.
        tarfile.TarInfo.frombuf(beginning[:512], "utf-8", "surrogateescape")
        return True
    return False


def _is_container(beginning: bytes) -> bool:
    return beginning.startswith((*_ZIP, _OLE, *_PLAIN_BINARIES)) or json_documents.begins_like_one(beginning)

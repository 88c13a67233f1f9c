"""ZIP archives to folders: safely, whole or not at all.

Here: `extract_archive`, the manifest of what was extracted, and its verification. What is refused is
decided in `archive_directory` and `archive_names`; how a folder is put in place in `folder_swap`.
Not here: what the files mean (`historical`).

Everything is expanded into a hidden folder beside the target first. A power cut, unlike a killed
process, may leave files that the disk had not stored yet; `verify_extracted` finds them.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import hashlib
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from flatfiles_assets.errors import CorruptFile, FlatFilesError
from flatfiles_assets.ingest.archives.folder_swap import replace_folder, restore, working_folder
from flatfiles_assets.ingest.archives.member_names import MANIFEST_NAME, MemberNames, UnsafeArchive
from flatfiles_assets.ingest.archives.members import read_ordinary
from flatfiles_assets.ingest.archives.zip_directory import ArchiveLimits, Expansion, is_folder, read_directory
from flatfiles_assets.whole_files import sha256_of

__all__ = [
    "MANIFEST_NAME",
    "ArchiveLimits",
    "ArchiveManifest",
    "CheckedMember",
    "ExtractedMember",
    "ExtractionFailed",
    "UnsafeArchive",
    "extract_archive",
    "is_extraction_of",
    "read_manifest",
    "verify_extracted",
]

_CHUNK_BYTES = 2**20
_ENDLESS = 2**62
_BROKEN_ZIP = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, NotImplementedError,
    RuntimeError, ValueError, OverflowError,
)  # fmt: skip

MemberStatus = Literal["ok", "missing", "changed"]


class ExtractionFailed(FlatFilesError):
    """The local disk refused the extracted files: full, read-only, or something is in their place."""


@dataclasses.dataclass(frozen=True)
class ExtractedMember:
    """One extracted file.

    Attributes:
        path: Below the target folder, slashes between its parts. Members of a nested archive
            ``a.zip`` are below ``a/``.
        size_bytes: Length.
        sha256: Hexadecimal SHA-256.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class ArchiveManifest:
    """What an archive was extracted to; kept as `MANIFEST_NAME` in the target folder.

    Attributes:
        archive: The archive's file name.
        archive_size_bytes: Its length.
        archive_sha256: Its hexadecimal SHA-256.
        extracted_at: When, UTC.
        members: The files, in the archive's order.
    """

    archive: str
    archive_size_bytes: int
    archive_sha256: str
    extracted_at: dt.datetime
    members: tuple[ExtractedMember, ...]

    @property
    def size_bytes(self) -> int:
        """Length of all members together."""
        return sum(member.size_bytes for member in self.members)


@dataclasses.dataclass(frozen=True)
class CheckedMember:
    """One extracted file, compared with the manifest.

    Attributes:
        path: As in the manifest.
        status: ``ok``, ``missing`` or ``changed``.
        detail: What was expected and what was found; empty when ok.
    """

    path: str
    status: MemberStatus
    detail: str = ""


def extract_archive(
    archive_path: Path,
    target: Path,
    *,
    limits: ArchiveLimits | None = None,
    expected_sha256: str | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> ArchiveManifest:
    """Extract a ZIP into a folder, replacing what the folder holds; all of it or nothing.

    Args:
        archive_path: The ZIP.
        target: The folder; made, or replaced in one step when everything is extracted.
        limits: How much the archive may become.
        expected_sha256: Hexadecimal SHA-256 that the archive must have, where it is known.
        on_bytes: Called with the number of expanded bytes as they are written.

    Returns:
        What was extracted.

    Raises:
        UnsafeArchive: The archive must not be extracted; the target is as it was.
        CorruptFile: It is cut, damaged or no ZIP; the target is as it was.
        ExtractionFailed: The local disk refused the files; the target is as it was.
    """
    where = str(archive_path)
    limits = limits or ArchiveLimits()
    try:
        with working_folder(target) as folder, archive_path.open("rb") as file:
            sha256, size_bytes = _hash(file)
            if expected_sha256 not in (None, sha256):
                raise CorruptFile(
                    "the archive is not the one that was downloaded",
                    where=where,
                    why=f"SHA-256 {expected_sha256} is expected and {sha256} is found",
                    next_step="fetch it again",
                )
            extraction = _Extraction(folder, where, limits, size_bytes, on_bytes or (lambda _: None))
            extraction.expand(file, where, name_prefix="", is_nested=False)
            manifest = ArchiveManifest(
                archive=archive_path.name,
                archive_size_bytes=size_bytes,
                archive_sha256=sha256,
                extracted_at=dt.datetime.now(dt.timezone.utc),
                members=tuple(extraction.members),
            )
            (folder / MANIFEST_NAME).write_text(_to_json(manifest), encoding="utf-8")
            replace_folder(folder, target)
    except OSError as error:
        raise ExtractionFailed(
            "the archive could not be extracted",
            where=where,
            why=f"{error.filename or target}: {error.strerror or type(error).__name__}",
            next_step="check the file, free space and permissions of the data directory",
        ) from error
    return manifest


def read_manifest(target: Path) -> ArchiveManifest | None:
    """What a folder was extracted from; None where it is no extraction of ours."""
    restore(target)
    try:
        values = json.loads((target / MANIFEST_NAME).read_text(encoding="utf-8"))
        return ArchiveManifest(
            archive=values["archive"],
            archive_size_bytes=values["archive_size_bytes"],
            archive_sha256=values["archive_sha256"],
            extracted_at=dt.datetime.fromisoformat(values["extracted_at"]),
            members=tuple(ExtractedMember(**member) for member in values["members"]),
        )
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def is_extraction_of(target: Path, archive_sha256: str) -> bool:
    """Whether a folder holds that archive's members, judged by their sizes without reading them."""
    manifest = read_manifest(target)
    return (
        manifest is not None
        and manifest.archive_sha256 == archive_sha256
        and all(_size_of(target / member.path) == member.size_bytes for member in manifest.members)
    )


def verify_extracted(target: Path) -> Iterator[CheckedMember]:
    """Recompute the hash of every file of an extraction; nothing is yielded where there is none."""
    manifest = read_manifest(target)
    for member in manifest.members if manifest else ():
        try:
            with (target / member.path).open("rb") as file:
                sha256, size_bytes = _hash(file)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            yield CheckedMember(member.path, "missing", "the file is not on disk")
            continue
        if sha256 == member.sha256:
            yield CheckedMember(member.path, "ok")
        else:
            yield CheckedMember(
                member.path,
                "changed",
                f"SHA-256 {member.sha256} and {member.size_bytes} bytes are expected,"
                f" SHA-256 {sha256} and {size_bytes} bytes are found",
            )


class _Extraction:
    """One archive and the archives in it, on their way into one folder."""

    def __init__(
        self,
        folder: Path,
        where: str,
        limits: ArchiveLimits,
        size_bytes: int,
        on_bytes: Callable[[int], None],
    ) -> None:
        self.members: list[ExtractedMember] = []
        self._folder = folder
        self._made_folders = {""}
        self._names = MemberNames(where, refuse_device_names=limits.refuse_device_names)
        self._expansion = Expansion(limits, size_bytes, where)
        self._on_bytes = on_bytes

    def expand(self, file: BinaryIO, where: str, *, name_prefix: str, is_nested: bool) -> None:
        """Check an archive's table of contents, then write its members below a prefix."""
        with _damage_reported(where), zipfile.ZipFile(file) as archive:
            entries = read_directory(
                archive,
                file,
                where=where,
                names=self._names,
                name_prefix=name_prefix,
                expansion=self._expansion,
            )
            for entry in entries:
                path = name_prefix + entry.info.orig_filename
                if is_folder(entry.info):
                    self._make_folder(path.rstrip("/"))
                    continue
                self._make_folder(path.rpartition("/")[0])
                contents = read_ordinary(file, entry)
                chunks = _streamed(archive, entry.info) if contents is None else iter((contents,))
                extracted = self._write(chunks, entry.info, path, where)
                if path.lower().endswith(".zip"):
                    self._expand_nested(path, where, is_nested=is_nested)
                else:
                    self.members.append(extracted)

    def _expand_nested(self, path: str, where: str, *, is_nested: bool) -> None:
        where = f"{where} > {path}"
        if is_nested:
            raise UnsafeArchive(
                "archives are nested too deeply",
                where=where,
                why="an archive within an archive may not hold a third",
                next_step="unpack it by hand if it is trusted",
            )
        nested = self._folder / path
        folder = path[: -len(".zip")]
        self._names.claim(folder, is_folder=True)
        with nested.open("rb") as file:
            self.expand(file, where, name_prefix=f"{folder}/", is_nested=True)
        nested.unlink()

    def _make_folder(self, path: str) -> None:
        if path not in self._made_folders:
            (self._folder / path).mkdir(parents=True, exist_ok=True)
            self._made_folders.add(path)

    def _write(
        self, chunks: Iterator[bytes], member: zipfile.ZipInfo, path: str, where: str
    ) -> ExtractedMember:
        digest, size_bytes = hashlib.sha256(), 0
        with open(f"{self._folder}/{path}", "xb") as destination:  # noqa: PTH123  # a path each costs more
            for chunk in chunks:
                size_bytes += len(chunk)
                self._expansion.total_bytes += len(chunk)
                self._expansion.check(size_bytes, member.compress_size, self._expansion.total_bytes, path)
                digest.update(chunk)
                destination.write(chunk)
                self._on_bytes(len(chunk))
        if size_bytes != member.file_size:
            raise CorruptFile(
                "the archive is damaged",
                where=where,
                why=f"{path!r} has {size_bytes:,} bytes where {member.file_size:,} are declared",
                next_step="fetch it again",
            )
        return ExtractedMember(path, size_bytes, digest.hexdigest())


def _streamed(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member's contents up to the end of its stream, whatever size it declares."""
    # At the declared size `zipfile` would stop.
    unbounded = copy.copy(member)
    unbounded.file_size = _ENDLESS
    with archive.open(unbounded) as source:
        while chunk := source.read(_CHUNK_BYTES):
            yield chunk


class _damage_reported:  # noqa: N801  # reads as a statement
    """What `zipfile` raises for a broken archive, as `CorruptFile`; our own errors pass."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # bz2 reports damage as an OSError without a number; one of the disk has one.
        is_damage = isinstance(error, _BROKEN_ZIP) or (isinstance(error, OSError) and error.errno is None)
        if is_damage and not isinstance(error, FlatFilesError):
            raise CorruptFile(
                "the archive is damaged, cut or no ZIP",
                where=self._where,
                why=str(error) or type(error).__name__,
                next_step="fetch it again",
            ) from error


def _hash(file: BinaryIO) -> tuple[str, int]:
    """Hexadecimal SHA-256 and length of an open file, which is rewound."""
    found = sha256_of(file)
    file.seek(0)
    return found


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _to_json(manifest: ArchiveManifest) -> str:
    # The dataclasses' own dicts: `asdict` and an indent take longer than a member's writing.
    values = vars(manifest) | {
        "extracted_at": manifest.extracted_at.isoformat(),
        "members": [vars(member) for member in manifest.members],
    }
    return json.dumps(values) + "\n"

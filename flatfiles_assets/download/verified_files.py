"""Bytes that arrived → a verified file: hashing, checking and writing, all blocking.

Not here: requests, and which of this runs in threads (`transfer.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flatfiles_assets.download.answers import StoreOwner
from flatfiles_assets.download.atomic_files import TemporaryFile
from flatfiles_assets.download.errors import CorruptFile, DamagedTransfer, StorageFailed
from flatfiles_assets.download.gzip_stream import BrokenGzip, decompress, is_gzip
from flatfiles_assets.download.integrity import (
    Digest,
    Digester,
    digest_bytes,
    digest_descriptor,
    is_gzip_name,
)
from flatfiles_assets.download.listing import RemoteObject
from flatfiles_assets.download.partial_file import PartialFile

if TYPE_CHECKING:
    from typing_extensions import Buffer


@dataclasses.dataclass(frozen=True)
class ArrivedFile:
    """A verified file that has no name yet: its `commit` gives it one, its `discard` removes it.

    Attributes:
        remote: The object it is a copy of.
        sha256: Hexadecimal SHA-256 of its bytes.
        file: Where its bytes are.
    """

    remote: RemoteObject
    sha256: str
    file: TemporaryFile | PartialFile


class SuspectGzip(DamagedTransfer):
    """What a ``.gz`` object holds is no gzip, and whether in the bucket or on the way is not known yet."""


class GzipJudge:
    """Judges what one object's ``.gz`` promises, over all attempts at it.

    What two transfers agree on is in the bucket.

    Args:
        key: The object's key.
        as_is: Whether broken gzip will do, if that is surely what the bucket holds.
        allow_empty: Whether no bytes at all will do.
        owner: Who can replace the object; the vendor where that is not known.

    Attributes:
        check_gzip: Whether the key's name promises gzip, so that bytes have to be checked for it.
    """

    def __init__(self, key: str, *, as_is: bool, allow_empty: bool, owner: StoreOwner | None = None) -> None:
        self.check_gzip = is_gzip_name(key)
        self._as_is = as_is
        self._allow_empty = allow_empty
        self._owner = owner
        self._suspects: set[str] = set()

    def judge(self, digest: Digest, *, etag: str | None, proven: bool, where: str) -> None:
        """Raise unless the bytes are whole gzip, or surely what the bucket holds and acceptable as such.

        Args:
            digest: The bytes that arrived, with their verdict; without one nothing is judged.
            etag: The object's ETag, without which nobody vouches for what is not gzip.
            proven: Whether the ETag is the MD5 of these bytes.
            where: The object.

        Raises:
            CorruptFile: The object is broken.
            SuspectGzip: It may be; another transfer will tell.
        """
        if digest.gzip in (None, "intact") or (digest.gzip == "empty" and self._allow_empty):
            return
        settled = proven or digest.sha256 in self._suspects
        if settled and etag and (self._as_is or digest.gzip == "plain"):
            return
        broken = {
            "what": "the file is not complete gzip",
            "where": where,
            "why": digest.gzip_detail,
            "next_step": "replace it in the bucket, then run again"
            if self._owner == "user"
            else "wait for the vendor to replace it, then run again",
        }
        if settled:
            raise CorruptFile(**broken)
        self._suspects.add(digest.sha256)
        raise SuspectGzip(**broken)


@contextlib.contextmanager
def gzip_blamed_on_the_bucket() -> Iterator[None]:
    """A gzip that stayed broken in every attempt is the object's fault."""
    try:
        yield
    except SuspectGzip as error:
        raise CorruptFile(error.what, where=error.where, why=error.why, next_step=error.next_step) from None


@contextlib.contextmanager
def storage(path: Path) -> Iterator[None]:
    """Report a failure of the local disk as `StorageFailed`."""
    try:
        yield
    except OSError as error:
        raise storage_failed(error, path) from error


def storage_failed(error: OSError, path: Path | None = None) -> StorageFailed:
    """The typed error for a failure of the local disk."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        next_step = "allow the process more open files (ulimit -n)"
    elif error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY):
        next_step = (
            "a store may have an object and a folder of one name, a disk may not: rename the object, or "
            "leave it out (FLATFILES_IGNORED_FILES)"
        )
    else:
        next_step = "check free space and permissions of the data directory"
    return StorageFailed(
        "the file could not be written",
        where=str(path or error.filename2 or error.filename or "local disk"),
        why=error.strerror or type(error).__name__,
        next_step=next_step,
    )


def examine_memory(data: Buffer, check_gzip: bool, decode: bool) -> tuple[Digest, Buffer]:
    """Hash and check bytes, and decompress them where that is asked for and they are gzip."""
    if not (decode and is_gzip(data)):
        return digest_bytes(data, check_gzip=check_gzip), data
    digest = digest_bytes(data, check_gzip=False)
    try:
        return digest, decompress(data)
    except BrokenGzip as error:
        return dataclasses.replace(digest, gzip="broken", gzip_detail=str(error)), b""


def take_chunk(file: TemporaryFile, digester: Digester, chunk: Buffer) -> None:
    """Hash and write a chunk of what arrives."""
    digester.update(chunk)
    file.write(memoryview(chunk))


def digest_partial(partial: PartialFile, check_gzip: bool) -> Digest:
    """The digest of a partial file whose parts are all there."""
    return digest_descriptor(partial.descriptor, check_gzip=check_gzip)

"""The local mirror: files under their keys, and beside them the ledger.

Here: where a key's file lies, whether it is still the one that was stored, and what killed runs
left behind. Not here: requests (`transfer.py`) and which files to fetch (`fetch.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Literal

from flatfiles_assets.download.atomic_files import is_reserved_name, remove_orphans
from flatfiles_assets.download.descriptors import BINARY
from flatfiles_assets.download.integrity import Digest, digest_descriptor, is_gzip_name
from flatfiles_assets.download.ledger import Ledger, LedgerEntry
from flatfiles_assets.errors import InvalidArgument

METADATA_FOLDER = "metadata"
# File systems take 255 bytes; names of unfinished files are longer than the file's by 24.
_LONGEST_NAME_BYTES = 220
_LONGEST_SUFFIX_BYTES = 24

Outcome = Literal["downloaded", "replaced", "unchanged"]
FileStatus = Literal["ok", "missing", "changed", "corrupt"]


@dataclasses.dataclass(frozen=True)
class FetchedFile:
    """A whole, verified file in the cache.

    Attributes:
        key: Key in the bucket.
        path: The file.
        etag: ETag of the object, without quotes; None where the store sends none.
        size_bytes: Length.
        sha256: Hexadecimal SHA-256.
        last_modified: Last change of the object in the bucket, UTC.
        fetched_at: When this copy was fetched, UTC.
        attempts: Requests it took; 0 for a file that was there already.
        seconds: Time it took.
        outcome: ``downloaded`` for a new file, ``replaced`` where the vendor had replaced the object
            or the copy was damaged, ``unchanged`` where the copy was current.
    """

    key: str
    path: Path
    etag: str | None
    size_bytes: int
    sha256: str
    last_modified: dt.datetime | None
    fetched_at: dt.datetime
    attempts: int
    seconds: float
    outcome: Outcome

    @classmethod
    def stored(cls, entry: LedgerEntry, path: Path) -> FetchedFile:
        """The copy that is there already, as `FileCache.stored` found it."""
        if entry.size_bytes is None or entry.sha256 is None or entry.fetched_at is None:
            raise InvalidArgument("the entry describes no file", where=entry.key)
        return cls(
            key=entry.key,
            path=path,
            etag=entry.etag,
            size_bytes=entry.size_bytes,
            sha256=entry.sha256,
            last_modified=entry.last_modified,
            fetched_at=entry.fetched_at,
            attempts=0,
            seconds=0.0,
            outcome="unchanged",
        )


@dataclasses.dataclass(frozen=True)
class VerifiedFile:
    """One file, compared with the ledger.

    Attributes:
        key: Key in the cache.
        status: ``ok``; ``missing``; ``changed`` for readable but other bytes; ``corrupt`` for broken gzip.
        detail: What was expected and what was found; empty when ok.
    """

    key: str
    status: FileStatus
    detail: str


def ledger_path(root: Path) -> Path:
    """Where the ledger of a mirror lies."""
    return root / METADATA_FOLDER / "ledger.sqlite"


class FileCache:
    """Files under ``root/<key>``, with their ledger in ``root/metadata/ledger.sqlite``."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.ledger = Ledger(ledger_path(self.root))

    def __enter__(self) -> FileCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ledger.close()

    def path(self, key: str) -> Path:
        """Where the file of a key lies, whether it exists or not.

        That is the key itself, but for parts longer than file systems take: those end in a hash.

        Raises:
            InvalidArgument: The key would lie outside of the cache, or among its own files.
        """
        parts = key.split("/")
        if not parts[0] or not parts[-1] or "\0" in key or "\\" in key:
            reason = "a key is a relative path of a file"
        elif not {"", ".", ".."}.isdisjoint(parts):
            reason = "a key has no empty, . or .. parts"
        elif parts[0].lower() == METADATA_FOLDER:
            reason = f"{METADATA_FOLDER}/ is the cache's own folder"
        elif is_reserved_name(parts[-1]):
            reason = "the name is one of an unfinished download"
        else:
            return self.root.joinpath(*map(_storable, parts))
        raise InvalidArgument(
            "the key has no place in the cache", where=key, why=reason, next_step="use another key"
        )

    def stored(self, entry: LedgerEntry) -> Path | None:
        """The good copy that an entry describes; None where the disk does not hold it any more.

        Size and modification time decide; where only the time differs, or a verification found
        damage, the bytes are hashed. Of a copy that was pruned the path is returned though nothing is
        there: it need not be fetched again while the object in the bucket is the same.
        """
        path = self.path(entry.key)
        try:
            status = path.stat()
            if not entry.has_file or status.st_size != entry.size_bytes:
                return None
            if status.st_mtime_ns == entry.mtime_ns and entry.state != "corrupt":
                return path
            if digest_file(path, check_gzip=False).sha256 != entry.sha256:
                return None
        except (FileNotFoundError, NotADirectoryError):
            return path if self._is_pruned(entry) else None
        except OSError:
            # A loop of links, a closed folder, a failing disk: of this file alone there is no good copy.
            return None
        self.ledger.set_mtime(entry.key, status.st_mtime_ns)
        return path

    def _is_pruned(self, entry: LedgerEntry) -> bool:
        return entry.has_file and self.ledger.pruned([entry.key]).get(entry.key) == entry.sha256

    def prepare_folder(self, folder: Path) -> list[Path]:
        """Create a folder of the cache and remove what dead processes left in it.

        Returns:
            The temporary files removed; those of live processes stay.
        """
        folder.mkdir(parents=True, exist_ok=True)
        return remove_orphans(folder)

    def remove_orphans(self) -> list[Path]:
        """Remove what dead processes left anywhere in the cache; returns the files removed."""
        return [path for folder, _, _ in os.walk(self.root) for path in remove_orphans(Path(folder))]

    def files_on_disk(self, manifest_name: str) -> Iterator[Path]:
        """The files that lie in the mirror, whether the ledger knows them or not, in order.

        Args:
            manifest_name: The file by which a folder is known that an archive was extracted to: what
                is in it was not downloaded.
        """
        for folder, folders, names in os.walk(self.root):
            here = Path(folder)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".")
                and not (here == self.root and name.lower() == METADATA_FOLDER)
                and not (here / name / manifest_name).exists()
            )
            yield from (here / name for name in sorted(names) if not name.startswith("."))

    def verify(
        self,
        keys: Sequence[str] | None = None,
        prefix: str | None = None,
        progress: Callable[[VerifiedFile], None] | None = None,
    ) -> Iterator[VerifiedFile]:
        """Recompute the hash of every file that the ledger knows.

        A file that fails is marked ``corrupt`` in the ledger, where it can be written, so that the next
        fetch replaces it.

        Args:
            keys: Keys to verify; None for all.
            prefix: Narrows to keys that begin with it.
            progress: Called with each result.
        """
        if keys is None:
            entries: Iterator[LedgerEntry] = self.ledger.entries(prefix)
        else:
            known = self.ledger.get_many(keys)
            entries = (known.get(key) or LedgerEntry.failure(key, "failed", None) for key in keys)
        for entry in entries:
            if keys is None and not entry.has_file:
                continue
            if prefix and not entry.key.startswith(prefix):
                continue
            result = self._verify(entry)
            if result.status != "ok" and entry.has_file and self.ledger.is_writable:
                self.ledger.mark(entry.key, "corrupt", result.detail)
            if progress:
                progress(result)
            yield result

    def _verify(self, entry: LedgerEntry) -> VerifiedFile:
        try:
            digest = digest_file(self.path(entry.key), check_gzip=is_gzip_name(entry.key))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            if self._is_pruned(entry):
                return VerifiedFile(entry.key, "ok", "pruned: its rows are in the warehouse")
            return VerifiedFile(entry.key, "missing", "the file is not on disk")
        except OSError as error:
            why = error.strerror or type(error).__name__
            return VerifiedFile(entry.key, "missing", f"the file cannot be read: {why}")
        if digest.sha256 == entry.sha256:
            return VerifiedFile(entry.key, "ok", "")
        expected = (
            f"SHA-256 {entry.sha256} and {entry.size_bytes} bytes are expected"
            if entry.has_file
            else "the ledger has no download of it"
        )
        found = f"SHA-256 {digest.sha256} and {digest.size_bytes} bytes are found"
        broken = digest.gzip not in (None, "intact")
        detail = f"{expected}, {found}" + (f"; {digest.gzip_detail}" if broken else "")
        return VerifiedFile(entry.key, "corrupt" if broken else "changed", detail)


def _storable(part: str) -> str:
    """A part of a key as a name that file systems take, temporary names made from it included."""
    encoded = part.encode(errors="surrogatepass")
    if len(encoded) <= _LONGEST_NAME_BYTES:
        return part
    suffix = "".join(PurePosixPath(part).suffixes[-2:])
    if len(suffix.encode(errors="surrogatepass")) > _LONGEST_SUFFIX_BYTES:
        suffix = ""
    beginning = encoded[: _LONGEST_NAME_BYTES // 2].decode(errors="ignore")
    return f"{beginning}~{hashlib.sha256(encoded).hexdigest()[:32]}{suffix}"


def digest_file(path: Path, *, check_gzip: bool) -> Digest:
    """The digest of a file on disk."""
    # Without waiting for whoever would write into a pipe of that name.
    descriptor = os.open(path, os.O_RDONLY | BINARY | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return digest_descriptor(descriptor, check_gzip=check_gzip)
    finally:
        os.close(descriptor)

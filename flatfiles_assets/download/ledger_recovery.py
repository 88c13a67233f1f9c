"""A ledger made anew from the files of a mirror, without the network.

Here: `recover_ledger`. What an earlier ledger can still say of a file whose checksum agrees is kept;
of any other file all that its bytes say is noted. Not here: which damage calls for it
(`warehouse/verification.py`).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import datetime as dt
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from flatfiles_assets.download.cache import FileCache, digest_file, ledger_path
from flatfiles_assets.download.integrity import Digest, is_gzip_name
from flatfiles_assets.download.ledger import Ledger, LedgerEntry
from flatfiles_assets.errors import FlatFilesError


@dataclasses.dataclass(frozen=True)
class RecoveredLedger:
    """What came of it.

    Attributes:
        files: Files that are noted now.
        kept: Those of them of which the earlier ledger still had the whole record.
        damaged: Files that are noted as corrupt, each with why: they are fetched again when asked for.
        lost: Keys that the earlier ledger called downloaded and not pruned, and that are not on disk.
    """

    files: int
    kept: int
    damaged: dict[str, str]
    lost: list[str]


def recover_ledger(root: Path, manifest_name: str) -> RecoveredLedger:
    """Make the ledger of a mirror anew; the earlier one stays beside it, as ``….before-rebuild``.

    Args:
        root: The mirror.
        manifest_name: As for `FileCache.files_on_disk`.
    """
    path = ledger_path(root)
    earlier, pruned = _earlier_records(path)
    aside = path.with_name(f"{path.name}.before-rebuild")
    if path.exists():
        path.replace(aside)
    for log in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        log.unlink(missing_ok=True)
    with FileCache(root) as cache:
        by_path = {cache.path(key): entry for key, entry in earlier.items()}
        entries: dict[str, LedgerEntry] = {}
        kept, damaged = 0, {}
        files = list(cache.files_on_disk(manifest_name))
        for file, digest in zip(files, _digests(files), strict=True):
            known = by_path.get(file)
            key = known.key if known else file.relative_to(root).as_posix()
            if digest.gzip not in (None, "intact"):
                damaged[key] = digest.gzip_detail or "the file is no whole gzip"
                entries[key] = LedgerEntry.failure(key, "corrupt", damaged[key], attempts=0)
            elif known and known.sha256 == digest.sha256:
                kept += 1
                state = "downloaded" if known.state == "corrupt" else known.state
                entries[key] = dataclasses.replace(known, state=state, mtime_ns=file.stat().st_mtime_ns)
            else:
                entries[key] = _from_bytes(key, file, digest)
        lost = []
        for key, entry in earlier.items():
            if key not in entries:
                entries[key] = entry
                if entry.has_file and key not in pruned:
                    lost.append(key)
        cache.ledger.record_many(entries.values())
        cache.ledger.mark_pruned({key: sha256 for key, sha256 in pruned.items() if key in earlier})
    return RecoveredLedger(
        files=sum(entry.has_file for entry in entries.values()) - len(lost) - len(pruned),
        kept=kept,
        damaged=damaged,
        lost=sorted(lost),
    )


def _earlier_records(path: Path) -> tuple[dict[str, LedgerEntry], dict[str, str]]:
    """What can be read of the earlier ledger, and what it says was removed on purpose."""
    entries: dict[str, LedgerEntry] = {}
    pruned: dict[str, str] = {}
    if not path.exists() or not path.stat().st_size:
        return entries, pruned
    # Whatever is read before the damage is met is good: it is believed only where checksums agree.
    with contextlib.suppress(FlatFilesError, ValueError, TypeError), Ledger(path) as ledger:
        for entry in ledger.entries():
            entries[entry.key] = entry
        pruned = ledger.pruned(list(entries))
    return entries, pruned


def _digests(files: Sequence[Path]) -> Iterator[Digest]:
    """The digest of each file; hashing lets other threads run."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda file: digest_file(file, check_gzip=is_gzip_name(file.name)), files)


def _from_bytes(key: str, file: Path, digest: Digest) -> LedgerEntry:
    status = file.stat()
    return LedgerEntry(
        key=key,
        # Stores give objects sent in one piece their MD5 as ETag; where not, it costs one more download.
        etag=digest.md5,
        size_bytes=digest.size_bytes,
        sha256=digest.sha256,
        last_modified=None,
        fetched_at=dt.datetime.fromtimestamp(status.st_mtime, dt.timezone.utc),
        attempts=0,
        state="downloaded",
        message="found on disk when the ledger was made anew",
        mtime_ns=status.st_mtime_ns,
    )

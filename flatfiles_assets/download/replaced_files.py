"""Raw files that the store has replaced: kept in the mirror, each under its checksum.

Here: keeping one before its successor takes its name, finding them, and which are old enough to go. Not
here: the files of today (`cache.py`), and who asks (`cli/prune.py`).

They lie in ``metadata/replaced/<SHA-256><suffixes of the name>``, so that ``sha256`` of a past state's
``market.files`` names the bytes that the rows of then came from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import os
import shutil
from pathlib import Path, PurePosixPath

#: Below the mirror's folder for what it knows of itself.
FOLDER = "replaced"


@dataclasses.dataclass(frozen=True)
class ReplacedFile:
    """A raw file that another has taken the place of.

    Attributes:
        path: Where it lies.
        sha256: Its checksum, by which it is found.
        size_bytes: Its size.
        replaced_at: When its place was taken, UTC.
    """

    path: Path
    sha256: str
    size_bytes: int
    replaced_at: dt.datetime

    @property
    def is_whole(self) -> bool:
        """Whether its bytes are those that its name says."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while data := file.read(2**20):
                digest.update(data)
        return digest.hexdigest() == self.sha256


def keep(path: Path, sha256: str, metadata_folder: Path) -> None:
    """Keep a file that is about to be replaced; nothing where it is not there any more.

    The bytes are not copied where the file system can give a file two names.

    Raises:
        OSError: It cannot be kept.
    """
    folder = metadata_folder / FOLDER
    kept = folder / f"{sha256}{''.join(PurePosixPath(path.name).suffixes[-2:])}"
    if kept.exists():
        # It is replaced once more: it was current until now.
        os.utime(kept)
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, kept)
    except FileNotFoundError:
        return
    except FileExistsError:
        pass
    except OSError:
        unfinished = kept.with_name(f".{kept.name}.{os.getpid()}.tmp")
        try:
            shutil.copyfile(path, unfinished)
            unfinished.replace(kept)
        finally:
            unfinished.unlink(missing_ok=True)
    os.utime(kept)


def replaced_files(metadata_folder: Path) -> list[ReplacedFile]:
    """What is kept, that which was replaced last first."""
    found = []
    for path in (metadata_folder / FOLDER).glob("[0-9a-f]*"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            at = dt.datetime.fromtimestamp(status.st_mtime, dt.timezone.utc)
            found.append(ReplacedFile(path, path.name.partition(".")[0], status.st_size, at))
    return sorted(found, key=lambda file: (file.replaced_at, file.sha256), reverse=True)


def beyond(
    files: list[ReplacedFile], *, now: dt.datetime, keep_days: int, keep_bytes: int | None
) -> list[ReplacedFile]:
    """Those of them that the rule lets go.

    Args:
        files: As `replaced_files` returns them.
        now: The moment from which ages are counted.
        keep_days: Those replaced longer ago go; 0 keeps all.
        keep_bytes: Those go, the longest replaced first, that do not fit; None for no limit.
    """
    first_kept = now - dt.timedelta(days=keep_days) if keep_days else None
    gone, total_bytes = [], 0
    for file in files:
        total_bytes += file.size_bytes
        is_old = first_kept is not None and file.replaced_at < first_kept
        if is_old or (keep_bytes is not None and total_bytes > keep_bytes):
            gone.append(file)
    return gone

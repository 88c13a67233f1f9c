"""What the objects of the user's bucket are, and where each belongs in the cache.

Here: keys, years and directories; pure. Not here: requests (`sync`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from flatfiles_assets.download.cache import METADATA_FOLDER
from flatfiles_assets.download.errors import NotPublished
from flatfiles_assets.download.listing import RemoteObject
from flatfiles_assets.errors import FlatFilesError, InvalidArgument

HISTORICAL_FOLDER = "historical"
DIRECTORIES = ("financials", "options", "samples", "us_financials")
"""Directories of the bucket that `sync_all` mirrors, under their own names."""

_YEAR_KEY = re.compile(r"^(?P<folder>(?:.*/)?)(?P<year>[0-9]{4})\.zip$", re.IGNORECASE)


class AmbiguousYear(FlatFilesError):
    """Two objects of the bucket could be the ZIP of one year."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """An object and its place.

    Attributes:
        remote: The object in the bucket.
        local_key: Where it belongs below the cache folder.
    """

    remote: RemoteObject
    local_key: str


def year_key(year: int) -> str:
    """Where a year's ZIP lies in the cache."""
    return f"{HISTORICAL_FOLDER}/{year:04d}.zip"


def year_folder_key(year: int) -> str:
    """Where a year's ZIP is extracted to in the cache."""
    return f"{HISTORICAL_FOLDER}/{year:04d}"


def historical_prefix(setting: str | None, bucket: str) -> str | None:
    """The setting as the beginning of keys, however people write it.

    ``/x/``, ``./x`` and ``s3://bucket/x`` are ``x``; the root is anywhere.

    Raises:
        InvalidArgument: It names another bucket, or cannot begin a key.
    """
    if setting is None:
        return None
    text = setting.strip()
    if "://" in text:
        scheme, _, rest = text.partition("://")
        named, _, text = rest.partition("/")
        if scheme.lower() not in ("s3", "s3a") or named != bucket:
            raise InvalidArgument(
                "the prefix of the yearly archives is in another place than the bucket",
                where="MINIO_HISTORICAL_PREFIX",
                why=f"it is {setting!r}, and the bucket is {bucket!r}",
                next_step="use the beginning of the keys, e.g. historical/, and MINIO_BUCKET for the bucket",
            )
    parts = text.split("/")
    if ".." in parts or "\\" in text or not text.isprintable():
        raise InvalidArgument(
            f"{setting!r} cannot be the beginning of a key",
            where="MINIO_HISTORICAL_PREFIX",
            next_step="use the beginning of the archives' keys, e.g. historical/",
        )
    ends_with_folder = text.endswith("/")
    prefix = "/".join(part for part in parts if part not in ("", "."))
    return (prefix + "/" if ends_with_folder else prefix) if prefix else None


def similar_prefix(objects: Iterable[RemoteObject], prefix: str) -> str | None:
    """The beginning under which years lie whose keys begin with a prefix in another case, if it is one."""
    size = len(prefix)
    found = {
        remote.key[:size]
        for remote in objects
        if _YEAR_KEY.match(remote.key) and remote.key[:size].lower() == prefix.lower()
    }
    return found.pop() if len(found) == 1 else None


def no_years_below(prefix: str, bucket: str, objects: Iterable[RemoteObject] = ()) -> NotPublished:
    """The error for a prefix under which no year lies, naming where years do lie among objects."""
    folders = sorted({match["folder"] for item in objects if (match := _YEAR_KEY.match(item.key))})
    shown = ", ".join(repr(folder) for folder in folders[:5])
    return NotPublished(
        "no yearly archive (YYYY.zip) lies below the prefix",
        where=f"s3://{bucket}/{prefix}",
        why=f"the bucket has years below {shown}" if folders else "the bucket has no year at all",
        next_step="set MINIO_HISTORICAL_PREFIX to the beginning of their keys, or to nothing for anywhere",
    )


def find_years(objects: Iterable[RemoteObject], prefix: str | None) -> dict[int, Wanted | AmbiguousYear]:
    """The yearly ZIPs among objects, by year, in order.

    A year is any object named ``YYYY.zip``. Where a year stands more than once, the one nearest to
    the bucket's root is meant; where two are equally near, neither is guessed.

    Args:
        objects: Objects of the bucket.
        prefix: Only objects whose keys begin with it; without one, the mirrored directories' own
            files are passed over.
    """
    candidates: dict[int, list[RemoteObject]] = {}
    for remote in objects:
        if not (match := _YEAR_KEY.match(remote.key)) or not remote.key.startswith(prefix or ""):
            continue
        if prefix is None and remote.key.split("/", 1)[0] in DIRECTORIES:
            continue
        candidates.setdefault(int(match["year"]), []).append(remote)
    return {year: _nearest(year, candidates[year]) for year in sorted(candidates)}


def _nearest(year: int, candidates: list[RemoteObject]) -> Wanted | AmbiguousYear:
    depth = min(remote.key.count("/") for remote in candidates)
    nearest = [remote for remote in candidates if remote.key.count("/") == depth]
    if len(nearest) == 1:
        return Wanted(nearest[0], year_key(year))
    return AmbiguousYear(
        "the year stands more than once in the bucket",
        where=str(year),
        why=" and ".join(remote.key for remote in nearest),
        next_step="say which with historical_prefix (MINIO_HISTORICAL_PREFIX)",
    )


def directory_prefix(directory: str) -> str:
    """A directory's name as the prefix of its keys.

    Raises:
        InvalidArgument: It is empty, or a folder of the cache that is kept for other things.
    """
    prefix = directory.strip().strip("/")
    if not prefix or prefix.split("/", 1)[0].lower() in (HISTORICAL_FOLDER, METADATA_FOLDER):
        raise InvalidArgument(
            f"{directory!r} is not a directory that can be mirrored",
            why=f"{HISTORICAL_FOLDER}/ and {METADATA_FOLDER}/ are the cache's own",
            next_step=f"use one of {', '.join(DIRECTORIES)} or another directory of the bucket",
        )
    return f"{prefix}/"


def find_directory(objects: Iterable[RemoteObject], prefix: str, *, recursive: bool = True) -> list[Wanted]:
    """The files of a directory among objects; objects that stand for folders are passed over.

    Args:
        objects: Objects of the bucket.
        prefix: The directory, as `directory_prefix` writes it.
        recursive: Whether files of its subdirectories are among them.
    """
    return [
        Wanted(remote, remote.key)
        for remote in objects
        if remote.key.startswith(prefix)
        and not remote.key.endswith("/")
        and (recursive or "/" not in remote.key[len(prefix) :])
    ]

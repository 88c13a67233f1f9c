"""Files beside the data, which are no data: copies of editors, checksums, marks of other programs.

Here: their names, and whether a path is one of them. Not here: files that a user wants ignored
(`overrides`).
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Sequence

#: Globs against each part of a path, without regard to case; one that ends in a slash is for folders.
SIDECARS: tuple[str, ...] = (
    # Copies and locks of editors, spreadsheets and notebooks.
    *(".ipynb_checkpoints/", "*.bak", "*.bak[0-9]", "*.orig", "*.old", "*~", "*.swp", "*.swo", ".#*"),
    *(".~lock.*#", "~$*", "*.lock", "*.tmp", "*.temp"),
    # Unfinished transfers.
    *("*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", ".nfs*", ".fuse_hidden*"),
    # Checksums and signatures.
    *("*.md5", "*.md5sum", "md5sum*", "*.sha1", "*.sha256", "*.sha256sum", "sha256sum*", "*.sha512"),
    *("*.crc", "*.crc32", "*.sfv", "*.sig", "*.checksum", "checksums.*", "checksums"),
    # What writes many files says of them.
    *("manifest.json", ".manifest.json", "*.manifest", "_success", "_committed_*", "_started_*"),
    *("_metadata", "_common_metadata", "_temporary/", "_delta_log/"),
    # Operating systems, file stores, version control.
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "*.lnk", "*.url", "$recycle.bin/", ".ds_store", "._*"),
    *("__macosx/", ".spotlight-v100/", ".trashes/", ".trash*/", ".fseventsd/", ".localized", ".directory"),
    *("@eadir/", "lost+found/", "xl.meta", ".minio.sys/", ".git/", ".svn/", ".gitkeep", ".gitignore"),
    *(".keep", "__pycache__/"),
)


def patterns_from_setting(setting: str | None) -> tuple[str, ...]:
    """The globs that a setting states; a plus among them stands for `SIDECARS`, nothing at all too."""
    if setting is None:
        return SIDECARS
    stated = [part.strip() for part in setting.split(",") if part.strip()]
    return tuple(pattern for part in stated for pattern in (SIDECARS if part == "+" else (part,)))


def sidecar_pattern(name: str, patterns: Sequence[str] = SIDECARS) -> str | None:
    """The glob by which a file is no data; None where it is taken for data.

    Args:
        name: Its path, with slashes.
        patterns: As `SIDECARS`.
    """
    folders, _, file = name.casefold().rpartition("/")
    of_files, of_folders = _compiled(tuple(patterns))
    for expression, names in ((of_files, [file]), (of_folders, folders.split("/") if folders else [])):
        for part in names:
            # One pattern for all, as thousands of names match none.
            if expression.match(part):
                return next(
                    pattern for pattern in patterns if _matches(part, pattern, expression is of_folders)
                )
    return None


def _matches(part: str, pattern: str, is_of_folders: bool) -> bool:
    stem = pattern.casefold().rstrip("/")
    return pattern.endswith("/") == is_of_folders and fnmatch.fnmatchcase(part, stem)


@functools.lru_cache(maxsize=8)
def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What matches a file's name, and a folder's."""

    def one_of(globs: list[str]) -> re.Pattern[str]:
        return re.compile("|".join(map(fnmatch.translate, globs)) or r"(?!)")

    folders = [pattern.casefold().rstrip("/") for pattern in patterns if pattern.endswith("/")]
    return one_of([pattern.casefold() for pattern in patterns if not pattern.endswith("/")]), one_of(folders)

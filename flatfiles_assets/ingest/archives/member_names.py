"""Which names an archive may give to its members.

Here: names, alone and against each other. Not here: what else an archive must satisfy
(`archive_directory`) and writing files (`archives`).

Names are judged as every common file system would see them, not only the one at hand: a year that
was extracted here may be copied to a disk that folds case or composes accents.
"""

from __future__ import annotations

import os
import re
import unicodedata

from flatfiles_assets.errors import FlatFilesError

_MAX_PART_BYTES = 255
_MAX_NAME_BYTES = 1024
_DRIVE = re.compile(r"^[A-Za-z]:")
_DEVICE = re.compile(r"^(con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9¹²³]|lpt[0-9¹²³])$", re.IGNORECASE)
# ``PRN.csv`` and ``CON.csv`` are the files of two listed securities: only Windows opens a printer.
DEVICE_NAMES_EXIST_HERE = os.name == "nt"

MANIFEST_NAME = ".manifest.json"


class UnsafeArchive(FlatFilesError):
    """An archive that must not be extracted; nothing of it is stored."""


class MemberNames:
    """The names of one extraction, each claimed once.

    Args:
        where: The archive, for messages.
        refuse_device_names: Whether names that are devices on Windows are refused.
    """

    def __init__(self, where: str, *, refuse_device_names: bool = DEVICE_NAMES_EXIST_HERE) -> None:
        self._where = where
        self._refuse_device_names = refuse_device_names
        self._folders: dict[str, str] = {}
        self._files: dict[str, str] = {_folded(MANIFEST_NAME): MANIFEST_NAME}

    def claim(self, name: str, *, is_folder: bool) -> None:
        """Accept a name, slashes between its parts, or refuse the archive.

        Raises:
            UnsafeArchive: The name leaves the target, is no plain name on some file system, or
                collides with one that was claimed before.
        """
        if is_folder:
            name = name.removesuffix("/")
        if problem := _problem(name, self._refuse_device_names):
            raise self._unsafe("a member's name is not safe", f"{name!r} {problem}")
        parts = name.split("/")
        for depth in range(1, len(parts)):
            self._claim_folder("/".join(parts[:depth]))
        if is_folder:
            self._claim_folder(name)
            return
        folded = _folded(name)
        taken = self._files.get(folded) or self._folders.get(folded)
        if taken is not None:
            raise self._collision(name, taken)
        self._files[folded] = name

    def _claim_folder(self, name: str) -> None:
        folded = _folded(name)
        if folded in self._files:
            raise self._collision(name, self._files[folded])
        spelled = self._folders.setdefault(folded, name)
        if spelled != name:
            raise self._collision(name, spelled)

    def _collision(self, name: str, taken: str) -> UnsafeArchive:
        if name == taken:
            return self._unsafe("a name stands twice in the archive", f"{name!r} is a file and more than one")
        return self._unsafe(
            "two members' names collide",
            f"{taken!r} and {name!r} are one file where case or composition of letters does not count",
        )

    def _unsafe(self, what: str, why: str) -> UnsafeArchive:
        return UnsafeArchive(what, where=self._where, why=why, next_step="pack the archive again without it")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _problem(name: str, refuse_device_names: bool) -> str | None:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "has control characters"
    if "\\" in name:
        return "has a backslash"
    if name.startswith("/") or _DRIVE.match(name):
        return "is absolute"
    if len(name.encode()) > _MAX_NAME_BYTES:
        return f"is longer than {_MAX_NAME_BYTES} bytes"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return "has an empty, . or .. part"
        if part.endswith((".", " ")):
            return "has a part that ends in a dot or a space"
        if len(part.encode()) > _MAX_PART_BYTES:
            return f"has a part longer than {_MAX_PART_BYTES} bytes"
        if refuse_device_names and _DEVICE.match(part.partition(".")[0].rstrip()):
            return "is the name of a device"
    return None

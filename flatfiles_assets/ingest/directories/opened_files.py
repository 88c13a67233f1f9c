"""The files of a directory, opened: which are tables, and why others are not.

Here: containers opened, files beside the data passed over, each file judged by itself. Not here: what
is made of the tables (`directories`, `options_table`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.layouts.overrides import LayoutOverrides
from flatfiles_assets.ingest.scratch import scratch_folder
from flatfiles_assets.ingest.tables.files_below import files_below
from flatfiles_assets.ingest.tables.table_files import TableFile, open_table_file
from flatfiles_assets.ingest.tables.unpacking import Member, RefusedMember, Unpacker


class ScratchFolder:
    """A temporary folder that is removed when it is closed, or when nobody knows of it any more."""

    def __init__(self) -> None:
        self._folder = scratch_folder("directory")
        self.path = Path(self._folder.name)

    def close(self) -> None:
        """Removes it."""
        self._folder.cleanup()


@dataclasses.dataclass(frozen=True)
class OpenedFile:
    """A file, or a part of one.

    Attributes:
        name: Its path below the directory; a part's name is below that of its file.
        content: The table, or why it is none.
    """

    name: str
    content: TableFile | NotUnderstood


def open_directory(
    directory: str | Path,
    overrides: LayoutOverrides,
    scratch: ScratchFolder,
    refused: Mapping[str, str] | None = None,
) -> Iterator[OpenedFile]:
    """Opens every file below a directory, in the order of their names.

    Args:
        directory: Where they are; links are not followed.
        overrides: Which files are to be ignored; patterns see their paths below the directory.
        scratch: Takes what is in archives and workbooks.
        refused: Files that are not to be opened, by their paths below the directory, and why.

    Raises:
        InvalidArgument: There is no such directory.
    """
    root = Path(directory)
    if not root.is_dir():
        raise InvalidArgument("there is no such directory", where=str(root), next_step="synchronise it first")
    unpacker = Unpacker(scratch.path)
    paths, unreadable = files_below(root)
    unreadable |= refused or {}
    for name in sorted({*paths, *unreadable}):
        if ignored := overrides.why_ignored(name):
            yield OpenedFile(name, NotUnderstood(ignored, is_table=False))
        elif name in unreadable:
            yield OpenedFile(name, NotUnderstood(unreadable[name], is_table=False))
        else:
            for member in unpacker.open(paths[name], name):
                yield OpenedFile(member.name, _opened(member, overrides))


def _opened(member: Member | RefusedMember, overrides: LayoutOverrides) -> TableFile | NotUnderstood:
    if ignored := overrides.why_ignored(member.name):
        return NotUnderstood(ignored, is_table=False)
    if isinstance(member, RefusedMember):
        return member.reason
    try:
        return open_table_file(member.path, member.name)
    except OSError as error:
        return NotUnderstood(f"it cannot be read: {error.strerror or error}", is_table=False)

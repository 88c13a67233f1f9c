"""The folder of `flatfiles demo`: which one is the demo's own to remove, and which holds more.

Here: what a demo leaves is written down when it ends; whatever is not so any more is somebody's; and
that nothing but the demo's own settings hold in it. Not here: the demonstration (`demo.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import AliasChoices

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import Settings
from flatfiles_assets.whole_files import write_json

#: Settings of the machine rather than of a store or its data: they hold in a demo, too.
_OF_THE_MACHINE = {"FLATFILES_ALLOWED_HOSTS", "FLATFILES_LOCK_TIMEOUT_SECONDS", "FLATFILES_TIMEOUT_SECONDS"}
_MARKER = ".made-by-flatfiles-demo"
#: What a demo makes, by the first part of its path; of one that did not end this is all that is known.
_OWN = {"flatfiles_cache", "minio_cache", "warehouse", "reference", "integration_cache", "dagster_home"}
# Looking around writes there, too: it is about the files beside, not part of them.
_PASSING = ("dagster_home/", "integration_cache/")
_PASSING_NAMES = (".queue", ".lock", ".spill", "ledger", "contents.json", "-wal", "-shm", ".wal")


def fresh_folder(folder: Path, *, replace: bool = False) -> Path:
    """An empty folder with the demo's mark; a demo's earlier one is removed, anything else left alone.

    Args:
        folder: Where.
        replace: Remove a demo's folder also where something was added or changed since.

    Raises:
        InvalidArgument: It holds something that no demo put there; nothing is removed.
    """
    if folder.exists() and any(folder.iterdir()):
        foreign = None if replace and (folder / _MARKER).exists() else _foreign(folder)
        if foreign:
            raise InvalidArgument(
                "the folder holds something that no demo put there, and it was left alone",
                where=str(folder),
                why=foreign,
                next_step="name another folder with --data-dir"
                + (", or say --replace to have all of it removed" if (folder / _MARKER).exists() else ""),
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).touch()
    return folder


@contextlib.contextmanager
def own_settings(folder: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """Let no other setting hold: neither the user's variables nor a ``.env`` in the working directory.

    What is for the user's stores (a proxy, a token, a prefix, further feeds) is wrong for the demo's.

    Args:
        folder: The demo's, which becomes the working directory meanwhile.
        settings: Variables with their values; they stay set, for who goes on in the same process.
    """
    for field in Settings.model_fields.values():
        if isinstance(field.validation_alias, AliasChoices):
            for name in field.validation_alias.choices:
                if name not in _OF_THE_MACHINE:
                    os.environ.pop(str(name), None)
    os.environ.update(settings)
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def note_contents(folder: Path) -> None:
    """Write down what there is: all of it is the demo's."""
    write_json(folder / _MARKER, {"files": dict(_files(folder))})


def _foreign(folder: Path) -> str | None:
    """The first thing that no demo put there, and what it is; None where there is nothing of the kind."""
    try:
        known = json.loads((folder / _MARKER).read_text(encoding="utf-8") or "null")
    except FileNotFoundError:
        return "no demo made it"
    except (OSError, ValueError):
        return "what the demo left cannot be told any more"
    for path in sorted(folder.iterdir()):
        if path.name != _MARKER and path.name not in _OWN:
            return f"{path.name} was added"
    if known is None:
        return None
    files = known["files"]
    for name, state in _files(folder):
        if files.get(name) != state:
            return f"{name} was {'changed' if name in files else 'added'} since"
    return None


def _files(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Each file that says what was loaded, with its size and time."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        passing = name.startswith(_PASSING) or any(part in path.name for part in _PASSING_NAMES)
        if path.is_file() and name != _MARKER and not passing:
            status = path.stat()
            yield name, [status.st_size, status.st_mtime_ns]

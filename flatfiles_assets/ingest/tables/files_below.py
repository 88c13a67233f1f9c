"""The files below a folder, one that cannot be looked at stopping none of the others.

Here: names and what keeps a file from being read. Not here: what is in them.
"""

from __future__ import annotations

import os
from pathlib import Path


def files_below(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Every regular file below a folder, by its path with slashes, in the order of the paths.

    Returns:
        The files; and why others are not among them: links are not followed, a folder may be closed,
        a disk may fail.
    """
    found: dict[str, Path] = {}
    refused: dict[str, str] = {}
    folders = [(os.fspath(root), "")]
    while folders:
        folder, prefix = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    try:
                        if entry.is_symlink():
                            refused[name] = "it is a link, which is not followed"
                        elif entry.is_dir(follow_symlinks=False):
                            folders.append((entry.path, f"{name}/"))
                        elif entry.is_file(follow_symlinks=False):
                            found[name] = Path(entry.path)
                        else:
                            refused[name] = "it is no regular file"
                    except OSError as error:
                        refused[name] = _why(error)
        except OSError as error:
            refused[prefix.rstrip("/") or "."] = _why(error)
    return dict(sorted(found.items())), dict(sorted(refused.items()))


def _why(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or type(error).__name__}"

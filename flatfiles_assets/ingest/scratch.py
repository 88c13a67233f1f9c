"""Temporary folders, and the removal of those that killed processes left.

Here: names that say whose a folder is. Not here: what is put into it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from flatfiles_assets.living import process_lives

_PREFIX = "flatfiles-scratch-"
_OWNED = re.compile(re.escape(_PREFIX) + r"(?P<pid>\d+)-")
# A process of another container may have the same number here, or none: it is left some time.
_LEFT_SECONDS = 3600


def scratch_folder(
    what: str, place: str | os.PathLike[str] | None = None
) -> tempfile.TemporaryDirectory[str]:
    """A new temporary folder; what dead processes left beside it is removed.

    Args:
        what: What it is for, a part of its name.
        place: Where; None for the system's place for temporary files.
    """
    parent = Path(place) if place is not None else Path(tempfile.gettempdir())
    _sweep(parent)
    return tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-{what}-", dir=parent)


def _sweep(parent: Path) -> None:
    for left in parent.glob(f"{_PREFIX}*"):
        owned = _OWNED.match(left.name)
        with contextlib.suppress(OSError):
            is_old = time.time() - left.stat().st_mtime > _LEFT_SECONDS
            if owned and is_old and not process_lives(int(owned["pid"])):
                shutil.rmtree(left, ignore_errors=True)

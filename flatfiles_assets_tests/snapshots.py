"""A loaded data directory that many tests start from, made once.

Loading costs seconds, copying nothing. Here: making the copy. Not here: what is loaded.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from flatfiles_assets_tests.platform import Platform

_folders: dict[str, Path] = {}


def start_from(name: str, platform: Platform, load: Callable[[Platform], None]) -> Platform:
    """Give a platform the data directory that `load` makes, made anew only for the first who asks.

    Args:
        name: What is loaded.
        platform: Its bucket must hold the same objects already: only the data directory is copied.
        load: Fills the data directory.
    """
    if name not in _folders:
        load(platform)
        folder = Path(tempfile.mkdtemp(prefix="flatfiles-snapshot-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _folders[name] = folder / "data"
        shutil.copytree(platform.data_dir, _folders[name])
    else:
        shutil.copytree(_folders[name], platform.data_dir, dirs_exist_ok=True)
    return platform

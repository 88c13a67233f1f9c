"""Temporary folders of killed processes do not stay for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from flatfiles_assets.ingest.scratch import scratch_folder


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_lives_stays(tmp_path: Path):
    script = (
        "import os, sys\n"
        "from flatfiles_assets.ingest.scratch import scratch_folder\n"
        "folder = scratch_folder('killed', sys.argv[1])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    theirs = tmp_path / "flatfiles-scratch-of-somebody"
    theirs.mkdir()
    with scratch_folder("living", tmp_path) as living:
        assert left.exists(), "it may belong to a process that cannot be seen from here"
        for folder in (left, theirs, Path(living)):
            os.utime(folder, (1, 1))
        with scratch_folder("another", tmp_path):
            assert not left.exists()
            assert theirs.exists()
            assert Path(living).exists()

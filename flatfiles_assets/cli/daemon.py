"""``python -m flatfiles_assets.cli.daemon …``: Dagster's daemon, at most one on each home.

Here: the lock around it. Not here: what the daemon does, which is Dagster's, and its options.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from flatfiles_assets.defs.instance.daemon_lock import only_one
from flatfiles_assets.errors import FlatFilesError


def main() -> None:
    """Run until told to stop."""
    try:
        with only_one(Path(os.environ["DAGSTER_HOME"]), "daemon"):
            runpy.run_module("dagster._daemon", run_name="__main__", alter_sys=True)
    except FlatFilesError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

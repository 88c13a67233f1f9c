"""`python -m flatfiles_assets.defs.instance COMMAND …`: make the home ready, then be the command.

For containers, where nothing runs before the services do.
"""

from __future__ import annotations

import os
import subprocess
import sys

from flatfiles_assets.defs.instance.home import instance_environment, open_instance
from flatfiles_assets.settings import load_settings

home = os.environ.get("DAGSTER_HOME") or load_settings().dagster_home
with open_instance(home):
    pass
os.environ.update(instance_environment(home))
if len(sys.argv) > 1:
    if os.name == "nt":
        sys.exit(subprocess.call(sys.argv[1:]))  # noqa: S603
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606

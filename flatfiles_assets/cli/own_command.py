"""The command that the user of this very process has.

Here: how to call us again, as it can be pasted into a shell. Not here: what to call (`demo.py`), and
messages that are read anywhere, which say plain `flatfiles`.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def own_command() -> str:
    """`flatfiles` where the shell finds this one, else the path it was called by, else Python's way.

    An environment that is not active has its scripts outside of the shell's reach, and an older one
    may be found first: only the script that runs now is known to be the right one.
    """
    script = Path(sys.argv[0])
    if script.stem != "flatfiles":
        return f"{shlex.quote(sys.executable)} -m flatfiles_assets"
    found = shutil.which("flatfiles")
    if found and Path(found).resolve().with_suffix("") == script.resolve().with_suffix(""):
        return "flatfiles"
    if script.is_absolute() and script.is_relative_to(Path.cwd()):
        script = script.relative_to(Path.cwd())
    return shlex.quote(str(script))

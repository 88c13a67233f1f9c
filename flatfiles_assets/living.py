"""Whether a process of this machine lives.

Here: the question alone. Not here: locks, which answer it better wherever a process can hold one.
"""

from __future__ import annotations

import os


def process_lives(pid: int) -> bool:
    """Whether there is a process of that number, as far as can be known; True where it cannot."""
    if os.name == "nt":
        return True  # There, the question would end the process.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

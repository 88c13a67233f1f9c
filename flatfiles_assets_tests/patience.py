"""How long a test waits for something that must come.

A machine under load is slow, not wrong: no test fails because a second was short. What must *not* take
long is measured in `benchmarks/`, and a limit that is meant to run out is written where it does.
"""

from __future__ import annotations

#: Far above what anything takes on a machine with ten times more to do than it can.
PATIENCE_SECONDS = 600.0

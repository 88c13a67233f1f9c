"""At most one daemon on a home, and none that is gone stands in the way."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flatfiles_assets.defs.instance.daemon_lock import DaemonRuns, only_one, refuse_second_daemon

pytestmark = pytest.mark.slow

_HOLDER = """
import sys, time
from pathlib import Path
from flatfiles_assets.defs.instance.daemon_lock import only_one
with only_one(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("role", ["daemon", "ui"])
def test_a_second_daemon_is_refused_by_name_until_the_first_is_gone(tmp_path: Path, role: str):
    command = [sys.executable, "-c", _HOLDER, str(tmp_path), role]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        for _ in range(2):
            with pytest.raises(DaemonRuns, match=rf"process {first.pid} holds it"):
                refuse_second_daemon(tmp_path)
        first.send_signal(signal.SIGKILL)
        first.wait()
    refuse_second_daemon(tmp_path)
    with only_one(tmp_path, "ui"), pytest.raises(DaemonRuns), only_one(tmp_path, "ui"):
        raise AssertionError("both hold it")

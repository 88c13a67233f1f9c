"""Child processes that a test session starts and that end with it.

Here: free ports, finding programs, and daemons in the foreground of one state folder.
Not here: which servers there are, which is `s3_servers.py`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from flatfiles_assets_tests.patience import PATIENCE_SECONDS

_STOP_TIMEOUT_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1


class ServerUnavailable(RuntimeError):
    """A server is not installed or did not start."""


def free_port() -> int:
    """A loopback port that is free now; whoever uses it must be ready to lose the race for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_binary(name: str) -> str | None:
    """Path of a program beside the interpreter or on PATH."""
    return shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)


class Daemons:
    """Child processes in the foreground of one state folder, ended together."""

    def __init__(self, state_dir: Path, env: Mapping[str, str] | None = None) -> None:
        self.state_dir = state_dir
        self._env = {**os.environ, **(env or {})}
        self._processes: list[tuple[subprocess.Popen[bytes], Path]] = []

    def run(self, *command: str | Path) -> None:
        """Run a command to its end."""
        try:
            subprocess.run(
                command,
                env=self._env,
                cwd=self.state_dir,
                check=True,
                capture_output=True,
                timeout=PATIENCE_SECONDS,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = (error.stderr or b"").decode(errors="replace")[-500:]
            raise ServerUnavailable(f"{Path(command[0]).name} failed: {said or error}") from error

    def start(self, *command: str | Path) -> None:
        """Start a daemon that stays in the foreground."""
        log_path = self.state_dir / f"daemon-{len(self._processes)}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command,
                env=self._env,
                cwd=self.state_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._processes.append((process, log_path))

    def check_alive(self) -> None:
        """Raise if one of them has ended."""
        for process, log_path in self._processes:
            if process.poll() is not None:
                said = log_path.read_bytes()[-500:].decode(errors="replace")
                raise ServerUnavailable(f"{process.args} ended with {process.returncode}: {said}")

    def stop(self) -> None:
        for process, _ in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                # Its process group: Swift forks workers.
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""`flatfiles dev` serves the UI, ends when it is told to, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from flatfiles_assets.cli import main
from flatfiles_assets_tests.daemons import free_port
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


def _processes_of(home: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"DAGSTER_HOME={home}\0".encode() in process.joinpath("environ").read_bytes():
                found.append(process.joinpath("cmdline").read_text())
        except OSError:
            continue
    return found


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=60) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads the processes of Linux")
def test_started_in_the_background_it_serves_and_ends_whole_when_terminated(tmp_path: Path):
    port = free_port()
    command = [
        sys.executable,
        "-c",
        "from flatfiles_assets.cli import main; main()",
        "dev",
        "--port",
        str(port),
    ]
    environment = {**os.environ, "FLATFILES_DATA_DIR": str(tmp_path)}
    environment.pop("DAGSTER_HOME", None)
    with (tmp_path / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=log,
            # As a shell does with what it starts in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
    home = tmp_path / "dagster_home"
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _answers(port):
            assert process.poll() is None, (tmp_path / "dev.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "dev.log").read_text()
            time.sleep(0.3)
        assert _processes_of(home)
        second = CliRunner().invoke(
            main, ["dev", "--port", str(free_port())], env={"FLATFILES_DATA_DIR": str(tmp_path)}
        )
        assert second.exit_code == 1
        assert "a daemon runs on this Dagster home already" in second.stderr
        assert f"process {process.pid} holds it" in second.stderr
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
        while _processes_of(home):
            assert time.monotonic() < deadline + PATIENCE_SECONDS, _processes_of(home)
            time.sleep(0.3)
    finally:
        process.kill()


@pytest.mark.parametrize("verb", [["dev"], ["demo", "--ui"]])
def test_a_port_that_is_taken_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: list[str]
):
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, [*verb, "--port", port])
    assert result.exit_code == 1
    assert "the UI cannot listen there" in result.stderr
    assert "--port" in result.stderr
    assert list(tmp_path.iterdir()) == []

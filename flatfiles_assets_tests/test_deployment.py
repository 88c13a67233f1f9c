"""The containers' files fit each other and the package; no container is built here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))


def test_there_are_a_code_server_a_web_server_and_a_daemon():
    assert set(COMPOSE["services"]) == {"code", "webserver", "daemon"}


def test_web_server_and_daemon_find_the_code_server_where_it_listens():
    workspace = yaml.safe_load((ROOT / "deployment" / "workspace.yaml").read_text(encoding="utf-8"))
    (server,) = (entry["grpc_server"] for entry in workspace["load_from"])
    command = COMPOSE["services"][server["host"]]["command"]
    assert command[command.index("-p") + 1] == str(server["port"])
    assert command[-1] == "flatfiles_assets.definitions"


def test_the_ui_is_on_this_machine_only():
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"]["webserver"]["ports"])


def test_everything_that_the_image_copies_is_let_through_and_there():
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    for copied in re.findall(r"^COPY (.+) \S+$", dockerfile, flags=re.MULTILINE):
        for name in copied.split():
            assert name in let_through
            assert (ROOT / name).exists()


def test_the_entry_point_makes_the_home_ready_and_becomes_the_command(tmp_path: Path):
    home = tmp_path / "home"
    ended = subprocess.run(
        [sys.executable, "-m", "flatfiles_assets.defs.instance", "sh", "-c", "echo $DAGSTER_HOME; exit 3"],
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert ended.stdout.strip() == str(home)
    assert (home / "dagster.yaml").is_file()

"""A DAGSTER_HOME of ours: written, kept up to date, never taken away from its user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from flatfiles_assets.defs.instance import home as home_module
from flatfiles_assets.defs.instance import instance_environment, open_instance, prepare_home
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


def test_a_new_home_opens_with_the_shipped_settings(tmp_path: Path) -> None:
    with open_instance(tmp_path / "data" / "home") as instance:
        assert type(instance.event_log_storage).__name__ == "BatchingSqliteEventLogStorage"
        assert instance.event_log_storage.get_concurrency_info("duckdb_writer").slot_count == 1
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 4
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert not instance.run_retries_enabled
    for database in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        assert (tmp_path / "data" / "home" / database).is_file()


def test_dagster_itself_opens_the_home_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_instance(tmp_path).dispose()
    monkeypatch.setenv("DAGSTER_HOME", instance_environment(tmp_path)["DAGSTER_HOME"])
    monkeypatch.chdir("/")
    with dg.DagsterInstance.get() as instance:
        assert type(instance.event_log_storage).__name__ == "BatchingSqliteEventLogStorage"
    assert not Path("/history").exists()


@pytest.mark.parametrize("name", ["with space", 'quo"te', "dollar$home", "back\\slash", "ünï: #x"])
def test_any_directory_name_can_be_a_home(tmp_path: Path, name: str) -> None:
    with open_instance(tmp_path / name):
        assert (tmp_path / name / "history" / "runs" / "index.db").is_file()


def test_an_edited_configuration_is_kept(tmp_path: Path) -> None:
    config = prepare_home(tmp_path) / "dagster.yaml"
    edited = config.read_text().replace("max_concurrent_runs: 4", "max_concurrent_runs: 9")
    config.write_text(edited)
    with open_instance(tmp_path) as instance:
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 9
    assert config.read_text() == edited


def test_a_configuration_that_is_not_ours_is_kept(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    prepare_home(tmp_path)
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry:\n  enabled: false\n"


def test_an_older_unedited_configuration_is_brought_up_to_date(tmp_path: Path) -> None:
    current = (prepare_home(tmp_path) / "dagster.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(home_module._sign("telemetry:\n  enabled: true\n"))
    prepare_home(tmp_path)
    assert (tmp_path / "dagster.yaml").read_text() == current
    assert [path.name for path in tmp_path.iterdir()] == ["dagster.yaml"]


def test_a_moved_home_keeps_its_history_at_the_new_place(tmp_path: Path) -> None:
    with open_instance(tmp_path / "old") as instance:
        instance.add_dynamic_partitions("names", ["kept"])
    shutil.move(tmp_path / "old", tmp_path / "new")
    with open_instance(tmp_path / "new") as instance:
        assert instance.get_dynamic_partitions("names") == ["kept"]
    assert not (tmp_path / "old").exists()


def test_a_pool_limit_that_the_user_set_is_kept(tmp_path: Path) -> None:
    with open_instance(tmp_path) as instance:
        instance.event_log_storage.set_concurrency_slots("duckdb_writer", 3)
    with open_instance(tmp_path) as instance:
        assert instance.event_log_storage.get_concurrency_info("duckdb_writer").slot_count == 3


def test_opening_the_instance_turns_batching_on_unless_the_user_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "17")
    open_instance(tmp_path).dispose()
    assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "17"
    assert instance_environment(tmp_path)["DAGSTER_EVENT_BATCH_SIZE"] == "17"
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    assert instance_environment(tmp_path)["DAGSTER_EVENT_BATCH_SIZE"] == "1000"
    open_instance(tmp_path).dispose()
    assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "1000"


_OPEN = """
import sys
from flatfiles_assets.defs.instance.home import open_instance
print("ready", flush=True)
sys.stdin.readline()
with open_instance(sys.argv[1]) as instance:
    assert [limit.name for limit in instance.event_log_storage.get_pool_limits()] == ["duckdb_writer"]
"""


def test_processes_that_open_a_new_home_at_once_all_can(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _OPEN, str(tmp_path / "home")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=PATIENCE_SECONDS)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors

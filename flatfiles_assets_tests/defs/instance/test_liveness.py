"""A run without a living process has ended, whatever it was doing, and says so; no other one has."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import dagster as dg
import pytest

from flatfiles_assets.defs.dagster_internals.run_tags import GRPC_INFO_TAG
from flatfiles_assets.defs.instance import fail_dead_runs, open_instance
from flatfiles_assets.defs.instance.launcher import WatchfulRunLauncher
from flatfiles_assets.defs.instance.liveness import of_this_process
from flatfiles_assets.defs.keys import DUCKDB_WRITER_POOL
from flatfiles_assets.defs.range_requests import range_tags
from flatfiles_assets.defs.sensors.failures import failure_report
from flatfiles_assets_tests.defs.instance.range_job import JOB
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

#: Creates a run as `run_ranges` does, and is killed before it begins.
CREATING = """
import os, signal, sys
import dagster as dg
from flatfiles_assets.defs.runs import run_ranges
from flatfiles_assets_tests.defs.instance.range_job import DEFINITIONS
from flatfiles_assets.defs.instance.event_log import BatchingSqliteEventLogStorage
from pathlib import Path

def killed(self, event, store=BatchingSqliteEventLogStorage.store_event):
    if event.dagster_event_type == dg.DagsterEventType.RUN_START:
        os.kill(os.getpid(), signal.SIGKILL)
    store(self, event)

BatchingSqliteEventLogStorage.store_event = killed
defs = dg.Definitions(
    assets=DEFINITIONS.assets, jobs=[dg.define_asset_job("range_job", ["market/prices"])]
)
list(run_ranges(defs, "range_job", ["2024-01-03", "2024-01-31"], home=Path(sys.argv[1])))
"""


def _created(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    return instance.create_run_for_job(JOB, run_id=str(uuid.uuid4()), status=status, tags=tags)


def _status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_run_that_is_killed_before_it_begins_frees_its_sessions_at_once(tmp_path: Path):
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CREATING, str(tmp_path)], check=False, capture_output=True
    )
    assert killed.returncode == -9, killed.stderr
    with open_instance(tmp_path) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.FAILURE
        (failure,) = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
        assert "it was killed or crashed" in failure.event_log_entry.message
        assert "its last record, of 20" in failure.event_log_entry.message


def test_a_run_that_another_living_process_is_about_to_begin_is_left_alone(tmp_path: Path):
    with open_instance(tmp_path) as instance:
        run_id = str(uuid.uuid4())
        run = instance.create_run_for_job(JOB, run_id=run_id, tags=of_this_process(run_id))
        assert fail_dead_runs(instance) == []
        assert _status(instance, run) == dg.DagsterRunStatus.NOT_STARTED


@pytest.mark.parametrize("elsewhere", ["another run's", "another host's"])
def test_a_tag_that_says_nothing_of_this_run_here_kills_nothing(tmp_path: Path, elsewhere: str):
    """A re-execution carries the tags of the first run; a home may be shared."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with open_instance(tmp_path) as instance:
        run_id = str(uuid.uuid4())
        (name, value), *_ = of_this_process(run_id).items()
        host, _, of_run = value.split(" ")
        told = (
            (host, str(gone.pid), "another") if elsewhere == "another run's" else ("x", str(gone.pid), of_run)
        )
        run = instance.create_run_for_job(JOB, run_id=run_id, tags={name: " ".join(told)})
        assert fail_dead_runs(instance) == []
        assert _status(instance, run) == dg.DagsterRunStatus.NOT_STARTED


def _grpc(path: Path) -> dict[str, str]:
    return {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": str(path)})}


def test_a_run_whose_code_server_is_gone_before_it_began_is_dead(tmp_path: Path):
    with open_instance(tmp_path / "home") as instance:
        run = _created(instance, dg.DagsterRunStatus.STARTING, **_grpc(tmp_path / "gone"))
        assert fail_dead_runs(instance) == [run.run_id]
        assert _status(instance, run) == dg.DagsterRunStatus.FAILURE


def test_a_run_whose_code_server_is_there_may_still_begin(tmp_path: Path):
    with open_instance(tmp_path / "home") as instance, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "server"))
        server.listen()
        run = _created(instance, dg.DagsterRunStatus.STARTING, **_grpc(tmp_path / "server"))
        assert fail_dead_runs(instance) == []
        assert _status(instance, run) == dg.DagsterRunStatus.STARTING


def test_a_run_in_another_container_is_not_judged_by_the_processes_of_this_one(tmp_path: Path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    remote = {GRPC_INFO_TAG: json.dumps({"host": "code", "port": 4000})}
    with open_instance(tmp_path) as instance:
        run = _created(instance, dg.DagsterRunStatus.STARTING, **remote)
        instance.report_engine_event(f"Started process for run (pid: {gone.pid}).", run)
        assert fail_dead_runs(instance) == []


def test_a_process_that_died_while_its_run_was_starting_is_named_by_the_run(tmp_path: Path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with open_instance(tmp_path / "home") as instance, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "server"))
        server.listen()
        alive = _created(instance, dg.DagsterRunStatus.STARTING, **_grpc(tmp_path / "server"))
        dead = _created(instance, dg.DagsterRunStatus.STARTING, **_grpc(tmp_path / "server"))
        instance.report_engine_event(f"Started process for run (pid: {os.getpid()}).", alive)
        instance.report_engine_event(f"Started process for run (pid: {gone.pid}).", dead)
        assert fail_dead_runs(instance) == [dead.run_id]


# A tick of the daemon's that is cut off between noting a run and queueing it.
NOTING = """
import sys, time
from flatfiles_assets.defs.instance import open_instance
from flatfiles_assets.defs.range_requests import range_tags
from flatfiles_assets_tests.defs.instance.range_job import JOB
home, run_id, *tags = sys.argv[1:]
with open_instance(home) as instance:
    tags = {**range_tags("2024-01-03", "2024-01-04"), **dict(tag.split("=") for tag in tags)}
    instance.create_run_for_job(JOB, run_id=run_id, tags=tags)
    print("there", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("tag", ["dagster/sensor_name=automation", "dagster/backfill=abc", ""])
def test_a_run_that_a_tick_had_noted_and_not_queued_is_taken_back_so_that_the_tick_asks_again(
    tmp_path: Path, tag: str
):
    """As a failed run it would count as asked for: a run key is launched once."""
    run_id = str(uuid.uuid4())
    command = [sys.executable, "-W", "ignore", "-c", NOTING, str(tmp_path), run_id, *filter(None, [tag])]
    with open_instance(tmp_path) as instance:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as noting:
            assert noting.stdout is not None
            assert noting.stdout.readline() == "there\n"
            assert fail_dead_runs(instance) == []
            noting.kill()
        assert fail_dead_runs(instance) == [run_id]
        run = instance.get_run_by_id(run_id)
        assert (run and run.status) == (None if tag else dg.DagsterRunStatus.FAILURE)
    assert not list(tmp_path.rglob(f"{run_id}.noted"))


def test_a_run_that_was_handed_on_needs_the_process_that_noted_it_no_longer(tmp_path: Path):
    run_id = str(uuid.uuid4())
    with open_instance(tmp_path) as instance:
        run = instance.create_run_for_job(JOB, run_id=run_id, tags=range_tags("2024-01-03", "2024-01-04"))
        assert instance.event_log_storage.run_locks.noted.knows(run_id)
        handed_on = dg.DagsterEvent("PIPELINE_STARTING", job_name=run.job_name)
        instance.report_dagster_event(handed_on, run_id=run_id)
        assert not instance.event_log_storage.run_locks.noted.knows(run_id)
    with open_instance(tmp_path) as instance:
        assert _status(instance, run) == dg.DagsterRunStatus.STARTING


@pytest.mark.parametrize("who_tells", ["monitoring", "code server"])
def test_a_run_killed_in_a_step_says_which_and_its_slot_is_free(tmp_path: Path, who_tells: str):
    home, run_id, reached = tmp_path / "home", str(uuid.uuid4()), tmp_path / "reached"
    command = [sys.executable, "-m", "flatfiles_assets_tests.defs.instance.range_job", str(home), run_id]
    process = subprocess.Popen([*command, "--wait", str(reached)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with open_instance(home) as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, WatchfulRunLauncher)
        run = instance.get_run_by_id(run_id)
        assert run is not None
        launcher.check_run_worker_health(run)
        assert not instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        process.kill()
        process.wait()
        if who_tells == "monitoring":
            launcher.check_run_worker_health(run)
        else:
            instance.report_run_failed(run)
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.FAILURE
        said = failure_report(instance, run).message
        assert f"The process of this run ({process.pid}) is gone" in said
        assert "while at work on market/prices, 2024-01-03 to 2024-01-31" in said
        assert "from outside" not in said
        info = instance.event_log_storage.get_concurrency_info(DUCKDB_WRITER_POOL)
        assert info.active_slot_count == 0

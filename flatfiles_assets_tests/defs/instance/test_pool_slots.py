"""Whoever waits for a slot frees what the dead hold, says who the living are, and can be told to stop."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import pytest

from flatfiles_assets.defs.instance import open_instance
from flatfiles_assets.defs.keys import DUCKDB_WRITER_POOL
from flatfiles_assets_tests.defs.instance.range_job import run_range

pytestmark = pytest.mark.slow

RANGE = ("2024-01-03", "2024-01-31")


@contextmanager
def _holding_the_slot(home: Path, reached: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """A process in the middle of the step that has the pool's only slot."""
    run_id = str(uuid.uuid4())
    command = [sys.executable, "-m", "flatfiles_assets_tests.defs.instance.range_job", str(home), run_id]
    process = subprocess.Popen([*command, "--wait", str(reached)], stderr=subprocess.DEVNULL)
    try:
        while not reached.exists():
            assert process.poll() is None
            time.sleep(0.05)
        yield process, run_id
    finally:
        process.kill()
        process.wait()


def _kill_once_waited_for(process: subprocess.Popen, caplog: pytest.LogCaptureFixture) -> None:
    while "waiting for the pool" not in caplog.text:
        time.sleep(0.05)
    process.kill()
    process.wait()


def _status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.parametrize("evidence", ["lock", "no lock"])
def test_a_run_that_dies_while_another_waits_is_found_dead_and_loses_its_slot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, evidence: str
):
    home, waiting = tmp_path / "home", str(uuid.uuid4())
    with _holding_the_slot(home, tmp_path / "reached") as (process, holder):
        if evidence == "no lock":  # as earlier versions left it
            (home / "history" / "runs" / f"{holder}.alive").unlink()
        with open_instance(home) as instance:
            assert _status(instance, holder) == dg.DagsterRunStatus.STARTED
            threading.Thread(target=_kill_once_waited_for, args=(process, caplog)).start()
            assert not run_range(instance, waiting, *RANGE).success  # half of it always fails
            assert _status(instance, holder) == dg.DagsterRunStatus.FAILURE
            assert instance.event_log_storage.get_concurrency_info(DUCKDB_WRITER_POOL).active_slot_count == 0
            loaded = instance.get_materialized_partitions(dg.AssetKey(["market", "prices"]))
            assert len(loaded) == 29
    assert f"waiting for the pool {DUCKDB_WRITER_POOL}: held by run {holder[:8]} of range_job" in caplog.text


def test_the_slot_of_a_run_that_ended_without_giving_it_back_is_freed_by_who_waits(tmp_path: Path):
    with open_instance(tmp_path) as instance:
        ended = str(uuid.uuid4())
        run_range(instance, ended, *RANGE)
        storage = instance.event_log_storage
        assert storage.claim_concurrency_slot(DUCKDB_WRITER_POOL, ended, "market__prices").is_claimed
        storage.claim_concurrency_slot(DUCKDB_WRITER_POOL, "no such run", "market__prices")
        run_range(instance, str(uuid.uuid4()), *RANGE)
        assert storage.get_concurrency_info(DUCKDB_WRITER_POOL).active_slot_count == 0


def test_the_evidence_of_an_unfinished_run_outlives_its_instance(tmp_path: Path):
    """Whoever closes the instance before a run has ended must not make it a run without evidence."""
    with open_instance(tmp_path) as instance:
        locks = instance.event_log_storage.run_locks
        locks.hold("a run")
    assert locks.is_dead("a run")


WAITING = """
import sys
from pathlib import Path
from flatfiles_assets.defs.runs import run_ranges
from flatfiles_assets_tests.defs.instance.range_job import DEFINITIONS
import dagster as dg
defs = dg.Definitions(
    assets=DEFINITIONS.assets, jobs=[dg.define_asset_job("range_job", ["market/prices"])]
)
list(run_ranges(defs, "range_job", ["2024-01-03", "2024-01-31"], home=Path(sys.argv[1]), bridge=0))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_waits_for_a_slot_can_be_told_to_stop(tmp_path: Path, number: int):
    home = tmp_path / "home"
    with _holding_the_slot(home, tmp_path / "reached") as (_, holder):
        waiting = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WAITING, str(home)], stderr=subprocess.PIPE, text=True
        )
        assert waiting.stderr is not None
        for line in waiting.stderr:
            if f"held by run {holder[:8]}" in line:
                break
        waiting.send_signal(number)
        assert "KeyboardInterrupt" in waiting.communicate(timeout=60)[1]
        assert waiting.returncode not in (0, None)
        with open_instance(home) as instance:
            statuses = {run.status for run in instance.get_runs()}
            assert statuses == {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED}
            info = instance.event_log_storage.get_concurrency_info(DUCKDB_WRITER_POOL)
            assert info.active_run_ids == {holder}
            assert not info.pending_run_ids


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def test_a_run_waits_while_another_process_holds_the_event_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    run_id = str(uuid.uuid4())
    with open_instance(tmp_path) as instance:
        script = (
            "import sqlite3, sys, time\n"
            "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "connection.execute('BEGIN IMMEDIATE')\n"
            "print('locked', flush=True)\n"
            "time.sleep(4)\n"
        )
        index = tmp_path / "history" / "runs" / "index.db"
        command = [sys.executable, "-c", script, str(index)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            run_range(instance, run_id, *RANGE)
        assert len(instance.get_materialized_partitions(dg.AssetKey(["market", "prices"]))) == 29
    assert f"waiting for {index}, which another process has locked" in caplog.text


def test_an_event_log_that_stays_locked_ends_the_run_and_not_those_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FLATFILES_LOCK_TIMEOUT_SECONDS", "1")
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    with (
        open_instance(tmp_path) as instance,
        _locked(tmp_path / "history" / "runs" / "index.db"),
        pytest.raises(Exception, match="database is locked"),
    ):
        run_range(instance, first, *RANGE)
    monkeypatch.delenv("FLATFILES_LOCK_TIMEOUT_SECONDS")
    with open_instance(tmp_path) as instance:
        run_range(instance, second, *RANGE)
        assert len(instance.get_materialized_partitions(dg.AssetKey(["market", "prices"]))) == 29
        assert instance.event_log_storage.get_concurrency_info(DUCKDB_WRITER_POOL).active_slot_count == 0

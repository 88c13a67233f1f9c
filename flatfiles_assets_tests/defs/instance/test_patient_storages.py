"""Runs and ticks are stored although their database was locked for longer than SQLite waits."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import dagster as dg
import pytest

from flatfiles_assets.defs.instance.home import open_instance

pytestmark = pytest.mark.slow

# SQLite's own waiting in Dagster's stock storages ends after five seconds.
_LOCKED_SECONDS = 7.0


@pytest.mark.parametrize(
    ("database", "kind"), [("history/runs.db", "run"), ("schedules/schedules.db", "tick")]
)
def test_a_database_that_is_locked_for_long_is_waited_for(tmp_path: Path, database: str, kind: str):
    home = tmp_path / "home"
    with open_instance(home) as instance:
        path = next(home.rglob(Path(database).name))
        with sqlite3.connect(path, isolation_level=None, check_same_thread=False) as other:
            other.execute("BEGIN IMMEDIATE")
            timer = threading.Timer(_LOCKED_SECONDS, lambda: other.execute("COMMIT"))
            timer.start()
            begun = time.monotonic()
            if kind == "run":
                instance.add_run(dg.DagsterRun("job", run_id="0" * 36))
            else:
                _store_tick(instance)
            waited = time.monotonic() - begun
            timer.join()
        other.close()
        assert waited >= _LOCKED_SECONDS - 1
        if kind == "run":
            assert instance.get_run_by_id("0" * 36) is not None


def _store_tick(instance: dg.DagsterInstance) -> None:
    from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus

    instance.create_tick(
        TickData("origin", "sensor", InstigatorType.SENSOR, TickStatus.STARTED, time.time(), selector_id="s")
    )

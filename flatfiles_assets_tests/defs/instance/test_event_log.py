"""The batching event log stores what the stock one stores, only in fewer transactions."""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.test_utils import freeze_time
from dagster._serdes import deserialize_value, serialize_value

from flatfiles_assets.defs.instance import BatchingSqliteEventLogStorage, open_instance, prepare_home
from flatfiles_assets.defs.instance.event_log import planned_small
from flatfiles_assets_tests.defs.instance import range_job
from flatfiles_assets_tests.defs.instance.event_log_queries import (
    BARS,
    CHANGES_SOMETHING,
    EVENT_TYPES,
    HALF_LOADED,
    PRICES,
    QUERIES,
    REFUSED_BY_RUN_SHARDED_STORAGE,
    RUN_ID,
)
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


@dataclass
class Recording:
    """What one real range run asked its event log to store, in order."""

    run: dg.DagsterRun
    calls: list[list[EventLogEntry]] = field(default_factory=list)

    @property
    def asset_events(self) -> list[EventLogEntry]:
        return [event for call in self.calls if len(call) > 1 for event in call]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    with open_instance(tmp_path_factory.mktemp("recorded")) as instance:
        storage = instance.event_log_storage
        calls: list[list[EventLogEntry]] = []
        store_event, store_event_batch = storage.store_event, storage.store_event_batch

        def record_one(event: EventLogEntry) -> None:
            # The one difference from the stock storage, which has a test of its own below.
            calls.append([planned_small(event)])
            store_event(event)

        def record_batch(events: Sequence[EventLogEntry]) -> None:
            before = len(calls)
            store_event_batch(events)
            calls[before:] = [[planned_small(event) for event in events]]

        storage.store_event, storage.store_event_batch = record_one, record_batch
        range_job.run_range(instance, RUN_ID, "2024-01-03", "2024-01-31")
        run = instance.get_run_by_id(RUN_ID)
        assert run is not None
    recorded = Recording(run, calls)
    # Planned events of three assets and one check; materialisations of two assets.
    assert sorted(len(call) for call in calls if len(call) > 1) == [29, 29, 88]
    return recorded


def _stock_home(directory: Path) -> Path:
    """A home that differs from the shipped one in the event log's class alone."""
    home = prepare_home(directory)
    shipped = (home / "dagster.yaml").read_text()
    stock = (
        shipped.replace("flatfiles_assets.defs.instance.event_log", "dagster._core.storage.event_log")
        .replace("BatchingSqliteEventLogStorage", "SqliteEventLogStorage")
        .replace("    event_batch_size: 1000\n", "")
    )
    (home / "dagster.yaml").write_text(stock)
    return home


@dataclass
class Pair:
    stock: dg.DagsterInstance
    ours: dg.DagsterInstance

    def each(self, action: Callable[[dg.DagsterInstance], Any]) -> tuple[Any, Any]:
        return action(self.stock), action(self.ours)


@pytest.fixture
def pair(tmp_path: Path, recording: Recording) -> Iterator[Pair]:
    with (
        open_instance(_stock_home(tmp_path / "stock")) as stock,
        open_instance(tmp_path / "ours") as ours,
    ):
        assert type(stock.event_log_storage) is SqliteEventLogStorage
        assert type(ours.event_log_storage) is BatchingSqliteEventLogStorage
        for instance in (stock, ours):
            instance.add_run(recording.run._replace(job_snapshot_id=None, execution_plan_snapshot_id=None))
        yield Pair(stock, ours)


def _replay(instance: dg.DagsterInstance, calls: Sequence[Sequence[EventLogEntry]]) -> None:
    for call in calls:
        if len(call) == 1:
            instance.event_log_storage.store_event(call[0])
        else:
            instance.event_log_storage.store_event_batch(call)


SET_BY_THE_DATABASES_CLOCK = {"create_timestamp", "update_timestamp"}


def _tables(instance: dg.DagsterInstance) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of every database of the event log."""
    tables = {}
    base = Path(instance.event_log_storage._base_dir)
    for path in sorted(base.glob("*.db")):
        with closing(sqlite3.connect(path)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in names:
                if name not in {"secondary_indexes", "alembic_version"}:
                    cursor = connection.execute(f"SELECT * FROM {name}")
                    columns = [column[0] for column in cursor.description]
                    tables[f"{path.name}/{name}"] = [
                        {
                            column: value
                            for column, value in zip(columns, row, strict=True)
                            if column not in SET_BY_THE_DATABASES_CLOCK
                        }
                        for row in cursor
                    ]
    return tables


def _comparable(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, dict):
        return {repr(key): _comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    text = repr(value)
    assert " object at 0x" not in text, f"a {type(value)} says nothing about its contents"
    return re.sub(r"create_timestamp=[\d.]+", "", text)


def _answers(instance: dg.DagsterInstance) -> dict[str, Any]:
    return {name: _comparable(query(instance.event_log_storage)) for name, query in QUERIES.items()}


def _assert_same_answers(pair: Pair) -> None:
    stock, ours = pair.each(_answers)
    assert {name for name in stock if stock[name] != ours[name]} == set()
    stock_tables, our_tables = pair.each(_tables)
    assert our_tables == stock_tables


def test_every_public_query_of_dagsters_event_log_is_compared_below() -> None:
    """A Dagster that grows a query makes this fail, so that the query is looked at."""
    public = {name for name in dir(EventLogStorage) if not name.startswith("_")}
    assert public == set(QUERIES) | CHANGES_SOMETHING | REFUSED_BY_RUN_SHARDED_STORAGE


def test_after_a_real_range_run_every_query_answers_as_the_stock_storage_does(
    pair: Pair, recording: Recording
) -> None:
    with freeze_time(datetime.now(timezone.utc)):
        pair.each(lambda instance: _replay(instance, recording.calls))
        _assert_same_answers(pair)
        answers = _answers(pair.ours)
        assert len(pair.ours.get_materialized_partitions(BARS)) == 29
        assert len(pair.ours.get_materialized_partitions(HALF_LOADED)) == 14
        assert "2024-01-31" in str(answers["get_latest_tags_by_partition"])

        pair.each(lambda instance: instance.wipe_assets([BARS]))
        _assert_same_answers(pair)
        pair.each(lambda instance: instance.event_log_storage.delete_events(RUN_ID))
        _assert_same_answers(pair)
        pair.each(lambda instance: instance.event_log_storage.wipe())
        _assert_same_answers(pair)


@pytest.mark.parametrize("seed", range(2))
def test_any_order_and_mixture_of_events_in_a_batch_is_stored_as_one_by_one(
    pair: Pair, recording: Recording, seed: int
) -> None:
    """Planned after materialised, several assets, check events in between, batches of any size."""
    shuffled = random.Random(seed)
    events = shuffled.sample(recording.asset_events, 40)
    events += [call[0] for call in recording.calls if len(call) == 1][:6]
    shuffled.shuffle(events)
    for event in events:
        pair.stock.event_log_storage.store_event(event)
    while events:
        size = shuffled.randint(1, 20)
        pair.ours.event_log_storage.store_event_batch(events[:size])
        events = events[size:]
    stock, ours = pair.each(_tables)
    assert ours == stock


@pytest.mark.parametrize(
    ("days", "rows"), [(["2024-01-03"], ["2024-01-03"]), (["2024-01-03", "2024-01-04"], [None])]
)
def test_a_planned_check_is_stored_once_and_without_the_calendar(
    pair: Pair, recording: Recording, days: list[str], rows: list[str | None]
) -> None:
    """The stock storage writes a row for each partition of a range, which no evaluation completes."""
    planned = next(
        event
        for event in recording.asset_events
        if event.dagster_event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    )
    check = planned.get_dagster_event().event_specific_data
    of_days = AssetCheckEvaluationPlanned(
        asset_key=check.asset_key,
        check_name=check.check_name,
        partitions_subset=range_job.DAYS.subset_with_partition_keys(days).to_serializable_subset(),
    )
    event = planned._replace(dagster_event=planned.get_dagster_event()._replace(event_specific_data=of_days))
    pair.each(lambda instance: instance.event_log_storage.store_event(event))

    stock, ours = pair.each(_tables)
    table = "index.db/asset_check_executions"
    assert [row["partition"] for row in stock[table]] == days
    assert [row["partition"] for row in ours[table]] == rows
    assert len(ours[table][0]["evaluation_event"]) < len(stock[table][0]["evaluation_event"])


def test_a_batch_of_several_runs_goes_to_the_database_of_each(pair: Pair, recording: Recording) -> None:
    other = str(uuid.uuid4())
    events = recording.asset_events[:6]
    mixed = [event if i % 3 else event._replace(run_id=other) for i, event in enumerate(events)]
    pair.each(lambda instance: instance.event_log_storage.store_event_batch(mixed))
    stock, ours = pair.each(_tables)
    assert ours == stock
    assert len(ours[f"{other}.db/event_logs"]) == 2


def test_a_batch_that_fails_in_the_middle_leaves_nothing(pair: Pair, recording: Recording) -> None:
    storage = pair.ours.event_log_storage
    with closing(sqlite3.connect(Path(storage._base_dir) / "index.db")) as connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON asset_event_tags WHEN NEW.asset_key LIKE '%bars%'"
            " BEGIN SELECT RAISE(ABORT, 'disk on fire'); END"
        )
        connection.commit()
    materialised = next(call for call in recording.calls if len(call) == 29)
    with pytest.raises(Exception, match="disk on fire"):
        storage.store_event_batch(materialised)
    assert not any(rows for name, rows in _tables(pair.ours).items() if name.endswith("/event_logs"))
    assert storage.all_asset_keys() == []


KILLED = """
import sys
from pathlib import Path
from dagster._core.events.log import EventLogEntry
from dagster._serdes import deserialize_value
from flatfiles_assets.defs.instance import BatchingSqliteEventLogStorage
events = [deserialize_value(line, EventLogEntry) for line in Path(sys.argv[1]).read_text().splitlines()]
storage = BatchingSqliteEventLogStorage(sys.argv[2])
storage.store_event_batch(events)
print("ready", flush=True)
while True:
    storage.store_event_batch(events)
"""


def test_a_killed_writer_leaves_whole_batches_only(tmp_path: Path, recording: Recording) -> None:
    batch = next(call for call in recording.calls if len(call) == 29)
    (tmp_path / "events").write_text("\n".join(serialize_value(event) for event in batch))
    for attempt in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "events"), str(tmp_path / "log")],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.1 + 0.011 * attempt)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    counts = []
    for shard in (RUN_ID, "index"):
        with closing(sqlite3.connect(tmp_path / "log" / f"{shard}.db")) as connection:
            counts.append(connection.execute("SELECT count(*) FROM event_logs").fetchone()[0])
    assert counts[0] >= 2 * 29
    assert counts[0] % 29 == counts[1] % 29 == 0
    assert 0 <= counts[0] - counts[1] <= 2 * 29


def _start_range(home: Path, run_id: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "flatfiles_assets_tests.defs.instance.range_job",
        str(home),
        run_id,
        *arguments,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_two_processes_running_ranges_at_once_both_store_everything(tmp_path: Path) -> None:
    home = prepare_home(tmp_path / "home")
    open_instance(home).dispose()
    run_ids = [str(uuid.uuid4()) for _ in range(2)]
    processes = [_start_range(home, run_id) for run_id in run_ids]
    outputs = [process.communicate(timeout=PATIENCE_SECONDS)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert not any("Falling back to storing" in output for output in outputs)
    with open_instance(home) as instance:
        for key, expected in ((BARS, 29), (PRICES, 29), (HALF_LOADED, 14)):
            for event_type, count in zip(EVENT_TYPES, (expected, 29), strict=True):
                records = instance.get_event_records(dg.EventRecordsFilter(event_type, asset_key=key))
                assert {
                    run_id: sum(r.run_id == run_id for r in records) for run_id in run_ids
                } == dict.fromkeys(run_ids, count)
            assert len({record.storage_id for record in records}) == len(records)


def test_a_killed_run_is_failed_at_the_next_start_and_gives_its_pool_slot_back(tmp_path: Path) -> None:
    home = prepare_home(tmp_path / "home")
    run_id, reached = str(uuid.uuid4()), tmp_path / "reached"
    process = _start_range(home, run_id, "--wait", str(reached))
    try:
        while not reached.exists():
            assert process.poll() is None, process.communicate()[1].decode()
            time.sleep(0.05)
        with open_instance(home) as instance:  # the process lives: nothing may be done to its run
            assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTED
            assert instance.event_log_storage.get_concurrency_info("duckdb_writer").active_slot_count == 1
    finally:
        process.kill()
        process.communicate()
    with open_instance(home) as instance:
        assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.event_log_storage.get_concurrency_info("duckdb_writer").active_slot_count == 0
        assert "is gone" in instance.all_logs(run_id)[-1].message
        # The partitions that were done stay done.
        assert len(instance.get_materialized_partitions(BARS)) == 29
    assert not list(home.rglob("*.alive"))


def test_the_storage_is_rebuilt_as_itself_from_a_reference(tmp_path: Path) -> None:
    """Run workers get the instance as a reference; the stock class would build itself."""
    with open_instance(tmp_path) as instance:
        reference = deserialize_value(serialize_value(instance.get_ref()), dg._core.instance.InstanceRef)
        with dg.DagsterInstance.from_ref(reference) as rebuilt:
            assert type(rebuilt.event_log_storage) is BatchingSqliteEventLogStorage
            assert rebuilt.event_log_storage.inst_data is not None

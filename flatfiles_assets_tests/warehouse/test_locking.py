"""Turns: in order, within a limit, explained, and given back by the dead."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import WarehouseBusy
from flatfiles_assets.warehouse.locking import FileQueue
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.warehouse import processes
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, TUESDAY, day_bars
from flatfiles_assets_tests.warehouse.processes import CONTEXT, wait_for


@pytest.fixture
def queue(tmp_path: Path) -> FileQueue:
    return FileQueue(tmp_path / "queue", tmp_path / "warehouse.duckdb")


@pytest.fixture
def loaded(warehouse: Warehouse) -> Warehouse:
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    return warehouse


def tickets(directory: Path) -> int:
    return len(list(directory.glob("*.json")))


class Line:
    """Threads that queue one after the other, and the order in which they had their turn."""

    def __init__(self, queue: FileQueue, directory: Path) -> None:
        self._queue = queue
        self._directory = directory
        self._threads: list[threading.Thread] = []
        self.order: list[str] = []

    def join_in(self, mode: str, name: str) -> None:
        def take_turn() -> None:
            with self._queue.turn(mode, name, 60):
                self.order.append(name)

        queued = tickets(self._directory)
        thread = threading.Thread(target=take_turn)
        thread.start()
        self._threads.append(thread)
        wait_for(lambda: tickets(self._directory) > queued)

    def finish(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)


def test_writers_have_their_turn_in_the_order_in_which_they_came(queue: FileQueue, tmp_path: Path):
    line = Line(queue, tmp_path / "queue")
    names = [f"writer {number}" for number in range(8)]
    with queue.turn("write", "first", 5):
        for name in names:
            line.join_in("write", name)
        assert line.order == []
    line.finish()
    assert line.order == names


def test_a_stream_of_readers_does_not_starve_a_writer(queue: FileQueue, tmp_path: Path):
    """A reader that comes after a waiting writer waits too, though readers hold the file."""
    line = Line(queue, tmp_path / "queue")
    with queue.turn("read", "first", 5):
        line.join_in("write", "writer")
        line.join_in("read", "late reader")
        assert line.order == []
    line.finish()
    assert line.order == ["writer", "late reader"]


def test_writers_one_after_the_other_do_not_starve_a_reader(queue: FileQueue, tmp_path: Path):
    line = Line(queue, tmp_path / "queue")
    with queue.turn("write", "first", 5):
        line.join_in("read", "reader")
        line.join_in("write", "late writer")
    line.finish()
    assert line.order == ["reader", "late writer"]


def test_readers_share_their_turn(queue: FileQueue):
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read() -> None:
        with queue.turn("read", "test", 30):
            both.wait()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert not both.broken


def test_nothing_is_left_in_the_queue_by_turns_that_ended(queue: FileQueue, tmp_path: Path):
    with queue.turn("read", "test", 5):
        pass
    with contextlib.suppress(ZeroDivisionError), queue.turn("write", "test", 5):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "queue").iterdir()] == ["counter.lock"]


def test_who_gives_up_waiting_is_no_longer_in_the_way(queue: FileQueue, tmp_path: Path):
    with queue.turn("read", "first", 5):
        waiting = threading.Thread(target=lambda: _busy(queue))
        waiting.start()
        waiting.join(PATIENCE_SECONDS)
        with queue.turn("read", "second", 0.5):
            pass


def _busy(queue: FileQueue) -> None:
    with pytest.raises(WarehouseBusy), queue.turn("write", "impatient", 0.05):
        pass


@contextlib.contextmanager
def held(path: Path, purpose: str) -> Iterator[int]:
    """Another process is the writer; its id."""
    is_held = CONTEXT.Event()
    process = CONTEXT.Process(target=processes.hold_for_writing, args=(path, purpose, is_held))
    process.start()
    try:
        assert is_held.wait(PATIENCE_SECONDS)
        yield process.pid or 0
    finally:
        process.kill()
        process.join(PATIENCE_SECONDS)


@pytest.mark.parametrize("mode", ["read", "write"])
def test_at_the_limit_the_message_names_who_holds_the_file_and_what_for(
    loaded: Warehouse, path: Path, mode: str
):
    def ask() -> None:
        if mode == "read":
            loaded.reader(timeout=0.2).sql("SELECT 1")
        else:
            loaded.writer("test", timeout=0.2).__enter__()

    with held(path, "backfill of stocks_daily") as pid:
        named = rf"waited 0\.2 s.*process {pid} .*backfill of stocks_daily.*since"
        with pytest.raises(WarehouseBusy, match=named):
            ask()


def test_the_message_never_names_a_process_that_is_gone(loaded: Warehouse, path: Path):
    with held(path, "the dead") as pid:
        os.kill(pid, signal.SIGKILL)
        with held(path, "the living") as other, pytest.raises(WarehouseBusy) as error:
            loaded.reader(timeout=0.2).sql("SELECT 1")
    assert f"process {other} " in str(error.value)
    assert f"process {pid} " not in str(error.value)


def test_a_killed_holder_is_in_nobodys_way(loaded: Warehouse, path: Path):
    with held(path, "the dead") as pid:
        os.kill(pid, signal.SIGKILL)
        with loaded.writer("test", timeout=PATIENCE_SECONDS) as transaction:
            transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})


def test_a_process_killed_while_it_waits_is_in_nobodys_way(loaded: Warehouse, path: Path):
    directory = path.with_name("warehouse.duckdb.queue")
    with held(path, "first"):
        process = CONTEXT.Process(target=processes.queue_for_writing, args=(path, "second"))
        process.start()
        wait_for(lambda: tickets(directory) == 2)
        process.kill()
        process.join(PATIENCE_SECONDS)
    with loaded.writer("test", timeout=PATIENCE_SECONDS):
        assert tickets(directory) == 1


def test_a_child_forked_by_the_holder_does_not_keep_the_turn(loaded: Warehouse, path: Path):
    script = (
        "import os, sys, time\n"
        "from flatfiles_assets.warehouse.locking import FileQueue\n"
        "from pathlib import Path\n"
        f"queue = FileQueue(Path({str(path.with_name('warehouse.duckdb.queue'))!r}), Path({str(path)!r}))\n"
        "with queue.turn('write', 'parent', 5):\n"
        "    if os.fork() == 0:\n"
        "        print(os.getpid(), flush=True)\n"
        "        time.sleep(60)\n"
        "        os._exit(0)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        parent.wait(PATIENCE_SECONDS)
        with loaded.writer("test", timeout=PATIENCE_SECONDS):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()


def test_somebody_elses_duckdb_is_waited_for_and_then_named(loaded: Warehouse, path: Path):
    is_held = CONTEXT.Event()
    process = CONTEXT.Process(target=processes.hold_with_plain_duckdb, args=(path, is_held))
    process.start()
    try:
        assert is_held.wait(PATIENCE_SECONDS)
        with (
            pytest.raises(WarehouseBusy, match=rf"outside this package.*PID {process.pid}"),
            loaded.writer("test", timeout=0.3),
        ):
            pass
        assert len(loaded.reader().sql("FROM market.stocks_daily")) == 3  # readers may meet
        threading.Timer(0.3, process.kill).start()
        with loaded.writer("test", timeout=PATIENCE_SECONDS):
            pass
    finally:
        process.kill()
        process.join(PATIENCE_SECONDS)


def test_a_duckdb_connection_of_this_very_process_is_pointed_at(loaded: Warehouse, path: Path):
    with (
        duckdb.connect(path, read_only=True),
        pytest.raises(WarehouseBusy, match="this process has the file open"),
        loaded.writer("test", timeout=0.2),
    ):
        pass


def test_whoever_may_only_read_the_folder_reads_without_queueing():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warehouse.duckdb"
        with Warehouse(path).writer("test") as transaction:
            transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
        Path(folder).chmod(0o555)
        path.with_name("warehouse.duckdb.queue").chmod(0o555)
        results = CONTEXT.Queue()
        process = CONTEXT.Process(target=processes.count_rows_as_nobody, args=(path, results))
        process.start()
        assert results.get(timeout=PATIENCE_SECONDS) == ("PermissionError", 3)
        process.join(PATIENCE_SECONDS)
        Path(folder).chmod(0o755)
        path.with_name("warehouse.duckdb.queue").chmod(0o755)

"""What remembering costs the present: loads and reads, against the same warehouse that remembers nothing.

Both are this package's writer and reader on the same rows; in the peer the calls into the history do
nothing, and what is replaced is deleted without looking. In pairs, in turn, each first every other time;
CPU time of the process, all threads, and of each the least, for whatever else the machine does only adds.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.warehouse import transaction
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.history import History, Pending, Remembered
from flatfiles_assets.warehouse.table import TableKey, TableSchema, stored_name
from flatfiles_assets.warehouse.tables import get_table
from flatfiles_assets_tests.benchmarks.load import year_of_batches
from flatfiles_assets_tests.benchmarks.report import Row

LOAD_PAIRS = 7
READ_PAIRS = 200
DAYS_LOADED_SINGLY = 21

_TABLE = get_table(("market", "stocks_daily"))
_PEER = "history switched off"

Batch = tuple[list[dt.date], pa.Table]


class _Forgetful(History):
    """A history that keeps nothing."""

    def conclude(self, purpose: str, run_id: str | None) -> None:
        pass

    def note_columns(self, table: TableSchema) -> None:
        pass

    def drop(self, key: TableKey) -> None:
        self._run(f"DROP TABLE {stored_name(key)}")

    def before(self, table: TableSchema, condition: str, values: Sequence[Any]) -> Pending:
        # Something may be there: delete it, as one does who does not look.
        known = Remembered(table.key, (), None, "")
        return Pending(self, known, condition, tuple(values), {""})

    def after(self, pending: Pending, now: set[str] | None) -> None:
        pass

    def keep_changes(self, table: TableSchema, query: str, changed: Sequence[str]) -> None:
        pass


def run() -> list[Row]:
    """Load a year in quarters and a month day by day, and read a year of which every row was replaced."""
    quarters = year_of_batches()
    days = [_one_day(quarters[0], day) for day in quarters[0][0][:DAYS_LOADED_SINGLY]]
    rows = [
        _row("load a year of day bars, 4 transactions", *_load_pairs(quarters), "<= 1.05"),
        _row(f"load {len(days)} sessions of day bars, one each", *_load_pairs(days), "<= 1.05"),
    ]
    return rows + _reads(quarters[:1])


def _row(claim: str, ours: float, peer: float, asked: str) -> Row:
    return Row(claim, ours, _PEER, peer, "CPU s", ours / peer, asked)


def _load_pairs(batches: list[Batch]) -> tuple[float, float]:
    return _least(lambda: _timed_load(batches), _without_history(lambda: _timed_load(batches)), LOAD_PAIRS)


def _timed_load(batches: list[Batch]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder) / "warehouse.duckdb")
        return _cpu_seconds(lambda: load(warehouse, batches))


def _reads(batches: list[Batch]) -> list[Row]:
    """Read what was loaded and then replaced by other rows, so that the history is as large as the table."""
    day, ticker = batches[0][0][40], batches[0][1].column("ticker")[5000].as_py()
    queries = {
        "one session": f"SELECT * FROM market.stocks_daily WHERE trade_date = DATE '{day}'",
        "one ticker": f"SELECT * FROM market.stocks_daily WHERE ticker = '{ticker}'",
        "every close": "SELECT trade_date, avg(close) FROM market.stocks_daily GROUP BY 1",
    }
    with tempfile.TemporaryDirectory() as folder:
        ours, peer = (Warehouse(Path(folder) / f"{name}.duckdb") for name in ("ours", "peer"))
        _load_and_replace(ours, batches)
        with _forgetting():
            _load_and_replace(peer, batches)
        return [
            _row(
                f"read {what}, opening the file, every row replaced once",
                *_read_pairs(ours, peer, query),
                "<= 1.02",
            )
            for what, query in queries.items()
        ]


def _read_pairs(ours: Warehouse, peer: Warehouse, query: str) -> tuple[float, float]:
    def read(warehouse: Warehouse) -> float:
        return _cpu_seconds(lambda: warehouse.reader().sql(query).to_arrow())

    return _least(lambda: read(ours), lambda: read(peer), READ_PAIRS)


def _load_and_replace(warehouse: Warehouse, batches: list[Batch]) -> None:
    load(warehouse, batches)
    load(warehouse, other_volumes(batches))


def load(warehouse: Warehouse, batches: list[Batch]) -> None:
    """Replace the sessions of each batch in a transaction of its own."""
    for sessions, rows in batches:
        with warehouse.writer("benchmark") as writing:
            writing.replace(_TABLE, rows, {"trade_date": sessions})


def other_volumes(batches: list[Batch]) -> list[Batch]:
    """The same bars, each with another volume."""
    place = _TABLE.column_names.index("volume")
    return [
        (sessions, rows.set_column(place, rows.field(place), pc.add(rows.column(place), 1.0)))
        for sessions, rows in batches
    ]


def _one_day(batch: Batch, day: dt.date) -> Batch:
    _, rows = batch
    return [day], rows.filter(pc.equal(rows.column("trade_date"), pa.scalar(day)))


def _least(ours: Callable[[], float], peer: Callable[[], float], pairs: int) -> tuple[float, float]:
    ours_seconds, peer_seconds = [], []
    for number in range(pairs):
        turns = [(ours, ours_seconds), (peer, peer_seconds)]
        for measure, seconds in turns if number % 2 else reversed(turns):
            seconds.append(measure())
    return min(ours_seconds), min(peer_seconds)


def _cpu_seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def _without_history(measure: Callable[[], float]) -> Callable[[], float]:
    def measured() -> float:
        with _forgetting():
            return measure()

    return measured


@contextmanager
def _forgetting() -> Iterator[None]:
    transaction.History = _Forgetful  # type: ignore[misc]
    try:
        yield
    finally:
        transaction.History = History  # type: ignore[misc]

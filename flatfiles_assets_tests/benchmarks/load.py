"""A year of day bars from Arrow into DuckDB: the warehouse's writer against a bare INSERT.

Both load the same Arrow tables, one transaction per batch of sessions, into a new file, opening
and closing it for each. The bare one neither locks, checks columns and sessions, looks at the
order, replaces what was there nor counts; what that costs is the ratio.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.tables import get_table
from flatfiles_assets_tests.benchmarks.report import Row

SESSION_COUNT = 252
TICKER_COUNT = 11_000
SESSIONS_PER_BATCH = 63
RUNS = 5

_TABLE = get_table(("market", "stocks_daily"))

Batch = tuple[list[dt.date], pa.Table]


def run() -> list[Row]:
    """Load the year both ways, in turn, on new files; medians."""
    batches = year_of_batches()
    ours_seconds, bare_seconds = [], []
    for _ in range(RUNS):
        # In turn, so that whatever else the machine does falls on both alike.
        bare_seconds.append(_seconds(_load_bare, batches))
        ours_seconds.append(_seconds(_load_through_the_warehouse, batches))
    ours, bare = median(ours_seconds), median(bare_seconds)
    row_count = sum(rows.num_rows for _, rows in batches)
    return [
        Row(
            claim=f"load {row_count:,} day bars from Arrow into DuckDB, {len(batches)} transactions",
            ours=ours,
            peer_name=f"bare INSERT, DuckDB {duckdb.__version__}",
            peer=bare,
            unit="s",
            ratio=ours / bare,
            asked="<= 1.3",
        )
    ]


def _seconds(load: Callable[[Path, list[Batch]], None], batches: list[Batch]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        load(Path(folder) / "warehouse.duckdb", batches)
        return time.perf_counter() - started


def _load_through_the_warehouse(path: Path, batches: list[Batch]) -> None:
    warehouse = Warehouse(path)
    for sessions, rows in batches:
        with warehouse.writer("benchmark") as transaction:
            transaction.replace(_TABLE, rows, {"trade_date": sessions})


def _load_bare(path: Path, batches: list[Batch]) -> None:
    for _, rows in batches:
        with duckdb.connect(path) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS stocks_daily (trade_date DATE, ticker VARCHAR, open DOUBLE, "
                "high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE, transactions BIGINT)"
            )
            connection.register("arrow_table", rows)
            connection.execute("INSERT INTO stocks_daily SELECT * FROM arrow_table")


def year_of_batches() -> list[Batch]:
    """A year of sessions in four batches, in the table's order."""
    days = calendars.sessions("XNYS", dt.date(2023, 1, 3), dt.date(2024, 12, 31))[:SESSION_COUNT]
    random = np.random.default_rng(2023)
    tickers = pa.array(sorted(f"{number:X}" for number in range(4096, 4096 + TICKER_COUNT)))
    tables = [_session(day, tickers, random) for day in days]
    return [
        (
            list(days[start : start + SESSIONS_PER_BATCH]),
            pa.concat_tables(tables[start : start + SESSIONS_PER_BATCH]),
        )
        for start in range(0, SESSION_COUNT, SESSIONS_PER_BATCH)
    ]


def _session(day: dt.date, tickers: pa.Array, random: np.random.Generator) -> pa.Table:
    count = len(tickers)
    opened, closed = np.round(random.lognormal(3, 1, (2, count)), 2)
    return pa.table(
        {
            "trade_date": pa.array([day] * count, pa.date32()),
            "ticker": tickers,
            "open": opened,
            "high": np.maximum(opened, closed) + 0.5,
            "low": np.minimum(opened, closed) - 0.5,
            "close": closed,
            "volume": np.floor(random.lognormal(11, 2, count)),
            "transactions": random.integers(1, 50_000, count),
        },
        schema=_TABLE.arrow_schema,
    )

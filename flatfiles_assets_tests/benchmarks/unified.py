"""A year of `market/daily_prices` over both sources in one range run, against a bare INSERT ... SELECT."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

import duckdb
import numpy as np
import pyarrow as pa

from flatfiles_assets.calendars import sessions
from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.assets.daily_prices import daily_prices_partitions
from flatfiles_assets.defs.keys import DAILY_PRICES_KEY
from flatfiles_assets.defs.runs import run_ranges
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.table import TableSchema
from flatfiles_assets.warehouse.tables import HISTORICAL_DAILY, get_table
from flatfiles_assets_tests.benchmarks import _empty_run
from flatfiles_assets_tests.benchmarks.report import Row

YEAR = ("2008-01-02", "2008-12-31")
FLAT_SYMBOLS, ARCHIVE_SYMBOLS = 11_000, 5_000
RUNS = 3
_COLUMNS = "trade_date, ticker, open, high, low, close, volume, transactions"


def run() -> list[Row]:
    """One row: seconds per million rows, ours through Dagster and the bare statement."""
    days = sessions("XNYS", *YEAR)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        warehouse = Warehouse(folder / "warehouse" / "warehouse.duckdb")
        _fill(warehouse, get_table(("market", "stocks_daily")), days, FLAT_SYMBOLS)
        _fill(warehouse, HISTORICAL_DAILY, days, ARCHIVE_SYMBOLS)
        ours, bare, empty, rows = [], [], [], 0
        for number in range(RUNS):
            # Both begin without the table.
            with warehouse.writer("start anew") as transaction:
                transaction.execute("DROP TABLE IF EXISTS source.market.daily_prices")
            with mock.patch.dict(os.environ, {"FLATFILES_DATA_DIR": str(folder)}):
                defs = build_defs()
                started = time.perf_counter()
                (done,) = run_ranges(defs, "daily_prices", [str(day) for day in days], home=folder / "home")
                ours.append(time.perf_counter() - started)
            if not done.succeeded:
                raise RuntimeError(done.message)
            seconds, rows = _bare(warehouse.path, folder / f"bare{number}.duckdb")
            bare.append(seconds)
            empty.append(
                _empty_run.seconds(
                    folder / f"empty{number}", daily_prices_partitions(), [DAILY_PRICES_KEY], days
                )
            )
    mine = statistics.median(ours) / rows * 1e6
    peer = (statistics.median(bare) + statistics.median(empty)) / rows * 1e6
    return [
        Row(
            f"market/daily_prices, {len(days)} sessions of both sources ({rows:,} rows), the whole range run",
            mine,
            f"bare INSERT ... SELECT {statistics.median(bare):.2f} s + empty range run "
            f"{statistics.median(empty):.2f} s",
            peer,
            "s/M rows",
            mine / peer,
            "<= 1.5",
        )
    ]


def _fill(warehouse: Warehouse, table: TableSchema, days: list[dt.date], symbols: int) -> None:
    rng = np.random.default_rng(symbols)
    names = pa.array([f"S{number:05d}" for number in range(symbols)])
    for first in range(0, len(days), 32):
        chosen = days[first : first + 32]
        count = len(chosen) * symbols
        close = np.round(rng.lognormal(3.5, 1.0, count), 2) + 1
        columns = {
            "trade_date": pa.array(np.repeat(np.array(chosen, dtype="datetime64[D]"), symbols)),
            "ticker": pa.concat_arrays([names] * len(chosen)),
            **{name: pa.array(close) for name in ("open", "high", "low", "close", "adjusted_close")},
            "volume": pa.array(rng.integers(100, 10**7, count).astype(float)),
            "transactions": pa.array(rng.integers(1, 10**5, count)),
            "source_file": pa.array(["2008.csv"] * count),
        }
        rows = pa.table({name: columns[name] for name in table.column_names})
        with warehouse.writer("fill") as transaction:
            transaction.replace(table, rows, where={"trade_date": chosen})


def _bare(source: Path, target: Path) -> tuple[float, int]:
    """The same rows by one statement into a new file: no transaction of ours, no checks, no records."""
    connection = duckdb.connect(str(target))
    connection.execute(f"ATTACH '{source}' AS source (READ_ONLY)")
    started = time.perf_counter()
    connection.execute(
        "CREATE TABLE daily_prices (trade_date DATE, ticker VARCHAR, open DOUBLE, high DOUBLE, low DOUBLE,"
        " close DOUBLE, volume DOUBLE, transactions BIGINT, source VARCHAR)"
    )
    connection.execute(
        f"INSERT INTO daily_prices SELECT {_COLUMNS}, 'flat_files' FROM source.market.stocks_daily"
        f" UNION ALL SELECT {_COLUMNS}, 'historical' FROM source.market.historical_daily"
        " WHERE trade_date NOT IN (SELECT trade_date FROM source.market.stocks_daily)"
    )
    (rows,) = connection.execute("SELECT count(*) FROM daily_prices").fetchone() or (0,)
    connection.close()
    return time.perf_counter() - started, int(rows)

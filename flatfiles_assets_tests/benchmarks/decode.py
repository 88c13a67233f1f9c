"""Decoding one minute file: against DuckDB's and pandas' readers, and memory against the file's length."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from isal import igzip
from pyarrow import csv as arrow_csv

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.ingest.flat_files.reader import read_flat_file
from flatfiles_assets_tests.benchmarks.report import Row, median_seconds

ROWS = 1_700_000
TICKERS = 6_000
TIMES_LONGER = 20

MINUTE = get_dataset("stocks_minute")
_FIRST_MINUTE_NS = 1_704_186_000_000_000_000  # 2024-01-02 04:00 New York
_SQL_TYPES = {pa.string(): "VARCHAR", pa.float64(): "DOUBLE", pa.int64(): "BIGINT"}
_PANDAS_TYPES = {pa.string(): "object", pa.float64(): "float64", pa.int64(): "int64"}


def run() -> list[Row]:
    """Times of one file, and peak memory of one twenty times as long."""
    with tempfile.TemporaryDirectory(prefix="flatfiles-bench-") as directory:
        path = Path(directory) / "2024-01-02.csv.gz"
        content = minute_file(ROWS)
        path.write_bytes(gzip.compress(content, 6))
        return [*_speed_rows(path), _memory_row(path, content)]


def minute_file(rows: int, seed: int = 20240102) -> bytes:
    """CSV of minute bars in the vendor's columns: sorted tickers, gaps between minutes, random walks."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    symbols = sorted({"".join(rng.choice(letters, rng.integers(2, 6))) for _ in range(TICKERS * 2)})
    symbols = sorted(rng.choice(symbols, TICKERS, replace=False).tolist())
    # Few tickers trade every minute and most trade few: that is what the vendor's files look like.
    weights = rng.pareto(0.9, TICKERS) + 0.1
    counts = np.minimum(960, np.maximum(1, (weights / weights.sum() * rows * 3).astype(np.int64)))
    counts = np.minimum(960, np.maximum(1, counts * rows // counts.sum() + 1))
    while counts.sum() < rows:
        counts[rng.integers(0, TICKERS, TICKERS // 4)] += 20
        counts = np.minimum(960, counts)
    owner = np.repeat(np.arange(TICKERS), counts)[:rows]
    minutes = np.concatenate([np.sort(rng.choice(960, count, replace=False)) for count in counts])[:rows]
    price = np.exp(rng.normal(3.2, 1.1, TICKERS))[owner] * np.exp(np.cumsum(rng.normal(0, 1e-5, rows)))
    opens = np.round(price * (1 + rng.normal(0, 2e-3, rows)), 2)
    closes = np.round(price * (1 + rng.normal(0, 2e-3, rows)), 4)
    spread = np.abs(rng.normal(0, 1e-3, rows)) * price
    table = pa.table(
        {
            "ticker": np.array(symbols)[owner],
            "volume": np.ceil(rng.pareto(1.2, rows) * 120).astype(np.int64) + 1,
            "open": opens,
            "close": closes,
            "high": np.round(np.maximum(opens, closes) + spread, 4),
            "low": np.round(np.minimum(opens, closes) - spread, 4),
            "window_start": _FIRST_MINUTE_NS + minutes * 60 * 10**9,
            "transactions": np.ceil(rng.pareto(1.5, rows) * 4).astype(np.int64) + 1,
        }
    )
    buffer = io.BytesIO()
    arrow_csv.write_csv(table, buffer, arrow_csv.WriteOptions(quoting_style="none", quoting_header="none"))
    return buffer.getvalue()


def _speed_rows(path: Path) -> list[Row]:
    ours = median_seconds(lambda: _decode(path), runs=5)
    with_duckdb = median_seconds(lambda: _decode_with_duckdb(path))
    with_pandas = median_seconds(lambda: _decode_with_pandas(path))
    claim = f"decode a minute file, {ROWS / 1e6:.1f} M rows"
    return [
        Row(claim, ours, "DuckDB read_csv", with_duckdb, "s", with_duckdb / ours, ">= 1.8"),
        Row(claim, ours, "gzip + pandas", with_pandas, "s", with_pandas / ours, ">= 3"),
    ]


def _decode(path: Path) -> pa.Table:
    return _complete(pa.Table.from_batches(read_flat_file(path, MINUTE)))


def _decode_with_duckdb(path: Path) -> pa.Table:
    columns = {column.name: _SQL_TYPES[column.type] for column in MINUTE.columns}
    query = f"FROM read_csv('{path}', columns = {columns}, header = true, auto_detect = false, delim = ',')"
    with duckdb.connect(":memory:") as connection:
        return _complete(connection.sql(query).to_arrow_table())


def _decode_with_pandas(path: Path) -> pd.DataFrame:
    types = {column.name: _PANDAS_TYPES[column.type] for column in MINUTE.columns}
    frame = pd.read_csv(path, compression="gzip", dtype=types, keep_default_na=False)
    assert len(frame) == ROWS
    return frame


def _complete(table: pa.Table) -> pa.Table:
    assert table.num_rows == ROWS
    return table


def _memory_row(path: Path, content: bytes) -> Row:
    """Each file is decoded in a process of its own, whose highest memory the kernel tells."""
    longer = path.with_name("longer.csv.gz")
    member = igzip.compress(content[content.index(b"\n") + 1 :])
    shutil.copyfile(path, longer)
    with longer.open("ab") as file:
        for _ in range(TIMES_LONGER - 1):
            file.write(member)
    one, many = _peak_mebibytes(path, ROWS), _peak_mebibytes(longer, TIMES_LONGER * ROWS)
    claim = f"peak memory, a file {TIMES_LONGER} times as long ({TIMES_LONGER * ROWS / 1e6:.0f} M rows)"
    return Row(claim, many, "the single file", one, "MiB", many / one, "<= 1.1")


# VmHWM, because ru_maxrss of a new process begins with the memory of the one that started it.
_PEAK = """
import sys
from pathlib import Path
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.ingest.flat_files.reader import read_flat_file
rows = sum(batch.num_rows for batch in read_flat_file(sys.argv[1], get_dataset("stocks_minute")))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(rows, status["VmHWM"].split()[0])
"""


def _peak_mebibytes(path: Path, rows: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)], check=True, capture_output=True, text=True
    )
    decoded, peak_kibibytes = map(int, done.stdout.split())
    assert decoded == rows
    return peak_kibibytes / 1024

"""The same work without a platform: fetch, verify, write, decode, apply the rules, load.

What a careful person writes by hand, in the same order: each file is compared with its ETag and hashed,
each row must satisfy the rules of the feed, and rejected rows are kept. No ledger, no asset checks, no
record of any run; a file that breaks a rule in every row, or a key twice, ends the script.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import obstore
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from isal import igzip
from obstore.store import S3Store

from flatfiles_assets.calendars import day_bounds_ns
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.ingest.placeholder_tickers import DEFAULT_TEST_TICKERS
from flatfiles_assets_tests import s3_servers

_TYPES = {column.name: column.type for column in get_dataset("stocks_daily").columns}
_DAYS_A_TRANSACTION = 64
_BAR_ORDER = (("high", "low"), ("high", "open"), ("high", "close"), ("open", "low"), ("close", "low"))
_TEST_TICKERS = pa.array(sorted(DEFAULT_TEST_TICKERS), pa.string())


def seconds(server: s3_servers.S3Server, folder: Path, days: list[dt.date]) -> float:
    """Wall time of the year of day bars from the bucket to a DuckDB file."""
    started = time.perf_counter()
    folder.mkdir(parents=True)
    store = S3Store(
        "flatfiles",
        endpoint=server.endpoint_url,
        access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    catalog = S3Catalog()

    def fetch(day: dt.date) -> Path:
        result = obstore.get(store, catalog.get_stocks_daily_key(day))
        body = bytes(result.bytes())
        if hashlib.md5(body, usedforsecurity=False).hexdigest() != result.meta["e_tag"].strip('"'):
            raise RuntimeError(f"{day} arrived damaged")
        hashlib.sha256(body).hexdigest()
        path = folder / f"{day}.csv.gz"
        path.write_bytes(body)
        return path

    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(fetch, days))
    connection = duckdb.connect(str(folder / "bare.duckdb"))
    columns = (
        "trade_date DATE, ticker VARCHAR, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE,"
        " volume DOUBLE, transactions BIGINT"
    )
    for table in ("stocks_daily", "quarantine"):
        connection.execute(f"CREATE TABLE {table} ({columns})")
    for first in range(0, len(days), _DAYS_A_TRANSACTION):
        batch = range(first, min(first + _DAYS_A_TRANSACTION, len(days)))
        checked = [_apply_rules(_decode(paths[position]), days[position]) for position in batch]
        for table, tables in zip(("stocks_daily", "quarantine"), zip(*checked, strict=True), strict=True):
            connection.register("rows", pa.concat_tables(tables))
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM rows")
            connection.unregister("rows")
    connection.close()
    return time.perf_counter() - started


def _decode(path: Path) -> pa.Table:
    with igzip.open(path) as file:
        return pyarrow.csv.read_csv(
            file,
            convert_options=pyarrow.csv.ConvertOptions(column_types=_TYPES, strings_can_be_null=False),
        )


def _apply_rules(table: pa.Table, day: dt.date) -> tuple[pa.Table, pa.Table]:
    """Accepted and rejected rows."""
    start_ns, end_ns = day_bounds_ns(day, "America/New_York")
    good = pc.and_(pc.greater_equal(table["window_start"], start_ns), pc.less(table["window_start"], end_ns))
    for name in ("open", "high", "low", "close", "volume"):
        good = pc.and_(good, pc.and_(pc.is_finite(table[name]), pc.greater_equal(table[name], 0)))
    good = pc.and_(good, pc.greater_equal(table["transactions"], 0))
    for upper, lower in _BAR_ORDER:
        good = pc.and_(good, pc.greater_equal(table[upper], table[lower]))
    tickers = table["ticker"]
    good = pc.and_(good, pc.not_equal(pc.utf8_trim_whitespace(tickers), ""))
    good = pc.and_(good, pc.invert(pc.is_in(tickers, value_set=_TEST_TICKERS)))
    good = pc.fill_null(good, False)
    table = table.drop_columns(["window_start"])
    table = table.append_column("trade_date", pa.array([day] * table.num_rows, pa.date32()))
    if pc.all(good).as_py():
        accepted, rejected = table, table.slice(0, 0)
    else:
        accepted, rejected = table.filter(good), table.filter(pc.invert(good))
    if not accepted.num_rows or pc.count_distinct(accepted["ticker"]).as_py() != accepted.num_rows:
        raise RuntimeError(f"{day} needs a look")
    return accepted, rejected

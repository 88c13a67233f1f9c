"""The same work without a platform: fetch, hash, write, decode, load; no checks, no records."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import obstore
import pyarrow as pa
import pyarrow.csv
from isal import igzip
from obstore.store import S3Store

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets_tests import s3_servers

_TYPES = {column.name: column.type for column in get_dataset("stocks_daily").columns}
_DAYS_A_TRANSACTION = 64


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
        body = bytes(obstore.get(store, catalog.get_stocks_daily_key(day)).bytes())
        hashlib.sha256(body).hexdigest()
        path = folder / f"{day}.csv.gz"
        path.write_bytes(body)
        return path

    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(fetch, days))
    connection = duckdb.connect(str(folder / "bare.duckdb"))
    connection.execute(
        "CREATE TABLE stocks_daily (trade_date DATE, ticker VARCHAR, open DOUBLE, high DOUBLE, low DOUBLE,"
        " close DOUBLE, volume DOUBLE, transactions BIGINT)"
    )
    for first in range(0, len(days), _DAYS_A_TRANSACTION):
        batch = range(first, min(first + _DAYS_A_TRANSACTION, len(days)))
        rows = pa.concat_tables(_decode(paths[position], days[position]) for position in batch)
        connection.register("rows", rows)
        connection.execute("INSERT INTO stocks_daily BY NAME SELECT * FROM rows")
        connection.unregister("rows")
    connection.close()
    return time.perf_counter() - started


def _decode(path: Path, day: dt.date) -> pa.Table:
    with igzip.open(path) as file:
        table = pyarrow.csv.read_csv(
            file,
            convert_options=pyarrow.csv.ConvertOptions(column_types=_TYPES, strings_can_be_null=False),
        )
    table = table.drop_columns(["window_start"])
    return table.append_column("trade_date", pa.array([day] * table.num_rows, pa.date32()))

"""The recipe of the tutorials: S3Resource, pandas, DuckDBPandasIOManager, a partition a run."""

import gzip
import os
from pathlib import Path

import dagster as dg
import pandas as pd
from dagster_aws.s3 import S3Resource
from dagster_duckdb_pandas import DuckDBPandasIOManager

days = dg.DailyPartitionsDefinition(start_date="2024-01-01")
SCRATCH = Path(os.environ["BENCH_SCRATCH"])


@dg.asset(partitions_def=days)
def raw_file(context: dg.AssetExecutionContext, s3: S3Resource) -> str:
    day = context.partition_key
    path = SCRATCH / f"stock-{day}.csv.gz"
    key = f"us_stocks_sip/day_aggs_v1/{day[:4]}/{day[5:7]}/{day}.csv.gz"
    s3.get_client().download_file(os.environ["FLATFILES_BUCKET"], key, str(path))
    return str(path)


@dg.asset(partitions_def=days, io_manager_key="duckdb", metadata={"partition_expr": "trade_date"})
def stocks_daily(context: dg.AssetExecutionContext, raw_file: str) -> pd.DataFrame:
    with gzip.open(raw_file) as file:
        frame = pd.read_csv(file, keep_default_na=False, dtype={"ticker": str})
    frame.insert(0, "trade_date", pd.Timestamp(context.partition_key))
    return frame


defs = dg.Definitions(
    assets=[raw_file, stocks_daily],
    resources={
        "s3": S3Resource(
            endpoint_url=os.environ["FLATFILES_ENDPOINT_URL"],
            aws_access_key_id=os.environ["FLATFILES_ACCESS_KEY_ID"],
            aws_secret_access_key=os.environ["FLATFILES_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        ),
        "duckdb": DuckDBPandasIOManager(database=str(SCRATCH / "stock.duckdb")),
    },
)

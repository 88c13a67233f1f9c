"""The names by which Dagster knows us: asset keys, pools, owners, tags, resources.

Here: every such name, once. Not here: what an asset is (`assets/`), and tables' names in SQL
(`warehouse/table.py`).
"""

from __future__ import annotations

import dagster as dg

from flatfiles_assets.datasets import Dataset

DUCKDB_WRITER_POOL = "duckdb_writer"
OWNERS = ["team:market-data"]

#: Tag of every asset and job of a feed: the feed's name.
FEED_TAG = "feed"

#: Tag of every run of a feed: the shipped `dagster.yaml` limits how many go on at once.
RUN_FEED_TAG = "flatfiles/feed"

#: Tags of requested runs: a digest of the work they were requested for, why, and of which directory.
WORK_TAG = "flatfiles/sync"
WHY_TAG = "flatfiles/why"
DIRECTORY_TAG = "flatfiles/directory"

#: Key of the IO manager that loads tables of the warehouse.
WAREHOUSE_IO = "warehouse_io"

#: The stores that others fill.
VENDOR_BUCKET_KEY = dg.AssetKey(["stores", "vendor_bucket"])
USER_BUCKET_KEY = dg.AssetKey(["stores", "user_bucket"])

HISTORICAL_ZIP_KEY = dg.AssetKey(["raw", "historical_zip"])
EXTRACTED_YEAR_KEY = dg.AssetKey(["historical", "extracted_year"])
HISTORICAL_DAILY_KEY = dg.AssetKey(["market", "historical_daily"])
STOCKS_DAILY_KEY = dg.AssetKey(["market", "stocks_daily"])
DAILY_PRICES_KEY = dg.AssetKey(["market", "daily_prices"])
PRICE_RECONCILIATION_KEY = dg.AssetKey(["market", "price_reconciliation"])
QUARANTINE_KEY = dg.AssetKey(["market", "quarantine"])

#: Metadata of ``reference/securities``: ranges of sessions in which a series is another one since then.
CHANGED_SERIES = "sessions_with_other_series"
#: Likewise, ranges of sessions in which a security is of another kind.
CHANGED_TYPES = "sessions_with_other_types"


def raw_key(dataset: Dataset) -> dg.AssetKey:
    """Key of the asset that is the feed's files."""
    return dg.AssetKey(["raw", dataset.name])


def market_key(dataset: Dataset) -> dg.AssetKey:
    """Key of the asset that is the feed's table."""
    return dg.AssetKey(["market", dataset.name])


def raw_directory_key(directory: str) -> dg.AssetKey:
    """Key of the asset that is a directory of the user's bucket."""
    return dg.AssetKey(["raw", _directory_asset(directory)])


def market_directory_key(directory: str) -> dg.AssetKey:
    """Key of the asset that is a directory's table."""
    return dg.AssetKey(["market", _directory_asset(directory)])


def _directory_asset(directory: str) -> str:
    # `options` alone would read as the vendor's option feeds.
    return "options_directory" if directory == "options" else directory


def reference_key(name: str) -> dg.AssetKey:
    """Key of an asset of reference data, e.g. ``splits``."""
    return dg.AssetKey(["reference", name])


def algorithm_key(name: str) -> dg.AssetKey:
    """Key of an algorithm's table."""
    return dg.AssetKey(["algorithm", name])

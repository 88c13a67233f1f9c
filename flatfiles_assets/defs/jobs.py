"""Jobs: named selections of assets that schedules, sensors and the command line launch.

Here: what belongs together in one run. Not here: when it runs (`sensors.py`, `schedules.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.datasets import Dataset
from flatfiles_assets.defs.dagster_internals.jobs import UnresolvedAssetJobDefinition
from flatfiles_assets.defs.keys import (
    DAILY_PRICES_KEY,
    EXTRACTED_YEAR_KEY,
    FEED_TAG,
    HISTORICAL_DAILY_KEY,
    HISTORICAL_ZIP_KEY,
    PRICE_RECONCILIATION_KEY,
    RUN_FEED_TAG,
    algorithm_key,
    market_directory_key,
    market_key,
    raw_directory_key,
    raw_key,
    reference_key,
)
from flatfiles_assets.minio_data_downloader import DIRECTORIES


def build_feed_job(dataset: Dataset) -> UnresolvedAssetJobDefinition:
    """The job of one feed: fetch its files and load them, for one session or a range."""
    return dg.define_asset_job(
        name=dataset.name,
        selection=dg.AssetSelection.assets(raw_key(dataset), market_key(dataset)),
        description=f"Fetch and load {dataset.title[0].lower()}{dataset.title[1:]}.",
        tags={FEED_TAG: dataset.name, RUN_FEED_TAG: dataset.name},
    )


def build_bucket_jobs() -> list[UnresolvedAssetJobDefinition]:
    """The jobs of the user's own bucket and of what is unified from both sources."""
    selections = {
        "historical_years": (
            dg.AssetSelection.assets(HISTORICAL_ZIP_KEY, EXTRACTED_YEAR_KEY),
            "Fetch and extract yearly archives.",
        ),
        "historical_daily": (
            dg.AssetSelection.assets(HISTORICAL_DAILY_KEY),
            "Load sessions of extracted years.",
        ),
        "directories": (
            dg.AssetSelection.assets(
                *(
                    key(directory)
                    for directory in DIRECTORIES
                    for key in (raw_directory_key, market_directory_key)
                )
            ),
            "Synchronise the directories and load their tables.",
        ),
        "daily_prices": (
            dg.AssetSelection.assets(DAILY_PRICES_KEY),
            "Unify the prices of both sources.",
        ),
        "price_reconciliation": (
            dg.AssetSelection.assets(PRICE_RECONCILIATION_KEY),
            "Compare both sources where they overlap.",
        ),
    }
    return [
        dg.define_asset_job(name=name, selection=selection, description=description)
        for name, (selection, description) in selections.items()
    ]


_REFERENCE = ("splits", "dividends", "tickers", "ticker_events", "securities", "corporate_action_audit")


def build_feature_jobs() -> list[UnresolvedAssetJobDefinition]:
    """The jobs of corporate actions and of each algorithm's features."""
    reference = dg.define_asset_job(
        name="reference",
        selection=dg.AssetSelection.assets(*map(reference_key, _REFERENCE)),
        description="Bring splits, dividends, securities and the audit of corporate actions up to date.",
    )
    features = [
        dg.define_asset_job(
            name=name,
            selection=dg.AssetSelection.assets(algorithm_key(name)),
            description=f"Compute the features of {name.replace('_', ' ')}.",
        )
        for name in ALGORITHMS
    ]
    universe = dg.define_asset_job(
        name="universe",
        selection=dg.AssetSelection.assets(algorithm_key("universe")),
        description="List the securities of each session.",
    )
    return [reference, universe, *features]


def build_jobs(datasets: Sequence[Dataset]) -> list[UnresolvedAssetJobDefinition]:
    """Every job of the code location."""
    return [*(build_feed_job(dataset) for dataset in datasets), *build_bucket_jobs(), *build_feature_jobs()]

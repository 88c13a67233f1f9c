"""Jobs: named selections of assets that schedules, sensors and the command line launch.

Here: what belongs together in one run. Not here: when it runs (`sensors.py`, `schedules.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from flatfiles_assets.assets.flat_files import market_key, raw_key
from flatfiles_assets.datasets import Dataset


def build_feed_job(dataset: Dataset) -> UnresolvedAssetJobDefinition:
    """The job of one feed: fetch its files and load them, for one session or a range."""
    return dg.define_asset_job(
        name=dataset.name,
        selection=dg.AssetSelection.assets(raw_key(dataset), market_key(dataset)),
        description=f"Fetch and load {dataset.title[0].lower()}{dataset.title[1:]}.",
        tags={"feed": dataset.name},
    )


def build_jobs(datasets: Sequence[Dataset]) -> list[UnresolvedAssetJobDefinition]:
    """Every job of the code location."""
    return [build_feed_job(dataset) for dataset in datasets]

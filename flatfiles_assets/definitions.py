"""The code location: the one file that wires everything.

`build_defs` assembles it; tests and the demo build their own with an argument changed. Nothing is
decided here that has a room of its own: assets in `assets/`, resources in `resources.py`, …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from flatfiles_assets.datasets import Dataset, selected_datasets
from flatfiles_assets.defs.assets.algorithm import build_algorithm_assets
from flatfiles_assets.defs.assets.corporate_actions import build_corporate_action_assets
from flatfiles_assets.defs.assets.daily_prices import daily_prices, price_reconciliation
from flatfiles_assets.defs.assets.directories import build_directory_assets
from flatfiles_assets.defs.assets.flat_files import build_flat_file_assets
from flatfiles_assets.defs.assets.historical import historical_daily, ingest_historical_year
from flatfiles_assets.defs.assets.identities import build_identity_assets
from flatfiles_assets.defs.assets.quarantine import build_quarantine_asset
from flatfiles_assets.defs.assets.reference import build_reference_assets
from flatfiles_assets.defs.assets.universe import universe
from flatfiles_assets.defs.catalog import in_catalog
from flatfiles_assets.defs.freshness import build_freshness_sensor
from flatfiles_assets.defs.io_manager import WarehouseIOManager
from flatfiles_assets.defs.jobs import build_jobs
from flatfiles_assets.defs.keys import WAREHOUSE_IO
from flatfiles_assets.defs.launch import SettledFilesIOManager
from flatfiles_assets.defs.resources import FlatFilesS3Resource, MinIOS3Resource, WarehouseResource
from flatfiles_assets.defs.schedules import build_schedules
from flatfiles_assets.defs.sensors.automation import build_automation_sensor
from flatfiles_assets.defs.sensors.failures import build_failure_sensor
from flatfiles_assets.defs.sensors.feeds import build_sensors
from flatfiles_assets.minio_data_downloader import DIRECTORIES
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.declared_feeds import declare_folder


def build_defs(
    extra_feeds: str | None = None, resource_overrides: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """The code location.

    Args:
        extra_feeds: Comma-separated feeds besides the registry's enabled ones; None for the
            setting ``FLATFILES_EXTRA_FEEDS``.
        resource_overrides: Resources by key, instead of those built from the settings.
    """
    settings = load_settings()
    declare_folder(settings.feeds_dir)
    datasets = selected_datasets(settings.extra_feeds if extra_feeds is None else extra_feeds)
    assets = build_assets(datasets)
    return dg.Definitions(
        assets=in_catalog(assets, settings),
        jobs=build_jobs(datasets),
        sensors=[
            *build_sensors(datasets),
            build_automation_sensor(assets),
            build_freshness_sensor(datasets),
            build_failure_sensor(),
        ],
        schedules=build_schedules(datasets),
        resources={
            "flatfiles_s3": FlatFilesS3Resource(),
            "minio_s3": MinIOS3Resource(),
            "warehouse": WarehouseResource(),
            WAREHOUSE_IO: WarehouseIOManager(),
            "io_manager": SettledFilesIOManager(),
            **(resource_overrides or {}),
        },
        # A range run is one process that works ahead by itself; a process per step costs ten seconds.
        executor=dg.in_process_executor,
    )


def build_assets(datasets: Sequence[Dataset]) -> list[dg.AssetsDefinition]:
    """Every asset, from the stores to the features."""
    return [
        *(build_flat_file_assets(dataset) for dataset in datasets),
        build_quarantine_asset(datasets),
        ingest_historical_year,
        historical_daily,
        *(asset for directory in DIRECTORIES for asset in build_directory_assets(directory)),
        daily_prices,
        price_reconciliation,
        *build_reference_assets(),
        *build_identity_assets(),
        *build_corporate_action_assets(),
        universe,
        *build_algorithm_assets(),
    ]


defs = build_defs()

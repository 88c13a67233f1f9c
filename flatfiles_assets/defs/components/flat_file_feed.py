"""A feed of the vendor's bucket as a Dagster component: a `defs.yaml`, and no Python.

Here: the component. Not here: its fields and what they mean (`warehouse/declared_feeds.py`). The same file
in ``FLATFILES_FEEDS_DIR`` adds the feed to this package's own code location, and to its commands.
"""

import dagster as dg

from flatfiles_assets.defs.assets.flat_files import build_flat_file_assets
from flatfiles_assets.defs.catalog import in_catalog
from flatfiles_assets.defs.io_manager import WarehouseIOManager
from flatfiles_assets.defs.jobs import build_feed_job
from flatfiles_assets.defs.keys import WAREHOUSE_IO
from flatfiles_assets.defs.resources import FlatFilesS3Resource, WarehouseResource
from flatfiles_assets.defs.schedules import build_catch_up
from flatfiles_assets.defs.sensors.feeds import build_sync_sensor
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.declared_feeds import FeedDeclaration, declare


class FlatFileFeed(FeedDeclaration, dg.Component, dg.Resolvable):
    """A feed: its files, its table with checks, its job, its sensor and its schedule."""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002
        """What a feed of the registry has."""
        fields = FeedDeclaration.model_fields
        dataset = declare(FeedDeclaration(**{name: getattr(self, name) for name in fields}))
        return dg.Definitions(
            assets=in_catalog([build_flat_file_assets(dataset)], load_settings()),
            jobs=[build_feed_job(dataset)],
            sensors=[build_sync_sensor(dataset)],
            schedules=[build_catch_up(dataset)],
            resources={
                "flatfiles_s3": FlatFilesS3Resource(),
                "warehouse": WarehouseResource(),
                WAREHOUSE_IO: WarehouseIOManager(),
            },
            executor=dg.in_process_executor,
        )

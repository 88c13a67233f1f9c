"""The places that the settings name: the warehouse, the mirrors of both buckets, dates to keys.

Here: `Workspace`, the one place that builds them, and `open_warehouse`. Not here: the settings
themselves (`settings.py`), and what is done with the places.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.ingest.layouts.overrides import LayoutOverrides, load_overrides
from flatfiles_assets.ingest.layouts.sidecars import patterns_from_setting
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.unexpected import door
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.past import AsOf
from flatfiles_assets.warehouse.reading import WarehouseReader


@dataclasses.dataclass(frozen=True)
class Workspace:
    """Where everything of one installation is.

    Nothing is opened or made until it is used.

    Attributes:
        settings: What names the places.
        warehouse: The DuckDB file.
        catalog: Dates to keys of the vendor's bucket and back.
    """

    settings: Settings
    warehouse: Warehouse
    catalog: S3Catalog

    @classmethod
    def from_settings(
        cls,
        settings: Settings | None = None,
        *,
        warehouse_path: str | os.PathLike[str] | None = None,
        lock_timeout_seconds: float | None = None,
        bucket: str | None = None,
        options_prefix: str | None = None,
    ) -> Workspace:
        """The workspace of the settings, parts of it replaced.

        Args:
            settings: None for those in force.
            warehouse_path: Another DuckDB file.
            lock_timeout_seconds: Another limit of the wait for the warehouse.
            bucket: Another bucket of flat files.
            options_prefix: Another first folder of the option feeds' keys.
        """
        settings = load_settings() if settings is None else settings
        return cls(
            settings,
            Warehouse(
                warehouse_path or settings.warehouse_path,
                settings.lock_timeout_seconds if lock_timeout_seconds is None else lock_timeout_seconds,
            ),
            S3Catalog(bucket or settings.bucket, options_prefix or settings.options_prefix),
        )

    def flat_file_cache(self, folder: str | os.PathLike[str] | None = None) -> FileCache:
        """The mirror of the vendor's bucket; `folder` for another place."""
        return FileCache(Path(folder) if folder else self.settings.flatfiles_cache_dir)

    def minio_cache(self, folder: str | os.PathLike[str] | None = None) -> FileCache:
        """The mirror of the user's bucket; `folder` for another place."""
        return FileCache(Path(folder) if folder else self.settings.minio_cache_dir)

    def layout_overrides(self) -> LayoutOverrides:
        """What the settings state about the files of the user's bucket.

        Raises:
            InvalidArgument: The file of overrides cannot be read.
        """
        path = self.settings.minio_layout_overrides
        stated = load_overrides(path) if path else LayoutOverrides()
        return dataclasses.replace(stated, sidecars=patterns_from_setting(self.settings.ignored_files))


@door
def open_warehouse(
    path: str | os.PathLike[str] | None = None,
    *,
    timeout: float | None = None,
    allow_files: bool = False,
    as_of: AsOf | None = None,
) -> WarehouseReader:
    """A read-only view of the warehouse, with ``with`` or without.

    Args:
        path: The DuckDB file; None for the one in the settings.
        timeout: Seconds to wait at most while the file is being written; None for the settings'.
        allow_files: Whether queries may read other files and export to them (``COPY … TO``); without it
            they reach nothing but the warehouse.
        as_of: Show every table as it was then: a moment (``"2026-03-01 12:00"``, UTC unless it says its
            zone, or a datetime), the number of a state, or the id of a run, for what that run left.

    Raises:
        InvalidArgument: `as_of` names no moment.

    Example:
        >>> open_warehouse().sql("SELECT * FROM market.stocks_daily WHERE ticker = ?", ["AAPL"]).df()
    """
    warehouse = Workspace.from_settings(warehouse_path=path).warehouse.at(as_of)
    return warehouse.reader(timeout, allow_files=allow_files)

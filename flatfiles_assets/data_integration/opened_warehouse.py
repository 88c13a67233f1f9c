"""What every request to `DataIntegration` needs: the warehouse, its reader, the inputs, the cache.

Here: the constructor, and requests whose unknown symbols may be left out. Not here: the requests
themselves (`integration.py` names their modules).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets.data_integration.cache import ResultCache
from flatfiles_assets.data_integration.data_request import DataRequest
from flatfiles_assets.data_integration.errors import (
    CoverageWarning,
    UnknownSymbol,
    warn_caller,
)
from flatfiles_assets.data_integration.inputs import Input, InputReader
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.past import AsOf
from flatfiles_assets.warehouse.workspace import Workspace

T = TypeVar("T")
Frame: TypeAlias = pd.DataFrame | pl.DataFrame | pa.Table

DEFAULT_CACHE_BYTES = 4 * 2**30


class OpenedWarehouse:
    """A warehouse, and what answers requests about it."""

    def __init__(
        self,
        warehouse: Warehouse | str | os.PathLike[str] | None = None,
        settings: Settings | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        warehouse_as_of: AsOf | None = None,
    ) -> None:
        self._settings = settings or load_settings()
        if isinstance(warehouse, Warehouse):
            self._warehouse = warehouse
        else:
            self._warehouse = Workspace.from_settings(self._settings, warehouse_path=warehouse).warehouse
        if warehouse_as_of is not None:
            self._warehouse = self._warehouse.at(warehouse_as_of)
        self._reader = self._warehouse.reader()
        self._inputs = InputReader(self._settings, self._warehouse)
        folder = Path(cache_dir) if cache_dir is not None else self._settings.integration_cache_dir
        self._cache = ResultCache(folder, cache_bytes) if cache_bytes > 0 else None

    def __repr__(self) -> str:
        return f"DataIntegration({str(self._warehouse.path)!r})"

    def _read(self, request: DataRequest, *, ensure: bool, skip_unknown: bool) -> tuple[Input, list[str]]:
        return without_unknown(request, skip_unknown, lambda known: self._inputs.read(known, ensure=ensure))


def without_unknown(
    request: DataRequest, skip_unknown: bool, action: Callable[[DataRequest], T]
) -> tuple[T, list[str]]:
    """What an action makes of a request, and the symbols that were left out of it."""
    try:
        return action(request), []
    except UnknownSymbol as error:
        known = tuple(symbol for symbol in request.symbols if symbol not in error.unknown)
        if not skip_unknown or not known:
            raise
        unknown = list(error.unknown)
        warn_caller(f"left out: {error.what}", CoverageWarning)
    return action(dataclasses.replace(request, symbols=known)), unknown

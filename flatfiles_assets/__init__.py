"""Market-data flat files as Dagster assets: from S3 to a trustworthy DuckDB warehouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flatfiles_assets.data_integration import DataIntegration
    from flatfiles_assets.warehouse.workspace import open_warehouse

__version__ = "0.1.0"
__all__ = ["DataIntegration", "__version__", "open_warehouse"]

# Loaded when they are asked for: the command line and Dagster's workers start without pandas.
_LAZY = {
    "DataIntegration": "flatfiles_assets.data_integration",
    "open_warehouse": "flatfiles_assets.warehouse.workspace",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})

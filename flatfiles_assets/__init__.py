"""Market-data flat files as Dagster assets: from S3 to a trustworthy DuckDB warehouse."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__"]

"""The researcher's door: algorithm-ready data in Python, from symbols and dates.

Here: `DataIntegration` and what it returns and raises. Not here: the features' definitions
(`algorithms/`), the platform's assets (`assets/`).
"""

from __future__ import annotations

from flatfiles_assets.algorithms.universe import Universe
from flatfiles_assets.data_integration.errors import (
    AdjustmentWarning,
    CoverageWarning,
    IdentityWarning,
    InsufficientCoverage,
    NoData,
    StatementWarning,
    UnknownSymbol,
)
from flatfiles_assets.data_integration.integration import DataIntegration
from flatfiles_assets.data_integration.results import AlgorithmData
from flatfiles_assets.warehouse.prices import ReferenceMissing

__all__ = [
    "AdjustmentWarning",
    "AlgorithmData",
    "CoverageWarning",
    "DataIntegration",
    "IdentityWarning",
    "InsufficientCoverage",
    "NoData",
    "ReferenceMissing",
    "StatementWarning",
    "Universe",
    "UnknownSymbol",
]

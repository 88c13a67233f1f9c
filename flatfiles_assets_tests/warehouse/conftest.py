from __future__ import annotations

from pathlib import Path

import pytest

from flatfiles_assets.warehouse.connection import Warehouse


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse" / "market.duckdb"


@pytest.fixture
def warehouse(path: Path) -> Warehouse:
    return Warehouse(path, lock_timeout_seconds=20)

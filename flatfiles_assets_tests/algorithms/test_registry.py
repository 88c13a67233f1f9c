"""One entry per algorithm: everything else about it follows, and the entry says what is true."""

from __future__ import annotations

import dagster as dg
import pyarrow as pa
import pytest

from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.data_integration.unified import DATA_TYPES
from flatfiles_assets.definitions import defs
from flatfiles_assets.defs.keys import algorithm_key
from flatfiles_assets.warehouse.tables import algorithm_table_key, get_table


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_table_asset_checks_job_and_joins_follow_from_the_entry(name):
    algorithm = ALGORITHMS[name]
    table = get_table(algorithm_table_key(name))
    assert table.columns == algorithm.columns
    assert table.sort_columns == algorithm.key_columns

    key = algorithm_key(name)
    graph = defs.resolve_asset_graph()
    assert key in graph.get_all_asset_keys()
    checks = {check.name for check in graph.get_check_keys_for_assets({key})}
    assert checks == {"schema", "no_duplicates"}
    assert name in {job.name for job in defs.resolve_all_job_defs()}
    assert (name in DATA_TYPES) == algorithm.is_per_symbol
    assert isinstance(key, dg.AssetKey)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_an_entry_is_whole(name):
    """What a generic test needs, it can rely on."""
    algorithm = ALGORITHMS[name]
    names = [column.name for column in algorithm.columns]
    assert names[0] == "trade_date"
    assert {"adjustment", *algorithm.key_columns} <= set(names)
    assert any(each.startswith("security_id") for each in names)
    assert {column.type for column in algorithm.feature_columns} <= {pa.float64(), pa.int32(), pa.int64()}
    assert algorithm.parameters() == algorithm.parameters()
    assert algorithm.options() is not None
    assert "price_data" in algorithm.frames
    assert algorithm.pictures
    own = {"trade_date", "adjustment", *(name for name in names if not name.startswith("security_id"))}
    assert all(column.description for column in algorithm.columns if column.name in own)

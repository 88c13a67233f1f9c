"""What was not applied as recorded is in the metadata of every result that it touches, and warned of once."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from flatfiles_assets import DataIntegration
from flatfiles_assets.data_integration.errors import CorporateActionWarning
from flatfiles_assets.settings import Settings
from flatfiles_assets_tests.histories import history
from flatfiles_assets_tests.warehouse.test_corporate_actions import World

pytestmark = pytest.mark.slow

CPRT = history("CPRT", "2016-10-03", "2017-08-31", 62.0, splits=[("2017-04-11", 1, 2)])
KO = history("KO", "2016-10-03", "2017-08-31", 40.0, noise=0.01)
SPRING = ("2017-03-01", "2017-06-30")
RECORDS = [("CPRT", "2017-04-10", 1, 2), ("CPRT", "2017-04-11", 1, 2)]


@pytest.fixture
def door(tmp_path: Path) -> DataIntegration:
    world = World(tmp_path / "w.duckdb").make([CPRT, KO], RECORDS)
    return DataIntegration(world.warehouse, Settings(data_dir=tmp_path), cache_bytes=10**8)


def caught(action) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        action()
    return [str(w.message) for w in found if issubclass(w.category, CorporateActionWarning)]


def test_a_contradicted_split_is_in_the_metadata_and_warned_of_once_from_the_cache_too(door):
    def ask():
        data = door.get_data_for_algorithm(
            "momentum", ["CPRT", "KO"], "2017-03-01", "2017-06-30", ensure=False
        )
        (row,) = data.metadata["actions_not_as_recorded"]
        assert (row["ticker"], row["recorded_date"], row["verdict"], row["applied"]) == (
            "CPRT", "2017-04-10", "contradicted", False,
        )  # fmt: skip
        assert data["price_data"]["CPRT"].round(9).eq(31.0).all()

    for _ in range(3):
        (message,) = caught(ask)
        assert "CPRT 1:2 recorded for 2017-04-10: contradicted, not applied" in message
        assert "overrides.csv" in message


def test_what_does_not_touch_a_result_is_not_in_it(door):
    def ask():
        for symbols, start, end in (
            (["KO"], "2017-03-01", "2017-06-30"),
            (["CPRT"], "2017-06-01", "2017-06-30"),
        ):
            door.load_prices(symbols, start, end, ensure=False)

    assert caught(ask) == []


def test_prices_and_unified_data_warn_as_well(door):
    assert len(caught(lambda: door.load_prices(["CPRT"], *SPRING, ensure=False))) == 1
    assert len(caught(lambda: door.create_unified_dataset(["CPRT"], *SPRING, ["prices"], ensure=False))) == 1

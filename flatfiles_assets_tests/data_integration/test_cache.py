"""The second call reads the result from disk, and only while nothing it depends on has changed."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import random
import warnings
from pathlib import Path

import pandas as pd
import pytest

from flatfiles_assets.data_integration import DataIntegration
from flatfiles_assets.data_integration.cache import ResultCache
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests.market_warehouse import load_bars, market_warehouse, sessions
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

MARKET = SyntheticMarket(40)
DATES = ("2024-02-01", "2024-02-29")
SYMBOLS = ["AAPL", "KO"]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return market_warehouse(tmp_path / "w.duckdb", MARKET, "2024-01-02", "2024-03-15")


def door(warehouse: Warehouse, **options) -> DataIntegration:
    settings = load_settings(data_dir=warehouse.path.parent, api_key=None)
    return DataIntegration(warehouse, settings, **options)


def get(warehouse: Warehouse, algorithm: str = "momentum", symbols=SYMBOLS, dates=DATES, **options):
    cache_bytes = options.pop("cache_bytes", 2**30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = door(warehouse, cache_bytes=cache_bytes).get_data_for_algorithm(
            algorithm, symbols, *dates, ensure=False, **options
        )
    # Results are stored behind the caller's back; what is on disk is looked at below.
    ResultCache(warehouse.path.parent / "integration_cache", cache_bytes).wait()
    return data


def assert_same(left: dict, right: dict) -> None:
    assert set(left) == set(right)
    for key, value in left.items():
        if key == "metadata":
            assert value == right[key]
        else:
            pd.testing.assert_frame_equal(value, right[key])


def change(warehouse: Warehouse, statement: str) -> None:
    with warehouse.writer("test") as transaction:
        transaction.execute(statement)


@pytest.mark.parametrize("algorithm", ["momentum", "mean_reversion", "pairs_trading"])
def test_the_second_call_gives_the_same_from_disk(warehouse, algorithm):
    first, second = get(warehouse, algorithm), get(warehouse, algorithm)
    assert (first.from_cache, second.from_cache) == (False, True)
    assert_same(first, second)
    assert "from cache" in repr(second)


@pytest.mark.parametrize(
    "change",
    [
        {"symbols": ["KO", "AAPL"]},
        {"symbols": ["AAPL"]},
        {"dates": ("2024-02-01", "2024-02-28")},
        {"adjust": "total_return"},
        {"min_price": 50.0},
        {"algorithm": "mean_reversion"},
    ],
)
def test_another_request_is_another_result(warehouse, change):
    get(warehouse)
    assert not get(warehouse, **change).from_cache


def test_a_changed_price_in_the_range_or_its_look_back_is_computed_anew(warehouse):
    before = get(warehouse)
    for day in ("2024-02-07", "2024-01-10"):
        change(
            warehouse,
            "UPDATE market.stocks_daily SET close = close * 1.01 "
            f"WHERE ticker = 'AAPL' AND trade_date = '{day}'",
        )
        after = get(warehouse)
        assert not after.from_cache
        assert not after["momentum_data"].equals(before["momentum_data"])
        before = after


def test_what_it_does_not_depend_on_may_change(warehouse):
    """Another symbol, a later session, a partition loaded again with the same rows."""
    first = get(warehouse)
    for statement in (
        "UPDATE market.stocks_daily SET close = 1 WHERE ticker = 'MSFT'",
        "UPDATE market.stocks_daily SET close = 1 WHERE trade_date > '2024-03-01'",
        "DELETE FROM reference.splits WHERE ticker = 'NVDA'",
    ):
        change(warehouse, statement)
        again = get(warehouse)
        assert again.from_cache
        assert_same(first, again)
    reloaded = sessions("2024-02-05", "2024-02-06")
    change(warehouse, "UPDATE market.stocks_daily SET close = 0.5 WHERE trade_date = '2024-02-05'")
    load_bars(warehouse, MARKET, reloaded)
    assert get(warehouse).from_cache


def test_a_new_split_of_a_symbol_is_computed_anew(warehouse):
    halved = ", ".join(f"{name} = {name} / 2" for name in ("open", "high", "low", "close"))
    change(
        warehouse,
        f"UPDATE market.stocks_daily SET {halved}, volume = volume * 2"
        " WHERE ticker = 'KO' AND trade_date >= '2024-02-12'",
    )
    first = get(warehouse)
    change(
        warehouse,
        "INSERT INTO reference.splits BY NAME SELECT 'KO' AS ticker, DATE '2024-02-12' AS execution_date,"
        " 1 AS split_from, 2 AS split_to, 'x' AS id, 'test' AS source",
    )
    second = get(warehouse)
    assert not second.from_cache
    ratio = second["price_data"]["KO"] / first["price_data"]["KO"]
    assert ratio[:"2024-02-09"].to_numpy() == pytest.approx(0.5)
    assert ratio["2024-02-12":].to_numpy() == pytest.approx(1)


def test_a_damaged_entry_is_computed_anew_and_stored_again(warehouse):
    first = get(warehouse)
    (damaged,) = (warehouse.path.parent / "integration_cache").glob("*/*/momentum_data.arrow")
    damaged.write_bytes(damaged.read_bytes()[:500])
    second = get(warehouse)
    assert not second.from_cache
    assert_same(first, second)
    assert get(warehouse).from_cache


def test_the_entries_unused_for_longest_make_room(warehouse):
    folder = warehouse.path.parent / "integration_cache"
    get(warehouse)
    size_bytes = sum(path.stat().st_size for path in folder.glob("*/*/*"))
    get(warehouse, "mean_reversion", cache_bytes=size_bytes)
    assert not get(warehouse, cache_bytes=2**30).from_cache
    assert sum(path.stat().st_size for path in folder.glob("*/*/*")) < 3 * size_bytes


def test_the_cache_can_be_cleared_or_left_out(warehouse):
    get(warehouse)
    assert door(warehouse).clear_cache() > 0
    assert not get(warehouse).from_cache
    assert door(warehouse).clear_cache() > 0
    get(warehouse, cache_bytes=0)
    assert not get(warehouse, cache_bytes=0).from_cache
    assert not (warehouse.path.parent / "integration_cache").exists()


def test_a_result_that_is_being_stored_is_found(warehouse):
    """At once, without waiting in between, through another door of the same process."""
    arguments = ("momentum", SYMBOLS, *DATES)
    door(warehouse).get_data_for_algorithm(*arguments, ensure=False)
    assert door(warehouse).get_data_for_algorithm(*arguments, ensure=False).from_cache


def test_a_disk_that_refuses_the_result_costs_only_the_cache(warehouse, caplog):
    (warehouse.path.parent / "integration_cache").write_text("a file where the folder should be")
    data = get(warehouse)
    assert len(data["price_data"]) > 0
    assert "could not be cached" in caplog.text


def _fill(path: Path, failures: multiprocessing.Queue) -> None:
    try:
        for _ in range(40):
            door(Warehouse(path)).clear_cache()
            get(Warehouse(path))
    except BaseException as error:
        failures.put(repr(error))
        raise


def test_processes_share_a_cache_that_one_of_them_clears(warehouse):
    spawn = multiprocessing.get_context("spawn")
    failures = spawn.Queue()
    workers = [spawn.Process(target=_fill, args=(warehouse.path, failures)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE_SECONDS)
    assert [worker.exitcode for worker in workers] == [0, 0, 0], failures.get(timeout=1)


def test_nothing_is_half_stored_beside_the_entries(warehouse):
    get(warehouse)
    assert not list((warehouse.path.parent / "integration_cache").glob(".*"))
    assert dt.date(2024, 2, 1) == get(warehouse)["metadata"]["start"]


def test_a_flipped_bit_in_what_is_stored_costs_a_computation_and_never_changes_a_value(warehouse: Warehouse):
    first = get(warehouse)
    folder = warehouse.path.parent / "integration_cache"
    chance = random.Random(7)
    missed = 0
    for trial in range(60):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        path = files[trial % len(files)]
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)

        again = get(warehouse)

        assert_same(again, first)
        missed += not again.from_cache
    assert missed > 30
    assert get(warehouse).from_cache

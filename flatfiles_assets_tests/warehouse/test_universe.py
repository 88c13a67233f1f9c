"""The universe of a session is what there was and what was known then, dead securities included."""

from __future__ import annotations

import datetime as dt
import statistics
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flatfiles_assets.algorithms.momentum import MomentumParameters
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.algorithms.securities import IdentityRecords, UserRename
from flatfiles_assets.algorithms.universe import STOCK_TYPES, Universe
from flatfiles_assets.data_integration import CoverageWarning, DataIntegration, IdentityWarning, NoData
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.features import update_features
from flatfiles_assets.warehouse.tables import DIVIDENDS, SECURITIES, SPLITS, UNIVERSE
from flatfiles_assets.warehouse.universe import compute_universe, read_universe, update_universe
from flatfiles_assets_tests.histories import History, history, sessions, store
from flatfiles_assets_tests.market_warehouse import load_securities

pytestmark = pytest.mark.slow

LAST = "2023-06-30"
#: Ticker, last day, price, shares a session, kind.
TRADED = [
    ("BIG", LAST, 100.0, 5e6, "CS"),
    ("MID", LAST, 50.0, 2e6, "CS"),
    ("DEAD", "2023-03-31", 80.0, 4e6, "CS"),
    ("ADR", LAST, 30.0, 1e6, "ADRC"),
    ("TQQQ", LAST, 40.0, 9e7, "ETF"),
    ("MIDW", LAST, 2.0, 3e7, "WARRANT"),
    ("LOW", LAST, 1.5, 6e5, "CS"),
    ("ODD", LAST, 20.0, 5e5, None),
]
KINDS = {ticker: kind for ticker, *_, kind in TRADED} | {"OLD": "CS", "NEW": "CS", "IPO": "CS"}
START = "2022-01-03"


def bars(last: str = LAST) -> list[History]:
    made = [
        history(ticker, START, end, price, volume=volume, noise=0.02, seed=number)
        for number, (ticker, end, price, volume, _) in enumerate(TRADED)
    ]
    made.append(history("OLD", START, "2023-05-31", 60.0, volume=3e6))
    made.append(history("NEW", "2023-06-01", LAST, 60.0, volume=3e6))
    made.append(history("IPO", "2023-05-15", LAST, 90.0, volume=6e6))
    for each in made:
        count = sum(day <= dt.date.fromisoformat(last) for day in each.days)
        each.days = each.days[:count]
        each.closes, each.volumes, each.opens = (
            values[:count] for values in (each.closes, each.volumes, each.opens)
        )
    return [each for each in made if each.days]


def keep(warehouse: Warehouse, *, kinds: bool = True) -> None:
    rename = UserRename("OLD", "NEW", None)
    load_securities(warehouse, IdentityRecords(*(IdentityRecords.none().snapshots,) * 3, (rename,)))
    if kinds:
        rows = warehouse.reader().table(SECURITIES.sql_name).to_arrow()
        types = pa.array([KINDS[ticker] for ticker in rows.column("ticker").to_pylist()], pa.string())
        rows = rows.set_column(rows.column_names.index("type"), "type", types)
        with warehouse.writer("test") as transaction:
            transaction.replace_all(SECURITIES, rows)


def made(path: Path, *, kinds: bool = True) -> Warehouse:
    warehouse = Warehouse(path / "w.duckdb", lock_timeout_seconds=60)
    store(warehouse, *bars())
    with warehouse.writer("test") as transaction:
        transaction.replace_all(SPLITS, SPLITS.arrow_schema.empty_table())
        transaction.replace_all(DIVIDENDS, DIVIDENDS.arrow_schema.empty_table())
    keep(warehouse, kinds=kinds)
    return warehouse


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return made(tmp_path_factory.mktemp("universe"))


@pytest.fixture
def door(warehouse: Warehouse, tmp_path: Path) -> DataIntegration:
    return DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))


def of_day(warehouse: Warehouse, day: str) -> pd.DataFrame:
    rows = compute_universe(warehouse.reader(), [dt.date.fromisoformat(day)]).rows
    return rows.to_pandas().set_index("ticker")


def test_each_security_of_a_session_is_there_with_what_was_known(warehouse):
    rows = of_day(warehouse, "2023-03-15")
    assert set(rows.index) == {ticker for ticker, *_ in TRADED} | {"OLD"}
    dead = next(each for each in bars() if each.ticker == "DEAD")
    place = dead.days.index(dt.date(2023, 3, 15))
    dollars = dead.closes * dead.volumes
    assert rows.loc["DEAD", "median_dollar_volume_20"] == pytest.approx(
        statistics.median(dollars[place - 19 : place + 1])
    )
    assert rows.loc["DEAD", "close"] == dead.closes[place]
    assert rows.loc["DEAD", "listed_sessions"] == len(sessions(START, "2023-03-15"))
    assert rows.loc["MIDW", "type"] == "WARRANT"
    expected = rows["median_dollar_volume_20"].rank(ascending=False)
    assert (rows["rank"] == expected).all()
    assert "DEAD" not in of_day(warehouse, "2023-04-03").index


def test_a_renamed_security_keeps_its_age_and_a_new_one_has_no_rank_before_twenty_sessions(warehouse):
    rows = of_day(warehouse, "2023-06-05")
    assert rows.loc["NEW", "security_id"] == f"OLD@{START}"
    assert rows.loc["NEW", "listed_sessions"] == len(sessions(START, "2023-06-05"))
    assert rows.loc["NEW", "median_dollar_volume_20"] == pytest.approx(60.0 * 3e6)
    listed = len(sessions("2023-05-15", "2023-06-05"))
    assert rows.loc["IPO", "listed_sessions"] == listed < 20
    assert pd.isna(rows.loc["IPO", "rank"])
    assert of_day(warehouse, "2023-06-30").loc["IPO", "rank"] > 0


def test_a_later_history_changes_no_earlier_universe(warehouse, tmp_path):
    """Everything after a day is left out, or another, and the tables are made anew."""
    days = sessions("2023-02-01", "2023-03-15")
    now = compute_universe(warehouse.reader(), days).rows
    other = Warehouse(tmp_path / "w.duckdb", lock_timeout_seconds=60)
    store(other, *bars("2023-03-15"))
    keep(other)
    then = compute_universe(other.reader(), days).rows
    assert then.equals(now), "not even the order: OLD is another name of what will be NEW"
    assert now.equals(pa.concat_tables(compute_universe(warehouse.reader(), [day]).rows for day in days))


def test_the_stored_table_is_what_is_read_and_what_lacks_is_made(warehouse):
    days = sessions("2023-03-01", "2023-03-10")
    computed = read_universe(warehouse.reader(), days)
    results = list(update_universe(days[:5], warehouse))
    assert [result.session for result in results] == days[:5]
    assert all(result.error is None for result in results)
    with warehouse.writer("test") as transaction:
        transaction.execute(f"UPDATE {UNIVERSE.stored_name} SET listed_sessions = 1")
    mixed = read_universe(warehouse.reader(), days)
    assert set(mixed.slice(0, 9).column("listed_sessions").to_pylist()) == {1}
    place = mixed.column_names.index("listed_sessions")
    kept = computed.column("listed_sessions")
    fixed = mixed.set_column(place, "listed_sessions", kept)
    assert fixed.sort_by([("trade_date", "ascending"), ("ticker", "ascending")]).equals(
        computed.sort_by([("trade_date", "ascending"), ("ticker", "ascending")])
    )
    with warehouse.writer("test") as transaction:
        transaction.execute(f"DROP TABLE {UNIVERSE.stored_name}")


def test_a_session_without_prices_fails_alone(warehouse):
    days = [dt.date(2023, 6, 30), dt.date(2023, 7, 3)]
    good, bad = update_universe(days, warehouse)
    assert good.error is None
    assert "algorithm/universe 2023-07-03" in str(bad.error)


def test_stocks_are_meant_unless_asked_otherwise(door):
    stocks = door.universe("2023-03-15")
    assert set(stocks["type"]) == set(STOCK_TYPES)
    assert list(stocks["symbol"]) == ["BIG", "DEAD", "OLD", "MID", "ADR", "LOW"]
    assert list(stocks["rank"]) == [1, 2, 3, 4, 5, 6]
    assert list(door.universe("2023-03-18", top=2)["symbol"]) == ["BIG", "DEAD"], "a Saturday"
    everything = door.universe("2023-03-15", types=None)
    assert everything["symbol"].iloc[0] == "TQQQ"
    assert {"MIDW", "ODD"} <= set(everything["symbol"])
    assert set(door.universe("2023-03-15", types=["ETF"])["symbol"]) == {"TQQQ"}
    assert "LOW" not in set(door.universe("2023-03-15", min_price=5)["symbol"])
    assert "IPO" in set(door.universe("2023-06-30")["symbol"])
    assert "IPO" not in set(door.universe("2023-06-30", min_history=100)["symbol"])
    ranged = door.universe(("2023-03-28", "2023-04-05"), top=2)
    assert ranged.groupby("session")["symbol"].apply(list).to_dict()[pd.Timestamp("2023-04-03")] == [
        "BIG",
        "OLD",
    ]


def test_unusable_universes_are_refused(door):
    with pytest.raises(InvalidArgument, match="dollar_volume"):
        door.universe("2023-03-15", by="size")
    with pytest.raises(InvalidArgument, match="at least 1"):
        Universe(top=0)
    with pytest.raises(NoData, match="2019-01-02"):
        door.universe("2019-01-02")


def test_without_any_kind_on_record_nobody_is_left_out_and_it_is_said(tmp_path):
    warehouse = made(tmp_path, kinds=False)
    door = DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))
    with pytest.warns(IdentityWarning, match="knows no kind"):
        assert "TQQQ" in set(door.universe("2023-03-15")["symbol"])


def test_a_universe_stands_where_symbols_do_and_each_session_has_its_own(door):
    chosen = Universe(top=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CoverageWarning)
        data = door.get_data_for_algorithm(
            "momentum", chosen, "2023-03-27", "2023-04-06", ensure=False, min_history_bars=1
        )
    prices, features = data["price_data"], data["momentum_data"]
    members = door.universe(("2023-03-27", "2023-04-06"), top=3)
    expected = members.pivot(index="session", columns="symbol", values="close").reindex(
        columns=prices.columns
    )
    pd.testing.assert_frame_equal(prices, expected, check_names=False, check_freq=False)
    assert prices["DEAD"].notna().sum() == 5
    assert prices["MID"].notna().sum() == 4, "it follows DEAD"
    rows = set(zip(features["session"], features["symbol"], strict=True))
    assert rows == set(zip(members["session"], members["symbol"], strict=True))
    assert features["momentum_rank"].max() == 3
    assert features.groupby("session")["momentum_rank"].count().eq(3).all()
    assert data["metadata"]["universe"]["top"] == 3
    assert data["metadata"]["symbols"] == list(prices.columns)


def test_pairs_prices_and_the_unified_dataset_take_a_universe(door):
    chosen = Universe(top=3, types=None)
    prices = door.load_prices(chosen, "2023-03-27", "2023-04-06", ensure=False)
    assert prices.groupby("session")["symbol"].nunique().eq(3).all()
    joined = door.create_unified_dataset(
        chosen, "2023-03-27", "2023-04-06", ["prices", "splits"], ensure=False
    )
    pd.testing.assert_series_equal(joined["close"], prices["close"])
    pairs = door.get_data_for_algorithm(
        "pairs_trading", Universe(top=3), "2023-01-03", "2023-04-06", ensure=False
    )
    last = set(door.universe("2023-04-06", top=3)["symbol"])
    assert set(pairs["cointegration_data"]["symbol_y"]) == last
    with pytest.raises(NoData, match="Universe"):
        door.load_prices(Universe(types=("NOPE",)), "2023-03-27", "2023-04-06", ensure=False)


@pytest.mark.parametrize("algorithm", ["momentum", "pairs_trading"])
def test_funds_and_warrants_are_not_ranked_among_stocks(warehouse, algorithm):
    day = dt.date(2023, 3, 15)
    entry = ALGORITHMS[algorithm]
    parameters = {
        "momentum": MomentumParameters(min_price=0, min_dollar_volume=0),
        "pairs_trading": entry.parameters(min_correlation=-1.0) if algorithm == "pairs_trading" else None,
    }[algorithm]

    def ranked(universe: Universe | None) -> set[str]:
        (result,) = update_features(entry, [day], warehouse, parameters=parameters, universe=universe)
        rows = result.rows.to_pandas()
        if algorithm == "pairs_trading":
            return set(rows["ticker_y"])
        assert len(rows) == 9, "features are there for everybody"
        return set(rows[rows["momentum_rank"].notna()]["ticker"])

    assert {"TQQQ", "MIDW"} <= ranked(None)
    # A price that stands still is paired with nobody.
    still = {"OLD"} if algorithm == "pairs_trading" else set()
    assert ranked(Universe(top=None)) == {"BIG", "DEAD", "OLD", "MID", "ADR", "LOW"} - still
    assert np.isin(["BIG", "DEAD"], sorted(ranked(Universe(top=2)))).all()

"""A symbol means a security, with its history under other names; tickers given anew are told apart."""

from __future__ import annotations

import datetime as dt
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.algorithms.securities import IdentityRecords, UserRename
from flatfiles_assets.data_integration import CoverageWarning, DataIntegration, IdentityWarning
from flatfiles_assets.ingest.reference import reference_records
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.features import update_features
from flatfiles_assets.warehouse.table import schema_from_arrow
from flatfiles_assets.warehouse.tables import DIVIDENDS, SECURITIES, SPLITS, algorithm_table_key, get_table
from flatfiles_assets_tests.histories import history, sessions, store
from flatfiles_assets_tests.market_warehouse import load_securities

pytestmark = pytest.mark.slow

FUND = history("META", "2021-06-01", "2022-01-28", 12.31, noise=0.01)
FACEBOOK = history("FB", "2021-06-01", "2022-06-08", 184.0, splits=[("2022-03-01", 1, 4)])
META = history("META", "2022-06-09", "2022-12-30", 46.0)
OTHERS = [history(name, "2021-06-01", "2022-12-30", 60.0, noise=0.01, seed=n) for n, name in enumerate("KPX")]
RANGE = ("2021-09-01", "2022-12-30")
#: The vendor files it under the name of today.
SPLIT = {"ticker": "META", "execution_date": "2022-03-01", "split_from": 1, "split_to": 4}


def confirmed() -> IdentityRecords:
    return IdentityRecords(*(IdentityRecords.none().snapshots,) * 3, (UserRename("FB", "META", None),))


def made(path: Path, *, securities: bool = True) -> Warehouse:
    warehouse = Warehouse(path / "w.duckdb", lock_timeout_seconds=30)
    store(warehouse, FUND, FACEBOOK, META, *OTHERS)
    statements = pa.Table.from_pylist(
        [
            {"ticker": "META", "filing_date": "2021-08-02", "revenues": 1.0},
            {"ticker": "FB", "filing_date": "2021-08-03", "revenues": 2.0},
            {"ticker": "META", "filing_date": "2022-08-03", "revenues": 3.0},
        ]
    )
    with warehouse.writer("test") as transaction:
        transaction.replace_all(SPLITS, reference_records("splits", [SPLIT], "test").table)
        transaction.replace_all(DIVIDENDS, DIVIDENDS.arrow_schema.empty_table())
        key = ("market", "financials")
        transaction.replace_all(schema_from_arrow(key, statements.schema), statements)
    if securities:
        load_securities(warehouse, confirmed())
    return warehouse


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return made(tmp_path_factory.mktemp("identity"))


@pytest.fixture
def door(warehouse: Warehouse, tmp_path: Path) -> DataIntegration:
    return DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))


def get(door: DataIntegration, symbols, dates=RANGE, algorithm="momentum", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        return door.get_data_for_algorithm(algorithm, symbols, *dates, ensure=False, **options)


def test_a_symbol_is_the_security_of_the_end_with_its_history_under_earlier_names(door):
    data = get(door, ["META", "K"])
    prices = data["price_data"]["META"]
    assert prices.notna().all()
    np.testing.assert_allclose(prices, 46.0, rtol=1e-9)
    assert np.nanmax(np.abs(data["returns_data"]["META"])) < 1e-9, (
        "neither the rename nor the split is a jump"
    )
    assert data["metadata"]["tickers"] == {"META": ["FB", "META"], "K": ["K"]}
    assert data["metadata"]["security_ids"]["META"] == "FB@2021-06-01"
    features = data["momentum_data"].set_index(["symbol", "session"]).loc["META"]
    assert features["return_126"].abs().max() < 1e-9
    assert set(features["security_id"]) == {"FB@2021-06-01"}


def test_of_an_earlier_day_it_is_who_bore_the_ticker_then(door):
    data = get(door, ["META"], ("2021-09-01", "2022-01-28"))
    assert data["metadata"]["security_ids"] == {"META": "META@2021-06-01"}
    assert data["price_data"]["META"].iloc[-1] == pytest.approx(FUND.closes[-1])
    asked_later = get(door, ["META"], ("2021-09-01", "2022-01-28"), as_of="2022-12-30")
    assert asked_later["metadata"]["security_ids"] == {"META": "FB@2021-06-01"}


def test_an_old_name_leads_to_the_same_security(door):
    np.testing.assert_array_equal(
        get(door, ["FB"])["price_data"]["FB"], get(door, ["META"])["price_data"]["META"]
    )


def test_by_ticker_it_is_whatever_bore_it_and_no_value_crosses_the_gap(door):
    data = get(door, ["META"], identity="ticker", adjust="none")
    prices = data["price_data"]["META"]
    assert prices["2022-01-28"] == pytest.approx(FUND.closes[-1])
    assert prices["2022-06-09"] == pytest.approx(46.0)
    after = data["momentum_data"].query("session >= '2022-06-09'").set_index("session")
    assert after[["return_252", "momentum_12_1", "momentum_rank"]].isna().all(axis=None)
    assert after["return_126"].notna().any()
    assert after["return_126"].dropna().abs().max() < 1e-9
    assert data["metadata"]["tickers"] == {"META": ["META"]}


def test_without_the_table_of_securities_bars_alone_tell_a_ticker_given_anew(tmp_path):
    door = DataIntegration(made(tmp_path, securities=False), load_settings(data_dir=tmp_path, api_key=None))
    data = get(door, ["META", "K"], adjust="none")
    assert data["price_data"]["META"].first_valid_index() == pd.Timestamp("2022-06-09")
    assert data["metadata"]["security_ids"]["META"] == "META@2022-06-09"


def test_each_security_is_in_the_data_once(door):
    with pytest.warns(IdentityWarning, match="META: the same security"):
        data = get(door, ["FB", "META", "K"], algorithm="pairs_trading")
    assert list(data["price_data"].columns) == ["FB", "K"]
    assert data["metadata"]["symbols_merged"] == ["META"]
    assert set(data["cointegration_data"]["symbol_y"]) == {"FB", "K"}


def test_statements_and_splits_follow_the_security(door):
    rows = door.create_unified_dataset(["META"], *RANGE, ["prices", "financials", "splits"], ensure=False)
    rows = rows.set_index("session")
    assert rows.loc["2021-09-01", "revenues"] == 2.0, "the fund's statement is the fund's"
    assert rows.loc["2022-12-30", "revenues"] == 3.0
    assert rows["split_ratio"].dropna().to_dict() == {pd.Timestamp("2022-03-01"): 4.0}


def with_statements(tmp_path: Path, *rows: dict) -> pd.DataFrame:
    """Of the security META: prices beside statements, by session."""
    warehouse = made(tmp_path)
    statements = pa.Table.from_pylist(list(rows))
    with warehouse.writer("test") as transaction:
        transaction.replace_all(schema_from_arrow(("market", "financials"), statements.schema), statements)
    door = DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))
    found = door.create_unified_dataset(["META"], *RANGE, ["prices", "financials"], ensure=False)
    return found.set_index("session")


def filed(ticker: str, filing_date: str | None, period_end: str, revenues: float, **more: str) -> dict:
    return {"ticker": ticker, "filing_date": filing_date, "period_end": period_end} | {
        "revenues": revenues,
        **more,
    }


def test_what_another_bearer_of_the_ticker_filed_is_no_later_period(tmp_path):
    """Which period is the latest is asked of one company, under all its tickers."""
    rows = with_statements(
        tmp_path,
        filed("META", "2022-01-25", "2022-01-15", 1.0),  # the fund's, of a period that none has after it
        filed("FB", "2021-10-26", "2021-09-30", 2.0),
        filed("META", "2022-06-20", "2021-12-31", 3.0),
    )
    assert rows.loc["2022-06-17", "revenues"] == 2.0
    assert rows.loc["2022-12-30", "revenues"] == 3.0
    note = rows.attrs["metadata"]["joined"]["financials"]
    assert (note["of_others"], note["placed"], note["unparsed"]) == (1, 2, 0)


def test_a_correction_under_the_later_ticker_does_not_bring_an_old_period_back(tmp_path):
    rows = with_statements(
        tmp_path,
        filed("FB", "2022-04-28", "2022-03-31", 2.0),
        filed("META", "2022-06-20", "2021-12-31", 3.0),
    )
    assert rows.loc["2022-12-30", "revenues"] == 2.0


@pytest.mark.parametrize("cik", ["1326801", "0001326801"])
def test_the_issuers_number_counts_more_than_the_day(tmp_path, cik):
    """The fund's last report comes when Facebook has the ticker already."""
    warehouse = made(tmp_path)
    statements = pa.Table.from_pylist(
        [
            filed("META", "2022-07-05", "2022-06-30", 5.0, cik="77"),
            filed("META", "2022-07-06", "2022-03-31", 4.0, cik=cik),
        ]
    )
    with warehouse.writer("test") as transaction:
        for security, number in (("FB@2021-06-01", "0001326801"), ("META@2021-06-01", "77")):
            transaction.execute(
                "UPDATE reference.securities SET cik = ? WHERE security_id = ?", [number, security]
            )
        transaction.replace_all(schema_from_arrow(("market", "financials"), statements.schema), statements)
    door = DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))
    rows = door.create_unified_dataset(["META"], *RANGE, ["prices", "financials"], ensure=False)
    assert rows["revenues"].iloc[-1] == 4.0


def test_a_number_that_no_bearer_has_says_nothing(tmp_path):
    """Issuers get another one when they reorganise."""
    rows = with_statements(tmp_path, filed("FB", "2021-10-26", "2021-09-30", 2.0, cik="99"))
    assert rows["revenues"].iloc[-1] == 2.0


def test_options_are_on_whoever_bore_the_ticker_on_their_day(tmp_path):
    """What is quoted between two bearers of a ticker is left over from the earlier one."""
    warehouse = made(tmp_path)
    contracts = {
        "2022-01-20": ["O:META220616C00012000", "O:FB220616C00200000"],
        "2022-02-10": ["O:META220616C00012000", "O:FB220616C00200000"],
        "2022-06-10": ["O:FB220616C00050000", "O:META220616C00050000"],  # a root that lingers
    }
    prices = {"open": 1.0, "close": 2.0, "high": 3.0, "low": 0.5, "volume": 10.0, "transactions": 4}
    start = dt.datetime(2022, 1, 20, 5, tzinfo=dt.timezone.utc)
    rows = [
        {"trade_date": dt.date.fromisoformat(day), "ticker": ticker, "window_start": start, **prices}
        for day, tickers in contracts.items()
        for ticker in tickers
    ]
    table = get_table(("market", "options_daily"))
    bars = pa.Table.from_pylist(rows).select(table.column_names).cast(table.arrow_schema)
    with warehouse.writer("test") as transaction:
        transaction.replace(table, bars, {"trade_date": sorted({row["trade_date"] for row in rows})})
    door = DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))

    def roots(symbol: str, start: str, end: str) -> list[tuple[str, str]]:
        found = door.create_unified_dataset([symbol], start, end, ["options"], ensure=False)
        quoted = found[found["strike"].notna()]
        return [(str(day.date()), root) for day, root in zip(quoted["session"], quoted["root"], strict=True)]

    assert roots("META", "2022-01-18", "2022-06-30") == [
        ("2022-01-20", "FB"), ("2022-02-10", "FB"), ("2022-06-10", "FB"), ("2022-06-10", "META"),
    ]  # fmt: skip
    assert roots("META", "2022-01-18", "2022-01-28") == [("2022-01-20", "META")], "the fund's"


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_the_whole_market_holds_each_security_once_under_the_ticker_of_its_session(warehouse, algorithm):
    days = sessions("2022-06-01", "2022-06-15")
    parameters = {
        "pairs_trading": {"min_correlation": -1.0},
        "momentum": {"min_price": 0, "min_dollar_volume": 0},
    }.get(algorithm, {})
    entry = ALGORITHMS[algorithm]
    results = update_features(entry, days, warehouse, parameters=entry.parameters(**parameters))
    assert all(result.error is None for result in results)
    rows = warehouse.reader().table(".".join(algorithm_table_key(algorithm))).df()
    securities = [name for name in rows.columns if name.startswith("security_id")]
    for name in securities:
        ticker = name.replace("security_id", "ticker")
        facebook = rows[rows[name] == "FB@2021-06-01"]
        assert set(facebook[ticker]) <= {"FB", "META"}
        assert (facebook[ticker] == np.where(facebook["trade_date"] < "2022-06-09", "FB", "META")).all()
        assert "META@2021-06-01" not in set(rows[name]), "it had no bar any more"
    assert not rows.duplicated(["trade_date", *securities]).any()
    if algorithm == "momentum":
        facebook = rows[rows["security_id"] == "FB@2021-06-01"]
        assert facebook["momentum_12_1"].notna().sum() == facebook["momentum_rank"].notna().sum()
        assert facebook["return_126"].abs().max() < 1e-9
        assert len(facebook) == len(days)


def test_bars_loaded_since_the_securities_were_made_are_those_of_whom_the_ticker_was(tmp_path):
    warehouse = made(tmp_path)
    with warehouse.writer("test") as transaction:
        transaction.execute(
            "UPDATE reference.securities SET last_session = '2022-11-30' WHERE last_session > '2022-11-30'"
        )
    door = DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))
    assert get(door, ["META"])["price_data"]["META"].notna().all()
    assert SECURITIES.sql_name == "reference.securities"
    assert dt.date(2022, 12, 30) in get(door, ["K"])["price_data"].index.date


@pytest.mark.parametrize("identity", ["security", "ticker"])
def test_stored_features_stand_beside_prices_under_either_identity(tmp_path, identity):
    warehouse = made(tmp_path)
    days = sessions("2022-06-07", "2022-06-10")
    for result in update_features(ALGORITHMS["momentum"], days, warehouse):
        assert result.error is None
    door = DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))
    rows = door.create_unified_dataset(
        ["META", "K"], "2022-06-07", "2022-06-10", ["prices", "momentum"], ensure=False, identity=identity
    ).set_index(["symbol", "session"])
    assert rows.loc["K", "return_21"].notna().all()
    expected = 4 if identity == "security" else 2
    assert rows.loc["META", "momentum_adjustment"].notna().sum() == expected


@pytest.mark.parametrize(
    ("period_end", "filing_date", "eps"),
    [
        ("2021-12-31", "2022-02-10", 1.0),  # before the split of 2022-03-01, four for one
        ("2021-12-31", "2022-03-15", 4.0),
        ("2021-12-31", None, None),  # it counts from 2022-03-31, and was filed nobody knows when
        ("2021-09-30", None, 1.0),
    ],
)
def test_in_which_shares_an_undated_statement_is_is_not_guessed_over_a_split(
    tmp_path, period_end, filing_date, eps
):
    row = filed("FB", filing_date, period_end, 2.0) | {"diluted_eps": 4.0}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        rows = with_statements(tmp_path, row)
    assert any("a split lies between" in str(each.message) for each in said) == (eps is None)
    last = rows.iloc[-1]
    assert last["revenues"] == 2.0
    assert last["diluted_eps"] == eps or (eps is None and pd.isna(last["diluted_eps"]))
    note = rows.attrs["metadata"]["joined"]["financials"]
    assert bool(note["of_unknown_shares"]) == (eps is None)

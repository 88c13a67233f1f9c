"""One result, one kind of terms: what happens later changes nothing, or one factor.

Every frame of every algorithm of the registry and of the unified dataset is held to what its columns
declare, so that a new algorithm is held to it, too.
"""

from __future__ import annotations

import datetime as dt
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flatfiles_assets.algorithms.algorithm import Frame
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.algorithms.securities import IdentityRecords, UserRename
from flatfiles_assets.data_integration import CoverageWarning, DataIntegration
from flatfiles_assets.data_integration.bars import BAR_COLUMNS
from flatfiles_assets.data_integration.share_terms import terms_of
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.reference import reference_records
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.features import update_features
from flatfiles_assets.warehouse.table import schema_from_arrow
from flatfiles_assets.warehouse.tables import DIVIDENDS, SPLITS
from flatfiles_assets_tests.histories import history, sessions, store
from flatfiles_assets_tests.market_warehouse import load_securities

pytestmark = pytest.mark.slow

START, EARLY_END, LATE_END = "2023-12-01", "2024-02-09", "2024-03-28"
DAYS = sessions(START, EARLY_END)
SYMBOLS = ["AAA", "BBB", "CCC", "OLD", "EEE"]
# One split within the early range, and everything else after it.
SPLITS_OF = {
    "AAA": [("2024-01-10", 1, 2), ("2024-02-20", 1, 4)],
    "BBB": [("2024-03-01", 3, 1)],
    "OLD": [("2024-03-11", 2, 3)],
}
PAID = [
    ("AAA", "2024-01-05", 1.1),
    ("AAA", "2024-02-15", 1.0),
    ("CCC", "2024-01-16", 0.5),
    ("CCC", "2024-03-05", 0.5),
]
#: OLD is called NEW from this session on.
RENAMED = "2024-02-26"


def bars():
    made = []
    for number, symbol in enumerate(SYMBOLS):
        common = {"noise": 0.015, "seed": number, "splits": SPLITS_OF.get(symbol, ())}
        # CCC has no bar on its first ex-date, AAA none on its first split.
        without = {"CCC": ["2024-01-16"], "AAA": ["2024-01-10"]}.get(symbol, [])
        if symbol != "OLD":
            made.append(history(symbol, "2021-11-01", LATE_END, 80.0 + number, without=without, **common))
            continue
        whole = history("OLD", "2021-11-01", LATE_END, 80.0, **common)
        later = np.array(whole.days) >= dt.date.fromisoformat(RENAMED)
        for ticker, chosen in (("OLD", ~later), ("NEW", later)):
            part = history(ticker, "2024-01-02", "2024-01-02", 1.0)
            part.days = [day for day, kept in zip(whole.days, chosen, strict=True) if kept]
            for name in ("closes", "volumes", "opens"):
                setattr(part, name, getattr(whole, name)[chosen])
            made.append(part)
    return made


def statement(ticker: str, filed: str, end: str, eps: float, shares: float) -> dict:
    return {"ticker": ticker, "filing_date": filed, "end_date": end, "diluted_eps": eps,
            "SharesOutstanding": shares, "revenues": 100.0, "repurchase_of_shares": 5.0}  # fmt: skip


STATEMENTS = [
    *(statement(symbol, "2023-11-08", "2023-09-30", 4.0, 1000.0) for symbol in SYMBOLS),
    statement("AAA", "2024-02-06", "2023-12-31", 2.0, 2000.0),
    statement("CCC", "2024-02-21", "2023-09-30", 3.0, 1000.0),  # restated later
]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("terms") / "w.duckdb", lock_timeout_seconds=30)
    store(warehouse, *bars())
    splits = [
        {"ticker": symbol, "execution_date": day, "split_from": before, "split_to": after}
        for symbol, records in SPLITS_OF.items()
        for day, before, after in records
    ]
    dividends = [{"ticker": s, "ex_dividend_date": day, "cash_amount": cash} for s, day, cash in PAID]
    statements = pa.Table.from_pylist(STATEMENTS)
    rename = UserRename("OLD", "NEW", None)
    with warehouse.writer("test") as transaction:
        transaction.replace_all(SPLITS, reference_records("splits", splits, "test").table)
        transaction.replace_all(DIVIDENDS, reference_records("dividends", dividends, "test").table)
        key = ("market", "financials")
        transaction.replace_all(schema_from_arrow(key, statements.schema), statements)
    load_securities(warehouse, IdentityRecords(*(IdentityRecords.none().snapshots,) * 3, (rename,)))
    for name, algorithm in ALGORITHMS.items():
        if algorithm.is_per_symbol:
            for result in update_features(algorithm, sessions(START, LATE_END), warehouse):
                assert result.error is None, name
    return warehouse


@pytest.fixture
def door(warehouse: Warehouse, tmp_path: Path) -> DataIntegration:
    warnings.simplefilter("ignore", CoverageWarning)
    return DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))


def get(door: DataIntegration, algorithm: str, end: str, **options):
    if algorithm == "momentum":
        options |= {"min_price": 0, "min_dollar_volume": 0}
    return door.get_data_for_algorithm(algorithm, SYMBOLS, START, end, ensure=False, **options)


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per session (if any) and symbol or pair, one column per value."""
    keys = [name for name in ("session", "symbol", "symbol_y", "symbol_x") if name in frame.columns]
    if keys:
        return frame.set_index(keys)
    names = [str(level) for level in range(frame.columns.nlevels)]
    columns = frame.columns.set_names(names)
    return frame.set_axis(columns, axis=1).stack(names, future_stack=True).to_frame("value")


def assert_only_rescaled(before: pd.DataFrame, after: pd.DataFrame, terms: dict[str, str], what: str) -> int:
    """Free columns are equal, every other one is a multiple of itself for each symbol or pair."""
    before, after = tidy(before), tidy(after)
    after = after.loc[before.index]
    rescaled = 0
    for name in before.columns:
        kind = terms[name] if name in terms else terms["value"]
        then, now = before[name], after[name]
        assert (then.isna() == now.isna()).all(), (what, name)
        if kind == "free" or then.dtype == object:
            pd.testing.assert_series_equal(then, now, rtol=1e-11, atol=0, obj=f"{what}.{name}")
            continue
        ratio = (now / then).dropna().replace([np.inf, -np.inf], np.nan).dropna()
        of_symbol = [level for level in ratio.index.names if level != "session"]
        spread = ratio.groupby(of_symbol).agg(lambda each: each.max() / each.min() - 1)
        assert (spread.abs() < 1e-9).all(), (what, name, spread)
        rescaled += int(((ratio - 1).abs() > 1e-6).any())
    return rescaled


def terms_of_frame(frame: Frame) -> dict[str, str]:
    return {"value": frame.terms, **{column.name: column.terms for column in frame.columns}}


@pytest.mark.parametrize("adjust", ["splits", "total_return"])
@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_a_later_end_changes_no_value_and_rescales_what_is_per_share(door, algorithm, adjust):
    early, late = (get(door, algorithm, end, adjust=adjust) for end in (EARLY_END, LATE_END))
    frames = ALGORITHMS[algorithm].frames
    assert set(early) == {*frames, "metadata"}
    rescaled = 0
    for key, frame in frames.items():
        if frame.about == "session":
            rescaled += assert_only_rescaled(early[key], late[key], terms_of_frame(frame), key)
    assert rescaled, "the events must matter to something"


@pytest.mark.parametrize("adjust", ["splits", "total_return"])
@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_asking_later_rescales_every_frame_and_changes_nothing_else(door, algorithm, adjust):
    """The same range in the terms of a later day: this holds for values about the range, too."""
    then = get(door, algorithm, EARLY_END, adjust=adjust)
    now = get(door, algorithm, EARLY_END, adjust=adjust, as_of=LATE_END)
    for key, frame in ALGORITHMS[algorithm].frames.items():
        assert_only_rescaled(then[key], now[key], terms_of_frame(frame), key)
    late = get(door, algorithm, LATE_END, adjust=adjust)["price_data"].loc[:EARLY_END]
    pd.testing.assert_frame_equal(now["price_data"], late, rtol=1e-12)


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_asking_earlier_is_what_was_known_then(door, algorithm):
    then = get(door, algorithm, EARLY_END)
    asked = get(door, algorithm, LATE_END, as_of=EARLY_END)
    for key in ALGORITHMS[algorithm].frames:
        pd.testing.assert_frame_equal(asked[key], then[key])
    assert asked["metadata"]["end"] == asked["metadata"]["as_of"] == dt.date.fromisoformat(EARLY_END)
    with pytest.raises(InvalidArgument, match="as_of"):
        get(door, algorithm, LATE_END, as_of="2023-01-03")


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_in_its_own_terms_nothing_depends_on_the_end(door, algorithm):
    early, late = (get(door, algorithm, end, terms="own") for end in (EARLY_END, LATE_END))
    for key, frame in ALGORITHMS[algorithm].frames.items():
        if frame.about == "session":
            everything = dict.fromkeys(terms_of_frame(frame), "free")
            assert assert_only_rescaled(early[key], late[key], everything, key) == 0


def test_published_prices_times_the_factor_are_the_prices_and_own_terms_are_as_published(door):
    for terms in ("end", "own"):
        prices = door.load_prices(SYMBOLS, START, LATE_END, ensure=False, terms=terms)
        np.testing.assert_allclose(prices["close"], prices["close_published"] * prices["price_factor"])
        indicators = get(door, "mean_reversion", LATE_END, terms=terms)["indicators_data"]
        assert (indicators["close_published"] == prices["close_published"]).all()
        assert (indicators["price_factor"] == prices["price_factor"]).all()
        before_both_splits = prices.query("symbol == 'AAA'")["price_factor"].iloc[0]
        assert before_both_splits == pytest.approx(1 / 8 if terms == "end" else 1)
        inside = (indicators["bollinger_lower"] < prices["close"]).mean()
        assert inside > 0.8, "bands and closes are in the same terms"
    assert (prices["price_factor"] == 1).all()


def test_a_session_has_one_spread_however_far_the_range_goes(door):
    """In its own terms; in those of the end it is a multiple, by the split of y."""
    spreads = {end: get(door, "pairs_trading", end)["spread_data"] for end in (EARLY_END, LATE_END)}
    ratio = spreads[LATE_END].loc[EARLY_END] / spreads[EARLY_END].loc[EARLY_END]
    assert ratio[("AAA", "EEE")] == pytest.approx(1 / 4)
    assert ratio[("EEE", "AAA")] == pytest.approx(1)
    own = [get(door, "pairs_trading", end, terms="own")["spread_data"] for end in (EARLY_END, LATE_END)]
    pd.testing.assert_series_equal(own[0].loc[EARLY_END], own[1].loc[EARLY_END])


UNIFIED = ("prices", "financials", "splits", "dividends", "momentum", "mean_reversion")


def unified(door: DataIntegration, end: str, **options) -> pd.DataFrame:
    return door.create_unified_dataset(SYMBOLS, START, end, UNIFIED, ensure=False, **options)


def unified_terms(frame: pd.DataFrame) -> dict[str, str]:
    declared = {column.name: column.terms for column in BAR_COLUMNS} | {"dividend": "price"}
    for algorithm in ALGORITHMS.values():
        declared |= {column.name: column.terms for column in algorithm.columns if column.terms != "free"}
    return {name: declared.get(name, terms_of(name)) for name in frame.columns}


@pytest.mark.parametrize("adjust", ["splits", "total_return", "none"])
def test_the_unified_dataset_is_only_rescaled_by_what_comes_later(door, adjust):
    """Over a split, a dividend, a restatement and a rename."""
    early, late = (unified(door, end, adjust=adjust) for end in (EARLY_END, LATE_END))
    assert_only_rescaled(early, late, unified_terms(early), adjust)
    now = unified(door, EARLY_END, adjust=adjust, as_of=LATE_END)
    assert_only_rescaled(early, now, unified_terms(early), adjust)
    pd.testing.assert_frame_equal(unified(door, LATE_END, adjust=adjust, as_of=EARLY_END), early)


@pytest.mark.parametrize("adjust", ["splits", "total_return"])
@pytest.mark.parametrize("end", [EARLY_END, LATE_END])
@pytest.mark.parametrize("terms", ["end", "own"])
def test_yields_and_market_values_are_right_in_any_terms(door, adjust, end, terms):
    rows = unified(door, end, adjust=adjust, terms=terms).set_index(["symbol", "session"])
    published = {each.ticker: dict(zip(each.days, each.closes, strict=True)) for each in bars()}

    def published_on(symbol: str, day: str) -> float:
        return published[symbol][dt.date.fromisoformat(day)]

    def row(symbol: str, day: str):
        return rows.loc[(symbol, pd.Timestamp(day))]

    paid = row("AAA", "2024-01-05")
    assert paid["dividend"] / paid["close"] == pytest.approx(1.1 / published_on("AAA", "2024-01-05"))
    # Filed in shares before the split of 2024-01-10, shown on a session after it.
    later = row("AAA", "2024-01-12")
    assert later["diluted_eps"] / later["close"] == pytest.approx(2.0 / published_on("AAA", "2024-01-12"))
    value = later["close_published"] * later["SharesOutstanding"] / later["volume_factor"]
    assert value == pytest.approx(2000.0 * published_on("AAA", "2024-01-12"))
    assert (later["revenues"], later["repurchase_of_shares"]) == (100.0, 5.0)


def test_events_without_a_bar_stand_on_the_next_one(door):
    rows = unified(door, EARLY_END).set_index(["symbol", "session"])
    assert rows["split_ratio"].dropna().to_dict() == {("AAA", pd.Timestamp("2024-01-11")): 2.0}
    dividends = rows["dividend"].dropna()
    assert set(dividends.index) == {
        ("AAA", pd.Timestamp("2024-01-05")),
        ("CCC", pd.Timestamp("2024-01-17")),
    }
    # What fell before the range's first bar of a symbol that had one since is not of the range.
    shown = door.create_unified_dataset(["CCC"], "2024-01-18", EARLY_END, ["dividends"], ensure=False)
    assert shown["dividend"].isna().all()
    shown = door.create_unified_dataset(["CCC"], "2024-01-17", EARLY_END, ["dividends"], ensure=False)
    assert shown["dividend"].notna().sum() == 1


@pytest.mark.parametrize(
    ("column", "terms"),
    [
        ("basic_earnings_per_share", "price"),
        ("EPSDiluted", "price"),
        ("Book Value Per Share", "price"),
        ("dividendsPerShare", "price"),
        ("weighted_average_shares", "volume"),
        ("SharesOutstanding", "volume"),
        ("basicAverageShares", "volume"),
        ("repurchase_of_shares", "free"),
        ("revenues", "free"),
        ("steps", "free"),
        ("market_share", "free"),
    ],
)
def test_columns_of_statements_are_told_by_their_names(column, terms):
    assert terms_of(column) == terms

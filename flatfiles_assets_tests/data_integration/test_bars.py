"""Bars made of minutes are what plain pandas makes of them, session by session."""

from __future__ import annotations

import datetime as dt
import itertools
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.securities import IdentityRecords, UserRename
from flatfiles_assets.data_integration import CoverageWarning, DataIntegration, NoData, Universe
from flatfiles_assets.data_integration.minute_bars import MINUTES, parts
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.reference import reference_records
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.tables import DIVIDENDS, SPLITS, get_table
from flatfiles_assets_tests.histories import history, sessions, store
from flatfiles_assets_tests.market_warehouse import load_securities

MINUTE = get_table(("market", "stocks_minute"))
NY = "America/New_York"
START, END = "2024-11-25", "2024-12-04"  # Thanksgiving, and 2024-11-29 closes at 13:00
SPLIT_DAY = dt.date(2024, 12, 2)
RENAMED = "2024-12-03"
DST = ("2024-03-07", "2024-03-12")
STORED = [*sessions(*DST), *sessions(START, END)]
MISSING = dt.date(2024, 11, 26)


def minutes_of(ticker: str, day: dt.date) -> pd.DataFrame:
    """About a third of the minutes of 04:00 to 20:00, in no order."""
    rng = np.random.default_rng([day.toordinal(), *ticker.encode()])
    clock = pd.date_range(f"{day} 04:00", f"{day} 19:59", freq="min", tz=NY)
    clock = clock[np.sort(rng.choice(len(clock), 300, replace=False))]
    prices = 100 + np.cumsum(rng.normal(0, 0.1, (len(clock), 2)).ravel()).reshape(-1, 2)
    frame = pd.DataFrame({"window_start": clock, "open": prices[:, 0], "close": prices[:, 1]})
    frame["high"] = prices.max(axis=1) + 0.05
    frame["low"] = prices.min(axis=1) - 0.05
    frame["volume"] = rng.integers(0, 900, len(clock)) + rng.choice([0.0, 0.5], len(clock))
    frame["transactions"] = rng.integers(1, 50, len(clock))
    frame["trade_date"], frame["ticker"] = day, ticker
    return frame.sample(frac=1, random_state=1)


def ticker_on(symbol: str, day: dt.date) -> str:
    return "OLD" if symbol == "NEW" and day < dt.date.fromisoformat(RENAMED) else symbol


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    found = Warehouse(tmp_path_factory.mktemp("w") / "w.duckdb")
    split = [(SPLIT_DAY.isoformat(), 1, 4)]
    before = (pd.Timestamp(RENAMED) - pd.Timedelta(days=1)).date().isoformat()
    store(
        found,
        history("AAA", "2024-01-02", END, 400.0, splits=split, noise=0.01),
        history("OLD", "2024-01-02", before, 50.0),
        history("NEW", RENAMED, END, 50.0),
        history("NOMIN", "2024-01-02", END, 50.0, volume=1e5),
    )
    days = [day for day in STORED if day != MISSING]
    made = pd.concat(minutes_of(ticker_on(s, day), day) for day in days for s in ("AAA", "NEW"))
    table = pa.Table.from_pandas(made[list(MINUTE.column_names)], preserve_index=False)
    with found.writer("test") as transaction:
        transaction.replace(MINUTE, table.cast(MINUTE.arrow_schema), {"trade_date": days})
        records = [{"id": "1", "ticker": "AAA", "execution_date": SPLIT_DAY.isoformat(),
                    "split_from": 1, "split_to": 4}]  # fmt: skip
        transaction.replace_all(SPLITS, reference_records("splits", records, "api").table)
        transaction.replace_all(DIVIDENDS, reference_records("dividends", [], "api").table)
    rename = UserRename("OLD", "NEW", None)
    load_securities(found, IdentityRecords(*(IdentityRecords.none().snapshots,) * 3, (rename,)))
    return found


@pytest.fixture
def door(warehouse: Warehouse, tmp_path: Path) -> DataIntegration:
    return DataIntegration(warehouse, load_settings(data_dir=tmp_path, api_key=None))


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        yield


def by_pandas(symbol: str, day: dt.date, frequency: str, closes: str = "16:00") -> pd.DataFrame:
    """Regular bars by nothing but pandas' own resampling, as published."""
    rows = minutes_of(ticker_on(symbol, day), day).set_index("window_start").sort_index()
    rows = rows.between_time("09:30", closes, inclusive="left")
    rows["paid"] = rows["volume"] * (rows["high"] + rows["low"] + rows["close"]) / 3
    width = {"1h": "60min"}.get(frequency, frequency)
    groups = rows.resample(width, origin=pd.Timestamp(f"{day} 09:30", tz=NY))
    made = groups.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum",
                       "paid": "sum", "transactions": "sum"})  # fmt: skip
    made = made[groups.size() > 0]
    made["vwap"] = (made["paid"] / made["volume"]).where(made["volume"] > 0)
    return made.drop(columns="paid")


@pytest.mark.parametrize("frequency", ["1min", "5min", "15min", "30min", "1h"])
@pytest.mark.parametrize("symbol", ["AAA", "NEW"])
def test_bars_are_those_of_pandas_over_half_days_summer_time_splits_and_renames(door, frequency, symbol):
    for days in (DST, (START, END)):
        found = door.load_bars([symbol], *days, frequency=frequency)
        closes = {dt.date(2024, 11, 29): "13:00"}
        expected = []
        for day in sessions(*days):
            if day == MISSING:
                continue
            made = by_pandas(symbol, day, frequency, closes.get(day, "16:00"))
            factor = 0.25 if symbol == "AAA" and days[0] == START and day < SPLIT_DAY else 1.0
            made[["open", "high", "low", "close", "vwap"]] *= factor
            made["volume"] /= factor
            expected.append(made)
        whole = pd.concat(expected)
        assert (found["time"].to_numpy() == whole.index.to_numpy()).all()
        for name in whole.columns:
            np.testing.assert_allclose(found[name].to_numpy(float), whole[name].to_numpy(float), rtol=1e-12)
        assert str(found["time"].dt.tz) == NY


def test_a_bar_begins_at_the_open_and_none_crosses_a_close(door):
    hourly = door.load_bars("AAA", "2024-11-27", "2024-11-29", frequency="1h", label="right", tz="UTC")
    local = hourly["time"].dt.tz_convert(NY).dt.strftime("%d %H:%M").tolist()
    assert local == [
        *(f"27 {hour}" for hour in ("10:30", "11:30", "12:30", "13:30", "14:30", "15:30", "16:00")),
        *(f"29 {hour}" for hour in ("10:30", "11:30", "12:30", "13:00")),
    ]


def test_regular_bars_are_the_same_among_extended_ones(door):
    options = {"frequency": "1h", "as_": "polars"}
    regular = door.load_bars("AAA", START, END, **options)
    extended = door.load_bars("AAA", START, END, hours="extended", **options)
    assert regular.join(extended, on=extended.columns, how="semi", nulls_equal=True).height == regular.height
    clock = set(extended["time"].dt.strftime("%H:%M").to_list())
    assert {"04:00", "09:00", "09:30", "15:30", "16:00", "19:00"} <= clock
    assert "08:30" not in clock


def test_the_day_of_minutes_is_open_high_low_and_close_of_regular_hours(door):
    (row,) = door.load_bars("AAA", "2024-12-03", "2024-12-03", frequency="1d").to_dict("records")
    minutes = by_pandas("AAA", dt.date(2024, 12, 3), "1min")
    assert row["open"] == minutes["open"].iloc[0]
    assert row["close"] == minutes["close"].iloc[-1]
    assert (row["high"], row["low"]) == (minutes["high"].max(), minutes["low"].min())
    (extended,) = door.load_bars("AAA", "2024-12-03", "2024-12-03", frequency="1d", hours="extended").to_dict(
        "records"
    )
    assert extended["volume"] == minutes_of("AAA", dt.date(2024, 12, 3))["volume"].sum()


def test_moments_bound_bars_and_never_cut_one(door):
    found = door.load_bars("AAA", "2024-12-03 09:37", pd.Timestamp("2024-12-03 11:01"), frequency="30min")
    assert found["time"].dt.strftime("%H:%M").tolist() == ["10:00", "10:30"]
    utc = door.load_bars(
        "AAA", "2024-12-03T15:00Z", pd.Timestamp("2024-12-03 16:00", tz="UTC"), frequency="30min"
    )
    assert utc["time"].tolist() == found["time"].tolist()
    whole = door.load_bars("AAA", pd.Timestamp("2024-12-03"), pd.Timestamp("2024-12-03"), frequency="1h")
    assert len(whole) == 7
    with pytest.raises(InvalidArgument, match="reversed"):
        door.load_bars("AAA", "2024-12-03 11:00", "2024-12-03 10:00")
    with pytest.raises(InvalidArgument, match="no moment"):
        door.load_bars("AAA", "2024-12-03 10:99", "2024-12-04")


def test_slots_without_a_trade_carry_the_close_of_their_session_and_no_other(door):
    sparse = door.load_bars("AAA", "2024-11-27", "2024-11-29", as_="polars")
    filled = door.load_bars("AAA", "2024-11-27", "2024-11-29", fill="session", as_="polars")
    assert filled.height == 390 + 210
    traded = filled.join(sparse.select("time"), on="time", how="semi")
    assert traded.equals(sparse)
    for _, rows in filled.to_pandas().groupby("session"):
        volume, close = rows["volume"].to_numpy(), rows["close"]
        rest = ~rows["time"].isin(sparse["time"].to_pandas())
        assert (volume[rest] == 0).all()
        assert rows["vwap"][rest].isna().all()
        expected = close.where(~rest).ffill()
        pd.testing.assert_series_equal(rows["open"][rest], expected[rest], check_names=False)


def test_published_prices_times_the_factor_are_the_result_in_any_terms(door):
    published = door.load_bars("AAA", START, END, frequency="1h", adjust="none")
    for terms in ("end", "own"):
        found = door.load_bars("AAA", START, END, frequency="1h", terms=terms)
        np.testing.assert_allclose(found["close"], published["close"] * found["price_factor"], rtol=1e-14)
        np.testing.assert_allclose(found["volume"], published["volume"] * found["volume_factor"], rtol=1e-14)
    before = door.load_bars("AAA", START, END, frequency="1h", as_of="2024-11-29")
    assert before["session"].max() == pd.Timestamp("2024-11-29")
    assert (before["price_factor"] == 1).all()  # the split was not known


def test_a_frame_for_each_field_has_the_symbols_asked_for(door):
    wide = door.load_bars(["NEW", "NOMIN", "AAA"], START, END, fields=("close", "volume"), shape="wide")
    assert list(wide) == ["close", "volume"]
    assert wide["close"].columns.tolist() == ["NEW", "NOMIN", "AAA"]
    assert wide["close"].index.is_monotonic_increasing
    assert wide["close"]["NOMIN"].isna().all()
    long = door.load_bars(["AAA"], START, END)
    assert wide["close"]["AAA"].dropna().tolist() == long["close"].tolist()


@pytest.mark.parametrize("by", ["session", "symbols"])
def test_pieces_put_together_are_the_whole(door, by):
    symbols = ["NEW", "NOMIN", "AAA"]
    pieces = list(door.iter_bars(symbols, START, END, by=by, n_symbols=2, frequency="30min"))
    assert len(pieces) == (6 if by == "session" else 2)
    whole = door.load_bars(symbols, START, END, frequency="30min", as_="arrow")
    order = [("time", "ascending"), ("symbol", "ascending")]
    names = whole.column_names
    together = pa.concat_tables([piece.cast(pieces[0].schema) for piece in pieces])
    assert together.sort_by(order).select(names).to_pylist() == whole.sort_by(order).to_pylist()


def test_sessions_and_symbols_without_minutes_are_said_or_refused(door):
    with pytest.warns(CoverageWarning) as said:
        found = door.load_bars(["AAA", "NOMIN"], START, END)
    text = " ".join(str(each.message) for each in said)
    assert MISSING.isoformat() in text
    assert "backfill stocks_minute" in text
    assert "no minutes in the hours asked for: NOMIN" in text
    assert found.attrs["metadata"]["missing_minute_sessions"] == [MISSING.isoformat()]
    with pytest.raises(NoData, match="backfill stocks_minute"):
        door.load_bars("AAA", MISSING, MISSING)
    with pytest.raises(NoData, match="no minute bars"):
        list(door.iter_bars("AAA", MISSING, MISSING))


def test_members_of_a_universe_have_bars_in_their_sessions(door):
    found = door.load_bars(Universe(top=1, types=None), "2024-12-03", END, frequency="1h", as_="polars")
    assert found["symbol"].unique().to_list() == ["AAA"]


@pytest.mark.parametrize(
    "wrong",
    [{"frequency": "2min"}, {"hours": "night"}, {"label": "middle"}, {"tz": "Europe/Berlin"},
     {"fields": ["price"]}, {"fields": []}, {"fill": "all"}, {"shape": "square"}],
)  # fmt: skip
def test_an_argument_that_is_none_is_refused_before_anything_is_read(door, wrong):
    with pytest.raises(InvalidArgument):
        door.load_bars("AAA", START, END, **wrong)


SESSIONS = sessions("2002-01-02", "2026-10-30")


@settings(deadline=None)
@given(day=st.sampled_from(SESSIONS), hours=st.sampled_from(["regular", "extended"]))
def test_parts_of_any_session_follow_each_other_within_its_day(day, hours):
    opens, closes = calendars.regular_hours(day)
    for frequency in MINUTES:
        found = parts(day, hours, frequency)
        for before, after in itertools.pairwise(found):
            assert before.end_us == after.start_us
        clock = [pd.Timestamp(us, unit="us", tz="UTC").tz_convert(NY) for us in
                 (found[0].start_us, found[-1].end_us)]  # fmt: skip
        assert {moment.date() for moment in clock} == {day}
        if hours == "regular":
            assert (clock[0], clock[1]) == (pd.Timestamp(opens), pd.Timestamp(closes))
        else:
            early = pd.Timestamp(closes).tz_convert(NY).hour < 16
            assert [moment.hour for moment in clock] == [4, 17 if early else 20]

import datetime as dt
import hashlib
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from statsmodels.tsa.stattools import coint

from flatfiles_assets import calendars
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.demo.market import PAIRS, SyntheticMarket, trading_hours
from flatfiles_assets.demo.universe import (
    DELISTED_TICKER,
    FIRST_SESSION_OF_LISTED,
    LAST_SESSION_OF_DELISTED,
    LISTED_TICKER,
    SECTORS,
    TEST_TICKERS,
)
from flatfiles_assets.demo.vendor_files import to_csv
from flatfiles_assets.errors import InvalidArgument

pytestmark = pytest.mark.slow

SESSION = dt.date(2024, 3, 12)
HALF_DAY = dt.date(2024, 7, 3)
FRACTIONAL_DAY = dt.date(2026, 2, 23)


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket()


def closes(market: SyntheticMarket, start: str, end: str, tickers: list[str]) -> np.ndarray:
    """Published closes, shape (sessions, tickers)."""
    rows = []
    for session in calendars.sessions("XNYS", start, end):
        bars = market.day_bars(session, tickers)
        found = dict(zip(bars["ticker"].to_pylist(), bars["close"].to_pylist(), strict=True))
        rows.append([found[ticker] for ticker in tickers])
    return np.array(rows)


def test_another_process_with_another_hash_seed_makes_the_same_market(market: SyntheticMarket) -> None:
    code = """
import datetime as dt, hashlib
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.vendor_files import to_csv
market, day = SyntheticMarket(), dt.date(2024, 3, 12)
tables = [market.option_minute_bars(day), market.minute_bars(day, ["KO", "NA"]), market.day_bars(day)]
print(hashlib.sha256(b"".join(map(to_csv, tables))).hexdigest())
"""
    there = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    tables = [
        market.option_minute_bars(SESSION),
        market.minute_bars(SESSION, ["KO", "NA"]),
        market.day_bars(SESSION),
    ]
    assert there.stdout.strip() == hashlib.sha256(b"".join(map(to_csv, tables))).hexdigest()


def test_a_bar_does_not_depend_on_what_else_was_asked_for(market: SyntheticMarket) -> None:
    fresh = SyntheticMarket()
    fresh.minute_bars(dt.date(2009, 5, 4), ["AAPL"])
    assert fresh.day_bars(SESSION).equals(market.day_bars(SESSION))
    alone = fresh.minute_bars(SESSION, ["KO"])
    together = market.minute_bars(SESSION, ["AAPL", "KO", "PEP"])
    assert alone.equals(together.filter(pc.equal(together["ticker"], "KO")).combine_chunks())


def test_a_larger_market_contains_a_smaller_one_unchanged(market: SyntheticMarket) -> None:
    small = SyntheticMarket(n_symbols=40)
    assert market.day_bars(SESSION, small.tickers).equals(small.day_bars(SESSION))


def test_another_seed_is_another_market(market: SyntheticMarket) -> None:
    assert not SyntheticMarket(n_symbols=5, seed=1).day_bars(SESSION).equals(market.day_bars(SESSION))


@pytest.mark.parametrize("year", [2002, 2008, 2024, 2026])
def test_at_least_five_hundred_symbols_have_sound_bars_in_every_era(
    market: SyntheticMarket, year: int
) -> None:
    session = calendars.sessions("XNYS", f"{year}-03-01", f"{year}-03-10")[0]
    bars = market.day_bars(session).to_pandas()
    assert len(bars) >= 500
    assert bars.ticker.is_unique
    assert (bars.low <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars.high >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars.low > 0).all()
    assert ((bars.volume == 0) == (bars.transactions == 0)).all()
    assert (bars.window_start == calendars.day_bounds_ns(session, "America/New_York")[0]).all()


@pytest.mark.parametrize("feed", ["stocks_daily", "stocks_minute", "options_daily", "options_minute"])
def test_columns_and_types_are_the_vendors(market: SyntheticMarket, feed: str) -> None:
    table = {
        "stocks_daily": market.day_bars,
        "stocks_minute": lambda session: market.minute_bars(session, ["KO"]),
        "options_daily": market.option_day_bars,
        "options_minute": market.option_minute_bars,
    }[feed](SESSION)
    assert table.schema == pa.schema([(column.name, column.type) for column in get_dataset(feed).columns])
    assert table.num_rows > 0


def test_the_oddities_of_the_real_feed_are_there(market: SyntheticMarket) -> None:
    tickers = set(market.day_bars(SESSION)["ticker"].to_pylist())
    assert {"NA", "NULL", "TRUE", "NAN", "INF", "BRK.B", "BCPC", "BCpC", *TEST_TICKERS} <= tickers
    quarter = calendars.sessions("XNYS", "2024-01-02", "2024-03-28")
    untraded = sum(pc.sum(pc.equal(market.day_bars(day)["volume"], 0)).as_py() for day in quarter)
    assert untraded > 0
    assert not set(TEST_TICKERS) & set(market.listed_tickers(SESSION))


def test_a_company_has_bars_from_its_listing_to_its_delisting_only(market: SyntheticMarket) -> None:
    def has_bar(session: dt.date, ticker: str) -> bool:
        return market.day_bars(session, [ticker]).num_rows == 1

    assert has_bar(LAST_SESSION_OF_DELISTED, DELISTED_TICKER)
    assert not has_bar(dt.date(2024, 2, 20), DELISTED_TICKER)
    assert has_bar(FIRST_SESSION_OF_LISTED, LISTED_TICKER)
    assert not has_bar(dt.date(2024, 3, 8), LISTED_TICKER)


def test_a_split_shows_in_the_published_prices_and_in_the_volume(market: SyntheticMarket) -> None:
    before, after = dt.date(2024, 2, 9), dt.date(2024, 2, 12)
    old, new = (market.day_bars(day, ["NVDA"]).to_pylist()[0] for day in (before, after))
    assert old["close"] / new["open"] == pytest.approx(4, rel=0.1)
    assert new["volume"] > 1.8 * old["volume"]


@pytest.mark.parametrize("record_position", range(7))
def test_every_split_record_explains_a_jump_in_the_published_prices(
    market: SyntheticMarket, record_position: int
) -> None:
    record = market.splits()[record_position]
    execution = dt.date.fromisoformat(record["execution_date"])
    days = calendars.sessions("XNYS", execution - dt.timedelta(days=6), execution)
    old, new = (market.day_bars(day, [record["ticker"]]).to_pylist()[0] for day in days[-2:])
    assert old["close"] / new["open"] == pytest.approx(record["split_to"] / record["split_from"], rel=0.15)


def test_dividends_leave_the_price_on_their_ex_dates(market: SyntheticMarket) -> None:
    records = [record for record in market.dividends() if record["ticker"] == "SPY"]
    assert len(records) == 26 * 4
    moves = []
    for record in records:
        ex_date = dt.date.fromisoformat(record["ex_dividend_date"])
        days = calendars.sessions("XNYS", ex_date - dt.timedelta(days=6), ex_date)
        before, after = closes(market, str(days[-2]), str(days[-1]), ["SPY"])[:, 0]
        assert record["cash_amount"] == pytest.approx(0.005 * before, abs=0.001)
        moves.append(np.log(after / before))
    # The market's own moves average out: their mean has a standard error below 0.0015.
    assert np.mean(moves) == pytest.approx(-0.005, abs=0.004)


def test_returns_are_correlated_most_of_all_within_a_sector(market: SyntheticMarket) -> None:
    session = dt.date(2024, 1, 2)
    steady = [
        company
        for company in market.companies[28:]
        if company.is_listed(session) and not company.illiquid and company.is_listed(dt.date(2024, 12, 31))
    ][:120]
    prices = closes(market, "2024-01-02", "2024-12-31", [company.ticker for company in steady])
    correlation = np.corrcoef(np.diff(np.log(prices), axis=0).T)
    sectors = np.array([company.sector for company in steady])
    off_diagonal = ~np.eye(len(steady), dtype=bool)
    same = (sectors[:, None] == sectors[None, :]) & off_diagonal
    assert len(SECTORS) > 5
    assert correlation[~same & off_diagonal].mean() > 0.1
    assert correlation[same].mean() > correlation[~same & off_diagonal].mean() + 0.03


@pytest.mark.parametrize("pair", PAIRS)
def test_planted_pairs_are_cointegrated_over_a_year(market: SyntheticMarket, pair: tuple[str, str]) -> None:
    prices = closes(market, "2023-06-01", "2024-06-28", list(pair))
    assert coint(prices[:, 0], prices[:, 1])[1] < 0.01


def test_the_first_pair_is_cointegrated_over_the_seeded_quarter(market: SyntheticMarket) -> None:
    prices = closes(market, "2024-01-02", "2024-03-28", list(PAIRS[0]))
    assert coint(prices[:, 0], prices[:, 1])[1] < 0.01


def test_companies_that_are_no_pair_are_not_cointegrated(market: SyntheticMarket) -> None:
    prices = closes(market, "2023-06-01", "2024-06-28", ["KO", "JPM"])
    assert coint(prices[:, 0], prices[:, 1])[1] > 0.05


@pytest.mark.parametrize("session", [dt.date(2008, 10, 10), SESSION, HALF_DAY, FRACTIONAL_DAY])
def test_minute_bars_add_up_to_the_day_bar(market: SyntheticMarket, session: dt.date) -> None:
    hours = trading_hours(session)
    midnight = calendars.day_bounds_ns(session, "America/New_York")[0]
    minutes = market.minute_bars(session).to_pandas()
    minutes["minute"] = (minutes.window_start - midnight) // (60 * 10**9)
    days = market.day_bars(session).to_pandas().set_index("ticker")
    traded = days[days.transactions > 0]
    regular = minutes[(minutes.minute >= hours.open_minute) & (minutes.minute < hours.close_minute)]
    grouped = regular.groupby("ticker", sort=False)
    assert set(minutes.ticker) == set(traded.index)
    for name, how in (("open", "first"), ("close", "last"), ("high", "max"), ("low", "min")):
        assert grouped[name].agg(how).equals(traded[name].reindex(grouped[name].agg(how).index)), name
    total = minutes.groupby("ticker", sort=False)[["volume", "transactions"]].sum().reindex(traded.index)
    np.testing.assert_allclose(total.volume, traded.volume, rtol=0, atol=1e-4)
    assert (total.transactions == traded.transactions).all()
    assert (minutes.volume > 0).all()
    assert (minutes.high >= minutes[["open", "close"]].max(axis=1)).all()
    assert (minutes.low <= minutes[["open", "close"]].min(axis=1)).all()
    assert not minutes.duplicated(["ticker", "minute"]).any()


def test_minutes_outside_regular_hours_exist_and_illiquid_stocks_miss_most_minutes(
    market: SyntheticMarket,
) -> None:
    midnight = calendars.day_bounds_ns(SESSION, "America/New_York")[0]
    minutes = market.minute_bars(SESSION).to_pandas()
    minutes["minute"] = (minutes.window_start - midnight) // (60 * 10**9)
    assert 4 * 60 <= minutes.minute.min() < 570
    assert 960 <= minutes.minute.max() < 20 * 60
    counts = minutes.groupby("ticker").size()
    assert counts["AAPL"] >= 390
    assert counts.min() < 40


def test_a_half_day_ends_at_one_o_clock(market: SyntheticMarket) -> None:
    assert trading_hours(HALF_DAY) == (570, 780)
    assert trading_hours(SESSION) == (570, 960)
    shorter, usual = (market.minute_bars(day, ["SPY"]).num_rows for day in (HALF_DAY, SESSION))
    assert shorter < usual - 150


def test_volumes_are_whole_until_the_day_they_became_fractional(market: SyntheticMarket) -> None:
    def whole(session: dt.date, table: pa.Table) -> bool:
        return pc.all(pc.equal(pc.floor(table["volume"]), table["volume"])).as_py()

    for session in (dt.date(2024, 1, 2), dt.date(2026, 2, 20)):
        assert whole(session, market.day_bars(session))
        assert whole(session, market.minute_bars(session, ["AAPL", "KO"]))
    assert not whole(FRACTIONAL_DAY, market.day_bars(FRACTIONAL_DAY))
    assert not whole(FRACTIONAL_DAY, market.minute_bars(FRACTIONAL_DAY))


def test_option_contracts_are_occ_symbols_with_consistent_bars(market: SyntheticMarket) -> None:
    bars = market.option_day_bars(SESSION).to_pandas()
    assert bars.ticker.str.fullmatch(r"O:[A-Z]{1,6}\d{6}[CP]\d{8}").all()
    assert bars.ticker.is_unique
    assert bars.ticker.str.startswith("O:BRKB2").any()
    assert (bars.low <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars.high >= bars[["open", "close"]].max(axis=1)).all()
    expiry = bars.ticker.str.extract(r"O:[A-Z]+(\d{6})")[0]
    assert (expiry >= f"{SESSION:%y%m%d}").all()
    calls = bars[bars.ticker.str.match(r"O:SPY240419C")].sort_values("ticker")
    assert len(calls) > 5
    assert calls.close.is_monotonic_decreasing, "a higher strike makes a call cheaper"


def test_option_minutes_add_up_to_their_days(market: SyntheticMarket) -> None:
    minutes = market.option_minute_bars(SESSION).to_pandas()
    days = market.option_day_bars(SESSION).to_pandas().set_index("ticker")
    total = minutes.groupby("ticker").volume.sum()
    assert len(total) == 60
    assert (total == days.volume[total.index]).all()
    assert (minutes.groupby("ticker").open.first() == days.open[total.index]).all()


def test_expiries_avoid_closed_fridays() -> None:
    from flatfiles_assets.demo.option_chain import expiries

    good_friday = dt.date(2024, 3, 29)
    found = expiries(dt.date(2024, 3, 26))
    assert good_friday not in found
    assert dt.date(2024, 3, 28) in found
    assert all(calendars.is_session("XNYS", day) for day in found)


def test_statements_are_filed_after_their_quarter_and_do_not_depend_on_the_years_asked_for(
    market: SyntheticMarket,
) -> None:
    year = market.financials(2008, 2008, symbols=["AAPL", "NA"])
    assert [record["fiscal_period"] for record in year] == ["Q1", "Q2", "Q3", "Q4"] * 2
    assert all(record["end_date"] < record["filing_date"] for record in year)
    longer = market.financials(2006, 2010, symbols=["AAPL", "NA"])
    assert [record for record in longer if record["fiscal_year"] == 2008] == year


def test_a_day_without_a_session_is_refused(market: SyntheticMarket) -> None:
    with pytest.raises(InvalidArgument, match="no session on 2024-01-01"):
        market.day_bars(dt.date(2024, 1, 1))

"""The demo's market has what real reference data do to software, and the platform finds all of it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path

import pytest

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.securities import IdentityRecords
from flatfiles_assets.demo.identity_cases import FIRST, HOLE, LAST, SERIES
from flatfiles_assets.demo.market import DEFAULT_SYMBOLS, SyntheticMarket
from flatfiles_assets.ingest.reference import reference_records
from flatfiles_assets.warehouse.audit import judge_everything
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.identity_tables import update_securities
from flatfiles_assets.warehouse.tables import SPLITS, TICKER_EVENTS, TICKERS
from flatfiles_assets_tests.market_warehouse import load_bars

pytestmark = pytest.mark.slow

MARKET = SyntheticMarket()
CASES = {series.ticker for series in SERIES}
QUARTER = calendars.sessions("XNYS", "2024-01-02", "2024-03-28")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    found = Warehouse(tmp_path_factory.mktemp("cases") / "w.duckdb", lock_timeout_seconds=60)
    load_bars(found, MARKET, QUARTER)
    snapshots = [
        {**row, "snapshot_date": day}
        for day in (QUARTER[0], HOLE, dt.date(2024, 3, 1), QUARTER[-1])
        for row in MARKET.ticker_snapshot(day)
    ]
    with found.writer("test") as transaction:
        transaction.replace_all(SPLITS, reference_records("splits", MARKET.recorded_splits(), "api").table)
        transaction.replace_all(TICKERS, reference_records("tickers", snapshots, "api").table)
        events = reference_records("ticker_events", MARKET.ticker_events(), "api").table
        transaction.replace_all(TICKER_EVENTS, events)
    update_securities(found)
    return found


def test_a_small_market_and_other_years_are_without_them():
    assert not CASES & set(SyntheticMarket(40).day_bars(QUARTER[0]).column("ticker").to_pylist())
    assert not CASES & set(MARKET.day_bars(dt.date(2008, 5, 12)).column("ticker").to_pylist())
    assert not CASES & set(SyntheticMarket(DEFAULT_SYMBOLS * 20).tickers)
    assert QUARTER[0] < FIRST < QUARTER[-1] < LAST


def test_the_same_bars_whatever_is_asked_for():
    alone = MARKET.day_bars(dt.date(2024, 2, 20), ["DUPE"]).to_pylist()
    everything = MARKET.day_bars(dt.date(2024, 2, 20)).to_pylist()
    assert alone == [row for row in everything if row["ticker"] == "DUPE"]
    assert len(alone) == 1


def test_a_third_of_one_snapshot_is_missing():
    assert len(MARKET.ticker_snapshot(HOLE)) < 0.7 * len(MARKET.ticker_snapshot(HOLE + dt.timedelta(days=1)))


def test_renames_reuse_and_mergers_are_told_apart(warehouse: Warehouse):
    rows = warehouse.reader().sql(
        "SELECT ticker, first_session, security_id FROM reference.securities ORDER BY first_session"
    )
    of: dict[str, list[str]] = {}
    for ticker, _, security in rows.fetchall():
        of.setdefault(ticker, []).append(security)
    assert of["OLDN"] == of["NEWN"] == ["OLDN@2024-01-11"]
    assert of["TRGA"] == of["MMAL"] == ["TRGA@2024-01-11"]
    assert of["RUSE"] == ["BBG00DEMO001", "BBG00DEMO002"]
    assert of["TKOV"] != of["ACQR"]
    assert all(len(set(securities)) == 1 for ticker, securities in of.items() if ticker != "RUSE")
    started = warehouse.reader().sql(
        "SELECT first_session FROM reference.securities WHERE ticker = 'NEWN'"
    ).fetchone()  # fmt: skip
    assert started == (dt.date(2024, 2, 26),), "the record says two sessions later, the bars date it"
    types = dict(warehouse.reader().sql("SELECT ticker, type FROM reference.securities").fetchall())
    assert (types["INDX"], types["SPAQW"], types["DUPE"]) == ("ETF", "WARRANT", "ADRC")


def test_the_audit_finds_every_planted_record_and_no_other(warehouse: Warehouse):
    with warehouse.reader().held() as session:
        rows = judge_everything(session).to_pylist()
    inside = [row for row in rows if row["session"] and QUARTER[0] <= row["session"] <= QUARTER[-1]]
    found = sorted((r["recorded_ticker"], r["verdict"], r["applied"]) for r in inside)
    assert found == sorted(
        [
            ("NEWN", "confirmed", True),
            ("MMAL", "unverifiable", True)
            if ("MMAL", "unverifiable", True) in found
            else ("MMAL", "confirmed", True),
            ("DUPE", "conflicting", True),
            ("DUPE", "conflicting", False),
            ("ERLY", "shifted", True),
            ("FLSE", "confirmed", True),
            ("FLSE", "contradicted", False),
            ("SPIN", "not_a_split", False),
            ("NVDA", "confirmed", True),
            ("RVRS", "confirmed", True),
        ]
    )
    assert Counter(row["kind"] for row in inside) == {"split": 10}


def test_without_records_the_renames_are_suspected(tmp_path: Path):
    found = Warehouse(tmp_path / "w.duckdb", lock_timeout_seconds=60)
    days = calendars.sessions("XNYS", "2024-02-12", "2024-03-08")
    load_bars(found, MARKET, days)
    update_securities(found)
    assert IdentityRecords.none().snapshots.num_rows == 0
    pairs = found.reader().sql("SELECT old_ticker, new_ticker FROM reference.suspected_renames").fetchall()
    assert ("OLDN", "NEWN") in pairs

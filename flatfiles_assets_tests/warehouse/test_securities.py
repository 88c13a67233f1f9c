"""From tickers to securities and back, from the stored table, from bars alone, and from both."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from flatfiles_assets.algorithms.securities import IdentityRecords, UserRename, build_securities
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.day_bars import scan_bars
from flatfiles_assets.warehouse.securities import Span, make_securities, securities_of
from flatfiles_assets.warehouse.tables import SECURITIES
from flatfiles_assets_tests.histories import history, store
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

FUND = history("META", "2021-12-01", "2022-01-28", 12.31)
FACEBOOK = history("FB", "2021-12-01", "2022-06-08", 184.0)
RENAMED = history("META", "2022-06-09", "2022-12-30", 184.0)
KO = history("KO", "2021-12-01", "2022-12-30", 60.0)
CONFIRMED = IdentityRecords(*(IdentityRecords.none().snapshots,) * 3, (UserRename("FB", "META", None),))


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "w.duckdb", lock_timeout_seconds=PATIENCE_SECONDS)


def keep(warehouse: Warehouse) -> None:
    made, _ = make_securities(warehouse.reader(), CONFIRMED)
    with warehouse.writer("test") as transaction:
        transaction.replace_all(SECURITIES, made.table)


def test_a_ticker_leads_to_the_security_of_that_day_and_from_there_to_every_ticker(warehouse):
    store(warehouse, FUND, FACEBOOK, RENAMED, KO)
    keep(warehouse)
    found = securities_of(warehouse.reader(), ["META"])
    fund, facebook = found.resolve("META", day("2022-01-03")), found.resolve("META", day("2022-12-01"))
    assert fund != facebook
    assert facebook == "FB@2021-12-01" == found.resolve("FB", day("2022-01-03"))
    assert found.spans(facebook) == (
        Span("FB", day("2021-12-01"), day("2022-06-08")),
        Span("META", day("2022-06-09"), day("2022-12-30")),
    )
    assert found.resolve("META", day("2022-04-01")) == fund
    assert found.resolve_exactly("META", day("2022-04-01")) is None
    assert found.ticker_of(facebook, day("2022-03-01")) == "FB"
    assert found.resolve("KO", day("2022-04-01")) is None, "only what was asked for is read"
    assert "KO@2021-12-01" in securities_of(warehouse.reader())


def test_a_record_filed_under_a_later_ticker_is_the_earlier_tickers(warehouse):
    store(warehouse, FUND, FACEBOOK, RENAMED)
    keep(warehouse)
    found = securities_of(warehouse.reader(), ["META"])
    assert found.record_security("META", day("2022-03-01")) == "FB@2021-12-01"
    assert found.record_security("META", day("2022-01-03")) == "META@2021-12-01"
    assert found.record_security("FB", day("2022-08-01")) == "FB@2021-12-01"
    assert found.record_security("NOPE", day("2022-08-01")) is None


def test_without_the_table_securities_are_made_of_the_bars_asked_for(warehouse):
    store(warehouse, FUND, FACEBOOK, RENAMED, KO)
    found = securities_of(warehouse.reader(), ["META", "KO"])
    assert found.ids == ("KO@2021-12-01", "META@2021-12-01", "META@2022-06-09")


def test_bars_loaded_after_the_table_was_made_are_covered_all_the_same(warehouse):
    store(warehouse, FUND, FACEBOOK, RENAMED)
    keep(warehouse)
    longer = history("META", "2022-06-09", "2023-01-31", 184.0)
    new = history("NEW", "2023-01-03", "2023-01-31", 7.0)
    earlier = history("FB", "2021-11-15", "2022-06-08", 184.0)
    store(warehouse, FUND, earlier, longer, new)
    found = securities_of(warehouse.reader(), ["META", "NEW"])
    assert found.spans("FB@2021-12-01") == (
        Span("FB", day("2021-11-15"), day("2022-06-08")),
        Span("META", day("2022-06-09"), day("2023-01-31")),
    )
    assert found.resolve("NEW", day("2023-01-31")) == "NEW@2023-01-03"


def test_an_empty_warehouse_and_no_tickers_have_no_securities(warehouse):
    store(warehouse)
    assert securities_of(warehouse.reader()).ids == ()
    store(warehouse, KO)
    assert securities_of(warehouse.reader(), []).ids == ()


def test_a_scan_in_parts_is_the_scan_of_everything(warehouse, monkeypatch):
    store(warehouse, FUND, FACEBOOK, RENAMED, KO)
    whole = build_securities(scan_bars(warehouse.reader()), IdentityRecords.none()).table
    monkeypatch.setattr("flatfiles_assets.warehouse.day_bars._SESSIONS_AT_ONCE", 7)
    assert build_securities(scan_bars(warehouse.reader()), IdentityRecords.none()).table.equals(whole)

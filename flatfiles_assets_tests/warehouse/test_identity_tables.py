"""Bars say which security they are of: when they are unified, and again when securities change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest

from flatfiles_assets.algorithms.securities import IdentityRecords, UserRename, build_securities
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.identity_tables import snapshot_dates, update_securities
from flatfiles_assets.warehouse.tables import DAILY_PRICES
from flatfiles_assets.warehouse.unified_prices import (
    Precedence,
    has_securities,
    held_sessions,
    unified_query,
)
from flatfiles_assets_tests.histories import history, scan, sessions, store

pytestmark = pytest.mark.slow

FUND = history("META", "2021-12-01", "2022-01-28", 12.31)
FACEBOOK = history("FB", "2021-12-01", "2022-06-08", 184.0)
RENAMED = history("META", "2022-06-09", "2022-12-30", 184.0)
CONFIRMED = [UserRename("FB", "META", None)]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "w.duckdb", lock_timeout_seconds=30)


def unify(warehouse: Warehouse, days: Sequence[dt.date]) -> None:
    reader = warehouse.reader()
    query = unified_query(days, held_sessions(reader, days), Precedence(), securities=has_securities(reader))
    with warehouse.writer("test") as transaction:
        transaction.replace_from_query(
            DAILY_PRICES, query.sql, where={"trade_date": list(days)}, parameters=query.parameters,
            presorted=query.is_sorted,
        )  # fmt: skip


def ids(warehouse: Warehouse) -> dict[tuple[str, str | None], int]:
    rows = warehouse.reader().sql(
        "SELECT ticker, security_id, count(*) FROM market.daily_prices GROUP BY ALL"
    )
    return {(ticker, security): count for ticker, security, count in rows.fetchall()}


def test_unified_bars_know_their_security_once_there_is_a_table(warehouse: Warehouse):
    store(warehouse, FUND, FACEBOOK, RENAMED)
    days = sessions("2021-12-01", "2022-12-30")
    unify(warehouse, days)
    assert set(ids(warehouse)) == {("META", None), ("FB", None)}
    update_securities(warehouse, CONFIRMED)
    expected = {
        ("FB", "FB@2021-12-01"): len(FACEBOOK.days),
        ("META", "FB@2021-12-01"): len(RENAMED.days),
        ("META", "META@2021-12-01"): len(FUND.days),
    }
    assert ids(warehouse) == expected
    unify(warehouse, days)
    assert ids(warehouse) == expected, "a session that is unified anew keeps its ids"
    assert update_securities(warehouse, CONFIRMED)[2].count == 0, "and nothing is left to change"


def test_a_confirmed_rename_makes_other_series_of_the_sessions_under_the_new_name(warehouse: Warehouse):
    """A first id of a ticker that was always one security's makes none."""
    other = history("KO", "2021-12-01", "2022-12-30", 60.0)
    store(warehouse, FACEBOOK, RENAMED, other)
    unify(warehouse, sessions("2021-12-01", "2022-12-30"))
    first = update_securities(warehouse)[2]
    assert (first.count, first.sessions) == (sum(len(each.days) for each in (FACEBOOK, RENAMED, other)), ())

    changed = update_securities(warehouse, CONFIRMED)[2]
    assert (changed.count, list(changed.sessions)) == (len(RENAMED.days), list(RENAMED.days))


def test_a_session_after_the_table_was_made_belongs_to_whom_the_ticker_belonged_last(warehouse: Warehouse):
    store(warehouse, FUND, FACEBOOK, RENAMED)
    update_securities(warehouse, CONFIRMED)
    longer = history("META", "2022-06-09", "2023-01-06", 184.0)
    store(warehouse, FUND, FACEBOOK, longer)
    later = sessions("2023-01-03", "2023-01-06")
    unify(warehouse, later)
    assert ids(warehouse) == {("META", "FB@2021-12-01"): len(later)}


def test_ids_are_the_same_after_everything_is_loaded_again(tmp_path: Path):
    tables = []
    for name in ("one", "two"):
        found = Warehouse(tmp_path / f"{name}.duckdb", lock_timeout_seconds=30)
        store(found, FUND, FACEBOOK, RENAMED)
        for _ in range(2):
            made, _, _ = update_securities(found, CONFIRMED)
        tables.append(made.table)
    assert tables[0].equals(tables[1])


def test_snapshots_are_wanted_of_each_month_of_the_last_session_and_beside_changes():
    crowd = [history(f"X{n}", "2022-03-16", "2022-05-31", 10.0 + n) for n in range(6)]
    wanted = snapshot_dates(scan(history("KO", "2022-01-03", "2022-06-15", 60.0), *crowd))
    months = {"2022-01-03", "2022-02-01", "2022-03-01", "2022-04-01", "2022-05-02", "2022-06-01"}
    assert {str(day) for day in wanted} == months | {
        "2022-03-15", "2022-03-16", "2022-05-31", "2022-06-15",
    }  # fmt: skip


def test_nothing_loaded_wants_no_snapshot():
    assert snapshot_dates(scan()) == []
    assert build_securities(scan(), IdentityRecords.none()).table.num_rows == 0

"""A security is of the kind that was known on the day, and what turns out later changes later days alone."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow.compute as pc
import pytest

from flatfiles_assets.algorithms.universe import Universe, sessions_without_types
from flatfiles_assets.ingest.reference import reference_records
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.identity_tables import update_securities
from flatfiles_assets.warehouse.security_types import type_codes
from flatfiles_assets.warehouse.tables import TICKERS
from flatfiles_assets.warehouse.universe import compute_universe
from flatfiles_assets_tests.histories import history, sessions, store

DAYS = sessions("2023-01-03", "2023-06-30")
FUND = [
    ("2023-01-03", "ETV"),
    ("2023-02-01", None),
    ("2023-03-01", "ETV"),
    ("2023-04-03", "CS"),
    ("2023-05-01", "CS"),
]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    made = Warehouse(tmp_path / "w.duckdb", lock_timeout_seconds=30)
    store(made, *(history(ticker, "2023-01-03", "2023-06-30", 50.0) for ticker in ("FUND", "LATE", "DARK")))
    return made


def snapshots(
    warehouse: Warehouse, said: list[tuple[str, str | None]], **others: list[tuple[str, str]]
) -> None:
    rows = [
        {"ticker": ticker, "snapshot_date": day, "type": kind, "active": True}
        for ticker, each in {"FUND": said, **others}.items()
        for day, kind in each
    ]
    with warehouse.writer("test") as transaction:
        transaction.replace_all(TICKERS, reference_records("tickers", rows, "test").table)


def types_on(warehouse: Warehouse, *days: str) -> dict[str, list[str | None]]:
    rows = compute_universe(warehouse.reader(), DAYS).rows.to_pylist()
    found = {(row["ticker"], row["trade_date"].isoformat()): row["type"] for row in rows}
    return {ticker: [found[ticker, day] for day in days] for ticker in ("FUND", "LATE", "DARK")}


def test_a_session_has_the_kind_of_the_latest_snapshot_up_to_it(warehouse):
    snapshots(warehouse, FUND, LATE=[("2023-03-01", "WARRANT")])
    update_securities(warehouse)
    assert types_on(warehouse, "2023-01-03", "2023-02-02", "2023-03-31", "2023-04-03", "2023-06-30") == {
        "FUND": ["ETV", "ETV", "ETV", "CS", "CS"],
        "LATE": ["WARRANT"] * 5,
        "DARK": [None] * 5,
    }


def test_what_a_later_snapshot_says_changes_no_earlier_session_and_names_those_it_does(warehouse):
    snapshots(warehouse, FUND[:3])
    assert update_securities(warehouse)[2].of_other_types == tuple(DAYS), "nothing was known before"
    before = compute_universe(warehouse.reader(), DAYS).rows
    snapshots(warehouse, FUND)
    changed = update_securities(warehouse)[2].of_other_types
    assert changed == tuple(day for day in DAYS if day >= dt.date(2023, 4, 3))
    after = compute_universe(warehouse.reader(), DAYS).rows
    early = [row for row in before.to_pylist() if row["trade_date"] < changed[0]]
    assert early == [row for row in after.to_pylist() if row["trade_date"] < changed[0]]
    assert update_securities(warehouse)[2].of_other_types == ()


def test_a_dead_tickers_record_is_of_the_security_that_died_and_not_of_the_next(tmp_path):
    warehouse = Warehouse(tmp_path / "w.duckdb", lock_timeout_seconds=30)
    store(warehouse, history("XYZ", "2023-01-03", "2023-02-28", 50.0),
          history("XYZ", "2023-05-01", "2023-06-30", 9.0))  # fmt: skip
    rows = [
        {"ticker": "XYZ", "snapshot_date": "2023-06-30", "active": False, "delisted_utc": "2023-02-28",
         "type": "CS"},
        {"ticker": "XYZ", "snapshot_date": "2023-06-01", "active": True, "type": "WARRANT"},
    ]  # fmt: skip
    with warehouse.writer("test") as transaction:
        transaction.replace_all(TICKERS, reference_records("tickers", rows, "test").table)
    update_securities(warehouse)
    found = compute_universe(warehouse.reader(), DAYS).rows.to_pylist()
    assert {row["type"] for row in found if row["trade_date"] < dt.date(2023, 3, 1)} == {"CS"}
    assert {row["type"] for row in found if row["trade_date"] > dt.date(2023, 4, 30)} == {"WARRANT"}


def test_kinds_change_on_the_day_of_the_snapshot():
    steps = {"A": [(dt.date(2023, 1, 5), "ETF"), (dt.date(2023, 1, 7), "CS")]}
    names, codes = type_codes(steps, ["A", "B"], sessions("2023-01-03", "2023-01-10"))
    assert [names[code] for code in codes[:, 0]] == ["ETF"] * 4 + ["CS"] * 2
    assert (codes[:, 1] == -1).all()


def test_a_longer_range_has_the_members_that_it_had(tmp_path):
    """The dead of the early sessions have no kind on record; those that came later have."""
    warehouse = Warehouse(tmp_path / "w.duckdb", lock_timeout_seconds=30)
    store(warehouse, history("DEAD", "2023-01-03", "2023-02-28", 50.0),
          history("FUND", "2023-03-01", "2023-06-30", 9.0))  # fmt: skip
    snapshots(warehouse, [("2023-04-03", "ETF")])
    update_securities(warehouse)
    rows = compute_universe(warehouse.reader(), DAYS).rows
    early = rows.filter(pc.less(rows.column("trade_date"), dt.date(2023, 3, 1)))
    assert (
        sessions_without_types(early) == sessions_without_types(rows) == sessions("2023-01-03", "2023-02-28")
    )
    members = Universe().chosen(early)
    assert members.num_rows
    assert Universe().chosen(rows).equals(members)

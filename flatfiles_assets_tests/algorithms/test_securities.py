"""Tickers are not identities: bars and records together say which security one meant, and when."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.algorithms.securities import (
    IdentityRecords,
    Securities,
    UserRename,
    build_securities,
)
from flatfiles_assets_tests.histories import SESSIONS, History, history, scan

SNAPSHOT = {
    "snapshot_date": pa.date32(),
    "ticker": pa.string(),
    "active": pa.bool_(),
    "delisted_date": pa.date32(),
    "name": pa.string(),
    "type": pa.string(),
    "primary_exchange": pa.string(),
    "cik": pa.string(),
    "composite_figi": pa.string(),
    "share_class_figi": pa.string(),
}
EVENT = {"entity": pa.string(), "event_date": pa.date32(), "ticker": pa.string(), "old_ticker": pa.string()}


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def snapshot(date: str, ticker: str, figi: str | None = None, **fields) -> dict:
    row = dict.fromkeys(SNAPSHOT) | {"snapshot_date": day(date), "ticker": ticker, "active": True}
    return row | {"share_class_figi": figi, "name": f"{ticker} Inc", "type": "CS"} | fields


def records(snapshots=(), events=(), splits=(), user=()) -> IdentityRecords:
    event_rows = [
        {"entity": entity, "event_date": day(date), "ticker": ticker, "old_ticker": None}
        for entity, date, ticker in events
    ]
    split_rows = [
        {"ticker": t, "execution_date": day(d), "split_from": float(a), "split_to": float(b)}
        for t, d, a, b in splits
    ]
    split_schema = {
        "ticker": pa.string(),
        "execution_date": pa.date32(),
        "split_from": pa.float64(),
        "split_to": pa.float64(),
    }
    return IdentityRecords(
        pa.Table.from_pylist(list(snapshots), schema=pa.schema(list(SNAPSHOT.items()))),
        pa.Table.from_pylist(event_rows, schema=pa.schema(list(EVENT.items()))),
        pa.Table.from_pylist(split_rows, schema=pa.schema(list(split_schema.items()))),
        user,
    )


def spans(found: Securities) -> list[tuple[str, str, str, str]]:
    rows = found.table.to_pylist()
    return [
        (r["security_id"], r["ticker"], str(r["first_session"]), str(r["last_session"]))
        for r in sorted(rows, key=lambda r: (r["first_session"], r["ticker"]))
    ]


FUND = history("META", "2021-12-01", "2022-01-28", 12.31)
FACEBOOK = history("FB", "2021-12-01", "2022-06-08", 184.0)
RENAMED = history("META", "2022-06-09", "2022-12-30", 184.0)


def test_facebook_under_metas_name_is_one_security_and_the_fund_another():
    found = build_securities(
        scan(FUND, FACEBOOK, RENAMED),
        records(events=[("facebook", "2012-05-18", "FB"), ("facebook", "2022-06-09", "META")]),
    )
    assert spans(found) == [
        ("FB@2021-12-01", "FB", "2021-12-01", "2022-06-08"),
        ("META@2021-12-01", "META", "2021-12-01", "2022-01-28"),
        ("FB@2021-12-01", "META", "2022-06-09", "2022-12-30"),
    ]
    assert found.unapplied.num_rows == 0


def test_a_share_class_figi_is_the_identity_where_there_is_one():
    found = build_securities(
        scan(FUND, FACEBOOK, RENAMED),
        records(
            snapshots=[
                snapshot("2022-01-03", "FB", "BBG-FB", name="Meta Platforms"),
                snapshot("2022-01-03", "META", "BBG-FUND", type="ETF"),
                snapshot("2022-07-01", "META", "BBG-FB", name="Meta Platforms, Inc."),
            ]
        ),
    )
    assert spans(found) == [
        ("BBG-FB", "FB", "2021-12-01", "2022-06-08"),
        ("BBG-FUND", "META", "2021-12-01", "2022-01-28"),
        ("BBG-FB", "META", "2022-06-09", "2022-12-30"),
    ]
    types = {(r["ticker"], str(r["first_session"])): r["type"] for r in found.table.to_pylist()}
    assert types["META", "2021-12-01"] == "ETF"


def test_without_records_a_rename_is_suggested_and_never_applied():
    found = build_securities(scan(FUND, FACEBOOK, RENAMED), records())
    assert len({row[0] for row in spans(found)}) == 3
    (suggested,) = found.suspected.to_pylist()
    assert (suggested["old_ticker"], suggested["new_ticker"]) == ("FB", "META")
    assert (suggested["session"], suggested["status"]) == (day("2022-06-09"), "suggested")
    assert suggested["price_ratio"] == pytest.approx(1.0)


def test_a_rename_that_the_user_confirms_is_applied_and_a_rejected_one_not():
    bars = scan(FUND, FACEBOOK, RENAMED)
    confirmed = build_securities(bars, records(user=[UserRename("FB", "META", None)]))
    assert spans(confirmed)[2][0] == "FB@2021-12-01"
    assert confirmed.suspected.column("status").to_pylist() == ["confirmed"]
    events = [("facebook", "2012-05-18", "FB"), ("facebook", "2022-06-09", "META")]
    rejected = build_securities(
        bars, records(events=events, user=[UserRename("FB", "META", None, confirmed=False)])
    )
    assert spans(rejected)[2][0] == "META@2022-06-09"
    assert rejected.suspected.column("status").to_pylist() == ["rejected"]


def test_the_bars_date_a_rename_that_the_record_has_a_session_or_two_late():
    """SOXX took over from IGW on 2010-10-15; the endpoint says 2010-10-18."""
    bars = scan(
        history("IGW", "2010-09-01", "2010-10-14", 52.0), history("SOXX", "2010-10-15", "2010-12-31", 52.0)
    )
    for recorded in ("2010-10-13", "2010-10-15", "2010-10-18", "2010-10-19"):
        found = build_securities(bars, records(events=[("e", "2001-07-13", "IGW"), ("e", recorded, "SOXX")]))
        assert {row[0] for row in spans(found)} == {"IGW@2010-09-01"}
        assert spans(found)[1][2] == "2010-10-15"


@pytest.mark.parametrize("recorded", ["2010-10-20", "2013-05-01", "2010-09-20"])
def test_a_rename_that_the_bars_contradict_is_listed_and_not_applied(recorded):
    bars = scan(
        history("IGW", "2010-09-01", "2010-10-14", 52.0), history("SOXX", "2010-10-15", "2013-12-31", 52.0)
    )
    found = build_securities(bars, records(events=[("e", "2001-07-13", "IGW"), ("e", recorded, "SOXX")]))
    assert {row[0] for row in spans(found)} == {"IGW@2010-09-01", "SOXX@2010-10-15"}
    (listed,) = found.unapplied.to_pylist()
    assert (listed["ticker"], listed["new_ticker"], listed["date"]) == ("IGW", "SOXX", day(recorded))


def test_a_recorded_rename_whose_price_is_another_is_a_contradiction():
    bars = scan(
        history("QQQQ", "2011-01-03", "2011-03-22", 56.0), history("A", "2011-03-23", "2011-12-30", 4.0)
    )
    found = build_securities(bars, records(events=[("q", "2004-12-01", "QQQQ"), ("q", "2011-03-23", "A")]))
    assert len({row[0] for row in spans(found)}) == 2
    assert "56" in found.unapplied.column("reason")[0].as_py()


def test_a_merger_at_a_ratio_is_borne_out_by_the_split_that_is_recorded_with_it():
    """TRCH became MMAT with a 1-for-2 reverse split, which the vendor lists under MMAT."""
    bars = scan(
        history("TRCH", "2021-05-03", "2021-06-25", 4.95), history("MMAT", "2021-06-28", "2021-08-31", 9.9)
    )
    events = [("t", "2012-01-03", "TRCH"), ("t", "2021-06-28", "MMAT")]
    assert len({r[0] for r in spans(build_securities(bars, records(events=events)))}) == 2
    found = build_securities(bars, records(events=events, splits=[("MMAT", "2021-06-28", 2, 1)]))
    assert {r[0] for r in spans(found)} == {"TRCH@2021-05-03"}


def test_a_hole_in_the_snapshots_ends_nothing():
    bars = scan(history("KO", "2009-09-01", "2010-06-30", 50.0))
    found = build_securities(
        bars, records(snapshots=[snapshot("2009-09-01", "KO", "F"), snapshot("2010-05-03", "KO", "F")])
    )
    assert spans(found) == [("F", "KO", "2009-09-01", "2010-06-30")]


@pytest.mark.parametrize(("factor", "count"), [(1.0, 1), (1.2, 1), (0.85, 1), (1.3, 2), (0.5, 2), (15.0, 2)])
def test_where_records_are_silent_a_gap_with_another_price_level_ends_a_security(factor, count):
    bars = scan(
        history("MIL", "2012-01-03", "2012-03-30", 20.0),
        history("MIL", "2012-05-01", "2012-08-31", 20 * factor),
    )
    assert len({row[0] for row in spans(build_securities(bars, records()))}) == count


def test_a_gap_of_ten_sessions_ends_nothing_whatever_the_price():
    pause = [str(d) for d in SESSIONS[np.searchsorted(SESSIONS, np.datetime64("2012-03-01")) :][:10]]
    bars = scan(history("HALT", "2012-01-03", "2012-08-31", 20.0, without=pause, moves=[(pause[0], 0.2)]))
    assert len(spans(build_securities(bars, records()))) == 1
    one_more = [*pause, "2012-03-15"]
    bars = scan(history("HALT", "2012-01-03", "2012-08-31", 20.0, without=one_more, moves=[(pause[0], 0.2)]))
    assert len({row[0] for row in spans(build_securities(bars, records()))}) == 2


def test_a_split_inside_a_long_halt_explains_the_other_level():
    bars = scan(
        history("RS", "2012-01-03", "2012-03-30", 2.0), history("RS", "2012-05-01", "2012-08-31", 20.0)
    )
    found = build_securities(bars, records(splits=[("RS", "2012-04-16", 10, 1)]))
    assert spans(found) == [("RS@2012-01-03", "RS", "2012-01-03", "2012-08-31")]


def test_snapshots_join_a_ticker_across_a_long_gap_and_part_it_at_the_same_price():
    bars = scan(
        history("MPC", "2012-01-03", "2012-03-30", 20.0), history("MPC", "2012-08-01", "2012-12-31", 60.0)
    )
    one = records(snapshots=[snapshot("2012-02-01", "MPC", "F"), snapshot("2012-09-04", "MPC", "F")])
    assert len({row[0] for row in spans(build_securities(bars, one))}) == 1
    bars = scan(
        history("MPC", "2012-01-03", "2012-03-30", 20.0), history("MPC", "2012-08-01", "2012-12-31", 20.0)
    )
    two = records(snapshots=[snapshot("2012-02-01", "MPC", "F"), snapshot("2012-09-04", "MPC", "G")])
    assert {row[0] for row in spans(build_securities(bars, two))} == {"F", "G"}


def test_a_ticker_that_changes_hands_overnight_is_cut_at_the_jump():
    bars = scan(history("NSM", "2012-01-03", "2012-12-31", 25.0, moves=[("2012-03-08", 0.56)]))
    given = [snapshot("2012-03-01", "NSM", "OLD"), snapshot("2012-04-02", "NSM", "NEW")]
    assert spans(build_securities(bars, records(snapshots=given))) == [
        ("OLD", "NSM", "2012-01-03", "2012-03-07"),
        ("NEW", "NSM", "2012-03-08", "2012-12-31"),
    ]


@pytest.mark.parametrize("pause", ["2012-06-01", "2012-06-11"])
@pytest.mark.parametrize("names_the_dead", [True, False])
def test_without_figis_another_issuer_at_another_price_is_another_security(pause, names_the_dead):
    """Twenty thousand tickers have none; a ticker is sometimes given anew within days."""
    bars = scan(history("XYZ", "2012-01-03", "2012-05-31", 90.0), history("XYZ", pause, "2012-12-31", 9.0))
    given = [
        snapshot("2012-05-01", "XYZ", None, cik="0000000001", type="CS"),
        snapshot("2012-07-02", "XYZ", None, cik="0000000002", type="WARRANT"),
    ]
    if names_the_dead:
        dead = {"active": False, "delisted_date": day("2012-05-31"), "cik": "0000000001", "type": "CS"}
        given.append(snapshot("2013-01-02", "XYZ", None, **dead))
    found = build_securities(bars, records(snapshots=given))
    assert spans(found) == [
        ("XYZ@2012-01-03", "XYZ", "2012-01-03", "2012-05-31"),
        (f"XYZ@{pause}", "XYZ", pause, "2012-12-31"),
    ]
    assert found.table.column("type").to_pylist() == ["CS", "WARRANT"]


@pytest.mark.parametrize("change", ["issuer", "price", "split", "news"])
def test_another_issuer_or_another_price_alone_is_no_other_security(change):
    """A holding's reorganisation, a day of news, and both around a split."""
    moves = [] if change == "issuer" else [("2012-06-01", 0.7 if change == "news" else 0.5)]
    bars = scan(history("XYZ", "2012-01-03", "2012-12-31", 90.0, moves=moves))
    given = [
        snapshot("2012-05-01", "XYZ", None, cik="1"),
        snapshot("2012-07-02", "XYZ", None, cik="0001" if change == "price" else "2"),
    ]
    splits = [("XYZ", "2012-06-01", 1, 2)] if change == "split" else []
    found = build_securities(bars, records(snapshots=given, splits=splits))
    assert spans(found) == [("XYZ@2012-01-03", "XYZ", "2012-01-03", "2012-12-31")]


def test_another_identity_without_any_break_in_the_bars_is_listed_and_not_applied():
    bars = scan(history("QQQ", "2012-01-03", "2012-12-31", 60.0))
    given = [snapshot(f"2012-{month:02}-01", "QQQ", "SLIP" if month == 5 else "F") for month in range(2, 9)]
    found = build_securities(bars, records(snapshots=given))
    assert spans(found) == [("F", "QQQ", "2012-01-03", "2012-12-31")]
    assert found.unapplied.column("kind").to_pylist() == ["identity"]


def test_one_figi_on_two_tickers_that_trade_at_once_is_listed_and_they_stay_two():
    bars = scan(
        history("ONE", "2012-01-03", "2012-12-31", 60.0), history("TWO", "2012-02-01", "2012-12-31", 5.0)
    )
    given = [snapshot("2012-03-01", "ONE", "F"), snapshot("2012-03-01", "TWO", "F")]
    found = build_securities(bars, records(snapshots=given))
    assert len({row[0] for row in spans(found)}) == 2
    assert found.unapplied.num_rows == 1


def test_a_dead_tickers_record_describes_the_bars_before_its_delisting():
    bars = scan(
        history("DEAD", "2012-01-03", "2012-03-30", 20.0), history("DEAD", "2014-05-01", "2014-08-31", 80.0)
    )
    given = [
        snapshot("2020-01-02", "DEAD", "OLD", active=False, delisted_date=day("2012-04-05"), name="Old Co"),
        snapshot("2014-06-02", "DEAD", "NEW", name="New Co"),
    ]
    found = build_securities(bars, records(snapshots=given))
    assert [(r["security_id"], r["name"]) for r in found.table.to_pylist()] == [
        ("OLD", "Old Co"),
        ("NEW", "New Co"),
    ]


def test_a_chain_of_three_tickers_is_one_security():
    bars = scan(
        history("AAA", "2012-01-03", "2012-03-30", 20.0),
        history("BBB", "2012-04-02", "2012-06-29", 20.0),
        history("CCC", "2012-07-02", "2012-12-31", 20.0),
    )
    chain = [("x", "2010-01-04", "AAA"), ("x", "2012-04-02", "BBB"), ("x", "2012-07-02", "CCC")]
    assert {row[0] for row in spans(build_securities(bars, records(events=chain)))} == {"AAA@2012-01-03"}


def test_a_ticker_that_is_left_and_come_back_to_is_one_security_with_three_rows():
    bars = scan(
        history("AAA", "2012-01-03", "2012-03-30", 20.0),
        history("BBB", "2012-04-02", "2012-06-29", 20.0),
        history("AAA", "2012-07-02", "2012-12-31", 20.0),
    )
    chain = [("x", "2010-01-04", "AAA"), ("x", "2012-04-02", "BBB"), ("x", "2012-07-02", "AAA")]
    found = spans(build_securities(bars, records(events=chain)))
    assert [row[1] for row in found] == ["AAA", "BBB", "AAA"]
    assert len({row[0] for row in found}) == 1


@st.composite
def worlds(draw) -> tuple[list[History], IdentityRecords]:
    """Tickers that come, go, halt, jump and are renamed, with records that are true, late or wrong."""
    tickers = ["A", "B", "C"]
    histories, snapshots, events = [], [], []
    for ticker in tickers:
        at = 2000 + draw(st.integers(0, 8))
        for _ in range(draw(st.integers(1, 4))):
            length = draw(st.integers(1, 40))
            first, last = str(SESSIONS[at]), str(SESSIONS[at + length - 1])
            price = draw(st.sampled_from([5.0, 20.0, 21.0, 100.0]))
            moves = [
                (str(SESSIONS[at + draw(st.integers(0, length))]), draw(st.sampled_from([0.5, 1.0, 3.0])))
            ]
            histories.append(history(ticker, first, last, price, moves=moves))
            at += length + draw(st.sampled_from([0, 3, 10, 11, 30]))
    for _ in range(draw(st.integers(0, 8))):
        date = str(SESSIONS[2000 + draw(st.integers(0, 120))])
        figi = draw(st.sampled_from(["F", "G", None]))
        active = draw(st.booleans())
        delisted = None if active else day(str(SESSIONS[2000 + draw(st.integers(0, 120))]))
        row = snapshot(date, draw(st.sampled_from(tickers)), figi, active=active, delisted_date=delisted)
        snapshots.append(row)
    for _ in range(draw(st.integers(0, 6))):
        date = str(SESSIONS[2000 + draw(st.integers(0, 120))])
        events.append((draw(st.sampled_from(["x", "y"])), date, draw(st.sampled_from(tickers))))
    user = [UserRename("A", "B", None)] if draw(st.booleans()) else []
    return histories, records(snapshots, events, [("A", str(SESSIONS[2030]), 2, 1)], user)


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_every_session_of_every_ticker_is_in_exactly_one_row_and_no_security_trades_twice(world):
    histories, given_records = world
    bars = scan(*histories)
    found = build_securities(bars, given_records).table.to_pylist()
    for each in histories:
        for session in each.days:
            rows = [r for r in found if r["ticker"] == each.ticker
                    and r["first_session"] <= session <= r["last_session"]]  # fmt: skip
            assert len(rows) == 1
    by_security: dict[str, list] = {}
    for row in found:
        by_security.setdefault(row["security_id"], []).append(row)
    for rows in by_security.values():
        rows.sort(key=lambda row: row["first_session"])
        for earlier, later in itertools.pairwise(rows):
            assert earlier["last_session"] < later["first_session"]
    again = build_securities(scan(*reversed(histories)), given_records).table
    assert again.to_pylist() == found


def test_over_a_hole_of_the_warehouse_no_rename_is_suggested():
    bars = scan(
        history("OLD", "2012-01-03", "2012-03-30", 20.0), history("NEW", "2012-06-01", "2012-08-31", 20.0)
    )
    assert build_securities(bars, records()).suspected.num_rows == 0

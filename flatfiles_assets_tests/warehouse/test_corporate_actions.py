"""Real timelines, made by hand: what is applied of the vendor's records, right to the ninth decimal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatfiles_assets.algorithms.securities import IdentityRecords, UserRename
from flatfiles_assets.ingest.reference import reference_records
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.corporate_actions import CorporateActions, read_corporate_actions
from flatfiles_assets.warehouse.prices import read_panel
from flatfiles_assets.warehouse.securities import make_securities
from flatfiles_assets.warehouse.tables import DIVIDENDS, OVERRIDES, SECURITIES, SPLITS
from flatfiles_assets_tests.histories import History, history, sessions, store

pytestmark = pytest.mark.slow

Record = tuple[str, str, float, float]


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


class World:
    """A warehouse with bars, records and the securities made of them."""

    def __init__(self, path: Path) -> None:
        self.warehouse = Warehouse(path, lock_timeout_seconds=30)

    def make(
        self,
        histories: Sequence[History],
        splits: Sequence[Record] = (),
        dividends: Sequence[dict[str, Any]] = (),
        overrides: Sequence[dict[str, Any]] = (),
        renames: Sequence[tuple[str, str]] = (),
        *,
        securities: bool = True,
    ) -> World:
        store(self.warehouse, *histories)
        records = [
            {"ticker": t, "execution_date": d, "split_from": a, "split_to": b, "id": f"E{n}"}
            for n, (t, d, a, b) in enumerate(splits)
        ]
        with self.warehouse.writer("test") as transaction:
            transaction.replace_all(SPLITS, reference_records("splits", records, "api").table)
            transaction.replace_all(DIVIDENDS, reference_records("dividends", dividends, "api").table)
            said = reference_records("overrides", overrides, "overrides.csv").table
            transaction.replace_all(OVERRIDES, said)
        if securities:
            nothing = IdentityRecords.none()
            user = [UserRename(old, new, None) for old, new in renames]
            made, _ = make_securities(
                self.warehouse.reader(),
                IdentityRecords(nothing.snapshots, nothing.events, nothing.splits, user),
            )
            with self.warehouse.writer("test") as transaction:
                transaction.replace_all(SECURITIES, made.table)
        return self

    def actions(self, start: str, end: str, *symbols: str, adjust="splits", until=None) -> CorporateActions:
        days = sessions(start, end)
        return read_corporate_actions(self.warehouse.reader(), adjust, days, symbols or None, until=until)

    def closes(self, start: str, end: str, symbol: str, adjust="splits") -> np.ndarray:
        days = sessions(start, end)
        panel = read_panel(self.warehouse.reader(), days, [symbol], ("open", "close", "volume")).panel
        return self.actions(start, end, symbol, adjust=adjust).adjust(panel, adjust, "last").close[:, 0]

    def verdicts(self, start: str, end: str, *symbols: str) -> list[tuple[str, str, bool, str]]:
        """Recorded date, verdict, whether applied, on which session, of what is not as recorded."""
        return [
            (str(r["recorded_date"]), r["verdict"], r["applied"], str(r["session"]))
            for r in self.actions(start, end, *symbols).not_as_recorded.to_pylist()
        ]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "w.duckdb")


def test_a_split_that_the_bars_bear_out_is_applied_as_recorded(world):
    bars = history("AAPL", "2020-06-01", "2020-12-31", 400.0, splits=[("2020-08-31", 1, 4)])
    world.make([bars], [("AAPL", "2020-08-31", 1, 4)])
    np.testing.assert_allclose(world.closes("2020-06-01", "2020-12-31", "AAPL"), 100.0, rtol=1e-9)
    assert world.verdicts("2020-06-01", "2020-12-31", "AAPL") == []


def test_a_split_filed_under_the_later_ticker_adjusts_the_earlier_ones_bars(world):
    """DRAD's 1-for-10 of 2019-06-05 is listed under STRR, its name since 2021-01-04."""
    drad = history("DRAD", "2019-01-02", "2020-12-31", 0.6, splits=[("2019-06-05", 10, 1)])
    strr = history("STRR", "2021-01-04", "2021-06-30", 6.0)
    world.make([drad, strr], [("STRR", "2019-06-05", 10, 1)], renames=[("DRAD", "STRR")])
    for symbol in ("DRAD", "STRR"):
        (row,) = world.actions("2019-01-02", "2021-06-30", symbol).splits.to_pylist()
        assert (row["ticker"], row["security_id"]) == ("DRAD", "DRAD@2019-01-02")
    np.testing.assert_allclose(world.closes("2019-01-02", "2020-12-31", "DRAD"), 6.0, rtol=1e-9)


def test_a_false_split_the_day_before_the_true_one_finds_its_jump_taken(world):
    """CPRT: false on 2017-04-10, true on 2017-04-11."""
    cprt = history("CPRT", "2017-01-03", "2017-08-31", 62.0, splits=[("2017-04-11", 1, 2)])
    world.make([cprt], [("CPRT", "2017-04-10", 1, 2), ("CPRT", "2017-04-11", 1, 2)])
    np.testing.assert_allclose(world.closes("2017-01-03", "2017-08-31", "CPRT"), 31.0, rtol=1e-9)
    assert world.verdicts("2017-01-03", "2017-08-31", "CPRT") == [
        ("2017-04-10", "contradicted", False, "2017-04-10")
    ]


@pytest.mark.parametrize("wrong", [(20.0, 1.0), (1.0, 15.0), (12.0, 1.0), (16.0, 1.0)])
@pytest.mark.parametrize("first", [True, False])
def test_of_two_records_of_one_day_the_one_that_the_bars_bear_out_is_applied(world, wrong, first):
    """SOPA, 2024-05-01: right is 1-for-15."""
    sopa = history("SOPA", "2024-02-01", "2024-08-30", 0.12, splits=[("2024-05-01", 15, 1)])
    records = [("SOPA", "2024-05-01", 15, 1), ("SOPA", "2024-05-01", *wrong)]
    world.make([sopa], records if first else records[::-1])
    np.testing.assert_allclose(world.closes("2024-02-01", "2024-08-30", "SOPA"), 1.8, rtol=1e-9)
    assert [row[1:3] for row in world.verdicts("2024-02-01", "2024-08-30", "SOPA")] == [
        ("conflicting", False)
    ]


def test_a_split_recorded_a_session_early_is_applied_on_the_session_of_the_jump(world):
    """TQQQ: listed for 2017-01-11, happened on 2017-01-12."""
    tqqq = history("TQQQ", "2016-10-03", "2017-06-30", 130.0, splits=[("2017-01-12", 1, 2)])
    world.make([tqqq], [("TQQQ", "2017-01-11", 1, 2)])
    np.testing.assert_allclose(world.closes("2016-10-03", "2017-06-30", "TQQQ"), 65.0, rtol=1e-9)
    assert world.verdicts("2016-10-03", "2017-06-30", "TQQQ") == [
        ("2017-01-11", "shifted", True, "2017-01-12")
    ]


@pytest.mark.parametrize("recorded", ["2017-01-10", "2017-01-11", "2017-01-13", "2017-01-17"])
def test_a_record_up_to_two_sessions_off_is_dated_by_the_bars(world, recorded):
    tqqq = history("TQQQ", "2016-10-03", "2017-06-30", 130.0, splits=[("2017-01-12", 1, 2)])
    world.make([tqqq], [("TQQQ", recorded, 1, 2)])
    np.testing.assert_allclose(world.closes("2016-10-03", "2017-06-30", "TQQQ"), 65.0, rtol=1e-9)


def test_a_record_that_is_further_off_is_contradicted(world):
    tqqq = history("TQQQ", "2016-10-03", "2017-06-30", 130.0, splits=[("2017-01-12", 1, 2)])
    world.make([tqqq], [("TQQQ", "2017-01-18", 1, 2)])
    assert world.verdicts("2016-10-03", "2017-06-30", "TQQQ")[0][1:3] == ("contradicted", False)


def test_a_spin_off_among_the_splits_is_not_one(world):
    """ALEX, 2017-11-28: the price fell by the recorded ratio, the number of shares stayed."""
    alex = history("ALEX", "2017-08-01", "2018-03-29", 45.0, moves=[("2017-11-28", 1000 / 1580)])
    world.make([alex], [("ALEX", "2017-11-28", 1000, 1580)])
    expected = alex.closes
    np.testing.assert_allclose(world.closes("2017-08-01", "2018-03-29", "ALEX"), expected, rtol=1e-9)
    assert world.verdicts("2017-08-01", "2018-03-29", "ALEX") == [
        ("2017-11-28", "not_a_split", False, "2017-11-28")
    ]


def test_a_reorganisation_at_an_odd_ratio_is_not_one_either(world):
    """TDW: 31 new shares for 1,000 old ones."""
    tdw = history("TDW", "2017-04-03", "2017-12-29", 0.9, moves=[("2017-07-31", 1000 / 31)])
    world.make([tdw], [("TDW", "2017-07-31", 1000, 31)])
    assert world.verdicts("2017-04-03", "2017-12-29", "TDW")[0][1:3] == ("not_a_split", False)


def test_a_false_record_and_a_wrong_ratio_are_both_left_out(world):
    """HLT: 2017-01-03 is false, the ratio of 2017-01-04 wrong."""
    hlt = history("HLT", "2016-10-03", "2017-06-30", 27.0, splits=[("2017-01-04", 3, 1)])
    world.make([hlt], [("HLT", "2017-01-03", 1, 2), ("HLT", "2017-01-04", 1, 3)])
    assert [row[:3] for row in world.verdicts("2016-10-03", "2017-06-30", "HLT")] == [
        ("2017-01-03", "contradicted", False),
        ("2017-01-04", "contradicted", False),
    ]
    overrides = [
        {
            "ticker": "HLT",
            "date": "2017-01-04",
            "action": "add",
            "split_from": 3,
            "split_to": 1,
            "note": "prospectus",
        }
    ]
    world.make([hlt], [("HLT", "2017-01-03", 1, 2), ("HLT", "2017-01-04", 1, 3)], overrides=overrides)
    np.testing.assert_allclose(world.closes("2016-10-03", "2017-06-30", "HLT"), 81.0, rtol=1e-9)


@pytest.mark.parametrize("noise", [0.01, 0.03])
@pytest.mark.parametrize("seed", range(6))
def test_noise_does_not_change_a_verdict(world, noise, seed):
    options = {"noise": noise, "seed": seed}
    world.make(
        [
            history("CPRT", "2017-01-03", "2017-08-31", 62.0, splits=[("2017-04-11", 1, 2)], **options),
            history("SOPA", "2017-01-03", "2017-08-31", 0.2, splits=[("2017-05-01", 15, 1)], **options),
            history("TQQQ", "2017-01-03", "2017-08-31", 99.0, splits=[("2017-03-15", 1, 3)], **options),
        ],
        [
            ("CPRT", "2017-04-10", 1, 2),
            ("CPRT", "2017-04-11", 1, 2),
            ("SOPA", "2017-05-01", 15, 1),
            ("SOPA", "2017-05-01", 50, 1),
            ("TQQQ", "2017-03-14", 1, 3),
        ],
    )
    found = world.actions("2017-01-03", "2017-08-31").splits.to_pylist()
    assert sorted((r["ticker"], str(r["execution_date"]), r["split_from"], r["split_to"]) for r in found) == [
        ("CPRT", "2017-04-11", 1, 2),
        ("SOPA", "2017-05-01", 15, 1),
        ("TQQQ", "2017-03-15", 1, 3),
    ]


def test_one_split_in_two_notations_counts_once(world):
    bars = history("TWO", "2017-01-03", "2017-08-31", 62.0, splits=[("2017-04-11", 1, 2)])
    world.make(
        [bars], [("TWO", "2017-04-11", 1, 2), ("TWO", "2017-04-11", 2, 4), ("TWO", "2017-04-11", 1, 2)]
    )
    np.testing.assert_allclose(world.closes("2017-01-03", "2017-08-31", "TWO"), 31.0, rtol=1e-9)
    assert [r[1] for r in world.verdicts("2017-01-03", "2017-08-31", "TWO")] == ["duplicate", "duplicate"]


def test_two_splits_of_one_day_that_only_together_make_the_jump_are_both_applied(world):
    bars = history("BOTH", "2017-01-03", "2017-08-31", 62.0, splits=[("2017-04-11", 1, 6)])
    world.make([bars], [("BOTH", "2017-04-11", 1, 2), ("BOTH", "2017-04-11", 1, 3)])
    np.testing.assert_allclose(world.closes("2017-01-03", "2017-08-31", "BOTH"), 62 / 6, rtol=1e-9)


def test_without_bars_around_it_a_record_is_applied_as_recorded_and_conflicting_ones_are_not(world):
    late = history("LATE", "2017-06-01", "2017-08-31", 62.0)
    world.make([late], [("LATE", "2017-01-11", 1, 2)])
    (row,) = world.actions("2017-01-03", "2017-08-31", "LATE").splits.to_pylist()
    assert row["execution_date"] == day("2017-01-11")
    world.make([late], [("LATE", "2017-01-11", 1, 2), ("LATE", "2017-01-11", 1, 5)])
    assert world.actions("2017-01-03", "2017-08-31", "LATE").splits.num_rows == 0
    assert [r[1] for r in world.verdicts("2017-01-03", "2017-08-31", "LATE")] == ["conflicting"] * 2


def test_a_stock_dividend_too_small_to_be_seen_is_applied_as_recorded(world):
    bars = history("SML", "2017-01-03", "2017-08-31", 62.0, noise=0.03)
    world.make([bars], [("SML", "2017-04-11", 100, 103)])
    assert world.actions("2017-01-03", "2017-08-31", "SML").splits.num_rows == 1


def test_a_split_inside_a_halt_shows_at_the_first_bar_after_it(world):
    halt = [d.isoformat() for d in sessions("2017-04-05", "2017-04-18")]
    bars = history("HALT", "2017-01-03", "2017-08-31", 2.0, splits=[("2017-04-11", 10, 1)], without=halt)
    bars.opens[bars.days.index(day("2017-04-19"))] = 20.0
    world.make([bars], [("HALT", "2017-04-11", 10, 1)])
    closes = world.closes("2017-01-03", "2017-08-31", "HALT")
    np.testing.assert_allclose(closes[~np.isnan(closes)], 20.0, rtol=1e-9)
    assert world.verdicts("2017-01-03", "2017-08-31", "HALT") == []


@pytest.mark.parametrize(
    ("override", "applied"),
    [
        ({"action": "apply"}, [("2017-04-10", 1, 2), ("2017-04-11", 1, 2)]),
        ({"action": "ignore", "date": "2017-04-11"}, []),
        ({"action": "move", "session": "2017-05-01"}, [("2017-05-01", 1, 2), ("2017-04-11", 1, 2)]),
        ({"action": "apply", "split_from": 1, "split_to": 3}, [("2017-04-11", 1, 2)]),
    ],
)
def test_the_users_word_counts_over_the_audits(world, override, applied):
    cprt = history("CPRT", "2017-01-03", "2017-08-31", 62.0, splits=[("2017-04-11", 1, 2)])
    said = {"ticker": "CPRT", "date": "2017-04-10", "note": "asked the company", **override}
    world.make([cprt], [("CPRT", "2017-04-10", 1, 2), ("CPRT", "2017-04-11", 1, 2)], overrides=[said])
    found = world.actions("2017-01-03", "2017-08-31", "CPRT").splits.to_pylist()
    assert sorted((str(r["execution_date"]), r["split_from"], r["split_to"]) for r in found) == sorted(
        applied
    )


def test_splits_and_dividends_of_a_reused_ticker_stay_with_their_company(world):
    fund = history("META", "2021-12-01", "2022-01-28", 12.31)
    facebook = history("FB", "2021-12-01", "2022-06-08", 184.0)
    renamed = history("META", "2022-06-09", "2022-12-30", 184.0)
    dividends = [
        {"ticker": "META", "ex_dividend_date": "2022-01-05", "cash_amount": 0.1, "id": "fund"},
        {"ticker": "META", "ex_dividend_date": "2022-03-01", "cash_amount": 0.5, "id": "facebook"},
    ]
    world.make([fund, facebook, renamed], [], dividends, renames=[("FB", "META")])
    rows = world.actions("2021-12-01", "2022-12-30", adjust="total_return").dividends.to_pylist()
    assert [(r["ticker"], r["security_id"]) for r in rows] == [
        ("META", "META@2021-12-01"),
        ("FB", "FB@2021-12-01"),
    ]


def test_a_split_filed_under_a_ticker_that_another_company_had_then_goes_to_the_one_that_jumped(world):
    fund = history("META", "2021-12-01", "2022-01-28", 12.31)
    facebook = history("FB", "2021-11-01", "2022-06-08", 184.0, splits=[("2022-01-05", 1, 2)])
    renamed = history("META", "2022-06-09", "2022-12-30", 92.0)
    world.make([fund, facebook, renamed], [("META", "2022-01-05", 1, 2)], renames=[("FB", "META")])
    (row,) = world.actions("2021-12-01", "2022-12-30").splits.to_pylist()
    assert (row["ticker"], row["security_id"]) == ("FB", "FB@2021-11-01")


DIVIDEND = {"ticker": "KO", "ex_dividend_date": "2022-03-01", "cash_amount": 0.5, "currency": "USD"}


@pytest.mark.parametrize(
    ("second", "count"),
    [
        ({"id": "2"}, 1),
        ({"id": "2", "distribution_type": "recurring"}, 1),
        ({"id": "2", "cash_amount": 0.6}, 2),
        ({"id": "2", "currency": "CAD"}, 1),
        ({"id": "2", "distribution_type": "special"}, 1),
    ],
)
def test_equal_dividends_under_different_ids_count_once(world, second, count):
    world.make(
        [history("KO", "2022-01-03", "2022-06-30", 60.0)],
        [],
        [{**DIVIDEND, "id": "1"}, {**DIVIDEND, **second}],
    )
    found = world.actions("2022-01-03", "2022-06-30", "KO", adjust="total_return")
    assert found.dividends.num_rows == count
    assert found.not_as_recorded.num_rows == 2 - count


def test_a_regular_and_a_special_dividend_of_the_same_amount_are_two(world):
    two = [
        {**DIVIDEND, "id": "1", "distribution_type": "recurring"},
        {**DIVIDEND, "id": "2", "distribution_type": "special"},
    ]
    world.make([history("KO", "2022-01-03", "2022-06-30", 60.0)], [], two)
    assert world.actions("2022-01-03", "2022-06-30", "KO", adjust="total_return").dividends.num_rows == 2


def test_an_answer_does_not_depend_on_the_range_nor_on_the_securities_being_stored(world):
    cprt = history("CPRT", "2017-01-03", "2017-08-31", 62.0, splits=[("2017-04-12", 1, 2)])
    records = [("CPRT", "2017-04-11", 1, 2)]
    for stored in (True, False):
        world.make([cprt], records, securities=stored)
        for start, end in (
            ("2017-01-03", "2017-08-31"),
            ("2017-04-03", "2017-04-12"),
            ("2017-04-12", "2017-04-13"),
        ):
            (row,) = world.actions(start, end, "CPRT").splits.to_pylist()
            assert row["execution_date"] == day("2017-04-12")
            assert world.actions(start, end).splits.num_rows == 1
        # Its jump came after the range: nothing counts within it.
        rows = world.actions("2017-04-03", "2017-04-11", "CPRT").splits.to_pylist()
        assert all(row["execution_date"] > day("2017-04-11") for row in rows)


def test_nothing_dated_later_is_used_where_a_day_is_given(world):
    cprt = history("CPRT", "2017-01-03", "2017-08-31", 62.0, splits=[("2017-04-12", 1, 2)])
    world.make([cprt], [("CPRT", "2017-04-11", 1, 2), ("CPRT", "2017-06-01", 1, 2)])
    known = world.actions("2017-01-03", "2017-08-31", "CPRT", until=day("2017-04-11"))
    assert known.splits.num_rows == 0
    assert [r["verdict"] for r in known.not_as_recorded.to_pylist()] == ["contradicted"]
    known = world.actions("2017-01-03", "2017-08-31", "CPRT", until=day("2017-04-12"))
    assert [str(r["execution_date"]) for r in known.splits.to_pylist()] == ["2017-04-12"]


def test_bars_that_came_after_the_securities_were_made_are_judged_too(world):
    early = history("CPRT", "2017-01-03", "2017-04-05", 62.0)
    world.make([early])
    longer = history("CPRT", "2017-01-03", "2017-08-31", 62.0, splits=[("2017-04-11", 1, 2)])
    store(world.warehouse, longer)
    records = [("CPRT", "2017-04-10", 1, 2), ("CPRT", "2017-04-11", 1, 2)]
    rows = [
        dict(zip(("ticker", "execution_date", "split_from", "split_to"), r, strict=True)) for r in records
    ]
    with world.warehouse.writer("test") as transaction:
        transaction.replace_all(SPLITS, reference_records("splits", rows, "api").table)
    np.testing.assert_allclose(world.closes("2017-01-03", "2017-08-31", "CPRT"), 31.0, rtol=1e-9)


def test_a_payment_that_is_not_below_the_close_is_listed_and_not_applied(world):
    """A slipped point, or a liquidation: no price is left to multiply. Payments of one day add up."""

    def paid(day: str, cash: float, kind: str) -> dict[str, Any]:
        return {"ticker": "PAY", "ex_dividend_date": day, "cash_amount": cash, "currency": "USD",
                "distribution_type": kind, "id": f"{day} {kind}"}  # fmt: skip

    world.make(
        [history("PAY", "2017-01-03", "2017-08-31", 62.0)],
        dividends=[
            paid("2017-02-01", 0.5, "recurring"),
            paid("2017-04-11", 62.0, "recurring"),
            paid("2017-05-11", 40.0, "special"),
            paid("2017-05-11", 30.0, "recurring"),
        ],
    )
    found = world.actions("2017-01-03", "2017-08-31", "PAY", adjust="total_return")
    assert found.dividends.column("cash_amount").to_pylist() == [0.5]
    odd = found.not_as_recorded.to_pylist()
    assert [(str(r["recorded_date"]), r["cash_amount"], r["verdict"], r["applied"]) for r in odd] == [
        ("2017-04-11", 62.0, "unusable", False),
        ("2017-05-11", 30.0, "unusable", False),
        ("2017-05-11", 40.0, "unusable", False),
    ]
    assert all("not below the close before, 62" in row["note"] for row in odd)

"""The thresholds of the checks: what passes, what does not, and what is said of it."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from flatfiles_assets.calendars import sessions
from flatfiles_assets.defs.checks import verdicts
from flatfiles_assets.defs.checks.price_evidence import Agreement
from flatfiles_assets.warehouse.evidence import SessionFigures
from flatfiles_assets.warehouse.inventory import LoadedSession
from flatfiles_assets.warehouse.table import sql_type
from flatfiles_assets.warehouse.tables import get_table

DAYS = sessions("XNYS", "2024-06-03", "2024-07-12")
LAST = DAYS[-1]
EARLY_CLOSE = dt.date(2024, 7, 3)


def _loaded(
    counts: dict[dt.date, int], rejected: dict[str, int] | None = None
) -> dict[dt.date, LoadedSession]:
    return {
        day: LoadedSession(day, "sha", n + sum((rejected or {}).values()), n, rejected or {})
        for day, n in counts.items()
    }


def _row_counts(last: int, usual: list[int], *, stored: int | None = None, minutes: bool = False, day=LAST):
    before = [other for other in DAYS if other < day][-len(usual) :] if usual else []
    counts = dict(zip(before, usual, strict=True)) | {day: last}
    figures = {day: SessionFigures(last if stored is None else stored)}
    return verdicts.judge_row_counts([day], figures, _loaded(counts), follows_hours=minutes)


@pytest.mark.parametrize(
    ("last", "usual", "passed"),
    [
        (800, [1000] * 10, True),
        (799, [1000] * 10, False),
        (10_000, [1000] * 10, True),
        (600, [800, 1200] * 5, True),  # a feed that scatters by a fifth is held to half
        (499, [800, 1200] * 5, False),
        (10, [1000] * 4, True),  # too few before to judge
        (0, [1000] * 4, False),
        (0, [], True),
    ],
)
def test_a_session_is_held_to_the_median_before_it_by_the_feeds_own_scatter(last, usual, passed):
    assert _row_counts(last, usual).passed is passed


def test_an_early_close_of_minutes_is_held_to_its_hours_and_of_days_to_the_whole():
    usual = [1000] * 10
    assert _row_counts(500, usual, minutes=True, day=EARLY_CLOSE).passed
    assert not _row_counts(400, usual, minutes=True, day=EARLY_CLOSE).passed
    assert not _row_counts(500, usual, day=EARLY_CLOSE).passed


def test_rows_that_were_accepted_and_are_not_stored_are_missed():
    verdict = _row_counts(1000, [1000] * 10, stored=999)
    assert not verdict.passed
    assert "999 rows are stored, 1,000 were accepted" in verdict.bad[LAST]


def test_sessions_of_another_time_are_no_measure():
    counts = dict.fromkeys(sessions("XNYS", "2008-06-02", "2008-06-20"), 1000) | {LAST: 300}
    figures = {LAST: SessionFigures(300)}
    assert verdicts.judge_row_counts([LAST], figures, _loaded(counts), follows_hours=False).passed


def test_the_schema_is_compared_by_name_and_type():
    table = get_table(("market", "stocks_daily"))
    stored = {column.name: sql_type(column.table_type) for column in table.columns}
    assert verdicts.judge_schema(table, stored).passed
    assert verdicts.judge_schema(table, {}).passed
    wrong = {**stored, "volume": "BIGINT", "extra": "DATE"}
    del wrong["ticker"]
    verdict = verdicts.judge_schema(table, wrong)
    assert not verdict.passed
    for part in (
        "ticker is missing",
        "extra is not in the registry",
        "volume is BIGINT and should be DOUBLE",
    ):
        assert part in verdict.description


@pytest.mark.parametrize(
    ("first", "last", "passed"),
    [
        ("13:30", "19:59", True),
        ("08:00", "23:59", True),
        ("13:50", "19:59", False),
        ("13:30", "19:40", False),
    ],
)
def test_minutes_must_reach_from_the_open_to_the_close(first: str, last: str, passed: bool):
    bars = [dt.datetime.fromisoformat(f"{LAST}T{time}:00+00:00") for time in (first, last)]
    assert verdicts.judge_coverage([LAST], {LAST: SessionFigures(1, 0, 0, *bars)}).passed is passed


def test_missing_sessions_are_a_warning_that_names_the_latest():
    verdict = verdicts.judge_missing(DAYS, [day for day in DAYS if day not in DAYS[3:5]])
    assert not verdict.passed
    assert not verdict.serious
    assert list(verdict.bad) == DAYS[3:5]
    assert str(DAYS[4]) in verdict.description
    assert verdicts.judge_missing(DAYS, DAYS).passed


@pytest.mark.parametrize(
    ("rejected", "passed", "serious"),
    [
        ({"test_ticker": 500}, True, False),
        ({"ohlc": 1}, True, False),
        ({"ohlc": 2}, False, False),
        ({"ohlc": 40, "duplicate": 20}, False, True),
    ],
)
def test_rejected_rows_are_a_warning_until_they_are_many(rejected, passed, serious):
    accepted = 1000 - sum(rejected.values())
    verdict = verdicts.judge_rejected([LAST], _loaded({LAST: accepted}, rejected))
    assert verdict.passed is passed
    assert verdict.serious is serious


def test_a_doubtful_session_is_trusted_beside_one_that_is_not():
    few, many = {"duplicate": 2}, {"duplicate": 200}
    loaded = _loaded({DAYS[0]: 998}, few) | _loaded({LAST: 800}, many)
    verdict = verdicts.judge_rejected([DAYS[0], LAST], loaded)
    assert list(verdict.bad) == [DAYS[0], LAST]
    assert verdict.untrusted == [LAST]


def test_a_few_tickers_may_differ_between_days_and_minutes():
    assert verdicts.judge_agreement({LAST: Agreement(100, 5, 5)}).passed
    verdict = verdicts.judge_agreement({LAST: Agreement(100, 6, 0), DAYS[0]: Agreement(100, 0, 0)})
    assert not verdict.passed
    assert not verdict.serious
    assert verdict.bad == {LAST: "prices differ for 6 of 100 tickers"}
    assert verdicts.judge_agreement({}).passed


def test_a_suspected_split_is_named_with_its_ratio():
    found = pa.table({"trade_date": [LAST], "ticker": ["ABC"], "split_from": [1.0], "split_to": [10.0]})
    verdict = verdicts.judge_splits(DAYS, found)
    assert verdict.bad == {LAST: "looks like a split of ABC 10:1"}
    assert verdicts.judge_splits(DAYS, found.slice(0, 0)).passed


def test_many_bad_days_are_counted_and_the_first_are_named():
    bad = dict.fromkeys(DAYS[:7], "bad")
    assert verdicts.named(bad).endswith("; and 2 more")

"""Each rule rejects exactly what it says, with the values that break it."""

from __future__ import annotations

import datetime as dt
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.calendars import day_bounds_ns
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.ingest.csv_rows import UnparsableRow
from flatfiles_assets.ingest.placeholder_tickers import DEFAULT_TEST_TICKERS
from flatfiles_assets.ingest.quality import (
    QUARANTINE_COLUMNS,
    QUARANTINE_SCHEMA,
    RULES,
    check_rows,
    quarantine_unparsable,
)
from flatfiles_assets.ingest.row_rules import ROW_RULES, FileIdentity

DAILY = get_dataset("stocks_daily")
SESSION = dt.date(2019, 8, 12)
MIDNIGHT_NS, NEXT_MIDNIGHT_NS = day_bounds_ns(SESSION, "America/New_York")
FOUR_PM_NS = MIDNIGHT_NS + 16 * 3600 * 10**9
FILE = FileIdentity(DAILY, "us_stocks_sip/day_aggs_v1/2019/08/2019-08-12.csv.gz", SESSION)
GOOD = {
    "ticker": "AAPL",
    "volume": 100.0,
    "open": 10.0,
    "close": 10.5,
    "high": 11.0,
    "low": 9.0,
    "window_start": MIDNIGHT_NS,
    "transactions": 7,
}
TRADES = get_dataset("stocks_trades")
TRADE = {column.name: None for column in TRADES.columns} | {
    "ticker": "AAPL",
    "conditions": "",
    "id": "1",
    "price": 10.0,
    "sip_timestamp": FOUR_PM_NS,
    "size": 100.0,
}
INDEX = {name: GOOD[name] for name in ("ticker", "open", "close", "high", "low", "window_start")}


def check(*rows, dataset=DAILY, session=SESSION, **options):
    schema = pa.schema([(column.name, column.type) for column in dataset.columns])
    batch = pa.RecordBatch.from_pylist(list(rows), schema=schema)
    return check_rows(batch, np.arange(1, len(rows) + 1), FileIdentity(dataset, FILE.key, session), **options)


def verdict(row, **options) -> tuple[str, str] | None:
    """Rule and reason for one row between two good ones; None where it is accepted."""
    base = {"stocks_trades": TRADE, "indices_daily": INDEX}.get(options.get("dataset", DAILY).name, GOOD)
    checked = check(base | {"ticker": "A"}, row, base | {"ticker": "Z"}, **options)
    rejected = checked.rejected.to_pylist()
    if not rejected:
        assert checked.accepted.num_rows == 3
        return None
    assert checked.accepted["ticker"].to_pylist() == ["A", "Z"]
    assert checked.accepted_row_numbers.tolist() == [1, 3]
    assert [found["row_number"] for found in rejected] == [2]
    assert checked.rejected_counts == {rejected[0]["rule"]: 1}
    return rejected[0]["rule"], rejected[0]["reason"]


@pytest.mark.parametrize(
    "change",
    [
        {"volume": 0.0, "transactions": 0},
        {"open": 0.01, "close": 0.01, "high": 0.01, "low": 0.01},
        {"volume": 2.5},
        {"volume": -0.0},
        {"window_start": FOUR_PM_NS},
        {"window_start": NEXT_MIDNIGHT_NS - 1},
        {"open": 11.0, "close": 9.0},
        {"ticker": "NA"},
        {"ticker": "TRUE"},
        {"ticker": "BCpC"},
        {"ticker": "ZVZZ"},
        {"ticker": "zvzzt"},
        {"ticker": "IBO"},
        {"ticker": "ZZZ"},
        {"ticker": "TEST"},
        {"ticker": "BRK B"},
        {"ticker": "![t](/graphql)"},
        {"ticker": "Ä"},
    ],
)
def test_real_rows_are_accepted_however_odd(change):
    assert verdict(GOOD | change) is None


@pytest.mark.parametrize(
    ("change", "rule", "reason"),
    [
        (
            {"window_start": 1_565_668_800_000_000_000},
            "misdated",
            "window_start 1565668800000000000 = 2019-08-13T04:00:00Z is not in session 2019-08-12",
        ),
        ({"window_start": MIDNIGHT_NS - 1}, "misdated", "2019-08-12T03:59:59Z is not in session 2019-08-12"),
        ({"window_start": NEXT_MIDNIGHT_NS}, "misdated", "2019-08-13T04:00:00Z"),
        ({"window_start": -68_400_000_000_000}, "misdated", "1969-12-31T05:00:00Z"),
        ({"window_start": 15_656_688_000_000_000}, "misdated", "1970-07-01"),
        ({"window_start": 2**63 - 1}, "misdated", "2262-04-11"),
        ({"window_start": -(2**63)}, "misdated", "1677-09-21"),
        ({"ticker": ""}, "empty_ticker", "ticker is ''"),
        ({"ticker": " \t "}, "empty_ticker", r"ticker is ' \t '"),
        ({"ticker": "AAPL "}, "unprintable_ticker", "ticker 'AAPL ' has white space at its ends"),
        ({"ticker": "\u00a0AAPL"}, "unprintable_ticker", "characters that do not show"),
        ({"ticker": "AA\x00PL"}, "unprintable_ticker", r"ticker 'AA\x00PL' has characters that do not show"),
        ({"ticker": "\x1b]0;x\x07"}, "unprintable_ticker", r"'\x1b]0;x\x07'"),
        ({"ticker": "AAPL\n"}, "unprintable_ticker", r"'AAPL\x0a'"),
        ({"ticker": "AA\u202ePL"}, "unprintable_ticker", r"'AA\u202ePL'"),
        ({"ticker": "AA\u200bPL"}, "unprintable_ticker", r"'AA\u200bPL'"),
        ({"ticker": "\x7f"}, "unprintable_ticker", r"'\x7f'"),
        ({"window_start": None}, "missing_value", "window_start is empty"),
        ({"volume": None, "close": None}, "missing_value", "volume, close are empty"),
        ({"transactions": None}, "missing_value", "transactions is empty"),
        ({"high": math.inf}, "not_finite", "high is inf"),
        ({"volume": math.nan, "low": -math.inf}, "not_finite", "volume is nan, low is -inf"),
        ({"volume": -1.0}, "negative", "volume -1.0 < 0"),
        ({"transactions": -1}, "negative", "transactions -1 < 0"),
        ({"low": -0.01}, "negative", "low -0.01 < 0"),
        (
            {"high": 9.5, "low": 9.9, "open": 9.7, "close": 9.7},
            "ohlc",
            "high 9.5 < low 9.9, high 9.5 < open 9.7, high 9.5 < close 9.7, open 9.7 < low 9.9",
        ),
        ({"open": 11.01}, "ohlc", "high 11.0 < open 11.01"),
        ({"open": 8.99}, "ohlc", "open 8.99 < low 9.0"),
        ({"close": 11.01}, "ohlc", "high 11.0 < close 11.01"),
        ({"close": 8.99}, "ohlc", "close 8.99 < low 9.0"),
        ({"ticker": "ZVZZT"}, "test_ticker", "ZVZZT is an exchange's test symbol"),
        ({"ticker": "NTEST.A"}, "test_ticker", "NTEST.A"),
    ],
)
def test_a_bad_row_is_rejected_with_the_numbers_that_make_it_bad(change, rule, reason):
    found_rule, found_reason = verdict(GOOD | change)
    assert found_rule == rule
    assert reason in found_reason


def test_the_session_of_a_winter_and_of_a_clock_change_day_is_its_own_new_york_day():
    for session in (dt.date(2024, 1, 2), dt.date(2024, 3, 11), dt.date(2024, 11, 4)):
        start_ns, end_ns = day_bounds_ns(session, "America/New_York")
        rows = [GOOD | {"window_start": stamp} for stamp in (start_ns - 1, start_ns, end_ns - 1, end_ns)]
        assert check(*rows, session=session).accepted_row_numbers.tolist() == [2, 3]


def test_a_row_that_breaks_several_rules_is_rejected_by_the_first():
    everything = {
        "misdated": {"window_start": 0},
        "empty_ticker": {"ticker": ""},
        "missing_value": {"volume": None},
        "not_finite": {"open": math.nan},
        "negative": {"transactions": -1},
        "ohlc": {"high": 1.0},
    }
    broken = [rule.name for rule in ROW_RULES if rule.name in everything]
    assert broken == list(everything)
    for position, rule in enumerate(broken):
        row = dict(GOOD)
        for name in broken[position:]:
            row |= everything[name]
        assert verdict(row)[0] == rule


def test_the_order_of_precedence_is_the_documented_one():
    names = list(RULES)
    assert [rule.name for rule in ROW_RULES] == names[1:-1]
    assert (names[0], names[-1]) == ("unparsable", "duplicate")


# What a code point without a character is, Unicode's next version decides: Arrow and Python differ.
_ASSIGNED = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=6)


@given(st.lists(_ASSIGNED, max_size=8), st.integers(0, 3))
def test_a_ticker_is_text_that_shows_whatever_surrounds_it_in_memory(tickers, skipped):
    column = pa.array(["\x00", *tickers, "\x1b"], pa.string()).slice(1, len(tickers)).slice(skipped)
    batch = pa.RecordBatch.from_arrays([column], ["ticker"])
    (rule,) = (rule for rule in ROW_RULES if rule.name == "unprintable_ticker")

    found = rule.find(batch, FILE, frozenset())

    expected = [ticker.isprintable() and ticker == ticker.strip() for ticker in tickers[skipped:]]
    assert ([True] * len(column) if found is None else [not bad for bad in found.to_pylist()]) == expected


def test_the_test_tickers_are_configurable():
    assert verdict(GOOD | {"ticker": "ZVZZT"}, test_tickers=frozenset()) is None
    assert verdict(GOOD | {"ticker": "XX"}, test_tickers={"XX"})[0] == "test_ticker"


def test_the_known_test_tickers_hold_those_seen_in_the_feeds_and_no_listed_company():
    assert {
        "ZVZZT",
        "ZXZZT",
        "ZWZZT",
        "ZVV",
        "ZXIET",
        "ZTST",
        "ZZZTA",
        "NTEST",
        "NTEST.Z",
    } <= DEFAULT_TEST_TICKERS
    assert not {"IBO", "ZZZ", "TEST", "ZTS", "ZION", "CBOE", "A", "NA"} & DEFAULT_TEST_TICKERS


@pytest.mark.parametrize(
    ("dataset", "row", "rule"),
    [
        (TRADES, TRADE, None),
        (TRADES, TRADE | {"price": None}, "missing_value"),
        (TRADES, TRADE | {"size": -1.0}, "negative"),
        (TRADES, TRADE | {"sip_timestamp": NEXT_MIDNIGHT_NS}, "misdated"),
        (TRADES, TRADE | {"participant_timestamp": MIDNIGHT_NS - 1}, None),
        (TRADES, TRADE | {"price": math.nan}, "not_finite"),
        (get_dataset("indices_daily"), INDEX, None),
        (get_dataset("indices_daily"), INDEX | {"high": 1.0}, "ohlc"),
    ],
)
def test_rules_apply_to_the_columns_that_a_feed_has(dataset, row, rule):
    found = verdict(row, dataset=dataset)
    assert (found and found[0]) == rule


def test_a_one_sided_quote_is_accepted():
    quotes = get_dataset("stocks_quotes")
    row = {column.name: None for column in quotes.columns}
    row |= {"ticker": "A", "bid_price": 1.0, "bid_size": 2.0, "sip_timestamp": FOUR_PM_NS}
    assert check(row | {"conditions": "", "indicators": ""}, dataset=quotes).rejected.num_rows == 0


def test_a_rejected_row_is_kept_with_its_origin_and_as_it_stood():
    checked = check(GOOD, GOOD | {"ticker": 'Q"é', "high": math.inf, "volume": math.nan})
    (row,) = checked.rejected.to_pylist()
    as_it_stood = json.loads(row.pop("row"), parse_constant=pytest.fail)
    assert as_it_stood == GOOD | {"ticker": 'Q"é', "high": "inf", "volume": "nan"}
    assert row == {
        "trade_date": SESSION,
        "feed": "stocks_daily",
        "file": FILE.key,
        "row_number": 2,
        "rule": "not_finite",
        "reason": "volume is nan, high is inf",
        "ticker": 'Q"é',
    }
    assert checked.rejected.schema == QUARANTINE_SCHEMA
    assert [column.name for column in QUARANTINE_COLUMNS] == QUARANTINE_SCHEMA.names


def test_an_unparsable_line_is_kept_as_text():
    batch = quarantine_unparsable(FILE, [(12, UnparsableRow(3, 'A,"', "2 fields where the header has 8"))])
    (row,) = batch.to_pylist()
    assert (row["row_number"], row["rule"], json.loads(row["row"])) == (12, "unparsable", 'A,"')
    assert row["ticker"] == ""


def test_the_days_of_misdated_rows_are_told_in_the_feeds_zone():
    rows = [GOOD | {"window_start": stamp} for stamp in (MIDNIGHT_NS - 1, NEXT_MIDNIGHT_NS, MIDNIGHT_NS)]
    assert check(*rows).misdated_days == {dt.date(2019, 8, 11), dt.date(2019, 8, 13)}


numbers = st.sampled_from([None, math.nan, math.inf, -1.0, 0.0, 0.01, 9.0, 10.0, 11.0])


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "ticker": st.sampled_from(["AAPL", "", " ", "ZVZZT", "NA"]),
                "volume": numbers,
                "open": numbers,
                "close": numbers,
                "high": numbers,
                "low": numbers,
                "window_start": st.sampled_from([None, 0, MIDNIGHT_NS, NEXT_MIDNIGHT_NS]),
                "transactions": st.sampled_from([None, -1, 0, 5]),
            }
        ),
        max_size=12,
    )
)
def test_every_row_gets_the_verdict_that_plain_python_gives_it(rows):
    checked = check(*rows)
    expected = {number: by_hand(row) for number, row in enumerate(rows, start=1)}
    found = dict.fromkeys(checked.accepted_row_numbers.tolist())
    found |= {row["row_number"]: row["rule"] for row in checked.rejected.to_pylist()}
    assert found == expected
    assert sum(checked.rejected_counts.values()) + checked.accepted.num_rows == len(rows)


def by_hand(row) -> str | None:
    stamp = row["window_start"]
    prices = [row[name] for name in ("open", "close", "high", "low")]
    floats = [*prices, row["volume"]]
    if stamp is not None and not MIDNIGHT_NS <= stamp < NEXT_MIDNIGHT_NS:
        return "misdated"
    if not row["ticker"].strip():
        return "empty_ticker"
    if None in row.values():
        return "missing_value"
    if not all(map(math.isfinite, floats)):
        return "not_finite"
    if min(*floats, row["transactions"]) < 0:
        return "negative"
    if row["high"] != max(prices) or row["low"] != min(prices):
        return "ohlc"
    return "test_ticker" if row["ticker"] == "ZVZZT" else None

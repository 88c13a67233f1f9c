"""Statements count from after their publication, each for its own period, never merged or guessed."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.data_integration.statement_columns import find_columns, timeframe_of_word
from flatfiles_assets.data_integration.statements import FRAME, KNOWN, known_states, mixes_timeframes
from flatfiles_assets.errors import UnexpectedColumns


def states(rows: list[dict], **options) -> list[dict]:
    found, _ = known_states(pl.DataFrame(rows, infer_schema_length=None), 90, "market.financials", **options)
    return found.to_dicts()


def known(rows: list[dict]) -> list[dt.date]:
    return [row[KNOWN] for row in states(rows)]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("publish_date", "filing_date"),
        ("filing_date", "fillingDate"),
        ("fillingDate", "acceptedDate"),
        ("accepted", "filed"),
        ("Publish Date", "Report Date"),
    ],
)
def test_the_day_of_publication_comes_from_the_most_trusted_column(earlier, later):
    row = {"ticker": "A", "fiscalDateEnding": "2007-12-31", earlier: "2008-02-01", later: "2008-03-03"}
    assert known([row]) == [dt.date(2008, 2, 1)]

    # A period's end is no day of publication.
    fallback = dt.date(2008, 3, 30) if later == "Report Date" else dt.date(2008, 3, 3)
    assert known([row | {earlier: None}]) == [fallback]


def test_simfin_counts_from_the_publish_date_and_not_from_the_periods_end():
    rows = [
        {"Ticker": "A", "Fiscal Year": 2007, "Fiscal Period": "Q4", "Report Date": "2007-12-31",
         "Publish Date": "2008-02-06", "Restated Date": "2008-02-06", "Revenue": 5}
    ]  # fmt: skip
    assert known(rows) == [dt.date(2008, 2, 6)]


@pytest.mark.parametrize(
    "texts",
    [
        ("20080201", "20080502"),
        (20080201, 20080502),
        (20080201.0, 20080502.0),
        ("2008-02-01T21:05:00Z", "2008-05-02T00:00:00.000Z"),
        ("2008-02-02T01:30:00+00:00", "2008-05-02T20:00:00-04:00"),
        ("2008-02-01 16:05:12", "2008-05-02 08:00:00"),
        ("Feb 1, 2008", "May 2, 2008"),
        ("39479", "39570"),
        ("02/01/2008", "05/02/2008 "),
        (dt.date(2008, 2, 1), dt.date(2008, 5, 2)),
        (dt.datetime(2008, 2, 1, 23, 59), dt.datetime(2008, 5, 2)),  # noqa: DTZ001
    ],
)
def test_a_date_is_read_however_it_is_written(texts):
    ends = ("2007-12-31", "2008-03-31")
    # A third date settles which of day and month comes first.
    third = "05/13/2008" if "/" in str(texts[0]) else None
    rows = [{"symbol": "A", "period_end": e, "filed": t} for e, t in zip(ends, texts, strict=True)]
    rows += [{"symbol": "B", "period_end": ends[1], "filed": third}] if third else []
    found = [row[KNOWN] for row in states(rows) if row["symbol"] == "A"]
    assert found == [dt.date(2008, 2, 1), dt.date(2008, 5, 2)]


def test_dates_that_are_none_are_refused_with_their_values():
    rows = [{"ticker": "A", "period_end": "2007-12-31", "filing_date": "soon"}]
    with pytest.raises(UnexpectedColumns, match=r"filing_date.*'soon'"):
        states(rows)
    ambiguous = [{"ticker": "A", "period_end": "2007-12-31", "filing_date": "02/04/2008"}]
    with pytest.raises(UnexpectedColumns, match=r"02/04/2008.*nothing settles"):
        states(ambiguous)
    with pytest.raises(UnexpectedColumns, match="filing_date"):
        states([{"ticker": "A", "fiscal_year": 2007, "eps": 1}])


def test_one_stray_date_leaves_its_row_out_and_is_reported():
    rows = [
        {"ticker": f"T{n}", "period_end": "2007-12-31", "filing_date": f"2008-02-{n % 27 + 1:02d}"}
        for n in range(60)
    ]
    stray = {"ticker": "S", "period_end": "2007-12-31", "filing_date": "t.b.a."}
    frame = pl.DataFrame([*rows, stray])
    found, report = known_states(frame, 90, "market.financials")
    assert "S" not in found["ticker"].to_list()
    assert (report.rows, report.placed, report.unparsed) == (61, 60, 1)
    assert report.examples == ("filing_date = 't.b.a.'",)


def test_without_a_publication_date_the_stated_lag_counts_and_is_reported():
    rows = [{"ticker": "A", "fiscal_date_ending": "2007-12-31", "eps": 1}]
    found, report = known_states(pl.DataFrame(rows), 90, "market.financials")
    assert found[KNOWN].to_list() == [dt.date(2008, 3, 30)]
    assert (report.lagged, report.lag_days, report.published_by) == (1, 90, ())


def test_a_publication_before_the_periods_end_is_none():
    """Sharadar's as-restated rows and others write the period's end as the day of publication."""
    rows = [{"ticker": "A", "reportperiod": "2007-12-31", "datekey": "2007-12-31", "eps": 1}]
    found, report = known_states(pl.DataFrame(rows), 90, "market.financials")
    assert found[KNOWN].to_list() == [dt.date(2008, 3, 30)]
    assert report.lagged == 1


def test_annual_and_quarterly_figures_of_one_day_are_never_one_row():
    base = {"ticker": "A", "period_end": "2007-12-31", "filing_date": "2008-02-01"}
    rows = [
        base | {"fiscal_period": "FY", "revenues": 100, "employees": 7},
        base | {"fiscal_period": "Q4", "revenues": 30, "employees": None},
    ]
    for order in (rows, rows[::-1]):
        (found,) = states(order)
        assert (found["fiscal_period"], found["revenues"], found["employees"]) == ("Q4", 30, None)
    (annual,) = states(rows, timeframe="annual")
    assert (annual["revenues"], annual["employees"]) == (100, 7)


def test_a_timeframe_alone_tells_statements_apart():
    base = {"ticker": "A", "period_end": "2007-12-31", "filing_date": "2008-02-01"}
    rows = [
        base | {"timeframe": "annual", "revenues": 100, "employees": 7},
        base | {"timeframe": "quarterly", "revenues": 30, "employees": None},
    ]
    (found,) = states(rows)
    assert (found["revenues"], found["employees"]) == (30, None)


def test_figures_as_reported_are_never_completed_by_those_restated_later():
    base = {"ticker": "A", "reportperiod": "2007-12-31"}
    rows = [
        base | {"dimension": "ARQ", "datekey": "2008-04-20", "eps": 1.0, "assets": None},
        base | {"dimension": "MRQ", "datekey": "2007-12-31", "eps": 1.2, "assets": 9},
    ]
    for order in (rows, rows[::-1]):
        found = states(order)
        assert [(row[KNOWN].isoformat(), row["dimension"], row["eps"], row["assets"]) for row in found] == [
            ("2008-03-30", "MRQ", 1.2, 9),
            ("2008-04-20", "ARQ", 1.0, None),
        ]


def test_a_restatement_replaces_its_own_period_only():
    rows = [
        {"ticker": "A", "period_end": "2006-12-31", "filing_date": "2007-02-01", "eps": 1.0},
        {"ticker": "A", "period_end": "2007-12-31", "filing_date": "2008-02-01", "eps": 2.0},
        {"ticker": "A", "period_end": "2006-12-31", "filing_date": "2008-03-03", "eps": 0.5},
        {"ticker": "A", "period_end": "2007-12-31", "filing_date": "2008-04-01", "eps": 1.5},
    ]
    assert [(row[KNOWN].isoformat(), row["eps"]) for row in states(rows)] == [
        ("2007-02-01", 1.0),
        ("2008-02-01", 2.0),
        ("2008-04-01", 1.5),
    ]


def test_a_later_part_of_a_statement_completes_it_and_of_an_unknown_period_does_not():
    parts = [
        {"ticker": "A", "period_end": "2007-12-31", "filed": "2008-02-01", "eps": 1.0, "assets": None},
        {"ticker": "A", "period_end": "2007-12-31", "filed": "2008-02-20", "eps": None, "assets": 9},
    ]
    assert [(row["eps"], row["assets"]) for row in states(parts)] == [(1.0, None), (1.0, 9)]
    unknown = [{k: v for k, v in part.items() if k != "period_end"} for part in parts]
    assert [(row["eps"], row["assets"]) for row in states(unknown)] == [(1.0, None), (None, 9)]


def test_tags_and_values_become_columns():
    rows = [
        {"ticker": "A", "ddate": "20071231", "fp": "FY", "filed": "20080201", "tag": t, "uom": u, "value": v}
        for t, u, v in (
            ("Revenues", "USD", 5.0), ("EarningsPerShare", "USD", 1.5), ("Revenues", "EUR", 4.0),
            ("Revenues", "USD", 6.0),
        )
    ]  # fmt: skip
    (row,) = states(rows)
    assert (row["revenues"], row["earnings_per_share"], row["revenues_eur"]) == (6.0, 1.5, 4.0)
    assert row["fp"] == "FY"


def test_words_for_timeframes():
    words = {
        **dict.fromkeys(("Q3", "2008Q1", "10-Q/A", "ARQ", "3", "quarterly"), "quarterly"),
        **dict.fromkeys(("FY", "10-K405", "MRY", "annual"), "annual"),
        **dict.fromkeys(("ART", "TTM"), "ttm"),
        "H1": "semiannual",
    }
    assert {word: timeframe_of_word(word) for word in words} == words
    assert timeframe_of_word("income") is None


def test_figures_of_changing_length_are_told():
    rows = [
        {"ticker": "A", "period_end": "2007-09-30", "filed": "2007-11-01", "fp": "Q3", "revenue": 1},
        {"ticker": "A", "period_end": "2007-12-31", "filed": "2008-02-01", "fp": "FY", "revenue": 9},
    ]
    found, _ = known_states(pl.DataFrame(rows), 90, "market.financials")
    assert mixes_timeframes(found, "ticker") == {"A": ["annual", "quarterly"]}
    assert found[FRAME].to_list() == ["quarterly", "annual"]


def test_columns_are_found_whatever_their_case_and_marks():
    found = find_columns(["Ticker", "fillingDate", "acceptedDate", "calendarYear", "period", "date"], "t")
    assert found.published == ("fillingDate", "acceptedDate")
    assert (found.fiscal_year, found.symbol) == ("calendarYear", "Ticker")


_DAYS = st.dates(dt.date(2007, 1, 1), dt.date(2009, 12, 31))


@settings(max_examples=60, deadline=None)
@given(
    filings=st.lists(
        st.tuples(_DAYS, _DAYS, st.sampled_from(["Q1", "FY"]), st.one_of(st.none(), st.integers(0, 9))),
        min_size=1,
        max_size=12,
    ),
    session=_DAYS,
)
def test_what_is_published_later_changes_nothing_earlier(filings, session):
    rows = [
        {"ticker": "A", "period_end": end, "filing_date": filed, "fiscal_period": fp, "eps": eps}
        for end, filed, fp, eps in filings
    ]
    schema = {"ticker": pl.String, "period_end": pl.Date, "filing_date": pl.Date, "fiscal_period": pl.String,
              "eps": pl.Int64}  # fmt: skip
    everything, _ = known_states(pl.DataFrame(rows, schema=schema), 90, "t")
    until = [row for row in rows if _published(row) < session]
    then, _ = known_states(pl.DataFrame(until, schema=schema), 90, "t")
    of_all = everything.filter(pl.col(KNOWN) < session)
    assert of_all.to_dicts()[-1:] == then.to_dicts()[-1:]


def _published(row: dict) -> dt.date:
    lagged = row["period_end"] + dt.timedelta(days=90)
    return row["filing_date"] if row["filing_date"] > row["period_end"] else lagged

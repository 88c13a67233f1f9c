"""Every way of writing a market reads back as that market, or is refused for a reason that is true."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from flatfiles_assets.ingest.historical.reader import HISTORICAL_SCHEMA, read_extracted_year
from flatfiles_assets_tests.ingest.historical_writer import (
    AMBIGUOUS,
    Bar,
    Written,
    market,
    ways_of_writing,
    write_market,
)

_SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _read(way: Written, bars: list[Bar]):
    with tempfile.TemporaryDirectory() as directory:
        write_market(bars, way, Path(directory))
        with read_extracted_year(directory, 2008) as year:
            table = year.read().read_all()
            return table, year.rejected.to_pylist(), year.report


def _expected(bars: list[Bar], way: Written) -> list[tuple]:
    rows = [
        (
            b.day,
            b.ticker,
            b.open,
            b.high,
            b.low,
            b.close,
            float(b.volume),
            b.adjusted_close if way.adjusted else None,
        )
        for b in bars
    ]
    return sorted(rows, key=lambda row: (row[0], row[1].encode()))


def _rows(table) -> list[tuple]:
    names = ["trade_date", "ticker", "open", "high", "low", "close", "volume", "adjusted_close"]
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


@pytest.mark.slow
@settings(_SETTINGS, max_examples=120)
@given(way=ways_of_writing, seed=st.integers(0, 10**6))
def test_a_quarter_of_a_market_reads_back_identical_in_every_layout(way, seed):
    bars = market(seed, days=45, tickers=4)
    table, rejected, report = _read(way, bars)
    reasons = [(f.file, f.reason) for f in report.files if f.reason]
    assert not reasons
    assert rejected == []
    assert table.schema == HISTORICAL_SCHEMA
    assert _rows(table) == _expected(bars, way)
    assert report.accepted == report.rows_in == len(bars) == report.bars


@settings(_SETTINGS, max_examples=60)
@given(way=ways_of_writing, seed=st.integers(0, 10**6), days=st.integers(1, 6))
def test_a_few_days_read_back_identical_or_are_refused_as_ambiguous(way, seed, days):
    bars = market(seed, days=days, tickers=3)
    table, rejected, report = _read(way, bars)
    expected = _expected(bars, way)
    assert rejected == []
    refused = report.with_status("not understood")
    if refused:
        event("refused")
        # Of columns without names it takes several days to tell the open from the close.
        has_dates = way.arrangement != "per day" or way.day_column_too
        doubtful_format = way.date_format in AMBIGUOUS if has_dates else way.name_date in ("%m-%d-%Y",)
        assert doubtful_format or way.headings is None
        assert all("override" in f.reason for f in refused)
    # What was read is right, whatever was refused.
    assert set(_rows(table)) <= set(expected)
    assert table.num_rows == report.bars
    if not refused:
        assert _rows(table) == expected

"""The demo's archives, written by another hand, read back as the market that they were written from."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import tempfile
from pathlib import Path

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.minio_files import (
    DEFAULT_ORDER,
    HistoricalLayout,
    historical_bars,
    historical_minute_bars,
    write_bars_zip,
)
from flatfiles_assets.ingest.archives.extraction import extract_archive
from flatfiles_assets.ingest.historical.reader import read_extracted_year

pytestmark = pytest.mark.slow

_OTHER_ORDER = ("ticker", "date", "time", "open", "close", "high", "low", "volume", "adj_close")


def _writable(layout: dict) -> HistoricalLayout:
    comma = layout["separator"] == ","
    layout["decimal_comma"] &= not comma
    layout["quoted"] |= comma and "," in layout["date_format"]
    return HistoricalLayout(**layout)


layouts = st.fixed_dictionaries(
    {
        "arrangement": st.sampled_from(["long", "per_symbol", "per_day"]),
        "separator": st.sampled_from([",", "\t", ";", "|"]),
        "header": st.booleans(),
        "date_format": st.sampled_from(
            [
                "%Y-%m-%d",
                "%Y%m%d",
                "%m/%d/%Y",
                "%d/%m/%Y",
                "%d-%b-%Y",
                "%b %d, %Y",
                "%y%m%d",
                "%Y-%m-%d %H:%M:%S",
            ]
        ),
        "time_format": st.sampled_from([None, "%H:%M:%S", "%H%M%S"]),
        "heading_style": st.sampled_from(["title", "lower", "upper", "angle"]),
        "date_heading": st.sampled_from([None, "timestamp", "<DTYYYYMMDD>"]),
        "ticker_heading": st.sampled_from([None, "Symbol"]),
        "volume_heading": st.sampled_from([None, "Vol"]),
        "adjusted_close": st.booleans(),
        "named_fields_repeated": st.booleans(),
        "column_order": st.sampled_from([DEFAULT_ORDER, _OTHER_ORDER]),
        "extension": st.sampled_from([".csv", ".TXT", ".csv.gz"]),
        "folder": st.sampled_from(["", "data/2005"]),
        "nested": st.booleans(),
        "name_prefix": st.sampled_from(["", "daily_"]),
        "file_date_format": st.sampled_from(["%Y-%m-%d", "%Y%m%d", "%d%b%Y", "%m-%d-%Y"]),
        "encoding": st.sampled_from(["utf-8", "utf-16", "latin-1"]),
        "quoted": st.booleans(),
        "decimal_comma": st.booleans(),
        "crlf": st.booleans(),
        "newest_first": st.booleans(),
    }
).map(_writable)


@functools.cache
def _market() -> SyntheticMarket:
    return SyntheticMarket(30)


@functools.cache
def _bars():
    bars = historical_bars(_market(), 2005)
    # BCpC beside BCPC cannot be extracted where every symbol has a file.
    return bars.filter(
        pc.and_(pc.less(bars["trade_date"], dt.date(2005, 4, 1)), pc.not_equal(bars["ticker"], "BCpC"))
    )


def _read(content: bytes, year: int):
    with tempfile.TemporaryDirectory() as directory:
        archive = Path(directory) / f"{year}.zip"
        archive.write_bytes(content)
        extract_archive(archive, Path(directory) / "extracted")
        with read_extracted_year(Path(directory) / "extracted", year) as extracted:
            return extracted.read().read_all(), extracted.report


@settings(max_examples=25, deadline=None)
@given(layouts)
def test_a_quarter_reads_back_identical_from_any_archive(layout):
    table, report = _read(write_bars_zip(_bars(), layout, "2005"), 2005)
    assert not [(file.file, file.reason) for file in report.files if file.reason]
    expected = _bars().rename_columns([*_bars().column_names[:-1], "adjusted_close"])
    names = expected.column_names if layout.adjusted_close else expected.column_names[:-1]
    read = table.select(names)
    assert read.equals(expected.select(names).cast(read.schema))


@settings(max_examples=6, deadline=None)
@given(layouts, st.sampled_from([None, "%H:%M:%S", "%H%M%S"]))
def test_minute_bars_become_the_days_they_add_up_to(layout, time_format):
    days = [dt.date(2005, 1, 13), dt.date(2005, 7, 14)]
    minutes = historical_minute_bars(_market(), days, ["AAPL", "KO", "NA"])
    stamps = "%Y-%m-%d" if time_format else "%Y-%m-%d %H:%M:%S"
    repeated = layout.arrangement == "per_day"
    layout = dataclasses.replace(
        layout,
        date_format=stamps,
        time_format=time_format,
        adjusted_close=False,
        named_fields_repeated=repeated,
    )
    table, report = _read(write_bars_zip(minutes, layout, "2005"), 2005)
    assert report.accepted == minutes.num_rows
    for bar in table.to_pylist():
        opened, closed = (dt.datetime.combine(bar["trade_date"], dt.time(*at)) for at in ((9, 30), (16, 0)))
        own = minutes.filter(
            (pc.field("ticker") == bar["ticker"])
            & (pc.field("timestamp") >= opened)
            & (pc.field("timestamp") < closed)
        )
        assert bar["open"] == own["open"][0].as_py()
        assert bar["close"] == own["close"][-1].as_py()
        assert bar["high"] == pc.max(own["high"]).as_py()
        assert bar["low"] == pc.min(own["low"]).as_py()
        assert bar["volume"] == pc.sum(own["volume"]).as_py()
    assert table.num_rows == 2 * len(set(minutes["ticker"].to_pylist()))

"""Dates whose months have names, in the languages that people's exports are in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from babel.dates import format_date

from flatfiles_assets.ingest.historical.reader import read_extracted_year
from flatfiles_assets.ingest.layouts.date_formats import candidate_formats, parse_stamp
from flatfiles_assets.ingest.layouts.month_names import month_of
from flatfiles_assets_tests.ingest.layouts.look_alikes import BARS, SYMBOLS

_LANGUAGES = ("de", "es", "fr", "it", "pt", "nl", "sv", "pl", "cs", "hu")


# Hungarian writes the weekday behind the date, which is not read.
@pytest.mark.parametrize(
    ("language", "style"),
    [(each, style) for each in _LANGUAGES for style in ("long", "full") if (each, style) != ("hu", "full")],
)
def test_every_day_as_a_language_writes_it_is_that_day(language: str, style: str):
    for month in range(1, 13):
        day = dt.date(2008, month, 3 + month)
        text = format_date(day, style, language)
        assert _readings(text) == {day}, text


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("3. März 2008", 3), ("03-mai-2008", 5), ("03 août 2008", 8), ("2008. január 3.", 1),
        ("03-Mrz-08", 3), ("3 févr. 2008", 2), ("3 fevr 2008", 2), ("1er juillet 2008", 7),
        ("3 gen 2008", 1), ("03/dez/2008", 12), ("03-dic-2008", 12), ("3 mrt 2008", 3), ("3 mei 2008", 5),
        ("3 set 2008", 9), ("03 out 2008", 10), ("03ott2008", 10), ("March 3rd, 2008", 3), ("3 MÄRZ 2008", 3),
    ],
)  # fmt: skip
def test_months_may_be_short_and_without_accents(text: str, month: int):
    days = {day for day in _readings(text) if day.year == 2008}
    assert days == {dt.date(2008, month, 1 if text.startswith("1er") else 3)}


@pytest.mark.parametrize("text", ["3 jui 2008", "3 xyz 2008", "3 mardi 2008", "3 ma 2008"])
def test_a_word_for_two_months_or_none_is_no_date(text: str):
    assert _readings(text) == set()


def test_no_english_name_means_another_month_elsewhere():
    for month in range(1, 13):
        name = dt.date(2008, month, 1).strftime("%B")
        assert {month_of(name), month_of(name[:3]), month_of(name[:3].upper() + ".")} == {month}


@pytest.mark.parametrize(
    "written",
    [
        lambda day: format_date(day, "long", "de"),
        lambda day: format_date(day, "full", "fr"),
        lambda day: format_date(day, "dd-MMM-yyyy", "pt"),
    ],
    ids=["3. März 2008", "lundi 3 mars 2008", "03-mar.-2008"],
)
def test_a_market_with_such_dates_is_read_right(tmp_path: Path, written: Callable[[dt.date], str]):
    for ticker in SYMBOLS:
        rows = [
            f'"{written(bar.day)}",{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}'
            for bar in BARS
            if bar.ticker == ticker
        ]
        text = "\n".join(["Date,Open,High,Low,Close,Volume", *rows, ""])
        (tmp_path / f"{ticker}.csv").write_text(text, encoding="utf-8")

    with read_extracted_year(tmp_path, 2008) as year:
        found = {(b["trade_date"], b["ticker"]): b["close"] for b in year.read().read_all().to_pylist()}

    assert found == {(bar.day, bar.ticker): bar.close for bar in BARS}, year.report.files[0]


def _readings(text: str) -> set[dt.date]:
    stamps = (parse_stamp(text, name) for name in candidate_formats(text))
    return {dt.date(1970, 1, 1) + dt.timedelta(days=stamp.day) for stamp in stamps if stamp}

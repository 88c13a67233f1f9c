"""What a year leaves out once all of it is known: test tickers under a mark, files that were added to it."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from flatfiles_assets.calendars import sessions
from flatfiles_assets.ingest.archives.extraction import extract_archive
from flatfiles_assets.ingest.historical.reader import read_extracted_year


@pytest.mark.parametrize(
    ("mark", "symbols"),
    [
        ("{}.US", ("AAPL", "IBM")),
        ("{}.O", ("AAPL", "MSFT")),
        ("{} US Equity", ("AAPL", "IBM")),
        ("NASDAQ:{}", ("AAPL", "MSFT")),
    ],
)
def test_a_test_ticker_is_one_under_a_vendors_mark_too(tmp_path: Path, mark: str, symbols: tuple[str, ...]):
    days = sessions("XNYS", "2008-03-03", "2008-04-30")
    lines = ["Symbol,Date,Open,High,Low,Close,Volume"]
    for symbol in (*symbols, "ZVZZT", "ZXZZT"):
        lines += [
            f"{mark.format(symbol)},{day},10.{place:02d},12.5,9.75,11.{place:02d},{1000 + place}"
            for place, day in enumerate(days)
        ]
    (tmp_path / "all.csv").write_text("\n".join(lines) + "\n")

    with read_extracted_year(tmp_path, 2008) as year:
        found = set(year.read().read_all().column("ticker").to_pylist())
        rejected = Counter((row["rule"], row["ticker"], row["reason"]) for row in year.rejected.to_pylist())
        report = year.report

    assert found == set(symbols)
    assert rejected == {
        ("test_ticker", ticker, f"{ticker} is an exchange's test symbol"): len(days)
        for ticker in ("ZVZZT", "ZXZZT")
    }
    assert report.bars == len(symbols) * len(days)
    assert report.accepted + report.quarantined == report.rows_in


def test_a_file_named_for_a_test_ticker_in_small_letters_is_one(tmp_path: Path):
    days = sessions("XNYS", "2008-03-03", "2008-04-30")
    for symbol in ("aapl", "ibm", "zvzzt"):
        rows = [f"{day},10,12,9,11,1000" for day in days]
        text = "\n".join(["Date,Open,High,Low,Close,Volume", *rows, ""])
        (tmp_path / f"{symbol}.us.txt").write_text(text)

    with read_extracted_year(tmp_path, 2008) as year:
        assert set(year.read().read_all().column("ticker").to_pylist()) == {"AAPL", "IBM"}
        assert {row["rule"] for row in year.rejected.to_pylist()} == {"test_ticker"}


def test_a_file_that_was_added_to_an_extracted_year_is_named_and_not_read(tmp_path: Path):
    header, row = "Date,Open,High,Low,Close,Volume\n", "2008-03-03,10,12,9,11,1000\n"
    with zipfile.ZipFile(tmp_path / "2008.zip", "w") as archive:
        archive.writestr("AAPL.csv", header + row)
        archive.writestr("Zürich/IBM.csv", header + row)
    extract_archive(tmp_path / "2008.zip", tmp_path / "2008")
    (tmp_path / "2008" / "MSFT.csv").write_text(header + row)

    with read_extracted_year(tmp_path / "2008", 2008) as year:
        found = set(year.read().read_all().column("ticker").to_pylist())
        reasons = {file.file: file.reason for file in year.report.files if file.reason}

    assert found == {"AAPL", "IBM"}
    assert reasons.keys() == {"MSFT.csv"}
    assert "it is not in 2008.zip" in reasons["MSFT.csv"]

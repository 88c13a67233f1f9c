"""An extracted year: every row accepted or in quarantine with its reason, every file reported."""

from __future__ import annotations

import datetime as dt
import gzip

import pyarrow as pa
import pytest

from flatfiles_assets.calendars import sessions
from flatfiles_assets.errors import CorruptFile, InvalidArgument
from flatfiles_assets.ingest.historical.reader import (
    HISTORICAL_SCHEMA,
    FileLayout,
    LayoutOverride,
    LayoutOverrides,
    NotUnderstood,
    discover_layout,
    read_extracted_year,
    read_historical_file,
)
from flatfiles_assets.ingest.quality import QUARANTINE_SCHEMA

HEADER = "Date,Open,High,Low,Close,Volume\n"


def _row(day: str, close: float = 10.0, volume: int = 1000) -> str:
    return f"{day},10,11,9,{close},{volume}\n"


def _close(place: int) -> float:
    """Closes that go up and down, so that an open near the one before is no other's."""
    return 10.25 + place * 7 % 5 / 4 + place % 3 / 100


def _opened(place: int) -> float:
    return _close(place - 1) + place % 2 / 100


def _letters(number: int) -> str:
    return chr(ord("A") + number // 26) + chr(ord("A") + number % 26)


def _days(first: str, last: str) -> list[dt.date]:
    return sessions("XNYS", first, last)


def _read(directory, **options):
    with read_extracted_year(directory, 2008, **options) as year:
        table = year.read().read_all()
        assert year.rejected.schema == QUARANTINE_SCHEMA
        assert table.schema == HISTORICAL_SCHEMA
        assert year.report.accepted + year.report.quarantined == year.report.rows_in
        for file in year.report.files:
            assert file.accepted + file.quarantined == file.rows_in
        return table.to_pylist(), year.rejected.to_pylist(), {f.file: f for f in year.report.files}


def _override(**fields) -> LayoutOverrides:
    return LayoutOverrides(((("*",), frozenset(), LayoutOverride(**fields)),))


def test_each_bad_row_goes_to_quarantine_with_its_rule_its_number_and_its_text(tmp_path):
    lines = [
        _row("2008-01-02"),
        "2008-01-03,10,11\n",
        _row("2008-01-05"),
        _row("2007-12-31"),
        "2008-01-04,10,9,11,10,1000\n",
        "2008-01-07,ten,11,9,10,1000\n",
        "2008-01-08,10,11,9,,1000\n",
        "2008-01-09,10,11,-9,10,1000\n",
        "2008-13-10,10,11,9,10,1000\n",
        '2008-01-11,"10,11,9,10,1000\n',
        _row("2008-01-14"),
        *(_row(str(day)) for day in _days("2008-02-01", "2008-12-31")),
    ]
    (tmp_path / "AAPL.csv").write_text(HEADER + "".join(lines))
    bars, rejected, report = _read(tmp_path)
    assert [(row["row_number"], row["rule"]) for row in rejected] == [
        (2, "unparsable"),
        (3, "misdated"),
        (4, "misdated"),
        (5, "ohlc"),
        (6, "unparsable"),
        (7, "missing_value"),
        (8, "negative"),
        (9, "unparsable"),
        (10, "unparsable"),
    ]
    by_number = {row["row_number"]: row for row in rejected}
    assert by_number[3]["reason"] == "2008-01-05 is no session of XNYS"
    assert by_number[4]["reason"] == "2007-12-31 is not in 2008"
    assert by_number[6]["reason"] == "open 'ten' is not a number"
    assert by_number[9]["reason"] == "'2008-13-10' is no date under %Y-%m-%d"
    assert '"Open": "ten"' in by_number[6]["row"]
    assert {row["file"] for row in rejected} == {"AAPL.csv"}
    assert {row["feed"] for row in rejected} == {"historical_daily"}
    assert report["AAPL.csv"].quarantined_by_rule == {
        "unparsable": 4,
        "misdated": 2,
        "ohlc": 1,
        "missing_value": 1,
        "negative": 1,
    }
    assert [bar["trade_date"] for bar in bars[:2]] == [dt.date(2008, 1, 2), dt.date(2008, 1, 14)]


def test_row_numbers_stay_right_when_many_files_share_a_block(tmp_path):
    for ticker in ("A", "B", "C"):
        lines = [_row(str(day)) for day in _days("2008-01-02", "2008-03-31")]
        lines[7] = lines[7].replace(",11,", ",1,") if ticker == "B" else lines[7]
        lines[3] = "\n" + lines[3]
        (tmp_path / f"{ticker}.csv").write_text(HEADER + "".join(lines).rstrip("\n"))
    _, rejected, report = _read(tmp_path)
    assert [(row["file"], row["row_number"], row["rule"]) for row in rejected] == [("B.csv", 8, "ohlc")]
    assert report["C.csv"].rows_in == len(_days("2008-01-02", "2008-03-31"))


@pytest.mark.parametrize("blank", ["\n", " \n", "\t\n", " \t \n", "\r\n", "\n \n\t\n"])
@pytest.mark.parametrize("place", ["first", "within", "last"])
def test_lines_of_nothing_but_white_space_are_no_rows(tmp_path, blank, place):
    rows = [_row(str(day)) for day in _days("2008-01-02", "2008-03-31")]
    header = blank + HEADER if place == "first" else HEADER
    if place == "within":
        rows[5] += blank
    (tmp_path / "A.csv").write_text(header + "".join(rows) + (blank if place == "last" else ""))
    bars, rejected, _ = _read(tmp_path)
    assert (len(bars), rejected) == (len(rows), [])


def test_a_key_that_two_files_have_is_kept_from_the_first_by_name(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "b" / "AAPL.csv").write_text(HEADER + _row("2008-01-02", 10.5) + _row("2008-01-03", 10.5))
    (tmp_path / "a" / "AAPL.csv").write_text(HEADER + _row("2008-01-02", 9.5))
    bars, rejected, _ = _read(tmp_path)
    assert [(bar["close"], bar["source_file"]) for bar in bars] == [(9.5, "a/AAPL.csv"), (10.5, "b/AAPL.csv")]
    assert [(row["file"], row["row_number"], row["rule"]) for row in rejected] == [
        ("b/AAPL.csv", 1, "duplicate")
    ]


def test_class_symbols_written_differently_in_two_files_are_one_symbol(tmp_path):
    (tmp_path / "BRK-B.csv").write_text(HEADER + _row("2008-01-02"))
    (tmp_path / "BRK.B.csv").write_text(HEADER + _row("2008-01-02"))
    bars, rejected, _ = _read(tmp_path)
    assert [bar["ticker"] for bar in bars] == ["BRK.B"]
    assert [row["rule"] for row in rejected] == ["duplicate"]


def test_adjusted_close_is_kept_apart_and_never_becomes_the_close(tmp_path):
    (tmp_path / "A.csv").write_text(
        "Date,Open,High,Low,Close,Volume,Adj Close\n2008-01-02,10,11,9,10,5,3.5\n"
    )
    (tmp_path / "B.csv").write_text(HEADER + _row("2008-01-02"))
    (tmp_path / "C.csv").write_text("Date,Open,High,Low,Adj Close,Volume\n2008-01-02,10,11,9,3.5,5\n")
    bars, _, report = _read(tmp_path)
    assert [(bar["close"], bar["adjusted_close"]) for bar in bars] == [(10.0, 3.5), (10.0, None)]
    assert "no column means close" in report["C.csv"].reason


def test_files_that_are_no_tables_and_files_not_understood_are_listed_with_the_reason(tmp_path):
    (tmp_path / "AAPL.csv").write_text(HEADER + _row("2008-01-02"))
    (tmp_path / "README.TXT").write_text("Prices as the exchange has them.\n\nNo warranty.\n")
    (tmp_path / "chart.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)))
    (tmp_path / "EMPTY.csv").write_bytes(b"")
    (tmp_path / "HEADER.csv").write_text(HEADER)
    (tmp_path / "CUT.csv.gz").write_bytes(gzip.compress((HEADER + _row("2008-01-02") * 500).encode())[:-30])
    (tmp_path / "names.csv").write_text("ticker,name,city,country\nA,Agilent,Santa Clara,US\n")
    bars, _, report = _read(tmp_path)
    assert len(bars) == 1
    assert {name: file.status for name, file in report.items()} == {
        "AAPL.csv": "understood",
        "README.TXT": "not a table",
        "chart.jpg": "not a table",
        "EMPTY.csv": "not a table",
        "HEADER.csv": report["HEADER.csv"].status,
        "CUT.csv.gz": "not understood",
        "names.csv": "not understood",
    }
    assert all(file.reason for file in report.values() if file.status != "understood")
    assert "picture" in report["chart.jpg"].reason


def test_siblings_settle_a_date_that_one_file_alone_leaves_open(tmp_path):
    (tmp_path / "A.csv").write_text(HEADER + _row("02/05/2008"))
    (tmp_path / "B.csv").write_text(
        HEADER + "".join(_row(f"{d:%m/%d/%Y}") for d in _days("2008-02-01", "2008-02-29"))
    )
    alone = discover_layout(tmp_path / "A.csv")
    assert isinstance(alone, NotUnderstood)
    assert "%m/%d/%Y or %d/%m/%Y" in alone.reason
    bars, _, _ = _read(tmp_path)
    assert [bar["trade_date"] for bar in bars if bar["ticker"] == "A"] == [dt.date(2008, 2, 5)]


@pytest.mark.parametrize("siblings", [1, 40])
def test_siblings_that_contradict_each_other_settle_nothing_for_a_third(tmp_path, siblings):
    days = _days("2008-02-01", "2008-02-29")
    (tmp_path / "A.csv").write_text(HEADER + _row("02/05/2008"))
    for number in range(siblings):
        (tmp_path / f"B{_letters(number)}.csv").write_text(
            HEADER + "".join(_row(f"{d:%m/%d/%Y}") for d in days)
        )
    (tmp_path / "C.csv").write_text(HEADER + "".join(_row(f"{d:%d/%m/%Y}") for d in days))
    bars, rejected, report = _read(tmp_path)
    assert rejected == []
    assert report["A.csv"].status == "not understood"
    assert "prove both" in report["A.csv"].reason
    assert not [bar for bar in bars if bar["ticker"] == "A"]
    for ticker in ("BAA", "C"):
        assert [bar["trade_date"] for bar in bars if bar["ticker"] == ticker] == days


def test_the_order_of_files_is_no_evidence_for_their_dates(tmp_path):
    # In the names' order these are in order under one reading only.
    for name, day in (("A", "02/06/2008"), ("B", "03/06/2008"), ("C", "02/07/2008")):
        (tmp_path / f"{name}.csv").write_text(HEADER + _row(day))
    bars, _, report = _read(tmp_path)
    assert bars == []
    assert {file.status for file in report.values()} == {"not understood"}


@pytest.mark.parametrize(
    ("dates", "expected", "why"),
    [
        (["01/02/2008", "01/14/2008"], "%m/%d/%Y", "are they dates"),
        (["02/05/2008"], "%m/%d/%Y", None),
        (["01/05/2008"], "%d/%m/%Y", "sessions"),
        (["02/06/2008", "03/06/2008", "02/07/2008"], "%d/%m/%Y", "order"),
        (["02/01/08"], "%m/%d/%y", None),
        (["08/02/01"], "%y/%m/%d", "lie in 2008"),
    ],
)
def test_evidence_settles_dates_in_its_order(tmp_path, dates, expected, why):
    (tmp_path / "A.csv").write_text(HEADER + "".join(map(_row, dates)))
    layout = discover_layout(tmp_path / "A.csv", year=2008)
    if why is None:
        assert isinstance(layout, NotUnderstood)
        assert "override" in layout.reason
    else:
        assert layout.date_format == expected
        assert why in layout.describe()


def test_the_whole_file_is_evidence_and_not_only_its_beginning(tmp_path):
    ambiguous = "".join(f"S{i},02/05/2008,10,11,9,10,1000\n" for i in range(30000))
    path = tmp_path / "all.csv"
    path.write_text("Symbol," + HEADER + ambiguous + "Z,02/14/2008,10,11,9,10,1000\n")
    assert discover_layout(path).date_format == "%m/%d/%Y"


def test_values_decide_what_columns_without_names_are(tmp_path):
    lines = "".join(
        f"{d:%Y%m%d},{_opened(i):.2f},{12 + i % 2},{9 + i % 2 / 4:.2f},{_close(i):.2f},{100000 + i}\n"
        for i, d in enumerate(_days("2008-01-02", "2008-03-01"))
    )
    (tmp_path / "A.txt").write_text(lines)
    layout = discover_layout(tmp_path / "A.txt")
    assert layout.columns == ("date", "open", "high", "low", "close", "volume")
    assert not layout.headings


def test_an_adjusted_close_without_a_name_that_equals_the_close_is_not_taken_for_it(tmp_path):
    lines = "".join(
        f"{d:%Y%m%d},{_opened(i):.2f},{_close(i):.2f},{12 + i % 2},{9 + i % 2 / 4:.2f},{10**5 + i},"
        f"{_close(i):.2f}\n"
        for i, d in enumerate(_days("2008-01-02", "2008-03-01"))
    )
    (tmp_path / "A.txt").write_text(lines)
    columns = discover_layout(tmp_path / "A.txt").columns
    assert columns == ("date", "open", "close", "high", "low", "volume", "adjusted_close")


def test_columns_without_names_whose_values_are_no_bar_are_refused(tmp_path):
    lines = "".join(
        f"{d:%Y%m%d},1.5,{i % 7 + 0.5},{i % 3 + 0.25},{i % 5 + 0.75},9\n"
        for i, d in enumerate(_days("2008-01-02", "2008-03-01"))
    )
    (tmp_path / "A.txt").write_text(lines)
    found = discover_layout(tmp_path / "A.txt")
    assert isinstance(found, NotUnderstood)
    assert "open, high, low and close" in found.reason


def test_a_comma_in_prices_that_could_be_decimal_or_thousands_is_refused(tmp_path):
    (tmp_path / "A.csv").write_text(
        "Date;Open;High;Low;Close;Volume\n2008-01-02;10,125;11,125;9,125;10,125;500\n"
    )
    assert "decimal comma" in discover_layout(tmp_path / "A.csv").reason
    bars, _, _ = _read(tmp_path, overrides=_override(decimal=","))
    assert bars[0]["open"] == 10.125


def test_thousands_groups_are_read(tmp_path):
    (tmp_path / "A.csv").write_text(
        'Date,Open,High,Low,Close,Volume\n2008-01-02,"1,010.5","1,011.5","1,009.5","1,010.0","1,234,567"\n'
    )
    bars, _, _ = _read(tmp_path)
    assert (bars[0]["open"], bars[0]["volume"]) == (1010.5, 1234567.0)


def test_an_override_settles_what_discovery_refuses(tmp_path):
    (tmp_path / "A.csv").write_text(HEADER + _row("02/05/2008"))
    bars, _, _ = _read(tmp_path, overrides=_override(date_format="%d/%m/%Y"))
    assert bars[0]["trade_date"] == dt.date(2008, 5, 2)


def test_an_override_can_name_columns_symbol_and_files_to_ignore(tmp_path):
    (tmp_path / "weird.txt").write_text("a|b|c|d|e|f\n2008-01-02|9|10|11|10|7\n")
    (tmp_path / "junk.log").write_text("whatever")
    overrides = LayoutOverrides(
        (
            (("*.log",), frozenset(), LayoutOverride(ignore=True)),
            (
                ("weird*",),
                frozenset({2008}),
                LayoutOverride(
                    header=True, columns=("date", "low", "open", "high", "close", "volume"), symbol="BRK-B"
                ),
            ),
        )
    )
    bars, _, report = _read(tmp_path, overrides=overrides)
    assert [(b["ticker"], b["open"], b["high"], b["low"]) for b in bars] == [("BRK.B", 10.0, 11.0, 9.0)]
    assert report["junk.log"].reason == "ignored by an override"


def test_words_around_the_symbol_go_only_where_every_sibling_has_them(tmp_path):
    for name in ("table_aapl_2008.csv", "table_NA_2008.csv"):
        (tmp_path / name).write_text(HEADER + _row("2008-01-02"))
    bars, _, _ = _read(tmp_path)
    assert [bar["ticker"] for bar in bars] == ["NA", "aapl"]


def test_a_file_of_many_symbols_without_a_symbol_column_is_refused(tmp_path):
    (tmp_path / "prices.csv").write_text(HEADER + _row("2008-01-02"))
    assert "no symbol" in discover_layout(tmp_path / "prices.csv").reason


def _minutes(day: str, first: str, count: int, step: int = 30) -> list[str]:
    start = dt.datetime.fromisoformat(f"{day} {first}")
    return [f"{start + dt.timedelta(minutes=step * i):%Y-%m-%d %H:%M:%S}" for i in range(count)]


def test_intraday_bars_become_daily_bars_of_regular_hours_and_stay_available(tmp_path):
    stamps = [*_minutes("2008-01-02", "08:00", 20), *_minutes("2008-07-02", "08:00", 20)]
    lines = [f"{stamp},{100 + i},{101 + i},{99 + i},{100.5 + i},{10 + i}\n" for i, stamp in enumerate(stamps)]
    path = tmp_path / "AAPL.csv"
    path.write_text("timestamp,open,high,low,close,volume\n" + "".join(reversed(lines)))
    bars, rejected, report = _read(tmp_path, block_bytes=100)
    # 09:30 is the fourth bar of a day, 15:30 the sixteenth.
    assert rejected == []
    assert report["AAPL.csv"].accepted == 40
    assert [(b["trade_date"], b["open"], b["high"], b["low"], b["close"], b["volume"]) for b in bars] == [
        (dt.date(2008, 1, 2), 103.0, 116.0, 102.0, 115.5, float(sum(range(13, 26)))),
        (dt.date(2008, 7, 2), 123.0, 136.0, 122.0, 135.5, float(sum(range(33, 46)))),
    ]
    assert discover_layout(path).bar_size == "intraday"


def test_intraday_times_that_look_like_utc_are_refused_until_the_zone_is_stated(tmp_path):
    stamps = [*_minutes("2008-01-02", "14:30", 13)]
    path = tmp_path / "AAPL.csv"
    path.write_text(
        "Date,Time,Open,High,Low,Close,Volume\n"
        + "".join(f"{s.replace(' ', ',')},10,11,9,10,1\n" for s in stamps)
    )
    assert "UTC" in discover_layout(path).reason
    bars, _, _ = _read(tmp_path, overrides=_override(timezone="UTC"))
    assert [(bar["trade_date"], bar["volume"]) for bar in bars] == [(dt.date(2008, 1, 2), 13.0)]


def test_intraday_stamps_with_an_offset_are_moved_to_new_york(tmp_path):
    stamps = [f"{s.replace(' ', 'T')}Z" for s in _minutes("2008-07-02", "13:30", 13)]
    (tmp_path / "AAPL.csv").write_text(HEADER + "".join(_row(stamp, volume=1) for stamp in stamps))
    bars, _, _ = _read(tmp_path)
    assert [(bar["trade_date"], bar["volume"]) for bar in bars] == [(dt.date(2008, 7, 2), 13.0)]


def test_an_intraday_bar_that_repeats_is_counted_once(tmp_path):
    stamps = _minutes("2008-01-02", "09:30", 13)
    (tmp_path / "AAPL.csv").write_text(HEADER + "".join(_row(s, volume=1) for s in [*stamps, stamps[3]]))
    bars, rejected, _ = _read(tmp_path)
    assert bars[0]["volume"] == 13.0
    assert [(row["row_number"], row["rule"]) for row in rejected] == [(14, "duplicate")]


def test_daily_bars_stamped_with_closes_that_differ_stay_daily(tmp_path):
    lines = [_row(f"{d} 16:00") for d in _days("2008-06-02", "2008-07-02")] + [_row("2008-07-03 13:00")]
    (tmp_path / "AAPL.csv").write_text(HEADER + "".join(lines))
    bars, rejected, _ = _read(tmp_path)
    assert rejected == []
    assert len(bars) == len(lines)


def test_one_file_streams_in_blocks_with_the_same_rows(tmp_path):
    path = tmp_path / "AAPL.csv"
    path.write_text(HEADER + "".join(_row(str(day)) for day in _days("2008-01-02", "2008-12-31")))
    layout = discover_layout(path)
    batches = [bars for bars, _ in read_historical_file(path, layout, year=2008, block_bytes=500)]
    assert len(batches) > 5
    table = pa.Table.from_batches(batches)
    assert table.column("trade_date").to_pylist() == _days("2008-01-02", "2008-12-31")
    assert table.schema == HISTORICAL_SCHEMA


def test_a_damaged_file_raises_where_it_is_read_alone(tmp_path):
    path = tmp_path / "AAPL.csv.gz"
    whole = HEADER + "".join(
        _row(str(day), volume=i * 7919) for i, day in enumerate(_days("2008-01-02", "2008-12-31"))
    )
    path.write_bytes(gzip.compress(whole.encode())[:-12])
    layout = FileLayout(
        ",",
        ("date", "open", "high", "low", "close", "volume"),
        "%Y-%m-%d",
        symbol_source="file name",
        headings=tuple(HEADER.strip().split(",")),
        compression="gzip",
        lines_before_data=1,
    )
    with pytest.raises(CorruptFile):
        list(read_historical_file(path, layout))
    bars, rejected, report = _read(tmp_path)
    assert (bars, rejected, report["AAPL.csv.gz"].status) == ([], [], "not understood")


def test_the_order_is_by_date_then_ticker_whatever_the_files_and_read_twice(tmp_path):
    for ticker in ("b", "A", "a", "B.A"):
        (tmp_path / f"{ticker}.csv").write_text(
            HEADER + "".join(_row(str(d)) for d in reversed(_days("2008-01-02", "2008-12-31")))
        )
    with read_extracted_year(tmp_path, 2008) as year:
        keys = [(r["trade_date"], r["ticker"]) for r in year.read().read_all().to_pylist()]
        again = [(r["trade_date"], r["ticker"]) for r in year.read().read_all().to_pylist()]
    assert keys == sorted(keys)
    assert keys == again
    assert len(keys) == 4 * len(_days("2008-01-02", "2008-12-31"))


def test_scratch_files_are_gone_after_use(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "in" / "A.csv").write_text(HEADER + _row("2008-01-02"))
    with read_extracted_year(tmp_path / "in", 2008, scratch_dir=tmp_path / "scratch"):
        assert list((tmp_path / "scratch").iterdir())
    assert not list((tmp_path / "scratch").iterdir())


def test_a_missing_directory_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(InvalidArgument, match="extract the archive of 2008 first"):
        read_extracted_year(tmp_path / "none", 2008)


def test_row_numbers_stay_right_when_a_file_is_cut_into_blocks(tmp_path):
    lines = [_row(str(day)) for day in _days("2008-01-02", "2008-12-31")]
    lines[200] = lines[200].replace(",11,", ",1,")
    lines[201] = "nonsense\n"
    (tmp_path / "A.csv").write_text(HEADER + "".join(lines))
    _, rejected, _ = _read(tmp_path, block_bytes=500)
    assert [(row["row_number"], row["rule"]) for row in rejected] == [(201, "ohlc"), (202, "unparsable")]


def test_a_symbol_with_characters_that_do_not_show_is_in_quarantine_and_padding_is_layout(tmp_path):
    (tmp_path / "a.csv").write_bytes(
        b"Date,Symbol,Open,High,Low,Close,Volume\n"
        b"2008-01-02,AAPL ,10,11,9,10,100\n"
        b"2008-01-02,AA\x1bPL,10,11,9,10,100\n"
        b"2008-01-02,IB\xe2\x80\xaeM,10,11,9,10,100\n"
        b"2008-01-03,![t](/graphql),10,11,9,10,100\n"
    )
    accepted, rejected, _ = _read(tmp_path)

    assert [row["ticker"] for row in accepted] == ["AAPL", "![t](/graphql)"]
    assert [(row["row_number"], row["rule"]) for row in rejected] == [
        (2, "unprintable_ticker"),
        (3, "unprintable_ticker"),
    ]

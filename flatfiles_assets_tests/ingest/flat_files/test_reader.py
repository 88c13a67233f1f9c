"""A file is decoded to exactly what it says, or refused with the reason."""

from __future__ import annotations

import csv
import gzip
import io
import math
import random
import string

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.errors import CorruptFile, UnexpectedColumns
from flatfiles_assets.ingest.flat_files import line_blocks
from flatfiles_assets.ingest.flat_files.reader import (
    UnparsableRows,
    read_flat_file,
    read_row_blocks,
)

DAILY = get_dataset("stocks_daily")
TRADES = get_dataset("stocks_trades")
HEADER = "ticker,volume,open,close,high,low,window_start,transactions"
START = 1_704_171_600_000_000_000
ROW = f"AAPL,100,1,2,3,0.5,{START},7"


def content(*lines: str, header: str = HEADER, end: str = "\n") -> bytes:
    return end.join([header, *lines, ""]).encode()


def decode(data: bytes, dataset=DAILY, **options) -> list[dict]:
    batches = list(read_flat_file(io.BytesIO(data), dataset, key="the/key.csv.gz", **options))
    return [row for batch in batches for row in batch.to_pylist()]


def decode_with_row_numbers(data: bytes, dataset=DAILY, **options) -> tuple[dict[int, dict], dict[int, str]]:
    good, bad = {}, {}
    for block in read_row_blocks(io.BytesIO(data), dataset, key="the/key.csv.gz", **options):
        good.update(zip(block.row_numbers().tolist(), block.batch.to_pylist(), strict=True))
        bad.update({number: row.text for number, row in block.unparsable()})
    return good, bad


# --- an independent reader: Python's gzip and csv


def reference(data: bytes, dataset) -> list[dict]:
    text = gzip.decompress(data).decode("utf-8-sig")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    convert = {pa.string(): str, pa.float64(): float, pa.int64(): int}
    return [
        {
            column.name: convert[column.type](row[column.name])
            if column.type == pa.string() or row[column.name] != ""
            else None
            for column in dataset.columns
        }
        for row in rows
    ]


def same(left: list[dict], right: list[dict]) -> bool:
    def comparable(row):
        return {
            name: "nan" if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }

    return list(map(comparable, left)) == list(map(comparable, right))


NASTY_TICKERS = [
    "NA",
    "NULL",
    "NAN",
    "TRUE",
    "FALSE",
    "INF",
    "null",
    "None",
    "",
    "BCpC",
    "BCPC",
    "1E5",
    "0x1F",
]
tickers = st.one_of(
    st.sampled_from(NASTY_TICKERS),
    st.text(
        st.characters(blacklist_characters="\r\n\x00", blacklist_categories=["Cs"]), min_size=1, max_size=6
    ),
)
floats = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["", "0", "1e3", "-0.0", "1.", ".5", "nan", "inf", "-inf", "2.5000", "0.0001"]),
)
integers = st.one_of(st.just(""), st.integers(-(2**63), 2**63 - 1).map(str))
VALUES = {pa.string(): tickers, pa.float64(): floats, pa.int64(): integers}


@st.composite
def files(draw, dataset):
    """Rows of a feed in any column order, with CRLF or LF, with or without a last line end and a BOM."""
    columns = draw(st.permutations(dataset.columns))
    rows = draw(st.lists(st.tuples(*(VALUES[column.type] for column in columns)), max_size=25))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator=draw(st.sampled_from(["\n", "\r\n"])))
    writer.writerow([column.name for column in columns])
    writer.writerows(rows)
    data = buffer.getvalue().encode()
    if draw(st.booleans()):
        data = data.removesuffix(b"\n").removesuffix(b"\r")
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + data


@st.composite
def gzip_members(draw, dataset):
    """A file cut anywhere into gzip members, and the sizes of the members."""
    data = draw(files(dataset))
    cuts = sorted(draw(st.sets(st.integers(1, len(data) - 1), max_size=3)))
    parts = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [gzip.compress(part) for part in parts]


@settings(max_examples=150, deadline=None)
@given(members=st.one_of(gzip_members(DAILY), gzip_members(TRADES)), block_bytes=st.integers(1, 300))
def test_a_file_decodes_to_what_pythons_own_readers_say(members, block_bytes):
    data = b"".join(members)
    dataset = TRADES if b"sip_timestamp" in gzip.decompress(data) else DAILY
    assert same(decode(data, dataset, block_bytes=block_bytes), reference(data, dataset))


@settings(max_examples=150, deadline=None)
@given(members=gzip_members(DAILY), data=st.data())
def test_a_file_cut_anywhere_is_corrupt_unless_the_cut_is_between_members(members, data):
    whole = b"".join(members)
    size = data.draw(st.integers(0, len(whole) - 1))
    ends = {sum(map(len, members[:count])) for count in range(1, len(members))}
    cut = whole[:size]
    if size in ends:
        return  # valid gzip of fewer lines: only the vendor could tell
    with pytest.raises(CorruptFile, match=r"the/key\.csv\.gz"):
        decode(cut)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_byte_never_gives_other_rows(data):
    rng = random.Random(data.draw(st.integers(0, 10)))
    lines = ["".join(rng.choices(string.ascii_uppercase, k=4)) + ROW[4:] for _ in range(50)]
    whole = bytearray(gzip.compress(content(*lines), mtime=0))
    expected = decode(bytes(whole))
    # Beyond the header's fields that carry no content: time, flags of the compressor, system.
    place = data.draw(st.integers(10, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(bytes(whole))
    except CorruptFile:
        return
    assert found == expected


# --- what is, and is not, gzip


def test_a_file_that_is_not_gzip_despite_its_name_is_read_as_it_is():
    assert len(decode(content(ROW))) == 1


def test_zero_bytes_are_corrupt():
    with pytest.raises(CorruptFile, match="0 bytes"):
        decode(b"")


def test_a_gzip_of_nothing_is_corrupt():
    with pytest.raises(CorruptFile, match="holds 0 bytes"):
        decode(gzip.compress(b""))


def test_zero_padding_after_the_gzip_is_tolerated():
    assert len(decode(gzip.compress(content(ROW)) + bytes(512))) == 1


def test_other_bytes_after_the_gzip_are_damage():
    with pytest.raises(CorruptFile, match="damaged"):
        decode(gzip.compress(content(ROW)) + b"<html>")


def test_a_file_without_line_ends_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(line_blocks, "LONGEST_LINE_BYTES", 1000)
    with pytest.raises(CorruptFile, match="longer than 1,000 bytes"):
        decode(content("A" * 5000), block_bytes=100)


def test_a_path_is_opened_and_named_in_messages(tmp_path):
    path = tmp_path / "2024-01-02.csv.gz"
    path.write_bytes(gzip.compress(content(ROW)))
    assert [batch.num_rows for batch in read_flat_file(path, DAILY)] == [1]
    path.write_bytes(b"\x1f\x8b")
    with pytest.raises(CorruptFile, match="2024-01-02"):
        list(read_flat_file(path, DAILY))


# --- the header


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_with_only_a_header_has_no_rows(end):
    assert list(read_row_blocks(io.BytesIO((HEADER + end).encode()), DAILY)) == []


def test_columns_are_found_by_name_and_returned_in_the_feeds_order():
    data = content(
        "7,9,AAPL,2,1,3,0.5,100", header="transactions,window_start,ticker,close,open,high,low,volume"
    )
    (row,) = decode(data)
    assert list(row.values()) == ["AAPL", 100.0, 1.0, 2.0, 3.0, 0.5, 9, 7]
    assert list(row) == [column.name for column in DAILY.columns]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER.replace(",volume", ""), "missing: volume"),
        (HEADER + ",vwap", "not expected: vwap"),
        (HEADER.replace("transactions", "transaction"), "'transaction' may be 'transactions' renamed"),
        (HEADER + ",Open", "more than once: open"),
        (HEADER + ",open", "more than once: open"),
        ("", "missing: ticker"),
        (ROW, "found AAPL, 100"),
    ],
)
def test_another_header_is_refused_with_expected_and_found(header, said):
    with pytest.raises(UnexpectedColumns) as caught:
        decode(content(ROW, header=header))
    assert said in str(caught.value)
    assert "expected ticker, volume, open, close" in str(caught.value)
    assert "the/key.csv.gz" in str(caught.value)


def test_a_header_that_is_not_text_is_refused_and_shortened():
    with pytest.raises(UnexpectedColumns) as caught:
        decode(b"\xff\xfe" * 5000 + b"\n")
    assert len(str(caught.value)) < 1000


# --- values


def test_fractional_volumes_are_kept_after_any_number_of_whole_ones():
    lines = [ROW] * 5000 + [ROW.replace(",100,", ",2.5,")]
    rows = decode(content(*lines))
    assert rows[-1]["volume"] == 2.5
    assert {type(row["volume"]) for row in rows} == {float}


def test_a_quoted_list_of_conditions_is_one_value():
    header = ",".join(column.name for column in TRADES.columns)
    line = f'AAPL,"12,37",0,4,id1,{START},1.5,1,{START},100,3,,'
    (row,) = decode(content(line, header=header), TRADES)
    assert row["conditions"] == "12,37"
    assert row["trf_id"] is None


@pytest.mark.parametrize(
    ("text", "integer"),
    [
        ("7.0", 7),
        ("7.", 7),
        ("1e3", 1000),
        ("+7", 7),
        (" 7 ", 7),
        ("12.50e1", 125),
        ('"7"', 7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775807.0", 2**63 - 1),
        ("0x1F", 31),
    ],
)
def test_an_integer_may_be_written_as_a_whole_number_of_any_form(text, integer):
    # Beside a row that fails, so that both ways of reading are used.
    line = ROW.removesuffix("7") + text
    assert decode(content(line))[0]["transactions"] == integer
    good, _ = decode_with_row_numbers(content(line, "short,row"))
    assert good[1]["transactions"] == integer


@pytest.mark.parametrize(
    "line",
    [
        ROW + ",8",
        ROW.removesuffix(",7"),
        ROW.replace("100", "1O0"),
        ROW.removesuffix("7") + "7.5",
        ROW.removesuffix("7") + "1e999999999",
        ROW.removesuffix("7") + "9223372036854775808",
        ROW.removesuffix("7") + "1_000",
        ROW.removesuffix("7") + "nan",
        ROW.replace("100", "null"),
        '"' + ROW,
        ROW.replace("AAPL", '"AA"PL'),
        ROW.replace("AAPL", "AA\rPL"),
    ],
)
def test_a_row_that_cannot_be_read_is_handed_out_with_its_number_and_text(line):
    lines = [ROW, "NA" + ROW[4:], line, ROW, "", ROW]
    good, bad = decode_with_row_numbers(content(*lines))
    assert bad == {3: line}
    assert {number: row["ticker"] for number, row in good.items()} == {
        1: "AAPL",
        2: "NA",
        4: "AAPL",
        5: "AAPL",
    }
    with pytest.raises(UnparsableRows, match="row 3 cannot be read"):
        decode(content(*lines))


def test_a_quoted_line_end_ends_the_row_all_the_same():
    halves = ['"AA', 'PL"' + ROW[4:]]
    good, bad = decode_with_row_numbers(content(ROW, *halves, ROW))
    assert list(good) == [1, 4]
    assert bad == {2: halves[0], 3: halves[1]}


def test_a_lone_carriage_return_does_not_make_two_rows_of_one():
    good, bad = decode_with_row_numbers(content(ROW, ROW + "\r" + ROW, ROW))
    assert list(good) == [1, 3]
    assert bad == {2: ROW + "\r" + ROW}


def test_bytes_that_are_not_utf8_cost_their_row_only():
    data = content(ROW, ROW, ROW).replace(b"AAPL", b"A\xffPL", 2).replace(b"A\xffPL", b"AAPL", 1)
    good, bad = decode_with_row_numbers(data)
    assert list(good) == [1, 3]
    assert bad[2].startswith("A\\xffPL")


@settings(max_examples=80, deadline=None)
@given(
    broken=st.sets(st.integers(0, 59)),
    block_bytes=st.integers(1, 600),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_row_numbers_stay_right_whatever_rows_are_broken_and_wherever_blocks_end(broken, block_bytes, end):
    lines = [f"T{i}{ROW[4:]}" for i in range(60)]
    broken_lines = [f"T{i},oops" if i in broken else line for i, line in enumerate(lines)]
    good, bad = decode_with_row_numbers(
        gzip.compress(content(*broken_lines, end=end)), block_bytes=block_bytes
    )
    assert bad == {i + 1: f"T{i},oops" for i in broken}
    assert {number: row["ticker"] for number, row in good.items()} == {
        i + 1: f"T{i}" for i in range(60) if i not in broken
    }


def test_a_reader_that_is_left_early_frees_its_threads_and_file(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(content(*[ROW] * 1000))
    batches = read_flat_file(path, DAILY, block_bytes=100)
    next(batches)
    batches.close()
    path.unlink()


@pytest.mark.parametrize("change", [str.upper, str.title, lambda name: f" {name} "])
def test_the_case_of_a_header_does_not_matter_nor_the_space_around_a_name(change):
    header = ",".join(change(name) for name in HEADER.split(","))
    assert decode(content(ROW, header=header)) == decode(content(ROW))


def test_columns_that_were_added_are_kept_out_where_that_is_asked_for():
    added = content(f"{ROW},17.5,x", header=f"{HEADER},vwap,otc")
    (block,) = read_row_blocks(io.BytesIO(added), DAILY, keep_out_others=True)
    assert block.kept_out == ("vwap", "otc")
    assert block.batch.to_pylist() == decode(content(ROW))
    in_front = content(f"x,{ROW}", header=f"otc,{HEADER}")
    (block,) = read_row_blocks(io.BytesIO(in_front), DAILY, keep_out_others=True)
    assert block.batch.to_pylist() == decode(content(ROW))
    renamed = content(ROW, header=HEADER.replace("volume", "size"))
    with pytest.raises(UnexpectedColumns, match="missing: volume"):
        list(read_row_blocks(io.BytesIO(renamed), DAILY, keep_out_others=True))

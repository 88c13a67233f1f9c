"""Files of unknown kind become one table without losing a value; what is no table is listed."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.directories.directories import read_directory
from flatfiles_assets.ingest.tables.table_files import column_names


def _rows(table) -> list[dict]:
    return table.read().read_all().to_pylist()


def test_columns_unify_by_name_whatever_their_case_order_and_separator(tmp_path):
    (tmp_path / "a.csv").write_text("Ticker,Total Revenue\nNA,10\nNULL,20\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_text("totalRevenue|ticker|eps\n30|TRUE|1.5\n")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"TICKER;total_revenue\nF;40\n"))
    table = read_directory(tmp_path)
    assert table.schema == pa.schema(
        [
            ("ticker", pa.string()),
            ("total_revenue", pa.int64()),
            ("eps", pa.float64()),
            ("source_file", pa.string()),
        ]
    )
    assert _rows(table) == [
        {"ticker": "NA", "total_revenue": 10, "eps": None, "source_file": "a.csv"},
        {"ticker": "NULL", "total_revenue": 20, "eps": None, "source_file": "a.csv"},
        {"ticker": "F", "total_revenue": 40, "eps": None, "source_file": "c.csv.gz"},
        {"ticker": "TRUE", "total_revenue": 30, "eps": 1.5, "source_file": "sub/b.txt"},
    ]


def test_a_type_widens_from_integer_to_float_to_text_and_the_report_says_for_which_file(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,1\n")
    (tmp_path / "b.csv").write_text("x,y\n2.5,Q1\n")
    table = read_directory(tmp_path)
    assert [row["x"] for row in _rows(table)] == [1.0, 2.5]
    assert [row["y"] for row in _rows(table)] == ["1", "Q1"]
    assert table.widened == {"x": {"a.csv": "int64"}, "y": {"a.csv": "int64"}}


def test_a_value_late_in_a_large_file_still_decides_the_type(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n" + "1,1\n" * 5000 + "2.5,late\n")
    table = read_directory(tmp_path, block_bytes=1000)
    read = table.read().read_all()
    assert read.schema.field("x").type == pa.float64()
    assert read.column("y")[-1].as_py() == "late"
    assert read.num_rows == 5001


def test_company_ids_with_leading_zeros_stay_text(tmp_path):
    (tmp_path / "a.csv").write_text("cik,n\n0000320193,1\n0000789019,2\n")
    assert [row["cik"] for row in _rows(read_directory(tmp_path))] == ["0000320193", "0000789019"]


def test_whole_numbers_that_a_float_cannot_hold_are_not_rounded(tmp_path):
    large = 2**53 + 1
    (tmp_path / "a.csv").write_text(f"id,v\n{large},1\n")
    assert _rows(read_directory(tmp_path))[0]["id"] == large
    (tmp_path / "b.csv").write_text("id,v\n0.5,1\n")
    assert [row["id"] for row in _rows(read_directory(tmp_path))] == [str(large), "0.5"]


def test_words_for_no_value_are_null_beside_numbers_and_text_beside_text(tmp_path):
    (tmp_path / "a.csv").write_text("ticker,revenue\nNA,NA\nF,5\nNULL,-\n")
    rows = _rows(read_directory(tmp_path))
    assert [row["ticker"] for row in rows] == ["NA", "F", "NULL"]
    assert [row["revenue"] for row in rows] == [None, 5, None]


def test_parquet_and_json_lines_join_the_same_table(tmp_path):
    pq.write_table(pa.table({"Ticker": ["A"], "value": [1.5]}), tmp_path / "a.parquet")
    lines = [{"ticker": "B", "value": 2}, {"ticker": "C", "extra": {"k": 1}}]
    (tmp_path / "b.json").write_text("\n".join(map(json.dumps, lines)))
    rows = _rows(read_directory(tmp_path))
    assert [(row["ticker"], row["value"], row["extra"]) for row in rows] == [
        ("A", 1.5, None),
        ("B", 2.0, None),
        ("C", None, '{"k": "1"}'),
    ]


def test_files_that_are_no_tables_are_listed_with_the_reason(tmp_path):
    (tmp_path / "good.csv").write_text("a,b\n1,2\n")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "README.txt").write_text(
        "These files come from somewhere.\nAsk someone, if in doubt, or not.\n"
    )
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 1000)[:-20])
    reasons = {file.file: file.reason for file in read_directory(tmp_path).files}
    assert reasons["good.csv"] == ""
    assert "picture" in reasons["logo.png"]
    assert "no rows of one width" in reasons["README.txt"]
    assert "empty" in reasons["empty.csv"]
    assert reasons["cut.csv.gz"]


def test_rows_of_the_wrong_width_are_counted_and_shown(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n4,5\n")
    table = read_directory(tmp_path)
    assert table.files[0].malformed_rows == 1
    assert table.files[0].malformed_examples == ((2, "1 cells where the file has 2"),)
    assert [row["a"] for row in _rows(table)] == [1, 4]


def test_a_header_that_is_repeated_is_no_row(tmp_path):
    part = "ticker,eps\nA,1\nB,2\n"
    (tmp_path / "a.csv").write_text(part + part)
    table = read_directory(tmp_path)
    assert [(row["ticker"], row["eps"]) for row in _rows(table)] == [("A", 1), ("B", 2)] * 2
    assert table.files[0].malformed_examples == ((3, "it repeats the header"),)


def test_titles_above_the_header_are_passed_over(tmp_path):
    (tmp_path / "a.csv").write_text("Report,2024,,\n,,,\nticker,eps,sales,name\nA,1,2,x\nB,2,3,y\n")
    table = read_directory(tmp_path)
    assert table.schema.names[:4] == ["ticker", "eps", "sales", "name"]
    assert [row["eps"] for row in _rows(table)] == [1, 2]


def test_a_missing_directory_is_an_error_that_says_so(tmp_path):
    with pytest.raises(InvalidArgument, match="no such directory"):
        read_directory(tmp_path / "none")


@given(st.lists(st.text(max_size=12), max_size=8))
def test_unified_names_are_unique_and_stable(names):
    found = column_names(names)
    assert len(set(found)) == len(names)
    assert "source_file" not in found


@settings(max_examples=40, deadline=None)
@given(
    cells=st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_characters='\r\n"\0\x1a', exclude_categories=["C", "Z"]),
            min_size=1,
            max_size=8,
        ),
        min_size=2,
        max_size=12,
    )
)
def test_text_survives_exactly(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("directory")
    lines = ["name|marker", *(f"{cell.replace('|', '')}x|m" for cell in cells)]
    (folder / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [row["name"] for row in _rows(read_directory(folder))] == [
        line.split("|")[0] for line in lines[1:]
    ]

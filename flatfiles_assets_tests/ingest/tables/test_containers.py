"""One table comes out of every container that people put it in; what cannot be read says what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flatfiles_assets.ingest.directories import read_directory
from flatfiles_assets.ingest.directories.options_table import read_options_directory
from flatfiles_assets.ingest.historical.reader import read_extracted_year
from flatfiles_assets_tests.ingest.tables.workbooks import xlsx

DAYS = ["2008-01-02", "2008-01-03", "2008-01-04", "2008-01-07"]
BARS = [
    {"date": day, "open": 10.0 + n, "high": 11.5 + n, "low": 9.25 + n, "close": 10.5 + n, "volume": 1000 + n}
    for n, day in enumerate(DAYS)
]
SERIALS = [39449, 39450, 39451, 39454]
CSV = pd.DataFrame(BARS).to_csv(index=False)
HEADINGS = list(BARS[0])


def _tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return out.getvalue()


def _arrow_compressed(kind: str, body: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, kind) as stream:
        stream.write(body)
    return out.getvalue().to_pybytes()


def _parquet(frame: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.to_parquet(out)
    return out.getvalue()


def _feather(table: pa.Table) -> bytes:
    out = io.BytesIO()
    feather.write_feather(table, out)
    return out.getvalue()


def _fixed_width() -> bytes:
    lines = ["date           open   high    low  close     volume   note"]
    lines += [
        f"{b['date']} {b['open']:>8.2f}{b['high']:>7.2f}{b['low']:>7.2f}{b['close']:>7.2f}{b['volume']:>11}"
        + ("    a b" if n % 2 else "   abc")
        for n, b in enumerate(BARS)
    ]
    return "\n".join(lines).encode()


def _blank_separated() -> bytes:
    return "\n".join(["  ".join(HEADINGS), *("  ".join(map(str, bar.values())) for bar in BARS)]).encode()


INDEXED = pd.DataFrame(BARS).assign(date=lambda f: pd.to_datetime(f["date"])).set_index("date")
SHEET = [HEADINGS, *([("date", s), *list(bar.values())[1:]] for s, bar in zip(SERIALS, BARS, strict=True))]
NUMBERS = [HEADINGS, *([s, *list(bar.values())[1:]] for s, bar in zip(SERIALS, BARS, strict=True))]
COLUMNS = {name: [bar[name] for bar in BARS] for name in HEADINGS}
CONTAINERS = {
    "AAPL.csv.bz2": bz2.compress(CSV.encode()),
    "AAPL.csv.xz": lzma.compress(CSV.encode()),
    "AAPL.csv.zst": _arrow_compressed("zstd", CSV.encode()),
    "AAPL.csv.lz4": _arrow_compressed("lz4", CSV.encode()),
    "AAPL.xlsx": xlsx({"Sheet1": SHEET, "Empty": []}),
    "AAPL.XLSX": xlsx({"Sheet1": NUMBERS}),
    "all.xlsx": xlsx({"AAPL": SHEET, "Notes": [["Some words"], [None]]}),
    "AAPL.parquet": _parquet(pd.DataFrame(BARS)),
    "AAPL.pq": _parquet(INDEXED),
    "AAPL.parquet.gz": gzip.compress(_parquet(INDEXED.rename_axis(None))),
    "AAPL.feather": _feather(pa.Table.from_pylist(BARS)),
    "AAPL.json": json.dumps(BARS).encode(),
    "AAPL.json.gz": gzip.compress(json.dumps(BARS, indent=1).encode()),
    "AAPL.jsonl": "\n".join(map(json.dumps, BARS)).encode(),
    "wrapped.json": json.dumps({"symbol": "AAPL", "historical": BARS}).encode(),
    "AAPL_columns.json": json.dumps({"status": "ok", **COLUMNS}).encode(),
    "AAPL_pandas.json": pd.DataFrame(BARS).to_json().encode(),
    "AAPL_index.json": pd.DataFrame(BARS).set_index("date").to_json(orient="index").encode(),
    "AAPL_split.json": pd.DataFrame(BARS).to_json(orient="split").encode(),
    "AAPL_rows.json": json.dumps([HEADINGS, *(list(bar.values()) for bar in BARS)]).encode(),
    "2008.tar": _tar({"./x/AAPL.csv": CSV.encode()}, "w"),
    "2008.tgz": _tar({"AAPL.csv": CSV.encode()}),
    "2008.tar.bz2": _tar({"AAPL.csv": CSV.encode()}, "w:bz2"),
    "2008.tar.xz": _tar({"x/AAPL.csv.gz": gzip.compress(CSV.encode())}, "w:xz"),
    "inner.dat": _zip({"AAPL.json": json.dumps(BARS).encode()}),
    "AAPL.fwf": _fixed_width(),
    "AAPL.dat": _blank_separated(),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_directory_reads_every_container_alike(tmp_path, name):
    (tmp_path / name).write_bytes(CONTAINERS[name])
    table = read_directory(tmp_path)
    rows = [row for row in table.read().read_all().to_pylist() if row.get("open") is not None]
    assert [row["close"] for row in rows] == [bar["close"] for bar in BARS], table.files
    assert [row["volume"] for row in rows] == [bar["volume"] for bar in BARS]
    assert all(row["source_file"].startswith(name) for row in rows)


@pytest.mark.parametrize("name", [n for n in CONTAINERS if n not in ("AAPL_columns.json", "AAPL_rows.json")])
def test_a_year_reads_every_container_alike(tmp_path, name):
    (tmp_path / name).write_bytes(CONTAINERS[name])
    with read_extracted_year(tmp_path, 2008) as year:
        rows = year.read().read_all().to_pylist()
        reasons = [file.reason for file in year.report.files]
    assert [str(row["trade_date"]) for row in rows] == DAYS, reasons
    for row, bar in zip(rows, BARS, strict=True):
        assert {key: row[key] for key in HEADINGS[1:]} == {key: bar[key] for key in HEADINGS[1:]}


def test_a_workbook_has_a_table_a_sheet_and_titles_above_it(tmp_path):
    titled = [["Prices of AAPL", None], [None, None], ["Ticker", "EPS"], ["AAPL", 1.5], ["NA", 2]]
    (tmp_path / "a.xlsx").write_bytes(xlsx({"One": titled, "Two": [["Ticker", "EPS"], ["IBM", 3]]}))
    rows = read_directory(tmp_path).read().read_all().to_pylist()
    assert [(row["ticker"], row["eps"], row["source_file"]) for row in rows] == [
        ("AAPL", 1.5, "a.xlsx/One"),
        ("NA", 2.0, "a.xlsx/One"),
        ("IBM", 3.0, "a.xlsx/Two"),
    ]


def test_one_bad_member_of_an_archive_is_listed_and_the_others_are_read(tmp_path):
    members = {"good.csv": b"a,b\n1,2\n", "cut.xlsx": xlsx({"S": SHEET})[:300], "x.pdf": b"%PDF-1.4 ..."}
    (tmp_path / "a.tar.gz").write_bytes(_tar(members))
    reports = {file.file: file for file in read_directory(tmp_path).files}
    assert reports["a.tar.gz/good.csv"].rows == 1
    assert "damaged" in reports["a.tar.gz/cut.xlsx"].reason
    assert "PDF" in reports["a.tar.gz/x.pdf"].reason


ZEROS = b"a,b\n" + b"0,0\n" * 2**20
BOMBS = {
    "a.csv.gz": lambda: gzip.compress(ZEROS),
    "a.csv.bz2": lambda: bz2.compress(ZEROS),
    "a.csv.xz": lambda: lzma.compress(ZEROS),
    "a.csv.zst": lambda: _arrow_compressed("zstd", ZEROS),
    "a.tar.gz": lambda: _tar({"a.csv": ZEROS}),
    "a.zip": lambda: _zip({"a.csv": ZEROS}),
    "a.json.gz": lambda: gzip.compress(b'[{"a": "' + b"0" * 2**20 * 4 + b'"}]'),
    "a.xlsx": lambda: xlsx({"S": [["0" * 2**20 * 4]]}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_stopped_in_every_container(tmp_path, name):
    (tmp_path / name).write_bytes(BOMBS[name]())
    (tmp_path / "z.csv").write_bytes(b"a,b\n1,2\n")
    table = read_directory(tmp_path)
    reports = {file.file: file.reason for file in table.files}
    assert "times" in reports[name]
    assert reports["z.csv"] == ""


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_compressed_members_of_a_year_count_as_parts_of_its_archive(tmp_path, pack):
    # With a symbol in each row: a file of one symbol whose dates repeat is refused by its first lines.
    rows = [f"AAPL,{line}" for line in [*CSV.splitlines()[1:], *["2008-01-08,10,11,9,10,1000"] * 2**17]]
    lines = ("Symbol," + "\n".join([CSV.splitlines()[0], *rows]) + "\n").encode()
    (tmp_path / "AAPL.csv.packed").write_bytes(pack(lines))
    with read_extracted_year(tmp_path, 2008) as year:
        assert year.read().read_all().num_rows == 0
        assert "times" in year.report.files[0].reason


def test_a_line_without_end_is_refused_before_it_is_copied_again_and_again(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"12345678,1," * 2**22)
    (report,) = read_directory(tmp_path).files
    assert "no row" in report.reason


def test_links_and_names_that_leave_the_archive_are_refused(tmp_path):
    for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
        special = tarfile.TarInfo("evil.csv")
        special.type, special.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / f"a{number}.tar", "w") as archive:
            archive.addfile(special)
    (tmp_path / "b.tar").write_bytes(_tar({"../b.csv": b"a,b\n1,2\n"}, "w"))
    reports = {file.file: file.reason for file in read_directory(tmp_path).files}
    assert all("special file" in reports[f"a{number}.tar"] for number in range(4))
    assert ".." in reports["b.tar"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
        (b"\x80\x04\x95\x00\x00", "pickle"),
        (b"SQLite format 3\x00" + bytes(64), "SQLite"),
        (b"Rar!\x1a\x07\x00", "RAR"),
        (b"7z\xbc\xaf\x27\x1c\x00", "7z"),
        (b"Obj\x01\x04\x00avro", "Avro"),
        (b"\x93NUMPY\x01\x00", "NumPy"),
        (b"<!DOCTYPE html><html><body>403</body></html>", "web page"),
        (b"<?xml version='1.0'?><Error/>", "XML"),
        (gzip.compress(b"RDX3\nX\n\x00\x00\x00\x03", mtime=0), "R workspace"),
        (gzip.compress(b"\x89HDF\r\n\x1a\n" + bytes(64), mtime=0), "HDF5"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "workbook"),
        (bytes(range(256)) * 8, "binary"),
    ],
)
def test_a_binary_says_what_it_is(tmp_path, body, kind):
    (tmp_path / "a.csv").write_bytes(body)
    (report,) = read_directory(tmp_path).files
    assert kind in report.reason
    with read_extracted_year(tmp_path, 2008) as year:
        assert kind in year.report.files[0].reason


def test_a_text_that_begins_like_a_binary_is_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"DBN,price\nORC,1\nBZh9,2\n")
    rows = read_directory(tmp_path).read().read_all().to_pylist()
    assert [row["dbn"] for row in rows] == ["ORC", "BZh9"]


def test_an_empty_first_heading_and_bracketed_headings_are_headings(tmp_path):
    pd.DataFrame({"ticker": ["A", "B"], "eps": [1.5, 2.0]}).to_csv(tmp_path / "a.csv")
    (tmp_path / "b.txt").write_text("[QUOTE_DATE], [STRIKE], [C_BID]\n 2020-01-02, 320.0, 1.5\n")
    (tmp_path / "r.csv").write_text('"ticker","eps"\n"1","C",3\n"2","D",4\n')
    (tmp_path / "years.csv").write_text("ticker,2007,2008\nE,5.5,6.5\n")
    table = read_directory(tmp_path)
    kinds = {file.file: file.kind for file in table.files}
    assert all("with a header" in kind for kind in kinds.values()), kinds
    names = ["column_1", "ticker", "eps", "quote_date", "strike", "c_bid", "2007", "2008", "source_file"]
    assert table.schema.names == names
    rows = table.read().read_all().to_pylist()
    assert [(row["ticker"], row["eps"]) for row in rows] == [("A", 1.5), ("B", 2.0), (None, None), ("C", 3.0),
                                                             ("D", 4.0), ("E", None)]  # fmt: skip


def test_a_series_has_a_header_too(tmp_path):
    pd.Series([1.5, 2.0], index=["A", "B"], name="eps").to_csv(tmp_path / "a.csv")
    rows = read_directory(tmp_path).read().read_all().to_pylist()
    assert [(row["column_1"], row["eps"]) for row in rows] == [("A", 1.5), ("B", 2.0)]


def test_a_row_of_words_with_gaps_is_no_header(tmp_path):
    (tmp_path / "a.csv").write_text("AAPL,,buy\nIBM,x,sell\nKO,,hold\n")
    table = read_directory(tmp_path)
    assert "without a header" in table.files[0].kind
    assert table.files[0].rows == 3


def test_a_file_that_cannot_be_looked_at_stops_no_other(tmp_path):
    (tmp_path / "good.csv").write_text("a,b\n1,2\n")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    (tmp_path / "elsewhere.csv").symlink_to("/etc/hostname")
    reports = {file.file: file for file in read_directory(tmp_path).files}
    assert "link" in reports["loop.csv"].reason
    assert "link" in reports["elsewhere.csv"].reason
    assert reports["good.csv"].rows == 1


def test_files_beside_the_data_and_links_are_no_files_of_a_year(tmp_path):
    (tmp_path / "AAPL.csv").write_text(CSV)
    (tmp_path / "AAPL.csv.bak").write_text(CSV)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._AAPL.csv").write_text(CSV)
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    with read_extracted_year(tmp_path, 2008) as year:
        reasons = {file.file: file.reason for file in year.report.files}
        assert year.read().read_all().num_rows == len(BARS)
    assert reasons.pop("AAPL.csv") == ""
    assert set(reasons) == {"AAPL.csv.bak", "__MACOSX/._AAPL.csv", "loop.csv"}
    assert "link" in reasons.pop("loop.csv")
    assert all("beside the data" in reason for reason in reasons.values())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(CONTAINERS)),
    place=st.floats(0, 1, exclude_max=True),
    damage=st.binary(min_size=1, max_size=8),
    removed=st.integers(0, 20),
)
def test_a_damaged_container_costs_itself_alone(tmp_path_factory, name, place, damage, removed):
    folder = tmp_path_factory.mktemp("damaged")
    body = bytearray(CONTAINERS[name])
    start = int(place * len(body))
    body[start : start + removed] = damage
    (folder / name).write_bytes(body)
    (folder / "zz.csv").write_bytes(b"ticker,n\nA,1\n")
    for read in (read_directory, read_options_directory):
        table = read(folder)
        table.read().read_all()
        assert {file.file.split("/")[0] for file in table.files} == {name, "zz.csv"}
    assert read_directory(folder).files[-1].rows == 1
    with read_extracted_year(folder, 2008) as year:
        year.read().read_all()

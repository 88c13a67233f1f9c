"""Symbols of contracts are read and written without loss, and nothing else is taken for one."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.option_tickers import (
    OPTION_COLUMNS,
    format_option_ticker,
    option_columns,
    parse_option_ticker,
    root_letters,
    underlying_of_root,
)

ROOTS = st.from_regex(r"[0-9]?[A-Z]{1,4}[0-9]?", fullmatch=True)
EXPIRIES = st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31))
STRIKES = st.integers(1, 99_999_999)


@given(root=ROOTS, expiry=EXPIRIES, kind=st.sampled_from("CP"), thousandths=STRIKES, form=st.integers(0, 3))
def test_what_is_written_is_read_back(root, expiry, kind, thousandths, form):
    symbol = format_option_ticker(root, expiry, kind, thousandths / 1000)
    padded = root.ljust(6) + symbol[len(root) :]
    text = (symbol, f"O:{symbol}", padded, f" {padded} ")[form]
    found = parse_option_ticker(text)
    assert found is not None
    assert (found.root, found.expiry, found.option_type) == (root, expiry, kind)
    assert found.strike == thousandths / 1000
    assert str(found) == symbol


@given(st.text(st.sampled_from("AC9:P0 1O."), max_size=24))
def test_what_is_read_is_written_as_it_was(text):
    found = parse_option_ticker(text)
    if found is not None and " " not in text.strip():
        assert text.strip().removeprefix("O:") == str(found)


@pytest.mark.parametrize(
    ("symbol", "root", "underlying", "strike", "is_adjusted"),
    [
        ("O:AAPL240119C00150000", "AAPL", "AAPL", 150.0, False),
        ("AAPL1240119C00150000", "AAPL1", "AAPL", 150.0, True),
        ("AAPL7 130720P00450000", "AAPL7", "AAPL", 450.0, True),
        ("SPXW  240112C04700000", "SPXW", "SPX", 4700.0, False),
        ("O:NDXP240112P16825000", "NDXP", "NDX", 16825.0, False),
        ("2SPX240112C04700000", "2SPX", "SPX", 4700.0, False),
        ("BRKB240119C00360000", "BRKB", "BRKB", 360.0, False),
        ("F240119C00012500", "F", "F", 12.5, False),
        ("O:XOM161014P00087500", "XOM", "XOM", 87.5, False),
        ("SPXW 240108C4700000", "SPXW", "SPX", 4700.0, False),
        ("CC1240119P00000500", "CC1", "CC", 0.5, True),
    ],
)
def test_roots_of_every_kind(symbol, root, underlying, strike, is_adjusted):
    found = parse_option_ticker(symbol)
    assert found is not None
    assert (found.root, found.underlying, found.strike, found.is_adjusted) == (
        root, underlying, strike, is_adjusted,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "AAPL", "AAPL240119X00150000", "AAPL240230C00150000", "AAPL240119C0015000",
     "240119C00150000", "TOOLONG240119C00150000", "AAPL240119C00000000", "aapl240119c00150000",
     "QAAAA", "AAPL240119C00150000 x"],
)  # fmt: skip
def test_other_texts_are_no_contracts(text):
    assert parse_option_ticker(text) is None


@pytest.mark.parametrize(
    ("root", "year", "kind", "strike"),
    [("TOOLONG", 2024, "C", 1), ("", 2024, "C", 1), ("A.B", 2024, "C", 1), ("A", 1999, "C", 1),
     ("A", 2024, "X", 1), ("A", 2024, "C", 0), ("A", 2024, "C", 100_000), ("A", 2024, "C", 1.00005)],
)  # fmt: skip
def test_what_has_no_symbol_is_refused(root, year, kind, strike):
    with pytest.raises(InvalidArgument, match="there is no symbol"):
        format_option_ticker(root, dt.date(year, 1, 19), kind, strike)


def test_a_column_is_parsed_row_for_row():
    column = pa.chunked_array([["O:AAPL240119C00150000", None], ["x", "O:AAPL240119C00150000"]])
    table = option_columns(column)
    assert table.schema == OPTION_COLUMNS
    assert table.column("strike").to_pylist() == [150.0, None, None, 150.0]
    assert option_columns(pa.array([], pa.string())).num_rows == 0


def test_classes_of_shares_have_roots_without_a_dot():
    assert root_letters("BRK.B") == root_letters("BRK-B") == underlying_of_root("BRKB")

"""Symbols of other vendors in the flat files' style."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flatfiles_assets.ingest.historical.symbols import to_vendor_style, vendor_style

_SYMBOLISH = st.text("ABFprPRWSTUNIwsx.-/_ ^=1", max_size=10)


@pytest.mark.parametrize("written", ["BRK-B", "BRK.B", "BRK/B", "BRK B", "BRK_B"])
def test_every_style_of_a_share_class_becomes_the_vendors(written):
    assert to_vendor_style(written) == "BRK.B"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("BAC-PL", "BACpL"),
        ("BAC.PRL", "BACpL"),
        ("BAC-P-L", "BACpL"),
        ("XYZ-WS", "XYZ.WS"),
        ("XYZ/WT", "XYZ.WS"),
        ("XYZ/WS/A", "XYZ.WS.A"),
        ("XYZ-WTA", "XYZ.WS.A"),
        ("XYZ-UN", "XYZ.U"),
        ("XYZ-U", "XYZ.U"),
        ("XYZ-RT", "XYZr"),
        ("XYZ-WI", "XYZw"),
    ],
)
def test_preferreds_warrants_units_and_rights(written, expected):
    assert to_vendor_style(written) == expected


@pytest.mark.parametrize(
    "symbol", ["NA", "NULL", "TRUE", "BCpC", "BCPC", "aapl", "BACpL", "^GSPC", "EURUSD=X", "000001.SS", ""]
)
def test_other_symbols_and_their_case_stay(symbol):
    assert to_vendor_style(symbol) == symbol


@given(_SYMBOLISH)
@example("BRK-B")
@example("A-WS-P")
def test_mapping_twice_is_mapping_once(symbol):
    once = to_vendor_style(symbol)
    assert to_vendor_style(once) == once


@given(st.lists(st.none() | _SYMBOLISH))
def test_a_column_maps_like_its_symbols_and_keeps_nulls(symbols):
    expected = [None if symbol is None else to_vendor_style(symbol) for symbol in symbols]
    assert vendor_style(pa.array(symbols, pa.string())).to_pylist() == expected

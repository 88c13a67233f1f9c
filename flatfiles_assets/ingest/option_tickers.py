"""Symbols of listed options, as the Options Clearing Corporation writes them since 2010.

Here: one symbol to its parts and back, and a column of them. A symbol is a root of up to six characters,
the expiry as ``YYMMDD``, ``C`` or ``P``, and the strike in thousandths of a dollar, eight digits:
``AAPL240119C00150000``. The root may be padded with spaces to six characters (the OCC's own form) and
``O:`` may stand before it (Polygon). Pure. Not here: symbols from before 2010 (``QAAAA``), which say
neither year nor strike.

A digit at a root's end marks a contract that a corporate action adjusted (``AAPL1``) or of another size
(``AAPL7``): its deliverable is not a hundred shares. A digit before it marks a FLEX contract. Weekly
and afternoon-settled series of an index have roots of their own (``SPXW``).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import re
from typing import Literal

import pyarrow as pa

from flatfiles_assets.errors import InvalidArgument

OptionType = Literal["C", "P"]

#: Roots of an index's series, by the index.
INDEX_ROOTS: dict[str, tuple[str, ...]] = {
    "SPX": ("SPX", "SPXW", "SPXQ", "SPXPM"),
    "NDX": ("NDX", "NDXP"),
    "RUT": ("RUT", "RUTW"),
    "VIX": ("VIX", "VIXW"),
    "XSP": ("XSP", "XSPW"),
    "OEX": ("OEX", "OEXW", "XEO", "XEOW"),
    "DJX": ("DJX", "DJXW"),
    "MRUT": ("MRUT", "MRUTW"),
}
_INDEX_OF = {root: index for index, roots in INDEX_ROOTS.items() for root in roots}

_SYMBOL = re.compile(
    r"(?:O:)?(?P<root>[A-Z0-9]{1,6}?)(?:(?P<gap> *)(?P<date>\d{6})(?P<type>[CP])(?P<strike>\d{8})"
    r"|(?P<gap2> +)(?P<date2>\d{6})(?P<type2>[CP])(?P<strike2>\d{1,7}))"
)
_ROOT = re.compile(r"(?P<flex>\d?)(?P<letters>[A-Z]+)(?P<adjusted>\d?)")
_LARGEST_STRIKE = 99_999.999

#: The columns of `option_columns`.
OPTION_COLUMNS = pa.schema(
    [
        ("root", pa.string()),
        ("underlying", pa.string()),
        ("expiry", pa.date32()),
        ("option_type", pa.string()),
        ("strike", pa.float64()),
        ("is_adjusted", pa.bool_()),
    ]
)


@dataclasses.dataclass(frozen=True)
class OptionTicker:
    """One contract.

    Attributes:
        root: Its root as written.
        expiry: The day in the symbol.
        option_type: ``C`` or ``P``.
        strike: USD a share.
    """

    root: str
    expiry: dt.date
    option_type: OptionType
    strike: float

    @property
    def underlying(self) -> str:
        """What it is an option on: letters alone, as roots have no dots (``BRKB`` for BRK.B)."""
        return underlying_of_root(self.root)

    @property
    def is_adjusted(self) -> bool:
        """Whether its deliverable is something other than the usual."""
        match = _ROOT.fullmatch(self.root)
        return bool(match and match["adjusted"])

    def __str__(self) -> str:
        return f"{self.root}{self.expiry:%y%m%d}{self.option_type}{round(self.strike * 1000):08d}"


@functools.lru_cache(maxsize=65536)
def parse_option_ticker(text: str) -> OptionTicker | None:
    """The contract of a symbol; None for what is no such symbol.

    >>> parse_option_ticker("O:AAPL240119C00150000")
    OptionTicker(root='AAPL', expiry=datetime.date(2024, 1, 19), option_type='C', strike=150.0)
    >>> parse_option_ticker("AAPL1 240119P00002500").underlying
    'AAPL'
    """
    match = _SYMBOL.fullmatch(text.strip())
    if match is None or _ROOT.fullmatch(match["root"]) is None:
        return None
    date, kind, digits = (match[name] or match[f"{name}2"] for name in ("date", "type", "strike"))
    strike = int(digits) / 1000
    try:
        expiry = dt.date(2000 + int(date[:2]), int(date[2:4]), int(date[4:]))
    except ValueError:
        return None
    return OptionTicker(match["root"], expiry, "C" if kind == "C" else "P", strike) if strike else None


def format_option_ticker(root: str, expiry: dt.date, option_type: str, strike: float) -> str:
    """The symbol of a contract, without padding; ``parse_option_ticker`` reads it back.

    Raises:
        InvalidArgument: There can be no such symbol.
    """
    thousandths = round(strike * 1000)
    is_exact = abs(strike * 1000 - thousandths) < 1e-6
    if (
        not (len(root) <= 6 and _ROOT.fullmatch(root))
        or option_type not in ("C", "P")
        or not 2000 <= expiry.year <= 2099
        or not (0 < strike <= _LARGEST_STRIKE and is_exact)
    ):
        raise InvalidArgument(
            f"there is no symbol of {root!r}, {expiry}, {option_type!r}, {strike}",
            next_step="a root of up to six letters and digits, C or P, a strike in thousandths below 100,000",
        )
    return f"{root}{expiry:%y%m%d}{option_type}{thousandths:08d}"


@functools.lru_cache(maxsize=4096)
def underlying_of_root(root: str) -> str:
    """What options of a root are on: the index, or the letters of the root."""
    match = _ROOT.fullmatch(root)
    letters = match["letters"] if match else root
    return _INDEX_OF.get(letters, letters)


def root_letters(underlying: str) -> str:
    """The letters that stand for an underlying in roots: ``BRKB`` for ``BRK.B``."""
    return re.sub(r"[^A-Z0-9]", "", underlying.upper())


def option_columns(tickers: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The parts of a column of symbols, with `OPTION_COLUMNS`; null where one is no symbol."""
    column = tickers.combine_chunks() if isinstance(tickers, pa.ChunkedArray) else tickers
    encoded = column.dictionary_encode()
    rows = []
    for text in encoded.dictionary.to_pylist():
        found = parse_option_ticker(text)
        rows.append(
            dict.fromkeys(OPTION_COLUMNS.names)
            if found is None
            else {name: getattr(found, name) for name in OPTION_COLUMNS.names}
        )
    distinct = pa.Table.from_pylist(rows, schema=OPTION_COLUMNS)
    return distinct.take(encoded.indices)

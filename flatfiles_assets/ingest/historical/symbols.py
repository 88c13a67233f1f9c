"""The one place where symbols of other vendors become the flat files' own style.

Share classes are what differs most: one vendor writes ``BRK.B``, others ``BRK-B``, ``BRK/B``,
``BRK B`` or, in file names, ``BRK_B``. The mapping, on a root of letters in either case:

| written as | means | becomes |
|---|---|---|
| ``BRK-B`` ``BRK/B`` ``BRK B`` ``BRK_B`` | class B | ``BRK.B`` |
| ``BAC-PL`` ``BAC.PRL`` ``BAC PRL`` ``BAC-P-L`` | preferred, series L | ``BACpL`` |
| ``XYZ-WS`` ``XYZ/WT`` | warrants | ``XYZ.WS`` |
| ``XYZ-WSA`` ``XYZ.WTA`` ``XYZ/WS/A`` | warrants, series A | ``XYZ.WS.A`` |
| ``XYZ-UN`` ``XYZ-U`` ``XYZ/U`` | units | ``XYZ.U`` |
| ``XYZ-RT`` ``XYZ-RI`` | rights | ``XYZr`` |
| ``XYZ-WI`` | when issued | ``XYZw`` |

Case is never changed: ``BCPC`` and ``BCpC`` are two companies. What is in no row of the table stays
as it is, and so does ``BAC-L``: some exchanges write a preferred so, but most vendors a class.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_JOINER = r"[-./_ ]"
_ROOT = r"([A-Za-z]{1,6})"
# In this order: a two-letter suffix is tried before the single letter of a class.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(f"{_ROOT}{_JOINER}{suffix}"), replacement)
    for suffix, replacement in (
        (rf"(?:WS|WT|ws|wt){_JOINER}?([A-Za-z])", r"\1.WS.\2"),
        (r"(?:WS|WT|ws|wt)", r"\1.WS"),
        (r"(?:UN|un)", r"\1.U"),
        (r"(?:RT|RI|rt|ri)", r"\1r"),
        (r"(?:WI|wi)", r"\1w"),
        (rf"(?:PR?|pr?){_JOINER}?([A-Za-z])", r"\1p\2"),
        (r"([A-Za-z])", r"\1.\2"),
    )
)


def to_vendor_style(symbol: str) -> str:
    """A symbol in the flat files' style; unchanged where it already is, or is none that is known.

    >>> to_vendor_style("BRK-B"), to_vendor_style("bf/b"), to_vendor_style("AAPL")
    ('BRK.B', 'bf.b', 'AAPL')
    """
    for pattern, replacement in _RULES:
        if match := pattern.fullmatch(symbol):
            return match.expand(replacement)
    return symbol


def vendor_style(symbols: pa.StringArray) -> pa.StringArray:
    """`to_vendor_style` of a whole column; nulls stay null.

    The pattern runs once per distinct symbol.
    """
    encoded = symbols.dictionary_encode()
    mapped = [to_vendor_style(symbol) for symbol in encoded.dictionary.to_pylist()]
    return pc.take(pa.array(mapped, pa.string()), encoded.indices)

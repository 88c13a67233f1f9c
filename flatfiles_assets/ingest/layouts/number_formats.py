"""Text to numbers: decimal marks, thousands groups, and the many ways of writing "no value".

Here: one column of strings at a time, vectorised. Not here: which rows are then rejected
(`bar_rows`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

# Only in number columns: a ticker NA or NULL is a company.
_NO_VALUE = pa.array(["", "nan", "na", "n/a", "#n/a", "null", "none", "nil", "-", "--", ".", "?", "\\n"])

# Sites for people write a volume of 8.68 million so.
_SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9}
_WITH_SUFFIX = r"(?i)^[+-]?[\d.,'’ ]*\d ?[kmb]$"

_PLAIN = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$"
_GROUPED = {
    ".": r"^[+-]?\d{1,3}(?:[,'’ \x{00a0}\x{2007}\x{2009}\x{202f}]\d{3})+(?:\.\d*)?$",
    ",": r"^[+-]?\d{1,3}(?:[.'’ \x{00a0}\x{2007}\x{2009}\x{202f}]\d{3})+(?:,\d*)?$",
}
_GROUP_MARKS = {
    ".": r"[,'’ \x{00a0}\x{2007}\x{2009}\x{202f}]",
    ",": r"[.'’ \x{00a0}\x{2007}\x{2009}\x{202f}]",
}


def to_numbers(text: pa.StringArray, decimal: str = ".") -> tuple[pa.DoubleArray, pa.BooleanArray | None]:
    """Numbers of a column of text.

    Thousands groups are read where they are unmistakable: groups of three, of another mark than
    the decimal one. Infinite values are unreadable.

    Args:
        text: The cells, without nulls.
        decimal: The column's decimal mark, ``"."`` or ``","``.

    Returns:
        float64 with null for "no value" and for the unreadable, and a mask of the unreadable;
        None where every cell was read.
    """
    if decimal == ".":
        try:
            numbers = text.cast(pa.float64())
        except pa.ArrowInvalid:
            pass
        else:
            if pc.all(pc.is_finite(numbers), min_count=0).as_py():
                return numbers, None
    return _careful(text, decimal)


def _careful(text: pa.StringArray, decimal: str) -> tuple[pa.DoubleArray, pa.BooleanArray | None]:
    text = pc.utf8_trim_whitespace(text)
    absent = pc.is_in(pc.utf8_lower(text), _NO_VALUE)
    text = pc.replace_substring_regex(text, r"^([+-]?)\$\s*", r"\1")
    text, factors = _without_suffix(text)
    grouped = pc.match_substring_regex(text, _GROUPED[decimal])
    if pc.any(grouped, min_count=0).as_py():
        text = pc.if_else(grouped, pc.replace_substring_regex(text, _GROUP_MARKS[decimal], ""), text)
    if decimal == ",":
        # A point that is no group mark must stay unreadable rather than become a decimal point.
        text = pc.replace_substring(pc.replace_substring(text, ".", "?"), ",", ".")
    readable = pc.match_substring_regex(text, _PLAIN)
    text = pc.if_else(readable, pc.utf8_ltrim(text, "+"), None)
    numbers = text.cast(pa.float64())
    if factors is not None:
        numbers = pc.round(pc.multiply(numbers, factors), 6)
    finite = pc.fill_null(pc.is_finite(numbers), True)
    unreadable = pc.or_(pc.and_not(pc.invert(readable), absent), pc.invert(finite))
    numbers = pc.if_else(finite, numbers, None)
    return numbers, unreadable if pc.any(unreadable, min_count=0).as_py() else None


def _without_suffix(text: pa.StringArray) -> tuple[pa.StringArray, pa.DoubleArray | None]:
    """Numbers without their ``K``, ``M`` or ``B``, and what those stand for; None where none has one."""
    has_suffix = pc.match_substring_regex(text, _WITH_SUFFIX)
    if not pc.any(has_suffix, min_count=0).as_py():
        return text, None
    letters = pc.utf8_lower(pc.utf8_slice_codeunits(text, -1))
    factors: pa.DoubleArray = pa.array([1.0] * len(text), pa.float64())
    for letter, factor in _SUFFIXES.items():
        factors = pc.if_else(pc.and_(has_suffix, pc.equal(letters, letter)), factor, factors)
    return pc.if_else(has_suffix, pc.replace_substring_regex(text, r" ?[A-Za-z]$", ""), text), factors


def settle_decimal(price_cells: Iterable[str], other_cells: Iterable[str] = ()) -> str | None:
    """The decimal mark that a file's numbers prove, ``"."`` where they hold no mark at all.

    ``12,5``, ``0,125`` and ``1.234,50`` prove a comma; ``12.5`` and ``1,234.5`` a point; ``1,234``
    alone proves nothing in a price. Volumes (`other_cells`) count only where prices have no mark.

    Returns:
        The mark, or None where the prices can be read both ways or contradict each other.
    """
    proofs, doubtful = _proofs(price_cells)
    if len(proofs) == 1:
        return proofs.pop()
    if proofs or doubtful:
        return None
    proofs, _ = _proofs(other_cells)
    return proofs.pop() if len(proofs) == 1 else "."


def _proofs(cells: Iterable[str]) -> tuple[set[str], bool]:
    """Marks that some cell proves to be decimal, and whether a comma is in doubt."""
    proofs: set[str] = set()
    doubtful_comma = point_before_three = False
    for cell in map(str.strip, cells):
        marks = re.sub(r"[^.,]", "", cell)
        if not marks or not is_number(cell):
            continue
        if len(set(marks)) == 2:
            proofs.add(marks[-1])
        elif len(marks) > 1:
            # A mark that repeats groups thousands, so the decimal one is the other.
            proofs.add("," if marks[0] == "." else ".")
        elif not re.fullmatch(r"[+-]?\$?[1-9]\d{0,2}[.,]\d{3}", cell):
            proofs.add(marks)
        elif marks == ",":
            doubtful_comma = True
        else:
            point_before_three = True
    if not proofs and point_before_three:
        # Three decimals after a point are common; thousands points stand only beside decimal commas.
        proofs.add(".")
    return proofs, doubtful_comma


def is_number(cell: str) -> bool:
    """Whether a cell is a number under some decimal mark."""
    return bool(_ANY_NUMBER.fullmatch(cell.strip()))


def is_no_value(cell: str) -> bool:
    """Whether a cell says that there is no number."""
    return cell.strip().lower() in _NO_VALUE_TEXTS


_NO_VALUE_TEXTS = frozenset(_NO_VALUE.to_pylist())


_ANY_NUMBER = re.compile(
    r"[+-]?\$?(?:\d+|\d{1,3}(?:[,.'’ "
    r"\u00a0\u2007\u2009\u202f]\d{3})+)?(?:[.,]\d*)?(?:[eE][+-]?\d{1,3})?(?<=[\d.,])(?: ?[KkMmBb])?"
)

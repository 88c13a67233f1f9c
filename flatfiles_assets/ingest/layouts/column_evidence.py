"""What columns without a known heading mean, by their values.

A date looks like one, a symbol is short text, and of the numbers the high is never below the
others and the low never above them; the volume is whole. Nothing in a row tells open from close:
the open is taken to stand before the close, as in every layout known.

Here: a sample of rows to meanings. That the meanings hold in every row is checked by the `ohlc`
rule when the file is read.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.date_formats import (
    EXCEL_DAY_ZERO,
    candidate_formats,
    parse_stamp,
    parse_time,
)
from flatfiles_assets.ingest.layouts.number_formats import is_number, settle_decimal, to_numbers

_SYMBOL = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9^=+$#!*~@&._/ -]{1,24}")
_PERIOD = re.compile(r"[DIWM]|\d{1,4}|daily|intraday", re.IGNORECASE)
# One row in fifty may break a relation without refuting it.
_TOLERANCE = 0.02


def is_date(text: str) -> bool:
    """Whether a text is a date under some reading; days that a spreadsheet counts look like any number."""
    names = (name for name in candidate_formats(text) if name not in EXCEL_DAY_ZERO)
    return any(parse_stamp(text, name) for name in names)


def infer_meanings(rows: Sequence[Sequence[str]]) -> tuple[str, ...] | str:
    """One meaning per column, or a sentence that says what could not be told apart.

    Args:
        rows: A sample of rows, all of one width.
    """
    columns = [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]
    found = [meaning.IGNORED] * len(columns)
    numeric: list[int] = []
    texts: list[int] = []
    for position, cells in enumerate(columns):
        filled = [cell for cell in cells if cell]
        if not filled:
            continue
        if meaning.DATE not in found and _share(is_date, filled) >= 1 - _TOLERANCE:
            found[position] = meaning.DATE
        elif meaning.TIME not in found and _is_time(filled, found, position):
            found[position] = meaning.TIME
        elif _share(is_number, filled) >= 1 - _TOLERANCE:
            numeric.append(position)
        elif _share(_SYMBOL.fullmatch, filled) >= 1 - _TOLERANCE:
            texts.append(position)
    if problem := _place_texts(texts, columns, found):
        return problem
    return _place_numbers(numeric, columns, found)


def _share(test: Callable[[str], object], cells: Sequence[str]) -> float:
    return sum(bool(test(cell)) for cell in cells) / len(cells)


def _is_time(cells: Sequence[str], found: Sequence[str], position: int) -> bool:
    with_colon = _share(lambda cell: ":" in cell and parse_time(cell) is not None, cells)
    if with_colon >= 1 - _TOLERANCE:
        return True
    # Bare digits are a time only right after the date, in the width of a clock.
    after_date = position > 0 and found[position - 1] == meaning.DATE
    widths = {len(cell) for cell in cells}
    clock = all(cell.isdecimal() and parse_time(cell) is not None for cell in cells)
    return after_date and clock and widths in ({4}, {6}, {3, 4}, {5, 6})


def _place_texts(texts: list[int], columns: list[list[str]], found: list[str]) -> str | None:
    symbols = [position for position in texts if _share(_PERIOD.fullmatch, columns[position]) != 1]
    for position in texts:
        if position not in symbols and len(texts) > 1:
            found[position] = meaning.PERIOD
    candidates = symbols or texts
    if len(candidates) > 1:
        # A company's name or an exchange beside the symbol: the name has spaces, the exchange repeats.
        candidates = [p for p in candidates if not any(" " in cell for cell in columns[p])]
        distinct = {position: len(set(columns[position])) for position in candidates}
        most = max(distinct.values(), default=0)
        candidates = [position for position in candidates if distinct[position] == most]
        if len(candidates) != 1:
            return "several columns without a heading could be the symbol"
    for position in candidates:
        found[position] = meaning.SYMBOL
    return None


def _place_numbers(numeric: list[int], columns: list[list[str]], found: list[str]) -> tuple[str, ...] | str:
    cells = list(itertools.chain.from_iterable(columns[position] for position in numeric))
    decimal = settle_decimal(cells) or "."
    values = {p: _numbers(columns[p], decimal) for p in numeric}
    whole = {p: bool(np.all(column == np.round(column))) for p, column in values.items()}
    best = _tightest_bar(values, whole)
    if best is None:
        return (
            "no four of its columns without a known heading are an open, high, low and close: "
            "a high that is never below, and a low that is never above the others"
        )
    for name, position in zip(meaning.PRICES, best, strict=True):
        found[position] = name
    close, rest = values[best[3]], [p for p in numeric if p not in best]
    volumes = [p for p in rest if whole[p]]
    if volumes:
        # The largest: beside it may stand the open interest or the number of trades.
        volume = max(volumes, key=lambda p: float(np.nanmedian(values[p])))
        found[volume] = meaning.VOLUME
        rest.remove(volume)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = [p for p in rest if not whole[p] and 1e-3 < float(np.nanmedian(values[p] / close)) < 10]
    if not volumes and (fractional := [p for p in rest if p not in near]):
        found[fractional[0]] = meaning.VOLUME
    if near and near[0] > best[3]:
        found[near[0]] = meaning.ADJUSTED_CLOSE
    return tuple(found)


def _numbers(cells: Sequence[str], decimal: str) -> npt.NDArray[np.float64]:
    numbers, _ = to_numbers(pa.array(cells, pa.string()), decimal)
    filled: npt.NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False).astype(np.float64)
    filled[np.isnan(filled)] = 0.0
    return filled


def _tightest_bar(
    values: dict[int, npt.NDArray[np.float64]], whole: dict[int, bool]
) -> tuple[int, int, int, int] | None:
    """Positions of open, high, low and close: of all that fit, the four that lie closest together.

    Without that, a volume would pass for a high, which it always exceeds, or a zero for a low.
    """
    fitting = []
    for first, high, low, last in itertools.permutations(values, 4):
        if first > last:
            continue
        o, h, lo, c = (values[p] for p in (first, high, low, last))
        broken = (h < o) | (h < c) | (lo > o) | (lo > c) | (lo <= 0)
        if float(np.mean(broken)) <= _TOLERANCE:
            spread = float(np.median(h / np.where(lo > 0, lo, 1)))
            bar = (first, high, low, last)
            is_mixed = len({whole[p] for p in bar}) > 1
            # Equal evidence: the first four columns, for an adjusted close, often equal to the close,
            # stands after it; then the customary order.
            places = sorted(bar)
            fitting.append((round(spread, 9), is_mixed, places, list(bar) != places, bar))
    return min(fitting)[-1] if fitting else None

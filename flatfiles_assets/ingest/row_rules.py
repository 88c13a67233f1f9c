"""The rules that look at one row: how each finds its rows, and how it explains them.

A rule looks at whole columns at once and applies only to columns that the feed has. The order is
that of precedence. What becomes of the rows that are found is decided in `quality.py`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.calendars import day_bounds_ns
from flatfiles_assets.datasets import Dataset
from flatfiles_assets.escaping import printable

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


@dataclasses.dataclass(frozen=True)
class FileIdentity:
    """Which file the rows at hand belong to.

    Attributes:
        dataset: The feed.
        key: Key of the file in the bucket.
        session: The session that the key names.
    """

    dataset: Dataset
    key: str
    session: dt.date


@dataclasses.dataclass(frozen=True)
class RowRule:
    """One rule.

    Attributes:
        name: As it stands in the quarantine table.
        find: From the rows, their file and the test tickers to a boolean array, True (or null: not
            known, so not broken) where a row breaks the rule; None where none can.
        explain: From the rows that break the rule, and their file, to the values that do, row by row.
    """

    name: str
    find: Callable[[pa.RecordBatch, FileIdentity, AbstractSet[str]], pa.Array | None]
    explain: Callable[[pa.RecordBatch, FileIdentity], list[str]]


def _any_of(masks: Iterable[pa.Array]) -> pa.Array | None:
    # Kleene's logic: true whatever the unknown, as where one of two prices is missing.
    found = list(masks)
    return functools.reduce(pc.or_kleene, found) if found else None


def _names(dataset: Dataset, *types: pa.DataType) -> list[str]:
    return [column.name for column in dataset.columns if column.type in types]


def _explain_values(values: pa.Array, explain: Callable[[Any], str]) -> list[str]:
    # A file may break a rule in a million rows with few different values: a whole misdated file.
    encoded = values.dictionary_encode()
    texts = [explain(value) for value in encoded.dictionary.to_pylist()]
    return [texts[place] for place in encoded.indices.to_pylist()]


def _row_by_row(
    explain: Callable[[Mapping[str, Any], FileIdentity], str],
) -> Callable[[pa.RecordBatch, FileIdentity], list[str]]:
    def explain_rows(rows: pa.RecordBatch, file: FileIdentity) -> list[str]:
        return [explain(row, file) for row in rows.to_pylist()]

    return explain_rows


# --- each rule: find, then explain


def _find_misdated(batch: pa.RecordBatch, file: FileIdentity, _: AbstractSet[str]) -> pa.Array | None:
    start_ns, end_ns = day_bounds_ns(file.session, file.dataset.timezone)
    stamps = batch[file.dataset.timestamp]
    return pc.or_(pc.less(stamps, start_ns), pc.greater_equal(stamps, end_ns))


def _explain_misdated(rows: pa.RecordBatch, file: FileIdentity) -> list[str]:
    name = file.dataset.timestamp

    def explain(stamp_ns: int) -> str:
        moment = EPOCH + dt.timedelta(microseconds=stamp_ns // 1000)
        return f"{name} {stamp_ns} = {moment:%Y-%m-%dT%H:%M:%S}Z is not in session {file.session}"

    return _explain_values(rows[name], explain)


def _find_empty_ticker(batch: pa.RecordBatch, _: FileIdentity, __: AbstractSet[str]) -> pa.Array | None:
    tickers = batch["ticker"]
    return pc.or_(pc.equal(tickers, ""), pc.utf8_is_space(tickers))


def _explain_empty_ticker(rows: pa.RecordBatch, _: FileIdentity) -> list[str]:
    return _explain_values(rows["ticker"], lambda ticker: f"ticker is {ticker!r}")


def _find_unprintable_ticker(batch: pa.RecordBatch, _: FileIdentity, __: AbstractSet[str]) -> pa.Array | None:
    tickers = batch["ticker"]
    if _is_plain(tickers):
        return None
    padded = pc.not_equal(pc.utf8_trim_whitespace(tickers), tickers)
    return pc.or_(padded, pc.invert(pc.utf8_is_printable(tickers)))


def _is_plain(texts: pa.Array) -> bool:
    """Whether no byte of any of them is anything but a visible character of ASCII: one look for all rows."""
    if not pa.types.is_string(texts.type):
        return False
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return True
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    used = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    # Wrapped around, what is below the exclamation mark is above the tilde, too.
    return not len(used) or bool(np.max(used - np.uint8(0x21)) <= 0x7E - 0x21)


def _explain_unprintable_ticker(rows: pa.RecordBatch, _: FileIdentity) -> list[str]:
    def explain(ticker: str) -> str:
        kind = "white space at its ends" if ticker.isprintable() else "characters that do not show"
        return f"ticker '{printable(ticker)}' has {kind}"

    return _explain_values(rows["ticker"], explain)


def _find_missing(batch: pa.RecordBatch, file: FileIdentity, _: AbstractSet[str]) -> pa.Array | None:
    required = (column.name for column in file.dataset.columns if not column.optional)
    return _any_of(pc.is_null(batch[name]) for name in required if batch[name].null_count)


def _explain_missing(row: Mapping[str, Any], file: FileIdentity) -> str:
    columns = file.dataset.columns
    empty = [column.name for column in columns if not column.optional and row[column.name] is None]
    return f"{', '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty"


def _find_not_finite(batch: pa.RecordBatch, file: FileIdentity, _: AbstractSet[str]) -> pa.Array | None:
    return _any_of(pc.invert(pc.is_finite(batch[name])) for name in _names(file.dataset, pa.float64()))


def _explain_not_finite(row: Mapping[str, Any], file: FileIdentity) -> str:
    found = {name: row[name] for name in _names(file.dataset, pa.float64())}
    return ", ".join(
        f"{name} is {value}"
        for name, value in found.items()
        if value is not None and not math.isfinite(value)
    )


def _find_negative(batch: pa.RecordBatch, file: FileIdentity, _: AbstractSet[str]) -> pa.Array | None:
    return _any_of(pc.less(batch[name], 0) for name in _names(file.dataset, pa.float64(), pa.int64()))


def _explain_negative(row: Mapping[str, Any], file: FileIdentity) -> str:
    found = {name: row[name] for name in _names(file.dataset, pa.float64(), pa.int64())}
    return ", ".join(
        f"{name} {value} < 0" for name, value in found.items() if value is not None and value < 0
    )


# Each pair must stand in this order: the first at least as high as the second.
_BAR_ORDER = (("high", "low"), ("high", "open"), ("high", "close"), ("open", "low"), ("close", "low"))


def _find_ohlc(batch: pa.RecordBatch, file: FileIdentity, _: AbstractSet[str]) -> pa.Array | None:
    names = set(_names(file.dataset, pa.float64()))
    return _any_of(
        pc.less(batch[upper], batch[lower]) for upper, lower in _BAR_ORDER if {upper, lower} <= names
    )


def _explain_ohlc(row: Mapping[str, Any], _: FileIdentity) -> str:
    return ", ".join(
        f"{upper} {row[upper]} < {lower} {row[lower]}"
        for upper, lower in _BAR_ORDER
        if row[upper] < row[lower]
    )


def _find_test_ticker(
    batch: pa.RecordBatch, _: FileIdentity, test_tickers: AbstractSet[str]
) -> pa.Array | None:
    if not test_tickers:
        return None
    return pc.is_in(batch["ticker"], value_set=pa.array(sorted(test_tickers), pa.string()))


def _explain_test_ticker(rows: pa.RecordBatch, _: FileIdentity) -> list[str]:
    return _explain_values(rows["ticker"], lambda ticker: f"{ticker} is an exchange's test symbol")


ROW_RULES: tuple[RowRule, ...] = (
    RowRule("misdated", _find_misdated, _explain_misdated),
    RowRule("empty_ticker", _find_empty_ticker, _explain_empty_ticker),
    RowRule("unprintable_ticker", _find_unprintable_ticker, _explain_unprintable_ticker),
    RowRule("missing_value", _find_missing, _row_by_row(_explain_missing)),
    RowRule("not_finite", _find_not_finite, _row_by_row(_explain_not_finite)),
    RowRule("negative", _find_negative, _row_by_row(_explain_negative)),
    RowRule("ohlc", _find_ohlc, _row_by_row(_explain_ohlc)),
    RowRule("test_ticker", _find_test_ticker, _explain_test_ticker),
)

"""What a row must satisfy to be stored, and what is kept of one that does not.

Here: the rules that look at one row. `duplicate` needs the whole file and is applied in
`staging.py`; `unparsable` comes from the reader. Nothing is corrected or dropped: a row is accepted
as it stands or goes to quarantine as it stood.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.columns import TRADE_DATE, Column
from flatfiles_assets.datasets import Dataset
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.ingest.csv_rows import UnparsableRow
from flatfiles_assets.ingest.placeholder_tickers import DEFAULT_TEST_TICKERS
from flatfiles_assets.ingest.row_rules import EPOCH, ROW_RULES, FileIdentity

RULES: Mapping[str, str] = {
    "unparsable": "The line has the wrong number of fields, or a value of the wrong type",
    "misdated": "The timestamp lies outside the session's calendar day",
    "empty_ticker": "The ticker is empty or only white space",
    "unprintable_ticker": "The ticker has characters that do not show, or white space at its ends",
    "missing_value": "A value that every good row has is empty",
    "not_finite": "A number is infinite or not a number",
    "negative": "A number is below zero",
    "ohlc": "High is below low, or open or close lies outside them",
    "test_ticker": "The exchanges trade this symbol only to test their systems",
    "duplicate": "An earlier row of the file, itself accepted, has the same key",
}
"""Every rule in the order of its precedence: a row is rejected by the first one that it breaks."""

QUARANTINE_COLUMNS: tuple[Column, ...] = (
    TRADE_DATE,
    Column("feed", pa.string(), "Name of the feed"),
    Column("file", pa.string(), "Key of the file in the bucket"),
    Column("row_number", pa.int64(), "Row in the file, counted from 1, the header not counted"),
    Column("rule", pa.string(), "The first rule that the row breaks"),
    Column("reason", pa.string(), "The values that break it"),
    Column("ticker", pa.string(), "Symbol as published; empty where the line could not be read"),
    Column("row", pa.string(), "The row as it stood: a JSON object, or a JSON string of the raw line"),
)
QUARANTINE_SCHEMA = pa.schema([(column.name, column.type) for column in QUARANTINE_COLUMNS])


class AllRowsRejected(FlatFilesError):
    """A file has rows, and not one of them is acceptable; all are in quarantine."""


@dataclasses.dataclass(frozen=True)
class CheckedRows:
    """Rows after the rules.

    Attributes:
        accepted: The good rows, in the file's order.
        accepted_row_numbers: Their numbers in the file, int64.
        rejected: The others, with `QUARANTINE_SCHEMA`.
        rejected_counts: How many each rule rejected; rules that rejected none are left out.
        misdated_days: Calendar days, in the feed's zone, of the misdated rows.
    """

    accepted: pa.RecordBatch
    accepted_row_numbers: npt.NDArray[np.int64]
    rejected: pa.RecordBatch
    rejected_counts: Mapping[str, int]
    misdated_days: frozenset[dt.date] = frozenset()


def check_rows(
    batch: pa.RecordBatch,
    row_numbers: npt.NDArray[np.int64],
    file: FileIdentity,
    test_tickers: AbstractSet[str] = DEFAULT_TEST_TICKERS,
) -> CheckedRows:
    """Applies every rule that looks at one row.

    Zero volume, zero transactions and prices of one cent are real and accepted.

    Args:
        batch: Rows with the fields of ``file.dataset.columns``.
        row_numbers: Their numbers in the file.
        file: Where they come from.
        test_tickers: Symbols of the rule `test_ticker`.
    """
    broken: npt.NDArray[np.int8] | None = None
    for code, rule in enumerate(ROW_RULES):
        mask = rule.find(batch, file, test_tickers)
        if mask is None or not pc.any(mask).as_py():
            continue
        if broken is None:
            broken = np.full(batch.num_rows, -1, dtype=np.int8)
        fails = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
        broken[fails & (broken < 0)] = code
    if broken is None:
        return CheckedRows(batch, row_numbers, _EMPTY_QUARANTINE, {})

    bad = broken >= 0
    bad_codes, bad_rows = broken[bad], batch.filter(pa.array(bad))
    names, reasons = _explanations(bad_rows, bad_codes, file)
    rejected = quarantine_rows(
        file, row_numbers=row_numbers[bad], rules=names, reasons=reasons, rows=bad_rows
    )
    counts = {
        rule.name: count
        for code, rule in enumerate(ROW_RULES)
        if (count := int(np.count_nonzero(bad_codes == code)))
    }
    return CheckedRows(
        accepted=batch.filter(pa.array(~bad)),
        accepted_row_numbers=row_numbers[~bad],
        rejected=rejected,
        rejected_counts=counts,
        misdated_days=_misdated_days(bad_rows, bad_codes, file.dataset),
    )


def _explanations(
    rows: pa.RecordBatch, codes: npt.NDArray[np.int8], file: FileIdentity
) -> tuple[list[str], list[str]]:
    """Name of the rule that each row breaks, and the reason."""
    reasons = [""] * len(codes)
    for code in np.unique(codes).tolist():
        places = np.flatnonzero(codes == code)
        texts = ROW_RULES[code].explain(rows.take(pa.array(places)), file)
        for place, text in zip(places.tolist(), texts, strict=True):
            reasons[place] = text
    return [ROW_RULES[code].name for code in codes.tolist()], reasons


def _misdated_days(rows: pa.RecordBatch, codes: npt.NDArray[np.int8], dataset: Dataset) -> frozenset[dt.date]:
    stamps_ns = rows[dataset.timestamp].filter(pa.array(codes == _MISDATED))
    # Zones of these feeds differ from UTC by whole hours, so an hour lies within one day.
    hours = np.unique(stamps_ns.to_numpy(zero_copy_only=False) // _HOUR_NS)
    zone = ZoneInfo(dataset.timezone)
    return frozenset((EPOCH + dt.timedelta(hours=hour)).astimezone(zone).date() for hour in hours.tolist())


_HOUR_NS = 3600 * 10**9
_MISDATED = [rule.name for rule in ROW_RULES].index("misdated")


def quarantine_rows(
    file: FileIdentity,
    *,
    row_numbers: npt.NDArray[np.int64],
    rules: Sequence[str],
    reasons: Sequence[str],
    rows: pa.RecordBatch,
) -> pa.RecordBatch:
    """Rejected rows as they are stored, with `QUARANTINE_SCHEMA`; the arguments run in parallel."""
    return _quarantine(file, row_numbers, rules, reasons, rows["ticker"], rows_as_json(rows))


def quarantine_unparsable(file: FileIdentity, rows: Iterable[tuple[int, UnparsableRow]]) -> pa.RecordBatch:
    """Lines that could not be read, each with its row number, with `QUARANTINE_SCHEMA`."""
    found = list(rows)
    return _quarantine(
        file,
        [number for number, _ in found],
        ["unparsable"] * len(found),
        [row.reason for _, row in found],
        [""] * len(found),
        [json.dumps(row.text, ensure_ascii=False) for _, row in found],
    )


def _quarantine(
    file: FileIdentity,
    row_numbers: npt.NDArray[np.int64] | list[int],
    rules: Sequence[str],
    reasons: Sequence[str],
    tickers: Sequence[str] | pa.Array,
    rows: Sequence[str] | pa.Array,
) -> pa.RecordBatch:
    count = len(row_numbers)
    columns = [
        pa.repeat(pa.scalar(file.session, pa.date32()), count),
        pa.repeat(file.dataset.name, count),
        pa.repeat(file.key, count),
        row_numbers,
        rules,
        reasons,
        tickers,
        rows,
    ]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, QUARANTINE_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINE_SCHEMA)


_EMPTY_QUARANTINE = pa.RecordBatch.from_pylist([], schema=QUARANTINE_SCHEMA)


def rows_as_json(rows: pa.RecordBatch) -> pa.Array:
    """Each row as a JSON object, with text for what JSON has no number for (nan, inf, -inf)."""
    parts: list[pa.Array | str] = []
    opening = "{"
    for name, values in zip(rows.schema.names, rows.columns, strict=True):
        parts += [f"{opening}{json.dumps(name)}: ", _values_as_json(values)]
        opening = ", "
    return pc.binary_join_element_wise(*parts, "}", "")


def _values_as_json(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        encoded = values.dictionary_encode()
        texts = [json.dumps(text, ensure_ascii=False) for text in encoded.dictionary.to_pylist()]
        as_text = pa.array(texts, pa.string()).take(encoded.indices)
    else:
        as_text = values.cast(pa.string())
    if pa.types.is_floating(values.type):
        quoted = pc.binary_join_element_wise('"', as_text, '"', "")
        as_text = pc.if_else(pc.is_finite(values), as_text, quoted)
    return pc.fill_null(as_text, "null")

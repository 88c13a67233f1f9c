"""Splits and dividends as tables, from the vendor's records or from files that the user drops.

Here: which fields a record has, and which records can be used. Not here: fetching them
(`download/reference_api.py`) and what they do to prices (`algorithms/adjustments.py`).
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pyarrow import parquet

from flatfiles_assets.datasets import Column
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.escaping import printable

ReferenceName = Literal["splits", "dividends"]

_TICKER = Column("ticker", pa.string(), "Symbol as published, case-sensitive")
_ID = Column("id", pa.string(), "The vendor's identifier of the record")
_SOURCE = Column("source", pa.string(), "Where the record comes from: api, or the name of a file")


def _date(name: str, description: str) -> Column:
    return Column(name, pa.date32(), description)


SPLIT_COLUMNS = (
    _TICKER,
    _date("execution_date", "First session in new shares"),
    Column("split_from", pa.float64(), "Shares before"),
    Column("split_to", pa.float64(), "Shares after"),
    _ID,
    _SOURCE,
)
DIVIDEND_COLUMNS = (
    _TICKER,
    _date("ex_date", "First session without the right to the dividend"),
    Column("cash_amount", pa.float64(), "Cash per share as held before the ex-date, in `currency`"),
    Column("currency", pa.string(), "Currency of the amount; USD where the record names none"),
    Column("frequency", pa.int64(), "Payments a year; 0 for a special dividend"),
    Column("dividend_type", pa.string(), "CD regular, SC special, LT and ST capital gains"),
    _date("declaration_date", "Announced on"),
    _date("record_date", "Holders of record on"),
    _date("pay_date", "Paid on"),
    _ID,
    _SOURCE,
)

_COLUMNS: Mapping[ReferenceName, tuple[Column, ...]] = {
    "splits": SPLIT_COLUMNS,
    "dividends": DIVIDEND_COLUMNS,
}
_REQUIRED: Mapping[ReferenceName, tuple[str, ...]] = {
    "splits": ("ticker", "execution_date", "split_from", "split_to"),
    "dividends": ("ticker", "ex_date", "cash_amount"),
}
_POSITIVE = {"split_from", "split_to", "cash_amount"}
# The vendor's name first; what people write in files of their own after it.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "ticker": ("symbol",),
    "execution_date": ("date",),
    "ex_date": ("ex_dividend_date", "date"),
    "cash_amount": ("amount", "dividend"),
}
_SUFFIXES = (".parquet", ".csv")
_MOST_NAMED = 5


class MalformedReference(FlatFilesError):
    """None of the records of a source can be used."""

    state = "malformed"


@dataclasses.dataclass(frozen=True)
class ReferenceRecords:
    """The usable records of a source.

    Attributes:
        table: They, in the columns of their table, by ticker and date, repeated ones once.
        rejected: For each record left out, which and why.
    """

    table: pa.Table
    rejected: tuple[str, ...]


def reference_records(
    name: ReferenceName, records: Iterable[Mapping[str, Any]], source: str
) -> ReferenceRecords:
    """Records as the vendor's endpoint gives them, or as a file's rows, as a table.

    A record without ticker, date or positive figures is left out and named.

    Raises:
        MalformedReference: There are records, and not one can be used.
    """
    columns, required = _COLUMNS[name], _REQUIRED[name]
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    rejected: list[str] = []
    for number, record in enumerate(records, start=1):
        try:
            row = {column.name: _value(column, record) for column in columns if column is not _SOURCE}
            _check(row, required)
        except ValueError as error:
            named = record.get("ticker") or record.get("symbol")
            rejected.append(printable(f"record {number} ({named}): {error}"))
            continue
        if name == "dividends":
            row["currency"] = row["currency"] or "USD"
        row[_SOURCE.name] = source
        rows[tuple(row.values())] = row
    if rejected and not rows:
        raise MalformedReference(
            "no record can be used",
            where=source,
            why="; ".join(rejected[:_MOST_NAMED]),
            next_step=f"the fields needed are {', '.join(required)}, dates as YYYY-MM-DD",
        )
    schema = pa.schema([(column.name, column.type) for column in columns])
    table = pa.Table.from_pylist(list(rows.values()), schema=schema)
    order = [(column, "ascending") for column in (*required, "id")]
    return ReferenceRecords(table.sort_by(order), tuple(rejected))


def _value(column: Column, record: Mapping[str, Any]) -> Any:
    value = next(
        (record[key] for key in (column.name, *_ALIASES.get(column.name, ())) if key in record), None
    )
    if value is None or (isinstance(value, str) and not value.strip() and column is not _TICKER):
        return None
    try:
        return _PARSERS[column.type](value)
    except (TypeError, ValueError):
        raise ValueError(f"{column.name} is {value!r}") from None


def _as_date(value: Any) -> dt.date:
    if isinstance(value, dt.datetime):
        return value.date()
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value).strip()[:10])


_PARSERS: Mapping[pa.DataType, Callable[[Any], Any]] = {
    pa.string(): lambda value: str(value).strip(),
    pa.float64(): float,
    pa.int64(): lambda value: int(float(value)),
    pa.date32(): _as_date,
}


def _check(row: Mapping[str, Any], required: Iterable[str]) -> None:
    for name in required:
        value = row[name]
        if value is None or value == "":
            raise ValueError(f"no {name}")
        if name == _TICKER.name and not value.isprintable():
            raise ValueError(f"{name} has characters that do not show")
        if name in _POSITIVE and not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} is {value}")


def dropped_file(directory: Path, name: ReferenceName) -> Path | None:
    """The file of that table in the user's folder, Parquet before CSV; None where there is none."""
    return next((path for suffix in _SUFFIXES if (path := directory / f"{name}{suffix}").is_file()), None)


def read_dropped_file(path: Path) -> list[dict[str, Any]]:
    """The records of a CSV (every value as its text) or Parquet file.

    Raises:
        MalformedReference: The file is not what its ending says.
    """
    try:
        if path.suffix == ".parquet":
            records: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
            return records
        # Plain text throughout: NA, NULL and TRUE are tickers, and nothing may be guessed.
        with path.open(encoding="utf-8-sig", newline="") as file:
            records = list(csv.DictReader(file))
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise MalformedReference(
            f"the file cannot be read as {path.suffix[1:]}", where=str(path), why=str(error)
        ) from error
    return records

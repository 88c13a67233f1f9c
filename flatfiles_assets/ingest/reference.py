"""Reference data as tables, from the vendor's records or from files that the user drops.

Here: which records can be used, and what becomes of their fields. Not here: which fields there are
(`reference_columns.py`), fetching them (`download/reference_api.py`), what they do to prices
(`algorithms/adjustments.py`) and to identities (`algorithms/securities.py`).
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from flatfiles_assets.columns import Column
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.escaping import printable
from flatfiles_assets.ingest.reference_columns import (
    RECORD_KINDS,
    SOURCE,
    TICKER,
    RecordKind,
    ReferenceName,
)

_POSITIVE = {"split_from", "split_to", "cash_amount"}
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
    kind = RECORD_KINDS[name]
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    rejected: list[str] = []
    for number, record in enumerate(records, start=1):
        try:
            row = _row(name, kind, record)
        except ValueError as error:
            named = record.get("ticker") or record.get("symbol") or record.get("old_ticker")
            rejected.append(printable(f"record {number} ({named}): {error}"))
            continue
        row[SOURCE.name] = source
        rows[tuple(row.values())] = row
    if rejected and not rows:
        raise MalformedReference(
            "no record can be used",
            where=source,
            why="; ".join(rejected[:_MOST_NAMED]),
            next_step=f"the fields needed are {', '.join(kind.required)}, dates as YYYY-MM-DD",
        )
    schema = pa.schema([(column.name, column.type) for column in kind.columns])
    table = pa.Table.from_pylist(list(rows.values()), schema=schema)
    ordering = (*kind.required, "id") if "id" in schema.names else kind.required
    return ReferenceRecords(table.sort_by([(column, "ascending") for column in ordering]), tuple(rejected))


def _row(name: ReferenceName, kind: RecordKind, record: Mapping[str, Any]) -> dict[str, Any]:
    row = {column.name: _value(column, kind, record) for column in kind.columns if column is not SOURCE}
    for column, value in kind.defaults.items():
        row[column] = row[column] or value
    if name == "tickers":
        if row["active"] is None:
            row["active"] = row["delisted_date"] is None
    elif name == "ticker_events":
        change = record.get("ticker_change")
        if row["ticker"] is None and isinstance(change, Mapping):
            row["ticker"] = change.get("ticker")
        pair = f"{row['old_ticker']} to {row['ticker']}" if row["old_ticker"] else None
        row["entity"] = row["entity"] or row["composite_figi"] or pair or row["name"] or row["cik"]
    elif name == "dividends":
        row["currency"] = row["currency"].upper()
    elif name == "overrides":
        _check_override(row)
    _check(row, kind)
    return row


def _check_override(row: Mapping[str, Any]) -> None:
    if row["action"] == "move" and row["session"] is None:
        raise ValueError("no session to move it to")
    needed = ("cash_amount",) if row["kind"] == "dividend" else ("split_from", "split_to")
    if row["action"] == "add" and any(row[name] is None for name in needed):
        raise ValueError(f"no {' and '.join(needed)} of what is added")
    if row["kind"] == "dividend" and row["action"] not in ("ignore", "add"):
        raise ValueError(f"a dividend can be ignored or added, not {row['action']}")


def _value(column: Column, kind: RecordKind, record: Mapping[str, Any]) -> Any:
    names = (column.name, *kind.aliases.get(column.name, ()))
    value = next((record[key] for key in names if key in record), None)
    if value is None or (isinstance(value, str) and not value.strip() and column is not TICKER):
        return None
    try:
        return _PARSERS[column.type](value)
    except (TypeError, ValueError):
        raise ValueError(f"{column.name} is {value!r}") from None


def _as_date(value: Any) -> dt.date:
    if isinstance(value, dt.datetime):
        return value.date()
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value).strip()[:10])


_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


def _as_bool(value: Any) -> bool:
    said = str(value).strip().lower()
    if said not in (*_TRUE, *_FALSE):
        raise ValueError(value)
    return said in _TRUE


_PARSERS: Mapping[pa.DataType, Callable[[Any], Any]] = {
    pa.string(): lambda value: str(value).strip(),
    pa.float64(): float,
    pa.int64(): lambda value: int(float(value)),
    pa.date32(): _as_date,
    pa.bool_(): _as_bool,
}


def _check(row: Mapping[str, Any], kind: RecordKind) -> None:
    for name in kind.required:
        if row[name] is None or row[name] == "":
            raise ValueError(f"no {name}")
        if name.endswith(TICKER.name) and not row[name].isprintable():
            raise ValueError(f"{name} has characters that do not show")
    for name in _POSITIVE & row.keys():
        value = row[name]
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} is {value}")
    for name, choices in kind.choices.items():
        if row[name] not in choices:
            raise ValueError(f"{name} is {row[name]!r}, which is none of {', '.join(choices)}")


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

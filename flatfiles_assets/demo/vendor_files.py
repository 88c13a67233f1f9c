"""Tables as the vendor's files, byte for byte deterministic, and the faults such files have had.

Here: keys, the CSV form, gzip, and every kind of damage as a named, pure function. Not here: which
file of the demo gets which damage (`seed.py`).
"""

from __future__ import annotations

import datetime as dt
import gzip
import io
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from flatfiles_assets.datasets import get_dataset

_DAY_NS = 24 * 60 * 60 * 10**9
_COMPRESSION_LEVEL = 4


def object_key(feed: str, session: dt.date, *, options_prefix: str | None = None) -> str:
    """Where the vendor keeps that session's file of that feed.

    Args:
        feed: Name in the registry.
        session: Day of the file.
        options_prefix: First folder of option feeds, where it is not the live vendor's.
    """
    dataset = get_dataset(feed)
    prefix = options_prefix if options_prefix and feed.startswith("options_") else dataset.prefix
    return f"{prefix}/{dataset.vendor_type}/{session:%Y/%m/%Y-%m-%d}.csv.gz"


def to_csv(table: pa.Table) -> bytes:
    """A table as the vendor's CSV: unquoted, numbers as short as they can be.

    A column of whole numbers has no decimal point, which is how the vendor wrote volumes until
    2026-02-20.
    """
    buffer = io.BytesIO()
    buffer.write((",".join(table.column_names) + "\n").encode())
    options = pacsv.WriteOptions(include_header=False, quoting_style="none")
    pacsv.write_csv(with_whole_numbers(table), buffer, options)
    return buffer.getvalue()


def to_csv_gz(table: pa.Table) -> bytes:
    """A table as the vendor's file; the same table gives the same bytes."""
    return compress(to_csv(table))


def compress(content: bytes) -> bytes:
    """Gzip without a time stamp."""
    return gzip.compress(content, compresslevel=_COMPRESSION_LEVEL, mtime=0)


def with_whole_numbers(table: pa.Table) -> pa.Table:
    """The table with every float column that holds only whole numbers as an integer column.

    Arrow writes a float of 1e10 or more with an exponent, which no vendor does.
    """
    for position, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table.column(position)
            if pc.all(pc.equal(pc.floor(column), column)).as_py() is not False:
                table = table.set_column(position, field.name, column.cast(pa.int64()))
    return table


def vendor_file(table: pa.Table, fault: str | None = None) -> bytes:
    """The table as the vendor's file, damaged if asked for.

    Args:
        table: Rows in the vendor's columns.
        fault: A name in `TABLE_FAULTS` or `BYTE_FAULTS`.
    """
    if fault is None:
        return to_csv_gz(table)
    if fault in TABLE_FAULTS:
        return to_csv_gz(TABLE_FAULTS[fault](table))
    return BYTE_FAULTS[fault](to_csv_gz(table))


def _misdated(table: pa.Table) -> pa.Table:
    return _with_column(table, "window_start", pc.add(table["window_start"], _DAY_NS))


def _header_only(table: pa.Table) -> pa.Table:
    return table.slice(0, 0)


def _duplicated_rows(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, 3)])


def _high_below_low(table: pa.Table) -> pa.Table:
    """The first row whose high and low differ has them exchanged."""
    row = pc.index(pc.greater(table["high"], table["low"]), True).as_py()
    high, low = table["high"].to_pylist(), table["low"].to_pylist()
    high[row], low[row] = low[row], high[row]
    return _with_column(_with_column(table, "high", high), "low", low)


def _negative_price(table: pa.Table) -> pa.Table:
    return _with_column(table, "low", [-1.0, *table["low"].to_pylist()[1:]])


def _empty_ticker(table: pa.Table) -> pa.Table:
    return _with_column(table, "ticker", ["", *table["ticker"].to_pylist()[1:]])


def _one_row_in_1970(table: pa.Table) -> pa.Table:
    """The first row's time stamp has lost two digits, as some have."""
    starts = table["window_start"].to_pylist()
    return _with_column(table, "window_start", [starts[0] // 100, *starts[1:]])


def _bad_rows(table: pa.Table) -> pa.Table:
    """Duplicated rows, an empty ticker and a high below its low in one file."""
    return _duplicated_rows(_empty_ticker(_high_below_low(table)))


def _cut_mid_session(table: pa.Table) -> pa.Table:
    """Whole lines, whole gzip, but nothing after the middle of the file's time span."""
    starts = table["window_start"]
    bounds = pc.min_max(starts).as_py()
    return table.filter(pc.less(starts, (bounds["min"] + bounds["max"]) // 2))


def _renamed_column(table: pa.Table) -> pa.Table:
    return table.rename_columns(["vol" if name == "volume" else name for name in table.column_names])


def _missing_column(table: pa.Table) -> pa.Table:
    return table.drop_columns(["transactions"])


def _reordered_columns(table: pa.Table) -> pa.Table:
    return table.select(sorted(table.column_names))


def _truncated(payload: bytes) -> bytes:
    return payload[: len(payload) * 3 // 5]


def _flipped_byte(payload: bytes) -> bytes:
    """One bit of the gzip trailer's checksum is wrong: only reading to the very end shows it."""
    return payload[:-8] + bytes([payload[-8] ^ 1]) + payload[-7:]


def _not_gzip(payload: bytes) -> bytes:
    return gzip.decompress(payload)


def _several_members(payload: bytes) -> bytes:
    """Sound, but in two gzip members; a reader that stops at the first loses half."""
    content = gzip.decompress(payload)
    middle = content.index(b"\n", len(content) // 2) + 1
    return compress(content[:middle]) + compress(content[middle:])


def _zero_bytes(_payload: bytes) -> bytes:
    return b""


def _with_column(table: pa.Table, name: str, values: object) -> pa.Table:
    position = table.column_names.index(name)
    column = (
        values if isinstance(values, pa.ChunkedArray) else pa.array(values, table.schema.field(name).type)
    )
    return table.set_column(position, table.schema.field(name), column)


TABLE_FAULTS: Mapping[str, Callable[[pa.Table], pa.Table]] = {
    "misdated": _misdated,
    "header_only": _header_only,
    "duplicated_rows": _duplicated_rows,
    "high_below_low": _high_below_low,
    "negative_price": _negative_price,
    "empty_ticker": _empty_ticker,
    "one_row_in_1970": _one_row_in_1970,
    "bad_rows": _bad_rows,
    "cut_mid_session": _cut_mid_session,
    "renamed_column": _renamed_column,
    "missing_column": _missing_column,
    "reordered_columns": _reordered_columns,
}

BYTE_FAULTS: Mapping[str, Callable[[bytes], bytes]] = {
    "truncated": _truncated,
    "flipped_byte": _flipped_byte,
    "not_gzip": _not_gzip,
    "several_members": _several_members,
    "zero_bytes": _zero_bytes,
}

"""One block of lines to typed Arrow rows; rows that cannot be read are returned beside them.

A line end always ends a row: no value of these feeds holds one, and so a stray quote costs one row
instead of the rest of the file.

Most blocks are read by Arrow's CSV reader at once. Where that refuses a block, its rows are split
one by one and each column is cast as a whole, which is slower and tells good rows from bad ones.
"""

from __future__ import annotations

import csv
import dataclasses
import decimal
import re
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
from pyarrow import csv as arrow_csv

from flatfiles_assets.columns import Column


@dataclasses.dataclass(frozen=True)
class UnparsableRow:
    """A row that has the wrong number of fields, or a value that its column's type cannot hold.

    Attributes:
        index: Position among the block's rows, from 0.
        text: The line as it stood, without its line end.
        reason: What was expected and what was found.
    """

    index: int
    text: str
    reason: str


@dataclasses.dataclass(frozen=True)
class ParsedBlock:
    """The rows of one block.

    Attributes:
        batch: The rows that could be read, in the file's order.
        unparsable: The others, in the file's order.
    """

    batch: pa.RecordBatch
    unparsable: tuple[UnparsableRow, ...] = ()

    @property
    def row_count(self) -> int:
        """Rows of both kinds."""
        return int(self.batch.num_rows) + len(self.unparsable)


def parse_block(block: bytes, header: Sequence[str], columns: Sequence[Column]) -> ParsedBlock:
    """Reads a block of whole lines.

    Text is never guessed to be null. An empty numeric value is null. Blank lines are not rows.

    Args:
        block: Lines without the header, separated by LF or CRLF.
        header: Names of the fields, in the lines' order.
        columns: The columns wanted, all of them in `header`.

    Returns:
        Rows with the fields of `columns`, in that order and with their types.
    """
    batch = _parse_at_once(block, header, columns)
    return ParsedBlock(batch) if batch is not None else _parse_row_by_row(block, header, columns)


def _parse_at_once(block: bytes, header: Sequence[str], columns: Sequence[Column]) -> pa.RecordBatch | None:
    """All rows, or None where the block holds anything that needs a closer look."""
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return None  # Arrow would take a lone CR for a line end
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(block),
            # One block, one batch: parallel work is over blocks, and nothing is copied together.
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=len(block) + 1, column_names=list(header)
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={column.name: column.type for column in columns},
                include_columns=[column.name for column in columns],
                null_values=[""],
                strings_can_be_null=False,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None
    # Searching is several times faster than counting, and nearly no block has one.
    if b'"' in block and not (_is_quoted_plainly(block) and table.num_rows == _line_count(block)):
        return None  # a stray quote, which Arrow drops, or which may have swallowed a line end
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _is_quoted_plainly(block: bytes) -> bool:
    """Whether every quote begins or ends a field; a quote within a field says no, too."""
    opening = block.startswith(b'"') + block.count(b',"') + block.count(b'\n"')
    closing = block.endswith(b'"') + block.count(b'",') + block.count(b'"\n') + block.count(b'"\r\n')
    return bool(2 * opening == 2 * closing == block.count(b'"'))


def _line_count(block: bytes) -> int:
    return block.count(b"\n") + (not block.endswith(b"\n"))


def _parse_row_by_row(block: bytes, header: Sequence[str], columns: Sequence[Column]) -> ParsedBlock:
    lines = [line.removesuffix(b"\r") for line in block.split(b"\n")]
    lines = [line for line in lines if line]
    reasons: dict[int, str] = {}
    rows: list[Sequence[bytes]] = []
    kept: list[int] = []
    for index, line in enumerate(lines):
        fields, reason = _split(line, len(header))
        if reason:
            reasons[index] = reason
        else:
            rows.append(fields)
            kept.append(index)

    position = {name: place for place, name in enumerate(header)}
    arrays = []
    for column in columns:
        place = position[column.name]
        values, failures = _cast([fields[place] for fields in rows], column.type)
        arrays.append(values)
        for failed in failures:
            found = _text(rows[failed][place])
            reasons.setdefault(kept[failed], f"{column.name} {found!r} is not {_NAMES[column.type]}")

    batch = pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])
    good = pa.array([index not in reasons for index in kept], pa.bool_())
    unparsable = tuple(UnparsableRow(i, _text(lines[i]), reasons[i]) for i in sorted(reasons))
    return ParsedBlock(batch.filter(good), unparsable)


_NAMES = {pa.string(): "UTF-8 text", pa.float64(): "a number", pa.int64(): "a 64-bit integer"}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _split(line: bytes, expected: int) -> tuple[Sequence[bytes], str | None]:
    """The line's fields, or the reason why they are not what the header promises."""
    if b"\r" in line:
        return (), "a carriage return inside the row"
    if line.count(b'"') % 2:
        return (), "a quote that is not closed"
    if b'"' in line:
        # Latin-1 maps every byte to one character and back, so that the UTF-8 check comes later.
        try:
            texts = next(csv.reader([line.decode("latin-1")], strict=True))
        except csv.Error as error:
            return (), f"not CSV: {error}"
        fields = [text.encode("latin-1") for text in texts]
    else:
        fields = line.split(b",")
    if len(fields) != expected:
        return (), f"{len(fields)} fields where the header has {expected}"
    return fields, None


def _cast(values: list[bytes], type_: pa.DataType) -> tuple[pa.Array, list[int]]:
    """The values in their type, and the positions of those that have none (null in the result)."""
    if type_ == pa.string():
        texts = [_utf8(value) for value in values]
        return pa.array(texts, type_), [place for place, text in enumerate(texts) if text is None]
    stripped = [value.strip().decode("latin-1") or None for value in values]
    try:
        return pa.array(stripped, pa.string()).cast(type_), []
    except pa.ArrowInvalid:
        pass
    convert = _CONVERSIONS[type_]
    numbers = [None if text is None else convert(text) for text in stripped]
    failures = [
        place
        for place, (text, number) in enumerate(zip(stripped, numbers, strict=True))
        if number is None and text is not None
    ]
    return pa.array(numbers, type_), failures


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,15}")
_INT64_DIGITS = 19


def _to_number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text) else None


def _to_integer(text: str) -> int | None:
    """The integer that a text means; ``1234.0`` and ``1e3`` are integers, ``1.5`` is not."""
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)  # as Arrow reads it, so that both ways agree
    if not _NUMBER.fullmatch(text):
        return None
    exact = decimal.Decimal(text)
    # The size comes first: writing 1e999999999 out as an integer would fill the memory.
    if exact.adjusted() >= _INT64_DIGITS or exact != exact.to_integral_value():
        return None
    number = int(exact)
    return number if -(2**63) <= number < 2**63 else None


_CONVERSIONS: Mapping[pa.DataType, Callable[[str], float | int | None]] = {
    pa.float64(): _to_number,
    pa.int64(): _to_integer,
}

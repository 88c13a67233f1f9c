"""What a file of a mirrored directory holds: its columns and the span of its dates.

Here: a look at one file, enough to say what there is. Not here: loading it, with types, into the
warehouse; nor files of bars, whose layout `ingest.historical` discovers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from flatfiles_assets.ingest.column_aliases import DATE, heading_key, meaning_of
from flatfiles_assets.ingest.delimited import split_line
from flatfiles_assets.ingest.layout import SEPARATORS, NotUnderstood
from flatfiles_assets.ingest.text_files import Head, read_head

_DAY = r"^(\d{4})-?(\d{2})-?(\d{2})(?:[T ].*)?$"


@dataclasses.dataclass(frozen=True)
class TableFile:
    """What one file holds.

    Attributes:
        columns: Names of its columns, in order; empty where it is no table.
        first_date: Earliest date of its date column, ``YYYY-MM-DD``; None where it has none that
            is written year first.
        last_date: Latest one.
        problem: Why it is no table, or could not be read; empty where it could.
    """

    columns: tuple[str, ...] = ()
    first_date: str | None = None
    last_date: str | None = None
    problem: str = ""


def describe_file(path: Path) -> TableFile:
    """Look at a file: delimited text, plain or in gzip, or Parquet."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return _describe_parquet(path)
        return _describe_text(path)
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        return TableFile(problem=f"it cannot be read: {error}")


def _describe_parquet(path: Path) -> TableFile:
    file = parquet.ParquetFile(path)
    columns = tuple(file.schema_arrow.names)
    name = _date_column(columns)
    batches = (batch.column(0) for batch in file.iter_batches(columns=[name])) if name else iter(())
    return TableFile(columns, *_span(batches))


def _describe_text(path: Path) -> TableFile:
    head = read_head(path)
    if isinstance(head, NotUnderstood):
        return TableFile(problem=head.reason)
    separator = max(SEPARATORS, key=lambda mark: len(split_line(head.lines[0], mark)))
    columns = tuple(cell.strip().strip('"') for cell in split_line(head.lines[0], separator))
    if len(columns) < 2:
        return TableFile(problem="it is text, and no table under any separator")
    name = _date_column(columns)
    span = _span(_text_column(path, head, separator, columns, name)) if name else (None, None)
    return TableFile(columns, *span)


def _text_column(
    path: Path, head: Head, separator: str, columns: tuple[str, ...], name: str
) -> Iterator[pa.Array]:
    with pa.input_stream(str(path), compression=head.compression or None) as stream:
        reader = arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(
                column_names=list(columns), skip_rows=1, encoding=head.encoding
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, invalid_row_handler=lambda _: "skip"),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=[name], column_types={name: pa.string()}
            ),
        )
        for batch in reader:
            yield batch.column(0)


def _date_column(columns: Iterable[str]) -> str | None:
    """The column with the rows' dates, where one is named so."""
    names = list(columns)
    if len(set(names)) < len(names):
        return None
    exact = [name for name in names if meaning_of(name) == DATE]
    return next(iter(exact or [name for name in names if re.search("date|period", heading_key(name))]), None)


def _span(columns: Iterable[pa.Array]) -> tuple[str | None, str | None]:
    """First and last day, of texts that are written year first or of dates."""
    bounds: list[str] = []
    for column in columns:
        texts = pc.cast(column, pa.string())
        days = texts.filter(pc.match_substring_regex(texts, _DAY))
        if len(days):
            limits = pc.min_max(pc.replace_substring_regex(days, _DAY, r"\1-\2-\3"))
            bounds += [limits["min"].as_py(), limits["max"].as_py()]
    return (min(bounds), max(bounds)) if bounds else (None, None)

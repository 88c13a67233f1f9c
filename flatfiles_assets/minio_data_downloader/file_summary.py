"""What a file of a mirrored directory holds: its columns and the span of its dates.

Here: a look at one file. Not here: how tabular files are recognised (`ingest.table_files`) and how
many become one table (`ingest.directories`), whose names of columns are used.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.directories.opened_files import ScratchFolder
from flatfiles_assets.ingest.layouts.column_aliases import DATE, heading_key, meaning_of
from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.tables.table_files import (
    MalformedRows,
    column_names,
    iter_tables,
    open_table_file,
)
from flatfiles_assets.ingest.tables.unpacking import Member, RefusedMember, Unpacker

_BLOCK_BYTES = 4 * 2**20
_DAY = r"^(\d{4})-?(\d{2})-?(\d{2})(?:[T ].*)?$"


@dataclasses.dataclass(frozen=True)
class FileSummary:
    """What one file holds.

    Attributes:
        columns: Names of its columns in the unified table; empty where it is no table.
        first_date: Earliest date of its date column, ``YYYY-MM-DD``; None where it has none that
            is written year first.
        last_date: Latest one.
        problem: Why it is no table, or could not be read; empty where it could.
    """

    columns: tuple[str, ...] = ()
    first_date: str | None = None
    last_date: str | None = None
    problem: str = ""


def summarise_file(path: Path) -> FileSummary:
    """Look at a file, to its end; what is in an archive or a workbook is taken together."""
    scratch = ScratchFolder()
    columns: dict[str, None] = {}
    days: list[str] = []
    problems: list[str] = []
    try:
        for member in Unpacker(scratch.path).open(path, path.name):
            inside = member.name.removeprefix(path.name).lstrip("/")
            problem = (
                member.reason.reason if isinstance(member, RefusedMember) else _look_at(member, columns, days)
            )
            if problem:
                problems.append(f"{inside}: {problem}" if inside else problem)
    finally:
        scratch.close()
    return FileSummary(
        tuple(columns), min(days, default=None), max(days, default=None), "; ".join(problems[:5])
    )


def _look_at(member: Member, columns: dict[str, None], days: list[str]) -> str:
    """Add a table's columns and days; why it is none, or nothing."""
    try:
        file = open_table_file(member.path, member.name)
        if isinstance(file, NotUnderstood):
            return file.reason
        columns |= dict.fromkeys(column_names(file.columns))
        for table in iter_tables(file, _BLOCK_BYTES, MalformedRows()):
            columns |= dict.fromkeys(column_names(table.column_names))
            if (place := _date_place(table.column_names)) is not None:
                days += _span(table.column(place))
    except (CorruptFile, pa.ArrowInvalid, OSError) as error:
        return f"it cannot be read: {error}"
    return ""


def _date_place(names: Sequence[str]) -> int | None:
    """The position of the column with the rows' dates, where one is named so."""
    for is_one in (lambda name: meaning_of(name) == DATE, lambda name: re.search("date|period", name)):
        for place, name in enumerate(names):
            if is_one(heading_key(name)):
                return place
    return None


def _span(values: pa.ChunkedArray) -> list[str]:
    """First and last day, of texts that are written year first or of dates."""
    texts = pc.cast(values, pa.string())
    days = texts.filter(pc.fill_null(pc.match_substring_regex(texts, _DAY), False))
    if not len(days):
        return []
    limits = pc.min_max(pc.replace_substring_regex(days, _DAY, r"\1-\2-\3"))
    return [limits["min"].as_py(), limits["max"].as_py()]

"""Workbooks of Excel and LibreOffice to one CSV file a sheet.

Here: .xlsx, .xlsm, .xlsb, .xls and .ods, read by `python_calamine`. Dates that are formatted as dates
are written as ISO 8601; a date in a cell of numbers stays the spreadsheet's count of days, which
discovery knows. Not here: which line of a sheet is its header.
"""

from __future__ import annotations

import csv
import datetime as dt
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook

from flatfiles_assets.ingest.archives.member_names import UnsafeArchive
from flatfiles_assets.ingest.archives.zip_directory import Expansion
from flatfiles_assets.ingest.layouts.layout import NotUnderstood

# A workbook is held in memory, in ten times as many bytes as it has in XML.
_LARGEST_EXPANDED_BYTES = 2**30
_CHUNK_BYTES = 2**20
_LARGEST_EXACT = 2.0**53


def are_names_of_workbook(names: Sequence[str]) -> bool:
    """Whether a ZIP with such members is a workbook of Excel or LibreOffice."""
    plain = {name.replace("\\", "/") for name in names}
    return bool({"xl/workbook.xml", "xl/workbook.bin"} & plain) or {"content.xml", "mimetype"} <= plain


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Whether a ZIP is a workbook."""
    return are_names_of_workbook(archive.namelist())


def check_expansion(archive: zipfile.ZipFile, expansion: Expansion, name: str) -> None:
    """See that a workbook becomes no more than an archive may, by expanding it once for nothing.

    Raises:
        UnsafeArchive: It does.
    """
    total = 0
    for member in archive.infolist():
        size = 0
        with archive.open(member) as content:
            while chunk := content.read(_CHUNK_BYTES):
                size += len(chunk)
                total += len(chunk)
                expansion.check(size, member.compress_size, expansion.total_bytes + total, name)
                if total > _LARGEST_EXPANDED_BYTES:
                    raise UnsafeArchive(
                        "the workbook is too large",
                        where=name,
                        why=f"it expands to more than {_LARGEST_EXPANDED_BYTES:,} bytes",
                        next_step="save its sheets as CSV",
                    )
    expansion.total_bytes += total


def write_sheets(path: Path, folder: Path) -> dict[str, Path] | NotUnderstood:
    """Write every sheet with a cell in it as CSV; by the sheet's name, in the workbook's order."""
    try:
        with CalamineWorkbook.from_path(path) as workbook:
            written = {}
            for number, name in enumerate(workbook.sheet_names):
                target = folder / f"{number}.csv"
                if _write_sheet(workbook, name, target):
                    written[name] = target
    except (CalamineError, ValueError, OSError) as error:
        return NotUnderstood(f"the workbook cannot be read (damaged, or locked by a password): {error}")
    except BaseException as error:
        # What Rust takes for impossible in a damaged file arrives as no ordinary exception.
        if type(error).__name__ != "PanicException":
            raise
        return NotUnderstood(f"the workbook is damaged: {error}")
    return written or NotUnderstood("the workbook has no cells", is_table=False)


def _write_sheet(workbook: CalamineWorkbook, name: str, target: Path) -> bool:
    try:
        rows = workbook.get_sheet_by_name(name).iter_rows()
    except CalamineError:
        return False  # a chart, not a sheet of cells
    count = 0
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in rows:
            cells = [_text(cell) for cell in row]
            if any(cells):
                writer.writerow(cells)
                count += 1
    return count > 0


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < _LARGEST_EXACT else repr(cell)
    if isinstance(cell, dt.datetime):
        # A time is a fraction of a day in binary: 09:30 may come out a microsecond late.
        rounded = cell + dt.timedelta(milliseconds=1)
        near = rounded.replace(microsecond=0)
        moment = near if abs(near - cell) <= dt.timedelta(milliseconds=1) else cell
        return moment.date().isoformat() if moment.time() == dt.time() else moment.isoformat(" ")
    if isinstance(cell, (dt.date, dt.time)):
        return cell.isoformat()
    return " ".join(str(cell).split())

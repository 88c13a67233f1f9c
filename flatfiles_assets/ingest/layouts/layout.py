"""What a file of bars looks like, once it is known: `FileLayout`, or why it is not: `NotUnderstood`.

Here: the two results of discovery and how they read in a report. Not here: how they are found
(`layout_discovery`) and how they are stated by hand (`layout_overrides`).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from flatfiles_assets.ingest.archives.compressed import Compression
from flatfiles_assets.ingest.layouts.column_aliases import IGNORED, TIME

BarSize = Literal["daily", "intraday"]
BarLabel = Literal["start", "end"]

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}


@dataclasses.dataclass(frozen=True)
class NotUnderstood:
    """Why a file's layout could not be settled.

    Attributes:
        reason: One or two sentences with the evidence, and what would settle it.
        is_table: False where the file is no table at all: a picture, a text for people, nothing.
    """

    reason: str
    is_table: bool = True


@dataclasses.dataclass(frozen=True)
class FileLayout:
    """How to read one file of bars.

    Attributes:
        separator: One of `SEPARATORS`.
        headings: The columns' names as the file writes them; empty where it has no header.
        columns: The columns' meanings in the file's order (`column_aliases.MEANINGS`).
        encoding: Python's name of the text's encoding.
        compression: How the file is compressed; None for not at all.
        date_format: Name of a `date_formats` format, for the date column or the file name.
        date_source: Where the date stands.
        symbol_source: Where the symbol stands.
        decimal: Decimal mark, ``"."`` or ``","``.
        bar_size: Whether a row is a day or a part of one.
        timezone: Zone of naive intraday stamps.
        bar_label: Whether an intraday bar is stamped with its start or its end.
        lines_before_data: Lines before the first row: preamble and header.
        symbol: The symbol of every row, where an override states it.
        name_decorations: Words before and after the symbol in the names of all the file's siblings.
        other_readings: Date formats that the file's shape allowed and the evidence ruled out.
        evidence: What settled the questions that had more than one answer, in sentences.
    """

    separator: str
    columns: tuple[str, ...]
    date_format: str
    date_source: Literal["column", "file name"] = "column"
    symbol_source: Literal["column", "file name"] = "column"
    headings: tuple[str, ...] = ()
    encoding: str = "utf-8"
    compression: Compression | None = None
    decimal: str = "."
    bar_size: BarSize = "daily"
    timezone: str = "America/New_York"
    bar_label: BarLabel = "start"
    lines_before_data: int = 0
    symbol: str | None = None
    name_decorations: tuple[str, str] = ("", "")
    other_readings: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

    def position(self, meaning: str) -> int | None:
        """Where the column of that meaning stands, from 0; None where there is none."""
        return self.columns.index(meaning) if meaning in self.columns else None

    def describe(self) -> str:
        """The layout in words, for the report."""
        names = [
            f"{meaning} ({heading})" if heading else meaning
            for heading, meaning in zip(
                self.headings or ("",) * len(self.columns), self.columns, strict=False
            )
            if meaning != IGNORED
        ]
        parts = [
            f"{self.bar_size} bars",
            f"{SEPARATORS.get(self.separator, repr(self.separator))}-separated {self.encoding}"
            + (f" in {self.compression}" if self.compression else ""),
            "with a header" if self.headings else "without a header",
            f"columns {', '.join(names)}",
            f"dates {self.date_format} from the {self._date_place()}",
            f"symbols from {'an override' if self.symbol else 'the ' + self.symbol_source}",
        ]
        if self.decimal == ",":
            parts.append("decimal comma")
        if self.bar_size == "intraday":
            parts.append(f"stamped with the bar's {self.bar_label} in {self.timezone}")
        return "; ".join((*parts, *self.evidence))

    def _date_place(self) -> str:
        if self.date_source == "column" and TIME in self.columns:
            return "date and time columns"
        return self.date_source


def missing_columns(columns: tuple[str, ...], required: tuple[str, ...]) -> list[str]:
    """The meanings that a layout needs and does not have."""
    return [meaning for meaning in required if meaning not in columns]

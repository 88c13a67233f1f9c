"""What a file of bars looks like, once it is known: `FileLayout`, or why it is not: `NotUnderstood`.

Here: the two results of discovery and how they read in a report. Not here: how they are found
(`discovery`) and how they are stated by hand (`overrides`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from flatfiles_assets.ingest.archives.compressed import Compression
from flatfiles_assets.ingest.layouts.column_aliases import BAR_NUMBER, IGNORED, TIME
from flatfiles_assets.ingest.layouts.file_names import NO_SYMBOL, NameRule

BarSize = Literal["daily", "intraday"]
BarLabel = Literal["start", "end"]
StraddlingBars = Literal["count", "ignore"]

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}


@dataclasses.dataclass(frozen=True)
class NotUnderstood:
    """Why a file's layout could not be settled.

    Attributes:
        reason: One or two sentences with the evidence, and what would settle it.
        is_table: False where the file is no table at all: a picture, a text for people, nothing.
        settling: What an override would state to settle it, as TOML values by key; empty where no
            override can.
    """

    reason: str
    is_table: bool = True
    settling: Mapping[str, object] = dataclasses.field(default_factory=dict)


class NotSettled(Exception):
    """Discovery ends here: the evidence leaves a question open.

    Args:
        reason: See `NotUnderstood`.
        settling: What an override would state.
    """

    def __init__(self, reason: str, *, is_table: bool = True, **settling: object) -> None:
        super().__init__(reason)
        # An entry without columns would state nothing.
        given = {key: value for key, value in settling.items() if value != {}}
        self.answer = NotUnderstood(reason, is_table, given)


@dataclasses.dataclass(frozen=True)
class FileLayout:
    """How to read one file of bars.

    Attributes:
        separator: One of `SEPARATORS`.
        headings: The columns' names as the file writes them; empty where it has no header.
        columns: The columns' meanings in the file's order (`column_aliases.MEANINGS`).
        encoding: Python's name of the text's encoding.
        compression: How it is compressed; None for not at all.
        date_format: Name of a `date_formats` format, for the date column or the file name.
        date_source: Where the date stands.
        symbol_source: Where the symbol stands.
        decimal: Decimal mark, ``"."`` or ``","``.
        bar_size: Whether a row is a day or a part of one.
        timezone: Zone of naive stamps.
        days_in_zone: Whether daily stamps name the day that it is in `timezone`, rather than the day
            as written.
        day_shift: Days from the date that a daily stamp names to its session.
        bar_label: Whether an intraday bar is stamped with its start or its end.
        straddling_bars: What becomes of intraday bars that straddle the open or the close; None where
            there are none.
        lines_before_data: Lines before the first row: preamble and header.
        symbol: The symbol of every row, where an override states it.
        name_rule: Which part of the names is the symbol.
        symbol_pattern: Regular expression that finds the symbol in the column's cells or the file's path.
        symbol_case: ``"upper"`` where an override says that case means nothing.
        price_scale: By what prices are divided.
        volume_scale: By what volumes are multiplied.
        sign_is_mark: Whether the sign of a price only says that it is the middle of bid and ask.
        bar_seconds: Width of an intraday bar, where rows are numbered instead of stamped or straddle.
        first_bar: Number of a session's first bar, where rows are numbered.
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
    straddling_bars: StraddlingBars | None = None
    lines_before_data: int = 0
    symbol: str | None = None
    days_in_zone: bool = False
    day_shift: int = 0
    name_rule: NameRule = NO_SYMBOL
    symbol_pattern: str | None = None
    symbol_case: Literal["upper", "as written"] | None = None
    price_scale: float = 1.0
    volume_scale: float = 1.0
    sign_is_mark: bool = False
    bar_seconds: int = 60
    first_bar: int = 1
    other_readings: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

    def position(self, meaning: str) -> int | None:
        """Where the column of that meaning stands, from 0; None where there is none."""
        return self.columns.index(meaning) if meaning in self.columns else None

    @property
    def ignored_headings(self) -> tuple[str, ...]:
        """The headings of the columns that are not read."""
        pairs = zip(self.headings, self.columns, strict=False)
        return tuple(heading for heading, meaning in pairs if meaning == IGNORED and heading)

    def describe(self) -> str:
        """The layout in words, for the report."""
        parts = [
            f"{self.bar_size} bars",
            f"{SEPARATORS.get(self.separator, repr(self.separator))}-separated {self.encoding}"
            + (f" in {self.compression}" if self.compression else ""),
            "with a header" if self.headings else "without a header",
            f"columns {', '.join(self._named_columns())}",
            f"dates {self.date_format} from the {self._date_place()}",
            f"symbols from {self._symbol_place()}",
        ]
        if self.ignored_headings:
            parts.append(f"ignored {', '.join(self.ignored_headings)}")
        if self.decimal == ",":
            parts.append("decimal comma")
        if self.price_scale != 1:
            parts.append(f"prices divided by {self.price_scale:g}")
        if self.volume_scale != 1:
            parts.append(f"volumes multiplied by {self.volume_scale:g}")
        if self.day_shift:
            parts.append(f"the session is {self.day_shift:+d} day from the date as written")
        if self.bar_size == "intraday":
            parts.append(f"stamped with the bar's {self.bar_label} in {self.timezone}")
        elif self.days_in_zone:
            parts.append(f"dates as of {self.timezone}")
        return "; ".join((*parts, *self.evidence))

    def _named_columns(self) -> list[str]:
        headings = self.headings or ("",) * len(self.columns)
        return [
            f"{meaning} ({heading})" if heading else meaning
            for heading, meaning in zip(headings, self.columns, strict=False)
            if meaning != IGNORED
        ]

    def _date_place(self) -> str:
        if self.date_source == "column" and BAR_NUMBER in self.columns:
            return "date column and the bar's number"
        if self.date_source == "column" and TIME in self.columns:
            return "date and time columns"
        return self.date_source

    def _symbol_place(self) -> str:
        if self.symbol:
            return "an override"
        place = f"the {self.symbol_source}"
        if self.symbol_source == "file name" and (words := self.name_rule.describe()):
            place += f" ({words})"
        return place


def missing_columns(columns: Sequence[str | None], required: tuple[str, ...]) -> list[str]:
    """The meanings that a layout needs and does not have."""
    return [meaning for meaning in required if meaning not in columns]

"""What is seen of a file of option quotes, and how it is read once that is known.

Here: the two records. Not here: how one follows from the other (`layouts`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl


@dataclasses.dataclass(frozen=True)
class FileEvidence:
    """What was seen of a file.

    Attributes:
        name: Its path below the directory.
        columns: Names of its columns, in snake case.
        distinct: By column, its distinct values as text; of columns that could be dates, types and strikes.
        sample: Its first rows, as text.
    """

    name: str
    columns: tuple[str, ...]
    distinct: Mapping[str, Sequence[str]]
    sample: pl.DataFrame


@dataclasses.dataclass(frozen=True)
class OptionLayout:
    """How to read one file.

    Attributes:
        columns: The file's columns by meaning (`headings.MEANINGS`), those of one side included.
        sides: For rows of a call and a put: both columns, by what both are.
        underlying: Of every row, where no column says it.
        quote_date: Of every row, where no column says it.
        days: The day of each text of a column of dates, by meaning.
        strike_scale: What a strike is multiplied with.
        volatility_scale: What an implied volatility is multiplied with.
        decimal: Decimal mark of numbers.
        tickers: What underlyings are called, by what the file calls them; one that is not in it stays.
        evidence: What settled the questions that had more than one answer.
    """

    columns: Mapping[str, str]
    sides: Mapping[str, tuple[str, str]]
    underlying: str | None
    quote_date: dt.date | None
    days: Mapping[str, Mapping[str, dt.date]]
    strike_scale: float
    volatility_scale: float
    decimal: str
    tickers: Mapping[str, str]
    evidence: tuple[str, ...]

    def describe(self) -> str:
        """The layout in words, for the report."""
        named = [f"{meaning} ({column})" for meaning, column in self.columns.items()]
        parts = [", ".join(named)]
        if self.sides:
            parts.append("a call and a put in each row")
        if self.underlying:
            parts.append(f"underlying {self.underlying}")
        if self.quote_date:
            parts.append(f"quoted on {self.quote_date}")
        return "; ".join((*parts, *self.evidence))

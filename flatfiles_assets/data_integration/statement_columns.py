"""Which columns of a table of statements say whose, of which period and since when known.

Here: what vendors call them. Not here: what their values mean (`statements`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Literal, get_args

from flatfiles_assets.errors import UnexpectedColumns

Timeframe = Literal["quarterly", "annual", "semiannual", "ttm"]
TIMEFRAMES: tuple[Timeframe, ...] = get_args(Timeframe)

SYMBOL_COLUMNS = ("ticker", "symbol", "tic", "ticker_symbol", "stock_symbol", "act_symbol")
#: What people call the day on which a statement became public, by how far it is trusted.
PUBLISHED: tuple[tuple[str, ...], ...] = (
    ("publish_date", "published_date", "publication_date", "published", "published_at", "pub_date"),
    ("filing_date", "filed_date", "file_date", "date_filed", "filing_datetime", "filing_timestamp"),
    ("filling_date",),
    ("accepted", "accepted_date", "acceptance_date", "acceptance_datetime", "acceptance_date_time"),
    ("filed", "filed_at", "filed_on", "sec_filing_date"),
    ("rdq", "datekey", "announcement_date", "announce_date", "ann_date", "earnings_date", "known_from"),
)
PERIOD_END = (
    *("end_date", "period_end", "period_end_date", "period_of_report_date", "period_of_report"),
    *("period_ending", "fiscal_date_ending", "fiscal_period_end", "fiscal_period_end_date", "report_period"),
    *("reportperiod", "balance_sheet_date", "quarter_end", "datadate", "ddate", "fiscal_end_date"),
    *("report_date", "calendardate", "calendar_date", "period", "end", "date"),
)
FISCAL_YEAR = ("fiscal_year", "fy", "fyear", "calendar_year", "year")
FISCAL_PERIOD = ("fiscal_period", "fp", "fiscal_quarter", "fqtr", "quarter", "period", "period_type")
TIMEFRAME = ("timeframe", "dimension", "frequency", "freq", "periodicity", "report_type", "statement_type")
FORM = ("form", "form_type", "document_type")
RESTATED = ("restated_date", "restatement_date")
_TAGS = (
    *("tag", "concept", "line_item", "metric", "indicator", "item", "account", "field", "datapoint"),
    *("data_code", "element", "fact"),
)
_VALUES = ("value", "val", "amount", "data_value", "fact_value")
# What tells values of one tag apart: one that is not the tag's usual goes into the column's name.
_QUALIFIERS = ("uom", "unit", "units", "qtrs", "segments", "segment", "coreg", "axis", "member")

_TIMEFRAMES: tuple[tuple[str, str], ...] = (
    ("ttm", r"ttm|ltm|trailing.*|[am]rt|t"),
    (
        "quarterly",
        r"(?:(?:19|20)\d\d)?[- ]?q[1-4]|q[1-4][- /]?(?:19|20)\d\d|q|[1-4]q|[1-4]|qtr[1-4]?|quarter(ly)?"
        r"|[am]rq|10-?q.*|6-?k.*|3m",
    ),
    ("annual", r"fy|cy|y|a|year(ly)?|annual(ly)?|[am]ry|10-?k.*|20-?f.*|40-?f.*|12m"),
    ("semiannual", r"h[12]?|s[12]?|half.*|semi.*|6m"),
)


@dataclasses.dataclass(frozen=True)
class StatementColumns:
    """Which of a table's columns say what; None or nothing for what none says."""

    symbol: str
    published: tuple[str, ...]
    period_end: str | None
    fiscal_year: str | None
    fiscal_period: str | None
    timeframe: str | None
    form: str | None
    restated: str | None
    tag: str | None
    value: str | None
    qualifiers: tuple[str, ...]


def find_columns(names: Sequence[str], table: str) -> StatementColumns:
    """Which columns say who, which period and when.

    Args:
        names: The table's columns.
        table: Its name, for messages.

    Raises:
        UnexpectedColumns: None says whose a statement is, or none which day it could count from.
    """
    plain = {plain_name(name): name for name in reversed(names)}

    def first(choices: Sequence[str]) -> str | None:
        return next((plain[plain_name(choice)] for choice in choices if plain_name(choice) in plain), None)

    symbol = first(SYMBOL_COLUMNS)
    published = tuple(name for choices in PUBLISHED if (name := first(choices)))
    period_end = first(PERIOD_END)
    if symbol is None or not (published or period_end):
        lacking = SYMBOL_COLUMNS if symbol is None else [c for choices in PUBLISHED for c in choices]
        raise UnexpectedColumns(
            "the table cannot be joined to sessions",
            where=table,
            why=f"it has none of the columns {', '.join(lacking)}; it has {', '.join(names)}",
            next_step="without the day a statement became public it would leak the future; give the table "
            "such a column, or one with the period's end (period_end)",
        )
    tag, value = first(_TAGS), first(_VALUES)
    is_long = tag is not None and value is not None
    return StatementColumns(
        symbol,
        published,
        period_end,
        first(FISCAL_YEAR),
        first(FISCAL_PERIOD),
        first(TIMEFRAME),
        first(FORM),
        first(RESTATED),
        tag if is_long else None,
        value if is_long else None,
        tuple(c for q in _QUALIFIERS if is_long and (c := first([q]))),
    )


def plain_name(column: str) -> str:
    """``Filing Date``, ``filing_date`` and ``filingDate`` are one name."""
    return "".join(character for character in column.casefold() if character.isalnum())


def timeframe_of_word(text: str) -> str | None:
    """``quarterly``, ``annual``, … for ``Q3``, ``FY``, ``10-K``; None for words that say no such thing."""
    word = text.strip().lower()
    return next((frame for frame, pattern in _TIMEFRAMES if re.fullmatch(pattern, word)), None)

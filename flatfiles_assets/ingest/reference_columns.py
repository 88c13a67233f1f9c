"""The columns of reference data, and by which names records and people's files call them.

Here: one `RecordKind` per table of records, as data. Not here: reading records (`reference.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import pyarrow as pa

from flatfiles_assets.columns import Column

ReferenceName = Literal["splits", "dividends", "tickers", "ticker_events", "overrides", "renames"]

TICKER = Column("ticker", pa.string(), "Symbol as published, case-sensitive")
SOURCE = Column("source", pa.string(), "Where the record comes from: api, or the name of a file")
_ID = Column("id", pa.string(), "The vendor's identifier of the record")


def _date(name: str, description: str) -> Column:
    return Column(name, pa.date32(), description)


SPLIT_COLUMNS = (
    TICKER,
    _date("execution_date", "First session in new shares"),
    Column("split_from", pa.float64(), "Shares before"),
    Column("split_to", pa.float64(), "Shares after"),
    Column("adjustment_type", pa.string(), "forward_split, reverse_split or stock_dividend"),
    _ID,
    SOURCE,
)
DIVIDEND_COLUMNS = (
    TICKER,
    _date("ex_date", "First session without the right to the dividend"),
    Column("cash_amount", pa.float64(), "Cash per share as held before the ex-date, in `currency`"),
    Column("currency", pa.string(), "Currency of the amount; USD where the record names none"),
    Column("frequency", pa.int64(), "Payments a year; 0 for a special dividend"),
    Column("dividend_type", pa.string(), "CD regular, SC special, LT and ST capital gains (older records)"),
    Column("distribution_type", pa.string(), "recurring, special, supplemental, irregular or unknown"),
    Column("split_adjusted_cash_amount", pa.float64(), "The amount in today's shares, as the vendor has it"),
    _date("declaration_date", "Announced on"),
    _date("record_date", "Holders of record on"),
    _date("pay_date", "Paid on"),
    _ID,
    SOURCE,
)
TICKER_COLUMNS = (
    _date("snapshot_date", "Day as of which the row is"),
    TICKER,
    Column("active", pa.bool_(), "Whether it was listed on that day"),
    _date("delisted_date", "Day on which it was delisted"),
    Column("name", pa.string(), "Name of the security"),
    Column("type", pa.string(), "CS common stock, ETF, ADRC, WARRANT, UNIT, …"),
    Column("primary_exchange", pa.string(), "MIC of the primary exchange"),
    Column("cik", pa.string(), "The SEC's number of the issuer, which may have several securities"),
    Column("composite_figi", pa.string(), "FIGI of the security in its country"),
    Column("share_class_figi", pa.string(), "FIGI of the share class"),
    SOURCE,
)
EVENT_COLUMNS = (
    Column("entity", pa.string(), "The security that the event is of: a FIGI, or what it was asked by"),
    _date("event_date", "First session under the ticker, as recorded"),
    TICKER,
    Column("old_ticker", pa.string(), "Ticker before, where the record names it"),
    Column("type", pa.string(), "Kind of the event"),
    Column("name", pa.string(), "Name of the security"),
    Column("composite_figi", pa.string(), "FIGI of the security in its country"),
    Column("cik", pa.string(), "The SEC's number of the issuer"),
    SOURCE,
)
OVERRIDE_COLUMNS = (
    Column("kind", pa.string(), "split or dividend"),
    TICKER,
    _date("date", "Execution or ex-date of the record, or of what is added"),
    Column("action", pa.string(), "apply, ignore, move (to `session`) or add"),
    _date("session", "Session at whose open it counts, where it is moved"),
    Column("split_from", pa.float64(), "Shares before; of one of several records of a day, which one"),
    Column("split_to", pa.float64(), "Shares after"),
    Column("cash_amount", pa.float64(), "Cash per share, USD, of a dividend that is added"),
    Column("note", pa.string(), "Why, for people"),
    SOURCE,
)
RENAME_COLUMNS = (
    Column("old_ticker", pa.string(), "Ticker before"),
    Column("new_ticker", pa.string(), "Ticker after"),
    _date("session", "First session under the new ticker; empty where the bars shall say"),
    Column("status", pa.string(), "confirmed or rejected"),
    SOURCE,
)


@dataclasses.dataclass(frozen=True)
class RecordKind:
    """One table of records.

    Attributes:
        columns: Of the table, `SOURCE` the last.
        required: Columns that a usable record has.
        aliases: Further names by column, the vendor's first.
        choices: Columns of which only these values are understood.
        defaults: Values where a record has none.
    """

    columns: tuple[Column, ...]
    required: tuple[str, ...]
    aliases: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, str] = dataclasses.field(default_factory=dict)


RECORD_KINDS: Mapping[ReferenceName, RecordKind] = {
    "splits": RecordKind(
        SPLIT_COLUMNS,
        ("ticker", "execution_date", "split_from", "split_to"),
        {"ticker": ("symbol",), "execution_date": ("date",)},
    ),
    "dividends": RecordKind(
        DIVIDEND_COLUMNS,
        ("ticker", "ex_date", "cash_amount"),
        {
            "ticker": ("symbol",),
            "ex_date": ("ex_dividend_date", "date"),
            "cash_amount": ("amount", "dividend"),
        },
        defaults={"currency": "USD"},
    ),
    "tickers": RecordKind(
        TICKER_COLUMNS,
        ("snapshot_date", "ticker"),
        {
            "ticker": ("symbol",),
            "snapshot_date": ("date", "as_of"),
            "delisted_date": ("delisted_utc",),
            "primary_exchange": ("exchange",),
        },
    ),
    "ticker_events": RecordKind(
        EVENT_COLUMNS,
        ("entity", "event_date", "ticker"),
        {
            "ticker": ("new_ticker", "new_symbol", "symbol"),
            "old_ticker": ("old_symbol",),
            "event_date": ("date", "session"),
        },
        defaults={"type": "ticker_change"},
    ),
    "overrides": RecordKind(
        OVERRIDE_COLUMNS,
        ("kind", "ticker", "date", "action"),
        {"ticker": ("symbol",), "date": ("execution_date", "ex_date", "recorded_date")},
        {"kind": ("split", "dividend"), "action": ("apply", "ignore", "move", "add")},
        {"kind": "split"},
    ),
    "renames": RecordKind(
        RENAME_COLUMNS,
        ("old_ticker", "new_ticker", "status"),
        {"session": ("date",)},
        {"status": ("confirmed", "rejected")},
        {"status": "confirmed"},
    ),
}

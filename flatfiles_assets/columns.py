"""What a column is, and the columns of the vendor's files.

Here: `Column`, and the tuples that feeds are declared with. Not here: which feed has which
(`datasets.py`), and the columns of features (`algorithms/`) and of reference tables (`ingest/`).

Columns are the vendor's as published in November 2026.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import pyarrow as pa

#: What a value is counted in. A split or dividend changes the terms of prices, and values follow:
#: ``free`` ones (returns, ratios, ranks, text) are the same in any terms; ``price`` is USD per share and
#: ``volume`` a number of shares of the row's symbol; of a pair, ``price_y`` is USD per share of y and
#: ``shares_x_per_y`` shares of x for one of y.
Terms = Literal["free", "price", "volume", "price_y", "shares_x_per_y"]


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a file and of its table, under the same name.

    Attributes:
        name: Name in the file's header and in the table.
        type: Type in which the file's text is parsed.
        description: One line for the UI and the documentation, with the unit.
        stored: False for a column that is only checked, and not kept in the table.
        stored_type: Type in the table, where it differs from `type`.
        optional: True where the vendor leaves the value out of rows that are otherwise good.
        terms: What its values are counted in.
    """

    name: str
    type: pa.DataType
    description: str
    stored: bool = True
    stored_type: pa.DataType | None = None
    optional: bool = False
    terms: Terms = "free"

    @property
    def table_type(self) -> pa.DataType:
        """Type of the column in the table."""
        return self.stored_type or self.type


TRADE_DATE = Column("trade_date", pa.date32(), "Session, from the file's key (exchange date)")

TICKER = Column("ticker", pa.string(), "Symbol as published, case-sensitive")
_OPEN = Column("open", pa.float64(), "First price of the bar, USD, unadjusted", terms="price")
_HIGH = Column("high", pa.float64(), "Highest price of the bar, USD, unadjusted", terms="price")
_LOW = Column("low", pa.float64(), "Lowest price of the bar, USD, unadjusted", terms="price")
_CLOSE = Column("close", pa.float64(), "Last price of the bar, USD, unadjusted", terms="price")
_VOLUME = Column(
    "volume",
    pa.float64(),
    "Traded volume, shares or contracts; fractional since 2026-02-23",
    terms="volume",
)
_TRANSACTIONS = Column("transactions", pa.int64(), "Number of trades in the bar")
_DAY_START = Column("window_start", pa.int64(), "Start of the bar, nanoseconds since 1970 UTC", stored=False)
_MINUTE_START = Column(
    "window_start", pa.int64(), "Start of the bar, UTC", stored_type=pa.timestamp("us", tz="UTC")
)
_PRICES = (_OPEN, _CLOSE, _HIGH, _LOW)


def text(name: str, description: str) -> Column:
    """A column of text."""
    return Column(name, pa.string(), description)


def integer(name: str, description: str, *, optional: bool = False) -> Column:
    """A column of whole numbers, of 64 bits."""
    return Column(name, pa.int64(), description, optional=optional)


def number(name: str, description: str, *, optional: bool = False) -> Column:
    """A column of double precision numbers."""
    return Column(name, pa.float64(), description, optional=optional)


DAY_BAR = (TICKER, _VOLUME, *_PRICES, _DAY_START, _TRANSACTIONS)
MINUTE_BAR = (TICKER, _VOLUME, *_PRICES, _MINUTE_START, _TRANSACTIONS)
INDEX_DAY_BAR = (TICKER, *_PRICES, _DAY_START)
INDEX_MINUTE_BAR = (TICKER, *_PRICES, _MINUTE_START)

SIP_TIMESTAMP = integer("sip_timestamp", "Received by the SIP, nanoseconds since 1970 UTC")
_PARTICIPANT = integer(
    "participant_timestamp", "Made at the exchange, nanoseconds since 1970 UTC", optional=True
)
_CONDITIONS = text("conditions", "Condition codes, comma-separated")
STOCK_TRADE = (
    TICKER,
    _CONDITIONS,
    integer("correction", "Correction indicator", optional=True),
    integer("exchange", "Exchange code", optional=True),
    text("id", "Trade id"),
    _PARTICIPANT,
    number("price", "Trade price, USD"),
    integer("sequence_number", "Sequence number within the ticker and day", optional=True),
    SIP_TIMESTAMP,
    number("size", "Shares traded"),
    integer("tape", "Tape", optional=True),
    integer("trf_id", "Trade reporting facility code", optional=True),
    integer("trf_timestamp", "Received by the facility, nanoseconds since 1970 UTC", optional=True),
)
STOCK_QUOTE = (
    TICKER,
    integer("ask_exchange", "Ask exchange code", optional=True),
    number("ask_price", "Ask price, USD", optional=True),
    number("ask_size", "Ask size", optional=True),
    integer("bid_exchange", "Bid exchange code", optional=True),
    number("bid_price", "Bid price, USD", optional=True),
    number("bid_size", "Bid size", optional=True),
    _CONDITIONS,
    text("indicators", "Indicator codes, comma-separated"),
    _PARTICIPANT,
    integer("sequence_number", "Sequence number within the ticker and day", optional=True),
    SIP_TIMESTAMP,
    integer("tape", "Tape", optional=True),
    integer("trf_timestamp", "Received by the facility, nanoseconds since 1970 UTC", optional=True),
)
OPTION_TRADE = (
    TICKER,
    _CONDITIONS,
    integer("correction", "Correction indicator", optional=True),
    integer("exchange", "Exchange code", optional=True),
    number("price", "Trade price, USD"),
    SIP_TIMESTAMP,
    integer("size", "Contracts traded"),
)

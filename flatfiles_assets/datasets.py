"""The registry: everything by which one feed differs from another, as data.

Here: one `Dataset` per feed, with its keys, columns, calendar and limits. Not here: code that
acts on a feed; adding a feed is adding an entry to `DATASETS`.

Sizes, first days and columns are the vendor's published figures as of November 2026.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Literal

import pyarrow as pa

from flatfiles_assets.errors import InvalidArgument

CalendarName = Literal["XNYS", "weekdays", "forex", "24/7"]

#: What a value is counted in. A split or dividend changes the terms of prices, and values follow:
#: ``free`` ones (returns, ratios, ranks, text) are the same in any terms; ``price`` is USD per share and
#: ``volume`` a number of shares of the row's symbol; of a pair, ``price_y`` is USD per share of y and
#: ``shares_x_per_y`` shares of x for one of y.
Terms = Literal["free", "price", "volume", "price_y", "shares_x_per_y"]

NEW_YORK = "America/New_York"


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

_TICKER = Column("ticker", pa.string(), "Symbol as published, case-sensitive")
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


def _text(name: str, description: str) -> Column:
    return Column(name, pa.string(), description)


def _integer(name: str, description: str, *, optional: bool = False) -> Column:
    return Column(name, pa.int64(), description, optional=optional)


def _number(name: str, description: str, *, optional: bool = False) -> Column:
    return Column(name, pa.float64(), description, optional=optional)


_DAY_BAR = (_TICKER, _VOLUME, *_PRICES, _DAY_START, _TRANSACTIONS)
_MINUTE_BAR = (_TICKER, _VOLUME, *_PRICES, _MINUTE_START, _TRANSACTIONS)
_INDEX_DAY_BAR = (_TICKER, *_PRICES, _DAY_START)
_INDEX_MINUTE_BAR = (_TICKER, *_PRICES, _MINUTE_START)

_SIP = _integer("sip_timestamp", "Received by the SIP, nanoseconds since 1970 UTC")
_PARTICIPANT = _integer(
    "participant_timestamp", "Made at the exchange, nanoseconds since 1970 UTC", optional=True
)
_CONDITIONS = _text("conditions", "Condition codes, comma-separated")
_STOCK_TRADE = (
    _TICKER,
    _CONDITIONS,
    _integer("correction", "Correction indicator", optional=True),
    _integer("exchange", "Exchange code", optional=True),
    _text("id", "Trade id"),
    _PARTICIPANT,
    _number("price", "Trade price, USD"),
    _integer("sequence_number", "Sequence number within the ticker and day", optional=True),
    _SIP,
    _number("size", "Shares traded"),
    _integer("tape", "Tape", optional=True),
    _integer("trf_id", "Trade reporting facility code", optional=True),
    _integer("trf_timestamp", "Received by the facility, nanoseconds since 1970 UTC", optional=True),
)
_STOCK_QUOTE = (
    _TICKER,
    _integer("ask_exchange", "Ask exchange code", optional=True),
    _number("ask_price", "Ask price, USD", optional=True),
    _number("ask_size", "Ask size", optional=True),
    _integer("bid_exchange", "Bid exchange code", optional=True),
    _number("bid_price", "Bid price, USD", optional=True),
    _number("bid_size", "Bid size", optional=True),
    _CONDITIONS,
    _text("indicators", "Indicator codes, comma-separated"),
    _PARTICIPANT,
    _integer("sequence_number", "Sequence number within the ticker and day", optional=True),
    _SIP,
    _integer("tape", "Tape", optional=True),
    _integer("trf_timestamp", "Received by the facility, nanoseconds since 1970 UTC", optional=True),
)
_OPTION_TRADE = (
    _TICKER,
    _CONDITIONS,
    _integer("correction", "Correction indicator", optional=True),
    _integer("exchange", "Exchange code", optional=True),
    _number("price", "Trade price, USD"),
    _SIP,
    _integer("size", "Contracts traded"),
)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """One feed: one file per session in the bucket, one table in the warehouse.

    Attributes:
        name: Name of the feed in asset keys (``raw/<name>``, ``market/<name>``), tables, the
            command line and `S3Catalog`.
        prefix: First folder of the keys. For options it is a setting; this is the live vendor's.
        prefix_aliases: Further first folders that parse as this feed.
        vendor_type: Second folder of the keys.
        title: One sentence for people.
        columns: The file's columns, in the vendor's order; they are resolved by name.
        timestamp: The column that must lie within the session.
        unique_key: Columns that identify a row; None where rows may repeat.
        calendar: Which days have a file.
        timezone: Zone whose calendar days bound a session.
        first_session: First day the vendor has.
        publish_time: New York time, on the day after the session, when the file is expected.
        max_partitions_per_run: Sessions per Dagster run in a backfill.
        enabled: False for feeds that are left out of the asset graph unless asked for.
    """

    name: str
    prefix: str
    vendor_type: str
    title: str
    columns: tuple[Column, ...]
    first_session: dt.date
    max_partitions_per_run: int
    prefix_aliases: tuple[str, ...] = ()
    timestamp: str = "window_start"
    unique_key: tuple[str, ...] | None = ("ticker", "window_start")
    calendar: CalendarName = "XNYS"
    timezone: str = NEW_YORK
    publish_time: dt.time = dt.time(11, 0)
    enabled: bool = True

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Every first folder under which keys of this feed may stand."""
        return (self.prefix, *self.prefix_aliases)

    @property
    def table_columns(self) -> tuple[Column, ...]:
        """The table's columns in order: `trade_date`, then the stored columns, prices as o/h/l/c."""
        stored = [column for column in self.columns if column.stored]
        return (TRADE_DATE, *sorted(stored, key=_table_order))

    @property
    def table_schema(self) -> pa.Schema:
        """The table's Arrow schema."""
        return pa.schema([(column.name, column.table_type) for column in self.table_columns])

    @property
    def sort_columns(self) -> tuple[str, ...]:
        """Order of the rows within a stored session."""
        stored = {column.name for column in self.table_columns}
        return tuple(name for name in ("ticker", self.timestamp) if name in stored)


_TABLE_ORDER = ("ticker", "window_start", "open", "high", "low", "close", "volume", "transactions")


def _table_order(column: Column) -> int:
    return _TABLE_ORDER.index(column.name) if column.name in _TABLE_ORDER else len(_TABLE_ORDER)


_ONE_YEAR = 253
_ONE_MONTH = 23
_OPTIONS_PREFIX = "us_options_opra"
_OPTIONS_ALIASES = ("us_options",)

_ALL = (
    Dataset(
        "stocks_daily",
        "us_stocks_sip",
        "day_aggs_v1",
        "US stocks, one bar per ticker and day",
        _DAY_BAR,
        dt.date(2003, 9, 10),
        _ONE_YEAR,
    ),
    Dataset(
        "stocks_minute",
        "us_stocks_sip",
        "minute_aggs_v1",
        "US stocks, one bar per ticker and minute, 04:00-20:00 New York",
        _MINUTE_BAR,
        dt.date(2003, 9, 10),
        _ONE_MONTH,
    ),
    Dataset(
        "stocks_trades",
        "us_stocks_sip",
        "trades_v1",
        "US stocks, every trade",
        _STOCK_TRADE,
        dt.date(2003, 9, 10),
        1,
        timestamp="sip_timestamp",
        unique_key=None,
        enabled=False,
    ),
    Dataset(
        "stocks_quotes",
        "us_stocks_sip",
        "quotes_v1",
        "US stocks, every best bid and offer",
        _STOCK_QUOTE,
        dt.date(2003, 9, 10),
        1,
        timestamp="sip_timestamp",
        unique_key=None,
        enabled=False,
    ),
    Dataset(
        "options_daily",
        _OPTIONS_PREFIX,
        "day_aggs_v1",
        "US options, one bar per contract and day",
        _DAY_BAR,
        dt.date(2014, 6, 2),
        _ONE_YEAR,
        prefix_aliases=_OPTIONS_ALIASES,
    ),
    Dataset(
        "options_minute",
        _OPTIONS_PREFIX,
        "minute_aggs_v1",
        "US options, one bar per contract and minute",
        _MINUTE_BAR,
        dt.date(2014, 6, 2),
        _ONE_MONTH,
        prefix_aliases=_OPTIONS_ALIASES,
    ),
    Dataset(
        "options_trades",
        _OPTIONS_PREFIX,
        "trades_v1",
        "US options, every trade",
        _OPTION_TRADE,
        dt.date(2014, 6, 2),
        5,
        prefix_aliases=_OPTIONS_ALIASES,
        timestamp="sip_timestamp",
        unique_key=None,
        enabled=False,
    ),
    Dataset(
        "indices_daily",
        "us_indices",
        "day_aggs_v1",
        "US indices, one bar per index and day",
        _INDEX_DAY_BAR,
        dt.date(2023, 2, 14),
        _ONE_YEAR,
        calendar="weekdays",
        enabled=False,
    ),
    Dataset(
        "indices_minute",
        "us_indices",
        "minute_aggs_v1",
        "US indices, one bar per index and minute",
        _INDEX_MINUTE_BAR,
        dt.date(2023, 2, 14),
        _ONE_MONTH,
        calendar="weekdays",
        enabled=False,
    ),
    Dataset(
        "crypto_daily",
        "global_crypto",
        "day_aggs_v1",
        "Crypto pairs, one bar per pair and UTC day",
        _DAY_BAR,
        dt.date(2013, 11, 4),
        _ONE_YEAR,
        calendar="24/7",
        timezone="UTC",
        enabled=False,
    ),
    Dataset(
        "crypto_minute",
        "global_crypto",
        "minute_aggs_v1",
        "Crypto pairs, one bar per pair and minute",
        _MINUTE_BAR,
        dt.date(2013, 11, 4),
        _ONE_MONTH,
        calendar="24/7",
        timezone="UTC",
        enabled=False,
    ),
    Dataset(
        "forex_daily",
        "global_forex",
        "day_aggs_v1",
        "Currency pairs, one bar per pair and UTC day",
        _DAY_BAR,
        dt.date(2009, 9, 25),
        _ONE_YEAR,
        calendar="forex",
        timezone="UTC",
        enabled=False,
    ),
    Dataset(
        "forex_minute",
        "global_forex",
        "minute_aggs_v1",
        "Currency pairs, one bar per pair and minute",
        _MINUTE_BAR,
        dt.date(2009, 9, 25),
        _ONE_MONTH,
        calendar="forex",
        timezone="UTC",
        enabled=False,
    ),
)

_REGISTERED = {dataset.name: dataset for dataset in _ALL}
DATASETS: Mapping[str, Dataset] = _REGISTERED


def register(dataset: Dataset) -> None:
    """Add a feed to the registry; one that is there already is left as it is.

    Raises:
        InvalidArgument: Another feed has its name, or its place in the bucket.
    """
    known = DATASETS.get(dataset.name)
    if known == dataset:
        return
    places = {(prefix, feed.vendor_type): feed.name for feed in DATASETS.values() for prefix in feed.prefixes}
    taken = places.get((dataset.prefix, dataset.vendor_type))
    if known or taken:
        raise InvalidArgument(
            f"there is a feed {known.name if known else taken!r} already",
            where=dataset.name,
            why=f"it has the keys {dataset.prefix}/{dataset.vendor_type}/" if taken else None,
            next_step="give the feed another name and keys of its own",
        )
    _REGISTERED[dataset.name] = dataset


def get_dataset(name: str) -> Dataset:
    """The feed of that name.

    Raises:
        InvalidArgument: There is none; the message lists those there are.
    """
    try:
        return DATASETS[name]
    except KeyError:
        raise InvalidArgument(
            f"{name!r} is not a data type", next_step=f"use one of {', '.join(sorted(DATASETS))}"
        ) from None


def selected_datasets(extra: str = "") -> tuple[Dataset, ...]:
    """The feeds in the asset graph: the enabled ones, and further ones by comma-separated name.

    Raises:
        InvalidArgument: A name is not in the registry.
    """
    asked_for = {get_dataset(name.strip()).name for name in extra.split(",") if name.strip()}
    return tuple(dataset for dataset in DATASETS.values() if dataset.enabled or dataset.name in asked_for)

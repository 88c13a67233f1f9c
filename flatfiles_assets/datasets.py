"""The registry: everything by which one feed differs from another, as data.

Here: one `Dataset` per feed, with its keys, columns, calendar and limits. Not here: the columns
themselves (`columns.py`), and code that acts on a feed; adding a feed is adding an entry to `DATASETS`.

Sizes and first days are the vendor's published figures as of November 2026.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Literal

import pyarrow as pa

from flatfiles_assets import columns
from flatfiles_assets.columns import TRADE_DATE, Column
from flatfiles_assets.errors import InvalidArgument

CalendarName = Literal["XNYS", "weekdays", "forex", "24/7"]

NEW_YORK = "America/New_York"


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
        columns.DAY_BAR,
        dt.date(2003, 9, 10),
        _ONE_YEAR,
    ),
    Dataset(
        "stocks_minute",
        "us_stocks_sip",
        "minute_aggs_v1",
        "US stocks, one bar per ticker and minute, 04:00-20:00 New York",
        columns.MINUTE_BAR,
        dt.date(2003, 9, 10),
        _ONE_MONTH,
    ),
    Dataset(
        "stocks_trades",
        "us_stocks_sip",
        "trades_v1",
        "US stocks, every trade",
        columns.STOCK_TRADE,
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
        columns.STOCK_QUOTE,
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
        columns.DAY_BAR,
        dt.date(2014, 6, 2),
        _ONE_YEAR,
        prefix_aliases=_OPTIONS_ALIASES,
    ),
    Dataset(
        "options_minute",
        _OPTIONS_PREFIX,
        "minute_aggs_v1",
        "US options, one bar per contract and minute",
        columns.MINUTE_BAR,
        dt.date(2014, 6, 2),
        _ONE_MONTH,
        prefix_aliases=_OPTIONS_ALIASES,
    ),
    Dataset(
        "options_trades",
        _OPTIONS_PREFIX,
        "trades_v1",
        "US options, every trade",
        columns.OPTION_TRADE,
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
        columns.INDEX_DAY_BAR,
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
        columns.INDEX_MINUTE_BAR,
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
        columns.DAY_BAR,
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
        columns.MINUTE_BAR,
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
        columns.DAY_BAR,
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
        columns.MINUTE_BAR,
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

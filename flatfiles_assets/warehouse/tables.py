"""Which tables the warehouse has: the registry `TABLES`, made from the registries of feeds and algorithms.

Here: one `TableSchema` per table. Not here: what a table is and its DDL (`table.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from flatfiles_assets.algorithms import universe
from flatfiles_assets.algorithms.action_audit import AUDIT_COLUMNS
from flatfiles_assets.algorithms.algorithm import Algorithm
from flatfiles_assets.algorithms.columns import ADJUSTMENT
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.algorithms.renames import SUSPECTED_RENAME_COLUMNS
from flatfiles_assets.algorithms.securities import SECURITY_COLUMNS, SECURITY_TYPE_COLUMNS, UNAPPLIED_COLUMNS
from flatfiles_assets.algorithms.split_search import JUMP_COLUMNS
from flatfiles_assets.columns import TRADE_DATE, Column
from flatfiles_assets.datasets import DATASETS, Dataset, get_dataset
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.quality import QUARANTINE_COLUMNS
from flatfiles_assets.ingest.reference_columns import (
    DIVIDEND_COLUMNS,
    EVENT_COLUMNS,
    OVERRIDE_COLUMNS,
    SPLIT_COLUMNS,
    TICKER_COLUMNS,
)
from flatfiles_assets.warehouse.table import TableKey, TableSchema


def _feed_table(dataset: Dataset) -> TableSchema:
    return TableSchema(
        key=("market", dataset.name),
        columns=dataset.table_columns,
        sort_columns=dataset.sort_columns,
        required_columns=("ticker",),
        description=dataset.title,
    )


QUARANTINE = TableSchema(
    key=("market", "quarantine"),
    columns=QUARANTINE_COLUMNS,
    sort_columns=("feed", "row_number"),
    scope_columns=("feed",),
    required_columns=("feed",),
    description="Every rejected row of every feed, with the rule it breaks",
)

FILES = TableSchema(
    key=("market", "files"),
    columns=(
        TRADE_DATE,
        Column("feed", pa.string(), "Feed, as in the registry"),
        Column("file", pa.string(), "Key of the file in the bucket"),
        Column("state", pa.string(), "loaded, or refused when no row of the file could be accepted"),
        Column("message", pa.string(), "Why the file was refused"),
        Column("sha256", pa.string(), "Checksum of the file"),
        Column("etag", pa.string(), "The bucket's ETag of the file"),
        Column("size_bytes", pa.int64(), "Size of the compressed file, bytes"),
        Column("rows_read", pa.int64(), "Data rows in the file"),
        Column("rows_accepted", pa.int64(), "Rows in the feed's table"),
        Column("rows_rejected", pa.int64(), "Rows in the quarantine"),
        Column("rules_version", pa.string(), "Version of the rules that judged the rows"),
        Column("loaded_at", pa.timestamp("us", tz="UTC"), "When the rows were committed, UTC"),
    ),
    sort_columns=("feed",),
    scope_columns=("feed",),
    required_columns=("feed",),
    description="What became of each file: the provenance of every stored session",
)

SPLITS = TableSchema(
    key=("reference", "splits"),
    columns=SPLIT_COLUMNS,
    partition_column=None,
    sort_columns=("ticker", "execution_date"),
    required_columns=("ticker", "execution_date", "split_from", "split_to"),
    description="Every known split",
)

DIVIDENDS = TableSchema(
    key=("reference", "dividends"),
    columns=DIVIDEND_COLUMNS,
    partition_column=None,
    sort_columns=("ticker", "ex_date"),
    required_columns=("ticker", "ex_date", "cash_amount"),
    description="Every known cash dividend",
)

TICKERS = TableSchema(
    key=("reference", "tickers"),
    columns=TICKER_COLUMNS,
    partition_column="snapshot_date",
    sort_columns=("ticker",),
    required_columns=("snapshot_date", "ticker", "active"),
    description="Snapshots of the vendor's list of tickers, as of a day each",
)

TICKER_EVENTS = TableSchema(
    key=("reference", "ticker_events"),
    columns=EVENT_COLUMNS,
    partition_column=None,
    sort_columns=("entity", "event_date"),
    required_columns=("entity", "event_date", "ticker"),
    description="Recorded changes of ticker, by security",
)

SECURITIES = TableSchema(
    key=("reference", "securities"),
    columns=SECURITY_COLUMNS,
    partition_column=None,
    sort_columns=("ticker", "first_session"),
    required_columns=("security_id", "ticker", "first_session", "last_session"),
    description="Which security a ticker meant in which sessions, without overlaps",
)

SECURITY_TYPES = TableSchema(
    key=("reference", "security_types"),
    columns=SECURITY_TYPE_COLUMNS,
    partition_column=None,
    sort_columns=("security_id", "since"),
    required_columns=("security_id", "since", "type"),
    description="Since which snapshot each security is of which kind",
)

SUSPECTED_RENAMES = TableSchema(
    key=("reference", "suspected_renames"),
    columns=SUSPECTED_RENAME_COLUMNS,
    partition_column=None,
    sort_columns=("session", "old_ticker"),
    required_columns=("session", "old_ticker", "new_ticker"),
    description="Tickers whose bars continue another's, without a record that says so",
)

UNAPPLIED_IDENTITIES = TableSchema(
    key=("reference", "unapplied_identities"),
    columns=UNAPPLIED_COLUMNS,
    partition_column=None,
    sort_columns=("ticker", "date"),
    required_columns=("kind", "ticker", "reason"),
    description="Renames and identities on record that were not applied, and what contradicts them",
)

ACTION_AUDIT = TableSchema(
    key=("reference", "corporate_action_audit"),
    columns=AUDIT_COLUMNS,
    partition_column=None,
    sort_columns=("ticker", "session"),
    required_columns=("kind", "verdict", "applied", "ticker"),
    description="Every split on record against the bars, dividends that are not applied, unexplained jumps",
)

OVERRIDES = TableSchema(
    key=("reference", "overrides"),
    columns=OVERRIDE_COLUMNS,
    partition_column=None,
    sort_columns=("ticker", "date"),
    required_columns=("kind", "ticker", "date", "action"),
    description="The user's word on single corporate actions, against the record or the audit",
)

PRICE_JUMPS = TableSchema(
    key=("reference", "price_jumps"),
    columns=JUMP_COLUMNS,
    partition_column=None,
    sort_columns=("trade_date", "ticker"),
    required_columns=("trade_date", "ticker"),
    description="Overnight moves of all bars that look like a split, recorded or not",
)

_BAR = tuple(
    column
    for column in get_dataset("stocks_daily").table_columns
    if column.name in ("trade_date", "ticker", "open", "high", "low", "close", "volume", "transactions")
)

HISTORICAL_DAILY = TableSchema(
    key=("market", "historical_daily"),
    columns=(
        *_BAR,
        Column("adjusted_close", pa.float64(), "Adjusted close as the file has it, never mixed into close"),
        Column("source_file", pa.string(), "File of the extracted year"),
    ),
    sort_columns=("ticker",),
    required_columns=("ticker",),
    description="US stocks from the yearly archives, one bar per ticker and day",
)

DAILY_PRICES = TableSchema(
    key=("market", "daily_prices"),
    columns=(
        *_BAR,
        Column("source", pa.string(), "Where the row comes from: flat_files or historical"),
        Column("security_id", pa.string(), "The security that the ticker means; null until it is known"),
    ),
    sort_columns=("ticker",),
    required_columns=("ticker", "source"),
    description="Every session and symbol of both sources, one row each, unadjusted",
)

PRICE_RECONCILIATION = TableSchema(
    key=("market", "price_reconciliation"),
    columns=(
        Column("ticker", pa.string(), "Symbol in the vendor's style"),
        Column("sessions_both", pa.int64(), "Sessions in which both sources have a bar"),
        Column("sessions_matched", pa.int64(), "Of these, sessions whose closes agree within the tolerance"),
        Column("sessions_different", pa.int64(), "Of these, sessions whose closes do not"),
        Column("sessions_only_flat_files", pa.int64(), "Sessions that the archives lack"),
        Column("sessions_only_historical", pa.int64(), "Sessions that the flat files lack"),
        Column("largest_difference", pa.float64(), "Largest relative difference of the closes"),
        Column("first_different", pa.date32(), "First session with a difference"),
        Column("last_different", pa.date32(), "Last session with a difference"),
        Column(
            "suspected_split_ratio",
            pa.float64(),
            "Flat-file close over archive close, where adjustment explains it",
        ),
    ),
    partition_column=None,
    sort_columns=("ticker",),
    required_columns=("ticker",),
    description="Flat files against archives where both have the session, per symbol",
)


def _algorithm_table(algorithm: Algorithm) -> TableSchema:
    return TableSchema(
        key=algorithm_table_key(algorithm.name),
        columns=algorithm.columns,
        sort_columns=algorithm.key_columns,
        required_columns=(*algorithm.key_columns, ADJUSTMENT.name),
        description=algorithm.summary.rstrip("."),
    )


def algorithm_table_key(name: str) -> TableKey:
    """Key of the table of an algorithm's features."""
    return ("algorithm", name)


UNIVERSE = TableSchema(
    key=algorithm_table_key("universe"),
    columns=universe.COLUMNS,
    sort_columns=("ticker",),
    required_columns=("ticker",),
    description="Every security of every session with its kind, age and rank by traded dollars",
)

# A layer that adds tables appends them here.
_ALL = (
    *map(_feed_table, DATASETS.values()),
    QUARANTINE,
    FILES,
    HISTORICAL_DAILY,
    DAILY_PRICES,
    PRICE_RECONCILIATION,
    SPLITS,
    DIVIDENDS,
    TICKERS,
    TICKER_EVENTS,
    SECURITIES,
    SECURITY_TYPES,
    SUSPECTED_RENAMES,
    UNAPPLIED_IDENTITIES,
    PRICE_JUMPS,
    ACTION_AUDIT,
    OVERRIDES,
    UNIVERSE,
    *map(_algorithm_table, ALGORITHMS.values()),
)

_REGISTERED = {table.key: table for table in _ALL}
TABLES: Mapping[TableKey, TableSchema] = _REGISTERED


def register_feed_table(dataset: Dataset) -> None:
    """Add the table of a feed that was added to the registry of feeds."""
    table = _feed_table(dataset)
    _REGISTERED[table.key] = table


def get_table(key: TableKey) -> TableSchema:
    """The registered table of that key.

    Raises:
        InvalidArgument: There is none; the message lists those there are.
    """
    try:
        return TABLES[key]
    except KeyError:
        raise InvalidArgument(
            f"{'/'.join(key)} is not a registered table",
            next_step=f"use one of {', '.join(sorted('/'.join(known) for known in TABLES))}",
        ) from None

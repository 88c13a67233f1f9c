"""Options on some underlyings, from the vendor's feed and from the user's own directory alike.

Here: reading both tables into one shape, and which rows of them are one contract's day. Not here: what
is computed from a chain, and joining it to prices (`unified`).

The feed has bars (``open`` to ``volume``), the directory quotes (``bid``, ``ask``, ``open_interest``,
``implied_volatility``) and sometimes last prices and volumes; where both have a value, the feed's counts.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import polars as pl

from flatfiles_assets.data_integration.errors import NoData
from flatfiles_assets.ingest.directories.options_table import OPTIONS_SCHEMA
from flatfiles_assets.ingest.option_tickers import INDEX_ROOTS, option_columns, root_letters
from flatfiles_assets.warehouse.day_bars import PRICE_SOURCES
from flatfiles_assets.warehouse.errors import TableNotFound, WarehouseMissing
from flatfiles_assets.warehouse.reading import WarehouseReader

OptionSource = Literal["flat_files", "directory"]
OPTION_SOURCES: tuple[OptionSource, ...] = get_args(OptionSource)

_FEED, _DIRECTORY = "market.options_daily", "market.options_directory"

#: What `read_option_quotes` returns. Prices in USD a share as published, volumes in contracts.
QUOTE_COLUMNS: Mapping[str, pl.DataType] = {
    "session": pl.Date(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "option_type": pl.String(),
    "strike": pl.Float64(),
    "root": pl.String(),
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "last": pl.Float64(),
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "volume": pl.Float64(),
    "open_interest": pl.Float64(),
    "implied_volatility": pl.Float64(),
    "source": pl.String(),
}
#: Those that are per share, and those that are numbers of contracts.
PER_SHARE = ("strike", "open", "high", "low", "last", "bid", "ask")
CONTRACTS = ("volume", "open_interest")

_CONTRACT = ["session", "underlying", "expiry", "option_type", "strike"]
_ORDER = ["session", "underlying", "expiry", "strike", "option_type", "root"]


def read_option_quotes(
    reader: WarehouseReader,
    underlyings: Sequence[str],
    first: dt.date,
    last: dt.date,
    source: OptionSource | None = None,
) -> pl.DataFrame:
    """The options on some underlyings, one row per session and contract.

    Args:
        reader: The warehouse.
        underlyings: Tickers, or names of indices (``SPX``).
        first: First session, included.
        last: Last session, included.
        source: ``flat_files`` or ``directory``; None for both.

    Returns:
        `QUOTE_COLUMNS`, by session, underlying, expiry, strike and type; ``source`` is ``flat_files``,
        ``directory`` or ``both``.

    Raises:
        NoData: The table asked for, or with None either of them, was never loaded.
    """
    found = []
    missing = []
    for name, table, read in (
        ("flat_files", _FEED, _from_feed),
        ("directory", _DIRECTORY, _from_directory),
    ):
        if source not in (None, name):
            continue
        try:
            names = set(reader.schema(table).column_names)
            if name == "directory" and not set(OPTIONS_SCHEMA.names) <= names:
                raise NoData(
                    "the table was loaded by an earlier version",
                    where=table,
                    next_step="materialise market/options_directory again",
                )
            found.append(read(reader, underlyings, first, last))
        except (TableNotFound, WarehouseMissing) as error:
            missing.append((table, error))
    if not found:
        raise NoData(
            "there are no options in the warehouse",
            where=" and ".join(table for table, _ in missing),
            why=missing[0][1].why,
            next_step="load them: `flatfiles backfill options_daily`, or `flatfiles run directories`",
        ) from missing[0][1]
    return _merged(found[0], found[1]) if len(found) > 1 else found[0].sort(_ORDER)


def select_chain(
    quotes: pl.DataFrame,
    expiry: dt.date | Sequence[dt.date] | None = None,
    strikes: tuple[float, float] | None = None,
    option_type: str | None = None,
) -> pl.DataFrame:
    """Some contracts of a chain.

    Args:
        quotes: With `QUOTE_COLUMNS`.
        expiry: One or several days; None for all.
        strikes: Lowest and highest, both included; None for all.
        option_type: ``C`` or ``P``; None for both.
    """
    if expiry is not None:
        days = [expiry] if isinstance(expiry, dt.date) else list(expiry)
        quotes = quotes.filter(pl.col("expiry").is_in(days))
    if strikes is not None:
        quotes = quotes.filter(pl.col("strike").is_between(*strikes))
    if option_type is not None:
        quotes = quotes.filter(pl.col("option_type") == option_type)
    return quotes


def option_chain(
    reader: WarehouseReader, underlying: str, session: dt.date, source: OptionSource | None = None
) -> pl.DataFrame:
    """All options on an underlying on one session, beside its close and their days to expiry.

    Returns:
        `QUOTE_COLUMNS`, ``underlying_close`` (USD, as published; null without a bar, as of indices)
        and ``days_to_expiry`` (calendar days).

    Raises:
        NoData: There are no options on it on that session.
    """
    quotes = read_option_quotes(reader, [underlying], session, session, source)
    if quotes.is_empty():
        raise NoData(
            f"there are no options on {underlying} on {session}",
            where=" and ".join((_FEED, _DIRECTORY)) if source is None else source,
            next_step=f"load them: `flatfiles backfill options_daily --start {session} --end {session}`, or "
            "look into market.options_directory",
        )
    return quotes.with_columns(
        pl.lit(_close(reader, underlying, session), pl.Float64).alias("underlying_close"),
        (pl.col("expiry") - pl.col("session")).dt.total_days().alias("days_to_expiry"),
    )


def _close(reader: WarehouseReader, underlying: str, session: dt.date) -> float | None:
    tables = set(reader.tables())
    for source in PRICE_SOURCES:
        if source not in tables:
            continue
        found = reader.sql(
            f"SELECT close FROM {source} WHERE trade_date = $day AND ticker = $ticker",  # noqa: S608
            {"day": session, "ticker": underlying},
        ).fetchall()
        if found:
            return float(found[0][0])
    return None


def _from_feed(
    reader: WarehouseReader, underlyings: Sequence[str], first: dt.date, last: dt.date
) -> pl.DataFrame:
    by_root = {root: name for name in underlyings for root in _roots(name)}
    pattern = rf"^O:[0-9]?({'|'.join(map(re.escape, by_root))})[0-9]?\d{{6}}[CP]\d{{8}}$"
    rows = reader.sql(
        f"SELECT trade_date, ticker, open, high, low, close, volume FROM {_FEED} "  # noqa: S608
        "WHERE trade_date BETWEEN $first AND $last AND regexp_matches(ticker, $pattern)",
        {"first": first, "last": last, "pattern": pattern},
    ).to_arrow()
    parts = pl.DataFrame(option_columns(rows.column("ticker")))
    letters = parts.get_column("root").str.extract(r"^[0-9]?([A-Z]+)[0-9]?$")
    frame = pl.DataFrame(rows).with_columns(
        *parts.drop("underlying", "is_adjusted").get_columns(),
        letters.replace_strict(by_root, default=None, return_dtype=pl.String).alias("underlying"),
        pl.lit("flat_files").alias("source"),
    )
    return _conformed(frame.rename({"trade_date": "session", "close": "last"}))


def _from_directory(
    reader: WarehouseReader, underlyings: Sequence[str], first: dt.date, last: dt.date
) -> pl.DataFrame:
    names = {text: name for name in underlyings for text in (root_letters(name), name)}
    rows = reader.sql(
        f"SELECT {', '.join(OPTIONS_SCHEMA.names)} FROM {_DIRECTORY} "  # noqa: S608
        "WHERE quote_date BETWEEN $first AND $last AND underlying IN (SELECT unnest($names))",
        {"first": first, "last": last, "names": list(names)},
    ).to_arrow()
    roots = pl.DataFrame(option_columns(rows.column("contract"))).get_column("root")
    frame = (
        pl.DataFrame(rows)
        .with_columns(
            roots,
            pl.col("underlying").replace_strict(names, return_dtype=pl.String),
            pl.lit("directory").alias("source"),
        )
        .rename({"quote_date": "session"})
    )
    # Snapshots of one day, and files that overlap: the last one of a contract counts.
    return _conformed(frame).unique([*_CONTRACT, "root"], keep="last", maintain_order=True)


def _roots(underlying: str) -> Iterable[str]:
    letters = root_letters(underlying)
    return INDEX_ROOTS.get(letters, (letters,))


def _conformed(frame: pl.DataFrame) -> pl.DataFrame:
    absent = [
        pl.lit(None, type_).alias(name) for name, type_ in QUOTE_COLUMNS.items() if name not in frame.columns
    ]
    return frame.with_columns(absent).select(
        pl.col(name).cast(type_) for name, type_ in QUOTE_COLUMNS.items()
    )


def _merged(feed: pl.DataFrame, directory: pl.DataFrame) -> pl.DataFrame:
    """One row for each contract's day that both have; a quote without a root is the only contract's."""
    only = (
        feed.group_by(_CONTRACT)
        .agg(pl.col("root").first().alias("_only"), pl.len().alias("_contracts"))
        .filter(pl.col("_contracts") == 1)
        .select(*_CONTRACT, "_only")
    )
    directory = (
        directory.join(only, on=_CONTRACT, how="left")
        .with_columns(pl.coalesce("root", "_only").alias("root"))
        .drop("_only")
    )
    values = [name for name in QUOTE_COLUMNS if name not in (*_CONTRACT, "root", "source")]
    joined = feed.join(
        directory, on=[*_CONTRACT, "root"], how="full", coalesce=True, nulls_equal=True, suffix="_directory"
    )
    in_feed, in_directory = pl.col("source").is_not_null(), pl.col("source_directory").is_not_null()
    return (
        joined.with_columns(
            *(pl.coalesce(name, f"{name}_directory").alias(name) for name in values),
            pl.when(in_feed & in_directory)
            .then(pl.lit("both"))
            .otherwise(pl.coalesce("source", "source_directory"))
            .alias("source"),
        )
        .select(list(QUOTE_COLUMNS))
        .sort(_ORDER)
    )

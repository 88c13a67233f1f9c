"""Per-share figures of statements in the terms of the prices beside them.

Here: which columns of a statement are per share or numbers of shares, how a dividend is brought to
the session on which it is shown, and the factors for both. Not here: which statement counts when
(`unified.py`), the factors of prices (`algorithms/adjustments.py`).

A statement is in the shares of the day it was filed: a split before the filing is in it already, as
accounting rules want it (SEC Staff Accounting Bulletin, topic 4.C), one after it is not. A dividend
is per share held before its ex-date.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from flatfiles_assets.algorithms.frames import SESSION, SYMBOL
from flatfiles_assets.algorithms.requested_prices import RequestedPrices
from flatfiles_assets.columns import Terms

_FACTORS: dict[Terms, str] = {"price": "price_factor", "volume": "volume_factor"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SHARES = {"shares", "shs"}
# Beside a word for shares: a number of them, and not money that was paid for them.
_COUNTED = {"outstanding", "average", "weighted", "basic", "diluted", "issued", "count", "number", "float"}


def terms_of(column: str) -> Terms:
    """What a statement's column is counted in, by its name in whatever style.

    ``basic_earnings_per_share``, ``EPSDiluted`` are per share; ``weighted_average_shares``,
    ``SharesOutstanding`` are numbers of shares; ``repurchase_of_shares`` is money.
    """
    words = [word.casefold() for word in _WORDS.findall(column)]
    if "eps" in words or "pershare" in words or ("share" in words and "per" in words):
        return "price"
    if _SHARES & set(words) and (_COUNTED & set(words) or len(words) == 1):
        return "volume"
    return "free"


def statements_in_terms(
    rows: pl.DataFrame, columns: Iterable[tuple[str, str]], filed: str, undated: str, splits: pa.Table
) -> tuple[pl.DataFrame, int]:
    """Rows whose statements' per-share figures and numbers of shares are in the result's terms.

    Where a split lies between the period's end and the day from which an undated statement counts, nobody
    knows in which shares it is: then they are null.

    Args:
        rows: ``session``, ``symbol``, the statement's columns and the day `filed`, and the factors of
            `requested_prices.FACTOR_COLUMNS`.
        columns: Columns of the statement: its name in `rows`, and the name that its table has for it.
        filed: The column with the day of the filing; null where there is no statement.
        undated: The column with the end of the period of a statement whose day of filing is not known.
        splits: Every split from the first of those days to the last session: ``ticker``, ``execution_date``,
            ``split_from``, ``split_to``.

    Returns:
        The rows, and how many of them have a statement of unknown shares.
    """
    scaled = {
        name: _FACTORS[terms_of(original)]
        for name, original in columns
        if terms_of(original) in _FACTORS and rows.schema[name].is_numeric()
    }
    if not scaled:
        return rows, 0
    when_filed = _shares_since(rows, filed, splits)
    shares = rows.select(_shares_since(rows, SESSION, splits) / when_filed).to_series()
    unknown = rows[undated].is_not_null() & (_shares_since(rows, undated, splits) != when_filed)
    shares = shares.set(unknown, None)
    # More shares than on the day of the filing: less for each.
    since = {"price_factor": 1.0 / shares, "volume_factor": shares}
    in_terms = rows.with_columns(
        (pl.col(name).cast(pl.Float64) * since[factor] * pl.col(factor)).alias(name)
        for name, factor in scaled.items()
    )
    return in_terms, int(unknown.sum())


def _shares_since(rows: pl.DataFrame, day: str, splits: pa.Table) -> pl.Series:
    """What one share of old has become by a day of each row, by the splits up to and on that day."""
    known = (
        _unique(splits)
        .sort("execution_date")
        .with_columns((pl.col("split_to") / pl.col("split_from")).cum_prod().over("ticker").alias("_shares"))
    )
    joined = (
        rows.select(SYMBOL, pl.col(day).alias("_day"))
        .with_row_index("_number")
        .sort("_day", nulls_last=False)
        .join_asof(
            known.select("ticker", "execution_date", "_shares"),
            left_on="_day",
            right_on="execution_date",
            by_left=SYMBOL,
            by_right="ticker",
            strategy="backward",
            check_sortedness=False,
        )
    )
    return joined.sort("_number").get_column("_shares").fill_null(1.0)


def _unique(splits: pa.Table) -> pl.DataFrame:
    frame = pl.DataFrame(splits)
    return frame.select("ticker", "execution_date", "split_from", "split_to").unique()


def split_events(splits: pa.Table) -> pl.DataFrame:
    """``symbol``, ``day`` and ``split_ratio``, shares after over before; each split once."""
    return _unique(splits).select(
        pl.col("ticker").alias(SYMBOL),
        pl.col("execution_date").alias("day"),
        (pl.col("split_to") / pl.col("split_from")).alias("split_ratio"),
    )


def dividend_events(dividends: pa.Table, prices: RequestedPrices) -> pl.DataFrame:
    """``symbol``, ``day`` and ``dividend``: USD dividends in comparable prices, as the panel's are."""
    frame = pl.DataFrame(dividends).filter(pl.col("currency").fill_null("USD") == "USD")
    position = {symbol: column for column, symbol in enumerate(prices.symbols)}
    columns = np.array([position[ticker] for ticker in frame["ticker"].to_list()], dtype=np.int64)
    days = frame["ex_date"].to_numpy().astype("datetime64[D]")
    rows = np.searchsorted(prices.published.sessions, days, side="left")
    inside = rows < len(prices.published.sessions)
    frame, rows, columns = frame.filter(pl.Series(inside, dtype=pl.Boolean)), rows[inside], columns[inside]
    factor = np.ones(len(rows))
    if prices.dated.price_factor is not None and prices.dated.volume_factor is not None:
        shares = prices.dated.volume_factor
        new_for_old = shares[rows, columns] / shares[np.maximum(rows - 1, 0), columns]
        factor = prices.dated.price_factor[rows, columns] * new_for_old
    return frame.select(
        pl.col("ticker").alias(SYMBOL),
        pl.col("ex_date").alias("day"),
        (pl.col("cash_amount") * pl.Series(factor)).alias("dividend"),
    )


def on_next_bar(rows: pl.DataFrame, events: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Rows with the events of their symbol, each on its own day or on the first bar after it.

    Args:
        rows: ``session`` and ``symbol``.
        events: ``symbol``, ``day`` and one column of values; those of one bar are multiplied if they are
            ratios, else added.
        bars: ``session`` and ``symbol`` of every bar, those before the range included, so that an event
            before it does not land in it where a bar had it already.
    """
    (value,) = (name for name in events.columns if name not in (SYMBOL, "day"))
    landed = (
        events.sort("day")
        .join_asof(
            bars.select(SYMBOL, SESSION).sort(SESSION),
            left_on="day",
            right_on=SESSION,
            by=SYMBOL,
            strategy="forward",
            check_sortedness=False,
        )
        .drop_nulls(SESSION)
    )
    total = pl.col(value).product() if value.endswith("_ratio") else pl.col(value).sum()
    daily = landed.group_by(SESSION, SYMBOL, maintain_order=True).agg(total)
    return rows.join(daily, on=[SESSION, SYMBOL], how="left", maintain_order="left")


def dividends_in_terms(rows: pl.DataFrame, prices: RequestedPrices) -> pl.DataFrame:
    """Rows whose ``dividend``, from `dividend_events`, is in the result's terms."""
    days = prices.sessions.astype("datetime64[D]")
    paid = rows.get_column("dividend").is_not_null().to_numpy()
    where = np.flatnonzero(paid)
    position = {symbol: column for column, symbol in enumerate(prices.symbols)}
    numbers = np.searchsorted(days, rows.get_column(SESSION).to_numpy()[where].astype("datetime64[D]"))
    columns = _positions(rows.get_column(SYMBOL).gather(where).to_list(), position)
    values = rows.get_column("dividend").to_numpy().copy()
    values[where] = values[where] * prices.levels()[numbers, columns]
    return rows.with_columns(pl.Series("dividend", values).fill_nan(None))


def _positions(symbols: Sequence[str], position: dict[str, int]) -> list[int]:
    return [position[symbol] for symbol in symbols]

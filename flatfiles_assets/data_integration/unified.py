"""One long table per session and symbol: prices, and beside them what was known of the company.

Here: which kinds of data can be joined, and how each is joined as of its date. Not here: prices
themselves (`prices.py`).

A statement counts from the first session after the day it was filed: a filing after the close is
not known at that day's close, and whether it came before is not recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from flatfiles_assets.data_integration.errors import NoData
from flatfiles_assets.data_integration.frames import SESSION, SYMBOL
from flatfiles_assets.errors import UnexpectedColumns
from flatfiles_assets.escaping import quoted
from flatfiles_assets.warehouse.errors import TableNotFound
from flatfiles_assets.warehouse.reading import WarehouseReader

PRICES = "prices"

# What people call the symbol and the day on which a statement became public; the first present counts.
_SYMBOL_COLUMNS = ("ticker", "symbol")
_FILED_COLUMNS = ("filing_date", "filed_date", "filed", "accepted_date", "publication_date", "report_date")
_PERIOD_COLUMNS = ("end_date", "period_end", "period_of_report_date", "fiscal_year")
_KNOWN = "_known_from"


def join_financials(reader: WarehouseReader, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns of the latest statement filed before each session.

    Args:
        reader: The warehouse.
        name: ``financials`` or ``us_financials``.
        rows: ``session`` and ``symbol``, and more.

    Returns:
        The rows in the same order, with every column of the statements; one whose name is taken
        already is prefixed with ``<name>_``.
    """
    table = f"market.{name}"
    columns = _columns(reader, name, table)
    symbol, filed = (_first_of(columns, choices, table) for choices in (_SYMBOL_COLUMNS, _FILED_COLUMNS))
    by_plain_name = {_plain_name(column): column for column in columns}
    period = [by_plain_name[name] for name in map(_plain_name, _PERIOD_COLUMNS) if name in by_plain_name]
    # Dates may be stored as text, and times with them.
    known = f"try_cast(left({quoted(filed)}::VARCHAR, 10) AS DATE) AS {_KNOWN}"
    statements = (
        _of_symbols(reader, table, symbol, rows, f"*, {known}")
        .filter(pl.col(_KNOWN).is_not_null())
        # What was filed of one period on one day (income, balance sheet) is one statement.
        .group_by([symbol, _KNOWN, *period], maintain_order=True)
        .agg(pl.all().drop_nulls().last())
        # Of statements filed on one day the one of the latest period counts.
        .sort([_KNOWN, *period], nulls_last=False, maintain_order=True)
        .unique([symbol, _KNOWN], keep="last", maintain_order=True)
        .select([*columns, _KNOWN])
    )
    taken = {each: f"{name}_{each}" for each in columns if each in rows.columns and each != symbol}
    statements = statements.rename({**taken, symbol: SYMBOL})
    numbered = rows.with_row_index("_row").sort(SESSION)
    joined = numbered.join_asof(
        statements.sort(_KNOWN),
        left_on=SESSION,
        right_on=_KNOWN,
        by=SYMBOL,
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    return joined.sort("_row").drop("_row", _KNOWN, strict=False)


def join_splits(reader: WarehouseReader, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with ``split_ratio``, shares after over before, on the sessions that begin in new shares."""
    events = _of_symbols(reader, _reference(reader, name), "ticker", rows).select(
        pl.col("ticker").alias(SYMBOL),
        pl.col("execution_date").alias(SESSION),
        (pl.col("split_to") / pl.col("split_from")).alias("split_ratio"),
    )
    daily = events.unique().group_by(SESSION, SYMBOL).agg(pl.col("split_ratio").product())
    return rows.join(daily, on=[SESSION, SYMBOL], how="left", maintain_order="left")


def join_dividends(reader: WarehouseReader, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with ``dividend``, USD a share, on the ex-dates."""
    events = _of_symbols(reader, _reference(reader, name), "ticker", rows).filter(pl.col("currency") == "USD")
    daily = events.group_by(
        pl.col("ex_date").alias(SESSION), pl.col("ticker").alias(SYMBOL), maintain_order=True
    ).agg(pl.col("cash_amount").sum().alias("dividend"))
    return rows.join(daily, on=[SESSION, SYMBOL], how="left", maintain_order="left")


def join_features(reader: WarehouseReader, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the stored features of ``algorithm/<name>``, whose adjustment is ``<name>_adjustment``."""
    table = f"algorithm.{name}"
    _columns(reader, name, table)
    features = _of_symbols(reader, table, "ticker", rows).rename(
        {"trade_date": SESSION, "ticker": SYMBOL, "adjustment": f"{name}_adjustment"}
    )
    taken = [each for each in features.columns if each in rows.columns and each not in (SESSION, SYMBOL)]
    features = features.rename({each: f"{name}_{each}" for each in taken})
    return rows.join(features, on=[SESSION, SYMBOL], how="left", maintain_order="left")


Join = Callable[[WarehouseReader, str, pl.DataFrame], pl.DataFrame]

JOINS: Mapping[str, Join] = {
    "financials": join_financials,
    "us_financials": join_financials,
    "splits": join_splits,
    "dividends": join_dividends,
    "momentum": join_features,
    "mean_reversion": join_features,
}
DATA_TYPES: tuple[str, ...] = (PRICES, *JOINS)


def _reference(reader: WarehouseReader, name: str) -> str:
    table = f"reference.{name}"
    _columns(reader, name, table)
    return table


def _columns(reader: WarehouseReader, name: str, table: str) -> Sequence[str]:
    try:
        return reader.schema(table).column_names
    except TableNotFound as error:
        asset = table.replace(".", "/")
        raise NoData(
            f"there are no {name} in the warehouse",
            where=table,
            why=error.why,
            next_step=f"materialise {asset}, or leave {name!r} out of data_types",
        ) from error


def _first_of(columns: Sequence[str], choices: Sequence[str], table: str) -> str:
    by_plain_name = {_plain_name(column): column for column in columns}
    found = next((by_plain_name[name] for name in map(_plain_name, choices) if name in by_plain_name), None)
    if found is None:
        raise UnexpectedColumns(
            "the table cannot be joined to sessions",
            where=table,
            why=f"it has none of the columns {', '.join(choices)}; it has {', '.join(columns)}",
            next_step="without the day a statement became public it would leak the future",
        )
    return found


def _plain_name(column: str) -> str:
    """``Filing Date``, ``filing_date`` and ``filingDate`` are one name."""
    return "".join(character for character in column.casefold() if character.isalnum())


def _of_symbols(
    reader: WarehouseReader, table: str, symbol_column: str, rows: pl.DataFrame, columns: str = "*"
) -> pl.DataFrame:
    symbols = rows.get_column(SYMBOL).unique().to_list()
    bounded = ""
    parameters: dict[str, Any] = {"symbols": symbols}
    if table.startswith("algorithm."):
        bounded = "AND trade_date BETWEEN $first AND $last"
        parameters |= {"first": rows.get_column(SESSION).min(), "last": rows.get_column(SESSION).max()}
    return reader.sql(
        f"SELECT {columns} FROM {table} WHERE list_contains($symbols, {quoted(symbol_column)}) {bounded}",  # noqa: S608
        parameters,
    ).pl()

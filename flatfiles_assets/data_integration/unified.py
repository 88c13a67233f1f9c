"""One long table per session and symbol: prices, and beside them what was known of the company.

Here: which kinds of data can be joined, and how each is joined as of its date. Not here: prices
themselves (`bars.py`), and what the terms of the result do to per-share figures (`share_terms.py`).

A statement counts from the first session after the day it was filed: a filing after the close is
not known at that day's close, and whether it came before is not recorded.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from flatfiles_assets.algorithms.adjustments import splits_table
from flatfiles_assets.algorithms.frames import SESSION, SYMBOL
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.algorithms.requested_prices import FACTOR_COLUMNS, RequestedPrices
from flatfiles_assets.data_integration import frames, share_terms
from flatfiles_assets.data_integration.bars import bars_table
from flatfiles_assets.data_integration.errors import NoData
from flatfiles_assets.errors import UnexpectedColumns
from flatfiles_assets.escaping import quoted
from flatfiles_assets.warehouse.errors import TableNotFound
from flatfiles_assets.warehouse.prices import ReferenceMissing, read_corporate_actions
from flatfiles_assets.warehouse.reading import WarehouseReader

PRICES = "prices"

# What people call the symbol and the day on which a statement became public; the first present counts.
_SYMBOL_COLUMNS = ("ticker", "symbol")
_FILED_COLUMNS = ("filing_date", "filed_date", "filed", "accepted_date", "publication_date", "report_date")
_PERIOD_COLUMNS = ("end_date", "period_end", "period_of_report_date", "fiscal_year")
_KNOWN = "_known_from"


@dataclasses.dataclass(frozen=True)
class Joining:
    """What every join may need.

    Attributes:
        reader: The warehouse.
        prices: The prices beside which data are put, and the terms of the result.
        bars: ``session`` and ``symbol`` of every bar, those of the look-back included.
    """

    reader: WarehouseReader
    prices: RequestedPrices
    bars: pl.DataFrame


def join_financials(joining: Joining, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns of the latest statement filed before each session.

    Per-share figures and numbers of shares are in the terms of the result.

    Args:
        joining: The warehouse, and the result's terms.
        name: ``financials`` or ``us_financials``.
        rows: ``session`` and ``symbol``, the factors of the prices, and more.

    Returns:
        The rows in the same order, with every column of the statements; one whose name is taken
        already is prefixed with ``<name>_``.
    """
    table, reader = f"market.{name}", joining.reader
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
    originals = [(taken.get(each, each), each) for each in columns if each != symbol]
    splits = _splits_since_first(joining, joined)
    joined = share_terms.statements_in_terms(joined.sort("_row"), originals, _KNOWN, splits)
    return joined.drop("_row", _KNOWN, strict=False)


def _splits_since_first(joining: Joining, rows: pl.DataFrame) -> pa.Table:
    """The splits from the first filing on; none where the table was never loaded."""
    first = rows.get_column(_KNOWN).min()
    if not isinstance(first, dt.date):
        return _NO_SPLITS
    symbols = joining.prices.symbols
    try:
        days = [first, joining.prices.published.sessions[-1].item()]
        return read_corporate_actions(joining.reader, "splits", days, symbols).splits
    except ReferenceMissing:
        return _NO_SPLITS


def join_splits(joining: Joining, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with ``split_ratio``, shares after over before, on the first bars in new shares."""
    _reference(joining.reader, name)
    actions = read_corporate_actions(joining.reader, "splits", _days(joining), joining.prices.symbols)
    return share_terms.on_next_bar(rows, share_terms.split_events(actions.splits), joining.bars)


def join_dividends(joining: Joining, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with ``dividend``, USD a share in the result's terms, on the first bars from the ex-dates on."""
    table, days = _reference(joining.reader, name), _days(joining)
    dividends = joining.reader.sql(
        f"SELECT ticker, ex_date, cash_amount, currency FROM {table} "  # noqa: S608
        "WHERE list_contains($symbols, ticker) AND ex_date BETWEEN $first AND $last ORDER BY ALL",
        {"symbols": list(joining.prices.symbols), "first": days[0], "last": days[-1]},
    ).to_arrow()
    events = share_terms.dividend_events(dividends, joining.prices)
    return share_terms.dividends_in_terms(share_terms.on_next_bar(rows, events, joining.bars), joining.prices)


def join_features(joining: Joining, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the stored features of ``algorithm/<name>``, whose adjustment is ``<name>_adjustment``."""
    table = f"algorithm.{name}"
    _columns(joining.reader, name, table)
    features = _of_symbols(joining.reader, table, "ticker", rows).rename(
        {"trade_date": SESSION, "ticker": SYMBOL, "adjustment": f"{name}_adjustment"}
    )
    taken = [each for each in features.columns if each in rows.columns and each not in (SESSION, SYMBOL)]
    names = {each: f"{name}_{each}" for each in taken}
    joined = rows.join(features.rename(names), on=[SESSION, SYMBOL], how="left", maintain_order="left")
    # They are stored in the terms of their own sessions.
    factors = {"price": "price_factor", "volume": "volume_factor"}
    return joined.with_columns(
        pl.col(names.get(column.name, column.name)) * pl.col(factors[column.terms])
        for column in ALGORITHMS[name].columns
        if column.terms in factors and column.name in features.columns
    )


Join = Callable[[Joining, str, pl.DataFrame], pl.DataFrame]

JOINS: Mapping[str, Join] = {
    "financials": join_financials,
    "us_financials": join_financials,
    "splits": join_splits,
    "dividends": join_dividends,
    **{algorithm.name: join_features for algorithm in ALGORITHMS.values() if algorithm.is_per_symbol},
}
DATA_TYPES: tuple[str, ...] = (PRICES, *JOINS)


def unify(reader: WarehouseReader, prices: RequestedPrices, kinds: Sequence[str]) -> pl.DataFrame:
    """One row per session and symbol with a bar, with the kinds of data asked for beside each other.

    The factors of the prices are always there: what is joined is brought into the result's terms.
    """
    whole = dataclasses.replace(prices, rows=slice(0, prices.rows.stop))
    bars = frames.to_polars(bars_table(prices))
    joining = Joining(reader, prices, frames.to_polars(bars_table(whole)).select(SESSION, SYMBOL))
    rows = bars if PRICES in kinds else bars.select(SESSION, SYMBOL, *_FACTORS)
    for kind in kinds:
        if kind in JOINS:
            rows = JOINS[kind](joining, kind, rows)
    return rows


_NO_SPLITS = splits_table([])
_FACTORS = tuple(column.name for column in FACTOR_COLUMNS)


def _days(joining: Joining) -> list[dt.date]:
    days = joining.prices.published.sessions
    return [days[0].item(), days[joining.prices.rows.stop - 1].item()]


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

"""One long table per session and symbol: prices, and beside them what was known of the company.

Here: which kinds of data can be joined, and how each is joined as of its date. Not here: prices
themselves (`bars.py`), and what the terms of the result do to per-share figures (`share_terms.py`).

A statement counts from the first session after the day on which it was published: a filing after the
close is not known at that day's close. Which day that is, and which statement is the latest, is in
`statements`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
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
from flatfiles_assets.data_integration.option_quotes import CONTRACTS, PER_SHARE, read_option_quotes
from flatfiles_assets.data_integration.statement_columns import Timeframe, find_columns
from flatfiles_assets.data_integration.statements import (
    FRAME,
    KNOWN,
    UNDATED_SINCE,
    known_states,
    mixes_timeframes,
)
from flatfiles_assets.escaping import quoted
from flatfiles_assets.warehouse.action_records import ActionRecords
from flatfiles_assets.warehouse.errors import TableNotFound
from flatfiles_assets.warehouse.identities import PanelColumns
from flatfiles_assets.warehouse.prices import ReferenceMissing, actions_of
from flatfiles_assets.warehouse.reading import WarehouseReader

PRICES, OPTIONS = "prices", "options"

_KNOWN_FROM = "_known_from"


@dataclasses.dataclass
class StatementTerms:
    """How statements are joined, and what is to be said of it.

    Attributes:
        lag_days: Days after a period's end from which a statement counts that says no day of publication.
        timeframe: Statements of which alone are joined; None for all.
        notes: By data type, what became of its rows, in terms of JSON.
    """

    lag_days: int
    timeframe: Timeframe | None = None
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Joining:
    """What every join may need.

    Attributes:
        reader: The warehouse.
        prices: The prices beside which data are put, and the terms of the result.
        columns: Who the symbols are, and which records are about them.
        statements: How statements are joined; takes what became of them.
        as_of: The day that is asked from.
    """

    reader: WarehouseReader
    prices: RequestedPrices
    columns: PanelColumns
    statements: StatementTerms
    as_of: dt.date | None = None

    @functools.cached_property
    def bars(self) -> pl.DataFrame:
        """``session`` and ``symbol`` of every bar, those of the look-back included."""
        whole = dataclasses.replace(self.prices, rows=slice(0, self.prices.rows.stop))
        return frames.to_polars(bars_table(whole)).select(SESSION, SYMBOL)


def join_financials(joining: Joining, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns of the latest period's statement that was published before each session.

    Per-share figures and numbers of shares are in the terms of the result.

    Args:
        joining: The warehouse, and the result's terms.
        name: ``financials`` or ``us_financials``.
        rows: ``session`` and ``symbol``, the factors of the prices, and more.

    Returns:
        The rows in the same order, with every column of the statements; one whose name is taken
        already is prefixed with ``<name>_``.
    """
    table, reader, terms = f"market.{name}", joining.reader, joining.statements
    symbol = find_columns(_columns(reader, name, table), table).symbol
    stored = reader.sql(
        f"SELECT * FROM {table} WHERE {quoted(symbol)} IN (SELECT unnest($tickers))",  # noqa: S608
        {"tickers": joining.columns.tickers},
    ).pl()
    companies_of = functools.partial(_companies_of, joining)
    states, report = known_states(stored, terms.lag_days, table, terms.timeframe, companies_of)
    by_turns = mixes_timeframes(states, symbol)
    columns = [each for each in states.columns if each not in (FRAME, KNOWN, UNDATED_SINCE)]
    taken = {each: f"{name}_{each}" for each in columns if each in rows.columns and each != symbol}
    states = states.drop(FRAME).rename({**taken, symbol: SYMBOL, KNOWN: _KNOWN_FROM})
    numbered = rows.with_row_index("_row").sort(SESSION)
    joined = numbered.join_asof(
        states.sort(_KNOWN_FROM),
        left_on=SESSION,
        right_on=_KNOWN_FROM,
        by=SYMBOL,
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
        coalesce=False,
    )
    originals = [(taken.get(each, each), each) for each in columns if each != symbol]
    splits = _splits_since_first(joining, joined)
    matches = _matches(joined, states)
    joined, of_unknown_shares = share_terms.statements_in_terms(
        joined.sort("_row"), originals, _KNOWN_FROM, UNDATED_SINCE, splits
    )
    terms.notes[name] = {
        **report.in_json(),
        **matches,
        "of_unknown_shares": of_unknown_shares,
        "timeframe": terms.timeframe,
        "symbols_of_several_timeframes": sorted(by_turns),
    }
    return joined.drop("_row", _KNOWN_FROM, UNDATED_SINCE, strict=False)


def _matches(joined: pl.DataFrame, states: pl.DataFrame) -> dict[str, Any]:
    """How many rows have a statement, and which symbols never have one."""
    matched = int(joined.get_column(_KNOWN_FROM).is_not_null().sum())
    known = states.get_column(SYMBOL).unique().to_list()
    asked = joined.get_column(SYMBOL).unique().sort().to_list()
    return {
        "matched": matched,
        "unmatched": joined.height - matched,
        "symbols_without_statement": [symbol for symbol in asked if symbol not in known],
    }


def _splits_since_first(joining: Joining, rows: pl.DataFrame) -> pa.Table:
    """The splits from the first filing on; none where the table was never loaded."""
    first = rows.select(pl.min_horizontal(pl.col(_KNOWN_FROM, UNDATED_SINCE).min())).item()
    if not isinstance(first, dt.date):
        return _NO_SPLITS
    try:
        days = [first, joining.prices.published.sessions[-1].item()]
        return actions_of(joining.reader, "splits", days, joining.columns, until=joining.as_of).splits
    except ReferenceMissing:
        return _NO_SPLITS


def join_splits(joining: Joining, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with ``split_ratio``, shares after over before, on the first bars in new shares."""
    _reference(joining.reader, name)
    actions = actions_of(joining.reader, "splits", _days(joining), joining.columns, until=joining.as_of)
    return share_terms.on_next_bar(rows, share_terms.split_events(actions.splits), joining.bars)


def join_dividends(joining: Joining, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with ``dividend``, USD a share in the result's terms, on the first bars from the ex-dates on."""
    _reference(joining.reader, name)
    days, columns = _days(joining), joining.columns
    with joining.reader.held() as held:
        records = ActionRecords(held, columns.securities, set(columns.tickers), joining.as_of)
        dividends, _ = records.dividends(days[0], days[-1])
    dividends = columns.by_security_id(dividends)
    events = share_terms.dividend_events(dividends, joining.prices)
    return share_terms.dividends_in_terms(share_terms.on_next_bar(rows, events, joining.bars), joining.prices)


def join_features(joining: Joining, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the stored features of ``algorithm/<name>``, whose adjustment is ``<name>_adjustment``."""
    table = f"algorithm.{name}"
    _columns(joining.reader, name, table)
    stored = joining.reader.sql(
        f"SELECT * FROM {table} "  # noqa: S608
        "WHERE ticker IN (SELECT unnest($tickers)) AND trade_date BETWEEN $first AND $last",
        {
            "tickers": joining.columns.tickers,
            "first": rows.get_column(SESSION).min(),
            "last": rows.get_column(SESSION).max(),
        },
    ).to_arrow()
    features = pl.DataFrame(joining.columns.by_security_or_ticker(stored, "trade_date")).rename(
        {"trade_date": SESSION, "ticker": SYMBOL, "adjustment": f"{name}_adjustment"}
    )
    features = features.drop("security_id", strict=False)
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


def join_options(joining: Joining, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of each contract on the symbol that was traded or quoted on the session, in the result's terms.

    A session and symbol without one keeps its row; a column whose name is taken is ``options_…``.
    """
    first, last = rows.get_column(SESSION).min(), rows.get_column(SESSION).max()
    if not (isinstance(first, dt.date) and isinstance(last, dt.date)):
        first = last = dt.date.min
    quotes = read_option_quotes(joining.reader, joining.columns.tickers, first, last)
    # The feed's contracts are on whoever had the ticker on that day; somebody's files may name it by a later.
    stored = quotes.rename({"session": "trade_date", "underlying": "ticker"})
    is_filed = pl.col("source") == "directory"
    placed = pl.concat(
        pl.DataFrame(
            place(stored.filter(rows_of).to_arrow(compat_level=pl.CompatLevel.oldest()), "trade_date")
        )
        for place, rows_of in ((joining.columns.by_quote, ~is_filed), (joining.columns.by_column, is_filed))
    ).sort("trade_date", "ticker", "expiry", "strike", "option_type", "root", maintain_order=True)
    placed = placed.rename({"trade_date": SESSION, "ticker": SYMBOL}).drop("security_id", strict=False)
    keys = (SESSION, SYMBOL)
    names = {c: f"{name}_{c}" for c in placed.columns if c in rows.columns and c not in keys}
    joined = rows.join(placed.rename(names), on=list(keys), how="left", maintain_order="left")
    factors = dict.fromkeys(PER_SHARE, "price_factor") | dict.fromkeys(CONTRACTS, "volume_factor")
    return joined.with_columns(
        pl.col(names.get(column, column)) * pl.col(factor) for column, factor in factors.items()
    )


Join = Callable[[Joining, str, pl.DataFrame], pl.DataFrame]

JOINS: Mapping[str, Join] = {
    "financials": join_financials,
    "us_financials": join_financials,
    "splits": join_splits,
    "dividends": join_dividends,
    OPTIONS: join_options,
    **{algorithm.name: join_features for algorithm in ALGORITHMS.values() if algorithm.is_per_symbol},
}
DATA_TYPES: tuple[str, ...] = (PRICES, *JOINS)


def unify(joining: Joining, kinds: Sequence[str]) -> pl.DataFrame:
    """One row per session and symbol with a bar, with the kinds of data asked for beside each other.

    With options among them, one row per contract on each.

    The factors of the prices are always there: what is joined is brought into the result's terms.
    """
    bars = frames.to_polars(bars_table(joining.prices))
    rows = bars if PRICES in kinds else bars.select(SESSION, SYMBOL, *_FACTORS)
    # Contracts make several rows of one, so they come last.
    for kind in sorted(kinds, key=lambda kind: kind == OPTIONS):
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


def _companies_of(joining: Joining, tickers: pl.Series, known: pl.Series, ciks: pl.Series) -> pl.Series:
    """The symbols of the prices: a ticker's statement is its security's of the day of publication."""
    columns = joining.columns
    cases = list(zip(tickers.to_list(), known.to_list(), ciks.to_list(), strict=True))
    found = {case: columns.label_of_record(*case) for case in dict.fromkeys(cases)}
    return pl.Series([found[case] for case in cases], dtype=pl.String)

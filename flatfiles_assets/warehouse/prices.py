"""Prices of the warehouse as panels: which table they come from, and adjusted for what.

Here: reading day bars, splits and dividends for the algorithms. Not here: features of them
(`features.py`), storing anything, and bringing in what is missing (`data_integration`).
"""

# ruff: noqa: S608  (names are constants of this module, values are parameters)
from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.panel import Adjustment, PricePanel
from flatfiles_assets.datasets import CalendarName
from flatfiles_assets.warehouse.archive_terms import ArchiveTerms, archive_terms
from flatfiles_assets.warehouse.corporate_actions import CorporateActions as CorporateActions
from flatfiles_assets.warehouse.corporate_actions import ReferenceMissing as ReferenceMissing
from flatfiles_assets.warehouse.corporate_actions import read_corporate_actions as read_corporate_actions
from flatfiles_assets.warehouse.day_bars import PRICE_SOURCES
from flatfiles_assets.warehouse.errors import TableNotFound
from flatfiles_assets.warehouse.identities import PanelColumns, by_security
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.securities import stored_securities

CALENDAR: CalendarName = "XNYS"

# As an enumeration: a text for each of millions of bars would take a fifth of the time.
_SOURCE_COLUMN = "try_cast(bars.source AS ENUM('flat_files', 'historical')) AS source"
_SOURCE_TYPE = pa.dictionary(pa.uint8(), pa.string())


@dataclasses.dataclass(frozen=True)
class Bars:
    """Day bars as published: those of the archives in the terms of the flat files.

    Attributes:
        table: ``trade_date``, ``ticker`` and the columns asked for, in no particular order.
        missing_sessions: Sessions asked for of which no price source has anything, of any symbol.
        source_mix: Bars by source, e.g. ``{"flat_files": 1200}``.
        archive_terms: What the archives' bars were multiplied by, and which were left out.
    """

    table: pa.Table
    missing_sessions: tuple[dt.date, ...]
    source_mix: Mapping[str, int]
    archive_terms: ArchiveTerms


@dataclasses.dataclass(frozen=True)
class PanelWithSource:
    """A panel, who its columns are, and where its prices come from; see `Bars`."""

    panel: PricePanel
    columns: PanelColumns
    missing_sessions: tuple[dt.date, ...]
    source_mix: Mapping[str, int]
    archive_terms: ArchiveTerms


def sessions_with_lookback(
    first: dt.date, last: dt.date, lookback_sessions: int
) -> tuple[list[dt.date], int]:
    """Every session from `lookback_sessions` before the first to the last, and how many come before.

    Near the calendar's beginning there are fewer before.
    """
    before = calendars.sessions(CALENDAR, calendars.FIRST_DAY, first)
    if before and before[-1] == first:
        before.pop()
    before = before[max(len(before) - lookback_sessions, 0) :]
    return [*before, *calendars.sessions(CALENDAR, first, last)], len(before)


def read_bars(
    reader: WarehouseReader,
    sessions: Sequence[dt.date],
    symbols: Sequence[str] | PanelColumns | None = None,
    columns: Sequence[str] = ("close", "volume"),
) -> Bars:
    """Day bars of some sessions, each session from the first of `PRICE_SOURCES` that has it.

    Args:
        reader: The warehouse.
        sessions: Consecutive sessions, ascending.
        symbols: Which tickers, or whose bars: then ``ticker`` is the label of the column; None for all
            tickers.
        columns: Columns besides ``trade_date`` and ``ticker``.

    Raises:
        WarehouseMissing: Nothing was ever loaded.
    """
    if symbols is not None and not isinstance(symbols, PanelColumns):
        symbols = PanelColumns.by_ticker(symbols)
    lacking = list(sessions)
    tables: list[pa.Table] = []
    tickers = None if symbols is None else set(symbols.intervals["ticker"])
    terms = archive_terms(reader, sessions[0], sessions[-1], tickers) if sessions else ArchiveTerms()
    for source in PRICE_SOURCES:
        if not lacking:
            break
        try:
            rows = _read_source(reader, source, lacking, symbols, columns, terms)
            found = set(pc.unique(rows.column("trade_date")).to_pylist())
            without = [day for day in lacking if day not in found]
            stored = _stored_sessions(reader, source, without)
        except TableNotFound:
            continue
        tables.append(rows)
        lacking = [day for day in without if day not in stored]
    if not tables:
        types = {"trade_date": pa.date32(), "ticker": pa.string(), "source": _SOURCE_TYPE}
        names = ("trade_date", "ticker", *columns, "source")
        schema = pa.schema([(name, types.get(name, pa.float64())) for name in names])
        tables.append(schema.empty_table())
    table = pa.concat_tables(tables).unify_dictionaries()
    counts = table.column("source").value_counts().to_pylist()
    mix = {count["values"] or "other": int(count["counts"]) for count in counts}
    return Bars(table.drop_columns(["source"]), tuple(lacking), mix, terms)


def _read_source(
    reader: WarehouseReader,
    source: str,
    sessions: Sequence[dt.date],
    symbols: PanelColumns | None,
    columns: Sequence[str],
    terms: ArchiveTerms,
) -> pa.Table:
    constant = PRICE_SOURCES[source]
    chosen = ", ".join([f"bars.{name}" for name in columns] + ([] if constant else [_SOURCE_COLUMN]))
    parameters: dict[str, Any] = {"first": sessions[0], "last": sessions[-1]}
    by_symbol = ""
    ticker = "bars.ticker"
    bars = source
    if constant is None:
        bars, of_terms = terms.applied(source, columns)
        parameters |= of_terms
    if symbols is not None:
        # The column's number instead of its text: the text of millions of rows costs more than the prices.
        parameters |= {f"of_{name}": values for name, values in symbols.intervals.items()}
        by_symbol = (
            "JOIN (SELECT unnest($of_ticker) AS ticker, unnest($of_number) AS number,"
            " unnest($of_first) AS first, unnest($of_last) AS last) columns"
            " ON bars.ticker = columns.ticker AND bars.trade_date BETWEEN columns.first AND columns.last"
        )
        ticker = "number::INTEGER"
    rows = reader.scan(
        f"SELECT bars.trade_date, {ticker} AS ticker, {chosen} "
        f"FROM {bars} bars {by_symbol} WHERE bars.trade_date BETWEEN $first AND $last",
        parameters,
    ).to_arrow()
    if constant:
        codes = pa.array(np.zeros(len(rows), dtype=np.uint8))
        rows = rows.append_column("source", pa.DictionaryArray.from_arrays(codes, pa.array([constant])))
    if symbols is not None:
        names = pa.array(symbols.labels, pa.string())
        chunks = [pa.DictionaryArray.from_arrays(chunk, names) for chunk in rows.column("ticker").chunks] or [
            pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), names)
        ]
        rows = rows.set_column(1, "ticker", pa.chunked_array(chunks))
    if len(sessions) < len(calendars.sessions(CALENDAR, sessions[0], sessions[-1])):
        rows = rows.filter(pc.is_in(rows.column("trade_date"), pa.array(sessions, pa.date32())))
    return rows


def _stored_sessions(reader: WarehouseReader, source: str, sessions: Collection[dt.date]) -> set[dt.date]:
    """Which of those sessions a source has bars of, of any symbol."""
    if not sessions:
        return set()
    rows = reader.sql(
        f"SELECT DISTINCT trade_date FROM {source} WHERE trade_date BETWEEN $first AND $last",
        {"first": min(sessions), "last": max(sessions)},
    )
    return {day for (day,) in rows.fetchall()} & set(sessions)


def missing_sessions(reader: WarehouseReader, sessions: Sequence[dt.date]) -> list[dt.date]:
    """Which of those sessions no price source has anything of."""
    lacking = list(sessions)
    for source in PRICE_SOURCES:
        try:
            stored = _stored_sessions(reader, source, lacking)
        except TableNotFound:
            continue
        lacking = [day for day in lacking if day not in stored]
    return lacking


def read_panel(
    reader: WarehouseReader,
    sessions: Sequence[dt.date],
    symbols: Sequence[str] | PanelColumns,
    columns: Sequence[str] = ("close", "volume"),
) -> PanelWithSource:
    """Published prices of some sessions as a panel.

    Args:
        reader: The warehouse.
        sessions: Consecutive sessions, ascending.
        symbols: The panel's columns.
        columns: ``close`` and ``volume``, and any of ``open``, ``high``, ``low``.
    """
    wanted = symbols if isinstance(symbols, PanelColumns) else PanelColumns.by_ticker(symbols)
    bars = read_bars(reader, sessions, wanted, columns)
    panel = PricePanel.from_arrow(bars.table, sessions, wanted.labels)
    return _with_source(panel, bars, wanted)


def read_market(
    reader: WarehouseReader, sessions: Sequence[dt.date], columns: Sequence[str] = ("close", "volume")
) -> PanelWithSource:
    """As `read_panel`, of whatever has a bar: a column per security, or per ticker where none are known."""
    with reader.held() as held:
        bars = read_bars(held, sessions, None, columns)
        securities = stored_securities(held)
    if securities is None:
        panel = PricePanel.from_arrow(bars.table, sessions)
        return _with_source(panel, bars, PanelColumns.by_ticker(panel.symbols, whole_market=True))
    table, of_market = by_security(bars.table, securities)
    return _with_source(PricePanel.from_arrow(table, sessions, of_market.labels), bars, of_market)


def _with_source(panel: PricePanel, bars: Bars, columns: PanelColumns) -> PanelWithSource:
    panel = dataclasses.replace(panel, identity=columns.identity)
    return PanelWithSource(panel, columns, bars.missing_sessions, bars.source_mix, bars.archive_terms)


def actions_of(
    reader: WarehouseReader,
    adjust: Adjustment,
    sessions: Sequence[dt.date],
    columns: PanelColumns,
    *,
    until: dt.date | None = None,
) -> CorporateActions:
    """The splits and dividends of a panel's columns, whose labels are the ``ticker`` of the result.

    Args:
        reader: The warehouse.
        adjust: What prices are adjusted for.
        sessions: The panel's sessions.
        columns: Whose.
        until: Nothing dated later is used.

    Raises:
        ReferenceMissing: The table was never loaded.
    """
    found = read_corporate_actions(
        reader, adjust, sessions, columns.asked_tickers, securities=columns.securities, until=until
    )
    return dataclasses.replace(
        found, splits=columns.by_security_id(found.splits), dividends=columns.by_security_id(found.dividends)
    )


def has_splits(reader: WarehouseReader) -> bool:
    """Whether the table of splits was ever loaded."""
    return "reference.splits" in reader.tables()


def bars_per_symbol(panel: PricePanel, rows: slice) -> np.ndarray:
    """Number of bars of each symbol in those rows, shape (n_symbols,)."""
    counts: np.ndarray = panel.has_bar[rows].sum(axis=0)
    return counts

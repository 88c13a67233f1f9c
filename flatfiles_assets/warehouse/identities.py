"""From tickers to the columns of a panel: each security once, with its history under other names.

Here: `PanelColumns`, for symbols that somebody asks for and for the whole market, and which records
are about which column. Not here: how securities are told apart (`securities.py`), reading bars
(`prices.py`).

A ticker means the security that it is on the day asked from. What the table of securities does not
cover, because it was loaded since or the table was never made, is taken by ticker; the gaps in it
end a series all the same (`panel.MAX_GAP_SESSIONS`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.panel import BoolArray
from flatfiles_assets.algorithms.panel_identity import PanelIdentity, TickerSpan
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.securities import SecurityMap, securities_of, stored_securities
from flatfiles_assets.warehouse.tables import SECURITIES

#: What a symbol means: a security with its whole history, or whatever bears the ticker on each day.
Identity = Literal["security", "ticker"]

T = TypeVar("T")

_ALWAYS = (calendars.FIRST_DAY, calendars.LAST_DAY)


@dataclasses.dataclass(frozen=True)
class PanelColumns:
    """Whose bars are the columns of a panel.

    Attributes:
        labels: Distinct names of the columns: as asked for, or security ids.
        identity: Which securities they are, and the bars of which tickers are theirs when.
        keys: What `securities` calls each column: a security's id, or a ticker of which none is known.
        securities: The securities of these tickers, and tickers that stand for themselves.
        asked_tickers: Every ticker that a column bore; None for those of the whole market.
    """

    labels: tuple[str, ...]
    identity: PanelIdentity
    keys: tuple[str, ...]
    securities: SecurityMap
    asked_tickers: tuple[str, ...] | None

    @property
    def tickers(self) -> list[str]:
        """Every ticker that a column bore, sorted."""
        return sorted({span.ticker for spans in self.identity.spans for span in spans})

    @property
    def intervals(self) -> dict[str, list[Any]]:
        """One row per span: ``ticker``, ``first``, ``last`` and the number of the column."""
        rows = [(s.ticker, s.first, s.last, n) for n, spans in enumerate(self.identity.spans) for s in spans]
        columns = zip(*rows, strict=True) if rows else ((), (), (), ())
        return dict(zip(("ticker", "first", "last", "number"), map(list, columns), strict=True))

    def by_column(self, records: pa.Table, date_column: str) -> pa.Table:
        """Records whose ``ticker`` is the label of the column that each is about; others are left out.

        Vendors file records under a ticker that the security bore later, or another one bears now.
        """
        days = records.column(date_column).cast(pa.date32()).to_pylist()
        cases = list(zip(records.column("ticker").to_pylist(), days, strict=True))
        known = {case: self.securities.record_security(*case) for case in set(cases)}
        return self._labelled(records, [known[case] for case in cases])

    def by_quote(self, records: pa.Table, date_column: str) -> pa.Table:
        """As `by_column`, of rows under the ticker of their own day: a later bearer's are none of them."""
        days = records.column(date_column).cast(pa.date32()).to_pylist()
        cases = list(zip(records.column("ticker").to_pylist(), days, strict=True))
        known = {case: self.securities.quoted_security(*case) for case in set(cases)}
        return self._labelled(records, [known[case] for case in cases])

    def label_of_record(self, ticker: str, on: dt.date, cik: str = "") -> str | None:
        """The label of the column that a record is about; None for a security that is no column.

        Args:
            ticker: Ticker that the record is filed under.
            on: Its day.
            cik: The SEC's number of the issuer without leading zeros; empty where the record has none.
        """
        key = self.securities.record_security(ticker, on, cik)
        return None if key is None or key not in self.keys else self.labels[self.keys.index(key)]

    def by_security_id(self, records: pa.Table) -> pa.Table:
        """As `by_column`, of records that say their ``security_id``."""
        if "security_id" not in records.column_names:
            return records  # none at all
        place = pc.index_in(records.column("security_id"), pa.array(self.keys, pa.string()))
        labels = pa.array(self.labels, pa.string()).take(place.combine_chunks())
        number = records.column_names.index("ticker")
        return records.set_column(number, "ticker", labels).filter(labels.is_valid())

    def by_security_or_ticker(self, records: pa.Table, date_column: str) -> pa.Table:
        """As `by_security_id`, and as `by_column` where rows were stored before their security was known."""
        if "security_id" not in records.column_names or not any(self.identity.security_ids):
            return self.by_column(records, date_column)
        nameless = records.column("security_id").is_null()
        parts = [self.by_security_id(records)]
        if pc.any(nameless).as_py():
            parts.append(self.by_column(records.filter(nameless), date_column))
        return pa.concat_tables(parts)

    def _labelled(self, records: pa.Table, keys: Sequence[str | None]) -> pa.Table:
        label_of = dict(zip(self.keys, self.labels, strict=True))
        labels = pa.array([None if key is None else label_of.get(key) for key in keys], pa.string())
        place = records.column_names.index("ticker")
        return records.set_column(place, "ticker", labels).filter(labels.is_valid())

    @classmethod
    def by_ticker(cls, symbols: Sequence[str], *, whole_market: bool = False) -> PanelColumns:
        """A column per ticker, whatever it meant."""
        securities = _with_tickers(SecurityMap(SECURITIES.arrow_schema.empty_table()), symbols)
        return cls._of_keys(
            securities,
            [(symbol, symbol) for symbol in symbols],
            set(symbols),
            None if whole_market else symbols,
        )

    @classmethod
    def of_symbols(cls, symbols: Sequence[str], on: dt.date, securities: SecurityMap | None) -> PanelColumns:
        """A column per security that the symbols mean on a day, under the first symbol that means it."""
        if securities is None:
            return cls.by_ticker(symbols)
        unknown = {symbol for symbol in symbols if not securities.securities_of_ticker(symbol)}
        known = _with_tickers(securities, sorted(unknown))
        found: dict[str, str] = {}
        for symbol in symbols:
            found.setdefault(known.resolve(symbol, on) or symbol, symbol)
        columns = [(symbol, key) for key, symbol in found.items()]
        return cls._of_keys(known, columns, unknown, symbols)

    @classmethod
    def of_members(
        cls, members: Sequence[tuple[str | None, str]], securities: SecurityMap | None
    ) -> PanelColumns:
        """A column per security, or per ticker of which none is known, under a ticker of its own.

        Args:
            members: Distinct security and ticker of each.
            securities: What the warehouse knows of all of them; None for nothing.
        """
        if securities is None:
            return cls.by_ticker([ticker for _, ticker in members])
        unknown = {ticker for security_id, ticker in members if security_id is None}
        known = _with_tickers(securities, sorted(unknown))
        taken: dict[str, int] = {}
        for _, ticker in members:
            taken[ticker] = taken.get(ticker, 0) + 1
        columns = [
            # Two securities bore one ticker in the range: then the ticker alone is no name.
            (ticker if taken[ticker] == 1 else f"{ticker} {security_id}", security_id or ticker)
            for security_id, ticker in members
        ]
        return cls._of_keys(known, columns, unknown, [ticker for _, ticker in members])

    @classmethod
    def of_market(cls, securities: SecurityMap, tickers: Sequence[str]) -> PanelColumns:
        """A column per security, and per ticker that the securities do not know.

        They are in the order of their ids, which no later rename changes.
        """
        unknown = {ticker for ticker in tickers if not securities.securities_of_ticker(ticker)}
        known = _with_tickers(securities, sorted(unknown))
        return cls._of_keys(known, [(key, key) for key in known.ids], unknown, None)

    @classmethod
    def _of_keys(
        cls,
        securities: SecurityMap,
        columns: Sequence[tuple[str, str]],
        unknown: Collection[str],
        asked: Sequence[str] | None,
    ) -> PanelColumns:
        """Columns of label and key; unknown keys are tickers of which no security is known."""
        spans = tuple(
            tuple(TickerSpan(span.ticker, span.first, span.last) for span in securities.spans(key))
            for _, key in columns
        )
        ids = tuple(None if key in unknown else key for _, key in columns)
        tickers = None if asked is None else tuple({*asked, *(s.ticker for each in spans for s in each)})
        return cls(
            tuple(label for label, _ in columns),
            PanelIdentity(ids, spans),
            tuple(key for _, key in columns),
            securities,
            tickers,
        )

    def chosen(self, columns: BoolArray) -> PanelColumns:
        """Some of the columns."""
        kept = np.flatnonzero(columns).tolist()

        def of(values: Sequence[T]) -> tuple[T, ...]:
            return tuple(values[number] for number in kept)

        identity = PanelIdentity(of(self.identity.security_ids), of(self.identity.spans))
        return dataclasses.replace(self, labels=of(self.labels), identity=identity, keys=of(self.keys))


def _with_tickers(securities: SecurityMap, tickers: Sequence[str]) -> SecurityMap:
    """The securities, and tickers that are taken for one of their own, from always to always."""
    if not tickers:
        return securities
    first, last = (pa.repeat(pa.scalar(day, pa.date32()), len(tickers)) for day in _ALWAYS)
    names = pa.array(tickers, pa.string())
    rows = {"security_id": names, "ticker": names, "first_session": first, "last_session": last}
    columns = [rows.get(f.name, pa.nulls(len(tickers), f.type)) for f in SECURITIES.arrow_schema]
    added = pa.Table.from_arrays(columns, schema=SECURITIES.arrow_schema)
    return SecurityMap(pa.concat_tables([securities.table, added], promote_options="permissive"))


def columns_of_symbols(
    reader: WarehouseReader,
    symbols: Sequence[str],
    on: dt.date,
    identity: Identity,
    *,
    bars_between: tuple[dt.date, dt.date] | None = None,
) -> PanelColumns:
    """What some symbols mean on a day.

    Args:
        reader: The warehouse.
        symbols: Distinct tickers.
        on: The day asked from.
        identity: What a symbol means.
        bars_between: Look at the bars of these days, too, for securities that are not on record.
    """
    if identity == "ticker":
        return PanelColumns.by_ticker(symbols)
    if bars_between is not None:
        securities: SecurityMap | None = securities_of(reader, symbols, *bars_between)
    else:
        securities = stored_securities(reader, symbols)
    return PanelColumns.of_symbols(symbols, on, securities)


def by_security(bars: pa.Table, securities: SecurityMap) -> tuple[pa.Table, PanelColumns]:
    """Bars of a market whose ``ticker`` is the label of the security each is of, and the columns.

    Args:
        bars: ``trade_date``, ``ticker`` as published, and more.
        securities: What the warehouse knows of all.
    """
    encoded = bars.column("ticker").cast(pa.string()).combine_chunks().dictionary_encode()
    names: list[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    everybody = PanelColumns.of_market(securities, names)
    meanings: dict[str, list[tuple[dt.date, dt.date, int]]] = {}
    for number, spans in enumerate(everybody.identity.spans):
        for span in spans:
            meanings.setdefault(span.ticker, []).append((span.first, span.last, number))
    column_of_code = np.array([meanings[name][0][2] if name in meanings else -1 for name in names])
    numbers = column_of_code[codes] if len(codes) else np.zeros(0, dtype=np.int64)
    dated = [code for code, name in enumerate(names) if not _is_always(meanings.get(name, []))]
    if dated:
        days = bars.column("trade_date").cast(pa.date32()).to_numpy().astype("datetime64[D]")
        suspects = np.flatnonzero(np.isin(codes, dated))
        for code in dated:
            cells = suspects[codes[suspects] == code]
            numbers[cells] = -1
            for first, last, number in meanings.get(names[code], []):
                inside = (days[cells] >= np.datetime64(first)) & (days[cells] <= np.datetime64(last))
                numbers[cells[inside]] = number
    present = np.zeros(len(everybody.labels), dtype=np.bool_)
    present[numbers[numbers >= 0]] = True
    columns = everybody.chosen(present)
    place = np.cumsum(present) - 1
    labels = pa.DictionaryArray.from_arrays(
        pa.array(place[numbers].astype(np.int32), mask=numbers < 0), pa.array(columns.labels, pa.string())
    )
    labelled = bars.set_column(bars.column_names.index("ticker"), "ticker", labels)
    return labelled.filter(labels.is_valid()), columns


def _is_always(meanings: Sequence[tuple[dt.date, dt.date, int]]) -> bool:
    return len(meanings) == 1 and meanings[0][:2] == _ALWAYS

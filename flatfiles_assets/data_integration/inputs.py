"""From a checked request to what it needs: prices and corporate actions, brought in if missing.

Here: the reading of a request's input, and which symbols there are. Not here: the request
(`data_request.py`), what is made of the input (`algorithms/`, `integration.py`), and how missing
sessions are loaded (`availability.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.panel import Adjustment, PricePanel, has_long_gaps
from flatfiles_assets.algorithms.requested_prices import RequestedPrices
from flatfiles_assets.algorithms.universe import Universe
from flatfiles_assets.calendars import DateLike, parse_date, parse_range
from flatfiles_assets.data_integration import availability
from flatfiles_assets.data_integration.data_request import DataRequest
from flatfiles_assets.data_integration.errors import (
    CoverageWarning,
    NoData,
    UnknownSymbol,
    closest,
    warn_caller,
)
from flatfiles_assets.errors import FlatFilesError, InvalidArgument, MissingCredentials
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.day_bars import PRICE_SOURCES
from flatfiles_assets.warehouse.errors import WarehouseMissing
from flatfiles_assets.warehouse.identities import columns_of_symbols
from flatfiles_assets.warehouse.prices import (
    CALENDAR,
    CorporateActions,
    PanelWithSource,
    ReferenceMissing,
    actions_of,
    bars_per_symbol,
    read_panel,
)
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.universe import columns_of_members, read_universe

_MOST_NAMED = 5
# The exchange was never closed for longer since 2002.
_LONGEST_CLOSURE = dt.timedelta(days=14)


@dataclasses.dataclass(frozen=True)
class Input:
    """What a request read: published prices and the corporate actions of its adjustment."""

    request: DataRequest
    read: PanelWithSource
    actions: CorporateActions
    adjust: Adjustment
    #: The number of the warehouse's state that was read; None of a file that remembers none.
    state: int | None = None

    def content_hash(self) -> str:
        """Hash of everything that a result depends on besides the request."""
        digest = hashlib.blake2b(digest_size=16)
        panel = self.read.panel
        for matrix in (panel.close, panel.volume, panel.members):
            if matrix is not None:
                digest.update(np.ascontiguousarray(matrix).data)
        for table in (self.actions.splits, self.actions.dividends, self.actions.not_as_recorded):
            digest.update(repr(table.to_pylist()).encode())
        digest.update(repr((panel.symbols, panel.identity, self.read.archive_terms)).encode())
        digest.update(repr((self.adjust, self.read.missing_sessions, dict(self.read.source_mix))).encode())
        return digest.hexdigest()

    def prices(self) -> RequestedPrices:
        """The prices in the terms of the request."""
        published = self.read.panel
        return RequestedPrices(
            published=published,
            dated=self.actions.adjust(published, self.adjust, anchor="first"),
            rows=self.request.rows,
            own_terms=self.request.terms == "own",
            members=published.members,
        )


@dataclasses.dataclass(frozen=True)
class _Stored:
    """What one state of the warehouse has for a request.

    Attributes:
        prices: None where there is no warehouse yet, and `nothing` says so.
        actions: None where their table was never loaded.
        state: The state's number.
    """

    prices: PanelWithSource | None
    actions: CorporateActions | None
    state: int | None = None
    nothing: WarehouseMissing | None = None


class InputReader:
    """Reads the input of requests, and has it loaded where it is missing and wanted.

    Args:
        settings: Where the vendor's bucket and the reference files are.
        warehouse: What is read.
    """

    def __init__(self, settings: Settings, warehouse: Warehouse) -> None:
        self._settings = settings
        self._warehouse = warehouse
        self._reader = warehouse.reader()

    def can_improve(self, missing: Sequence[dt.date], adjustment: str, request: DataRequest) -> bool:
        """Whether asking the vendor could add to what is there."""
        if self._warehouse.as_of is not None:
            return False
        if adjustment == "none" and request.adjust is None:
            return availability.can_materialize_reference(self._settings)
        return bool(availability.worth_asking(self._settings, self._warehouse, missing))

    def read(self, request: DataRequest, *, ensure: bool) -> Input:
        """The input of a request.

        Args:
            request: What is asked for.
            ensure: Have the range's missing sessions loaded first.

        Raises:
            NoData: There is nothing of these symbols in the range.
            UnknownSymbol: The warehouse never saw a symbol.
            ReferenceMissing: The adjustment's table was never loaded.
            MissingCredentials: Everything is missing, and no access key is set to fetch it.
        """
        # What is loaded now changes nothing about what was there then.
        ensure = ensure and self._warehouse.as_of is None
        stored = self._stored(request)
        if ensure and self._bring_prices(request, stored.prices):
            stored = self._stored(request)
        if stored.prices is None:
            raise nothing_found(request, stored.nothing) from stored.nothing
        self._check_symbols(request, stored.prices)
        if stored.actions is not None:
            return Input(request, stored.prices, stored.actions, request.adjust or "splits", stored.state)
        wanted: Adjustment = request.adjust or "splits"
        # What was asked for by name, and is missing, is an error, which reading it says.
        if not ((ensure and self._bring_reference()) or request.adjust is not None):
            wanted = "none"
        actions = _read_actions(self._reader, request, stored.prices, wanted)
        return Input(request, stored.prices, actions, wanted, stored.state)

    def bars(self, request: DataRequest) -> PricePanel:
        """Published prices of a request as far as they are there.

        Raises:
            NoData: There is no warehouse yet.
        """
        try:
            with self._reader.held() as held:
                return _read_prices(held, request).panel
        except WarehouseMissing as error:
            raise nothing_found(request, error) from error

    def _stored(self, request: DataRequest) -> _Stored:
        try:
            with self._reader.held() as held:
                state = held.state()
                prices = _read_prices(held, request)
                try:
                    wanted: Adjustment = request.adjust or "splits"
                    return _Stored(prices, _read_actions(held, request, prices, wanted), state)
                except ReferenceMissing:
                    return _Stored(prices, None, state)
        except WarehouseMissing as error:
            return _Stored(None, None, nothing=error)

    def _bring_reference(self) -> bool:
        """Have splits and dividends loaded, if there is where from; whether it was tried."""
        if not availability.can_materialize_reference(self._settings):
            return False
        availability.materialize_reference(self._settings, self._warehouse)
        return True

    def _bring_prices(self, request: DataRequest, read: PanelWithSource | None) -> bool:
        """Have the range's missing sessions loaded; whether anything was tried."""
        missing = list(request.asked) if read is None else request.missing(read)
        wanted = availability.worth_asking(self._settings, self._warehouse, missing)
        if not wanted:
            return False
        try:
            runs = availability.materialize_prices(self._settings, self._warehouse, wanted)
        except MissingCredentials as error:
            if read is None:
                raise
            _warn(f"{len(wanted)} sessions are not in the warehouse and cannot be fetched: {error}")
            return False
        failed = [run for run in runs if not run.succeeded]
        if failed:
            said = list(dict.fromkeys(run.message for run in failed))
            more = f"\nand {len(said) - _MOST_NAMED} more reasons" if len(said) > _MOST_NAMED else ""
            first, last = min(run.first for run in failed), max(run.last for run in failed)
            reasons = "\n".join(said[:_MOST_NAMED])
            _warn(f"not everything from {first} to {last} could be loaded: {reasons}{more}")
        return True

    def _check_symbols(self, request: DataRequest, read: PanelWithSource) -> None:
        """See that every symbol is one that the warehouse knows, and that there is anything at all."""
        bars = bars_per_symbol(read.panel, request.rows)
        without = [symbol for symbol, count in zip(read.panel.symbols, bars, strict=True) if not count]
        known = self._known(without) if without else set()
        unknown = [symbol for symbol in without if symbol not in known]
        if len(read.missing_sessions) == len(request.sessions):
            raise nothing_found(request)
        if unknown:
            raise self._unknown(unknown)
        if not bars.any():
            raise nothing_found(request)

    def _known(self, symbols: Sequence[str]) -> set[str]:
        known: set[str] = set()
        for source in self._sources():
            rows = self._reader.sql(
                f"SELECT DISTINCT ticker FROM {source} WHERE list_contains($symbols, ticker)",  # noqa: S608
                {"symbols": list(symbols)},
            )
            known |= {ticker for (ticker,) in rows.fetchall()}
        return known

    def _sources(self) -> list[str]:
        try:
            tables = set(self._reader.tables())
        except WarehouseMissing:
            return []
        return [source for source in PRICE_SOURCES if source in tables]

    def _unknown(self, unknown: Sequence[str]) -> UnknownSymbol:
        available = self.symbols_between(calendars.FIRST_DAY, calendars.LAST_DAY)
        hints = []
        for symbol in unknown[:_MOST_NAMED]:
            similar = ", ".join(closest(symbol, available))
            hints.append(f"{symbol!r} (like {similar}?)" if similar else repr(symbol))
        more = len(unknown) - _MOST_NAMED
        error = UnknownSymbol(
            f"the warehouse knows no symbol {', '.join(hints)}{f' and {more} more' if more > 0 else ''}",
            where=str(self._warehouse.path),
            why=f"it has {len(available):,} symbols; symbols are case-sensitive",
            next_step="correct the symbols, see available_symbols(), or say skip_unknown=True",
        )
        error.unknown = tuple(unknown)
        return error

    def universe_rows(self, date_or_range: DateLike | tuple[DateLike, DateLike]) -> pa.Table:
        """Rows of `universe.COLUMNS` of a range, or of the last session up to a day.

        Raises:
            InvalidArgument: There is no session.
            NoData: There are no prices of those sessions.
        """
        if isinstance(date_or_range, tuple):
            start, end = parse_range(*date_or_range)
            sessions = calendars.sessions(CALENDAR, start, end)
        else:
            day = parse_date(date_or_range)
            sessions = calendars.sessions(CALENDAR, day - _LONGEST_CLOSURE, day)[-1:]
        if not sessions:
            raise InvalidArgument("there is no exchange session", next_step="choose a longer range")
        try:
            rows = read_universe(self._reader, sessions)
        except WarehouseMissing as error:
            raise _no_universe(sessions) from error
        if not rows.num_rows:
            raise _no_universe(sessions)
        return rows

    def symbols_between(self, start: dt.date, end: dt.date) -> list[str]:
        """Symbols with at least one bar from start to end, both included, sorted."""
        found: set[str] = set()
        for source in self._sources():
            rows = self._reader.sql(
                f"SELECT DISTINCT ticker FROM {source} WHERE trade_date BETWEEN $first AND $last",  # noqa: S608
                {"first": start, "last": end},
            )
            found |= {ticker for (ticker,) in rows.fetchall()}
        return sorted(found)


def _warn(message: str) -> None:
    warn_caller(message, CoverageWarning)


def _read_prices(reader: WarehouseReader, request: DataRequest) -> PanelWithSource:
    """The prices of what the symbols mean.

    Where a ticker is silent for long, its bars tell whether it was given to another company, even if
    no table of securities was ever made.
    """
    if request.universe is not None:
        return _read_members(reader, request, request.universe)
    columns = columns_of_symbols(reader, request.symbols, request.asked_from, request.identity)
    read = read_panel(reader, request.sessions, columns, request.columns)
    if request.identity == "ticker" or not has_long_gaps(read.panel):
        return read
    between = request.sessions[0], request.sessions[-1]
    columns = columns_of_symbols(
        reader, request.symbols, request.asked_from, request.identity, bars_between=between
    )
    return read_panel(reader, request.sessions, columns, request.columns)


def _read_members(reader: WarehouseReader, request: DataRequest, universe: Universe) -> PanelWithSource:
    """The prices of whoever is a member in one of the sessions, and who is when."""
    columns, asked = columns_of_members(reader, universe, request.asked)
    read = read_panel(reader, request.sessions, columns, request.columns)
    members = np.zeros(read.panel.close.shape, dtype=np.bool_)
    members[request.rows] = asked
    return dataclasses.replace(read, panel=dataclasses.replace(read.panel, members=members))


def _read_actions(
    reader: WarehouseReader, request: DataRequest, read: PanelWithSource, adjust: Adjustment
) -> CorporateActions:
    return actions_of(reader, adjust, request.sessions, read.columns, until=request.as_of)


def _no_universe(sessions: Sequence[dt.date]) -> NoData:
    first, last = sessions[0], sessions[-1]
    return NoData(
        f"there are no prices from {first} to {last}, so there is no universe",
        next_step=f"load them: `flatfiles backfill stocks_daily --start {first} --end {last}`",
    )


def nothing_found(request: DataRequest, cause: FlatFilesError | None = None) -> NoData:
    """The error for a range in which there is nothing."""
    symbols = ", ".join(request.symbols[:_MOST_NAMED]) + (", …" if len(request.symbols) > _MOST_NAMED else "")
    symbols = symbols or f"any member of {request.universe}"
    first, last = request.asked[0], request.asked[-1]
    return NoData(
        f"there are no prices of {symbols} from {first} to {last}",
        why=str(cause.what) if cause else "no session of the range has a bar of them in the warehouse",
        next_step=f"load them: `flatfiles backfill stocks_daily --start {first} --end {last}`, or leave "
        "ensure=True with credentials set; coverage() says what there is",
    )

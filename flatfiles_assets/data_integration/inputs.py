"""From a checked request to what it needs: prices and corporate actions, brought in if missing.

Here: requests, the reading of their input, and which symbols there are. Not here: what is made of
the input (`algorithms/`, `integration.py`) and how missing sessions are loaded (`availability.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.panel import Adjustment, has_long_gaps
from flatfiles_assets.algorithms.requested_prices import RequestedPrices
from flatfiles_assets.calendars import DateLike, parse_date, parse_range
from flatfiles_assets.data_integration import availability
from flatfiles_assets.data_integration.errors import (
    CoverageWarning,
    NoData,
    UnknownSymbol,
    check_choice,
    closest,
)
from flatfiles_assets.errors import FlatFilesError, InvalidArgument, MissingCredentials
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import WarehouseMissing
from flatfiles_assets.warehouse.identities import Identity, columns_of_symbols
from flatfiles_assets.warehouse.prices import (
    CALENDAR,
    PRICE_SOURCES,
    CorporateActions,
    PanelWithSource,
    ReferenceMissing,
    actions_of,
    bars_per_symbol,
    read_panel,
    sessions_with_lookback,
)
from flatfiles_assets.warehouse.reading import WarehouseReader

_MOST_NAMED = 5


#: The terms of a result: those of its last day, or each session's own.
ResultTerms = Literal["end", "own"]


@dataclasses.dataclass(frozen=True)
class DataRequest:
    """A checked request for prices.

    Attributes:
        symbols: Distinct, in the order asked for.
        sessions: The sessions of the range, those of the look-back before them, and after them those
            until the day whose terms are asked for.
        n_before: How many of them are look-back.
        n_after: How many come after the range.
        adjust: What prices are adjusted for; None for splits where the warehouse knows them.
        columns: The prices needed.
        terms: The terms of the result.
        as_of: The day that is asked from; None for the end of the range.
        identity: What a symbol means.
    """

    symbols: tuple[str, ...]
    sessions: tuple[dt.date, ...]
    n_before: int
    n_after: int
    adjust: Adjustment | None
    columns: tuple[str, ...] = ("close", "volume")
    terms: ResultTerms = "end"
    as_of: dt.date | None = None
    identity: Identity = "security"

    @classmethod
    def of(
        cls,
        symbols: Iterable[str] | str,
        start_date: DateLike,
        end_date: DateLike,
        adjust: Adjustment | None,
        lookback_sessions: int,
        columns: tuple[str, ...] = ("close", "volume"),
        *,
        terms: ResultTerms = "end",
        as_of: DateLike | None = None,
        identity: Identity = "security",
    ) -> DataRequest:
        """Check what a researcher asks for, before anything is read.

        Raises:
            InvalidArgument: A symbol, date, adjustment or kind of terms is not usable, or the range has
                no session that had been by `as_of`.
        """
        names = _checked_symbols(symbols)
        start, end = parse_range(start_date, end_date)
        asked_from = None if as_of is None else parse_date(as_of, "as_of")
        check_choice("a kind of terms", terms, get_args(ResultTerms))
        check_choice("a kind of identity", identity, get_args(Identity))
        if adjust is not None:
            check_choice("an adjustment", adjust, get_args(Adjustment))
        if asked_from is not None and asked_from < start:
            raise InvalidArgument(
                f"nothing of the range had been by as_of={asked_from}: it starts {start}",
                next_step="choose a later as_of, or an earlier range",
            )
        last = end if asked_from is None else min(end, asked_from)
        if not calendars.sessions(CALENDAR, start, last):
            raise InvalidArgument(
                f"there is no exchange session from {start} to {last}", next_step="choose a longer range"
            )
        sessions, n_before = sessions_with_lookback(start, last, lookback_sessions)
        after: list[dt.date] = []
        if asked_from is not None and asked_from > last and terms == "end":
            after = calendars.sessions(CALENDAR, last + dt.timedelta(days=1), asked_from)
        return cls(
            names, (*sessions, *after), n_before, len(after), adjust, columns, terms, asked_from, identity
        )

    @property
    def key(self) -> list[Any]:
        """What tells this request from others, in terms of JSON."""
        days = [day.isoformat() for day in self.sessions]
        asked_from = None if self.as_of is None else self.as_of.isoformat()
        counts = (self.n_before, self.n_after)
        kinds = (self.adjust, self.columns, self.terms, self.identity)
        return [self.symbols, days, counts, kinds, asked_from]

    @property
    def asked_from(self) -> dt.date:
        """The day that is asked from: what a symbol means is what it means then."""
        return self.as_of or self.asked[-1]

    @property
    def rows(self) -> slice:
        """The rows of the range in a panel of `sessions`."""
        return slice(self.n_before, len(self.sessions) - self.n_after)

    @property
    def asked(self) -> tuple[dt.date, ...]:
        """The sessions of the range, without look-back and what comes after."""
        return self.sessions[self.rows]

    def missing(self, read: PanelWithSource) -> list[dt.date]:
        """The sessions of the range without any prices."""
        return [day for day in read.missing_sessions if self.asked[0] <= day <= self.asked[-1]]


@dataclasses.dataclass(frozen=True)
class Input:
    """What a request read: published prices and the corporate actions of its adjustment."""

    request: DataRequest
    read: PanelWithSource
    actions: CorporateActions
    adjust: Adjustment

    def content_hash(self) -> str:
        """Hash of everything that a result depends on besides the request."""
        digest = hashlib.blake2b(digest_size=16)
        panel = self.read.panel
        for matrix in (panel.close, panel.volume):
            digest.update(np.ascontiguousarray(matrix).data)
        for table in (self.actions.splits, self.actions.dividends, self.actions.not_as_recorded):
            digest.update(repr(table.to_pylist()).encode())
        digest.update(repr((panel.symbols, panel.identity)).encode())
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
        )


@dataclasses.dataclass(frozen=True)
class _Stored:
    """What one state of the warehouse has for a request.

    Attributes:
        prices: None where there is no warehouse yet, and `nothing` says so.
        actions: None where their table was never loaded.
    """

    prices: PanelWithSource | None
    actions: CorporateActions | None
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
        self._session = warehouse.reader()

    def can_improve(self, missing: Sequence[dt.date], adjustment: str, request: DataRequest) -> bool:
        """Whether asking the vendor could add to what is there."""
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
        stored = self._stored(request)
        if ensure and self._bring_prices(request, stored.prices):
            stored = self._stored(request)
        if stored.prices is None:
            raise nothing_found(request, stored.nothing) from stored.nothing
        self._check_symbols(request, stored.prices)
        if stored.actions is not None:
            return Input(request, stored.prices, stored.actions, request.adjust or "splits")
        wanted: Adjustment = request.adjust or "splits"
        # What was asked for by name, and is missing, is an error, which reading it says.
        if not ((ensure and self._bring_reference()) or request.adjust is not None):
            wanted = "none"
        actions = _read_actions(self._session, request, stored.prices, wanted)
        return Input(request, stored.prices, actions, wanted)

    def _stored(self, request: DataRequest) -> _Stored:
        try:
            with self._session.held() as session:
                prices = _read_prices(session, request)
                try:
                    wanted: Adjustment = request.adjust or "splits"
                    return _Stored(prices, _read_actions(session, request, prices, wanted))
                except ReferenceMissing:
                    return _Stored(prices, None)
        except WarehouseMissing as error:
            return _Stored(None, None, error)

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
        for run in runs:
            if not run.succeeded:
                _warn(f"not everything from {run.first} to {run.last} could be loaded: {run.message}")
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
            rows = self._session.sql(
                f"SELECT DISTINCT ticker FROM {source} WHERE list_contains($symbols, ticker)",  # noqa: S608
                {"symbols": list(symbols)},
            )
            known |= {ticker for (ticker,) in rows.fetchall()}
        return known

    def _sources(self) -> list[str]:
        try:
            tables = set(self._session.tables())
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

    def symbols_between(self, start: dt.date, end: dt.date) -> list[str]:
        """Symbols with at least one bar from start to end, both included, sorted."""
        found: set[str] = set()
        for source in self._sources():
            rows = self._session.sql(
                f"SELECT DISTINCT ticker FROM {source} WHERE trade_date BETWEEN $first AND $last",  # noqa: S608
                {"first": start, "last": end},
            )
            found |= {ticker for (ticker,) in rows.fetchall()}
        return sorted(found)


def _warn(message: str) -> None:
    # As from the researcher's own line, which called the door, which called this.
    warnings.warn(message, CoverageWarning, stacklevel=6)


def _read_prices(reader: WarehouseReader, request: DataRequest) -> PanelWithSource:
    """The prices of what the symbols mean.

    Where a ticker is silent for long, its bars tell whether it was given to another company, even if
    no table of securities was ever made.
    """
    columns = columns_of_symbols(reader, request.symbols, request.asked_from, request.identity)
    read = read_panel(reader, request.sessions, columns, request.columns)
    if request.identity == "ticker" or not has_long_gaps(read.panel):
        return read
    between = request.sessions[0], request.sessions[-1]
    columns = columns_of_symbols(
        reader, request.symbols, request.asked_from, request.identity, bars_between=between
    )
    return read_panel(reader, request.sessions, columns, request.columns)


def _read_actions(
    reader: WarehouseReader, request: DataRequest, read: PanelWithSource, adjust: Adjustment
) -> CorporateActions:
    return actions_of(reader, adjust, request.sessions, read.columns, until=request.as_of)


def _checked_symbols(symbols: Iterable[str] | str) -> tuple[str, ...]:
    names = [symbols] if isinstance(symbols, str) else list(symbols)
    wrong = [name for name in names if not isinstance(name, str) or not name.strip()]
    if wrong or not names:
        raise InvalidArgument(
            f"{wrong[0]!r} is not a symbol" if wrong else "no symbols are given",
            next_step='name symbols as published, e.g. ["AAPL", "MSFT"]',
        )
    return tuple(dict.fromkeys(names))


def nothing_found(request: DataRequest, cause: FlatFilesError | None = None) -> NoData:
    """The error for a range in which there is nothing."""
    symbols = ", ".join(request.symbols[:_MOST_NAMED]) + (", …" if len(request.symbols) > _MOST_NAMED else "")
    first, last = request.asked[0], request.asked[-1]
    return NoData(
        f"there are no prices of {symbols} from {first} to {last}",
        why=str(cause.what) if cause else "no session of the range has a bar of them in the warehouse",
        next_step=f"load them: `flatfiles backfill stocks_daily --start {first} --end {last}`, or leave "
        "ensure=True with credentials set; coverage() says what there is",
    )

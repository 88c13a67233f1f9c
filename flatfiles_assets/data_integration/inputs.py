"""From a checked request to what it needs: prices and corporate actions, brought in if missing.

Here: requests, the reading of their input, and which symbols there are. Not here: what is made of
the input (`algorithm_data.py`, `integration.py`) and how missing sessions are loaded (`availability.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import numpy as np

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.panel import Adjustment
from flatfiles_assets.calendars import DateLike, parse_range
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
from flatfiles_assets.warehouse.prices import (
    CALENDAR,
    PRICE_SOURCES,
    CorporateActions,
    PanelWithSource,
    ReferenceMissing,
    bars_per_symbol,
    read_corporate_actions,
    read_panel,
    sessions_with_lookback,
)
from flatfiles_assets.warehouse.reading import WarehouseReader

_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class DataRequest:
    """A checked request for prices.

    Attributes:
        symbols: Distinct, in the order asked for.
        sessions: The sessions of the range, with those of the look-back before them.
        n_before: How many of them are look-back.
        adjust: What prices are adjusted for; None for splits where the warehouse knows them.
        columns: The prices needed.
    """

    symbols: tuple[str, ...]
    sessions: tuple[dt.date, ...]
    n_before: int
    adjust: Adjustment | None
    columns: tuple[str, ...] = ("close", "volume")

    @classmethod
    def of(
        cls,
        symbols: Iterable[str] | str,
        start_date: DateLike,
        end_date: DateLike,
        adjust: Adjustment | None,
        lookback_sessions: int,
        columns: tuple[str, ...] = ("close", "volume"),
    ) -> DataRequest:
        """Check what a researcher asks for, before anything is read.

        Raises:
            InvalidArgument: A symbol, date or adjustment is not usable, or the range has no session.
        """
        names = _checked_symbols(symbols)
        start, end = parse_range(start_date, end_date)
        if adjust is not None:
            check_choice("an adjustment", adjust, get_args(Adjustment))
        if not calendars.sessions(CALENDAR, start, end):
            raise InvalidArgument(
                f"there is no exchange session from {start} to {end}", next_step="choose a longer range"
            )
        sessions, n_before = sessions_with_lookback(start, end, lookback_sessions)
        return cls(names, tuple(sessions), n_before, adjust, columns)

    @property
    def key(self) -> list[Any]:
        """What tells this request from others, in terms of JSON."""
        days = [day.isoformat() for day in self.sessions]
        return [self.symbols, days, self.n_before, self.adjust, self.columns]

    @property
    def rows(self) -> slice:
        """The rows of the range in a panel of `sessions`."""
        return slice(self.n_before, len(self.sessions))

    @property
    def asked(self) -> tuple[dt.date, ...]:
        """The sessions of the range, without the look-back."""
        return self.sessions[self.n_before :]


@dataclasses.dataclass(frozen=True)
class Input:
    """What a request read: published prices and the corporate actions of its adjustment."""

    read: PanelWithSource
    actions: CorporateActions
    adjust: Adjustment

    def content_hash(self) -> str:
        """Hash of everything that a result depends on besides the request."""
        digest = hashlib.blake2b(digest_size=16)
        panel = self.read.panel
        for matrix in (panel.close, panel.volume):
            digest.update(np.ascontiguousarray(matrix).data)
        for table in (self.actions.splits, self.actions.dividends):
            digest.update(repr(table.to_pylist()).encode())
        digest.update(repr((self.adjust, self.read.missing_sessions, dict(self.read.source_mix))).encode())
        return digest.hexdigest()


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
        try:
            read, actions = self._read(request)
            missing = [day for day in read.missing_sessions if day >= request.asked[0]]
        except WarehouseMissing as error:
            if not ensure:
                raise nothing_found(request, error) from error
            read, actions, missing = None, None, list(request.asked)
        if ensure and self._bring(missing, everything=read is None):
            read = None
        if read is None:
            try:
                read, actions = self._read(request)
            except WarehouseMissing as error:
                raise nothing_found(request, error) from error
        self._check_symbols(request, read)
        return Input(read, *self._actions(request, actions, ensure=ensure))

    def _read(self, request: DataRequest) -> tuple[PanelWithSource, CorporateActions | None]:
        """Prices and corporate actions of one state of the warehouse; None for a table never loaded."""
        with self._session.held() as session:
            read = read_panel(session, request.sessions, request.symbols, request.columns)
            try:
                return read, _read_actions(session, request, request.adjust or "splits")
            except ReferenceMissing:
                return read, None

    def _bring(self, missing: Sequence[dt.date], *, everything: bool) -> bool:
        """Have missing sessions loaded; whether anything was tried."""
        wanted = availability.worth_asking(self._settings, self._warehouse, missing)
        if not wanted:
            return False
        try:
            runs = availability.materialize_prices(self._settings, self._warehouse, wanted)
        except MissingCredentials as error:
            if everything:
                raise
            warnings.warn(
                f"{len(wanted)} sessions are not in the warehouse and cannot be fetched: {error}",
                CoverageWarning,
                stacklevel=5,
            )
            return False
        for run in runs:
            if not run.succeeded:
                warnings.warn(
                    f"not everything from {run.first} to {run.last} could be loaded: {run.message}",
                    CoverageWarning,
                    stacklevel=5,
                )
        return True

    def _actions(
        self, request: DataRequest, actions: CorporateActions | None, *, ensure: bool
    ) -> tuple[CorporateActions, Adjustment]:
        wanted: Adjustment = request.adjust or "splits"
        if actions is not None:
            return actions, wanted
        try:
            return _read_actions(self._session, request, wanted), wanted
        except ReferenceMissing:
            if ensure and availability.can_materialize_reference(self._settings):
                availability.materialize_reference(self._settings, self._warehouse)
                return _read_actions(self._session, request, wanted), wanted
            if request.adjust is not None:
                raise
        return _read_actions(self._session, request, "none"), "none"

    def _check_symbols(self, request: DataRequest, read: PanelWithSource) -> None:
        """See that every symbol is one that the warehouse knows, and that there is anything at all."""
        bars = bars_per_symbol(read.panel, request.rows)
        without = [symbol for symbol, count in zip(request.symbols, bars, strict=True) if not count]
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
        return UnknownSymbol(
            f"the warehouse knows no symbol {', '.join(hints)}{f' and {more} more' if more > 0 else ''}",
            where=str(self._warehouse.path),
            why=f"it has {len(available):,} symbols; symbols are case-sensitive",
            next_step="correct the symbols, or see available_symbols()",
        )

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


def _read_actions(reader: WarehouseReader, request: DataRequest, adjust: Adjustment) -> CorporateActions:
    return read_corporate_actions(reader, adjust, request.sessions, request.symbols)


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

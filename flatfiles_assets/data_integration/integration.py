"""`DataIntegration`: the researcher's way from symbols and dates to data.

Here: requests, checked and answered. Not here: how each part of an answer is made (the neighbours
in this package), features (`features.py`, `algorithms/`), and Dagster, which only `availability`
calls, and only when something is missing.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.algorithm import Algorithm
from flatfiles_assets.algorithms.frames import long as long_frame
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS, Adjustment
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.algorithms.universe import STOCK_TYPES, RankedBy, Universe, knows_types
from flatfiles_assets.calendars import DateLike, parse_date, parse_range
from flatfiles_assets.data_integration import frames, unified
from flatfiles_assets.data_integration.bars import BAR_NAMES, bars_table
from flatfiles_assets.data_integration.cache import Cached, ResultCache, code_hash, file_state, hashed
from flatfiles_assets.data_integration.coverage import coverage_of
from flatfiles_assets.data_integration.data_request import DataRequest, ResultTerms
from flatfiles_assets.data_integration.errors import (
    CoverageWarning,
    IdentityWarning,
    UnknownSymbol,
    check_choice,
    warn_caller,
)
from flatfiles_assets.data_integration.frames import FRAME_KINDS, FrameKind
from flatfiles_assets.data_integration.inputs import Input, InputReader
from flatfiles_assets.data_integration.option_quotes import (
    OPTION_SOURCES,
    OptionSource,
    option_chain,
    select_chain,
)
from flatfiles_assets.data_integration.results import (
    AlgorithmData,
    describe,
    warn_of_statements,
    warn_or_refuse,
    with_dates,
)
from flatfiles_assets.data_integration.statement_columns import TIMEFRAMES, Timeframe
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import Settings, load_settings
from flatfiles_assets.unexpected import door
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.identities import Identity
from flatfiles_assets.warehouse.workspace import Workspace

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from flatfiles_assets.data_integration.options import ChainOptions, PriceOptions, UnifiedOptions

T = TypeVar("T")
Frame: TypeAlias = pd.DataFrame | pl.DataFrame | pa.Table

DEFAULT_CACHE_BYTES = 4 * 2**30

# An event on a session without a bar is shown on the next one, which may be the range's first.
_EVENT_LOOKBACK_SESSIONS = MAX_GAP_SESSIONS + 1


class DataIntegration:
    """Algorithm-ready data from the warehouse, by symbols and dates.

    Sessions that the warehouse lacks are fetched and loaded first, through Dagster, unless a call
    says ``ensure=False``. Results are cached on disk, by the content of what they were made from.

    Args:
        warehouse: The DuckDB file, or a `Warehouse`; None for the one in the settings.
        settings: None for the environment and ``.env``.
        cache_dir: Where results are kept; None for the settings' data directory.
        cache_bytes: Size of the cache above which the results unused for longest are removed; 0 for
            no cache.

    Example:
        >>> data = DataIntegration().get_data_for_algorithm(
        ...     "momentum", ["AAPL", "MSFT"], "2024-01-02", "2024-03-28"
        ... )
        >>> data["returns_data"].tail()
    """

    def __init__(
        self,
        warehouse: Warehouse | str | os.PathLike[str] | None = None,
        settings: Settings | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self._settings = settings or load_settings()
        if isinstance(warehouse, Warehouse):
            self._warehouse = warehouse
        else:
            self._warehouse = Workspace.from_settings(self._settings, warehouse_path=warehouse).warehouse
        self._session = self._warehouse.reader()
        self._inputs = InputReader(self._settings, self._warehouse)
        folder = Path(cache_dir) if cache_dir is not None else self._settings.integration_cache_dir
        self._cache = ResultCache(folder, cache_bytes) if cache_bytes > 0 else None

    def __repr__(self) -> str:
        return f"DataIntegration({str(self._warehouse.path)!r})"

    @overload
    def get_data_for_algorithm(
        self,
        algorithm_type: str,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        *,
        as_: Literal["pandas"] = "pandas",
        adjust: Adjustment | None = None,
        terms: ResultTerms = "end",
        as_of: DateLike | None = None,
        identity: Identity = "security",
        ensure: bool = True,
        min_coverage: float = 0.0,
        skip_unknown: bool = False,
        **options: Any,
    ) -> AlgorithmData[pd.DataFrame]: ...

    @overload
    def get_data_for_algorithm(
        self,
        algorithm_type: str,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        *,
        as_: Literal["polars"],
        adjust: Adjustment | None = None,
        terms: ResultTerms = "end",
        as_of: DateLike | None = None,
        identity: Identity = "security",
        ensure: bool = True,
        min_coverage: float = 0.0,
        skip_unknown: bool = False,
        **options: Any,
    ) -> AlgorithmData[pl.DataFrame]: ...

    @overload
    def get_data_for_algorithm(
        self,
        algorithm_type: str,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        *,
        as_: Literal["arrow"],
        adjust: Adjustment | None = None,
        terms: ResultTerms = "end",
        as_of: DateLike | None = None,
        identity: Identity = "security",
        ensure: bool = True,
        min_coverage: float = 0.0,
        skip_unknown: bool = False,
        **options: Any,
    ) -> AlgorithmData[pa.Table]: ...

    @door
    def get_data_for_algorithm(
        self,
        algorithm_type: str,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        *,
        as_: FrameKind = "pandas",
        adjust: Adjustment | None = None,
        terms: ResultTerms = "end",
        as_of: DateLike | None = None,
        identity: Identity = "security",
        ensure: bool = True,
        min_coverage: float = 0.0,
        skip_unknown: bool = False,
        **options: Any,
    ) -> AlgorithmData[Any]:
        """The dataset of one algorithm for some symbols over a range of sessions.

        Args:
            algorithm_type: ``pairs_trading``, ``momentum``, ``mean_reversion``, or another of the
                registry.
            symbols: Symbols as published, case-sensitive; or a `Universe`, which each session has its own
                members of: others are null, have no rows and no ranks; pairs are of the range's last.
            start_date: First day, included.
            end_date: Last day, included.
            as_: ``pandas``, ``polars`` or ``arrow``.
            adjust: ``none``, ``splits`` or ``total_return``; None for ``splits``, or ``none`` with a
                warning where the warehouse knows no splits.
            terms: ``end``: whatever is per share is per share of the last day; ``own``: of its own
                session, as it was published. A statistic about the whole range is in the terms of its end.
            as_of: Ask as on that day: no session after it is returned, no event or statement after it
                counts, and ``terms="end"`` are those of that day, which may be later than the range.
            identity: ``security``: a symbol means the security that it is on the day asked from, with its
                history under earlier tickers; ``metadata["tickers"]`` names them. ``ticker``: whatever bore
                the ticker on each session.
            ensure: Fetch and load the range's missing sessions first. The look-back of the features
                is read as far as it is there.
            min_coverage: Share of the range's sessions, 0 to 1, for which every symbol must have a
                bar.
            skip_unknown: Leave out symbols that the warehouse never saw, with a warning, instead of
                refusing the request; ``metadata["symbols_unknown"]`` names them.
            options: The algorithm's own: the fields of `MomentumParameters`,
                `MeanReversionParameters` or `PairsOptions`.

        Returns:
            A dict, by algorithm:

            - all: ``price_data`` (closes), ``metadata``;
            - momentum: ``returns_data``, ``volume_data``, ``momentum_data``;
            - mean_reversion: ``returns_data``, ``zscore_data``, ``indicators_data``;
            - pairs_trading: ``returns_data``, ``correlation_data``, ``cointegration_data`` (both over
                the sessions of the range), ``spread_data``, ``zscore_data`` (each session from its own
                trailing window).

            Wide ones have a row per session and a column per symbol, in the order asked for (spreads:
            per pair); ``momentum_data``, ``indicators_data`` and ``cointegration_data`` are long, the
            first two with ``close_published``, ``price_factor`` and ``volume_factor``.
            Ranks are among the symbols asked for.

        Raises:
            InvalidArgument: An argument is not usable; the message names the valid ones.
            UnknownSymbol: The warehouse never saw a symbol; the message names similar ones.
            NoData: There is nothing of these symbols in the range.
            InsufficientCoverage: A symbol has fewer bars than `min_coverage`.
            ReferenceMissing: `adjust` is given, and its table was never loaded.

        Warns:
            CoverageWarning: Some sessions or bars are missing.
            AdjustmentWarning: Prices are unadjusted because no splits are known.
        """
        algorithm = ALGORITHMS[check_choice("an algorithm", algorithm_type, ALGORITHMS)]
        check_choice("a form of data", as_, FRAME_KINDS)
        if not 0 <= min_coverage <= 1:
            raise InvalidArgument(f"min_coverage is {min_coverage}", next_step="choose a share from 0 to 1")
        parameters = _parameters(algorithm, options)
        request = DataRequest.of(
            symbols,
            start_date,
            end_date,
            adjust,
            algorithm.lookback_sessions,
            terms=terms,
            as_of=as_of,
            identity=identity,
        )
        (cached, store), unknown = _without_unknown(
            request, skip_unknown, lambda known: self._dataset(algorithm, parameters, known, ensure=ensure)
        )
        warn_or_refuse(cached.metadata, adjust, min_coverage)
        tables = {key: frames.convert(table, as_) for key, table in cached.tables.items()}
        if store is not None:
            # Last, so that it takes nothing from what the caller waits for.
            store()
        metadata = with_dates({**cached.metadata, "symbols_unknown": unknown})
        return AlgorithmData({**tables, "metadata": metadata}, from_cache=store is None)

    @overload
    def load_prices(
        self,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        *,
        as_: Literal["pandas"] = "pandas",
        **options: Unpack[PriceOptions],
    ) -> pd.DataFrame: ...

    @overload
    def load_prices(
        self,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        *,
        as_: Literal["polars"],
        **options: Unpack[PriceOptions],
    ) -> pl.DataFrame: ...

    @overload
    def load_prices(
        self,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        *,
        as_: Literal["arrow"],
        **options: Unpack[PriceOptions],
    ) -> pa.Table: ...

    @door
    def load_prices(
        self,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        *,
        as_: FrameKind = "pandas",
        adjust: Adjustment | None = None,
        terms: ResultTerms = "end",
        as_of: DateLike | None = None,
        identity: Identity = "security",
        ensure: bool = True,
        skip_unknown: bool = False,
    ) -> Frame:
        """Day bars, one row per session and symbol with a bar, by session, then symbol as asked for.

        Returns:
            ``session``, ``symbol``, ``open``, ``high``, ``low``, ``close``, ``volume``,
            ``adjustment``; ``close_published``, and the factors ``price_factor`` and ``volume_factor``
            from published prices and volumes to those of the result.

        Raises and warns as `get_data_for_algorithm`, whose arguments these are.
        """
        check_choice("a form of data", as_, FRAME_KINDS)
        request = DataRequest.of(
            symbols, start_date, end_date, adjust, 0, BAR_NAMES, terms=terms, as_of=as_of, identity=identity
        )
        found, _ = self._read(request, ensure=ensure, skip_unknown=skip_unknown)
        warn_or_refuse(describe(found), adjust, 0.0)
        return frames.convert(bars_table(found.prices()), as_)

    @overload
    def create_unified_dataset(
        self,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        data_types: Sequence[str] = ("prices", "financials"),
        *,
        as_: Literal["pandas"] = "pandas",
        **options: Unpack[UnifiedOptions],
    ) -> pd.DataFrame: ...

    @overload
    def create_unified_dataset(
        self,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        data_types: Sequence[str] = ("prices", "financials"),
        *,
        as_: Literal["polars"],
        **options: Unpack[UnifiedOptions],
    ) -> pl.DataFrame: ...

    @overload
    def create_unified_dataset(
        self,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        data_types: Sequence[str] = ("prices", "financials"),
        *,
        as_: Literal["arrow"],
        **options: Unpack[UnifiedOptions],
    ) -> pa.Table: ...

    @door
    def create_unified_dataset(
        self,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        data_types: Sequence[str] = ("prices", "financials"),
        *,
        as_: FrameKind = "pandas",
        adjust: Adjustment | None = None,
        terms: ResultTerms = "end",
        as_of: DateLike | None = None,
        identity: Identity = "security",
        ensure: bool = True,
        skip_unknown: bool = False,
        timeframe: Timeframe | None = None,
    ) -> Frame:
        """One row per session and symbol with a bar, with everything that was known then.

        Args:
            symbols: As for `get_data_for_algorithm`; so the other arguments.
            start_date: First day, included.
            end_date: Last day, included.
            data_types: ``prices``, ``financials``, ``us_financials``, ``splits``, ``dividends``,
                ``options``, ``momentum``, ``mean_reversion``. With ``options`` there is a row per contract
                that was traded or quoted, strikes and prices in the result's terms. A statement
                counts from the first session after it
                was published; before the first one its columns are null. Where statements say no day
                of publication they count from `Settings.statement_lag_days` after the period's end. A
                split or dividend stands on its own session, or on the first one after it with a bar.
            as_: ``pandas``, ``polars`` or ``arrow``.
            adjust: What prices are adjusted for.
            terms: What prices, dividends, and the per-share columns and numbers of shares of statements
                are counted in.
            as_of: The day that is asked from.
            identity: What a symbol means.
            ensure: Fetch and load missing prices first.
            skip_unknown: Leave out symbols that the warehouse never saw, with a warning.
            timeframe: ``quarterly``, ``annual``, ``semiannual`` or ``ttm``: join only such statements;
                None for the latest period known, of whatever length.

        Returns:
            What is known of the data (adjustment, coverage, how statements were placed, rows with and
            without one) is in ``attrs["metadata"]`` of pandas frames and, as JSON, in the metadata
            ``flatfiles`` of an Arrow table's schema.

        Raises:
            NoData: There is no table of one of the data types, or no price.
            UnexpectedColumns: Statements cannot be placed in time. And as `get_data_for_algorithm`.

        Warns:
            StatementWarning: Statements are placed by the stated lag, left out, or of several lengths.
        """
        check_choice("a form of data", as_, FRAME_KINDS)
        kinds = [data_types] if isinstance(data_types, str) else list(data_types)
        for kind in kinds:
            check_choice("a data type", kind, unified.DATA_TYPES)
        if not kinds:
            raise InvalidArgument(
                "data_types is empty", next_step=f"use any of {', '.join(unified.DATA_TYPES)}"
            )
        request = DataRequest.of(
            symbols,
            start_date,
            end_date,
            adjust,
            _EVENT_LOOKBACK_SESSIONS,
            BAR_NAMES,
            terms=terms,
            as_of=as_of,
            identity=identity,
        )
        if timeframe is not None:
            check_choice("a timeframe of statements", timeframe, TIMEFRAMES)
        found, unknown = self._read(request, ensure=ensure, skip_unknown=skip_unknown)
        metadata = {**describe(found), "symbols_unknown": unknown}
        warn_or_refuse(metadata, adjust, 0.0)
        statements = unified.StatementTerms(self._settings.statement_lag_days, timeframe)
        joining = unified.Joining(
            self._session, found.prices(), found.read.columns, statements, request.as_of
        )
        rows = unified.unify(joining, list(dict.fromkeys(kinds)))
        warn_of_statements(statements.notes)
        table = long_frame(rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
        return frames.with_metadata(frames.convert(table, as_), {**metadata, "joined": statements.notes})

    @overload
    def option_chain(
        self,
        underlying: str,
        date: DateLike,
        *,
        as_: Literal["pandas"] = "pandas",
        **options: Unpack[ChainOptions],
    ) -> pd.DataFrame: ...

    @overload
    def option_chain(
        self, underlying: str, date: DateLike, *, as_: Literal["polars"], **options: Unpack[ChainOptions]
    ) -> pl.DataFrame: ...

    @overload
    def option_chain(
        self, underlying: str, date: DateLike, *, as_: Literal["arrow"], **options: Unpack[ChainOptions]
    ) -> pa.Table: ...

    @door
    def option_chain(
        self,
        underlying: str,
        date: DateLike,
        *,
        expiry: DateLike | Sequence[DateLike] | None = None,
        strikes: tuple[float, float] | None = None,
        option_type: str | None = None,
        source: OptionSource | None = None,
        as_: FrameKind = "pandas",
    ) -> Frame:
        """The options on an underlying on one session, from the feed and the directory alike.

        Args:
            underlying: Ticker of that day, or an index (``SPX``).
            date: The session.
            expiry: One or several days; None for all.
            strikes: Lowest and highest, both included; None for all.
            option_type: ``C`` or ``P``; None for both.
            source: ``flat_files`` or ``directory``; None for both, one row a contract.
            as_: ``pandas``, ``polars`` or ``arrow``.

        Returns:
            ``session``, ``underlying``, ``expiry``, ``option_type``, ``strike``, ``root``, ``open``,
            ``high``, ``low``, ``last``, ``bid``, ``ask`` (USD a share as published), ``volume``,
            ``open_interest`` (contracts), ``implied_volatility``, ``source``, ``underlying_close``,
            ``days_to_expiry``; by expiry, strike and type.

        Raises:
            NoData: No options were loaded, or there are none of it on that session.
            InvalidArgument: An argument is not usable.
        """
        check_choice("a form of data", as_, FRAME_KINDS)
        for what, value, choices in (
            ("a source of options", source, OPTION_SOURCES),
            ("a type of option", option_type, ("C", "P")),
        ):
            if value is not None:
                check_choice(what, value, choices)
        one = [expiry] if isinstance(expiry, (str, dt.date, np.datetime64)) else expiry
        days = None if one is None else [parse_date(day, "expiry") for day in one]
        chain = option_chain(self._session, underlying, parse_date(date), source)
        chain = select_chain(chain, days, strikes, option_type)
        return frames.convert(long_frame(chain.to_arrow(compat_level=pl.CompatLevel.oldest())), as_)

    @door
    def available_symbols(
        self, start_date: DateLike | None = None, end_date: DateLike | None = None
    ) -> list[str]:
        """Symbols with at least one bar in the range, sorted; without dates, in the whole warehouse."""
        start, end = parse_range(start_date or calendars.FIRST_DAY, end_date or calendars.LAST_DAY)
        return self._inputs.symbols_between(start, end)

    @overload
    def universe(
        self,
        date_or_range: DateLike | tuple[DateLike, DateLike],
        top: int | None = 500,
        by: RankedBy = "dollar_volume",
        types: Sequence[str] | None = STOCK_TYPES,
        min_price: float | None = None,
        min_history: int | None = None,
        *,
        as_: Literal["pandas"] = "pandas",
    ) -> pd.DataFrame: ...

    @overload
    def universe(
        self,
        date_or_range: DateLike | tuple[DateLike, DateLike],
        top: int | None = 500,
        by: RankedBy = "dollar_volume",
        types: Sequence[str] | None = STOCK_TYPES,
        min_price: float | None = None,
        min_history: int | None = None,
        *,
        as_: Literal["polars"],
    ) -> pl.DataFrame: ...

    @overload
    def universe(
        self,
        date_or_range: DateLike | tuple[DateLike, DateLike],
        top: int | None = 500,
        by: RankedBy = "dollar_volume",
        types: Sequence[str] | None = STOCK_TYPES,
        min_price: float | None = None,
        min_history: int | None = None,
        *,
        as_: Literal["arrow"],
    ) -> pa.Table: ...

    @door
    def universe(
        self,
        date_or_range: DateLike | tuple[DateLike, DateLike],
        top: int | None = 500,
        by: RankedBy = "dollar_volume",
        types: Sequence[str] | None = STOCK_TYPES,
        min_price: float | None = None,
        min_history: int | None = None,
        *,
        as_: FrameKind = "pandas",
    ) -> Frame:
        """The securities that there were, by what was known then; nothing is fetched.

        Args:
            date_or_range: A day, which stands for the last session up to it; or first and last day.
            top: At most so many of each session, the most traded; None for all.
            by: What the most traded are told by: the median of dollar volume over 20 sessions.
            types: Kinds of securities, e.g. ``("CS", "ADRC", "ETF")``; None for all.
            min_price: Lowest published close, USD.
            min_history: Fewest sessions since the security's first bar.
            as_: ``pandas``, ``polars`` or ``arrow``.

        Returns:
            ``session``, ``security_id``, ``symbol``, ``type``, ``listed_sessions``, ``close`` (published),
            ``median_dollar_volume_20`` and ``rank`` among those chosen, by session and rank.

        Raises:
            NoData: There are no prices on those days.

        Warns:
            IdentityWarning: No kind of any security is known, so that `types` leaves nothing out.
        """
        check_choice("a form of data", as_, FRAME_KINDS)
        chosen = Universe(top, by, None if types is None else tuple(types), min_price, min_history)
        rows = self._inputs.universe_rows(date_or_range)
        if types is not None and not knows_types(rows):
            warn_caller(
                "the warehouse knows no kind of any security, so that types leaves nothing out; "
                "reference/tickers says them",
                IdentityWarning,
            )
        return frames.convert(long_frame(chosen.chosen(rows)), as_)

    @door
    def coverage(
        self, symbols: Iterable[str] | str | Universe, start_date: DateLike, end_date: DateLike
    ) -> pd.DataFrame:
        """What there is of each symbol in a range, by ticker; nothing is fetched.

        Returns:
            By symbol, in the order asked for: ``bars``, ``sessions`` (of the exchange in the range),
            ``coverage`` (0 to 1), ``first_session``, ``last_session`` (NaT without a bar).
        """
        request = DataRequest.of(symbols, start_date, end_date, "none", 0, identity="ticker")
        return coverage_of(self._inputs.bars(request))

    @door
    def clear_cache(self) -> int:
        """Remove every cached result; returns the bytes freed."""
        return self._cache.clear() if self._cache else 0

    def _read(self, request: DataRequest, *, ensure: bool, skip_unknown: bool) -> tuple[Input, list[str]]:
        return _without_unknown(request, skip_unknown, lambda known: self._inputs.read(known, ensure=ensure))

    def _dataset(
        self, algorithm: Algorithm, parameters: Any, request: DataRequest, *, ensure: bool
    ) -> tuple[Cached, Callable[[], None] | None]:
        """The tables of a dataset, and what stores them; None where they were cached."""
        asked = hashed([algorithm.name, dataclasses.asdict(parameters), request.key, code_hash()])
        # Taken before the input is read: what is committed meanwhile is then seen as a change.
        state = file_state(self._warehouse.path)
        if self._cache and (hit := self._cache.find_unchanged(asked, state)):
            missing = [dt.date.fromisoformat(day) for day in hit.metadata["missing_sessions"]]
            if not (ensure and self._inputs.can_improve(missing, hit.metadata["adjustment"], request)):
                return hit, None
        found = self._inputs.read(request, ensure=ensure)
        # Of a request never answered there is nothing to be found, and its hash can wait.
        if self._cache and self._cache.knows(asked):
            digest = found.content_hash()
            if hit := self._cache.find(asked, digest):
                self._cache.note(asked, digest, state)
                return hit, None
        tables = dict(algorithm.build(found.prices(), parameters))
        metadata = {
            "algorithm": algorithm.name,
            **describe(found),
            "options": dataclasses.asdict(parameters),
        }

        def store() -> None:
            if self._cache:
                self._cache.store_later(asked, found.content_hash, tables, metadata, state)

        return Cached(tables, metadata), store


def _without_unknown(
    request: DataRequest, skip_unknown: bool, action: Callable[[DataRequest], T]
) -> tuple[T, list[str]]:
    """What an action makes of a request, and the symbols that were left out of it."""
    try:
        return action(request), []
    except UnknownSymbol as error:
        known = tuple(symbol for symbol in request.symbols if symbol not in error.unknown)
        if not skip_unknown or not known:
            raise
        unknown = list(error.unknown)
        warn_caller(f"left out: {error.what}", CoverageWarning)
    return action(dataclasses.replace(request, symbols=known)), unknown


def _parameters(algorithm: Algorithm, options: Mapping[str, Any]) -> Any:
    known = [field.name for field in dataclasses.fields(algorithm.options)]
    for option in options:
        check_choice(f"an option of {algorithm.name}", option, known)
    return algorithm.options(**options)

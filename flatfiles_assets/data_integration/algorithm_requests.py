"""The dataset of one algorithm, for symbols and dates.

Here: `get_data_for_algorithm`, and its results' way through the cache. Not here: what an algorithm
computes (`algorithms/`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, overload

import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets.algorithms.algorithm import Algorithm
from flatfiles_assets.algorithms.panel import Adjustment
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.algorithms.universe import Universe
from flatfiles_assets.calendars import DateLike
from flatfiles_assets.data_integration import frames
from flatfiles_assets.data_integration.cache import Cached, code_hash, file_state, hashed
from flatfiles_assets.data_integration.data_request import DataRequest, ResultTerms
from flatfiles_assets.data_integration.errors import (
    check_choice,
)
from flatfiles_assets.data_integration.frames import FRAME_KINDS, FrameKind
from flatfiles_assets.data_integration.opened_warehouse import OpenedWarehouse, without_unknown
from flatfiles_assets.data_integration.results import (
    AlgorithmData,
    describe,
    warn_or_refuse,
    with_dates,
)
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.unexpected import door
from flatfiles_assets.warehouse.identities import Identity


class AlgorithmRequests(OpenedWarehouse):
    """Requests for the dataset of an algorithm."""

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
        (cached, store), unknown = without_unknown(
            request, skip_unknown, lambda known: self._dataset(algorithm, parameters, known, ensure=ensure)
        )
        warn_or_refuse(cached.metadata, adjust, min_coverage)
        tables = {key: frames.convert(table, as_) for key, table in cached.tables.items()}
        if store is not None:
            # Last, so that it takes nothing from what the caller waits for.
            store()
        metadata = with_dates({**cached.metadata, "symbols_unknown": unknown})
        return AlgorithmData({**tables, "metadata": metadata}, from_cache=store is None)

    @door
    def clear_cache(self) -> int:
        """Remove every cached result; returns the bytes freed."""
        return self._cache.clear() if self._cache else 0

    def _dataset(
        self, algorithm: Algorithm, parameters: Any, request: DataRequest, *, ensure: bool
    ) -> tuple[Cached, Callable[[], None] | None]:
        """The tables of a dataset, and what stores them; None where they were cached."""
        then = [] if self._warehouse.as_of is None else [str(self._warehouse.as_of)]
        asked = hashed([algorithm.name, dataclasses.asdict(parameters), request.key, code_hash(), *then])
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


def _parameters(algorithm: Algorithm, options: Mapping[str, Any]) -> Any:
    known = [field.name for field in dataclasses.fields(algorithm.options)]
    for option in options:
        check_choice(f"an option of {algorithm.name}", option, known)
    return algorithm.options(**options)

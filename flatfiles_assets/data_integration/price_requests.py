"""Prices of symbols between dates, by themselves and with everything that was known then.

Here: `load_prices`, `create_unified_dataset`, `available_symbols`, `coverage`. Not here: how events,
statements and features are joined (`unified.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, overload

import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.frames import long as long_frame
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS, Adjustment
from flatfiles_assets.algorithms.universe import Universe
from flatfiles_assets.calendars import DateLike, parse_range
from flatfiles_assets.data_integration import frames, unified
from flatfiles_assets.data_integration.bars import BAR_NAMES, bars_table
from flatfiles_assets.data_integration.coverage import coverage_of
from flatfiles_assets.data_integration.data_request import DataRequest, ResultTerms
from flatfiles_assets.data_integration.errors import (
    check_choice,
)
from flatfiles_assets.data_integration.frames import FRAME_KINDS, FrameKind
from flatfiles_assets.data_integration.opened_warehouse import Frame, OpenedWarehouse
from flatfiles_assets.data_integration.results import (
    describe,
    warn_of_statements,
    warn_or_refuse,
)
from flatfiles_assets.data_integration.statement_columns import TIMEFRAMES, Timeframe
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.unexpected import door
from flatfiles_assets.warehouse.identities import Identity

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from flatfiles_assets.data_integration.options import PriceOptions, UnifiedOptions

# An event on a session without a bar is shown on the next one, which may be the range's first.
_EVENT_LOOKBACK_SESSIONS = MAX_GAP_SESSIONS + 1


class PriceRequests(OpenedWarehouse):
    """Requests for rows of sessions and symbols."""

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
        joining = unified.Joining(self._reader, found.prices(), found.read.columns, statements, request.as_of)
        rows = unified.unify(joining, list(dict.fromkeys(kinds)))
        warn_of_statements(statements.notes)
        table = long_frame(rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
        return frames.with_metadata(frames.convert(table, as_), {**metadata, "joined": statements.notes})

    @door
    def available_symbols(
        self, start_date: DateLike | None = None, end_date: DateLike | None = None
    ) -> list[str]:
        """Symbols with at least one bar in the range, sorted; without dates, in the whole warehouse."""
        start, end = parse_range(start_date or calendars.FIRST_DAY, end_date or calendars.LAST_DAY)
        return self._inputs.symbols_between(start, end)

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

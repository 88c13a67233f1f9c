"""The securities that there were on a day, by what was known then.

Here: `universe`. Not here: how its members are told (`algorithms/universe.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets.algorithms.frames import long as long_frame
from flatfiles_assets.algorithms.universe import STOCK_TYPES, RankedBy, Universe, sessions_without_types
from flatfiles_assets.calendars import DateLike
from flatfiles_assets.data_integration import frames
from flatfiles_assets.data_integration.errors import (
    IdentityWarning,
    check_choice,
    warn_caller,
)
from flatfiles_assets.data_integration.frames import FRAME_KINDS, FrameKind
from flatfiles_assets.data_integration.metadata import days_in_brief
from flatfiles_assets.data_integration.opened_warehouse import Frame, OpenedWarehouse
from flatfiles_assets.unexpected import door


class UniverseRequests(OpenedWarehouse):
    """Requests for the members of a universe."""

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
            IdentityWarning: Of a session no kind of any security is known: `types` leaves nothing out.
        """
        check_choice("a form of data", as_, FRAME_KINDS)
        chosen = Universe(top, by, None if types is None else tuple(types), min_price, min_history)
        rows = self._inputs.universe_rows(date_or_range)
        if types is not None and (unknown := sessions_without_types(rows)):
            warn_caller(
                f"the warehouse knows no kind of any security on {days_in_brief(unknown)}, so that types "
                "leaves nothing out; reference/tickers says them",
                IdentityWarning,
            )
        return frames.convert(long_frame(chosen.chosen(rows)), as_)

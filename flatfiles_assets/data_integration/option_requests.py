"""The options on one underlying on one session.

Here: `option_chain`. Not here: how feed and directory become one chain (`option_quotes.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets.algorithms.frames import long as long_frame
from flatfiles_assets.calendars import DateLike, parse_date
from flatfiles_assets.data_integration import frames
from flatfiles_assets.data_integration.errors import (
    check_choice,
)
from flatfiles_assets.data_integration.frames import FRAME_KINDS, FrameKind
from flatfiles_assets.data_integration.opened_warehouse import Frame, OpenedWarehouse
from flatfiles_assets.data_integration.option_quotes import (
    OPTION_SOURCES,
    OptionSource,
    option_chain,
    select_chain,
)
from flatfiles_assets.unexpected import door

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from flatfiles_assets.data_integration.options import ChainOptions


class OptionRequests(OpenedWarehouse):
    """Requests for option chains."""

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
        chain = option_chain(self._reader, underlying, parse_date(date), source)
        chain = select_chain(chain, days, strikes, option_type)
        return frames.convert(long_frame(chain.to_arrow(compat_level=pl.CompatLevel.oldest())), as_)

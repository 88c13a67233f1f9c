"""The options on one underlying on one session.

Here: `option_chain`. Not here: how feed and directory become one chain (`option_quotes.py`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets.algorithms.frames import long as long_frame
from flatfiles_assets.calendars import DateLike, parse_date
from flatfiles_assets.data_integration import frames
from flatfiles_assets.data_integration.chain_summary import chain_summary
from flatfiles_assets.data_integration.chain_volatility import with_terms, with_volatility
from flatfiles_assets.data_integration.errors import NoData, check_choice
from flatfiles_assets.data_integration.frames import FRAME_KINDS, FrameKind
from flatfiles_assets.data_integration.opened_warehouse import Frame, OpenedWarehouse
from flatfiles_assets.data_integration.option_quotes import (
    OPTION_SOURCES,
    OptionSource,
    option_chain,
    select_chain,
)
from flatfiles_assets.errors import InvalidArgument
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
        moneyness: tuple[float, float] | None = None,
        option_type: str | None = None,
        volatility: bool = False,
        rate: float | None = None,
        dividend_yield: float | None = None,
        source: OptionSource | None = None,
        as_: FrameKind = "pandas",
    ) -> Frame:
        """The options on an underlying on one session, from the feed and the directory alike.

        Args:
            underlying: Ticker of that day, or an index (``SPX``).
            date: The session.
            expiry: One or several days; None for all.
            strikes: Lowest and highest, both included; None for all.
            moneyness: Lowest and highest strike over the underlying's close, both included; None for all.
            option_type: ``C`` or ``P``; None for both.
            volatility: Add what prices imply, by Black, Scholes and Merton.
            rate: Riskless, continuous, a year; None for `Settings.option_rate`.
            dividend_yield: Continuous, a year; None for `Settings.option_dividend_yield`.
            source: ``flat_files`` or ``directory``; None for both, one row a contract.
            as_: ``pandas``, ``polars`` or ``arrow``.

        Returns:
            ``session``, ``underlying``, ``expiry``, ``option_type``, ``strike``, ``root``, ``open``,
            ``high``, ``low``, ``last``, ``bid``, ``ask`` (USD a share as published), ``volume``,
            ``open_interest`` (contracts), ``implied_volatility``, ``source``, ``underlying_close``,
            ``days_to_expiry``, ``deliverable`` (shares; null where a root says that it is not the usual or
            no root is known), ``moneyness``; by expiry, strike and type. With `volatility`, also the
            ``price`` used, ``volatility``, ``delta``, ``gamma``, ``vega``, ``theta``, ``rho`` and
            ``volatility_reason``, which says why there is none; see `chain_volatility`.

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
        chain = with_terms(select_chain(chain, days, strikes, option_type))
        if moneyness is not None:
            chain = _between(chain, moneyness, underlying, date)
        about = {}
        if volatility:
            about = {"rate": self._rate(rate), "dividend_yield": self._yield(dividend_yield)}
            chain = with_volatility(chain, **about)
        table = long_frame(chain.to_arrow(compat_level=pl.CompatLevel.oldest()))
        return frames.with_metadata(frames.convert(table, as_), about)

    @door
    def option_summary(
        self,
        underlying: str,
        date: DateLike,
        *,
        rate: float | None = None,
        dividend_yield: float | None = None,
        source: OptionSource | None = None,
    ) -> dict[str, float | None]:
        """Volatility at the money at 30 and 90 days, 25-delta skew and put-call ratio; see `chain_summary`.

        Arguments and errors are those of `option_chain`.
        """
        chain = self.option_chain(
            underlying,
            date,
            volatility=True,
            rate=rate,
            dividend_yield=dividend_yield,
            source=source,
            as_="polars",
        )
        return chain_summary(chain)

    def _rate(self, rate: float | None) -> float:
        stated = self._settings.option_rate if rate is None else rate
        if stated is None:
            raise InvalidArgument(
                "no riskless rate is stated, without which prices imply no volatility",
                next_step="say rate=0.04, or set FLATFILES_OPTION_RATE",
            )
        return _finite(stated, "rate")

    def _yield(self, dividend_yield: float | None) -> float:
        stated = self._settings.option_dividend_yield if dividend_yield is None else dividend_yield
        return _finite(stated, "dividend_yield")


def _finite(value: float, name: str) -> float:
    if not math.isfinite(value) or abs(value) > 1:
        raise InvalidArgument(f"{name} is {value}", next_step="write 4 percent as 0.04")
    return value


def _between(
    chain: pl.DataFrame, moneyness: tuple[float, float], underlying: str, date: DateLike
) -> pl.DataFrame:
    if chain.height and chain["underlying_close"].null_count() == chain.height:
        raise NoData(
            f"there is no close of {underlying} on {date}, so strikes have no moneyness",
            next_step="load its day bars, or say strikes=",
        )
    return chain.filter(pl.col("moneyness").is_between(*moneyness))

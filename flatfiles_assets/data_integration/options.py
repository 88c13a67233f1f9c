"""The keyword arguments of `DataIntegration`'s methods besides the form of the frame, for type checkers.

Here: what the overloads on ``as_`` share. Not here: what the arguments mean (the modules of the requests).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from flatfiles_assets.algorithms.panel import Adjustment
from flatfiles_assets.calendars import DateLike
from flatfiles_assets.data_integration.data_request import ResultTerms
from flatfiles_assets.data_integration.option_quotes import OptionSource
from flatfiles_assets.data_integration.statement_columns import Timeframe
from flatfiles_assets.warehouse.identities import Identity


class PriceOptions(TypedDict, total=False):
    """Of `load_prices`."""

    adjust: Adjustment | None
    terms: ResultTerms
    as_of: DateLike | None
    identity: Identity
    ensure: bool
    skip_unknown: bool


class UnifiedOptions(PriceOptions, total=False):
    """Of `create_unified_dataset`."""

    timeframe: Timeframe | None


class ChainOptions(TypedDict, total=False):
    """Of `option_chain`."""

    expiry: DateLike | Sequence[DateLike] | None
    strikes: tuple[float, float] | None
    moneyness: tuple[float, float] | None
    option_type: str | None
    volatility: bool
    rate: float | None
    dividend_yield: float | None
    source: OptionSource | None

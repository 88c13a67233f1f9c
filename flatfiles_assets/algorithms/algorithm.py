"""What an algorithm is to the platform: one entry from which everything about it follows.

Here: `Algorithm` and `Frame`. Not here: the entries, which stand with their arithmetic (`momentum`,
`mean_reversion`, `pairs_trading`), and the list of them (`registry`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from flatfiles_assets.algorithms.panel import PricePanel
from flatfiles_assets.algorithms.requested_prices import FACTOR_COLUMNS, RequestedPrices
from flatfiles_assets.columns import Column, Terms

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Frame:
    """One frame of an algorithm's result.

    Attributes:
        terms: What the values of a wide or square frame are counted in.
        columns: Columns of a long frame, each with its terms; empty for a wide or square one.
        about: Whether a value is about its session and what was before it, or about the whole range.
    """

    terms: Terms = "free"
    columns: tuple[Column, ...] = ()
    about: Literal["session", "range"] = "session"

    @classmethod
    def of_features(cls, columns: tuple[Column, ...]) -> Frame:
        """The long frame of stored features: a row per session and symbol, with the factors."""
        return cls(columns=(*columns, *FACTOR_COLUMNS))


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """One algorithm: its stored features, and its result in the researcher's hands.

    From it follow the table and the asset ``algorithm/<name>`` with its checks, its job, what
    `DataIntegration.get_data_for_algorithm` takes and returns, the pictures of that, and whether
    `DataIntegration.create_unified_dataset` can join the features.

    Attributes:
        name: Of asset, table, job, and for `get_data_for_algorithm`.
        summary: What its rows are, in one sentence.
        columns: Of the table, with their terms; ``trade_date`` first, ``adjustment`` among them. Values
            are in the terms of their own session.
        key_columns: What identifies a row within a session, and orders the rows.
        lookback_sessions: Sessions before the first that the values of the first need.
        compute: The table's rows: ``compute(panel, first_session=…, last_session=…, parameters=…)``; see
            `momentum.compute`.
        parameters: Class of the parameters of `compute`; made without arguments it holds the defaults.
        build: The frames of a result, by key, from prices and options.
        options: Class of the options of `build`, which `get_data_for_algorithm` takes by name.
        frames: What `build` returns.
        pictures: Pictures of a result in pandas, by kind; the first is shown where none is named.
        key_figures: A few figures of one session's rows, which the UI plots over time.
        session_picture: A picture of one session's rows, for the UI; None where it has none to show.
    """

    name: str
    summary: str
    columns: tuple[Column, ...]
    key_columns: tuple[str, ...]
    lookback_sessions: int
    compute: Callable[..., pa.Table]
    parameters: type[Any]
    build: Callable[[RequestedPrices, Any], Mapping[str, pa.Table]]
    options: type[Any]
    frames: Mapping[str, Frame]
    pictures: Mapping[str, Callable[..., Figure]]
    key_figures: Callable[[pa.Table], dict[str, Any]]
    session_picture: Callable[[pd.DataFrame], Figure | None]

    @property
    def is_per_symbol(self) -> bool:
        """Whether there is a row per session and symbol, which can stand beside prices."""
        return self.key_columns == ("ticker",)

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        """The columns that are values, not keys."""
        return tuple(column for column in self.columns if column.type not in (pa.string(), pa.date32()))


def requested_features(
    compute: Callable[..., pa.Table], prices: RequestedPrices, parameters: Any
) -> pa.Table:
    """The rows that an algorithm's `compute` has for the sessions of a request."""
    # Who the columns are is put into the result as numbers of symbols; here it would be millions of texts.
    panel = dataclasses.replace(prices.dated, identity=None)
    first, last = (_day(panel, row) for row in (prices.rows.start, prices.rows.stop - 1))
    return compute(panel, first_session=first, last_session=last, parameters=parameters)


def median_of(name: str, rows: pa.Table) -> dict[str, float]:
    """The median of a column as a key figure; none where the column has no value."""
    values = rows.column(name).drop_null().to_numpy()
    return {f"median_{name}": round(float(np.median(values)), 6)} if len(values) else {}


def _day(panel: PricePanel, row: int) -> dt.date:
    day: dt.date = panel.sessions[row].item()
    return day

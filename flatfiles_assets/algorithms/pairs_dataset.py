"""Pairs trading as an algorithm of the platform: its result on demand, its pictures, its entry.

Here: pairs of the symbols that somebody asks for, tested over the range, with their trailing spreads.
Not here: the features of the whole market (`pairs_trading`), the test (`cointegration`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from flatfiles_assets.algorithms import frames, pairs_trading, plots
from flatfiles_assets.algorithms.algorithm import Algorithm, Frame
from flatfiles_assets.algorithms.cointegration import MIN_OBSERVATIONS, engle_granger
from flatfiles_assets.algorithms.columns import TICKER_X, TICKER_Y
from flatfiles_assets.algorithms.pairs_trading import WINDOW_SESSIONS, correlation_matrix
from flatfiles_assets.algorithms.requested_prices import RequestedPrices
from flatfiles_assets.algorithms.trailing_spread import trailing_spreads
from flatfiles_assets.errors import InvalidArgument

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEAT_MAP_SYMBOLS = 40


@dataclasses.dataclass(frozen=True)
class PairsOptions:
    """Options of pairs trading on demand.

    Attributes:
        min_correlation: Only pairs of at least this correlation are tested; None tests all.
        min_observations: Fewest sessions on which both symbols have a bar.
        window_sessions: Trailing sessions behind each value of spread and z-score.
        max_spread_pairs: Most pairs in `spread_data` and `zscore_data`: those of the lowest p-values.
    """

    min_correlation: float | None = None
    min_observations: int = MIN_OBSERVATIONS
    window_sessions: int = WINDOW_SESSIONS
    max_spread_pairs: int = 1000

    def __post_init__(self) -> None:
        if not MIN_OBSERVATIONS <= self.min_observations <= self.window_sessions <= WINDOW_SESSIONS:
            raise InvalidArgument(
                f"min_observations={self.min_observations} with window_sessions={self.window_sessions}",
                next_step=f"choose {MIN_OBSERVATIONS} <= min_observations <= window_sessions <= "
                f"{WINDOW_SESSIONS}",
            )


#: Statistics over the range, as `pairs_trading.COLUMNS` has them over a year.
_STATISTICS = tuple(
    column for column in pairs_trading.COLUMNS if column.name in (*pairs_trading.STATISTICS, "correlation")
)


def pairs_trading_data(prices: RequestedPrices, options: PairsOptions) -> dict[str, pa.Table]:
    """Prices, returns, correlation and cointegration over the range, trailing spreads and z-scores."""
    rows, symbols = prices.rows, prices.symbols
    returns = prices.returns()
    whole = prices.unbroken() & prices.chosen()
    over_range = np.where(whole, returns, np.nan)
    correlation = correlation_matrix(over_range, options.min_observations)
    diagonal = np.diag_indices(len(symbols))
    shown = correlation.copy()
    shown[diagonal] = np.where(np.isnan(correlation[diagonal]), np.nan, 1.0)
    tested = ~np.eye(len(symbols), dtype=bool) & prices.chosen() & prices.chosen()[:, None]
    if options.min_correlation is not None:
        tested &= correlation >= options.min_correlation
    y, x = np.nonzero(tested)
    statistics = engle_granger(np.where(whole, prices.closes[rows], np.nan), y, x)
    values: dict[str, Any] = {
        "correlation": correlation[y, x],
        **{field.name: getattr(statistics, field.name) for field in dataclasses.fields(statistics)},
    }
    level = prices.range_levels()
    of_terms = {"free": 1.0, "price_y": level[y], "shares_x_per_y": level[y] / level[x]}
    names = pa.array(symbols, pa.string())
    cointegration = pa.table(
        {
            "ticker_y": names.take(pa.array(y)),
            "ticker_x": names.take(pa.array(x)),
            **{
                column.name: pa.array(
                    values[column.name] * of_terms[column.terms]
                    if column.type == pa.float64()
                    else values[column.name],
                    from_pandas=True,
                )
                for column in _STATISTICS
            },
        }
    )
    best = np.argsort(np.where(np.isnan(statistics.p_value), 2.0, statistics.p_value), kind="stable")
    chosen = np.sort(best[: options.max_spread_pairs])
    spread, zscore = trailing_spreads(
        prices.closes[: rows.stop],
        y[chosen],
        x[chosen],
        prices.n_rows,
        options.window_sessions,
        options.min_observations,
    )
    return {
        "price_data": prices.price_data(),
        "returns_data": prices.wide(returns),
        "correlation_data": frames.square(shown, symbols),
        "cointegration_data": frames.long(cointegration),
        "spread_data": prices.wide_pairs(spread * prices.levels()[:, y[chosen]], y[chosen], x[chosen]),
        "zscore_data": prices.wide_pairs(zscore, y[chosen], x[chosen]),
    }


def _key_figures(rows: pa.Table) -> dict[str, Any]:
    p_values, zscore = (rows.column(name).to_numpy() for name in ("p_value", "zscore"))
    cointegrated = p_values < 0.05
    return {
        "candidates": rows.num_rows,
        "cointegrated_5_percent": int(np.count_nonzero(cointegrated)),
        "of_those_beyond_2_stds": int(np.count_nonzero(cointegrated & (np.abs(zscore) > 2))),
    }


def _session_picture(pairs: pd.DataFrame) -> Figure | None:
    """Correlations of the symbols with the most candidates; blank where a pair is no candidate."""
    if pairs.empty:
        return None
    counts = pairs["ticker_y"].value_counts()
    chosen = sorted(counts.index[:_HEAT_MAP_SYMBOLS])
    matrix = pairs.pivot(index="ticker_y", columns="ticker_x", values="correlation")
    return plots.plot_correlation(matrix.reindex(index=chosen, columns=chosen))


ALGORITHM = Algorithm(
    name="pairs_trading",
    summary="Correlated pairs of the 500 most liquid symbols, tested for cointegration both ways.",
    columns=pairs_trading.COLUMNS,
    key_columns=("ticker_y", "ticker_x"),
    lookback_sessions=pairs_trading.LOOKBACK_SESSIONS,
    compute=pairs_trading.compute,
    parameters=pairs_trading.PairsTradingParameters,
    build=pairs_trading_data,
    options=PairsOptions,
    frames={
        "price_data": Frame("price"),
        "returns_data": Frame(),
        "correlation_data": Frame(about="range"),
        "cointegration_data": Frame(columns=(TICKER_Y, TICKER_X, *_STATISTICS), about="range"),
        "spread_data": Frame("price_y"),
        "zscore_data": Frame(),
    },
    pictures={
        "correlation": lambda data: plots.plot_correlation(data["correlation_data"]),
        "spread": lambda data, pair=None: plots.plot_spread(
            data["spread_data"],
            data["zscore_data"],
            pair or plots.most_cointegrated(data["cointegration_data"]),
        ),
        "prices": plots.picture_of_prices,
    },
    key_figures=_key_figures,
    session_picture=_session_picture,
)

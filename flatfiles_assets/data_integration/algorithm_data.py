"""What each algorithm's dataset holds, from a panel of the symbols asked for.

Here: one function per algorithm, from prices to the tables that `get_data_for_algorithm` returns.
Not here: reading prices, caching, and the features' definitions (`algorithms/`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from flatfiles_assets.algorithms.cointegration import MIN_OBSERVATIONS, engle_granger
from flatfiles_assets.algorithms.mean_reversion import MeanReversionParameters
from flatfiles_assets.algorithms.momentum import MomentumParameters
from flatfiles_assets.algorithms.pairs_trading import WINDOW_SESSIONS, correlation_matrix
from flatfiles_assets.algorithms.panel import FloatArray, PricePanel
from flatfiles_assets.algorithms.trailing_spread import trailing_spreads
from flatfiles_assets.data_integration import frames
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.warehouse.features import ALGORITHMS


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


@dataclasses.dataclass(frozen=True)
class Prices:
    """The same prices in two terms, with the look-back before the sessions asked for.

    Attributes:
        recent: In the terms of the last session: what people look at.
        dated: As `adjust_panel` with ``anchor="first"``: what features are computed from.
        rows: The sessions asked for.
    """

    recent: PricePanel
    dated: PricePanel
    rows: slice

    def wide(self, values: FloatArray) -> pa.Table:
        """A matrix over the sessions asked for as a wide table."""
        return frames.wide(values, self.recent.sessions[self.rows], self.recent.symbols)

    @functools.cached_property
    def closes(self) -> FloatArray:
        """Closes of the whole panel, NaN where there is no bar."""
        return np.where(self.recent.has_bar, self.recent.close, np.nan)

    def returns(self) -> FloatArray:
        """Simple returns from the session before, NaN unless both sessions have a bar."""
        closes = self.closes
        before = np.full_like(closes, np.nan)
        before[1:] = closes[:-1]
        result: FloatArray = (closes / before - 1.0)[self.rows]
        return result


def momentum_data(prices: Prices, options: MomentumParameters) -> dict[str, pa.Table]:
    """Prices, returns, volumes and momentum features."""
    volumes = np.where(prices.recent.has_bar, prices.recent.volume, np.nan)
    return {
        "price_data": prices.wide(prices.closes[prices.rows]),
        "returns_data": prices.wide(prices.returns()),
        "volume_data": prices.wide(volumes[prices.rows]),
        "momentum_data": _features("momentum", prices, options),
    }


def mean_reversion_data(prices: Prices, options: MeanReversionParameters) -> dict[str, pa.Table]:
    """Prices, returns, z-scores and mean-reversion features."""
    indicators = _features("mean_reversion", prices, options)
    return {
        "price_data": prices.wide(prices.closes[prices.rows]),
        "returns_data": prices.wide(prices.returns()),
        "zscore_data": prices.wide(_pivot(indicators, "zscore_20", prices)),
        "indicators_data": indicators,
    }


def pairs_trading_data(prices: Prices, options: PairsOptions) -> dict[str, pa.Table]:
    """Prices, returns, correlation and cointegration over the range, trailing spreads and z-scores."""
    closes, symbols, rows = prices.closes, prices.recent.symbols, prices.rows
    returns = prices.returns()
    correlation = correlation_matrix(returns, options.min_observations)
    diagonal = np.diag_indices(len(symbols))
    shown = correlation.copy()
    shown[diagonal] = np.where(np.isnan(correlation[diagonal]), np.nan, 1.0)
    tested = ~np.eye(len(symbols), dtype=bool)
    if options.min_correlation is not None:
        tested &= correlation >= options.min_correlation
    y, x = np.nonzero(tested)
    statistics = engle_granger(closes[rows], y, x)
    names = np.array(symbols, dtype=object)
    values = {field.name: getattr(statistics, field.name) for field in dataclasses.fields(statistics)}
    cointegration = pa.table(
        {
            "ticker_y": pa.array(names[y], pa.string()),
            "ticker_x": pa.array(names[x], pa.string()),
            "correlation": pa.array(correlation[y, x], from_pandas=True),
            **{name: pa.array(each, from_pandas=True) for name, each in values.items()},
        }
    )
    best = np.argsort(np.where(np.isnan(statistics.p_value), 2.0, statistics.p_value), kind="stable")
    chosen = np.sort(best[: options.max_spread_pairs])
    spread, zscore = trailing_spreads(
        closes,
        y[chosen],
        x[chosen],
        rows.stop - rows.start,
        options.window_sessions,
        options.min_observations,
    )
    days = prices.recent.sessions[rows]
    pairs = list(zip(names[y[chosen]].tolist(), names[x[chosen]].tolist(), strict=True))
    return {
        "price_data": prices.wide(closes[rows]),
        "returns_data": prices.wide(returns),
        "correlation_data": frames.square(shown, symbols),
        "cointegration_data": frames.long(cointegration),
        "spread_data": frames.wide_pairs(spread, days, pairs),
        "zscore_data": frames.wide_pairs(zscore, days, pairs),
    }


@dataclasses.dataclass(frozen=True)
class AlgorithmDataset:
    """How one algorithm's dataset is made.

    Attributes:
        build: From prices and options to tables by key.
        options: Class of the options, which `get_data_for_algorithm` takes by name.
        lookback_sessions: Sessions that the first session's values look back over.
    """

    build: Callable[[Prices, Any], dict[str, pa.Table]]
    options: type[Any]
    lookback_sessions: int


ALGORITHM_DATASETS: Mapping[str, AlgorithmDataset] = {
    name: AlgorithmDataset(build, options, ALGORITHMS[name].lookback_sessions)
    for name, build, options in (
        ("pairs_trading", pairs_trading_data, PairsOptions),
        ("momentum", momentum_data, MomentumParameters),
        ("mean_reversion", mean_reversion_data, MeanReversionParameters),
    )
}


def _features(name: str, prices: Prices, options: Any) -> pa.Table:
    first, last = (prices.dated.sessions[row].item() for row in (prices.rows.start, prices.rows.stop - 1))
    rows = ALGORITHMS[name].compute(prices.dated, first_session=first, last_session=last, parameters=options)
    return frames.long(_with_encoded_text(rows, prices))


def _with_encoded_text(rows: pa.Table, prices: Prices) -> pa.Table:
    """Feature rows with their texts as numbers of the panel's symbols, which need no search.

    The rows are the panel's bars in order.
    """
    columns = np.flatnonzero(prices.dated.has_bar[prices.rows]) % max(len(prices.dated.symbols), 1)
    texts = {
        "ticker": (columns.astype(np.int32), prices.dated.symbols),
        "adjustment": (np.zeros(len(columns), dtype=np.int8), [prices.dated.adjustment]),
    }
    for name, (codes, names) in texts.items():
        encoded = pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))
        rows = rows.set_column(rows.column_names.index(name), name, encoded)
    return rows


def _pivot(rows: pa.Table, name: str, prices: Prices) -> FloatArray:
    """A feature of a long table as a matrix; its rows are the panel's bars in order."""
    matrix = np.full((prices.rows.stop - prices.rows.start, len(prices.dated.symbols)), np.nan)
    matrix[prices.dated.has_bar[prices.rows]] = rows.column(name).to_numpy()
    return matrix

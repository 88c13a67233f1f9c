"""Pairs trading: which liquid symbols move together, and how far apart they are now.

Here: `compute` and the columns of `algorithm/pairs_trading`, and `correlation_matrix`. Not here: the
test itself (`cointegration`), reading prices or writing tables.

At each session, with what was known then:

1. Universe: the `universe_size` symbols of largest mean published dollar volume over 21 sessions,
   among those with a bar that session, at least `min_observations` bars in the last 252, and no gap
   of more than `panel.MAX_GAP_SESSIONS` among these: before it the symbol may be another company's.
2. Correlation of daily returns over the last 252, each pair on the sessions on which both have one.
3. Candidates: pairs with a correlation of at least `min_correlation`.
4. For candidates, both ways round, `cointegration.engle_granger` on the last 252 closes in the terms
   of that session. Each direction is a row: `ticker_y` regressed on `ticker_x`.

Prices are never filled here: a stale price is a spread that nobody could trade.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets.algorithms.cointegration import MIN_OBSERVATIONS, PairStatistics, engle_granger
from flatfiles_assets.algorithms.columns import (
    ADJUSTMENT,
    SECURITY_ID_X,
    SECURITY_ID_Y,
    TICKER_X,
    TICKER_Y,
    feature,
)
from flatfiles_assets.algorithms.panel import (
    MAX_GAP_SESSIONS,
    SAME_PRICE,
    FloatArray,
    PricePanel,
    blocks,
    price_level,
)
from flatfiles_assets.algorithms.rolling import rolling_sum
from flatfiles_assets.columns import TRADE_DATE, Column
from flatfiles_assets.errors import InvalidArgument

WINDOW_SESSIONS = 252
_LIQUIDITY_SESSIONS = 21

#: A window of returns needs the close before it, and a gap that reaches into it is told by its begin.
LOOKBACK_SESSIONS = WINDOW_SESSIONS + MAX_GAP_SESSIONS


COLUMNS: tuple[Column, ...] = (
    TRADE_DATE,
    TICKER_Y,
    TICKER_X,
    SECURITY_ID_Y,
    SECURITY_ID_X,
    feature("correlation", "Correlation of daily returns over 252 sessions"),
    feature("hedge_ratio", "Shares of x that offset one of y", "shares_x_per_y"),
    feature("intercept", "Of the regression of y on x, USD of that session", "price_y"),
    feature("adf_statistic", "Engle-Granger statistic; minus infinity if collinear"),
    feature("p_value", "MacKinnon's p-value of no cointegration"),
    feature("half_life_sessions", "Half-life of the spread; null where it does not revert"),
    feature("spread_mean", "Mean of y - hedge_ratio x over the window, USD of that session", "price_y"),
    feature("spread_std", "Sample standard deviation of the spread, USD of that session", "price_y"),
    feature("zscore", "Distance of the spread from its mean in spread_std"),
    Column("observations", pa.int64(), "Sessions of the window on which both have a close"),
    ADJUSTMENT,
)

#: Columns that are the fields of `cointegration.PairStatistics`.
STATISTICS = tuple(column.name for column in COLUMNS if column.name in PairStatistics.__dataclass_fields__)


@dataclasses.dataclass(frozen=True)
class PairsTradingParameters:
    """Which pairs are tested.

    Attributes:
        universe_size: Number of the most liquid symbols.
        min_correlation: Lowest correlation of a candidate pair.
        min_observations: Fewest bars of a symbol, and fewest common returns of a pair, in the window.
    """

    universe_size: int = 500
    min_correlation: float = 0.8
    min_observations: int = 200

    def __post_init__(self) -> None:
        if not MIN_OBSERVATIONS <= self.min_observations <= WINDOW_SESSIONS:
            raise InvalidArgument(
                f"min_observations is {self.min_observations}",
                next_step=f"choose from {MIN_OBSERVATIONS} to {WINDOW_SESSIONS}",
            )


def compute(
    panel: PricePanel,
    *,
    first_session: dt.date,
    last_session: dt.date,
    parameters: PairsTradingParameters | None = None,
) -> pa.Table:
    """The rows of `COLUMNS` from first to last session, both included.

    Args:
        panel: Prices of every symbol that may be in the universe, with `LOOKBACK_SESSIONS` sessions
            before the first where there are any;
            adjusted, if at all, with ``anchor="first"`` (see `adjustments.adjust_panel`).
        first_session: First session of the result.
        last_session: Last session of the result.
        parameters: By default `PairsTradingParameters()`.

    Returns:
        One row per session and ordered candidate pair, by session, then y, then x in the panel's
        symbol order.

    Raises:
        InvalidArgument: The panel has no session in the range.
    """
    parameters = parameters or PairsTradingParameters()
    rows = panel.rows_between(first_session, last_session)
    liquidity, bars = _liquidity(panel, rows)
    eligible = panel.eligible[rows] & (bars >= parameters.min_observations) & ~np.isnan(liquidity)
    level = np.broadcast_to(price_level(panel, rows), liquidity.shape)
    days = [
        _session_pairs(panel, row, eligible[i], liquidity[i], level[i], parameters)
        for i, row in enumerate(range(rows.start, rows.stop))
    ]
    joined = {name: np.concatenate([day[name] for day in days]) for name in days[0]}
    arrays = {
        "trade_date": pa.array(panel.sessions[joined["row"]].astype(np.int32)).cast(pa.date32()),
        "ticker_y": panel.tickers(joined["row"], joined["y"]),
        "ticker_x": panel.tickers(joined["row"], joined["x"]),
        "security_id_y": panel.securities(joined["y"]),
        "security_id_x": panel.securities(joined["x"]),
        "adjustment": pa.repeat(pa.scalar(panel.adjustment, pa.string()), len(joined["row"])),
        **{name: pa.array(joined[name], from_pandas=True) for name in ("correlation", *STATISTICS)},
    }
    schema = pa.schema([(column.name, column.table_type) for column in COLUMNS])
    return pa.Table.from_arrays([arrays[field.name].cast(field.type) for field in schema], schema=schema)


def _liquidity(panel: PricePanel, rows: slice) -> tuple[FloatArray, FloatArray]:
    """Mean dollar volume, NaN without a full window, and the number of bars in the last 252.

    Bars are NaN where the window holds a long gap.
    """
    shape = (rows.stop - rows.start, len(panel.symbols))
    liquidity, bars = np.empty(shape), np.empty(shape)
    for block in blocks(panel, rows, LOOKBACK_SESSIONS):
        dollars = block.dollar_volume[LOOKBACK_SESSIONS - _LIQUIDITY_SESSIONS + 1 :]
        liquidity[:, block.columns] = rolling_sum(dollars, _LIQUIDITY_SESSIONS) / _LIQUIDITY_SESSIONS
        seen = block.has_bar[LOOKBACK_SESSIONS - WINDOW_SESSIONS + 1 :].astype(np.float64)
        counted = rolling_sum(seen, WINDOW_SESSIONS)
        bars[:, block.columns] = block.null_over_gaps(counted, WINDOW_SESSIONS)
    return liquidity, bars


def _session_pairs(
    panel: PricePanel,
    row: int,
    eligible: npt.NDArray[np.bool_],
    liquidity: FloatArray,
    level: FloatArray,
    parameters: PairsTradingParameters,
) -> dict[str, npt.NDArray[np.generic]]:
    candidates = np.flatnonzero(eligible)
    by_liquidity = candidates[np.argsort(-liquidity[candidates], kind="stable")]
    universe = np.sort(by_liquidity[: parameters.universe_size])
    window = slice(max(row - WINDOW_SESSIONS, 0), row + 1)
    closes = np.where(panel.has_bar[window][:, universe], panel.close[window][:, universe], np.nan)
    closes /= level[universe]
    correlation = correlation_matrix(closes[1:] / closes[:-1] - 1.0, parameters.min_observations)
    np.fill_diagonal(correlation, np.nan)
    y, x = np.nonzero(correlation >= parameters.min_correlation)
    statistics = engle_granger(closes[-WINDOW_SESSIONS:], y, x)
    return {
        "row": np.full(len(y), row),
        "y": universe[y],
        "x": universe[x],
        "correlation": correlation[y, x],
        **{name: getattr(statistics, name) for name in STATISTICS},
    }


def correlation_matrix(returns: FloatArray, min_observations: int = 2) -> FloatArray:
    """Pearson correlation of every pair of columns, each on the rows that both have.

    Args:
        returns: Shape (n_sessions, n_symbols), NaN where there is no return.
        min_observations: A pair with fewer common rows is NaN, and so is one with a constant column.

    Returns:
        Shape (n_symbols, n_symbols), symmetric, as ``pandas.DataFrame.corr(min_periods=…)``.
    """
    present = ~np.isnan(returns)
    weights = present.astype(np.float64)
    counts = weights.T @ weights
    # Deviations from each column's mean keep the sums below free of cancellation.
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(present, returns, 0.0).sum(axis=0) / weights.sum(axis=0)
        centred = np.where(present, returns - mean, 0.0)
        sums = centred.T @ weights
        products = centred.T @ centred - sums * sums.T / counts
        squares = (centred * centred).T @ weights - sums * sums / counts
        correlation: FloatArray = products / np.sqrt(squares * squares.T)
    # What rounding leaves of a constant column would correlate with anything.
    low, high = (np.where(present, returns, fill) for fill in (np.inf, -np.inf))
    constant = low.min(axis=0, initial=np.inf) + SAME_PRICE >= high.max(axis=0, initial=-np.inf)
    correlation[(counts < min_observations) | constant | constant[:, None]] = np.nan
    return np.clip(correlation, -1.0, 1.0)

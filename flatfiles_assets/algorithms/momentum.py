"""Momentum: returns, volatility, 12-1 momentum and its rank in a point-in-time universe.

Here: `compute`, the columns of `algorithm/momentum`, and its entry `ALGORITHM`. Not here: reading
prices or writing tables.

Definitions, at session t, with C the close adjusted for the events known at t (gaps of up to
`panel.MAX_GAP_SESSIONS` sessions carried forward), k counted in sessions. Whatever looks back over a
longer gap is null: that may be another company.

- ``return_k``: C(t) / C(t-k) - 1, where both closes exist.
- ``momentum_12_1``: C(t-21) / C(t-252) - 1. Kenneth French's requirements for a stock in his
  prior (2-12) portfolios formed at the end of month m-1 are a price at the end of m-13, a good
  return in m-2 and a market value at the end of m-1; returns between may be missing
  (https://mba.tuck.dartmouth.edu/pages/faculty/ken.french/Data_Library/det_mom_factor.html).
  In sessions: closes at t-252 and t-21, a bar at t, and no long gap between.
- ``volatility_k``: sample standard deviation of the last k daily returns, all of which must exist,
  times the square root of 252; 0 where all of them are rounding (`panel.SAME_PRICE`).
- ``volatility_scaled_momentum``: ``momentum_12_1 / volatility_63``; null at zero volatility.
- ``dollar_volume_21``: mean over 21 sessions of published close times published volume, a session
  without a bar counting 0. No adjustment changes it.
- ``momentum_rank``, ``momentum_percentile``: of ``momentum_12_1`` among the universe of that
  session: 1 is the strongest; the percentile is in (0, 1], 1 the strongest; ties share their mean.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.algorithms import plots
from flatfiles_assets.algorithms.algorithm import Algorithm, Frame, median_of, requested_features
from flatfiles_assets.algorithms.columns import ADJUSTMENT, SECURITY_ID, TICKER, feature
from flatfiles_assets.algorithms.panel import (
    MAX_GAP_SESSIONS,
    SAME_PRICE,
    Block,
    BoolArray,
    FloatArray,
    PricePanel,
    blocks,
    price_level,
    to_long,
)
from flatfiles_assets.algorithms.requested_prices import RequestedPrices
from flatfiles_assets.algorithms.rolling import rolling_moments, rolling_sum
from flatfiles_assets.columns import TRADE_DATE, Column

SESSIONS_PER_YEAR = 252
RETURN_SESSIONS = (1, 5, 21, 63, 126, 252)
VOLATILITY_SESSIONS = (21, 63)
_MONTH, _YEAR = 21, 252
_EXTREMES = 5

LOOKBACK_SESSIONS = _YEAR + MAX_GAP_SESSIONS


COLUMNS: tuple[Column, ...] = (
    TRADE_DATE,
    TICKER,
    SECURITY_ID,
    *(feature(f"return_{k}", f"Simple return over {k} sessions") for k in RETURN_SESSIONS),
    feature("momentum_12_1", "Return from 252 to 21 sessions ago"),
    *(
        feature(f"volatility_{k}", f"Sample std of {k} daily returns, annualised by sqrt(252)")
        for k in VOLATILITY_SESSIONS
    ),
    feature("volatility_scaled_momentum", "momentum_12_1 divided by volatility_63"),
    feature("dollar_volume_21", "Mean published close times volume over 21 sessions, USD"),
    feature("momentum_rank", "Rank of momentum_12_1 in the session's universe, 1 the strongest"),
    feature("momentum_percentile", "Percentile of momentum_12_1 in the universe, 1 the strongest"),
    Column("filled_sessions", pa.int32(), "Sessions of the last 252 whose close was carried over a gap"),
    ADJUSTMENT,
)

_RANKS = ("momentum_rank", "momentum_percentile")
_KEYS = ("trade_date", "ticker", "security_id", "adjustment")
_BLOCK_FEATURES = (*(c.name for c in COLUMNS if c.name not in _RANKS + _KEYS), "bars")


@dataclasses.dataclass(frozen=True)
class MomentumParameters:
    """Who is in the universe that momentum is ranked in, judged at each session by what was known.

    Attributes:
        min_price: Lowest published close of that session, USD.
        min_dollar_volume: Lowest `dollar_volume_21`, USD.
        min_history_bars: Fewest bars in the 252 sessions up to that one.
    """

    min_price: float = 5.0
    min_dollar_volume: float = 1_000_000.0
    min_history_bars: int = 200


def compute(
    panel: PricePanel,
    *,
    first_session: dt.date,
    last_session: dt.date,
    parameters: MomentumParameters | None = None,
) -> pa.Table:
    """The rows of `COLUMNS` from first to last session, both included.

    Args:
        panel: Prices of every symbol that may be in the universe, with `LOOKBACK_SESSIONS` sessions
            before the first where there are any;
            adjusted, if at all, with ``anchor="first"`` (see `adjustments.adjust_panel`).
        first_session: First session of the result.
        last_session: Last session of the result.
        parameters: The universe; by default `MomentumParameters()`.

    Returns:
        One row per session and symbol with a bar, by session, then by the panel's symbol order.

    Raises:
        InvalidArgument: The panel has no session in the range.
    """
    parameters = parameters or MomentumParameters()
    rows = panel.rows_between(first_session, last_session)
    shape = (rows.stop - rows.start, len(panel.symbols))
    features = {name: np.empty(shape) for name in _BLOCK_FEATURES}
    for block in blocks(panel, rows, LOOKBACK_SESSIONS):
        for name, values in _block_features(block).items():
            features[name][:, block.columns] = values
    universe = (
        (panel.close[rows] / price_level(panel, rows) >= parameters.min_price)
        & (features["dollar_volume_21"] >= parameters.min_dollar_volume)
        & (features["bars"] >= parameters.min_history_bars)
        & panel.eligible[rows]
    )
    features["momentum_rank"], features["momentum_percentile"] = rank_rows(
        features["momentum_12_1"], universe
    )
    return to_long(panel, rows, features, COLUMNS)


def _block_features(block: Block) -> dict[str, FloatArray]:
    close = block.close
    n_out = len(close) - LOOKBACK_SESSIONS

    def back(k: int) -> FloatArray:
        return close[LOOKBACK_SESSIONS - k : LOOKBACK_SESSIONS - k + n_out]

    features = {f"return_{k}": block.null_over_gaps(back(0) / back(k) - 1.0, k) for k in RETURN_SESSIONS}
    momentum = block.null_over_gaps(back(_MONTH) / back(_YEAR) - 1.0, _YEAR)
    features["momentum_12_1"] = momentum
    daily = close[1:] / close[:-1] - 1.0
    for k in VOLATILITY_SESSIONS:
        _, squares = rolling_moments(daily[len(daily) - n_out - k + 1 :], k)
        deviation = np.sqrt(squares / (k - 1))
        # Returns are relative, so that this is the relative difference of the prices.
        deviation[deviation <= SAME_PRICE] = 0.0
        features[f"volatility_{k}"] = deviation * np.sqrt(SESSIONS_PER_YEAR)
    volatility = features["volatility_63"]
    features["volatility_scaled_momentum"] = np.divide(
        momentum, volatility, out=np.full_like(momentum, np.nan), where=volatility > 0
    )
    dollars = block.dollar_volume[len(close) - n_out - _MONTH + 1 :]
    features["dollar_volume_21"] = rolling_sum(dollars, _MONTH) / _MONTH
    year = slice(len(close) - n_out - _YEAR + 1, None)
    bars = rolling_sum(block.has_bar[year].astype(np.float64), _YEAR)
    known = rolling_sum((close[year] > 0).astype(np.float64), _YEAR)
    filled = block.null_over_gaps(known - bars, _YEAR - 1)
    return {**features, "bars": bars, "filled_sessions": filled}


def rank_rows(values: FloatArray, members: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Rank (1 for the largest) and percentile (1 for the largest) of each row's members.

    Args:
        values: Shape (n, k); NaN is no member.
        members: Shape (n, k).

    Returns:
        Two matrices of shape (n, k), NaN outside the members. Equal values share the mean of their
        ranks, as in ``pandas.Series.rank(method="average")``.
    """
    counted = members & ~np.isnan(values)
    n_counted = counted.sum(axis=1, keepdims=True)
    # What does not count is NaN, which sorts last.
    ranked = np.where(counted, values, np.nan)
    order = np.argsort(ranked, axis=1)
    ordered = np.take_along_axis(ranked, order, axis=1)
    places = np.arange(1.0, values.shape[1] + 1.0)
    ascending = np.where(places <= n_counted, places, np.nan)
    for row in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)):
        ascending[row] = _shared_places(ordered[row], ascending[row])
    places_of_values = np.empty_like(ranked)
    np.put_along_axis(places_of_values, order, ascending, axis=1)
    return n_counted + 1 - places_of_values, places_of_values / np.maximum(n_counted, 1)


def _shared_places(ordered: FloatArray, places: FloatArray) -> FloatArray:
    """Places in which runs of equal values share the middle of those they take."""
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff(np.append(first, len(ordered)))
    shared: FloatArray = np.repeat((places[first] + places[first + lengths - 1]) / 2, lengths)
    return shared


def momentum_data(prices: RequestedPrices, options: MomentumParameters) -> dict[str, pa.Table]:
    """Prices, returns, volumes and momentum features."""
    return {
        "price_data": prices.price_data(),
        "returns_data": prices.wide(prices.returns()),
        "volume_data": prices.volume_data(),
        "momentum_data": prices.long(requested_features(compute, prices, options), COLUMNS),
    }


def _key_figures(rows: pa.Table) -> dict[str, Any]:
    ranked = rows.filter(pc.is_valid(rows.column("momentum_rank")))
    ranked = ranked.sort_by([("momentum_rank", "ascending"), ("ticker", "ascending")])
    tickers = ranked.column("ticker").to_pylist()
    return {
        "universe": len(tickers),
        **median_of("momentum_12_1", ranked),
        "top": ", ".join(tickers[:_EXTREMES]),
        "bottom": ", ".join(tickers[-_EXTREMES:][::-1]),
    }


ALGORITHM = Algorithm(
    name="momentum",
    summary="Returns, volatility and 12-1 momentum, ranked in a point-in-time universe.",
    columns=COLUMNS,
    key_columns=("ticker",),
    lookback_sessions=LOOKBACK_SESSIONS,
    compute=compute,
    parameters=MomentumParameters,
    build=momentum_data,
    options=MomentumParameters,
    frames={
        "price_data": Frame("price"),
        "returns_data": Frame(),
        "volume_data": Frame("volume"),
        "momentum_data": Frame.of_features(COLUMNS),
    },
    pictures={
        "ranking": lambda data, top=10: plots.plot_ranking(data["momentum_data"], top),
        "prices": plots.picture_of_prices,
    },
    key_figures=_key_figures,
    session_picture=plots.plot_ranking,
)

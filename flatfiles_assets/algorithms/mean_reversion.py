"""Mean reversion: distance from the moving average, RSI, reversal and the speed of return.

Here: `compute`, the columns of `algorithm/mean_reversion`, and its entry `ALGORITHM`. Not here:
reading or writing tables.

Definitions, at session t, with C the close in the terms of t (adjusted for the events known at t,
gaps of up to `panel.MAX_GAP_SESSIONS` sessions carried forward; whatever looks back over a longer
one is null, and two prices that differ by `panel.SAME_PRICE` at most are equal):

- ``sma_20``, ``std_20``: mean and population standard deviation of the last 20 closes.
- ``zscore_20``: (C - sma) / std; null where the 20 closes are equal.
- ``bollinger_upper``, ``bollinger_lower``: sma ± 2 std; ``bollinger_percent_b``:
  (C - lower) / (upper - lower) (Bollinger, "Bollinger on Bollinger Bands", 2001).
- ``rsi_14``: Wilder's relative strength index ("New Concepts in Technical Trading Systems", 1978):
  100 G / (G + L), where G and L start as the means of the first 14 gains and losses and continue as
  (13 × previous + newest) / 14. Null before that and where nothing moved. The recursion is summed
  over the last 448 sessions: the weight of what is older, (13/14)^448, is 4e-15. A gap too long to
  be carried starts it anew.
- ``reversal_k``: minus the return over k sessions.
- ``half_life_sessions``: from the regression C(s) = a + phi C(s-1) + e over the last 63 closes
  (62 steps): -ln 2 / ln phi, the time in which the expected distance from the mean halves under
  that discrete model, exactly (the widespread -ln 2 / (phi - 1) is its first-order approximation).
  Null unless 0 < phi < 1: the fit does not revert.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa

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
from flatfiles_assets.algorithms.rolling import (
    rolling_exponential_sums,
    rolling_moments,
    rolling_regression_slope,
    rolling_sum,
)
from flatfiles_assets.columns import TRADE_DATE, Column
from flatfiles_assets.errors import InvalidArgument

BAND_SESSIONS = 20
RSI_SESSIONS = 14
REVERSAL_SESSIONS = (1, 5)
HALF_LIFE_SESSIONS = 63

_RSI_MEMORY_SESSIONS = 448
_FILLED_SESSIONS = 63

# The oldest gain with a weight may be the sum of a history's first 14, which needs the close before
# them and to know that there was none before that.
LOOKBACK_SESSIONS = _RSI_MEMORY_SESSIONS + RSI_SESSIONS + MAX_GAP_SESSIONS


COLUMNS: tuple[Column, ...] = (
    TRADE_DATE,
    TICKER,
    SECURITY_ID,
    feature("sma_20", "Mean of the last 20 closes, USD of that session", "price"),
    feature("std_20", "Population standard deviation of the last 20 closes, USD", "price"),
    feature("zscore_20", "Distance of the close from sma_20 in std_20"),
    feature("bollinger_upper", "sma_20 plus 2 std_20, USD", "price"),
    feature("bollinger_lower", "sma_20 minus 2 std_20, USD", "price"),
    feature("bollinger_percent_b", "Place of the close between the bands: 0 lower, 1 upper"),
    feature("rsi_14", "Relative strength index, 14 sessions, Wilder's smoothing, 0 to 100"),
    *(feature(f"reversal_{k}", f"Minus the return over {k} sessions") for k in REVERSAL_SESSIONS),
    feature("half_life_sessions", "Half-life of an AR(1) fit over 63 closes; null where it does not revert"),
    Column("filled_sessions", pa.int32(), "Sessions of the last 63 whose close was carried over a gap"),
    ADJUSTMENT,
)


@dataclasses.dataclass(frozen=True)
class MeanReversionParameters:
    """What may differ between users.

    Attributes:
        band_stds: Distance of the Bollinger bands from the mean, in standard deviations.
    """

    band_stds: float = 2.0

    def __post_init__(self) -> None:
        if not self.band_stds > 0:
            raise InvalidArgument(
                f"band_stds is {self.band_stds}", next_step="choose a positive number of deviations"
            )


def compute(
    panel: PricePanel,
    *,
    first_session: dt.date,
    last_session: dt.date,
    parameters: MeanReversionParameters | None = None,
) -> pa.Table:
    """The rows of `COLUMNS` from first to last session, both included.

    Args:
        panel: Prices, with `LOOKBACK_SESSIONS` sessions before the first where there are any;
            adjusted, if at all, with ``anchor="first"`` (see `adjustments.adjust_panel`).
        first_session: First session of the result.
        last_session: Last session of the result.
        parameters: By default `MeanReversionParameters()`.

    Returns:
        One row per session and symbol with a bar, by session, then by the panel's symbol order.

    Raises:
        InvalidArgument: The panel has no session in the range.
    """
    parameters = parameters or MeanReversionParameters()
    rows = panel.rows_between(first_session, last_session)
    shape = (rows.stop - rows.start, len(panel.symbols))
    features: dict[str, FloatArray] = {
        column.name: np.empty(shape) for column in COLUMNS if column.type in (pa.float64(), pa.int32())
    }
    for block in blocks(panel, rows, LOOKBACK_SESSIONS):
        for name, values in _block_features(block, parameters).items():
            features[name][:, block.columns] = values
    level = price_level(panel, rows)
    for column in COLUMNS:
        if column.terms == "price":
            features[column.name] /= level
    return to_long(panel, rows, features, COLUMNS)


def _block_features(block: Block, parameters: MeanReversionParameters) -> dict[str, FloatArray]:
    close = block.close
    n_out = len(close) - LOOKBACK_SESSIONS

    def last(values: FloatArray, window: int) -> FloatArray:
        return values[len(values) - n_out - window + 1 :]

    now = close[LOOKBACK_SESSIONS:]
    sma, squares = rolling_moments(last(close, BAND_SESSIONS), BAND_SESSIONS)
    std = np.sqrt(squares / BAND_SESSIONS)
    std[std <= SAME_PRICE * sma] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        zscore = np.where(std > 0, (now - sma) / std, np.nan)
    width = parameters.band_stds
    features = {
        "sma_20": sma,
        "std_20": std,
        "zscore_20": zscore,
        "bollinger_upper": sma + width * std,
        "bollinger_lower": sma - width * std,
        "bollinger_percent_b": (zscore + width) / (2 * width),
        "rsi_14": last(_rsi(close), 1),
    }
    for k in REVERSAL_SESSIONS:
        features[f"reversal_{k}"] = block.null_over_gaps(
            1.0 - now / close[LOOKBACK_SESSIONS - k : len(close) - k], k
        )
    recent = last(close, HALF_LIFE_SESSIONS)
    slope = rolling_regression_slope(recent[:-1], recent[1:], HALF_LIFE_SESSIONS - 1)
    features["half_life_sessions"] = half_life_sessions(slope)
    carried = (close > 0) & ~block.has_bar
    filled = rolling_sum(last(carried.astype(np.float64), _FILLED_SESSIONS), _FILLED_SESSIONS)
    features["filled_sessions"] = block.null_over_gaps(filled, _FILLED_SESSIONS - 1)
    return features


def half_life_sessions(phi: FloatArray) -> FloatArray:
    """Half-life of an AR(1) process with coefficient phi; NaN unless 0 < phi < 1."""
    reverts = (phi > 0) & (phi < 1)
    half_life: FloatArray = -np.log(2.0) / np.log(phi, out=np.full_like(phi, np.nan), where=reverts)
    return half_life


def _rsi(close: FloatArray) -> FloatArray:
    """RSI of every row that has `_RSI_MEMORY_SESSIONS` + 14 rows before it; the rows end together."""
    change = np.diff(close, axis=0)
    known = ~np.isnan(change)
    least, fall = SAME_PRICE * close[1:], -change
    gain, loss = np.where(change > least, change, 0.0), np.where(fall > least, fall, 0.0)
    starts = known.copy()
    starts[1:] &= ~known[:-1]
    gain, loss = _seeded(gain, known, starts), _seeded(loss, known, starts)
    gains, losses = rolling_exponential_sums(gain, loss, starts, 1 - 1 / RSI_SESSIONS, _RSI_MEMORY_SESSIONS)
    enough = rolling_sum(known.astype(np.float64), RSI_SESSIONS)[-len(gains) :] == RSI_SESSIONS
    total = gains + losses
    return np.divide(100.0 * gains, total, out=np.full_like(total, np.nan), where=enough & (total > 0))


def _seeded(moves: FloatArray, known: BoolArray, starts: BoolArray) -> FloatArray:
    """The moves with the first 14 of each history gathered in the 14th.

    The recursion's first average is their mean; gathered so, the plain weighted sum (14 times the
    average) starts from it.
    """
    row, column = np.nonzero(starts[: len(moves) - RSI_SESSIONS + 1])
    first = (row[:, None] + np.arange(RSI_SESSIONS), column[:, None])
    complete = known[first].all(axis=1)
    total = moves[first].sum(axis=1)
    seeded = moves.copy()
    seeded[first] = 0.0
    seeded[row[complete] + RSI_SESSIONS - 1, column[complete]] = total[complete]
    return seeded


def mean_reversion_data(prices: RequestedPrices, options: MeanReversionParameters) -> dict[str, pa.Table]:
    """Prices, returns, z-scores and mean-reversion features."""
    rows = requested_features(compute, prices, options)
    return {
        "price_data": prices.price_data(),
        "returns_data": prices.wide(prices.returns()),
        "zscore_data": prices.wide(prices.pivot(rows, "zscore_20")),
        "indicators_data": prices.long(rows, COLUMNS),
    }


def _key_figures(rows: pa.Table) -> dict[str, Any]:
    zscore, rsi = (rows.column(name).to_numpy() for name in ("zscore_20", "rsi_14"))
    return {
        "zscore_above_2": int(np.count_nonzero(zscore > 2)),
        "zscore_below_minus_2": int(np.count_nonzero(zscore < -2)),
        "rsi_above_70": int(np.count_nonzero(rsi > 70)),
        "rsi_below_30": int(np.count_nonzero(rsi < 30)),
        **median_of("half_life_sessions", rows),
    }


ALGORITHM = Algorithm(
    name="mean_reversion",
    summary="Distance from the 20-session mean, Bollinger bands, RSI, reversal and half-life.",
    columns=COLUMNS,
    key_columns=("ticker",),
    lookback_sessions=LOOKBACK_SESSIONS,
    compute=compute,
    parameters=MeanReversionParameters,
    build=mean_reversion_data,
    options=MeanReversionParameters,
    frames={
        "price_data": Frame("price"),
        "returns_data": Frame(),
        "zscore_data": Frame(),
        "indicators_data": Frame.of_features(COLUMNS),
    },
    pictures={
        "zscores": lambda data: plots.plot_zscores(data["indicators_data"]),
        "prices": plots.picture_of_prices,
    },
    key_figures=_key_figures,
    session_picture=plots.plot_zscores,
)

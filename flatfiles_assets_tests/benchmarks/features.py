"""Momentum and mean-reversion features of the whole market, against pandas groupby."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms import mean_reversion, momentum
from flatfiles_assets.algorithms.panel import PricePanel
from flatfiles_assets_tests.benchmarks.report import Row, median_seconds

_SYMBOLS, _SESSIONS = 11_000, 252
_LOOKBACK = max(momentum.LOOKBACK_SESSIONS, mean_reversion.LOOKBACK_SESSIONS)


def run() -> list[Row]:
    """Both from a long table with look-back to long tables of the last 252 sessions; results compared."""
    table, days = _market()
    first, last = days[-_SESSIONS], days[-1]
    ours: list[pa.Table] = []
    expected: list[pd.DataFrame] = []

    def compute() -> None:
        panel = PricePanel.from_arrow(table, days)
        ours[:] = [
            algorithm.compute(panel, first_session=first, last_session=last)
            for algorithm in (momentum, mean_reversion)
        ]

    ours_s = median_seconds(compute)
    # What pandas is given costs it nothing: sorted by ticker and day, without gaps, coded tickers.
    frame = table.select(["ticker", "close", "volume"]).to_pandas()
    frame["ticker"] = frame["ticker"].astype("category")
    frame["trade_date"] = np.tile(np.array(days, dtype="datetime64[ns]"), _SYMBOLS)
    peer_s = median_seconds(lambda: expected.append(_pandas(frame, pd.Timestamp(first))), runs=1)
    _assert_equal(ours, expected[0])
    claim = f"momentum and mean-reversion features, {_SYMBOLS:,} symbols x {_SESSIONS} sessions"
    return [Row(claim, ours_s, "pandas groupby, same columns", peer_s, "s", peer_s / ours_s, ">= 3")]


def _market() -> tuple[pa.Table, list]:
    """Long, sorted by ticker and session, with the look-back; plus the sessions."""
    days = calendars.sessions("XNYS", "2020-01-02", "2024-06-28")[-(_SESSIONS + _LOOKBACK) :]
    rng = np.random.default_rng(0)
    shape = (_SYMBOLS, len(days))
    close = 30 * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=1))
    names = pa.array([f"S{i:05d}" for i in range(_SYMBOLS)])
    table = pa.table(
        {
            "trade_date": pa.array(np.tile(np.array(days, dtype="datetime64[D]"), _SYMBOLS)),
            "ticker": names.take(pa.array(np.repeat(np.arange(_SYMBOLS), len(days)))),
            "close": close.reshape(-1),
            "volume": rng.integers(10_000, 1_000_000, close.size).astype(np.float64),
        }
    )
    return table, days


def _pandas(frame: pd.DataFrame, first: pd.Timestamp) -> pd.DataFrame:
    by_ticker = frame.groupby("ticker", sort=False, observed=True)
    close, out = by_ticker["close"], frame[["trade_date", "ticker"]].copy()
    shifted = {k: close.shift(k) for k in (1, 5, 21, 63, 126, 252)}

    def rolling(values: pd.Series, window: int):
        grouped = values.groupby(frame["ticker"], sort=False, observed=True)
        return grouped.rolling(window)

    def flat(result: pd.Series) -> np.ndarray:
        return result.to_numpy()

    for k, earlier in shifted.items():
        out[f"return_{k}"] = frame["close"] / earlier - 1
    out["momentum_12_1"] = shifted[21] / shifted[252] - 1
    for k in (21, 63):
        out[f"volatility_{k}"] = flat(rolling(out["return_1"], k).std()) * np.sqrt(252)
    out["volatility_scaled_momentum"] = out["momentum_12_1"] / out["volatility_63"]
    out["dollar_volume_21"] = flat(rolling(frame["close"] * frame["volume"], 21).mean())
    history = by_ticker.cumcount() + 1
    member = (frame["close"] >= 5) & (out["dollar_volume_21"] >= 1e6) & (history >= 200)
    ranked = out["momentum_12_1"].where(member)[frame["trade_date"] >= first]
    by_day = ranked.groupby(frame["trade_date"])
    out["momentum_rank"] = by_day.rank(ascending=False)
    out["momentum_percentile"] = by_day.rank(pct=True)
    bands = rolling(frame["close"], 20)
    out["sma_20"], out["std_20"] = flat(bands.mean()), flat(bands.std(ddof=0))
    out["zscore_20"] = (frame["close"] - out["sma_20"]) / out["std_20"]
    out["bollinger_upper"] = out["sma_20"] + 2 * out["std_20"]
    out["bollinger_lower"] = out["sma_20"] - 2 * out["std_20"]
    out["bollinger_percent_b"] = (frame["close"] - out["bollinger_lower"]) / (4 * out["std_20"])
    change = frame["close"] - shifted[1]
    gain, loss = (
        flat(part.groupby(frame["ticker"], sort=False, observed=True).ewm(alpha=1 / 14, adjust=False).mean())
        for part in (change.clip(lower=0), -change.clip(upper=0))
    )
    out["rsi_14"] = 100 * gain / (gain + loss)
    out["reversal_1"], out["reversal_5"] = -out["return_1"], -out["return_5"]
    earlier, product = shifted[1], frame["close"] * shifted[1]
    x, y = rolling(earlier, 62), rolling(frame["close"], 62)
    mean_x, mean_y = flat(x.mean()), flat(y.mean())
    slope = (flat(rolling(product, 62).mean()) - mean_x * mean_y) / flat(x.var(ddof=0))
    half_life = -np.log(2) / np.log(np.where((slope > 0) & (slope < 1), slope, np.nan))
    out["half_life_sessions"] = half_life
    return out[out["trade_date"] >= first].sort_values(["trade_date", "ticker"])


def _assert_equal(ours: list[pa.Table], expected: pd.DataFrame) -> None:
    for table in ours:
        for name in table.column_names:
            if name in expected and name not in ("trade_date", "ticker"):
                np.testing.assert_allclose(
                    table.column(name).to_numpy(),
                    expected[name].to_numpy(),
                    rtol=1e-5,
                    atol=1e-5,
                    err_msg=name,
                )


if __name__ == "__main__":
    print(*run(), sep="\n")

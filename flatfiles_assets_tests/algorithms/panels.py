"""Synthetic panels that the tests of the algorithms share."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.panel import PricePanel

LAST_DAY = dt.date(2024, 6, 28)


def sessions_before(count: int, last: dt.date = LAST_DAY) -> list[dt.date]:
    return calendars.sessions("XNYS", "2010-01-04", last)[-count:]


def panel_of(close: np.ndarray, volume: np.ndarray | None = None, symbols=None) -> PricePanel:
    """A panel that ends on `LAST_DAY`; a one-dimensional series is one symbol."""
    close = np.array(close, dtype=np.float64)
    if close.ndim == 1:
        close = close[:, None]
    if volume is None:
        volume = np.where(np.isnan(close), np.nan, 1e6)
    days = np.array(sessions_before(len(close)), dtype="datetime64[D]")
    symbols = symbols or tuple(f"S{i:04d}" for i in range(close.shape[1]))
    return PricePanel(days, symbols, close, np.array(volume))


def random_panel(n_sessions: int, n_symbols: int, seed: int, gaps: float = 0.02) -> PricePanel:
    """Random walks with single missing bars, a long halt, a late listing, a delisting and a flat price."""
    rng = np.random.default_rng(seed)
    market = np.cumsum(rng.normal(0, 0.01, (n_sessions, 1)), axis=0)
    own = np.cumsum(rng.normal(0, 0.012, (n_sessions, n_symbols)), axis=0)
    close = 40 * np.exp(market + own)
    volume = rng.integers(10_000, 1_000_000, close.shape).astype(np.float64)
    close[rng.random(close.shape) < gaps] = np.nan
    if n_symbols >= 5:
        halt = n_sessions // 2
        close[halt : halt + 25, 0] = np.nan
        close[: n_sessions // 3, 1] = np.nan
        close[-n_sessions // 4 :, 2] = np.nan
        close[:, 3] = np.where(np.isnan(close[:, 3]), np.nan, 10.0)
    volume[np.isnan(close)] = np.nan
    return panel_of(close, volume)


def as_table(panel: PricePanel) -> pa.Table:
    """The panel's bars as a long table."""
    rows, columns = np.nonzero(~np.isnan(panel.close))
    return pa.table(
        {
            "trade_date": pa.array(panel.sessions[rows]).cast(pa.date32()),
            "ticker": pa.array([panel.symbols[c] for c in columns], pa.string()),
            "close": panel.close[rows, columns],
            "volume": panel.volume[rows, columns],
        }
    )


def day(panel: PricePanel, row: int) -> dt.date:
    return panel.sessions[row].item()


def rows_until(panel: PricePanel, stop: int) -> PricePanel:
    """The panel as it was known after its first `stop` sessions."""
    return rows_of(panel, slice(0, stop))


def rows_of(panel: PricePanel, rows: slice) -> PricePanel:
    cut = {
        name: getattr(panel, name)[rows]
        for name in ("sessions", "close", "volume", "price_factor", "volume_factor", "members")
        if getattr(panel, name) is not None
    }
    return dataclasses.replace(panel, **cut)


def column_matrix(table: pa.Table, name: str, panel: PricePanel) -> np.ndarray:
    """A feature of a long table as a matrix of the panel's shape, NaN where there is no row."""
    out = np.full(panel.close.shape, np.nan)
    days = table.column("trade_date").to_numpy().astype("datetime64[D]")
    rows = np.searchsorted(panel.sessions, days)
    position = {symbol: i for i, symbol in enumerate(panel.symbols)}
    columns = [position[ticker] for ticker in table.column("ticker").to_pylist()]
    out[rows, columns] = table.column(name).to_numpy()
    return out

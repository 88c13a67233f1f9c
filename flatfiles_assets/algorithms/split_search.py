"""Splits that no record explains, found in the prices.

Here: `suspected_splits` in a panel, `unexplained_jumps` in a scan of everything. They look for what a
missing record leaves behind, so they work on published prices and are checks of the data, never an input
of a feature.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flatfiles_assets.algorithms.bar_scan import BarEvidence
from flatfiles_assets.algorithms.panel import FloatArray, PricePanel, carry_closes
from flatfiles_assets.columns import Column

#: Shares after and before of the splits that are looked for; each also the other way round. Smaller
#: ones (5:4) cannot be told from a bad day.
_FRACTIONS = np.array(
    [(3, 2), (5, 2), *((n, 1) for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100))]
)
# How far the opening price may be from the exact fraction, as a log ratio, and the close.
_OPEN_TOLERANCE, _CLOSE_TOLERANCE = 0.03, 0.10
# A crash brings many times the usual dollar volume, a split about the same.
_DOLLAR_VOLUME_TOLERANCE = np.log(3.0)
_USUAL_SESSIONS = 20

SUSPECTED_SPLITS_SCHEMA = pa.schema(
    [
        ("trade_date", pa.date32()),
        ("ticker", pa.string()),
        ("split_from", pa.float64()),
        ("split_to", pa.float64()),
        ("price_ratio", pa.float64()),
        ("volume_ratio", pa.float64()),
    ]
)

#: The columns of ``reference.price_jumps``.
JUMP_COLUMNS = (
    Column("trade_date", pa.date32(), "Session that opened elsewhere"),
    Column("session_before", pa.date32(), "Session of the bar before"),
    Column("ticker", pa.string(), "Symbol as published, case-sensitive"),
    Column("split_from", pa.float64(), "Shares before of the split that would explain it"),
    Column("split_to", pa.float64(), "Shares after"),
    Column("price_ratio", pa.float64(), "Open over the close before"),
    Column("volume_ratio", pa.float64(), "Volume over the usual one before"),
)


def suspected_splits(panel: PricePanel, splits: pa.Table) -> pa.Table:
    """Sessions on which the price moved by a simple fraction and the volume by its inverse.

    A session is suspected when, against the last bar before it, the open (the close, where the panel
    has no opens) is within 3 % of a simple fraction and the close within 10 %, and the dollar volume
    is within a factor 3 of the median of the 20 sessions before, and no split of that ticker was
    executed since that last bar.

    Args:
        panel: Published prices.
        splits: The known splits: ``ticker``, ``execution_date``.

    Returns:
        `SUSPECTED_SPLITS_SCHEMA`, by session and ticker: the split that would explain the move, and
        the ratios of price and of volume to what they were before.
    """
    has_bar = panel.has_bar
    close = np.where(has_bar, panel.close, np.nan)
    previous = np.full_like(close, np.nan)
    previous[1:] = carry_closes(close, limit=len(close))[:-1]
    first_price = close if panel.open is None else np.where(has_bar, panel.open, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        at_open, at_close = np.log(first_price / previous), np.log(close / previous)
    # Most sessions do not move; only those that do are compared with every fraction.
    rows, columns = np.nonzero(np.abs(at_open) > np.log(1.5) - _OPEN_TOLERANCE)
    at_open, at_close = at_open[rows, columns], at_close[rows, columns]
    volume_ratio = _volume_ratio(panel, rows, columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        dollars = np.log(volume_ratio) + at_close
    suspected, pairs = _like_splits(at_open, at_close, dollars)
    suspected &= ~_explained(panel, splits, rows, columns)
    rows, columns = rows[suspected], columns[suspected]
    days = panel.sessions[rows].astype(np.int32)
    return pa.table(
        [
            pa.array(days, pa.int32()).cast(pa.date32()),
            pa.array([panel.symbols[column] for column in columns], pa.string()),
            pairs[suspected, 0],
            pairs[suspected, 1],
            np.exp(at_open[suspected]),
            volume_ratio[suspected],
        ],
        schema=SUSPECTED_SPLITS_SCHEMA,
    )


def unexplained_jumps(evidence: BarEvidence) -> pa.Table:
    """Every overnight move of a scan that looks like a split, by the same signs as `suspected_splits`.

    The usual dollar volume is the scan's, which forgets slowly; no record is asked.

    Returns:
        `JUMP_COLUMNS`, by session and ticker.
    """
    jumps = evidence.jumps
    with np.errstate(divide="ignore", invalid="ignore"):
        at_open, at_close = np.log(jumps.open / jumps.close_before), np.log(jumps.close / jumps.close_before)
        dollars = np.log(jumps.dollars / jumps.usual_dollars)
    found, pairs = _like_splits(at_open, at_close, dollars)

    def days(positions: np.ndarray) -> pa.Array:
        return pa.array(evidence.sessions[positions].astype(np.int32), pa.int32()).cast(pa.date32())

    rows = pa.table(
        [
            days(jumps.session[found]),
            days(jumps.before[found]),
            pa.array([evidence.tickers[code] for code in jumps.ticker[found]], pa.string()),
            pairs[found, 0],
            pairs[found, 1],
            np.exp(at_open[found]),
            np.exp(dollars[found] - at_close[found]),
        ],
        schema=pa.schema([(column.name, column.type) for column in JUMP_COLUMNS]),
    )
    return rows.sort_by([("trade_date", "ascending"), ("ticker", "ascending")])


def _like_splits(
    at_open: FloatArray, at_close: FloatArray, dollars: FloatArray
) -> tuple[np.ndarray, FloatArray]:
    """Which moves (logs of ratios) look like a split, and for each the shares before and after."""
    pairs = np.concatenate([_FRACTIONS, _FRACTIONS[:, ::-1]])
    expected = np.log(pairs[:, 1] / pairs[:, 0])
    nearest = np.argmin(np.abs(at_open[:, None] - expected), axis=1)
    suspected = (
        (np.abs(at_open - expected[nearest]) <= _OPEN_TOLERANCE)
        & (np.abs(at_close - expected[nearest]) <= _CLOSE_TOLERANCE)
        & (np.abs(dollars) <= _DOLLAR_VOLUME_TOLERANCE)
    )
    return suspected, pairs[nearest][:, ::-1].astype(np.float64)


def _volume_ratio(panel: PricePanel, rows: np.ndarray, columns: np.ndarray) -> FloatArray:
    """Volume against the median of the sessions before; NaN where there were none."""
    ratios = np.full(len(rows), np.nan)
    for number, (row, column) in enumerate(zip(rows, columns, strict=True)):
        before = panel.volume[max(row - _USUAL_SESSIONS, 0) : row, column]
        before = before[before > 0]
        if len(before):
            ratios[number] = panel.volume[row, column] / np.median(before)
    return ratios


def _explained(panel: PricePanel, splits: pa.Table, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Whether a known split was executed after the bar before and not after this session."""
    known: dict[str, list[np.datetime64]] = {}
    for ticker, day in zip(
        *(splits.column(n).to_pylist() for n in ("ticker", "execution_date")), strict=True
    ):
        known.setdefault(ticker, []).append(np.datetime64(day))
    explained = np.zeros(len(rows), dtype=np.bool_)
    for number, (row, column) in enumerate(zip(rows, columns, strict=True)):
        days = known.get(panel.symbols[column])
        if days:
            last_bar = np.flatnonzero(panel.has_bar[:row, column])[-1]
            explained[number] = any(panel.sessions[last_bar] < day <= panel.sessions[row] for day in days)
    return explained

"""The universe of a session: every security that traded, as it was known then.

Here: the columns of `algorithm/universe` and their arithmetic, and `Universe`, a choice among them.
Not here: reading bars and what kind of security each is (`warehouse/universe.py`).

At each session, dead securities included, with no later bar in any value:

- ``listed_sessions``: exchange sessions from the security's first bar to this one, both counted.
- ``close``: as published.
- ``median_dollar_volume_20``: median over 20 sessions of published close times published volume, a
  session without a bar counting 0; null before the 20th session and over a gap of more than
  `panel.MAX_GAP_SESSIONS`.
- ``rank``: by `median_dollar_volume_20`, 1 the largest, among all securities of the session whatever
  their type; equal ones by security. Null where the median is.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.algorithms.columns import SECURITY_ID, TICKER, feature
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS, FloatArray, PricePanel, blocks, null_where_nan
from flatfiles_assets.columns import TRADE_DATE, Column
from flatfiles_assets.errors import InvalidArgument

LIQUIDITY_SESSIONS = 20
LOOKBACK_SESSIONS = LIQUIDITY_SESSIONS - 1 + MAX_GAP_SESSIONS

#: What is meant by stocks: common stock, and receipts for it.
STOCK_TYPES = ("CS", "ADRC")

COLUMNS: tuple[Column, ...] = (
    TRADE_DATE,
    SECURITY_ID,
    TICKER,
    Column("type", pa.string(), "CS common stock, ETF, ADRC, WARRANT, UNIT, …; null where unknown"),
    Column("listed_sessions", pa.int32(), "Sessions since the security's first bar, both included"),
    feature("close", "Last price as published, USD", "price"),
    feature("median_dollar_volume_20", "Median published close times volume over 20 sessions, USD"),
    Column("rank", pa.int32(), "By median_dollar_volume_20 among all of the session, 1 the largest"),
)

RankedBy = Literal["dollar_volume"]


@dataclasses.dataclass(frozen=True)
class Universe:
    """Which securities of a session are meant, judged by what was known then.

    Give it where symbols are asked for, and each session has its own members.

    Attributes:
        top: At most so many, the most traded; None for all.
        by: What the most traded are told by: ``dollar_volume``, the median of 20 sessions.
        types: Kinds of securities; None for all. One whose kind is unknown is none of them, unless no
            kind of any security of the session is known.
        min_price: Lowest published close, USD.
        min_history: Fewest sessions since the security's first bar.
    """

    top: int | None = 500
    by: RankedBy = "dollar_volume"
    types: tuple[str, ...] | None = STOCK_TYPES
    min_price: float | None = None
    min_history: int | None = None

    def __post_init__(self) -> None:
        if self.types is not None:
            # A list or one text does as well.
            given: Any = self.types
            object.__setattr__(self, "types", (given,) if isinstance(given, str) else tuple(given))
        if self.by not in get_args(RankedBy):
            raise InvalidArgument(
                f"a universe by {self.by!r}", next_step=f"use one of {', '.join(get_args(RankedBy))}"
            )
        if self.top is not None and self.top < 1:
            raise InvalidArgument(f"a universe of {self.top}", next_step="choose at least 1, or None for all")

    def chosen(self, rows: pa.Table) -> pa.Table:
        """The members among rows of `COLUMNS`, each session by rank, ``rank`` counted among them."""
        wanted = pc.is_valid(rows.column("rank"))
        if self.types is not None:
            is_one = pc.is_in(rows.column("type"), pa.array(self.types, pa.string()))
            # Each session by itself, so that a longer range has the same members.
            unknown = pa.array(sessions_without_types(rows), pa.date32())
            wanted = pc.and_(wanted, pc.or_(is_one, pc.is_in(rows.column("trade_date"), unknown)))
        for name, least in (("close", self.min_price), ("listed_sessions", self.min_history)):
            if least is not None:
                wanted = pc.and_(wanted, pc.fill_null(pc.greater_equal(rows.column(name), least), False))
        found = rows.filter(wanted).sort_by([("trade_date", "ascending"), ("rank", "ascending")])
        days = found.column("trade_date").cast(pa.int32()).to_numpy()
        places = np.arange(len(days), dtype=np.int32) - np.searchsorted(days, days).astype(np.int32) + 1
        found = found.set_column(found.column_names.index("rank"), "rank", pa.array(places, pa.int32()))
        return found if self.top is None else found.filter(pa.array(places <= self.top))


def sessions_without_types(rows: pa.Table) -> list[dt.date]:
    """The sessions of which the kind of no security is known, ascending."""
    days = pc.unique(rows.column("trade_date")).to_pylist()
    known = set(pc.unique(rows.column("trade_date").filter(rows.column("type").is_valid())).to_pylist())
    return sorted(day for day in days if day not in known)


def compute(
    panel: PricePanel,
    *,
    first_session: dt.date,
    last_session: dt.date,
    types: Sequence[str],
    type_codes: npt.NDArray[np.int16],
    listed_at: npt.NDArray[np.int64],
) -> pa.Table:
    """The rows of `COLUMNS` from first to last session, both included.

    Args:
        panel: Published prices, with `LOOKBACK_SESSIONS` sessions before the first.
        first_session: First session of the result.
        last_session: Last session of the result.
        types: The kinds of securities that there are.
        type_codes: Which of them each column is of in each session of the result, -1 where none is known;
            shape (n_sessions, n_columns).
        listed_at: Of each column, the row of the panel of its first bar; negative before the panel.

    Returns:
        One row per session and security with a bar, by session, then by the panel's order.
    """
    rows = panel.rows_between(first_session, last_session)
    present = panel.has_bar[rows]
    median = np.empty(present.shape)
    for block in blocks(panel, rows, LOOKBACK_SESSIONS):
        median[:, block.columns] = _rolling_median(block.dollar_volume, len(median))
    cells = np.flatnonzero(present)
    row, column = np.divmod(cells, max(len(panel.symbols), 1))
    row = row + rows.start
    kinds = type_codes[present]
    arrays = {
        "trade_date": pa.array(panel.sessions[row].astype(np.int32), pa.int32()).cast(pa.date32()),
        "security_id": panel.securities(column),
        "ticker": panel.tickers(row, column).cast(pa.string()),
        "type": pa.array(types, pa.string()).take(pa.array(kinds, mask=kinds < 0)),
        "listed_sessions": pa.array((row - listed_at[column] + 1).astype(np.int32)),
        "close": pa.array(panel.close[row, column]),
        "median_dollar_volume_20": null_where_nan(median[present]),
        "rank": pa.array(_ranks(np.where(present, median, np.nan))[present], pa.int32(), from_pandas=True),
    }
    schema = pa.schema([(each.name, each.table_type) for each in COLUMNS])
    return pa.Table.from_arrays([arrays[field.name] for field in schema], schema=schema)


def _rolling_median(values: FloatArray, n_rows: int) -> FloatArray:
    """Median of the last `LIQUIDITY_SESSIONS` rows at each of the last `n_rows` rows; NaN with a NaN."""
    used = values[len(values) - n_rows - LIQUIDITY_SESSIONS + 1 :]
    windows = np.lib.stride_tricks.sliding_window_view(used, LIQUIDITY_SESSIONS, axis=0)
    middle = LIQUIDITY_SESSIONS // 2
    # NaN sorts last, so that the greatest of a window tells of any.
    ordered = np.partition(windows, (middle - 1, middle, LIQUIDITY_SESSIONS - 1), axis=-1)
    median: FloatArray = (ordered[..., middle - 1] + ordered[..., middle]) / 2
    return np.where(np.isnan(ordered[..., -1]), np.nan, median)


def _ranks(values: FloatArray) -> FloatArray:
    """Places of each row's values, 1 the largest; equal ones in the order of columns; NaN for NaN."""
    order = np.argsort(-values, axis=1, kind="stable")
    places = np.broadcast_to(np.arange(1.0, values.shape[1] + 1), values.shape)
    ranks = np.empty_like(values)
    np.put_along_axis(ranks, order, places, axis=1)
    return np.where(np.isnan(values), np.nan, ranks)

"""Prices as a matrix, sessions down and symbols across: the one input of every algorithm.

Here: `PricePanel`, its making from a long Arrow table, windows over short gaps, and the way back to
a long table. Not here: corporate actions (`adjustments`), features (`momentum`, `mean_reversion`,
`pairs_trading`), reading from the warehouse (`warehouse`).

Gaps and time. Whether a missing bar is a gap or the end of a history is known only later, so no
feature row is ever made for a session without a bar. A row that does exist may look back over
short gaps with closes carried forward (`carry_closes`), which uses the past alone. A gap of more
than `MAX_GAP_SESSIONS` ends a series: no value is made from bars on both sides of it (`long_gaps`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets.algorithms.panel_identity import PanelIdentity
from flatfiles_assets.columns import Column
from flatfiles_assets.errors import InvalidArgument

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_Scalar = TypeVar("_Scalar", bound=np.generic)

Adjustment = Literal["none", "splits", "total_return"]

#: Longest run of sessions without a bar over which a close is carried. A longer one is a halt or a
#: ticker given to another company, over which returns mean nothing. It also bounds how far back a
#: value reaches, which makes a session computed alone equal to the same session of a long run.
MAX_GAP_SESSIONS = 10

#: Relative difference up to which two prices are the same. Adjusting multiplies and divides prices, so
#: one that stood still over a 1:3 split differs in its last digits, and those must not become a
#: volatility that something is divided by.
SAME_PRICE = 1e-12


@dataclasses.dataclass(frozen=True, eq=False)
class PricePanel:
    """Day bars of some symbols over consecutive sessions.

    Every matrix has the shape (n_sessions, n_symbols); NaN stands where a symbol has no bar.

    Attributes:
        sessions: Every session of the calendar in the range, ascending, ``datetime64[D]``.
        symbols: Symbols in column order.
        close: Last price, USD, float64, times `price_factor`.
        volume: Shares, float64, times `volume_factor`.
        open: First price, as `close`; None where the source had no such column. So `high`, `low`.
        high: Highest price.
        low: Lowest price.
        adjustment: What the factors account for.
        price_factor: What published prices were multiplied by; None for 1 throughout.
        volume_factor: What published volumes were multiplied by; None for 1 throughout.
        members: Who may be ranked among others or paired in each session; None for everybody.
        identity: Which securities the columns are; None where symbols are all there is.
    """

    sessions: npt.NDArray[np.datetime64]
    symbols: tuple[str, ...]
    close: FloatArray
    volume: FloatArray
    open: FloatArray | None = None
    high: FloatArray | None = None
    low: FloatArray | None = None
    adjustment: Adjustment = "none"
    price_factor: FloatArray | None = None
    volume_factor: FloatArray | None = None
    members: BoolArray | None = None
    identity: PanelIdentity | None = None

    def tickers(self, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> pa.Array:
        """The ticker, in its session, of each of some cells; as text or its dictionary."""
        if self.identity is None:
            return pa.array(self.symbols, pa.string()).take(pa.array(columns))
        return self.identity.tickers(self.sessions[rows], columns)

    def securities(self, columns: npt.NDArray[np.int64]) -> pa.Array:
        """The security of each of some cells; null where none is known."""
        if self.identity is None:
            return pa.nulls(len(columns), pa.string())
        return self.identity.securities(columns)

    @property
    def eligible(self) -> BoolArray:
        """True where a symbol has a bar and may be ranked among others or paired."""
        return self.has_bar if self.members is None else self.has_bar & self.members

    @property
    def has_bar(self) -> BoolArray:
        """True where there is a bar with a usable (positive) close."""
        # The comparison is false for NaN.
        return self.close > 0

    @classmethod
    def from_arrow(
        cls, table: pa.Table, sessions: Sequence[dt.date], symbols: Sequence[str] | None = None
    ) -> PricePanel:
        """The panel of a long table with one row per session and symbol, in any order.

        Args:
            table: ``trade_date`` (date32), ``ticker`` (string), ``close`` and ``volume``, and any of
                ``open``, ``high``, ``low``. Nulls become NaN.
            sessions: Every session of the range, ascending, also those without a row.
            symbols: Columns of the panel, in this order; rows of other symbols are left out, and a
                symbol without rows is a column of NaN. By default those of the table, sorted.

        Raises:
            InvalidArgument: A row's date is not among the sessions, or two rows are for the same
                session and symbol.
        """
        days = np.asarray(sessions, dtype="datetime64[D]")
        rows = _row_numbers(table.column("trade_date"), days)
        names, columns = _column_numbers(table.column("ticker"), symbols)
        wanted = columns >= 0
        everything = bool(wanted.all())
        if not everything:
            rows, columns = rows[wanted], columns[wanted]
        cells = rows * len(names) + columns
        shape = (len(days), len(names))
        occupied = np.zeros(shape, dtype=np.bool_)
        occupied.reshape(-1)[cells] = True
        if np.count_nonzero(occupied) != len(cells):
            raise InvalidArgument(
                "a session has more than one bar of a symbol",
                why=f"{len(cells)} rows are for {np.count_nonzero(occupied)} sessions and symbols",
                next_step="pass one feed only, without duplicates",
            )

        def matrix(name: str) -> FloatArray:
            values = table.column(name).to_numpy().astype(np.float64, copy=False)
            out = np.full(shape, np.nan)
            out.reshape(-1)[cells] = values if everything else values[wanted]
            return out

        present = set(table.column_names)
        opens, highs, lows = (matrix(name) if name in present else None for name in ("open", "high", "low"))
        return cls(days, names, matrix("close"), matrix("volume"), opens, highs, lows)

    def rows_between(self, first_session: dt.date, last_session: dt.date) -> slice:
        """The rows from first to last, both included.

        Raises:
            InvalidArgument: There is no session between them in this panel.
        """
        lo = int(np.searchsorted(self.sessions, np.datetime64(first_session), side="left"))
        hi = int(np.searchsorted(self.sessions, np.datetime64(last_session), side="right"))
        if lo >= hi:
            raise InvalidArgument(
                f"the panel has no session from {first_session} to {last_session}",
                why=f"it holds {len(self.sessions)} sessions"
                + (f", {self.sessions[0]} to {self.sessions[-1]}" if len(self.sessions) else ""),
                next_step="ask for sessions inside the panel",
            )
        return slice(lo, hi)


def _row_numbers(trade_dates: pa.ChunkedArray, days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    if len(trade_dates) == 0:
        return np.zeros(0, dtype=np.int64)
    values = trade_dates.cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    numbers = days.astype(np.int64)
    origin, end = int(values.min()), int(values.max())
    # A table by day is far faster than a search for each of millions of rows.
    row_of_day = np.full(end - origin + 1, -1, dtype=np.int64)
    inside = (numbers >= origin) & (numbers <= end)
    row_of_day[numbers[inside] - origin] = np.flatnonzero(inside)
    rows: npt.NDArray[np.int64] = row_of_day[values - origin]
    if (rows < 0).any():
        stray = np.datetime64(int(values[rows < 0][0]), "D")
        raise InvalidArgument(
            f"a bar is dated {stray}, which is not one of the sessions",
            next_step="pass every session of the table's range, in order",
        )
    return rows


def _column_numbers(
    tickers: pa.ChunkedArray, symbols: Sequence[str] | None
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    if symbols is not None and pa.types.is_dictionary(tickers.type):
        encoded = tickers.unify_dictionaries().combine_chunks()
    else:
        # Views and large strings become one dictionary, and one without names that no row has.
        encoded = tickers.cast(pa.string()).combine_chunks().dictionary_encode()
    found: list[str] = encoded.dictionary.to_pylist()
    names = tuple(sorted(found)) if symbols is None else tuple(symbols)
    position = {name: number for number, name in enumerate(names)}
    column_of_code = np.array([position.get(name, -1) for name in found], dtype=np.int64)
    codes = encoded.indices.to_numpy()
    return names, column_of_code[codes]


def carry_closes(close: FloatArray, limit: int = MAX_GAP_SESSIONS) -> FloatArray:
    """Closes with each gap's first `limit` sessions at the last close before it; shape as `close`.

    The value in a row depends on that row and the `limit` rows before it only.
    """
    missing = ~(close > 0)
    if not missing.any():
        return close
    last_bar = _last_true_row(~missing)
    age = np.arange(len(close))[:, None] - last_bar
    carried = np.take_along_axis(close, np.maximum(last_bar, 0), axis=0)
    carried[(last_bar < 0) | (age > limit)] = np.nan
    return carried


def _last_true_row(mask: BoolArray) -> npt.NDArray[np.int64]:
    """For each cell the latest row at or above it where the mask is true; -1 before the first."""
    rows = np.where(mask, np.arange(len(mask))[:, None], -1)
    return np.maximum.accumulate(rows, axis=0)


def long_gaps(known: BoolArray) -> npt.NDArray[np.int32] | None:
    """How many gaps too long to be carried have begun at or above each row; shape as `known`.

    A window of rows holds such a gap where the number at its last row is not that at its first.

    Args:
        known: True where there is a close, carried ones included.

    Returns:
        The running numbers; None where there is no such gap at all, which is the usual case.
    """
    begins = known[:-1] & ~known[1:]
    if not begins.any():
        return None
    numbers = np.zeros(known.shape, dtype=np.int32)
    np.cumsum(begins, axis=0, dtype=np.int32, out=numbers[1:])
    return numbers


def has_long_gaps(panel: PricePanel) -> bool:
    """Whether a symbol has bars on both sides of a gap too long to be carried."""
    has_bar = panel.has_bar
    spans = len(has_bar) - np.argmax(has_bar, axis=0) - np.argmax(has_bar[::-1], axis=0)
    # Most symbols have too few sessions without a bar for any long gap.
    has_bar = has_bar[:, spans - has_bar.sum(axis=0) > MAX_GAP_SESSIONS]
    before = _last_true_row(has_bar)[:-1]
    rows, columns = np.nonzero(has_bar[1:])
    gaps = rows - before[rows, columns]
    return bool(((before[rows, columns] >= 0) & (gaps > MAX_GAP_SESSIONS)).any())


@dataclasses.dataclass(frozen=True)
class Block:
    """Some symbols' history, ready for windowed arithmetic.

    Attributes:
        columns: The symbols' columns in the panel and in the results.
        close: Closes, gaps carried; shape (lookback + n_rows, n_block); NaN before the panel.
        has_bar: True where the vendor published a bar; shape as `close`.
        dollar_volume: Published close times published volume, 0 in gaps; shape as `close`.
        gaps: From `long_gaps`.
    """

    columns: slice
    close: FloatArray
    has_bar: BoolArray
    dollar_volume: FloatArray
    gaps: npt.NDArray[np.int32] | None

    def null_over_gaps(self, values: FloatArray, window: int) -> FloatArray:
        """The values of the last rows, NaN where a long gap is within `window` rows before; in place."""
        if self.gaps is not None:
            now, before = len(self.gaps) - len(values), len(self.gaps) - len(values) - window
            values[self.gaps[now:] != self.gaps[before : before + len(values)]] = np.nan
        return values


# Small enough that a handful of a block's matrices stay in a processor's second-level cache.
_BLOCK_SYMBOLS = 64


def blocks(panel: PricePanel, rows: slice, lookback: int) -> Iterator[Block]:
    """The panel in groups of symbols, each with exactly `lookback` rows before the rows asked for.

    Where the panel begins later it is padded with NaN, so that every window has its full length and
    no result depends on how much earlier data the panel happens to hold.
    """
    start = max(rows.start - lookback, 0)
    padding = lookback - (rows.start - start)
    has_bar = panel.has_bar[start : rows.stop]
    for first in range(0, len(panel.symbols), _BLOCK_SYMBOLS):
        columns = slice(first, min(first + _BLOCK_SYMBOLS, len(panel.symbols)))
        window = (slice(start, rows.stop), columns)
        seen = _padded(has_bar[:, columns], padding, False)
        published = np.where(seen, _padded(panel.close[window], padding, np.nan), np.nan)
        close = carry_closes(published)
        dollars = published * _padded(panel.volume[window], padding, np.nan)
        for factor in (panel.price_factor, panel.volume_factor):
            if factor is not None:
                dollars /= _padded(factor[window], padding, 1.0)
        dollars = np.where(seen, dollars, np.where(close > 0, 0.0, np.nan))
        yield Block(columns, close, seen, dollars, long_gaps(close > 0))


def _padded(values: npt.NDArray[_Scalar], rows: int, value: float) -> npt.NDArray[_Scalar]:
    if rows == 0:
        return values
    return np.concatenate([np.full((rows, values.shape[1]), value, dtype=values.dtype), values])


def price_level(panel: PricePanel, rows: slice) -> FloatArray | float:
    """What to divide panel prices by to have them in the terms of each of those rows."""
    return 1.0 if panel.price_factor is None else panel.price_factor[rows]


def to_long(
    panel: PricePanel,
    rows: slice,
    features: Mapping[str, npt.NDArray[np.generic]],
    columns: Sequence[Column],
) -> pa.Table:
    """A long table with a row for each session and symbol that has a bar, by session, then symbol.

    Args:
        panel: The panel the features were computed from.
        rows: The panel's rows that the features cover.
        features: By name, matrices of shape (number of rows, n_symbols); NaN becomes null.
        columns: The table's columns: ``trade_date``, ``ticker``, ``security_id``, ``adjustment`` and the
            features.
    """
    present = panel.has_bar[rows]
    cells = np.flatnonzero(present)
    row, column = np.divmod(cells, max(len(panel.symbols), 1))
    days = panel.sessions[rows].astype(np.int32)[row]
    keys = {
        "trade_date": pa.array(days, pa.int32()).cast(pa.date32()),
        "ticker": panel.tickers(np.arange(rows.start, rows.stop)[row], column),
        "security_id": panel.securities(column),
        "adjustment": pa.repeat(pa.scalar(panel.adjustment, pa.string()), len(cells)),
    }
    complete = len(cells) == present.size

    def values(name: str) -> npt.NDArray[np.generic]:
        matrix = features[name].reshape(-1)
        # A copy of every feature is a good part of the time that a panel without gaps takes.
        return matrix if complete else matrix[cells]

    arrays = [
        keys[name] if name in keys else null_where_nan(values(name))
        for name in (each.name for each in columns)
    ]
    schema = pa.schema([(each.name, each.table_type) for each in columns])
    return pa.Table.from_arrays([a.cast(f.type) for a, f in zip(arrays, schema, strict=True)], schema=schema)


def null_where_nan(values: npt.NDArray[np.generic]) -> pa.Array:
    """An Arrow array of numbers; numpy finds the NaN several times faster than Arrow does."""
    missing = np.isnan(values)
    return pa.array(values, mask=missing) if missing.any() else pa.array(values)

"""The prices behind one result, and the terms that the result is in.

Here: `RequestedPrices`: published and comparable prices, the factors between the terms of a session
and those of the result, and values made into frames in these terms. Not here: which prices are read
(`data_integration/inputs.py`), factors of events (`adjustments`), features.

One result has one kind of terms. By default they are those of one day, the last that the prices
know: whatever is per share is per share of that day. With `own_terms` each session has its own.
Values are computed from prices with ``anchor="first"``, which no later event changes in a bit, and
brought into the result's terms last. So a later event changes nothing that is free of terms, and
rescales all else by one factor.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets.algorithms import frames
from flatfiles_assets.algorithms.panel import BoolArray, FloatArray, PricePanel, carry_closes, long_gaps
from flatfiles_assets.columns import Column

#: Columns of every long result with a row per session and symbol: published close times
#: `price_factor` is the close in the result's terms, published volume times `volume_factor` the volume.
FACTOR_COLUMNS: tuple[Column, ...] = (
    Column("close_published", pa.float64(), "Close as published, USD of the session itself"),
    Column("price_factor", pa.float64(), "From published prices to those of the result", terms="price"),
    Column("volume_factor", pa.float64(), "From published volumes to those of the result", terms="volume"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class RequestedPrices:
    """Prices of the symbols asked for, with the look-back before the sessions asked for.

    Attributes:
        published: As published.
        dated: The same as `adjust_panel` makes them with ``anchor="first"``: what features are
            computed from.
        rows: The sessions asked for; the panel ends with the day whose terms the result has.
        own_terms: Whether each session has its own terms instead.
        members: Who is asked for in each of the sessions, of the panel's shape; None for everybody.
    """

    published: PricePanel
    dated: PricePanel
    rows: slice
    own_terms: bool = False
    members: BoolArray | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The columns of every matrix."""
        return self.published.symbols

    @property
    def sessions(self) -> npt.NDArray[np.datetime64]:
        """The sessions asked for."""
        return self.published.sessions[self.rows]

    @property
    def n_rows(self) -> int:
        """Number of the sessions asked for."""
        return len(self.sessions)

    @functools.cached_property
    def closes(self) -> FloatArray:
        """Comparable closes of the whole panel, NaN where there is no bar: in no particular terms."""
        return np.where(self.dated.has_bar, self.dated.close, np.nan)

    @functools.cached_property
    def price_factor(self) -> FloatArray:
        """From published prices to those of the result, for each session asked for and symbol."""
        return self._factor(self.dated.price_factor)

    @functools.cached_property
    def volume_factor(self) -> FloatArray:
        """From published volumes to those of the result, for each session asked for and symbol."""
        return self._factor(self.dated.volume_factor)

    def _factor(self, dated: FloatArray | None) -> FloatArray:
        if dated is None or self.own_terms:
            return np.ones((self.n_rows, len(self.symbols)))
        factor: FloatArray = dated[self.rows] / dated[-1]
        return factor

    def levels(self) -> FloatArray:
        """From comparable prices to those of the result; shape (n_rows, n_symbols)."""
        dated = self.dated.price_factor
        if dated is None:
            return np.ones((self.n_rows, len(self.symbols)))
        level = dated[self.rows] if self.own_terms else np.broadcast_to(dated[-1], dated[self.rows].shape)
        return np.reciprocal(level)

    def range_levels(self) -> FloatArray:
        """As `levels`, for values about the whole range: its own terms are those of its last session."""
        dated = self.dated.price_factor
        if dated is None:
            return np.ones(len(self.symbols))
        level: FloatArray = dated[self.rows.stop - 1 if self.own_terms else -1]
        return np.reciprocal(level)

    def returns(self) -> FloatArray:
        """Simple returns from the session before, NaN unless both sessions have a bar."""
        closes = self.closes
        before = np.full_like(closes, np.nan)
        before[1:] = closes[:-1]
        result: FloatArray = (closes / before - 1.0)[self.rows]
        return result

    def unbroken(self) -> BoolArray:
        """Which symbols have no gap of more than `MAX_GAP_SESSIONS` in the range; shape (n_symbols,)."""
        gaps = long_gaps(carry_closes(self.closes[self.rows]) > 0)
        # A gap that no bar of the range ends is none.
        last_bar = self.n_rows - 1 - np.argmax(self.dated.has_bar[self.rows][::-1], axis=0)
        counted = np.zeros(len(self.symbols)) if gaps is None else gaps[last_bar, np.arange(len(last_bar))]
        whole: BoolArray = counted == 0
        return whole

    def chosen(self) -> BoolArray:
        """Who is asked for at the end of the range; shape (n_symbols,)."""
        if self.members is None:
            return np.ones(len(self.symbols), dtype=np.bool_)
        asked: BoolArray = self.members[self.rows.stop - 1]
        return asked

    def price_data(self) -> pa.Table:
        """Closes in the result's terms, wide."""
        return self.wide(self._published(self.published.close) * self.price_factor)

    def volume_data(self) -> pa.Table:
        """Volumes in the result's terms, wide."""
        return self.wide(self._published(self.published.volume) * self.volume_factor)

    def _published(self, values: FloatArray) -> FloatArray:
        return np.where(self.published.has_bar[self.rows], values[self.rows], np.nan)

    def wide(self, values: FloatArray) -> pa.Table:
        """A matrix of shape (n_rows, n_symbols) as a wide table, null for who is not asked for."""
        if self.members is not None:
            values = np.where(self.members[self.rows], values, np.nan)
        return frames.wide(values, self.sessions, self.symbols)

    def wide_pairs(self, values: FloatArray, y: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> pa.Table:
        """A matrix of shape (n_rows, n_pairs) as a wide table; `y` and `x` are the symbols' columns."""
        if self.members is not None:
            asked = self.members[self.rows]
            values = np.where(asked[:, y] & asked[:, x], values, np.nan)
        pairs = [(self.symbols[a], self.symbols[b]) for a, b in zip(y.tolist(), x.tolist(), strict=True)]
        return frames.wide_pairs(values, self.sessions, pairs)

    def pivot(self, rows: pa.Table, name: str) -> FloatArray:
        """A feature of rows that are the panel's bars in order, as a matrix."""
        matrix = np.full((self.n_rows, len(self.symbols)), np.nan)
        matrix[self.dated.has_bar[self.rows]] = rows.column(name).to_numpy()
        return matrix

    def long(self, rows: pa.Table, columns: Sequence[Column]) -> pa.Table:
        """Feature rows, each in the terms of its own session, as a long table in the result's terms.

        Args:
            rows: The panel's bars of the sessions asked for, in order; ``trade_date``, ``ticker``,
                ``adjustment`` and features.
            columns: What the columns are.

        Returns:
            Those columns and `FACTOR_COLUMNS`, without the rows of who is not asked for.
        """
        shown = self.dated.has_bar[self.rows]
        factors = {"price": self.price_factor[shown], "volume": self.volume_factor[shown]}
        rows = self._with_encoded_text(rows)
        for index, column in enumerate(columns):
            if column.terms in factors:
                values = rows.column(column.name).to_numpy() * factors[column.terms]
                rows = rows.set_column(index, column.name, pa.array(values, from_pandas=True))
        added: Mapping[str, FloatArray] = {
            "close_published": self.published.close[self.rows][shown],
            "price_factor": factors["price"],
            "volume_factor": factors["volume"],
        }
        for name, values in added.items():
            rows = rows.append_column(name, pa.array(values))
        if self.members is not None:
            rows = rows.filter(pa.array(self.members[self.rows][shown]))
        return frames.long(rows)

    def _with_encoded_text(self, rows: pa.Table) -> pa.Table:
        """The rows with their texts as numbers of the panel's symbols, which need no search."""
        columns = np.flatnonzero(self.dated.has_bar[self.rows]) % max(len(self.symbols), 1)
        identity = self.dated.identity
        securities = identity.security_ids if identity else [None] * len(self.symbols)
        texts: dict[str, tuple[npt.NDArray[np.signedinteger], Sequence[str | None]]] = {
            "ticker": (columns.astype(np.int32), self.symbols),
            "security_id": (columns.astype(np.int32), securities),
            "adjustment": (np.zeros(len(columns), dtype=np.int8), [self.dated.adjustment]),
        }
        for name, (codes, names) in texts.items():
            encoded = pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))
            rows = rows.set_column(rows.column_names.index(name), name, encoded)
        return rows

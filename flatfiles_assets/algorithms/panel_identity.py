"""Which security each column of a panel is, and under which ticker it traded when.

Here: `PanelIdentity`. Not here: how securities are told apart (`securities`), and the reading of
bars by security (`warehouse/prices.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class TickerSpan:
    """Days, both included, on which the bars of a ticker are a column's.

    Beyond what is on record the days are open-ended: bars that were loaded since belong to whom the
    ticker belonged last.
    """

    ticker: str
    first: dt.date
    last: dt.date


@dataclasses.dataclass(frozen=True)
class PanelIdentity:
    """Who the columns of a panel are.

    Attributes:
        security_ids: One per column; None where the warehouse knows no securities.
        spans: Of each column, the tickers that it bore, by first day, without overlaps.
    """

    security_ids: tuple[str | None, ...]
    spans: tuple[tuple[TickerSpan, ...], ...]

    def securities(self, columns: npt.NDArray[np.int64]) -> pa.Array:
        """The security of each of some cells."""
        return pa.array(self.security_ids, pa.string()).take(pa.array(columns))

    def tickers(self, days: npt.NDArray[np.datetime64], columns: npt.NDArray[np.int64]) -> pa.DictionaryArray:
        """The ticker of each of some cells, on its day."""
        names: dict[str, int] = {}
        codes = np.empty(len(self.spans), dtype=np.int32)
        renamed = []
        for column, spans in enumerate(self.spans):
            codes[column] = names.setdefault(spans[0].ticker, len(names))
            if len(spans) > 1:
                renamed.append(column)
        found = codes[columns]
        # Few columns of a market have ever had another name, so that cells are looked at for these alone.
        if renamed:
            suspects = np.flatnonzero(np.isin(columns, renamed))
            for column in renamed:
                cells = suspects[columns[suspects] == column]
                for span in self.spans[column][1:]:
                    later = cells[days[cells] >= np.datetime64(span.first)]
                    found[later] = names.setdefault(span.ticker, len(names))
        return pa.DictionaryArray.from_arrays(found, pa.array(list(names), pa.string()))

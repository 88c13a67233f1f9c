"""What is counted of the files that are read with one layout, so that the layout can be doubted.

Here: counting while blocks pass, in little memory. Not here: what the counts mean (`acceptance`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_CLOSES_PER_BLOCK = 500
_DAY_BITS = 20


@dataclasses.dataclass
class GroupFigures:
    """Counts of one layout's rows.

    Attributes:
        files: Numbers of the files.
        symbols: Every symbol, as the files write it, with a code.
        closes: Some closes.
        repeats: By file, rows whose date an earlier row of the file has, and all rows.
    """

    files: list[int] = dataclasses.field(default_factory=list)
    symbols: dict[str, int] = dataclasses.field(default_factory=dict)
    closes: list[npt.NDArray[np.float64]] = dataclasses.field(default_factory=list)
    repeats: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    _keys: list[npt.NDArray[np.int64]] = dataclasses.field(default_factory=list)
    _files_of_keys: list[npt.NDArray[np.int32]] = dataclasses.field(default_factory=list)

    def add(self, bars: pa.RecordBatch | pa.Table) -> None:
        """Counts accepted bars with `STAGED_SCHEMA`; intraday ones as `aggregate` leaves them."""
        if not bars.num_rows:
            return
        table = pa.Table.from_batches([bars]) if isinstance(bars, pa.RecordBatch) else bars
        encoded = table.column("ticker").combine_chunks().dictionary_encode()
        codes = [
            self.symbols.setdefault(symbol, len(self.symbols)) for symbol in encoded.dictionary.to_pylist()
        ]
        of_rows = np.array(codes, dtype=np.int64)[encoded.indices.to_numpy()]
        days = table.column("trade_date").combine_chunks().cast(pa.int32()).to_numpy().astype(np.int64)
        keys = (of_rows << _DAY_BITS) | days
        self._keys.append(keys)
        self._files_of_keys.append(table.column("file_id").combine_chunks().to_numpy())
        step = max(1, table.num_rows // _CLOSES_PER_BLOCK)
        self.closes.append(table.column("close").combine_chunks().to_numpy(zero_copy_only=False)[::step])

    def count_repeats(self, bars: pa.RecordBatch) -> None:
        """Counts, in daily bars, the dates that come twice within a file."""
        days = bars.column("trade_date").cast(pa.int32()).to_numpy().astype(np.int64)
        files = bars.column("file_id").to_numpy().astype(np.int64)
        keys = np.sort((files << _DAY_BITS) | days)
        repeated = keys[1:][np.diff(keys) == 0] >> _DAY_BITS
        numbers, counts = np.unique(files, return_counts=True)
        twice = np.bincount(np.searchsorted(numbers, repeated), minlength=len(numbers))
        for number, rows, again in zip(numbers.tolist(), counts.tolist(), twice.tolist(), strict=True):
            before = self.repeats.get(number, (0, 0))
            self.repeats[number] = (before[0] + again, before[1] + rows)

    def drop(self, files: AbstractSet[int]) -> None:
        """Forgets the bars of files that were taken back."""
        gone = [number for number in self.files if number in files]
        self.files = [number for number in self.files if number not in files]
        if not gone or not self._keys:
            return
        keys, of_keys = np.concatenate(self._keys), np.concatenate(self._files_of_keys)
        kept = ~np.isin(of_keys, np.array(gone, dtype=np.int32))
        self._keys, self._files_of_keys = [keys[kept]], [of_keys[kept]]
        left = set(np.unique(self._keys[0] >> _DAY_BITS).tolist())
        self.symbols = {symbol: code for symbol, code in self.symbols.items() if code in left}

    def keys(self, tickers: Mapping[str, int], *, is_daily: bool) -> npt.NDArray[np.int64]:
        """The sorted keys of all bars: a ticker's code, shifted, and the day.

        Args:
            tickers: A code of the ticker that each symbol is.
            is_daily: Whether the bars are daily, so that a key which comes twice is a fault; a day of
                intraday bars may come in several blocks.
        """
        if not self._keys:
            return np.zeros(0, dtype=np.int64)
        keys = np.concatenate(self._keys)
        self._keys = [keys]
        codes = np.zeros(max(self.symbols.values(), default=0) + 1, dtype=np.int64)
        for symbol, code in self.symbols.items():
            codes[code] = tickers[symbol]
        renamed = (codes[keys >> _DAY_BITS] << _DAY_BITS) | (keys & ((1 << _DAY_BITS) - 1))
        return np.sort(renamed) if is_daily else np.unique(renamed)


def days_of(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The days of keys, since 1970-01-01."""
    return keys & ((1 << _DAY_BITS) - 1)


def codes_of(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The tickers' codes of keys."""
    return keys >> _DAY_BITS

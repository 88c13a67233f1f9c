"""What is counted of the files that are read with one layout, so that the layout can be doubted.

Here: counting while blocks pass, in little memory: a bar is four bytes here, for its symbol and its
day. Not here: what the counts mean (`acceptance`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_CLOSES_PER_BLOCK = 500
_DAY_BITS = 9
_DAY_MASK = (1 << _DAY_BITS) - 1
_EPOCH = dt.date(1970, 1, 1)

Keys = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]


@dataclasses.dataclass
class GroupFigures:
    """Counts of one layout's accepted bars.

    Attributes:
        year: The archive's year, in which all their days lie.
        files: Numbers of the files.
        symbols: Every symbol, as the files write it, with a code.
        closes: Some closes.
        repeats: By file, rows whose date an earlier row of the file has, and all rows.
    """

    year: int
    files: list[int] = dataclasses.field(default_factory=list)
    symbols: dict[str, int] = dataclasses.field(default_factory=dict)
    closes: list[npt.NDArray[np.float64]] = dataclasses.field(default_factory=list)
    repeats: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    # Per block of bars: a symbol's code, shifted, and the day of the year; and whose bars they are.
    _keys: list[Keys] = dataclasses.field(default_factory=list)
    _runs: list[tuple[Ints, Ints]] = dataclasses.field(default_factory=list)

    @property
    def first_day(self) -> int:
        """The first day of the year, since 1970-01-01."""
        return (dt.date(self.year, 1, 1) - _EPOCH).days

    def add(self, bars: pa.RecordBatch | pa.Table) -> None:
        """Counts accepted bars with `STAGED_SCHEMA`; intraday ones as `aggregate` leaves them."""
        if not bars.num_rows:
            return
        table = pa.Table.from_batches([bars]) if isinstance(bars, pa.RecordBatch) else bars
        encoded = table.column("ticker").combine_chunks().dictionary_encode()
        codes = [
            self.symbols.setdefault(symbol, len(self.symbols)) for symbol in encoded.dictionary.to_pylist()
        ]
        days = table.column("trade_date").combine_chunks().cast(pa.int32()).to_numpy() - self.first_day
        keys = np.array(codes, dtype=np.int32)[encoded.indices.to_numpy()] << _DAY_BITS
        keys |= days.astype(np.int32)
        self._keys.append(keys)
        owners = table.column("file_id").combine_chunks().to_numpy()
        starts = np.flatnonzero(np.diff(owners, prepend=-1) != 0)
        self._runs.append((owners[starts].astype(np.int64), np.diff(np.append(starts, len(owners)))))
        step = max(1, table.num_rows // _CLOSES_PER_BLOCK)
        self.closes.append(table.column("close").combine_chunks().to_numpy(zero_copy_only=False)[::step])

    def count_repeats(self, bars: pa.RecordBatch) -> None:
        """Counts, in daily bars, the dates that come twice within a file."""
        days = bars.column("trade_date").cast(pa.int32()).to_numpy().astype(np.int64) - self.first_day
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
        gone = np.array(sorted(set(self.files) & files), dtype=np.int64)
        if not len(gone):
            return
        self.files = [number for number in self.files if number not in files]
        for place, (owners, counts) in enumerate(self._runs):
            kept = ~np.isin(owners, gone)
            self._keys[place] = self._keys[place][np.repeat(kept, counts)]
            self._runs[place] = (owners[kept], counts[kept])
        left = {code for keys in self._keys for code in np.unique(keys >> _DAY_BITS).tolist()}
        self.symbols = {symbol: code for symbol, code in self.symbols.items() if code in left}

    def keys(self, tickers: Mapping[str, int], *, is_daily: bool) -> Keys:
        """The sorted keys of all bars: a ticker's code, shifted, and the day of the year.

        Args:
            tickers: A code of the ticker that each symbol is.
            is_daily: Whether the bars are daily, so that a key which comes twice is a fault; a day of
                intraday bars may come in several blocks.
        """
        codes = np.zeros(max(self.symbols.values(), default=0) + 1, dtype=np.int32)
        for symbol, code in self.symbols.items():
            codes[code] = tickers[symbol]
        found: Keys = np.empty(sum(map(len, self._keys)), dtype=np.int32)
        filled = 0
        for keys in self._keys:
            found[filled : filled + len(keys)] = (codes[keys >> _DAY_BITS] << _DAY_BITS) | (keys & _DAY_MASK)
            filled += len(keys)
        found.sort()
        return found if is_daily else without_repeats(found)


def without_repeats(keys: Keys) -> Keys:
    """Sorted keys, each once."""
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if len(keys) else keys


def starts_of(keys: Keys) -> Ints:
    """Where each ticker's keys begin among sorted ones, and at last where they end."""
    # Of the keys' own type, or they would be copied into a wider one.
    codes = np.arange((int(keys[-1]) >> _DAY_BITS) + 2 if len(keys) else 1, dtype=keys.dtype)
    return np.unique(np.searchsorted(keys, codes << _DAY_BITS))


def days_of(keys: Keys, first_day: int) -> Ints:
    """The days of keys, since 1970-01-01."""
    return (keys & _DAY_MASK).astype(np.int64) + first_day

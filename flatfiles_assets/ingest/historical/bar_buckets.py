"""Bars on their way into order: spilled to disk by date, sorted and made unique a few days at a time.

A bar's key begins with its date, so the dates can be finished one after another: memory holds the
bars of ten days, whatever the year's size and whatever order the files come in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.ingest.historical.bars import STAGED_SCHEMA
from flatfiles_assets.ingest.historical.intraday import aggregate
from flatfiles_assets.ingest.historical.symbol_marks import SymbolMap
from flatfiles_assets.ingest.placeholder_tickers import DEFAULT_TEST_TICKERS

# Some fifty thousand bars of a whole market.
_DAYS_PER_BUCKET = 10
_TEST_TICKERS = pa.array(sorted(DEFAULT_TEST_TICKERS), pa.string())


@dataclasses.dataclass(frozen=True)
class FinishedDays:
    """One bucket in order.

    Attributes:
        bars: How many there are.
        duplicates: Bars left out because an earlier file or row has their key.
        test_bars: Bars left out because their ticker is only for tests.
    """

    bars: int
    duplicates: pa.Table
    test_bars: pa.Table


class BarBuckets:
    """Takes bars in any order and gives them back by (trade_date, ticker).

    Args:
        directory: An empty directory for the buckets' files.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}
        self._spans: list[int] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes bars with `STAGED_SCHEMA`; intraday ones as `aggregate` leaves them."""
        if not batch.num_rows:
            return
        days = batch.column("trade_date").cast(pa.int32()).to_numpy()
        # As 16 bits, which numpy sorts by counting.
        spans = (days // _DAYS_PER_BUCKET).astype(np.int16)
        order = np.argsort(spans, kind="stable")
        in_spans = spans[order]
        starts = np.flatnonzero(np.diff(in_spans, prepend=in_spans[0] - 1))
        found = in_spans[starts]
        in_order = batch if (np.diff(order) == 1).all() else batch.take(pa.array(order))
        for span, start, end in zip(found.tolist(), starts, [*starts[1:], len(order)], strict=True):
            self._writer(span).write_batch(in_order.slice(start, end - start))

    def _writer(self, span: int) -> pa.RecordBatchStreamWriter:
        if span not in self._writers:
            self._writers[span] = pa.ipc.new_stream(str(self._path(span)), STAGED_SCHEMA)
        return self._writers[span]

    def _path(self, span: int) -> Path:
        return self._directory / f"days-{span}.arrows"

    def finish(self, dropped_files: AbstractSet[int], symbols: SymbolMap) -> Iterator[FinishedDays]:
        """Sorts every bucket in place; no bars can be added after it.

        Args:
            dropped_files: Files whose bars do not count.
            symbols: What the symbols are called.

        Yields:
            What became of each bucket.
        """
        for writer in self._writers.values():
            writer.close()
        self._spans = sorted(self._writers)
        self._writers.clear()
        for span in self._spans:
            table = _read(self._path(span))
            if dropped_files:
                gone = pa.array(sorted(dropped_files), pa.int32())
                table = table.filter(pc.invert(pc.is_in(table.column("file_id"), gone)))
            place = table.column_names.index("ticker")
            table = table.set_column(place, "ticker", symbols.column(table.column("ticker")))
            table = aggregate(table)
            # Under a vendor's mark they could not be told before the marks of the year were known.
            is_test = pc.is_in(table.column("ticker"), _TEST_TICKERS)
            test_bars = table.filter(is_test)
            table = _sorted(table.filter(pc.invert(is_test)) if test_bars.num_rows else table)
            repeated = _repeats_previous(table)
            kept = table
            duplicates = table.slice(0, 0)
            if repeated.any():
                kept, duplicates = table.filter(pa.array(~repeated)), table.filter(pa.array(repeated))
            with pa.ipc.new_stream(str(self._path(span)), STAGED_SCHEMA) as writer:
                writer.write_table(kept, max_chunksize=65536)
            row_count = kept.num_rows
            del table, kept  # or two buckets would be in memory while the next one is read
            yield FinishedDays(row_count, duplicates, test_bars)

    def read(self) -> Iterator[pa.RecordBatch]:
        """The bars in order, after `finish`."""
        for span in self._spans:
            with pa.ipc.open_stream(str(self._path(span))) as reader:
                yield from reader


def _read(path: Path) -> pa.Table:
    with pa.ipc.open_stream(str(path)) as reader:
        return reader.read_all()


def _sorted(table: pa.Table) -> pa.Table:
    """By date, ticker (by its bytes), file and row."""
    days = table.column("trade_date").cast(pa.int32()).to_numpy()
    encoded = table.column("ticker").combine_chunks().dictionary_encode()
    by_name = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(by_name), dtype=np.int64)
    ranks[by_name] = np.arange(len(by_name))
    ticker_ranks = ranks[encoded.indices.to_numpy()] if len(ranks) else np.zeros(0, dtype=np.int64)
    order = np.lexsort(
        (table.column("row_number").to_numpy(), table.column("file_id").to_numpy(), ticker_ranks, days)
    )
    return table.take(pa.array(order))


def _repeats_previous(table: pa.Table) -> npt.NDArray[np.bool_]:
    """For each row, whether it has the date and ticker of the row before it."""
    same = np.ones(max(table.num_rows - 1, 0), dtype=bool)
    for name in ("trade_date", "ticker"):
        column = table.column(name).combine_chunks()
        same &= pc.equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate([np.zeros(min(table.num_rows, 1), dtype=bool), same])

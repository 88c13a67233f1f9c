"""Whether rows arrive in strictly increasing order of a key, judged batch by batch.

Rows in such an order have no duplicates and need no sorting, which is how nearly every published
file is; finding that out costs one comparison a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


class KeyOrder:
    """Follows the keys of a file's accepted rows.

    Text is compared by its UTF-8 bytes, as Arrow and DuckDB do.

    Attributes:
        is_increasing: Whether every key so far was higher than the one before.
    """

    def __init__(self, key: Sequence[str]) -> None:
        self.is_increasing = True
        self._key = tuple(key)
        self._last: pa.RecordBatch | None = None

    def follow(self, batch: pa.RecordBatch) -> None:
        """Takes the next rows into account; keys hold no nulls."""
        if not self.is_increasing or not batch.num_rows:
            return
        keys = batch.select(self._key)
        if self._last is not None and not _is_increasing(_first_after(self._last, keys)):
            self.is_increasing = False
            return
        self.is_increasing = _is_increasing(keys)
        self._last = keys.slice(keys.num_rows - 1)


def _first_after(last: pa.RecordBatch, keys: pa.RecordBatch) -> pa.RecordBatch:
    both = pa.Table.from_batches([last, keys.slice(0, 1)]).combine_chunks()
    return both.to_batches()[0]


def _is_increasing(keys: pa.RecordBatch) -> bool:
    count = keys.num_rows - 1
    increases: pa.Array | None = None
    for column in reversed(keys.columns):
        before, after = column.slice(0, count), column.slice(1)
        higher = pc.less(before, after)
        if increases is not None:
            higher = pc.or_(higher, pc.and_(pc.equal(before, after), increases))
        increases = higher
    return increases is None or pc.all(increases).as_py() is not False

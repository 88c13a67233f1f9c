"""Rejected rows on their way: on disk, so that a year of nothing else stays within memory."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.ingest.historical.symbol_marks import SymbolMap
from flatfiles_assets.ingest.quality import QUARANTINE_SCHEMA

_SPILLED = QUARANTINE_SCHEMA.append(pa.field("file_id", pa.int32()))


class RejectedSpill:
    """Takes rejected rows and gives them back as one table that is mapped from disk.

    Args:
        directory: A directory for its two files.
    """

    def __init__(self, directory: Path) -> None:
        self._spilled = directory / "rejected.arrows"
        self._finished = directory / "rejected.arrow"
        self._writer = pa.ipc.new_stream(str(self._spilled), _SPILLED)

    def add(self, rows: pa.RecordBatch, file_ids: pa.Int32Array) -> None:
        """Takes rows with `QUARANTINE_SCHEMA`, and the number of each row's file."""
        if rows.num_rows:
            self._writer.write_batch(pa.RecordBatch.from_arrays([*rows.columns, file_ids], schema=_SPILLED))

    def finish(self, dropped_files: AbstractSet[int], symbols: SymbolMap) -> pa.Table:
        """All rows but those of the dropped files, with their symbols as tickers."""
        self._writer.close()
        gone = pa.array(sorted(dropped_files), pa.int32())
        with (
            pa.ipc.open_stream(str(self._spilled)) as reader,
            pa.ipc.new_file(str(self._finished), QUARANTINE_SCHEMA) as writer,
        ):
            for batch in reader:
                kept = batch.filter(pc.invert(pc.is_in(batch.column("file_id"), gone)))
                place = QUARANTINE_SCHEMA.get_field_index("ticker")
                named = kept.set_column(place, QUARANTINE_SCHEMA.field(place), symbols.column(kept["ticker"]))
                writer.write_batch(named.select(QUARANTINE_SCHEMA.names))
        self._spilled.unlink()
        return pa.ipc.open_file(pa.memory_map(str(self._finished))).read_all()

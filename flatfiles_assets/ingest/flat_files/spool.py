"""A table that grows by Arrow batches: in memory first, in DuckDB when it is large, on disk beyond.

Batches wait as they are, because most of the time they are all that is ever collected, and need no
copy. Past a limit they move to DuckDB, which spills what its own memory limit does not hold.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa


class Spool:
    """An append-only table in a DuckDB connection, whose newest rows can be taken back file by file.

    Args:
        connection: The database that holds the table.
        name: Name of the table.
        schema: Arrow schema of the batches. The table has these columns after ``file_id``.
        limit_bytes: Arrow memory at which rows move to DuckDB.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        schema: pa.Schema,
        limit_bytes: int,
    ) -> None:
        self.name = name
        self.schema = pa.schema([pa.field("file_id", pa.int32()), *schema])
        self._connection = connection
        self._limit_bytes = limit_bytes
        self._waiting_bytes = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_file_ids: list[int] = []
        self._flushed_file_ids: set[int] = set()
        self._create()

    def append(self, file_id: int, batch: pa.RecordBatch) -> None:
        """Adds rows of one file."""
        if not batch.num_rows:
            return
        ids = pa.repeat(pa.scalar(file_id, pa.int32()), batch.num_rows)
        rows = pa.RecordBatch.from_arrays([ids, *batch.columns], schema=self.schema)
        self._waiting.append(rows)
        self._waiting_file_ids.append(file_id)
        self._waiting_bytes += rows.nbytes
        if self._waiting_bytes >= self._limit_bytes:
            self.flush()

    @property
    def is_in_memory(self) -> bool:
        """Whether no row has been inserted yet."""
        return not self._flushed_file_ids

    def waiting(self) -> pa.Table:
        """The rows that have not been inserted, in the order in which they came."""
        return pa.Table.from_batches(self._waiting, schema=self.schema)

    def waiting_of(self, file_id: int) -> pa.Table | None:
        """All rows of a file, or None where some of them have been inserted already."""
        if file_id in self._flushed_file_ids:
            return None
        batches = [
            batch
            for batch, owner in zip(self._waiting, self._waiting_file_ids, strict=True)
            if owner == file_id
        ]
        return pa.Table.from_batches(batches, schema=self.schema)

    def flush(self) -> None:
        """Inserts what waits, so that SQL on the table sees every row."""
        if not self._waiting:
            return
        self._connection.register("waiting_rows", self.waiting())
        try:
            self._connection.execute(f"INSERT INTO {self.name} SELECT * FROM waiting_rows")  # noqa: S608
        finally:
            self._connection.unregister("waiting_rows")
        self._flushed_file_ids.update(self._waiting_file_ids)
        self._forget_waiting()

    def take_back(self, file_id: int) -> None:
        """Removes the rows of a file."""
        kept = [
            (batch, owner)
            for batch, owner in zip(self._waiting, self._waiting_file_ids, strict=True)
            if owner != file_id
        ]
        self._waiting = [batch for batch, _ in kept]
        self._waiting_file_ids = [owner for _, owner in kept]
        self._waiting_bytes = sum(batch.nbytes for batch in self._waiting)
        if file_id in self._flushed_file_ids:
            self._connection.execute(f"DELETE FROM {self.name} WHERE file_id = ?", [file_id])  # noqa: S608
            self._flushed_file_ids.discard(file_id)

    def clear(self) -> None:
        """Removes every row and gives the memory back."""
        self._forget_waiting()
        self._flushed_file_ids.clear()
        self._create()

    def _forget_waiting(self) -> None:
        self._waiting, self._waiting_file_ids, self._waiting_bytes = [], [], 0

    def _create(self) -> None:
        # DuckDB itself maps Arrow types to its own, so no type is written down twice.
        self._connection.register("no_rows", self.schema.empty_table())
        try:
            self._connection.execute(
                f"CREATE OR REPLACE TABLE {self.name} AS SELECT * FROM no_rows"  # noqa: S608
            )
        finally:
            self._connection.unregister("no_rows")

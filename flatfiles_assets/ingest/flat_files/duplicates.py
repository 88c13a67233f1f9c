"""Rows of one file that repeat the key of an earlier one.

Only rows that are acceptable in themselves count, so that a broken row never hides a good one. The
first is kept and later ones are rejected, whether they say the same or something else; which of two
conflicting rows is right cannot be known, and both remain visible.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from flatfiles_assets.datasets import Dataset
from flatfiles_assets.ingest.flat_files.spool import Spool
from flatfiles_assets.ingest.quality import quarantine_rows
from flatfiles_assets.ingest.row_rules import FileIdentity


def stored_key(dataset: Dataset) -> tuple[str, ...] | None:
    """The columns that identify a row among those stored for a session; None where rows may repeat.

    A day bar's `window_start` is not stored, and the vendor stamps it midnight or 16:00: a ticker
    has one day bar a session, whatever the stamps.
    """
    if dataset.unique_key is None:
        return None
    stored = {column.name for column in dataset.columns if column.stored}
    return tuple(name for name in dataset.unique_key if name in stored)


def take_out_duplicates(
    connection: duckdb.DuckDBPyConnection,
    accepted: Spool,
    rejected: Spool,
    file_id: int,
    file: FileIdentity,
    key: tuple[str, ...],
) -> int:
    """Moves the duplicates of a file from the accepted to the rejected rows.

    Returns:
        How many there were.
    """
    in_memory = accepted.waiting_of(file_id)
    if in_memory is not None and _is_unique(in_memory, key):
        return 0
    accepted.flush()
    connection.execute(_find_duplicates(accepted.name, file.dataset, key), [file_id, file_id])
    connection.execute(
        f"DELETE FROM {accepted.name} WHERE file_id = ? "  # noqa: S608
        "AND row_number IN (SELECT row_number FROM repeats)",
        [file_id],
    )
    count = 0
    # A cursor of its own: inserting the rejected rows must not wait for the end of this result.
    for batch in connection.cursor().sql("FROM repeats ORDER BY row_number").to_arrow_reader(10_000):
        rejected.append(file_id, _rejected_rows(batch, file))
        count += batch.num_rows
    connection.execute("DROP TABLE repeats")
    return count


def _is_unique(rows: pa.Table, key: tuple[str, ...]) -> bool:
    return bool(rows.group_by(list(key), use_threads=False).aggregate([]).num_rows == rows.num_rows)


def _find_duplicates(table: str, dataset: Dataset, key: tuple[str, ...]) -> str:
    """SQL with two parameters, both the file's id; the aggregate and the join spill to disk."""
    names = ", ".join(f'"{name}"' for name in key)
    rows = ", ".join(f'later."{column.name}"' for column in dataset.columns)
    same_key = " AND ".join(f'later."{name}" = keys."{name}"' for name in key)
    same_values = " AND ".join(
        f'later."{column.name}" IS NOT DISTINCT FROM first."{column.name}"'
        for column in dataset.columns
        if column.stored
    )
    return f"""
        CREATE OR REPLACE TABLE repeats AS
        WITH of_file AS (SELECT * FROM {table} WHERE file_id = ?),
        keys AS (
            SELECT {names}, min(row_number) AS first_row
            FROM of_file GROUP BY {names} HAVING count(*) > 1
        )
        SELECT later.row_number, keys.first_row, {same_values} AS is_identical, {rows}
        FROM of_file AS later
        JOIN keys ON {same_key}
        JOIN {table} AS first ON first.file_id = ? AND first.row_number = keys.first_row
        WHERE later.row_number > keys.first_row
    """  # noqa: S608


def _rejected_rows(batch: pa.RecordBatch, file: FileIdentity) -> pa.RecordBatch:
    names = [column.name for column in file.dataset.columns]
    reasons = [
        f"identical to row {first_row}" if is_identical else f"conflicts with row {first_row}, which is kept"
        for first_row, is_identical in zip(
            batch["first_row"].to_pylist(), batch["is_identical"].to_pylist(), strict=True
        )
    ]
    return quarantine_rows(
        file,
        row_numbers=batch["row_number"].to_numpy(),
        rules=["duplicate"] * batch.num_rows,
        reasons=reasons,
        rows=batch.select(names),
    )

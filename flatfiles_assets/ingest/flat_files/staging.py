"""Session files of one feed, decoded, checked and collected until they are written together.

Here: the order of work on a file, what remains of one that fails, and duplicates, the one rule that
needs a whole file. Rules on single rows are in `quality.py`; writing to the warehouse is the
caller's.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import TracebackType

import duckdb
import pyarrow as pa

from flatfiles_assets.datasets import Dataset
from flatfiles_assets.errors import FlatFilesError, InvalidArgument, MisdatedFile
from flatfiles_assets.ingest.flat_files.duplicates import stored_key, take_out_duplicates
from flatfiles_assets.ingest.flat_files.key_order import KeyOrder
from flatfiles_assets.ingest.flat_files.reader import read_row_blocks
from flatfiles_assets.ingest.flat_files.spool import Spool
from flatfiles_assets.ingest.placeholder_tickers import DEFAULT_TEST_TICKERS
from flatfiles_assets.ingest.quality import (
    QUARANTINE_SCHEMA,
    AllRowsRejected,
    check_rows,
    quarantine_unparsable,
)
from flatfiles_assets.ingest.row_rules import FileIdentity
from flatfiles_assets.ingest.scratch import scratch_folder

_READ_ROWS = 122_880  # DuckDB's own row group: one copy per batch, none across
_SHOWN_DAYS = 5


@dataclasses.dataclass(frozen=True)
class StagedFile:
    """What became of a file's rows; ``rows_read == 0`` is a file with only a header.

    Attributes:
        key: Key of the file in the bucket.
        session: The session it belongs to.
        rows_read: Rows in the file, the header not counted.
        rows_accepted: Rows that are staged.
        rows_rejected: Rows in quarantine by rule; with `rows_accepted` they make up `rows_read`.
        seconds: Wall time of decoding, checking and staging.
        kept_out: Columns of the file that are not the feed's.
    """

    key: str
    session: dt.date
    rows_read: int
    rows_accepted: int
    rows_rejected: Mapping[str, int]
    seconds: float
    kept_out: tuple[str, ...] = ()


class Stage:
    """Collects the files of many sessions of one feed, in bounded memory.

    Use it as a context manager. It is not safe for use from several threads at once.

    Args:
        dataset: The feed.
        test_tickers: Symbols that go to quarantine as the exchanges' own tests; None for
            `DEFAULT_TEST_TICKERS`.
        arrow_limit_bytes: How much rows may take as they are; past it they move to DuckDB.
        memory_limit: How much they may take there before they are spilled, in DuckDB's notation.
        temp_directory: Where they are spilled; by default a directory of the system's, removed at
            the end.
        keep_out_others: Whether columns that are not the feed's are kept out; files that have such are
            refused otherwise.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        test_tickers: AbstractSet[str] | None = None,
        arrow_limit_bytes: int = 256 * 2**20,
        memory_limit: str = "1GB",
        temp_directory: str | os.PathLike[str] | None = None,
        keep_out_others: bool = False,
    ) -> None:
        self.dataset = dataset
        self._keep_out_others = keep_out_others
        self._test_tickers = DEFAULT_TEST_TICKERS if test_tickers is None else test_tickers
        self._own_directory = scratch_folder("stage") if temp_directory is None else None
        spill = self._own_directory.name if self._own_directory else os.fspath(temp_directory or "")
        self._connection = duckdb.connect(
            ":memory:", config={"memory_limit": memory_limit, "temp_directory": spill}
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        checked = [
            pa.field("row_number", pa.int64()),
            pa.field("trade_date", pa.date32()),
            *(pa.field(column.name, column.type) for column in dataset.columns),
        ]
        self._accepted = Spool(self._connection, "accepted_rows", pa.schema(checked), arrow_limit_bytes)
        self._rejected = Spool(self._connection, "rejected_rows", QUARANTINE_SCHEMA, arrow_limit_bytes)
        self._next_file_id = 0
        self._rows_by_session: dict[dt.date, int] = {}
        self._last_session = dt.date.min
        self._is_sorted = True

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the memory and what was spilled; the stage cannot be used afterwards."""
        self._connection.close()
        if self._own_directory:
            self._own_directory.cleanup()

    @property
    def rows(self) -> int:
        """Accepted rows staged so far."""
        return sum(self._rows_by_session.values())

    def add(self, path: str | os.PathLike[str], key: str, session: dt.date) -> StagedFile:
        """Decodes, checks and stages one file.

        Where it raises, nothing of the file is staged; its rejected rows stay for quarantine only
        where every row was rejected. Files added before and after are not concerned.

        Args:
            path: The file on disk.
            key: Its key in the bucket, for messages and the quarantine.
            session: The session that the key names.

        Raises:
            CorruptFile: The file is empty, cut short or damaged.
            UnexpectedColumns: Its header is not the feed's.
            MisdatedFile: Every row belongs to another session.
            AllRowsRejected: No row is acceptable, for various reasons.
            InvalidArgument: A file of that session is staged already.
        """
        if session in self._rows_by_session:
            raise InvalidArgument(
                f"session {session} is staged already",
                where=key,
                next_step="write what is staged and clear the stage first",
            )
        started = time.perf_counter()
        file_id = self._next_file_id
        self._next_file_id += 1
        file = FileIdentity(self.dataset, key, session)
        try:
            work = _FileWork(file_id, file, self._accepted, self._rejected, self._test_tickers)
            work.run(path, self._connection, keep_out_others=self._keep_out_others)
        except BaseException:
            self._accepted.take_back(file_id)
            self._rejected.take_back(file_id)
            raise
        if work.rows_read and not work.rows_accepted:
            raise work.refusal()
        self._is_sorted &= work.order.is_increasing and session > self._last_session
        self._last_session = session
        self._rows_by_session[session] = work.rows_accepted
        return StagedFile(
            key,
            session,
            rows_read=work.rows_read,
            rows_accepted=work.rows_accepted,
            rows_rejected=dict(work.rejected_counts),
            seconds=time.perf_counter() - started,
            kept_out=work.kept_out,
        )

    def accepted(self) -> pa.RecordBatchReader:
        """The accepted rows of every staged file, read in batches.

        Read it to the end or drop it before adding files.

        Returns:
            ``dataset.table_schema``, sorted by ``trade_date`` and ``dataset.sort_columns``.
        """
        schema = self.dataset.table_schema
        rows = self._accepted_rows()
        return pa.RecordBatchReader.from_batches(schema, (_as_stored(batch, schema) for batch in rows))

    def rejected(self) -> pa.Table:
        """What `rejected_reader` reads, as one table."""
        return self.rejected_reader().read_all()

    def rejected_reader(self) -> pa.RecordBatchReader:
        """The rejected rows of every staged file and of those that had no acceptable row.

        Read it to the end or drop it before adding files. One misdated minute file has millions of
        rejected rows.

        Returns:
            `QUARANTINE_SCHEMA`, sorted by ``trade_date``, ``file`` and ``row_number``.
        """
        self._rejected.flush()
        columns = ", ".join(f'"{name}"' for name in QUARANTINE_SCHEMA.names)
        rows = self._read(
            f"SELECT {columns} FROM {self._rejected.name} ORDER BY trade_date, file, row_number"  # noqa: S608
        )
        return pa.RecordBatchReader.from_batches(
            QUARANTINE_SCHEMA, (batch.cast(QUARANTINE_SCHEMA) for batch in rows)
        )

    def clear(self) -> None:
        """Forgets every file, so that the stage can take others."""
        self._accepted.clear()
        self._rejected.clear()
        self._rows_by_session = {}
        self._last_session = dt.date.min
        self._is_sorted = True

    def _accepted_rows(self) -> Iterable[pa.RecordBatch]:
        if self._is_sorted and self._accepted.is_in_memory:
            waiting: list[pa.RecordBatch] = self._accepted.waiting().to_batches()
            return waiting
        self._accepted.flush()
        # DuckDB keeps the order of insertion where it is not told another.
        order = "" if self._is_sorted else f"ORDER BY {', '.join(self._sort_terms())}"
        rows: Iterable[pa.RecordBatch] = self._read(f"SELECT * FROM {self._accepted.name} {order}")  # noqa: S608
        return rows

    def _sort_terms(self) -> Iterator[str]:
        yield "trade_date"
        yield from (f'"{name}"' for name in self.dataset.sort_columns)
        yield "row_number"  # rows that may repeat (trades) keep the order in which they came

    def _read(self, query: str) -> pa.RecordBatchReader:
        # A cursor of its own: the connection refuses other statements while a result is being read.
        return self._connection.cursor().sql(query).to_arrow_reader(_READ_ROWS)


def _as_stored(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [_stored_values(rows[field.name], field.type) for field in schema], schema=schema
    )


def _stored_values(values: pa.Array, type_: pa.DataType) -> pa.Array:
    if not pa.types.is_timestamp(type_):
        return values.cast(type_)
    # Files have nanoseconds; the table's unit is coarser, and bars start on whole minutes.
    return values.cast(pa.timestamp("ns", tz=type_.tz)).cast(type_, safe=False)


class _FileWork:
    """One file on its way into the stage, with its counts."""

    def __init__(
        self,
        file_id: int,
        file: FileIdentity,
        accepted: Spool,
        rejected: Spool,
        test_tickers: AbstractSet[str],
    ) -> None:
        self._file_id = file_id
        self._file = file
        self._accepted = accepted
        self._rejected = rejected
        self._test_tickers = test_tickers
        self._key = stored_key(file.dataset)
        self.order = KeyOrder(self._key or file.dataset.sort_columns)
        self.rows_read = 0
        self.rows_accepted = 0
        self.rejected_counts: Counter[str] = Counter()
        self._misdated_days: set[dt.date] = set()
        self.kept_out: tuple[str, ...] = ()

    def run(
        self, path: str | os.PathLike[str], connection: duckdb.DuckDBPyConnection, *, keep_out_others: bool
    ) -> None:
        blocks = read_row_blocks(
            path, self._file.dataset, key=self._file.key, keep_out_others=keep_out_others
        )
        for block in blocks:
            self.kept_out = block.kept_out
            self.rows_read += block.row_count
            if block.parsed.unparsable:
                unparsable = quarantine_unparsable(self._file, block.unparsable())
                self._reject(unparsable, {"unparsable": unparsable.num_rows})
            checked = check_rows(block.batch, block.row_numbers(), self._file, self._test_tickers)
            self._reject(checked.rejected, checked.rejected_counts)
            self._misdated_days |= checked.misdated_days
            self._stage(checked.accepted, checked.accepted_row_numbers)
        if self._key and not self.order.is_increasing:
            duplicates = take_out_duplicates(
                connection, self._accepted, self._rejected, self._file_id, self._file, self._key
            )
            self.rows_accepted -= duplicates
            self._count({"duplicate": duplicates})

    def _stage(self, rows: pa.RecordBatch, row_numbers: object) -> None:
        self.order.follow(rows)
        self.rows_accepted += rows.num_rows
        session = pa.repeat(pa.scalar(self._file.session, pa.date32()), rows.num_rows)
        columns = [pa.array(row_numbers, pa.int64()), session, *rows.columns]
        names = ["row_number", "trade_date", *rows.schema.names]
        self._accepted.append(self._file_id, pa.RecordBatch.from_arrays(columns, names=names))

    def _reject(self, rows: pa.RecordBatch, counts: Mapping[str, int]) -> None:
        self._rejected.append(self._file_id, rows)
        self._count(counts)

    def _count(self, counts: Mapping[str, int]) -> None:
        self.rejected_counts.update({rule: count for rule, count in counts.items() if count})

    def refusal(self) -> FlatFilesError:
        """Why a file without one acceptable row is refused."""
        if self.rejected_counts["misdated"] == self.rows_read:
            days = sorted(self._misdated_days)
            shown = ", ".join(map(str, days[:_SHOWN_DAYS])) + (" …" if len(days) > _SHOWN_DAYS else "")
            return MisdatedFile(
                f"none of the {self.rows_read:,} rows belongs to session {self._file.session}",
                where=self._file.key,
                why=f"{self._file.dataset.timestamp} is on {shown}",
                next_step="fetch the file again later; the vendor may replace it. Its rows are in quarantine",
            )
        counts = ", ".join(f"{rule} {count:,}" for rule, count in self.rejected_counts.most_common())
        return AllRowsRejected(
            f"not one of the {self.rows_read:,} rows is acceptable",
            where=self._file.key,
            why=f"rejected by rule: {counts}",
            next_step="see the rows and reasons in market/quarantine",
        )

"""The warehouse: one DuckDB file, one writer at a time, readers that never stay.

Here: `Warehouse`, which brings lock, connection and transaction together. Not here: what a
transaction does (`transaction.py`) and what a session reads (`reading.py`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from flatfiles_assets.settings import DEFAULT_LOCK_TIMEOUT_SECONDS
from flatfiles_assets.unexpected import door
from flatfiles_assets.warehouse.database import attached
from flatfiles_assets.warehouse.errors import ReadOnlyViolation, WarehouseError
from flatfiles_assets.warehouse.locking import FileQueue
from flatfiles_assets.warehouse.new_file import sweep
from flatfiles_assets.warehouse.past import AsOf, parse_as_of
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.transaction import WriteTransaction


class Warehouse:
    """One DuckDB file, shared by any number of processes and threads.

    Readers and writers take turns in the order in which they came; readers share a turn. It keeps
    nothing open, so it may be created anywhere, pickled and sent to another process.

    Args:
        path: The DuckDB file; made, with its folder, by the first writer.
        lock_timeout_seconds: How long a reader or writer waits for its turn at most.
        as_of: Readers see it as it was then, and there are no writers; None for the present.
        run_id: The run in whose name is written, for those who ask what a run has left.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        lock_timeout_seconds: float = DEFAULT_LOCK_TIMEOUT_SECONDS,
        *,
        as_of: AsOf | None = None,
        run_id: str | None = None,
    ) -> None:
        # Resolved, so that every way of naming the file leads to the same queue.
        self.path = _resolved(path)
        self.lock_timeout_seconds = lock_timeout_seconds
        self.as_of = None if as_of is None else parse_as_of(as_of)
        self.run_id = run_id
        self._queue = FileQueue(self.path.with_name(f"{self.path.name}.queue"), self.path)

    def __repr__(self) -> str:
        return f"Warehouse({str(self.path)!r})"

    def waiting(self, lock_timeout_seconds: float) -> Warehouse:
        """The same warehouse for somebody who waits for a turn that long at most."""
        return Warehouse(self.path, lock_timeout_seconds, as_of=self.as_of, run_id=self.run_id)

    def at(self, as_of: AsOf | None) -> Warehouse:
        """The same warehouse as it was then; None for the present.

        Args:
            as_of: A moment, UTC unless it says its zone; a state's number; or the id of a run, for what
                that run left.

        Raises:
            InvalidArgument: It names no moment.
        """
        return Warehouse(self.path, self.lock_timeout_seconds, as_of=as_of, run_id=self.run_id)

    def in_run(self, run_id: str | None) -> Warehouse:
        """The same warehouse for somebody who writes in the name of a run."""
        return Warehouse(self.path, self.lock_timeout_seconds, as_of=self.as_of, run_id=run_id)

    @contextlib.contextmanager
    def writer(self, purpose: str, timeout: float | None = None) -> Iterator[WriteTransaction]:
        """One transaction: open, change, commit at the end of the body, close.

        The file is held meanwhile, so fetch and decode before, and only write inside. After an
        exception, and after the death of the process at any moment, everything is as it was before.

        Args:
            purpose: What for, in words, for those who wait, e.g. ``"backfill of stocks_daily"``.
            timeout: Seconds to wait for the turn at most; None for the warehouse's own limit.

        Raises:
            WarehouseBusy: The wait was longer than that; the message names who holds the file.
            WarehouseError: The file cannot be opened, or the commit failed.
        """
        if self.as_of is not None:
            raise ReadOnlyViolation("nobody writes into the past", where=f"{self.path} as of {self.as_of}")
        limit_seconds = self.lock_timeout_seconds if timeout is None else timeout
        deadline = time.monotonic() + limit_seconds
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._queue.turn("write", purpose, limit_seconds):
            sweep(self.path)
            left_seconds = max(0.0, deadline - time.monotonic())
            with attached(self.path, read_only=False, timeout_seconds=left_seconds) as connection:
                connection.begin()
                transaction = WriteTransaction(connection)
                try:
                    yield transaction
                except BaseException:
                    # The error that matters is the body's; closing drops the transaction anyway.
                    with contextlib.suppress(duckdb.Error):
                        connection.rollback()
                    raise
                self._finish(transaction, connection, purpose)

    def _finish(
        self, transaction: WriteTransaction, connection: duckdb.DuckDBPyConnection, purpose: str
    ) -> None:
        if transaction.failed:
            connection.rollback()
            raise WarehouseError(
                "the transaction was rolled back",
                where=str(self.path),
                why="one of its statements failed, and the error was caught and passed over",
                next_step="let the error end the transaction",
            )
        try:
            transaction.conclude(purpose, self.run_id)
            connection.commit()
        except duckdb.Error as error:
            raise WarehouseError(
                "the commit failed; everything is as it was before", where=str(self.path), why=str(error)
            ) from error

    def reader(self, timeout: float | None = None, *, allow_files: bool = False) -> WarehouseReader:
        """A read-only view, with ``with`` or without: it holds the file only while a query runs.

        Args:
            timeout: Seconds that a query waits for its turn at most; None for the warehouse's own limit.
            allow_files: Whether queries may read other files and export to them.
        """
        limit_seconds = self.lock_timeout_seconds if timeout is None else timeout
        return WarehouseReader(
            self.path, self._queue, limit_seconds, allow_files=allow_files, as_of=self.as_of
        )


@door
def _resolved(path: str | os.PathLike[str]) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # a loop of links, a folder that is closed, no such home
        raise WarehouseError(
            "the warehouse's path leads nowhere",
            where=os.fspath(path),
            why=str(error),
            next_step="check FLATFILES_DATA_DIR, and the links in it",
        ) from error

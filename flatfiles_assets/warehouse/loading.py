"""Cached files to warehouse partitions: the step between the mirror and the tables.

Here: which files are loaded, in what batches, and what became of each. Not here: fetching
(`download/fetch.py`), decoding and rules (`ingest/`), SQL (`warehouse/`), Dagster (`assets/`).

Every session is loaded in one transaction with its quarantined rows and its line in
``market.files``, which records the checksum of the file that the stored rows come from. That line
is what makes a second run cheap: a partition whose file has not changed is left alone.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import pyarrow as pa

from flatfiles_assets.columns import Column
from flatfiles_assets.datasets import Dataset
from flatfiles_assets.download.cache import FetchedFile, FileCache
from flatfiles_assets.errors import CorruptFile, FlatFilesError, MisdatedFile, UnexpectedColumns
from flatfiles_assets.escaping import printable
from flatfiles_assets.ingest.flat_files.reader import further_columns
from flatfiles_assets.ingest.flat_files.staging import Stage, StagedFile
from flatfiles_assets.ingest.quality import AllRowsRejected
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.inventory import KEPT_OUT, LoadedSession, loaded_sessions
from flatfiles_assets.warehouse.table import TableSchema
from flatfiles_assets.warehouse.tables import FILES, QUARANTINE, get_table

ExtraColumns = Literal["ignore", "store", "refuse"]
"""What becomes of columns of a file that are not the feed's."""

# Raise it when the rules or the decoding change the rows of an unchanged file.
RULES_VERSION = "2"

# A transaction costs about a tenth of a second of work around its rows, and holds the file for about
# a second with a quarter of day bars (16 MiB compressed) or one day of minute bars (28 MiB).
_MOST_BYTES = 32 * 2**20
_MOST_FILES = 64
_WORKERS = 2
_MOST_CHARACTERS = 200

# The file is whole, but none of its rows can be stored.
_REFUSALS = (MisdatedFile, AllRowsRejected, UnexpectedColumns)


class RawFileMissing(FlatFilesError):
    """A session is to be loaded whose file is not in the local cache."""

    state = "not_downloaded"


@dataclasses.dataclass(frozen=True)
class SessionResult:
    """What became of one session of a feed.

    Attributes:
        session: The session's date.
        key: The file's key.
        file: The cached file; None where it could not be had.
        outcome: ``loaded``: rows written. ``unchanged``: the warehouse already holds this file's
            rows. ``failed``: see `error`.
        rows_read: Data rows in the file.
        rows_accepted: Rows now in the table.
        rejected: Quarantined rows by rule.
        seconds: Decoding, checking and this session's share of the transaction.
        error: Why the session failed.
        kept_out: Columns of the file that are not the feed's, and are not stored.
    """

    session: dt.date
    key: str
    file: FetchedFile | None
    outcome: Literal["loaded", "unchanged", "failed"]
    rows_read: int = 0
    rows_accepted: int = 0
    rejected: Mapping[str, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    error: FlatFilesError | None = None
    kept_out: tuple[str, ...] = ()

    @property
    def message(self) -> str | None:
        """What there is to say beside the counts."""
        if self.error:
            return str(self.error)
        names = printable(", ".join(self.kept_out))[:_MOST_CHARACTERS]
        return f"{KEPT_OUT}{names}" if names else None


SessionFile = tuple[dt.date, str, FetchedFile | FlatFilesError]


def cached_files(cache: FileCache, keys: Mapping[dt.date, str]) -> Iterator[SessionFile]:
    """The files of some sessions as they are in the cache, without asking the bucket."""
    entries = cache.ledger.get_many(list(keys.values()))
    for session, key in keys.items():
        entry = entries.get(key)
        path = cache.stored(entry) if entry else None
        if entry is not None and path is not None:
            yield session, key, FetchedFile.stored(entry, path)
            continue
        yield (
            session,
            key,
            RawFileMissing(
                "the file is not in the cache",
                where=key,
                why=f"its last download ended as {entry.state}: {entry.message}" if entry else None,
                next_step="materialise the raw asset of this session first, or both together",
            ),
        )


def load_sessions(
    dataset: Dataset,
    files: Iterable[SessionFile],
    *,
    cache: FileCache,
    warehouse: Warehouse,
    test_tickers: frozenset[str] | None = None,
    reload: bool = False,
    extra_columns: ExtraColumns = "ignore",
) -> Iterator[SessionResult]:
    """Load the files of some sessions, in batches of one transaction each.

    Args:
        dataset: The feed.
        files: Session, key and cached file (or why there is none), in any order.
        cache: Where the files are; a file that turns out corrupt is marked in its ledger.
        warehouse: Where the rows go.
        test_tickers: Tickers to set aside; None for the known ones.
        reload: Load again what the warehouse holds already.
        extra_columns: What becomes of columns of a file that are not the feed's: ``ignore`` keeps them
            out, ``store`` adds them to the table as text, ``refuse`` refuses the file.

    Yields:
        One result per file, as its batch is committed, in the order of `files`.

    Raises:
        WarehouseBusy: Another process holds the warehouse for longer than the limit. Results
            already yielded are committed.
    """
    known = {} if reload else current_sessions(warehouse, dataset)

    def load(batch_files: Sequence[SessionFile]) -> list[SessionResult]:
        feed = with_further_columns(dataset, batch_files[0]) if extra_columns == "store" else dataset
        keeps_out = extra_columns != "refuse"
        with Stage(feed, test_tickers=test_tickers, keep_out_others=keeps_out) as stage:
            batch = _Batch(stage, cache, warehouse, known)
            for session, key, file in batch_files:
                batch.take(session, key, file)
            return batch.commit()

    # Decoding leaves Python's lock alone most of the time: one batch is decoded while another is
    # decoded or written. The warehouse itself lets one writer in after the other.
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="load")
    try:
        loading: deque[Future[list[SessionResult]]] = deque()
        of_one_kind = (lambda file: with_further_columns(dataset, file)) if extra_columns == "store" else None
        for batch_files in _in_batches(files, of_one_kind):
            loading.append(pool.submit(load, batch_files))
            if len(loading) > _WORKERS:
                yield from loading.popleft().result()
        while loading:
            yield from loading.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def with_further_columns(dataset: Dataset, file: SessionFile) -> Dataset:
    """The feed with the columns that a file has beside its own: text, under their names in lower case."""
    known = {column.name.casefold() for column in dataset.table_columns}
    try:
        found = further_columns(file[2].path, dataset) if isinstance(file[2], FetchedFile) else ()
    except FlatFilesError:
        return dataset  # Whoever loads it will say so.
    names = [name for name in dict.fromkeys(name.casefold() for name in found) if name and name not in known]
    columns = (Column(name, pa.string(), "As published; not of this feed", optional=True) for name in names)
    return dataclasses.replace(dataset, columns=(*dataset.columns, *columns))


def _in_batches(
    files: Iterable[SessionFile], kind_of: Callable[[SessionFile], Dataset] | None = None
) -> Iterator[list[SessionFile]]:
    batch: list[SessionFile] = []
    size_bytes = 0
    kind: Dataset | None = None
    for entry in files:
        if kind_of is not None:
            previous, kind = kind, kind_of(entry)
            if batch and kind != previous:
                yield batch
                batch, size_bytes = [], 0
        batch.append(entry)
        size_bytes += entry[2].size_bytes if isinstance(entry[2], FetchedFile) else 0
        if len(batch) >= _MOST_FILES or size_bytes >= _MOST_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


class _Batch:
    """Files that are written in one transaction, and what will be said of them then."""

    def __init__(
        self, stage: Stage, cache: FileCache, warehouse: Warehouse, known: Mapping[dt.date, LoadedSession]
    ) -> None:
        self._stage = stage
        self._cache = cache
        self._warehouse = warehouse
        self._known = known
        self._results: list[SessionResult] = []

    def take(self, session: dt.date, key: str, file: FetchedFile | FlatFilesError) -> None:
        if isinstance(file, FlatFilesError):
            self._results.append(SessionResult(session, key, None, "failed", error=file))
            return
        known = self._known.get(session)
        if known is not None and known.sha256 == file.sha256:
            self._results.append(_unchanged_result(session, file, known))
            return
        try:
            staged = self._stage.add(file.path, key, session)
        except FlatFilesError as error:
            if isinstance(error, CorruptFile):
                self._cache.ledger.mark(key, "corrupt", str(error))
            self._results.append(SessionResult(session, key, file, "failed", error=error))
        else:
            self._results.append(_staged_result(session, file, staged))

    def commit(self) -> list[SessionResult]:
        """Write what is staged; the results in the order in which files were taken."""
        started = time.perf_counter()
        written = [result for result in self._results if _is_written(result)]
        if written:
            self._write(written)
        seconds_each = (time.perf_counter() - started) / max(len(written), 1)
        return [
            dataclasses.replace(result, seconds=result.seconds + seconds_each)
            if result.outcome == "loaded"
            else result
            for result in self._results
        ]

    def _write(self, written: Sequence[SessionResult]) -> None:
        feed = self._stage.dataset.name
        loaded = [result.session for result in written if result.outcome == "loaded"]
        touched = [result.session for result in written]
        # A header that cannot be understood rejects no row: those of the file before it stay in view.
        judged = [result.session for result in written if not isinstance(result.error, UnexpectedColumns)]
        with self._warehouse.writer(f"load {feed} {min(touched)} to {max(touched)}") as transaction:
            if loaded:
                transaction.replace(
                    _table_of(self._stage.dataset),
                    self._stage.accepted(),
                    where={"trade_date": loaded},
                    presorted=True,
                )
            if judged:
                scope: dict[str, Sequence[Any]] = {"trade_date": judged, "feed": [feed]}
                transaction.replace(QUARANTINE, self._stage.rejected_reader(), where=scope)
            scope = {"trade_date": touched, "feed": [feed]}
            transaction.replace(FILES, _file_rows(feed, written), where=scope)


def _table_of(dataset: Dataset) -> TableSchema:
    table = get_table(("market", dataset.name))
    further = [column for column in dataset.table_columns if column.name not in table.column_names]
    return dataclasses.replace(table, columns=(*table.columns, *further)) if further else table


def _unchanged_result(session: dt.date, file: FetchedFile, known: LoadedSession) -> SessionResult:
    return SessionResult(
        session,
        file.key,
        file,
        "unchanged",
        rows_read=known.rows_read,
        rows_accepted=known.rows_accepted,
        rejected=known.rejected_by_rule,
    )


def _staged_result(session: dt.date, file: FetchedFile, staged: StagedFile) -> SessionResult:
    return SessionResult(
        session,
        file.key,
        file,
        "loaded",
        rows_read=staged.rows_read,
        rows_accepted=staged.rows_accepted,
        rejected=staged.rows_rejected,
        seconds=staged.seconds,
        kept_out=staged.kept_out,
    )


def _is_written(result: SessionResult) -> bool:
    """Whether the warehouse has something new to say of this session.

    A refused file leaves the session's earlier rows as they are: its own rows go to the quarantine
    and its line in ``market.files`` says why.
    """
    return result.outcome == "loaded" or isinstance(result.error, _REFUSALS)


def _file_rows(feed: str, results: Sequence[SessionResult]) -> pa.Table:
    now = dt.datetime.now(dt.timezone.utc)
    rows = []
    for result in results:
        if result.file is None:
            continue
        rejected = sum(result.rejected.values()) if result.outcome == "loaded" else None
        rows.append(
            {
                "trade_date": result.session,
                "feed": feed,
                "file": result.key,
                "state": "loaded" if result.outcome == "loaded" else "refused",
                "message": result.message,
                "sha256": result.file.sha256,
                "etag": result.file.etag,
                "size_bytes": result.file.size_bytes,
                "rows_read": result.rows_read,
                "rows_accepted": result.rows_accepted,
                "rows_rejected": rejected,
                "rules_version": RULES_VERSION,
                "loaded_at": now,
            }
        )
    return pa.Table.from_pylist(rows, schema=FILES.arrow_schema)


def current_sessions(warehouse: Warehouse, dataset: Dataset) -> dict[dt.date, LoadedSession]:
    """The stored sessions of a feed, and which file each comes from, under the rules in force."""
    with warehouse.reader() as reader:
        return loaded_sessions(reader, dataset.name, rules_version=RULES_VERSION)

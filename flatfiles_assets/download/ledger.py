"""What was fetched, when, and what came of the last attempt at every key.

Here: one SQLite database in WAL mode, safe for several processes and threads. Not here: the files
themselves (`cache.py`), opening the database (`ledger_file.py`).

Two facts are kept apart for each key. The *file*: ETag, size, SHA-256, last-modified and fetched-at
of the last good copy, which no later failure erases. The *last attempt*: its state, message and
number of requests. So when the vendor answers 503 today, the entry says ``failed`` and still
describes yesterday's file, which stays on disk and usable.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from flatfiles_assets.download.errors import LedgerFailed, State
from flatfiles_assets.download.ledger_file import OpenLedger, open_ledger

__all__ = ["Ledger", "LedgerEntry", "State"]

_KEYS_PER_QUERY = 500
_FILE_COLUMNS = ("etag", "size_bytes", "sha256", "last_modified", "fetched_at", "mtime_ns")
_ATTEMPT_COLUMNS = ("attempted_at", "attempts", "state", "message")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    key TEXT PRIMARY KEY, etag TEXT, size_bytes INTEGER, sha256 TEXT, last_modified TEXT, fetched_at TEXT,
    mtime_ns INTEGER, attempted_at TEXT NOT NULL, attempts INTEGER NOT NULL, state TEXT NOT NULL, message TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, etag TEXT, size_bytes INTEGER, sha256 TEXT, last_modified TEXT,
    fetched_at TEXT, mtime_ns INTEGER, attempted_at TEXT NOT NULL, attempts INTEGER NOT NULL,
    state TEXT NOT NULL, message TEXT
);
CREATE INDEX IF NOT EXISTS history_key ON history (key, id);
CREATE TABLE IF NOT EXISTS pruned (
    key TEXT PRIMARY KEY, sha256 TEXT NOT NULL, pruned_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS other_etags (
    endpoint_url TEXT, bucket TEXT, noted_at TEXT NOT NULL, PRIMARY KEY (endpoint_url, bucket)
) WITHOUT ROWID;
"""
_COLUMNS = ("key", *_FILE_COLUMNS, *_ATTEMPT_COLUMNS)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM"
_INSERT_HISTORY = f"INSERT INTO history ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_UPSERT_ATTEMPT = (
    f"INSERT INTO files ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608
    f"ON CONFLICT (key) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _ATTEMPT_COLUMNS)}"
)
_UPSERT_FILE = f"{_UPSERT_ATTEMPT}, {', '.join(f'{name} = excluded.{name}' for name in _FILE_COLUMNS)}"


@dataclasses.dataclass(frozen=True)
class LedgerEntry:
    """What is known of one key; the first group of attributes is None until a first good copy.

    Attributes:
        key: Key, as in the cache.
        etag: ETag of the good copy, without quotes.
        size_bytes: Its length.
        sha256: Its hexadecimal SHA-256.
        last_modified: Its last change in the bucket, UTC.
        fetched_at: When it was fetched, UTC.
        attempts: Requests of the last attempt.
        state: What the last attempt came to.
        message: Why, where it was no success.
        attempted_at: When the last attempt ended, UTC.
        mtime_ns: Modification time of the good copy on disk, nanoseconds since 1970.
    """

    key: str
    etag: str | None
    size_bytes: int | None
    sha256: str | None
    last_modified: dt.datetime | None
    fetched_at: dt.datetime | None
    attempts: int
    state: State
    message: str | None = None
    attempted_at: dt.datetime | None = None
    mtime_ns: int | None = None

    @property
    def has_file(self) -> bool:
        """Whether a good copy was stored, whatever the last attempt came to."""
        return self.sha256 is not None

    @classmethod
    def failure(cls, key: str, state: State, message: str | None, attempts: int = 1) -> LedgerEntry:
        """An attempt that brought no file."""
        return cls(key, None, None, None, None, None, attempts, state, message)


class Ledger:
    """The ledger in a SQLite file, created with its folder where it does not exist.

    Where nothing can be written it is read as it is, and every change raises `LedgerFailed`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._opened: OpenLedger | None = None
        self._process_id = 0
        with _explained(self.path):
            self._open()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        with self._lock:
            if self._opened and self._process_id == os.getpid():
                self._opened.connection.close()
            self._opened = None

    @property
    def is_writable(self) -> bool:
        """Whether changes can be stored; not on a read-only mount, in another's folder, on a full disk."""
        with self._lock, _explained(self.path):
            return self._open().refusal is None

    def get(self, key: str) -> LedgerEntry | None:
        """The entry of a key; None where it was never attempted."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[str]) -> dict[str, LedgerEntry]:
        """The entries of those keys that have one."""
        wanted = list(keys)
        entries = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            some = wanted[start : start + _KEYS_PER_QUERY]
            query = f"{_SELECT} files WHERE key IN ({', '.join('?' * len(some))})"
            entries.update({entry.key: entry for entry in self._query(query, some)})
        return entries

    def entries(self, prefix: str | None = None) -> Iterator[LedgerEntry]:
        """The entries of all keys, or of those that begin with a prefix, in the order of the keys."""
        prefix = prefix or ""
        query = f"{_SELECT} files WHERE substr(key, 1, ?) = ? ORDER BY key"
        yield from self._query(query, [len(prefix), prefix])

    def history(self, key: str) -> list[LedgerEntry]:
        """Every attempt at a key that was recorded, oldest first."""
        return self._query(f"{_SELECT} history WHERE key = ? ORDER BY id", [key])

    def failures_in_a_row(self, key: str) -> int:
        """How many attempts at a key have failed since the last that brought its file."""
        failures = 0
        for attempt in reversed(self.history(key)):
            if attempt.state == "downloaded":
                break
            failures += 1
        return failures

    def record(self, entry: LedgerEntry) -> None:
        """Record one attempt."""
        self.record_many([entry])

    def record_many(self, entries: Iterable[LedgerEntry]) -> None:
        """Record attempts in one transaction.

        An entry with a SHA-256 replaces what is known of the file; one without leaves it alone.
        """
        now = dt.datetime.now(dt.timezone.utc)
        rows = [_to_row(entry, now) for entry in entries]
        files = [row for row in rows if row[_SHA256] is not None]
        failures = [row for row in rows if row[_SHA256] is None]
        with self._transaction() as connection:
            connection.executemany(_UPSERT_FILE, files)
            connection.executemany(_UPSERT_ATTEMPT, failures)
            connection.executemany(_INSERT_HISTORY, rows)

    def mark(self, key: str, state: State, message: str | None = None) -> None:
        """Set the state of a key without an attempt at it; what is known of its file stays."""
        self.mark_many([key], state, message)

    def mark_many(self, keys: Sequence[str], state: State, message: str | None = None) -> None:
        """`mark` for several keys in one transaction."""
        now = dt.datetime.now(dt.timezone.utc)
        rows = [_to_row(LedgerEntry.failure(key, state, message, attempts=0), now) for key in keys]
        with self._transaction() as connection:
            connection.executemany(_UPSERT_ATTEMPT, rows)

    def set_mtime(self, key: str, mtime_ns: int) -> None:
        """Note that the good copy, verified again, has another modification time; only where one can."""
        if not self.is_writable:
            return
        with self._transaction() as connection:
            connection.execute("UPDATE files SET mtime_ns = ? WHERE key = ?", [mtime_ns, key])

    def mark_pruned(self, checksums: Mapping[str, str]) -> None:
        """Note that the good copies of these keys, by SHA-256, are removed from disk on purpose.

        What is known of the files stays, so that the bucket can still be compared with it.
        """
        now = dt.datetime.now(dt.timezone.utc).isoformat()
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO pruned (key, sha256, pruned_at) VALUES (?, ?, ?)",
                [(key, sha256, now) for key, sha256 in checksums.items()],
            )

    def unmark_pruned(self, keys: Iterable[str]) -> None:
        """Forget that these were removed on purpose: the next fetch brings them back."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM pruned WHERE key = ?", [(key,) for key in keys])

    def pruned(self, keys: Iterable[str]) -> dict[str, str]:
        """Those of the keys whose copy was removed on purpose, and its SHA-256."""
        wanted = list(keys)
        found: dict[str, str] = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            some = wanted[start : start + _KEYS_PER_QUERY]
            query = f"SELECT key, sha256 FROM pruned WHERE key IN ({', '.join('?' * len(some))})"  # noqa: S608
            with self._lock, _explained(self.path):
                found.update(self._open().connection.execute(query, some).fetchall())
        return found

    def has_other_etags(self, endpoint_url: str, bucket: str) -> bool:
        """Whether it was noted that a store's ETags look like MD5 and are not."""
        query = "SELECT count(*) FROM other_etags WHERE endpoint_url = ? AND bucket = ?"
        with self._lock, _explained(self.path):
            opened = self._open()
            if opened.refusal is not None:
                return False  # read as it is, maybe of a time before that table; nothing is fetched into it
            return bool(opened.connection.execute(query, [endpoint_url, bucket]).fetchone()[0])

    def note_other_etags(self, endpoint_url: str, bucket: str) -> None:
        """Note that a store's ETags look like MD5 and are not."""
        now = dt.datetime.now(dt.timezone.utc).isoformat()
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO other_etags VALUES (?, ?, ?)", [endpoint_url, bucket, now]
            )

    def forget_other_etags(self, endpoint_url: str, bucket: str) -> None:
        """One of the store's ETags was an MD5 after all."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM other_etags WHERE endpoint_url = ? AND bucket = ?", [endpoint_url, bucket]
            )

    def _query(self, query: str, parameters: Sequence[object]) -> list[LedgerEntry]:
        with self._lock, _explained(self.path):
            return [_from_row(row) for row in self._open().connection.execute(query, parameters)]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _explained(self.path):
            connection = self._open_to_write()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _open(self) -> OpenLedger:
        with self._lock:
            # A connection must not be used, nor closed, in a forked child.
            if self._opened is None or self._process_id != os.getpid():
                self._opened = open_ledger(self.path, _SCHEMA)
                self._process_id = os.getpid()
            return self._opened

    def _open_to_write(self) -> sqlite3.Connection:
        opened = self._open()
        if opened.refusal is not None:
            # There may be room by now.
            self.close()
            opened = self._open()
        if opened.refusal is not None:
            raise opened.refusal
        return opened.connection


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        damaged = type(error) is sqlite3.DatabaseError
        if not (damaged or isinstance(error, (sqlite3.OperationalError, OSError))):
            raise  # our own mistake
        raise LedgerFailed(
            "the ledger of downloads cannot be used",
            where=str(path),
            why=f"SQLite: {error}" if isinstance(error, sqlite3.Error) else error.strerror,
            next_step="`flatfiles rebuild` makes it anew from the files on disk; or move it away, "
            "and they are fetched again"
            if damaged
            else "check permissions and free space, and whether another process holds it",
        ) from error


_SHA256 = _COLUMNS.index("sha256")


def _to_row(entry: LedgerEntry, now: dt.datetime) -> tuple[object, ...]:
    entry = dataclasses.replace(entry, attempted_at=entry.attempted_at or now)
    return tuple(_to_sql(getattr(entry, name)) for name in _COLUMNS)


def _to_sql(value: object) -> object:
    return value.astimezone(dt.timezone.utc).isoformat() if isinstance(value, dt.datetime) else value


def _from_row(row: tuple[object, ...]) -> LedgerEntry:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in ("last_modified", "fetched_at", "attempted_at"):
        if isinstance(text := values[name], str):
            values[name] = dt.datetime.fromisoformat(text)
    return LedgerEntry(**values)  # type: ignore[arg-type]

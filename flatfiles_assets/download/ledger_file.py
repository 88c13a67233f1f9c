"""Opening the ledger's SQLite file: to write, or only to read where nothing can be written.

Here: connections, and which of SQLite's refusals mean what. Not here: tables and queries
(`ledger.py`).

A database in WAL mode wants to write even to be read: it makes two files beside itself. On a
read-only mount, in somebody else's folder and on a full disk it is read without them: through the
files of a writer that has it open, or else as it lies on disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import shutil
import sqlite3
import stat
import tempfile
from pathlib import Path
from urllib.parse import quote

import stamina

from flatfiles_assets.download.errors import LedgerFailed
from flatfiles_assets.errors import UNWRITABLE

_BUSY_TIMEOUT_SECONDS = 60.0

_UNWRITABLE_WORDS = re.compile(
    "readonly database|unable to open database file|disk is full|disk I/O error", re.IGNORECASE
)


#: What the ledger's tables are and mean; written into the file.
LEDGER_VERSION = 1


@dataclasses.dataclass(frozen=True)
class OpenLedger:
    """A connection, and why it only reads; None where it writes."""

    connection: sqlite3.Connection
    refusal: Exception | None = None


def open_ledger(path: Path, schema: str) -> OpenLedger:
    """A connection to the ledger, made with its folder and tables where it is not there yet.

    Where it cannot be written it can still be read; where there is none, it is empty.

    Raises:
        LedgerFailed: A newer version of this package made it, or it is no file.
        sqlite3.Error, OSError: It can be neither written nor read.
    """
    _check_kind(path)
    try:
        return OpenLedger(_writable(path, schema))
    except (sqlite3.OperationalError, OSError) as error:
        if not is_unwritable(error):
            raise
        connection = _readable(path) if path.exists() else _empty(schema)
        _check_version(connection, path)
        connection.execute("PRAGMA query_only = ON")
        return OpenLedger(connection, error)


def _check_kind(path: Path) -> None:
    """SQLite would wait for whoever writes into a pipe, and a link that leads nowhere is no empty ledger."""
    try:
        why = None if stat.S_ISREG(path.stat().st_mode) else "it is no regular file"
    except FileNotFoundError:
        why = "it is a link that leads nowhere" if path.is_symlink() else None
    except OSError as error:
        why = "it is a link that leads in a circle" if error.errno == errno.ELOOP else None
    if why:
        raise LedgerFailed(
            "the ledger of downloads cannot be used",
            where=str(path),
            why=why,
            next_step="move it away; `flatfiles rebuild` makes it anew from the files on disk",
        )


def is_unwritable(error: Exception) -> bool:
    """Whether an error says that the place cannot be written, which keeps nobody from reading it."""
    if isinstance(error, OSError):
        return error.errno in UNWRITABLE
    return bool(_UNWRITABLE_WORDS.search(str(error)))


def is_full(error: BaseException | None) -> bool:
    """Whether an error says that there is no room, in SQLite's words for its own files, too."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, sqlite3.OperationalError) and bool(
        re.search("disk is full|disk I/O error|unable to open", str(error))
    )


def _is_momentary(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


# Two processes that switch a new database to WAL at once: SQLite refuses one without waiting.
@stamina.retry(on=_is_momentary, attempts=30, timeout=30, wait_initial=0.01, wait_jitter=0.05)
def _writable(path: Path, schema: str) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not os.access(path, os.W_OK):
        # SQLite would open it all the same, and refuse the first change.
        raise PermissionError(errno.EACCES, "readonly database", str(path))
    connection = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Without a sync for each commit a power cut may cost the last ones: their files are then
        # found without an entry and fetched again.
        connection.execute("PRAGMA synchronous = NORMAL")
        _check_version(connection, path)
        connection.executescript(schema)
        if _version(connection) != LEDGER_VERSION:
            # Earlier ledgers have no version; what they lack, the schema adds.
            connection.execute(f"PRAGMA user_version = {LEDGER_VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    if (version := _version(connection)) > LEDGER_VERSION:
        raise LedgerFailed(
            "the ledger of downloads was made by a newer version of this package",
            where=str(path),
            why=f"its version is {version}; this package knows {LEDGER_VERSION}",
            next_step="install that version, or a later one",
        )


def _readable(path: Path) -> sqlite3.Connection:
    with contextlib.suppress(sqlite3.OperationalError):
        return _checked(_uri(path, "mode=ro"))
    wal = path.with_name(f"{path.name}-wal")
    if not wal.exists() or not wal.stat().st_size:
        return _checked(_uri(path, "immutable=1"))
    # A killed writer left commits in its log, which only an ordinary connection reads.
    with tempfile.TemporaryDirectory(prefix="flatfiles-ledger-") as folder:
        for each in (path, wal):
            shutil.copyfile(each, Path(folder) / each.name)
        with contextlib.closing(_checked(str(Path(folder) / path.name))) as copied:
            return _in_memory(copied)


def _checked(database: str) -> sqlite3.Connection:
    """A connection that has read something: SQLite opens the file at the first query."""
    connection = sqlite3.connect(
        database,
        uri=database.startswith("file:"),
        timeout=_BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _in_memory(source: sqlite3.Connection) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    source.backup(connection)
    return connection


def _empty(schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(schema)
    return connection


def read_only_uri(path: Path) -> str:
    """What opens a database to read it, and makes none where there is none."""
    return _uri(path, "mode=ro")


def _uri(path: Path, options: str) -> str:
    return f"file:{quote(str(path.absolute()))}?{options}"

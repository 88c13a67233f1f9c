"""One daemon per home: a second would run every sensor and backfill once more.

Here: the locks, each held by the process that it stands for, so that it is free when that process
is gone, whatever ended it: the daemon, and the UI that starts one. A UI that was killed can leave its
daemon at work. Not here: starting them (`cli/ui_server.py`, `cli/daemon.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import getpid
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock, Timeout

from flatfiles_assets.errors import FlatFilesError

Role = Literal["daemon", "ui"]


class DaemonRuns(FlatFilesError):
    """A daemon is at work on this Dagster home already."""


@contextmanager
def only_one(home: Path, role: Role) -> Iterator[None]:
    """Be the daemon or the UI of a home, for as long as the body runs.

    Raises:
        DaemonRuns: Another process is; the message names it.
    """
    lock, holder = FileLock(home / f"{role}.lock"), home / f"{role}.pid"
    try:
        lock.acquire(blocking=False)
    except Timeout:
        pid = holder.read_text(encoding="utf-8").strip() if holder.exists() else ""
        raise DaemonRuns(
            "a daemon runs on this Dagster home already",
            where=str(home),
            why=f"process {pid} holds it" if pid else "another process holds it",
            next_step="use its UI, or stop it first; another FLATFILES_DATA_DIR has a home of its own",
        ) from None
    try:
        holder.write_text(str(getpid()), encoding="utf-8")
        yield
    finally:
        lock.release()


def refuse_second_daemon(home: Path) -> None:
    """See that no daemon runs on a home yet, nor a UI that is about to start one.

    Raises:
        DaemonRuns: One does.
    """
    for role in get_args(Role):
        with only_one(home, role):
            pass

"""Which runs are alive: a lock per run, held by the process that executes it.

Here: the locks and what is done about runs whose process died. A worker that is killed says
nothing: its run stays "started" forever and keeps its pool slots, so the next writer would wait
for good. Dagster's default launcher cannot see it either. The kernel can: it drops the lock of a
dead process, whatever killed it. Before a run begins there is no lock yet: then it is dead if the
process that it names is gone, or the code server that was to make one.

Not here: where events are stored (`event_log`), waiting for a slot (`pool_slots`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import socket
from pathlib import Path

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from filelock import FileLock, Timeout

from flatfiles_assets.defs.dagster_internals.run_tags import GRPC_INFO_TAG
from flatfiles_assets.escaping import printable
from flatfiles_assets.living import process_lives

_PID = re.compile(r"\(pid: (\d+)\)")
_PROCESS_TAG = "flatfiles/process"
_UNENDED = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
_SECONDS_TO_ANSWER = 2.0


class RunLocks:
    """The locks of the runs that this process executes.

    Args:
        directory: Where the lock files are, one per run.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[str, FileLock] = {}

    def _path(self, run_id: str) -> Path:
        return self._directory / f"{run_id}.alive"

    def hold(self, run_id: str) -> None:
        """Declare that this process executes the run, until `release` or the end of the process."""
        if run_id not in self._held:
            # Events of one run may come from several threads: the lock belongs to the process.
            lock = FileLock(self._path(run_id), thread_local=False)
            lock.acquire(blocking=True)
            self._held[run_id] = lock

    def release(self, run_id: str) -> None:
        """Declare the run over; nothing happens if this process does not hold it."""
        lock = self._held.pop(run_id, None)
        if lock is not None:
            lock.release()
            self._path(run_id).unlink(missing_ok=True)

    def release_all(self) -> None:
        """Let go of every run of this process; the files of these, which have not ended, stay as evidence."""
        for lock in self._held.values():
            lock.release()
        self._held.clear()

    def knows(self, run_id: str) -> bool:
        """Whether there is evidence of a run: its lock, held or not."""
        return run_id in self._held or self._path(run_id).exists()

    def is_dead(self, run_id: str) -> bool:
        """Whether a process once held the run and holds it no longer.

        A run that nobody ever held (executed on an instance without these locks) is not called dead.
        """
        path = self._path(run_id)
        if run_id in self._held or not path.exists():
            return False
        lock = FileLock(path, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        lock.release()
        return True

    def forget(self, run_id: str) -> None:
        """Remove the lock file of a dead run."""
        self._path(run_id).unlink(missing_ok=True)


def fail_dead_runs(instance: DagsterInstance) -> list[str]:
    """Mark runs as failed whose process is gone, and free the pool slots that they held.

    Args:
        instance: An instance with the shipped event log; on any other, nothing is done.

    Returns:
        The ids of the runs that were marked.
    """
    locks = getattr(instance.event_log_storage, "run_locks", None)
    if not isinstance(locks, RunLocks):
        return []
    dead = [
        run
        for run in instance.get_runs(filters=RunsFilter(statuses=_UNENDED))
        if is_dead(instance, locks, run)
    ]
    for run in dead:
        bury(instance, locks, run)
    return [run.run_id for run in dead]


def of_this_process(run_id: str) -> dict[str, str]:
    """The tag of a run that this process executes itself: known before the run begins.

    It names the run, because a re-execution in the UI takes the tags of the first one along.
    """
    return {_PROCESS_TAG: f"{socket.gethostname()} {os.getpid()} {run_id}"}


def is_dead(instance: DagsterInstance, locks: RunLocks, run: DagsterRun) -> bool:
    """Whether a run has not ended and the process that executed it, or was to, is gone.

    A run of which nothing can be known from here, because its processes are on another machine or in
    another container, is not called dead.
    """
    if run.status not in _UNENDED:
        return False
    if locks.knows(run.run_id):
        return locks.is_dead(run.run_id)
    host, pid, of_run = [*run.tags.get(_PROCESS_TAG, "").split(" "), "", ""][:3]
    if of_run == run.run_id:
        return host == socket.gethostname() and not process_lives(int(pid))
    server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
    if not _is_here(server):
        return False
    pids = _pids(instance, run.run_id)
    if pids:
        return not any(map(process_lives, pids))
    return run.status == DagsterRunStatus.STARTING and bool(server) and not _answers(server)


def bury(instance: DagsterInstance, locks: RunLocks, run: DagsterRun) -> None:
    """Mark a dead run as failed, saying how far it came, and free the pool slots that it held."""
    instance.report_run_failed(
        run,
        f"The process of this run is gone: it was killed or crashed{_last_words(instance, run)}. "
        "What it had recorded stays; the rest can be asked for again.",
    )
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    locks.forget(run.run_id)


def _last_words(instance: DagsterInstance, run: DagsterRun) -> str:
    records = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    if not records:
        return " before it recorded anything"
    entry = records[0].event_log_entry
    at = dt.datetime.fromtimestamp(entry.timestamp, dt.timezone.utc)
    return f"; its last record, of {at:%Y-%m-%d %H:%M:%S} UTC, is: {printable(entry.message).rstrip('.')}"


def _pids(instance: DagsterInstance, run_id: str) -> list[int]:
    """The processes that a run without a lock says it is executed by."""
    events = instance.get_records_for_run(run_id, of_type=DagsterEventType.ENGINE_EVENT).records
    return [int(found[1]) for each in events if (found := _PID.search(each.event_log_entry.message))]


def _is_here(server: dict[str, str | int]) -> bool:
    """Whether the code server that launched a run is a process beside this one."""
    return not server or "socket" in server or str(server.get("host")) in ("localhost", "127.0.0.1", "::1")


def _answers(server: dict[str, str | int]) -> bool:
    """Whether a code server of this machine can still be reached; True where only time ran out."""
    with contextlib.closing(
        socket.socket(socket.AF_UNIX if "socket" in server else socket.AF_INET)
    ) as connection:
        connection.settimeout(_SECONDS_TO_ANSWER)
        try:
            if "socket" in server:
                connection.connect(str(server["socket"]))
            else:
                connection.connect(("127.0.0.1", int(server.get("port", 0))))
        except TimeoutError:
            return True
        except OSError:
            return False
    return True

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
import functools
import json
import os
import re
import socket
from pathlib import Path

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, EventLogEntry, RunsFilter
from filelock import FileLock, Timeout

from flatfiles_assets.defs.dagster_internals.run_tags import GRPC_INFO_TAG
from flatfiles_assets.defs.range_requests import tagged_range
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
# Whoever noted such a run notes it again: a tick that did not end, a backfill that goes on.
_ASKED_AGAIN_TAGS = ("dagster/sensor_name", "dagster/schedule_name", "dagster/backfill")
_NO_LONGER_NOTED = (DagsterEventType.RUN_ENQUEUED, DagsterEventType.RUN_STARTING, DagsterEventType.RUN_START)
_GONE = "The process of this run"
_STEP_EVENTS = {
    DagsterEventType.STEP_START,
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_SKIPPED,
}


class RunLocks:
    """The locks of the runs that this process executes.

    Args:
        directory: Where the lock files are, one per run.
        ending: How their names end.
    """

    def __init__(self, directory: Path, ending: str = "alive") -> None:
        self._directory = directory
        self._ending = ending
        self._held: dict[str, FileLock] = {}

    @functools.cached_property
    def noted(self) -> RunLocks:
        """Locks of the same kind for runs that were noted by a process and not queued by it yet."""
        return RunLocks(self._directory, "noted")

    def before(self, event: EventLogEntry) -> None:
        """Take the locks that an event of this process calls for, before it is stored."""
        kind = event.dagster_event_type
        if kind == DagsterEventType.RUN_START or _begins_here(event):
            self.hold(event.run_id)
        elif kind == DagsterEventType.ASSET_MATERIALIZATION_PLANNED and not self.knows(event.run_id):
            self.noted.hold(event.run_id)

    def after(self, event: EventLogEntry, *, ends: bool) -> None:
        """Give back the locks that an event leaves without a use, once it is stored.

        Args:
            event: The event.
            ends: Whether it is the run's end.
        """
        if ends or event.dagster_event_type in _NO_LONGER_NOTED:
            self.noted.release(event.run_id)
        if ends:
            self.release(event.run_id)

    def _path(self, run_id: str) -> Path:
        return self._directory / f"{run_id}.{self._ending}"

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
        if "noted" in self.__dict__:
            self.noted.release_all()

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


def _begins_here(event: EventLogEntry) -> bool:
    """Whether a run says that this process is its own; minutes can pass until its start on a busy machine."""
    said = f"Started process for run (pid: {os.getpid()})"
    if event.dagster_event_type != DagsterEventType.ENGINE_EVENT:
        return False
    return (event.get_dagster_event().message or "").startswith(said)


def fail_dead_runs(instance: DagsterInstance) -> list[str]:
    """Mark runs as failed whose process is gone, and free the pool slots that they held.

    Args:
        instance: An instance with the shipped event log; on any other, nothing is done.

    Returns:
        The ids of the runs that were marked, or taken back.
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
    if run.status == DagsterRunStatus.NOT_STARTED and locks.noted.is_dead(run.run_id):
        # Meanwhile it may have been queued.
        current = instance.get_run_by_id(run.run_id)
        return current is not None and current.status == run.status
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
    """Mark a dead run as failed, saying how far it came, and free the pool slots that it held.

    A run that was noted and never queued is taken back instead where who noted it asks again: as a failed
    one it would count as asked for, and a run key is launched once.
    """
    if run.status == DagsterRunStatus.NOT_STARTED and any(tag in run.tags for tag in _ASKED_AGAIN_TAGS):
        instance.delete_run(run.run_id)
    else:
        instance.report_run_failed(run, obituary(instance, run))
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    locks.forget(run.run_id)
    locks.noted.forget(run.run_id)


def obituary(instance: DagsterInstance, run: DagsterRun) -> str:
    """What happened to a run whose process is gone: which process, and in the middle of what."""
    named = f" ({pids[-1]})" if (pids := _pids(instance, run.run_id)) else ""
    span = tagged_range(run.tags)
    sessions = f", {' to '.join(dict.fromkeys(span))}" if span else ""
    return (
        f"{_GONE}{named} is gone: it was killed or crashed {_at_work_on(instance, run)}"
        f"{sessions}{_last_words(instance, run)}. "
        "What it had recorded stays; the rest can be asked for again. "
        "If nobody ended it, see the system's log: memory may have run out."
    )


def is_obituary(message: str) -> bool:
    """Whether a failed run's message is of a process that is gone."""
    return message.startswith(_GONE)


def _at_work_on(instance: DagsterInstance, run: DagsterRun) -> str:
    if run.status in (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING):
        return "before it began"
    at_work: dict[str, None] = {}
    for event in instance.all_logs(run.run_id, of_type=_STEP_EVENTS):
        if event.dagster_event_type == DagsterEventType.STEP_START:
            at_work[event.step_key or ""] = None
        else:
            at_work.pop(event.step_key or "", None)
    if not at_work:
        return "between two steps"
    return "while at work on " + ", ".join(step.replace("__", "/") for step in at_work)


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

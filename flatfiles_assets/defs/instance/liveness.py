"""Which runs are alive: a lock per run, held by the process that executes it.

Here: the locks and what is done about runs whose process died. A worker that is killed says
nothing: its run stays "started" forever and keeps its pool slots, so the next writer would wait
for good. Dagster's default launcher cannot see it either. The kernel can: it drops the lock of a
dead process, whatever killed it. Not here: where events are stored (`event_log`), waiting for a
slot (`pool_slots`).
"""

from __future__ import annotations

import re
from pathlib import Path

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from filelock import FileLock, Timeout

from flatfiles_assets.living import process_lives

_PID = re.compile(r"\(pid: (\d+)\)")
_HELD_WHILE = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


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
        for run in instance.get_runs(filters=RunsFilter(statuses=_HELD_WHILE))
        if is_dead(instance, locks, run)
    ]
    for run in dead:
        bury(instance, locks, run)
    return [run.run_id for run in dead]


def is_dead(instance: DagsterInstance, locks: RunLocks, run: DagsterRun) -> bool:
    """Whether a run has not ended and the process that executed it is gone."""
    if run.status not in _HELD_WHILE:
        return False
    return locks.is_dead(run.run_id) if locks.knows(run.run_id) else _process_is_gone(instance, run.run_id)


def bury(instance: DagsterInstance, locks: RunLocks, run: DagsterRun) -> None:
    """Mark a dead run as failed and free the pool slots that it held."""
    instance.report_run_failed(run, "The process that executed this run is gone (killed or crashed).")
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    locks.forget(run.run_id)


def _process_is_gone(instance: DagsterInstance, run_id: str) -> bool:
    """Of a run without a lock: whether it says which process executes it, and there is no such one."""
    events = instance.get_records_for_run(run_id, of_type=DagsterEventType.ENGINE_EVENT).records
    pids = [int(found[1]) for each in events if (found := _PID.search(each.event_log_entry.message))]
    return bool(pids) and not any(map(process_lives, pids))

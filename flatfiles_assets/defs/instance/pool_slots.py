"""Waiting for a slot of a pool, with an eye on who holds it.

Here: what a run does while it may not begin a step. Dagster's own loop waits for ever, says nothing
and hears no signal; a slot whose run died before it could give it back would never be free again.
Not here: which runs are dead (`liveness`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from dagster import DagsterInstance

from flatfiles_assets.defs.dagster_internals.event_log import ConcurrencyClaimStatus
from flatfiles_assets.defs.dagster_internals.interrupts import raise_execution_interrupts
from flatfiles_assets.defs.instance.liveness import RunLocks, bury, is_dead

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_ATTEMPTS = 1.0
_SECONDS_BETWEEN_MESSAGES = 60.0


class PoolQueue:
    """The runs of this process that wait for slots.

    Args:
        locks: Which runs are alive.
    """

    def __init__(self, locks: RunLocks) -> None:
        self._locks = locks
        self._said: dict[tuple[str, str], tuple[str, float]] = {}

    def claim(
        self,
        attempt: Callable[[], ConcurrencyClaimStatus],
        instance: DagsterInstance,
        pool: str,
        run_id: str,
    ) -> ConcurrencyClaimStatus:
        """Try to get a slot; where it cannot be had now, wait a little and have Dagster ask again.

        Args:
            attempt: Dagster's own claim.
            instance: Where the holders' runs are.
            pool: Its name.
            run_id: The run that asks.

        Raises:
            DagsterExecutionInterruptedError: The process was told to end meanwhile.
        """
        status = attempt()
        if not status.is_claimed and self._free_abandoned(instance, pool, run_id):
            status = attempt()
        if status.is_claimed:
            self._said.pop((pool, run_id), None)
            return status
        self._say(instance, pool, run_id)
        with raise_execution_interrupts():
            time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        waiting: ConcurrencyClaimStatus = status.with_sleep_interval(0.0)
        return waiting

    def _free_abandoned(self, instance: DagsterInstance, pool: str, run_id: str) -> bool:
        """Free the slots of runs that ended or have no living process; whether there were any."""
        freed = False
        for holder in _holders(instance, pool) - {run_id}:
            run = instance.get_run_by_id(holder)
            if run is not None and is_dead(instance, self._locks, run):
                _log.warning("run %s, which held the pool %s, has no living process", holder[:8], pool)
                bury(instance, self._locks, run)
            elif run is None or run.is_finished:
                instance.event_log_storage.free_concurrency_slots_for_run(holder)
            else:
                continue
            freed = True
        return freed

    def _say(self, instance: DagsterInstance, pool: str, run_id: str) -> None:
        names = []
        for holder in sorted(_holders(instance, pool) - {run_id}):
            run = instance.get_run_by_id(holder)
            names.append(f"run {holder[:8]}" + (f" of {run.job_name}" if run else ""))
        message = f"waiting for the pool {pool}: held by {', '.join(names) or 'nobody yet'}"
        said, at = self._said.get((pool, run_id), ("", 0.0))
        if message != said or time.monotonic() - at > _SECONDS_BETWEEN_MESSAGES:
            self._said[pool, run_id] = message, time.monotonic()
            _log.warning("%s", message)


def _holders(instance: DagsterInstance, pool: str) -> set[str]:
    """The runs that have a slot, or have been given one and did not take it yet."""
    info = instance.event_log_storage.get_concurrency_info(pool)
    assigned = {step.run_id for step in info.pending_steps if step.assigned_timestamp is not None}
    return {slot.run_id for slot in info.claimed_slots} | assigned

"""Dagster's launcher of runs, with an eye on what it launched.

Here: that a run whose process died is marked soon, also when the code server that would have told died with
it. Not here: how a dead run is known, and what is done about it (`liveness`).
"""

from __future__ import annotations

import logging
import threading

from dagster import DagsterInstance, DagsterRun

from flatfiles_assets.defs.dagster_internals.launcher import (
    CheckRunHealthResult,
    DefaultRunLauncher,
    LaunchRunContext,
    WorkerStatus,
)
from flatfiles_assets.defs.instance.liveness import fail_dead_runs

_SECONDS_BETWEEN_LOOKS = 15.0

_log = logging.getLogger(__name__)


class WatchfulRunLauncher(DefaultRunLauncher):
    """`DefaultRunLauncher` that watches; named in `dagster.yaml`, not constructed by hand."""

    _watch: threading.Thread | None = None

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run, and watch from the first one on: Dagster's monitoring looks at started ones only."""
        if self._watch is None:
            self._over = threading.Event()
            self._watch = threading.Thread(target=self._look, args=(self._instance,), daemon=True)
            self._watch.start()
        super().launch_run(context)

    def _look(self, instance: DagsterInstance) -> None:
        while not self._over.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                fail_dead_runs(instance)
            except Exception as error:
                # Whatever keeps one look from its end, the next may not meet.
                _log.warning("could not look for runs whose process is gone: %s", error)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether Dagster's monitoring may ask after a started run: it may."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:  # noqa: ARG002
        """Mark dead runs, this one among them, with a message that says what happened."""
        fail_dead_runs(self._instance)
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def dispose(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._over.set()
        super().dispose()

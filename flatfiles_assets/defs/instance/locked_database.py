"""Waiting for a SQLite database of Dagster's that another process has locked.

Here: attempts at a statement until the lock is gone. SQLite's own waiting is deaf to signals until
it ends, and Dagster's limit for it is half a minute. Not here: what is stored (`event_log`).
"""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import Any

import sqlalchemy
from dagster import DagsterExecutionInterruptedError

from flatfiles_assets.defs.dagster_internals.interrupts import pop_captured_interrupt
from flatfiles_assets.settings import load_settings

_log = logging.getLogger(__name__)

#: How long SQLite waits by itself.
SECONDS_BETWEEN_ATTEMPTS = 1.0


def wait_while_locked(engine: sqlalchemy.Engine) -> None:
    """Have statements of an engine that meet a lock tried again, up to the limit in the settings."""

    @sqlalchemy.event.listens_for(engine, "do_execute")
    def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:  # noqa: ARG001
        _until_unlocked(engine, cursor.execute, statement, parameters)
        return True

    @sqlalchemy.event.listens_for(engine, "do_executemany")
    def execute_many(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:  # noqa: ARG001
        _until_unlocked(engine, cursor.executemany, statement, parameters)
        return True


def _until_unlocked(engine: sqlalchemy.Engine, execute: Any, statement: str, parameters: Any) -> None:
    started, said = time.monotonic(), False
    while True:
        try:
            execute(statement, parameters)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            if pop_captured_interrupt():
                raise DagsterExecutionInterruptedError from error
            if time.monotonic() - started >= load_settings().lock_timeout_seconds:
                raise
        if not said:
            _log.warning("waiting for %s, which another process has locked", engine.url.database)
            said = True

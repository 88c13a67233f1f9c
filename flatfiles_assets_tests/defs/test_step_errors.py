"""What leaves an asset, a sensor or a schedule is an error of ours, and the outermost is what people see."""

from __future__ import annotations

import errno
import inspect
import os
import sqlite3
from collections.abc import Callable
from typing import Any

import dagster as dg
import duckdb
import pytest
import sqlalchemy.exc

from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.step_errors import door, shown_message
from flatfiles_assets.errors import FlatFilesError, InvalidArgument
from flatfiles_assets.unexpected import Unexpected
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests.platform import Platform

pytestmark = pytest.mark.slow

FAULTS: tuple[Callable[[], Exception], ...] = (
    lambda: OSError(errno.ENOSPC, "No space left on device", "a/file"),
    lambda: duckdb.IOException("IO Error: Could not write"),
    lambda: sqlite3.DatabaseError("database disk image is malformed"),
    lambda: sqlalchemy.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("disk is full")),
    lambda: KeyError("ContentLength"),
    lambda: RecursionError("maximum recursion depth exceeded"),
)


def _failed(function: Callable[[], Any]) -> dg.ExecuteInProcessResult:
    return dg.materialize([dg.asset(name="broken")(function)], raise_on_error=False)


def _shown(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    return shown_message(failed.step_failure_data.error)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault()).__name__)
@pytest.mark.parametrize("kind", ["function", "generator"])
def test_a_step_fails_with_one_message_of_ours(fault: Callable[[], Exception], kind: str):
    @door
    def returning() -> None:
        raise fault()

    @door
    def generating():
        yield dg.Output(None) if os.environ.get("NEVER") else None
        raise fault()

    @door
    def generating_at_once():
        raise fault()
        yield dg.Output(None)

    assert inspect.isgeneratorfunction(generating)
    said = _shown(_failed(returning if kind == "function" else generating_at_once))
    assert "Next: " in said
    assert "Traceback" not in said
    assert not said.startswith("flatfiles_assets."), "the class is of no use to people"


def test_the_outermost_of_ours_is_shown_and_without_ours_the_root():
    def ours() -> None:
        try:
            try:
                raise duckdb.IOException("IO Error: low down")
            except duckdb.Error as error:
                raise InvalidArgument("the call was refused") from error
        except FlatFilesError as error:
            raise Unexpected("what was asked for cannot be done", next_step="try \x1b[31m it") from error

    def theirs() -> None:
        try:
            raise ValueError("the root")
        except ValueError as error:
            raise RuntimeError("around it") from error

    assert _shown(_failed(ours)) == r"what was asked for cannot be done. Next: try \x1b[31m it."
    assert _shown(_failed(theirs)) == "ValueError: the root"
    assert shown_message(None) == ""


def test_dagsters_own_errors_pass():
    @door
    def failing() -> None:
        raise dg.Failure("as it was said", metadata={"n": 1})

    (failed,) = [event for event in _failed(failing).all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data.description == "as it was said"


def test_everything_that_dagster_calls_has_the_door():
    defs = build_defs()
    functions = {
        op.name: op.compute_fn.decorated_fn
        for job in defs.resolve_all_job_defs()
        for op in job.all_node_defs
        if hasattr(getattr(op, "compute_fn", None), "decorated_fn")
    }
    assert len(functions) > 15
    assert [name for name, function in functions.items() if not hasattr(function, "__wrapped__")] == []


def test_what_a_disk_refuses_in_the_middle_of_a_run_is_said_in_one_line_and_the_rest_is_recorded(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    days = platform.put_range("2024-01-02", "2024-01-04")
    platform.run(days[:1])

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Warehouse, "writer", full)
        (run,) = platform.run(days[1:])
    assert not run.succeeded
    assert "No space left on device" in run.message
    assert "Next: " in run.message
    assert "Traceback" not in run.message
    (again,) = platform.run(days[1:])
    assert again.succeeded, again.message

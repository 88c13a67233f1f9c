"""Whatever a disk or a client raises in the middle of work, what leaves is an error of ours, and no secret.

Here: backfills, ticks of the sensors, the report of a failed run, held readers. Not here: what only reads
(`test_doors.py`).
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import botocore.client
import dagster as dg
import duckdb
import obstore
import pytest
from click.testing import CliRunner

from flatfiles_assets.cli import main
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.sensors.failures import build_failure_sensor
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets_tests.defs.platform_operator import Operator
from flatfiles_assets_tests.platform import Platform
from flatfiles_assets_tests.test_doors import CALLS, FAULTS

pytestmark = pytest.mark.slow

SECRET = "do-not-show-this-secret"
# All pairs are tried with as many as there are of them: 425.
TRIALS = int(os.environ.get("FLATFILES_DOOR_TRIALS", "6"))
DAYS = ("2024-01-02", "2024-01-03")

# Of each of our clients the calls through which everything goes; an answer of obstore is awaited.
CLIENT_CALLS: tuple[tuple[Any, str], ...] = (
    (obstore, "get_async"),
    (obstore, "head_async"),
    (obstore, "list_with_delimiter_async"),
    (botocore.client.BaseClient, "_make_api_call"),
)
ALL_CALLS = (*CALLS, *CLIENT_CALLS)
ALL_FAULTS = (*FAULTS, lambda: RuntimeError(f"sent with {SECRET}"))


@pytest.fixture
def loaded(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("FLATFILES_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("FLATFILES_LOCK_TIMEOUT_SECONDS", "1")
    monkeypatch.setenv("FLATFILES_MAX_RETRIES", "0")
    for day in DAYS:
        platform.put(day)
    (run,) = platform.run(DAYS[:1])
    assert run.succeeded
    return platform


@pytest.fixture
def fail(loaded: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Has one kind of call, about the data directory or to the store, raise from some call on."""
    data_dir = str(loaded.data_dir)
    patches = pytest.MonkeyPatch()

    def begin(module: Any, name: str, fault: Callable[[], BaseException], after: int) -> None:
        original, count = getattr(module, name), itertools.count()
        always = (module, name) in CLIENT_CALLS or module is duckdb

        def failing(*arguments: Any, **options: Any) -> Any:
            concerned = always or (arguments and data_dir in str(arguments[0]))
            if concerned and next(count) >= after:
                raise fault()
            return original(*arguments, **options)

        patches.setattr(module, name, failing)

    yield begin
    patches.undo()


def _trials(count: int, offset: int) -> list[Any]:
    """So many of all combinations, in which every call and every fault has its turn."""
    # 17 calls and 25 faults have no common divisor: one step in each goes through all pairs.
    return [
        pytest.param(
            *ALL_CALLS[number % len(ALL_CALLS)],
            ALL_FAULTS[number % len(ALL_FAULTS)],
            number % 4 * 2,
            id=f"{ALL_CALLS[number % len(ALL_CALLS)][1]}-{number % len(ALL_FAULTS)}",
        )
        for number in range(offset, offset + count)
    ]


def _check(error: BaseException | None) -> None:
    """Of ours, or Dagster's own; a message without secrets and without what a terminal obeys."""
    is_dagsters = type(error).__module__.partition(".")[0] == "dagster"
    assert error is None or isinstance(error, FlatFilesError) or is_dagsters, repr(error)
    assert SECRET not in str(error)
    assert "\x1b" not in str(error)


@pytest.mark.parametrize(("module", "name", "fault", "after"), _trials(TRIALS, 0))
@pytest.mark.parametrize(
    "command", [("backfill", "stocks_daily", "--start", DAYS[0], "--all"), ("run", "daily_prices")]
)
def test_a_command_that_works_shows_one_message_whatever_fails(fail, command, module, name, fault, after):
    end = ("--end", DAYS[1]) if command[0] == "backfill" else ("--start", DAYS[0])
    fail(module, name, fault, after)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(main, [*command, *end])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (0, 1)
    for forbidden in ("Traceback", SECRET, "\x1b"):
        assert forbidden not in result.output


@pytest.mark.parametrize(("module", "name", "fault", "after"), _trials(TRIALS, 5))
def test_a_tick_and_the_report_of_a_failure_raise_errors_of_ours_only(
    loaded: Platform, fail, module, name, fault, after
):
    from flatfiles_assets.definitions import build_defs

    (failed,) = loaded.run(["2024-01-05"])
    with open_instance(loaded.home) as instance:
        operator = Operator(instance, build_defs())
        run = instance.get_run_by_id(failed.run_id)
        assert run is not None
        event = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)[-1].get_dagster_event()
        sensor = build_failure_sensor()
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name, dagster_instance=instance, dagster_run=run, dagster_event=event
        ).for_run_failure()
        fail(module, name, fault, after)
        for ask in (operator.evaluate, lambda: sensor(context), lambda: _held(loaded)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found = ask()
                except Exception as error:
                    _check(error)
                else:
                    assert SECRET not in str(found)


def _held(platform: Platform) -> None:
    with platform.warehouse.reader(1).held() as reader:
        reader.tables()
        reader.sql("SELECT count(*) FROM market.stocks_daily").fetchall()
        reader.scan("SELECT * FROM market.stocks_daily")


def test_what_is_raised_inside_of_a_held_reader_is_the_callers(loaded: Platform):
    with pytest.raises(KeyError), loaded.warehouse.reader(1).held():
        raise KeyError("mine")

"""Whatever a disk or a client raises, what leaves a door is an error of ours: one message, no traceback."""

from __future__ import annotations

import builtins
import errno
import itertools
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import duckdb
import pytest
import sqlalchemy.exc
import urllib3.exceptions
from click.testing import CliRunner
from obstore import exceptions as obstore_errors

from flatfiles_assets.cli import main
from flatfiles_assets.data_integration import DataIntegration
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.errors import FlatFilesError, InvalidArgument
from flatfiles_assets.settings import load_settings
from flatfiles_assets.unexpected import Unexpected, door, explained, outermost
from flatfiles_assets.warehouse.workspace import open_warehouse
from flatfiles_assets_tests.market_warehouse import market_warehouse

FAULTS: tuple[Callable[[], BaseException], ...] = (
    lambda: OSError(errno.ENOSPC, "No space left on device"),
    lambda: OSError(errno.EIO, "Input/output error", "some/file"),
    lambda: PermissionError(errno.EACCES, "Permission denied"),
    lambda: OSError(errno.EROFS, "Read-only file system"),
    lambda: OSError(errno.ELOOP, "Too many levels of symbolic links"),
    lambda: OSError(errno.ENAMETOOLONG, "File name too long"),
    lambda: OSError(errno.ESTALE, "Stale file handle"),
    lambda: TimeoutError("timed out"),
    lambda: ConnectionResetError("reset"),
    lambda: MemoryError(),
    lambda: RecursionError("maximum recursion depth exceeded"),
    lambda: duckdb.IOException("IO Error: Could not read"),
    lambda: duckdb.InternalException("INTERNAL Error: [/red]"),
    lambda: duckdb.FatalException("FATAL Error: database has been invalidated"),
    lambda: sqlite3.DatabaseError("database disk image is malformed"),
    lambda: sqlalchemy.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("disk is full")),
    lambda: botocore.exceptions.EndpointConnectionError(endpoint_url="http://x"),
    lambda: obstore_errors.GenericError("Generic S3 error"),
    lambda: urllib3.exceptions.ProtocolError("broken"),
    lambda: KeyError("ContentLength"),
    lambda: ValueError("\x1b[31m[/red]"),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    lambda: ZeroDivisionError(),
    lambda: TypeError("unsupported"),
)
CALLS: tuple[tuple[Any, str], ...] = (
    (builtins, "open"),
    (os, "open"),
    (os, "stat"),
    (os, "mkdir"),
    (os, "replace"),
    (os, "rename"),
    (os, "scandir"),
    (os, "utime"),
    (os, "unlink"),
    (duckdb, "connect"),
    (sqlite3, "connect"),
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doors")
    market_warehouse(
        folder / "warehouse" / "warehouse.duckdb", SyntheticMarket(8), "2024-01-02", "2024-01-12"
    )
    return folder


@pytest.fixture
def fail(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Has one kind of call, about anything in the data directory, raise from some call on."""

    def begin(module: Any, name: str, fault: Callable[[], BaseException], after: int) -> None:
        original, count = getattr(module, name), itertools.count()

        def failing(*arguments: Any, **options: Any) -> Any:
            about_data = module in (duckdb, sqlite3) or (arguments and str(data_dir) in str(arguments[0]))
            if about_data and next(count) >= after:
                raise fault()
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, failing)

    yield begin
    monkeypatch.undo()


def _trials() -> list[tuple[Any, str, Callable[[], BaseException], int]]:
    """Every call with some faults and every fault with some calls, early and late."""
    return [
        (*CALLS[place % len(CALLS)], fault, after)
        for place, (fault, after) in enumerate(itertools.product(FAULTS, (0, 1, 3)))
    ]


@pytest.mark.parametrize("trial", range(len(_trials())))
def test_the_researchers_door_raises_errors_of_ours_only(
    fail, data_dir: Path, monkeypatch: pytest.MonkeyPatch, trial: int
):
    monkeypatch.chdir(data_dir)
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(data_dir))
    integration = DataIntegration(settings=load_settings(data_dir=data_dir, api_key=None))
    fail(*_trials()[trial])
    asks: tuple[Callable[[], object], ...] = (
        lambda: integration.load_prices(["AAPL"], "2024-01-02", "2024-01-12", ensure=False),
        lambda: integration.get_data_for_algorithm(
            "momentum", ["AAPL"], "2024-01-02", "2024-01-12", ensure=False
        ),
        lambda: integration.coverage(["AAPL"], "2024-01-02", "2024-01-12"),
        integration.available_symbols,
        lambda: open_warehouse().sql("SELECT 1"),
        lambda: open_warehouse().table("market.stocks_daily"),
        lambda: open_warehouse().tables(),
        lambda: open_warehouse().scan("SELECT * FROM market.stocks_daily"),
    )
    # Some of them with each fault: the faults come in the order of the calls, so all meet all.
    for place in range(3):
        ask = asks[(trial + 3 * place) % len(asks)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            error = _raised_by(ask)
            assert error is None or isinstance(error, FlatFilesError), repr(error)
            assert _fit_to_be_shown(str(error))


COMMANDS = (("status",), ("sql", "SELECT 1"), ("verify",), ("prune", "--older-than", "1"))


# A quarter of all for each command.
@pytest.mark.parametrize(
    ("command", "trial"), [(COMMANDS[trial % len(COMMANDS)], trial) for trial in range(len(_trials()))]
)
def test_the_command_line_shows_one_message_whatever_fails(
    fail, data_dir: Path, monkeypatch: pytest.MonkeyPatch, trial: int, command: tuple[str, ...]
):
    monkeypatch.chdir(data_dir)
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(data_dir))
    monkeypatch.setenv("FLATFILES_LOCK_TIMEOUT_SECONDS", "1")
    fail(*_trials()[trial])
    result = CliRunner().invoke(main, command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1)
    assert "Traceback" not in result.output
    assert _fit_to_be_shown(result.output)
    if result.exit_code == 1:
        assert "error: " in result.stderr or "Next: " in result.stderr


def _raised_by(ask: Callable[[], object]) -> Exception | None:
    try:
        ask()
    except Exception as error:
        return error
    return None


def _fit_to_be_shown(text: str) -> bool:
    return all(character.isprintable() or character in "\n\t" for character in text)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault()).__name__)
def test_anything_becomes_one_message(fault):
    error = explained(fault())
    assert isinstance(error, FlatFilesError)
    assert _fit_to_be_shown(str(error))
    assert "Next: " in str(error)


def test_the_outermost_error_of_ours_is_the_one_that_is_shown():
    low = duckdb.IOException("IO Error: low down")
    inner, outer = InvalidArgument("the call was refused"), Unexpected("what was asked for cannot be done")
    wrapped = RuntimeError("somebody else's wrapping")
    inner.__cause__, outer.__cause__, wrapped.__cause__ = low, inner, outer
    assert explained(wrapped) is outermost(wrapped) is outer
    assert explained(inner) is inner
    assert outermost(ValueError("x")) is None


def test_a_wrong_call_stays_a_wrong_call_and_a_wrong_type_within_does_not():
    @door
    def divide(number: int, by: int) -> float:
        return number / by

    with pytest.raises(TypeError):
        divide(1)
    with pytest.raises(Unexpected, match="TypeError"):
        divide(1, "x")
    with pytest.raises(Unexpected) as caught:
        divide(1, 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_traceback_is_there_for_whoever_asks(monkeypatch: pytest.MonkeyPatch, data_dir: Path):
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(data_dir))
    result = CliRunner().invoke(main, ["--traceback", "sql", "SELECT * FROM nothing"])
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "error: " in result.stderr


def test_cells_and_messages_are_text_on_the_terminal(monkeypatch: pytest.MonkeyPatch, data_dir: Path):
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(data_dir))
    for cell in ("Revenue [restated]", "[/red]", ":smile:", "[link=http://x]y[/link]"):
        result = CliRunner().invoke(main, ["sql", f"SELECT '{cell}' AS \"[b]item\""])
        assert result.exit_code == 0, result.output
        assert cell in result.stdout
        assert "[b]item" in result.stdout
    escaped = CliRunner().invoke(main, ["sql", "SELECT chr(27) || ']0;title' || chr(7) || '[red]' AS x"])
    assert r"\x1b]0;title\x07[red]" in escaped.stdout
    refused = CliRunner().invoke(main, ["sql", 'SELECT * FROM "[/red]\x1b[31m"'])
    assert "[/red]" in refused.stderr
    assert "\x1b" not in refused.stderr

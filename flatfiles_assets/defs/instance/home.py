"""A `DAGSTER_HOME` with the shipped configuration: writing it, opening it, handing it to processes.

Here: `prepare_home`, `open_instance`, `instance_environment`. Not here: starting the web server or
the daemon (the command line).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import string
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import sqlalchemy.exc
from dagster import DagsterInstance
from filelock import FileLock

from flatfiles_assets.defs.instance.event_log import DEFAULT_EVENT_BATCH_SIZE, EVENT_BATCH_SIZE_VARIABLE
from flatfiles_assets.defs.instance.liveness import fail_dead_runs
from flatfiles_assets.defs.keys import DUCKDB_WRITER_POOL
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.whole_files import write_text

"""The pool of every step that writes to the warehouse."""

_POOL_LIMITS = {DUCKDB_WRITER_POOL: 1}


class RecordsFailed(FlatFilesError):
    """Dagster's databases cannot be used: damaged, locked for too long, or no room for them."""


_SIGNATURE = "# Written by flatfiles_assets; edit it and it is yours, never overwritten. sha256: "


def prepare_home(path: str | os.PathLike[str]) -> Path:
    """Make a directory a `DAGSTER_HOME` with the shipped `dagster.yaml`.

    A `dagster.yaml` that this function wrote and nobody edited is brought up to date; any other is
    left as it is, and a home that was used without one goes on without.

    Args:
        path: The directory; created if missing.

    Returns:
        Its absolute path.
    """
    home = Path(path).resolve()
    home.mkdir(parents=True, exist_ok=True)
    config_path = home / "dagster.yaml"
    wanted = _sign(_render(home))
    current = config_path.read_text(encoding="utf-8") if config_path.exists() else None
    if current is None and (home / "history").exists():
        return home
    if current != wanted and (current is None or _is_unedited(current)):
        write_text(config_path, wanted)
    return home


def open_instance(home: str | os.PathLike[str]) -> DagsterInstance:
    """Open the instance of a home directory, preparing it first.

    Pools get their shipped limits unless somebody has set them; runs whose process was killed are
    marked as failed and lose their pool slots. Use it as a context manager, or `dispose` it.

    Args:
        home: The directory, as for `prepare_home`.

    Returns:
        The instance.

    Raises:
        RecordsFailed: Its databases cannot be used.
    """
    with usable_records(Path(home)):
        return _open_instance(prepare_home(home))


@contextlib.contextmanager
def usable_records(home: Path) -> Iterator[None]:
    """Say in one message what keeps Dagster's records from being used.

    Raises:
        RecordsFailed: A database is damaged, locked for too long, or cannot be written.
    """
    try:
        yield
    except (sqlalchemy.exc.DatabaseError, OSError) as error:
        cause = error.orig if isinstance(error, sqlalchemy.exc.DatabaseError) else error
        damaged = type(cause) is sqlite3.DatabaseError or "no such" in str(cause)
        raise RecordsFailed(
            "Dagster's records cannot be used",
            where=str(home),
            why=str(cause),
            next_step="`flatfiles rebuild` makes them anew from the files on disk, without the network; "
            "`flatfiles restore` brings a backup back"
            if damaged
            else "make room and check the folder's permissions, and whether another process holds them; "
            "DAGSTER_HOME names another folder",
        ) from error


def _open_instance(path: Path) -> DagsterInstance:
    # One process after the other: two that make Dagster's databases at once ruin them for good.
    with FileLock(path / ".opening"):
        instance = DagsterInstance.from_config(str(path))
        configured = {limit.name for limit in instance.event_log_storage.get_pool_limits()}
        for pool, limit in _POOL_LIMITS.items():
            if pool not in configured:
                instance.event_log_storage.set_concurrency_slots(pool, limit)
        fail_dead_runs(instance)
    return instance


def instance_environment(home: str | os.PathLike[str]) -> dict[str, str]:
    """The environment variables that make a process use the instance of a home directory.

    Processes started by it inherit them: the daemon's run workers need nothing else. A batch size
    already set in this process's environment is kept.

    Args:
        home: The directory, as for `prepare_home`.

    Returns:
        Names and values, to be merged over `os.environ`.
    """
    batch_size = os.environ.get(EVENT_BATCH_SIZE_VARIABLE, str(DEFAULT_EVENT_BATCH_SIZE))
    return {"DAGSTER_HOME": str(Path(home).resolve()), EVENT_BATCH_SIZE_VARIABLE: batch_size}


def _render(home: Path) -> str:
    template = string.Template(
        resources.files("flatfiles_assets.defs.instance").joinpath("dagster.yaml").read_text(encoding="utf-8")
    )
    # A JSON string is a double-quoted YAML scalar, and the template has the quotes.
    return template.substitute(dagster_home=json.dumps(str(home))[1:-1])


def _sign(body: str) -> str:
    return f"{_SIGNATURE}{hashlib.sha256(body.encode()).hexdigest()}\n{body}"


def _is_unedited(text: str) -> bool:
    first_line, _, body = text.partition("\n")
    return first_line.startswith(_SIGNATURE) and text == _sign(body)

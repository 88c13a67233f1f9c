"""Whatever was raised, as the one error that people are shown.

Here: `explained` for command lines, and `door` for the functions of a door. Not here: failures that a
layer knows and names itself, which is what its own errors are for.

Of a chain the outermost error of ours is shown: it says what was asked for, while the innermost says
only which call the machine refused.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from flatfiles_assets.errors import FlatFilesError

P = ParamSpec("P")
T = TypeVar("T")

_MOST_TEXT = 500


class Unexpected(FlatFilesError):
    """Something failed that no layer foresaw; the cause is kept as ``__cause__``."""


def outermost(error: BaseException) -> FlatFilesError | None:
    """The first error of ours on the way from what was raised to what caused it."""
    return next((found for found in _chain(error) if isinstance(found, FlatFilesError)), None)


def explained(error: BaseException) -> FlatFilesError:
    """The error to show: ours where there is one, else what failed, in our words."""
    ours = outermost(error)
    if ours is not None:
        return ours
    for found in _chain(error):
        for kind, explain in _KINDS:
            if kind(found):
                return explain(found)
    return Unexpected(
        "something failed that was not foreseen",
        why=_said(error),
        next_step="run it again with `flatfiles --traceback …` and report what it prints",
    )


def door(function: Callable[P, T]) -> Callable[P, T]:
    """Let only errors of ours, and those of a wrong call, leave a function that users call."""

    @functools.wraps(function)
    def guarded(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return function(*arguments, **options)
        except FlatFilesError:
            raise
        except Exception as error:
            if isinstance(error, TypeError) and _is_of_the_call(error):
                raise
            raise explained(error) from error

    return guarded


def _is_of_the_call(error: TypeError) -> bool:
    """Whether arguments did not fit, so that nothing of the function was run."""
    trace = error.__traceback__
    return trace is not None and trace.tb_next is None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__


def _said(error: BaseException) -> str:
    """Kind and first line of an error; how long it may be is up to nobody else."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:_MOST_TEXT]}" if lines else type(error).__name__


def _of(*packages: str) -> Callable[[BaseException], bool]:
    # By name: whoever raised it has imported the package, and nobody else needs to.
    return lambda error: any(kind.__module__.partition(".")[0] in packages for kind in type(error).__mro__)


def _records(error: BaseException) -> FlatFilesError:
    original = getattr(error, "orig", None) or error
    return Unexpected(
        "Dagster's records cannot be read or written",
        where="dagster_home in the data directory",
        why=_said(original),
        next_step="check the free space and the permissions there; if a database is damaged, "
        "`flatfiles rebuild` makes the records anew",
    )


def _disk(error: BaseException) -> FlatFilesError:
    assert isinstance(error, OSError)  # noqa: S101  (by `_KINDS`)
    return FlatFilesError(
        "the system refuses a file or folder",
        where=str(error.filename) if error.filename else None,
        why=error.strerror or _said(error),
        next_step="check FLATFILES_DATA_DIR, its permissions and the free space"
        + ("" if error.filename else ", the working directory, and where the output goes"),
    )


def _network(error: BaseException) -> FlatFilesError:
    return Unexpected(
        "the connection failed", why=_said(error), next_step="check the network and the endpoint's address"
    )


def _client(error: BaseException) -> FlatFilesError:
    return Unexpected(
        "the store could not be read", why=_said(error), next_step="check the endpoint and the network"
    )


def _database(error: BaseException) -> FlatFilesError:
    return Unexpected(
        "DuckDB failed",
        why=_said(error),
        next_step="check the free space and memory; `flatfiles verify` says what is damaged",
    )


def _memory(error: BaseException) -> FlatFilesError:
    return Unexpected(
        "the memory is used up", why=_said(error), next_step="ask for less at once, or give it more memory"
    )


def _dagster(error: BaseException) -> FlatFilesError:
    return Unexpected("Dagster refused it", why=_said(error), next_step="see the run in the UI")


def _is_network(error: BaseException) -> bool:
    return isinstance(error, (ConnectionError, TimeoutError)) or type(error).__name__ in (
        "gaierror",
        "herror",
    )


# The first that fits, from the outermost error inwards.
_KINDS: tuple[tuple[Callable[[BaseException], bool], Callable[[BaseException], FlatFilesError]], ...] = (
    (_of("sqlalchemy"), _records),
    (lambda error: isinstance(error, sqlite3.Error), _records),
    (_of("duckdb", "_duckdb"), _database),
    (_of("botocore", "boto3", "obstore", "urllib3"), _client),
    (_is_network, _network),
    (lambda error: isinstance(error, OSError), _disk),
    (lambda error: isinstance(error, MemoryError), _memory),
    (_of("dagster"), _dagster),
)

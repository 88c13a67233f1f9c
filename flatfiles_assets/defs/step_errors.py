"""What people are shown of the error of a step: the outermost of ours, else what lies at its root.

Dagster wraps what an asset raises, and an asset's error may have causes of its own: a message of
DuckDB's, a refused call. Ours in between says what was asked for and what to do.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar, cast

from dagster_shared.error import SerializableErrorInfo

from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.escaping import printable_lines, without_credentials
from flatfiles_assets.unexpected import explained

P = ParamSpec("P")
T = TypeVar("T")

_OURS = "flatfiles_assets."


def shown_message(error: SerializableErrorInfo | None) -> str:
    """The message to show; empty where there is no error."""
    messages = [found.message.strip() for found in _chain(error)]
    if not messages:
        return ""
    ours = next((message for message in messages if message.startswith(_OURS)), None)
    return without_credentials(printable_lines(_without_class(ours) if ours else messages[-1]))


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    while error is not None:
        yield error
        error = error.cause


def _without_class(message: str) -> str:
    """``flatfiles_assets.errors.InvalidArgument: x`` is ``x`` to people."""
    name, separator, said = message.partition(": ")
    return said if separator and " " not in name else message


def door(function: Callable[P, T]) -> Callable[P, T]:
    """Let only errors of ours and Dagster's own leave a function that Dagster calls.

    For assets, sensors and schedules, below their decorator; a generator stays one.
    """
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generating(*arguments: P.args, **options: P.kwargs) -> Iterator[Any]:
            with _explaining():
                yield from cast("Iterator[Any]", function(*arguments, **options))

        return cast("Callable[P, T]", generating)

    @functools.wraps(function)
    def returning(*arguments: P.args, **options: P.kwargs) -> T:
        with _explaining():
            return function(*arguments, **options)

    return returning


@contextlib.contextmanager
def _explaining() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Dagster's own steer it: failures with their metadata, requests for a retry.
        if isinstance(error, FlatFilesError) or type(error).__module__.partition(".")[0] == "dagster":
            raise
        raise explained(error) from error

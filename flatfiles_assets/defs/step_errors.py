"""What people are shown of the error of a step: the outermost of ours, else what lies at its root.

Dagster wraps what an asset raises, and an asset's error may have causes of its own: a message of
DuckDB's, a refused call. Ours in between says what was asked for and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator

from dagster_shared.error import SerializableErrorInfo

from flatfiles_assets.escaping import printable_lines, without_credentials

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

"""How far long work is, told to whoever drew a progress bar for it.

Work calls `advance`; a command that shows a bar wraps the work in `reporting`. Work that nobody
watches calls into nothing, so no layer below the command line knows of bars.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator

_report: contextvars.ContextVar[Callable[[str, int], None] | None] = contextvars.ContextVar(
    "flatfiles_progress", default=None
)


def advance(what: str, count: int = 1) -> None:
    """Say that so many more units of some work are done."""
    report = _report.get()
    if report is not None:
        report(what, count)


@contextlib.contextmanager
def reporting(report: Callable[[str, int], None]) -> Iterator[None]:
    """Have `report(what, count)` called for the work within, in this thread."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)

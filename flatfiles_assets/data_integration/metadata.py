"""What a result says of itself, and how much of it is printed.

Here: `Metadata`, a dict whose repr fits a notebook's cell. Not here: what is in it (`results.py`).
"""

from __future__ import annotations

import datetime as dt
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

_MOST_NAMED = 5
_ENTRY = reprlib.Repr()
_ENTRY.maxstring = _ENTRY.maxother = 300
_ENTRY.maxlevel = 3


class Metadata(dict[str, Any]):
    """A dict that is whole for programs, and prints long entries as a count with first and last."""

    def __repr__(self) -> str:
        return "{" + ",\n ".join(f"{name!r}: {_brief(value)}" for name, value in self.items()) + "}"


def days_in_brief(days: Sequence[object]) -> str:
    """Some ascending days: each where they are few, else the first and the last."""
    if len(days) <= _MOST_NAMED:
        return ", ".join(map(str, days))
    return f"{days[0]} to {days[-1]}"


def _brief(value: Any) -> str:
    if isinstance(value, Mapping) and len(value) > _MOST_NAMED:
        first, *_, last = value.items()
        shown = (f"{_ENTRY.repr(name)}: {_ENTRY.repr(each)}" for name, each in (first, last))
        return f"{{{', …, '.join(shown)}}} ({len(value):,} entries)"
    if isinstance(value, (list, tuple)) and len(value) > _MOST_NAMED:
        ends = (str(end) if isinstance(end, dt.date) else _ENTRY.repr(end) for end in (value[0], value[-1]))
        return f"[{', …, '.join(ends)}] ({len(value):,} entries)"
    return _ENTRY.repr(value)

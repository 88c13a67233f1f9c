"""What a check tells those that come after it, and in which metadata it is written.

A check is given the sessions of its run and those that it keeps in view, less those that an operator
accepted (`scope.py`), and answers with a `Verdict`. Of that, two things outlive the run, and stand in
the metadata of its evaluation:

- ``bad_sessions``: the sessions it found bad. Its next run judges them again: they are kept in view.
- ``held_back_sessions``: those of them that must not spread, or ``"everything"``; only of a failure.
  `automation.py` lets no run downstream read them.

Here: that record, written and read. Not here: thresholds (`verdicts.py`), what an operator is shown and
how bad a failure is for its step (`results.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import cast

import dagster as dg

from flatfiles_assets.defs.checks.verdicts import Verdict

IN_VIEW_KEY = "bad_sessions"
HELD_BACK_KEY = "held_back_sessions"

# More are counted, but not kept in view: such a feed needs its history looked at, not a list.
_MOST_KEPT_IN_VIEW = 500
_EVERYTHING = "everything"


@dataclasses.dataclass(frozen=True)
class HeldBack:
    """What a check keeps from spreading.

    Attributes:
        sessions: The sessions that are not to be trusted.
        everything: Whether that is all of the asset, as where its columns are not the registry's.
    """

    sessions: frozenset[dt.date] = frozenset()
    everything: bool = False


@dataclasses.dataclass(frozen=True)
class Record:
    """What outlives the run of a check.

    Attributes:
        in_view: The sessions to judge again with the next run, in order.
        held_back: What must not spread; None of a check that passed.
    """

    in_view: Sequence[dt.date] = ()
    held_back: HeldBack | None = None


def record_of(verdict: Verdict) -> Record:
    """What is to be remembered of a verdict."""
    in_view = tuple(verdict.bad)[-_MOST_KEPT_IN_VIEW:]
    if verdict.passed:
        return Record(in_view)
    # What drops out of view could never be released again: then everything waits.
    named = verdict.bad and len(verdict.bad) <= _MOST_KEPT_IN_VIEW
    if named or not verdict.serious:
        return Record(in_view, HeldBack(frozenset(verdict.untrusted)))
    return Record(in_view, HeldBack(everything=True))


def write(record: Record) -> dict[str, dg.MetadataValue]:
    """A record as metadata."""
    metadata: dict[str, dg.MetadataValue] = {}
    if record.in_view:
        metadata[IN_VIEW_KEY] = dg.MetadataValue.json([day.isoformat() for day in record.in_view])
    if held_back := record.held_back:
        days = [day.isoformat() for day in sorted(held_back.sessions)]
        metadata[HELD_BACK_KEY] = dg.MetadataValue.json(_EVERYTHING if held_back.everything else days)
    return metadata


def read(evaluation: dg.AssetCheckEvaluation) -> Record:
    """The record in an evaluation; of a failure that has none, the severity says what is held back."""
    days = _json(evaluation, IN_VIEW_KEY)
    in_view = tuple(map(dt.date.fromisoformat, cast("list[str]", days or [])))
    if evaluation.passed:
        return Record(in_view)
    found = _json(evaluation, HELD_BACK_KEY)
    if found is None:
        return Record(in_view, HeldBack(everything=evaluation.severity == dg.AssetCheckSeverity.ERROR))
    if found == _EVERYTHING:
        return Record(in_view, HeldBack(everything=True))
    return Record(in_view, HeldBack(frozenset(map(dt.date.fromisoformat, cast("list[str]", found)))))


def _json(evaluation: dg.AssetCheckEvaluation, key: str) -> object:
    value = evaluation.metadata.get(key)
    return value.value if isinstance(value, dg.JsonMetadataValue) else None

"""How each state of a session looks, the same in every picture.

The colours can be told apart with any common colour blindness (Okabe and Ito's palette), and where
something is wrong a letter says it too.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

from flatfiles_assets.inventory import SessionStatus, State


@dataclasses.dataclass(frozen=True)
class Look:
    """Colour as ``#rrggbb``, a letter for what went wrong, and the words of the legend."""

    colour: str
    letter: str
    label: str


LOOKS: Mapping[State, Look] = {
    "present": Look("#009e73", "", "present"),
    "downloaded": Look("#56b4e9", "", "downloaded, not loaded"),
    "stale": Look("#f0e442", "S", "replaced since it was loaded"),
    "refused": Look("#d55e00", "R", "refused: no row could be accepted"),
    "corrupt": Look("#8c2d04", "C", "corrupt file"),
    "not_entitled": Look("#cc79a7", "E", "not entitled"),
    "not_published": Look("#0072b2", "P", "not published"),
    "failed": Look("#e69f00", "F", "failed"),
    "missing": Look("#dddddd", "", "missing"),
}

#: Colour that a present session is mixed with, the more of its rows are in quarantine.
QUARANTINED = Look("#000000", "", "share of rows in quarantine")


def colour_of(status: SessionStatus) -> str:
    """The colour of a session: its state's, darker the more of its rows were rejected."""
    base, dark = _rgb(LOOKS[status.state].colour), _rgb(QUARANTINED.colour)
    # A tenth of a percent can already be seen, and nothing gets so dark that the state is lost.
    weight = min(status.quarantined_share**0.5, 1.0) * 0.6 if status.quarantined_share > 0 else 0.0
    mixed = (round(a + (b - a) * weight) for a, b in zip(base, dark, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def place(day: dt.date) -> tuple[int, int]:
    """Column (week of the year) and row (day of the week, Monday first) of a day in its year's grid."""
    first = dt.date(day.year, 1, 1)
    return ((day - first).days + first.weekday()) // 7, day.weekday()


def by_year(statuses: Sequence[SessionStatus]) -> dict[int, list[SessionStatus]]:
    """The sessions of each year, latest year first."""
    years: dict[int, list[SessionStatus]] = {}
    for status in statuses:
        years.setdefault(status.session.year, []).append(status)
    return dict(sorted(years.items(), reverse=True))


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))

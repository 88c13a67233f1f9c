"""The states of a session: how each looks, what it means and what to do about it, in one table.

Here: `SESSION_STATES`, from which the terminal, the HTML page, the pictures in Dagster's UI and the
documentation all take theirs. Not here: which state a session is in (`inventory.py`).

The colours can be told apart with any common colour blindness (Okabe and Ito's palette), and where
something is wrong a letter says it too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, get_args

State = Literal[
    "present",
    "downloaded",
    "stale",
    "refused",
    "corrupt",
    "not_entitled",
    "not_published",
    "failed",
    "missing",
]
STATES: tuple[State, ...] = get_args(State)


@dataclasses.dataclass(frozen=True)
class SessionState:
    """One state.

    Attributes:
        mark: One character for the terminal; a letter where something went wrong.
        terminal_colour: Colour of the mark, as rich names it.
        colour: Colour elsewhere, as ``#rrggbb``.
        label: A few words for legends.
        meaning: What it says of the session.
        next_step: What to do; empty where nothing is to be done.
    """

    mark: str
    terminal_colour: str
    colour: str
    label: str
    meaning: str
    next_step: str

    @property
    def letter(self) -> str:
        """The letter for what went wrong; empty where nothing did."""
        return self.mark if self.mark.isalpha() else ""


SESSION_STATES: Mapping[State, SessionState] = {
    "present": SessionState("■", "green", "#009e73", "present", "its rows are in the warehouse", ""),
    "downloaded": SessionState(
        "◧",
        "cyan",
        "#56b4e9",
        "downloaded, not loaded",
        "its file is in the mirror, its rows are not in the warehouse",
        "materialise market/<feed>: flatfiles backfill loads it",
    ),
    "stale": SessionState(
        "S",
        "yellow",
        "#f0e442",
        "replaced since it was loaded",
        "the file was replaced since its rows were loaded",
        "flatfiles backfill loads the new file",
    ),
    "refused": SessionState(
        "R",
        "red",
        "#d55e00",
        "refused: no row could be accepted",
        "not one row could be accepted, e.g. all are misdated",
        "see the reason and market.quarantine; run the backfill again when it has been replaced",
    ),
    "corrupt": SessionState(
        "C",
        "red",
        "#8c2d04",
        "corrupt file",
        "the file is cut short or damaged at the vendor's",
        "the vendor's file is damaged; run the backfill again when it has been replaced",
    ),
    "not_entitled": SessionState(
        "E",
        "magenta",
        "#cc79a7",
        "not entitled",
        "the file is listed, but the store answers 403",
        "the subscription does not cover this date or feed",
    ),
    "not_published": SessionState(
        "P",
        "blue",
        "#0072b2",
        "not published",
        "the store answered 404",
        "the vendor has not published it (yet); run the backfill again later",
    ),
    "failed": SessionState(
        "F",
        "red",
        "#e69f00",
        "failed",
        "the transfer failed after all retries",
        "run the backfill again; see the message",
    ),
    "missing": SessionState(
        "·",
        "bright_black",
        "#dddddd",
        "missing",
        "nobody asked for it yet",
        "flatfiles backfill FEED --start … --end …",
    ),
}

#: Colour that a present session is mixed with, the more of its rows are in quarantine.
QUARANTINED_COLOUR = "#000000"


def states_table() -> str:
    """The states as a table in Markdown, for the documentation."""
    lines = ["| state | mark | meaning | what next |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {state.mark} | {state.meaning} | {state.next_step.replace('<feed>', 'FEED')} |"
        for name, state in SESSION_STATES.items()
    ]
    return "\n".join(lines)

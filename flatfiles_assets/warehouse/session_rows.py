"""What is computed session by session: which sessions go together, and what became of each.

Here: what features and the universe have in common. Not here: computing either (`features.py`,
`universe.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from flatfiles_assets.errors import FlatFilesError

# A year with its look-back is about a gigabyte for the whole market; longer runs go year by year.
_MOST_SESSIONS = 253


class PricesMissing(FlatFilesError):
    """There are no prices of a session, so it has no features."""

    state = "no_prices"


@dataclasses.dataclass(frozen=True)
class SessionFeatures:
    """What became of one session.

    Attributes:
        session: The session's date.
        rows: The session's rows as now stored; None where it failed.
        lookback_missing: Sessions of the look-back without any prices.
        seconds: This session's share of the computation.
        error: Why it failed.
        actions_not_as_recorded: Splits and dividends up to the session, in its look-back or a little
            before, that are not applied as recorded.
        input_state: The number of the warehouse's state that it was made from.
    """

    session: dt.date
    rows: pa.Table | None = None
    lookback_missing: int = 0
    seconds: float = 0.0
    error: FlatFilesError | None = None
    actions_not_as_recorded: int = 0
    input_state: int | None = None


def sessions_at_once(sessions: Sequence[dt.date]) -> Iterator[list[dt.date]]:
    """Runs of sessions, ascending, whose span is at most about a year."""
    longest = dt.timedelta(days=_MOST_SESSIONS * 365 // 252)
    part: list[dt.date] = []
    for session in sessions:
        if part and (session - part[0] > longest or len(part) == _MOST_SESSIONS):
            yield part
            part = []
        part.append(session)
    if part:
        yield part


def split_by_session(rows: pa.Table) -> Iterator[tuple[dt.date, pa.Table]]:
    """The rows of each session; they come by session."""
    days = rows.column("trade_date").cast(pa.int32()).to_numpy()
    starts = np.flatnonzero(np.diff(days, prepend=-1)).tolist()
    for start, stop in itertools.pairwise([*starts, len(days)]):
        part = rows.slice(start, stop - start)
        yield part.column("trade_date")[0].as_py(), part


def no_prices(where: str, session: dt.date) -> PricesMissing:
    """The error of a session without any prices."""
    return PricesMissing(
        "there are no prices of this session",
        where=f"{where} {session}",
        why="neither market/daily_prices nor market/stocks_daily has it",
        next_step=f"materialise market/daily_prices for {session} first",
    )

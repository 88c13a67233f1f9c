"""One pass over every day bar there is: when each ticker traded, and where its price jumped.

Here: `BarScan`, which is fed session by session and keeps a few numbers a ticker, so that twenty
years of the whole market need one reading and little memory. Not here: reading (`warehouse`), and
what the runs and jumps mean (`securities.py`, `action_audit.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS, BoolArray, FloatArray

IntArray = npt.NDArray[np.int64]

#: Overnight moves beyond this factor, up or down, are kept as jumps. Below any ratio that a split can
#: be told by without a record.
SMALLEST_JUMP = 1.2

# Weight of the newest session in the usual dollar volume, and how many sessions make a first one.
_NEWEST, _FIRST_BARS = 0.1, 5

# Before the calendar begins, by more than any gap.
_NEVER = -(10**6)

# How many tickers must trade on both sides of a hole of the warehouse.
_ENOUGH_TICKERS = 20


@dataclasses.dataclass(frozen=True)
class Runs:
    """Stretches in which a ticker traded without a gap of more than `MAX_GAP_SESSIONS`.

    All arrays have one element per run; runs are sorted by ticker, then by first session. Sessions
    are positions in the calendar that the scan was given.

    Attributes:
        ticker: Code of the ticker.
        first: First session with a bar.
        last: Last session with a bar.
        first_open: First price, USD as published; NaN where it is not positive.
        last_close: Last close, USD as published; NaN where none was positive.
        first_dollars: Mean traded value of the first sessions, USD.
        last_dollars: Usual traded value at the end, USD.
    """

    ticker: IntArray
    first: IntArray
    last: IntArray
    first_open: FloatArray
    last_close: FloatArray
    first_dollars: FloatArray
    last_dollars: FloatArray

    def __len__(self) -> int:
        return len(self.ticker)


@dataclasses.dataclass(frozen=True)
class Jumps:
    """Overnight moves within runs beyond `SMALLEST_JUMP`, by session.

    Attributes:
        ticker: Code of the ticker.
        session: Session that opened elsewhere.
        before: Session of the bar before.
        close_before: Its close, USD.
        open: Open of the session, USD.
        close: Close of the session, USD.
        dollars: Traded value of the session, USD.
        usual_dollars: Usual traded value before it, USD.
    """

    ticker: IntArray
    session: IntArray
    before: IntArray
    close_before: FloatArray
    open: FloatArray
    close: FloatArray
    dollars: FloatArray
    usual_dollars: FloatArray

    def __len__(self) -> int:
        return len(self.ticker)


@dataclasses.dataclass(frozen=True)
class BarEvidence:
    """What a scan found.

    Attributes:
        tickers: Names of the codes.
        sessions: The calendar that positions refer to, ``datetime64[D]``.
        loaded: Positions of the sessions of which there is any bar, ascending.
        runs: Stretches of trading.
        jumps: Overnight moves.
    """

    tickers: tuple[str, ...]
    sessions: npt.NDArray[np.datetime64]
    loaded: IntArray
    runs: Runs
    jumps: Jumps


class BarScan:
    """Collects runs and jumps from bars that come session by session.

    Args:
        tickers: Names of the codes that bars will have.
        sessions: Every session of the calendar, ascending, ``datetime64[D]``.
    """

    def __init__(self, tickers: Sequence[str], sessions: npt.NDArray[np.datetime64]) -> None:
        count = len(tickers)
        self._tickers = tuple(tickers)
        self._sessions = sessions
        self._loaded: list[int] = []
        self._first = np.full(count, -1, dtype=np.int64)
        self._last = np.full(count, _NEVER, dtype=np.int64)
        self._bars = np.zeros(count, dtype=np.int8)
        self._first_open, self._last_close = np.full(count, np.nan), np.full(count, np.nan)
        self._first_dollars, self._usual = np.zeros(count), np.zeros(count)
        self._ended: list[tuple[np.ndarray, ...]] = []
        self._jumps: list[tuple[np.ndarray, ...]] = []

    def add(
        self, session: int, tickers: IntArray, opens: FloatArray, closes: FloatArray, volumes: FloatArray
    ) -> None:
        """Bars of one session, none earlier than any before; each ticker once.

        Args:
            session: Position in the calendar.
            tickers: Codes, in any order.
            opens: First prices; what is not positive counts as unknown.
            closes: Last prices.
            volumes: Shares.
        """
        if not self._loaded or self._loaded[-1] != session:
            self._loaded.append(session)
        # The passes over a session's tickers are what a scan costs: few of them, and none for rare cases.
        usable = closes > 0
        dollars = closes * volumes
        if not usable.all():
            dollars[~usable] = 0.0
        before = self._last[tickers]
        begins = before < session - MAX_GAP_SESSIONS - 1
        if begins.any():
            self._begin(session, tickers[begins], opens[begins], dollars[begins])
        close_before = self._last_close[tickers]
        usual = self._usual[tickers]
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = opens / close_before
        # Comparisons with NaN are false: a run's first bar has no close before it.
        jumped = np.flatnonzero((moved > SMALLEST_JUMP) | (moved < 1 / SMALLEST_JUMP))
        jumped = jumped[moved[jumped] > 0]
        if len(jumped):
            codes = tickers[jumped]
            found = (codes, np.full(len(codes), session), before[jumped], close_before[jumped])
            values = (opens[jumped], closes[jumped], dollars[jumped], usual[jumped])
            self._jumps.append((*found, *values))
        self._last_close[tickers] = closes if usable.all() else np.where(usable, closes, close_before)
        self._usual[tickers] = usual + _NEWEST * (dollars - usual)
        young = np.flatnonzero(self._bars[tickers] < _FIRST_BARS)
        if len(young):
            self._first_dollars[tickers[young]] += dollars[young]
            self._bars[tickers[young]] += 1
        self._last[tickers] = session

    def _begin(self, session: int, tickers: IntArray, opens: FloatArray, dollars: FloatArray) -> None:
        self._end(tickers[self._last[tickers] >= 0])
        self._first[tickers] = session
        self._first_open[tickers] = np.where(opens > 0, opens, np.nan)
        self._last_close[tickers] = np.nan
        self._bars[tickers] = 0
        self._first_dollars[tickers] = 0.0
        self._usual[tickers] = dollars

    def _end(self, tickers: IntArray) -> None:
        if not len(tickers):
            return
        counted = self._bars[tickers]
        self._ended.append(
            (
                tickers,
                self._first[tickers],
                self._last[tickers],
                self._first_open[tickers],
                self._last_close[tickers],
                self._first_dollars[tickers] / np.maximum(counted, 1),
                self._usual[tickers],
            )
        )

    def finish(self) -> BarEvidence:
        """The runs and jumps of everything that was added; nothing may be added afterwards."""
        self._end(np.flatnonzero(self._last >= 0))
        runs = _stacked(self._ended, 3, 7)
        order = np.lexsort((runs[1], runs[0]))
        jumps = _stacked(self._jumps, 3, 8)
        return BarEvidence(
            self._tickers,
            self._sessions,
            np.array(self._loaded, dtype=np.int64),
            Runs(*(column[order] for column in runs)),
            Jumps(*jumps),
        )


def _stacked(parts: Sequence[tuple[np.ndarray, ...]], integers: int, width: int) -> list[np.ndarray]:
    types = [np.int64] * integers + [np.float64] * (width - integers)
    if not parts:
        return [np.zeros(0, dtype=kind) for kind in types]
    columns = zip(*parts, strict=True)
    return [np.concatenate(column).astype(kind) for column, kind in zip(columns, types, strict=True)]


def own_holes(evidence: BarEvidence) -> list[tuple[int, int]]:
    """Long stretches of the calendar that are missing for everyone: last session before, first after.

    In them a ticker's absence says nothing. With a handful of tickers nobody can tell a hole of the
    warehouse from a gap of the tickers, so only stretches that many tickers straddle count.
    """
    runs, loaded = evidence.runs, evidence.loaded
    found = []
    for position in np.flatnonzero(np.diff(loaded) > MAX_GAP_SESSIONS + 1).tolist():
        before, after = int(loaded[position]), int(loaded[position + 1])
        ends: BoolArray = (runs.last <= before) & (before - runs.last <= MAX_GAP_SESSIONS)
        begins: BoolArray = (runs.first >= after) & (runs.first - after <= MAX_GAP_SESSIONS)
        if len(np.intersect1d(runs.ticker[ends], runs.ticker[begins])) >= _ENOUGH_TICKERS:
            found.append((before, after))
    return found

"""Stretches of a ticker's bars, and which of them are one security.

Here: `Piece`, which is cut and joined, and `Pieces`, which keeps the securities that pieces form free
of overlaps. Not here: what the evidence for a cut or a join is (`identity_claims.py`, `renames.py`,
`securities.py`).
"""

from __future__ import annotations

import bisect
import dataclasses
import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from flatfiles_assets.algorithms.bar_scan import BarEvidence

#: How far a record's date may be from the session that the bars show.
DATE_TOLERANCE_SESSIONS = 2


@dataclasses.dataclass(frozen=True)
class Profile:
    """What a snapshot says of a ticker."""

    name: str | None = None
    type: str | None = None
    primary_exchange: str | None = None
    cik: str | None = None
    composite_figi: str | None = None
    share_class_figi: str | None = None

    @property
    def issuer(self) -> str:
        """The issuer's number as files with and without its leading zeros have it; empty for none."""
        return (self.cik or "").strip().lstrip("0")


@dataclasses.dataclass
class Piece:
    """A stretch of one ticker's bars that belongs to one security.

    Attributes:
        ticker: Symbol as published.
        first: Position of the first session in the calendar.
        last: Position of the last one.
        first_open: First price, USD; NaN where unknown.
        last_close: Last close, USD; NaN where unknown.
        first_dollars: Traded value of the first sessions, USD.
        last_dollars: Usual traded value at the end, USD.
        key: What the records identify it by (a FIGI); None where they are silent.
        profile: What the latest snapshot within it says.
        evidence: Why the piece begins, ends and belongs where it does, in short.
    """

    ticker: str
    first: int
    last: int
    first_open: float
    last_close: float
    first_dollars: float
    last_dollars: float
    key: str | None = None
    profile: Profile = Profile()
    evidence: list[str] = dataclasses.field(default_factory=list)
    security: int = -1


@dataclasses.dataclass(frozen=True)
class Jump:
    """An overnight move within a piece; see `bar_scan.Jumps`."""

    session: int
    before: int
    close_before: float
    open: float
    dollars: float
    usual_dollars: float

    @property
    def ratio(self) -> float:
        """Open over the close before."""
        return self.open / self.close_before


@dataclasses.dataclass(frozen=True)
class Unapplied:
    """A record that the bars, or other records, contradict.

    Attributes:
        kind: ``rename`` or ``identity``.
        ticker: Ticker before.
        new_ticker: Ticker after; the same one for an identity.
        date: The record's date.
        source: Where the record comes from.
        reason: Why it was not applied.
    """

    kind: str
    ticker: str
    new_ticker: str
    date: dt.date | None
    source: str
    reason: str


class Pieces:
    """Every piece, by ticker, and the securities that they form.

    Args:
        evidence: From a scan of the bars.
        split_days: By ticker, positions of the sessions for which a split is recorded: a jump there is
            no sign of another security.
    """

    def __init__(self, evidence: BarEvidence, split_days: Mapping[str, Mapping[int, float]]) -> None:
        self.sessions = evidence.sessions
        self.split_days = split_days
        self.unapplied: list[Unapplied] = []
        names, runs = evidence.tickers, evidence.runs
        columns = (getattr(runs, field.name).tolist() for field in dataclasses.fields(runs))
        self.by_ticker: dict[str, list[Piece]] = defaultdict(list)
        for code, *values in zip(*columns, strict=True):
            self.by_ticker[names[code]].append(Piece(names[code], *values))
        self._members: list[list[Piece]] = []
        self._jumps = evidence.jumps
        self._jumps_by_ticker: dict[str, list[Jump]] | None = None
        self._names = names

    def __iter__(self) -> Iterator[Piece]:
        for pieces in self.by_ticker.values():
            yield from pieces

    def position(self, day: dt.date) -> int:
        """Position of the first session on or after a day."""
        return int(np.searchsorted(self.sessions, np.datetime64(day)))

    def day(self, position: int) -> dt.date:
        """The session at a position."""
        found: dt.date = self.sessions[min(max(position, 0), len(self.sessions) - 1)].item()
        return found

    def jumps(self, ticker: str, after: int, until: int) -> list[Jump]:
        """Jumps of a ticker in (after, until] that no recorded split explains."""
        if self._jumps_by_ticker is None:
            self._jumps_by_ticker = self._sorted_jumps()
        found = self._jumps_by_ticker.get(ticker, [])
        lo = bisect.bisect_right(found, after, key=lambda jump: jump.session)
        hi = bisect.bisect_right(found, until, key=lambda jump: jump.session)
        return [jump for jump in found[lo:hi] if self.recorded_split(ticker, jump.session) is None]

    def _sorted_jumps(self) -> dict[str, list[Jump]]:
        jumps = self._jumps
        by_ticker: dict[str, list[Jump]] = defaultdict(list)
        columns = (jumps.ticker, jumps.session, jumps.before, jumps.close_before, jumps.open)
        more = (jumps.dollars, jumps.usual_dollars)
        for code, *values in zip(*(column.tolist() for column in (*columns, *more)), strict=True):
            by_ticker[self._names[code]].append(Jump(*values))
        return by_ticker

    def recorded_split(self, ticker: str, session: int) -> float | None:
        """The factor on prices of a split recorded for that session or one or two beside it."""
        days = self.split_days.get(ticker)
        if not days:
            return None
        for distance in range(DATE_TOLERANCE_SESSIONS + 1):
            for day in (session - distance, session + distance):
                if day in days:
                    return days[day]
        return None

    def cut(self, piece: Piece, jump: Jump, why: str) -> Piece:
        """Cut a piece at a jump within it; returns the later part, which takes nothing along."""
        later = dataclasses.replace(
            piece,
            first=jump.session,
            first_open=jump.open,
            first_dollars=jump.dollars,
            key=None,
            profile=Profile(),
            evidence=[why],
            security=-1,
        )
        piece.last, piece.last_close, piece.last_dollars = jump.before, jump.close_before, jump.usual_dollars
        siblings = self.by_ticker[piece.ticker]
        siblings.insert(siblings.index(piece) + 1, later)
        return later

    def members(self, piece: Piece) -> list[Piece]:
        """The pieces of a piece's security, in no order."""
        if piece.security < 0:
            piece.security = len(self._members)
            self._members.append([piece])
        return self._members[piece.security]

    def overlap(self, one: Piece, other: Piece) -> tuple[Piece, Piece] | None:
        """Two pieces that would trade at once if both securities were one."""
        if one.security >= 0 and one.security == other.security:
            return None
        for left in self.members(one):
            for right in self.members(other):
                if left.first <= right.last and right.first <= left.last:
                    return left, right
        return None

    def join(self, one: Piece, other: Piece) -> bool:
        """Make two pieces' securities one; False, and nothing done, where they would overlap."""
        if self.overlap(one, other) is not None:
            return False
        mine, theirs = self.members(one), self.members(other)
        if mine is not theirs:
            number = one.security
            for piece in theirs:
                piece.security = number
            mine.extend(theirs)
            theirs.clear()
        return True

    def securities(self) -> Iterator[list[Piece]]:
        """The pieces of each security, by first session."""
        for piece in self:
            self.members(piece)
        for members in self._members:
            if members:
                yield sorted(members, key=lambda piece: piece.first)

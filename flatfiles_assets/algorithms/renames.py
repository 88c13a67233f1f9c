"""One security under another ticker: recorded renames held against the bars, and suspected ones.

Here: where a handover from one ticker to the next happened, whether the bars bear a record out, and
pairs of tickers whose bars continue each other without any record. Not here: records themselves
(`ingest/reference.py`) and the table of securities (`securities.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pyarrow as pa

from flatfiles_assets.algorithms.bar_scan import BarEvidence
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS
from flatfiles_assets.algorithms.security_pieces import (
    DATE_TOLERANCE_SESSIONS,
    Piece,
    Pieces,
    Unapplied,
)
from flatfiles_assets.columns import Column

#: A recorded handover without a pause may move the price by this factor; more contradicts the record.
LARGEST_RECORDED_MOVE = 1.5

# Without a record the price must continue within 10 %, traded value within a factor of four.
_CLOSEST_PRICE, _CLOSEST_DOLLARS = math.log(1.10), math.log(4.0)
# Of several candidates one must be clearly closer than the next.
_CLEARLY = 0.5

SUSPECTED_RENAME_COLUMNS = (
    Column("session", pa.date32(), "First session under the new ticker"),
    Column("old_ticker", pa.string(), "Ticker whose bars end on the session before"),
    Column("new_ticker", pa.string(), "Ticker whose bars begin"),
    Column("last_session", pa.date32(), "Last session under the old ticker"),
    Column("close_before", pa.float64(), "Last close under the old ticker, USD"),
    Column("open_after", pa.float64(), "First open under the new ticker, USD"),
    Column("price_ratio", pa.float64(), "Open after over close before"),
    Column("dollar_volume_ratio", pa.float64(), "Traded value after over traded value before"),
    Column("candidates", pa.int64(), "Pairs of that session that continue as well as this one; 1 is clear"),
    Column("status", pa.string(), "suggested, or what the user's file says: confirmed or rejected"),
)


@dataclasses.dataclass(frozen=True)
class Rename:
    """A record that says: from `date` on, what was `old` is `new`.

    Attributes:
        old: Ticker before.
        new: Ticker after.
        date: The record's date; None where the user leaves it to the bars.
        source: ``events``, or ``user``, whose word counts against a moved price.
    """

    old: str
    new: str
    date: dt.date | None
    source: str


def apply_rename(pieces: Pieces, rename: Rename) -> bool:
    """Join what a record says is one security, dated by the bars; a contradicted record is listed."""
    if rename.old == rename.new or rename.old not in pieces.by_ticker or rename.new not in pieces.by_ticker:
        return False
    found = _handover(pieces, rename)
    reason = found if isinstance(found, str) else _contradiction(pieces, rename, *found)
    if reason is None and not isinstance(found, str):
        before, after = found
        if pieces.join(before, after):
            bars = pieces.day(after.first)
            dated = "" if rename.date in (None, bars) else f", bars {bars}"
            after.evidence.append(f"{rename.source}: {rename.old} until {rename.date or bars}{dated}")
            return True
        reason = "both would trade at once under another of their tickers"
    pieces.unapplied.append(
        Unapplied("rename", rename.old, rename.new, rename.date, rename.source, reason or "")
    )
    return False


def _handover(pieces: Pieces, rename: Rename) -> tuple[Piece, Piece] | str:
    """The piece that ends and the piece that begins, or why the bars have no such thing."""
    pairs = [
        (before, after)
        for after in pieces.by_ticker[rename.new]
        for before in pieces.by_ticker[rename.old]
        if before.last < after.first
    ]
    near = [pair for pair in pairs if _dated_by(pieces, rename, *pair)]
    if near:
        return min(near, key=lambda pair: pair[1].first - pair[0].last)
    cut = _cut_both(pieces, rename)
    if cut is not None:
        return cut
    if rename.date is None:
        return f"{rename.old} never ends before {rename.new} begins"
    return _why_not(pieces, rename)


def _dated_by(pieces: Pieces, rename: Rename, before: Piece, after: Piece) -> bool:
    """Whether the record's date falls between two pieces, or a session or two beside."""
    if rename.date is None:
        return after.first - before.last <= MAX_GAP_SESSIONS + 1
    at = pieces.position(rename.date)
    return before.last - DATE_TOLERANCE_SESSIONS < at <= after.first + DATE_TOLERANCE_SESSIONS


def _cut_both(pieces: Pieces, rename: Rename) -> tuple[Piece, Piece] | None:
    """The two pieces where a ticker was taken over, or given away, without a gap: cut at the jump."""
    if rename.date is None:
        return None
    at = pieces.position(rename.date)
    for session in sorted(
        range(at - DATE_TOLERANCE_SESSIONS, at + DATE_TOLERANCE_SESSIONS + 1), key=lambda s: abs(s - at)
    ):
        before = next((p for p in pieces.by_ticker[rename.old] if p.first < session <= p.last + 1), None)
        after = next((p for p in pieces.by_ticker[rename.new] if p.first <= session <= p.last), None)
        if before is None or after is None:
            continue
        jumps = {}
        for piece in (before, after):
            found = pieces.jumps(piece.ticker, session - 1, session)
            jumps[piece.ticker] = found[0] if found else None
        gives_away = before.last >= session
        takes_over = after.first < session
        if (gives_away and jumps[rename.old] is None) or (takes_over and jumps[rename.new] is None):
            continue
        ends = jumps[rename.old].close_before if gives_away else before.last_close  # type: ignore[union-attr]
        begins = jumps[rename.new].open if takes_over else after.first_open  # type: ignore[union-attr]
        if not (ends > 0 and begins > 0 and abs(math.log(begins / ends)) <= math.log(LARGEST_RECORDED_MOVE)):
            continue
        why = f"ticker taken over by the record of {rename.date}"
        if gives_away:
            pieces.cut(before, jumps[rename.old], why)  # type: ignore[arg-type]
        if takes_over:
            after = pieces.cut(after, jumps[rename.new], why)  # type: ignore[arg-type]
        return before, after
    return None


def _why_not(pieces: Pieces, rename: Rename) -> str:
    assert_date = rename.date or dt.date.max
    at = pieces.position(assert_date)
    if any(p.first < at - DATE_TOLERANCE_SESSIONS and p.last > at + DATE_TOLERANCE_SESSIONS
           for p in pieces.by_ticker[rename.old]):  # fmt: skip
        return f"{rename.old} went on trading after {rename.date}"
    begun = [p for p in pieces.by_ticker[rename.new] if p.last >= at]
    if begun and begun[0].first < at - DATE_TOLERANCE_SESSIONS:
        return f"{rename.new} traded before {rename.date} already"
    return f"the bars of {rename.old} and {rename.new} do not meet at {rename.date}"


def _contradiction(pieces: Pieces, rename: Rename, before: Piece, after: Piece) -> str | None:
    """Why the bars do not bear a record out at the pieces that it is about; None where they do."""
    if rename.source == "user":
        return None
    if before.key and after.key and before.key != after.key:
        return f"snapshots say that they are two securities, {before.key} and {after.key}"
    pause = after.first - before.last
    ratio = after.first_open / before.last_close
    if pause > DATE_TOLERANCE_SESSIONS + 1 or not ratio > 0:
        return None
    moves = [ratio]
    for ticker in (before.ticker, after.ticker):
        factor = pieces.recorded_split(ticker, after.first)
        if factor:
            moves.append(ratio / factor)
    move = min(moves, key=lambda each: abs(math.log(each)))
    if abs(math.log(move)) > math.log(LARGEST_RECORDED_MOVE):
        return (
            f"the price went from {before.last_close:g} on {pieces.day(before.last)} to "
            f"{after.first_open:g} on {pieces.day(after.first)}"
        )
    return None


def renames_of_events(events: pa.Table) -> list[Rename]:
    """Pairs of tickers that follow each other in each security's events.

    Args:
        events: ``entity``, ``event_date`` (date32), ``ticker``, ``old_ticker`` (null where the event
            does not name it).
    """
    by_entity: dict[str, dict[tuple[dt.date, str], str | None]] = defaultdict(dict)
    names = ("entity", "event_date", "ticker", "old_ticker")
    for entity, date, ticker, old in zip(*(events.column(name).to_pylist() for name in names), strict=True):
        by_entity[entity].setdefault((date, ticker), old)
    renames: dict[tuple[str, str, dt.date], Rename] = {}
    for of_entity in by_entity.values():
        previous: str | None = None
        for (date, ticker), old in sorted(of_entity.items(), key=lambda item: item[0]):
            before = old or previous
            if before and before != ticker:
                renames.setdefault((before, ticker, date), Rename(before, ticker, date, "events"))
            previous = ticker
    return list(renames.values())


@dataclasses.dataclass(frozen=True)
class _Candidate:
    before: Piece
    after: Piece
    price: float
    dollars: float

    @property
    def distance(self) -> float:
        return abs(math.log(self.price)) / _CLOSEST_PRICE + abs(math.log(self.dollars)) / _CLOSEST_DOLLARS


def suspected_renames(pieces: Pieces, evidence: BarEvidence, said: Mapping[tuple[str, str], str]) -> pa.Table:
    """Tickers whose last session is followed on the next by another ticker's first, as if it went on.

    Args:
        pieces: With everything joined that records say.
        evidence: The scan of the bars.
        said: The user's word on pairs of tickers: ``confirmed`` or ``rejected``.

    Returns:
        `SUSPECTED_RENAME_COLUMNS`, by session.
    """
    neighbours = zip(evidence.loaded[:-1].tolist(), evidence.loaded[1:].tolist(), strict=True)
    # Over a longer hole of the warehouse nothing continues visibly.
    following = {day: later for day, later in neighbours if later - day <= DATE_TOLERANCE_SESSIONS + 1}
    ends: dict[int, list[Piece]] = defaultdict(list)
    begins: dict[int, list[Piece]] = defaultdict(list)
    for members in pieces.securities():
        for piece, later in zip(members, [*members[1:], None], strict=True):
            if later is None and piece.last in following:
                ends[following[piece.last]].append(piece)
        begins[members[0].first].append(members[0])
    rows = []
    for session in sorted(ends.keys() & begins.keys()):
        candidates = _candidates(ends[session], begins[session])
        for candidate in candidates:
            rivals = sum(
                other.distance < candidate.distance + _CLEARLY
                for other in candidates
                if other.before is candidate.before or other.after is candidate.after
            )
            rows.append(_suspected_row(pieces, candidate, rivals, said))
    schema = pa.schema([(column.name, column.type) for column in SUSPECTED_RENAME_COLUMNS])
    return pa.Table.from_pylist(rows, schema=schema)


def _candidates(ends: Sequence[Piece], begins: Sequence[Piece]) -> list[_Candidate]:
    found = []
    starts = sorted((piece for piece in begins if piece.first_open > 0), key=lambda piece: piece.first_open)
    for before in ends:
        if not before.last_close > 0:
            continue
        for after in starts:
            price = after.first_open / before.last_close
            if math.log(price) > _CLOSEST_PRICE:
                break
            if math.log(price) < -_CLOSEST_PRICE or before.ticker == after.ticker:
                continue
            if before.key and after.key and before.key != after.key:
                continue
            if not (before.last_dollars > 0 and after.first_dollars > 0):
                continue
            dollars = after.first_dollars / before.last_dollars
            if abs(math.log(dollars)) <= _CLOSEST_DOLLARS:
                found.append(_Candidate(before, after, price, dollars))
    return found


def _suspected_row(
    pieces: Pieces, candidate: _Candidate, rivals: int, said: Mapping[tuple[str, str], str]
) -> dict[str, object]:
    before, after = candidate.before, candidate.after
    return {
        "session": pieces.day(after.first),
        "old_ticker": before.ticker,
        "new_ticker": after.ticker,
        "last_session": pieces.day(before.last),
        "close_before": before.last_close,
        "open_after": after.first_open,
        "price_ratio": candidate.price,
        "dollar_volume_ratio": candidate.dollars,
        "candidates": rivals,
        "status": said.get((before.ticker, after.ticker), "suggested"),
    }

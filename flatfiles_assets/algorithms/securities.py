"""Which security each ticker meant in which sessions, from the bars and from records.

Here: `build_securities`, which makes the table ``reference.securities``. Tickers are not identities:
they are given to other companies, and companies change them. Records say so (snapshots, ticker events,
the user's word), the bars date it, and where the two contradict each other the record is not applied
and is listed. Not here: reading and storing (`warehouse/securities.py`).

In this order: pieces of bars without a long gap; identities from snapshots; recorded renames;
renames that the user confirms; pieces of one ticker across a gap.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from flatfiles_assets.algorithms.bar_scan import BarEvidence, own_holes
from flatfiles_assets.algorithms.identity_claims import apply_snapshots
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS
from flatfiles_assets.algorithms.renames import (
    Rename,
    apply_rename,
    renames_of_events,
    suspected_renames,
)
from flatfiles_assets.algorithms.security_pieces import Piece, Pieces, Unapplied
from flatfiles_assets.columns import Column

#: Across a gap of which records say nothing, a price within this factor is the same level.
SAME_LEVEL = 1.25

SECURITY_COLUMNS = (
    Column("security_id", pa.string(), "Share class FIGI, or the security's first ticker and session"),
    Column("ticker", pa.string(), "Symbol as published, case-sensitive"),
    Column("first_session", pa.date32(), "First session with a bar in which the ticker means the security"),
    Column("last_session", pa.date32(), "Last such session so far"),
    Column("name", pa.string(), "Name, as the latest snapshot of those sessions has it"),
    Column("type", pa.string(), "CS common stock, ETF, ADRC, WARRANT, UNIT, … as in the snapshot"),
    Column("primary_exchange", pa.string(), "MIC of the primary exchange"),
    Column("cik", pa.string(), "The SEC's number of the issuer, which may have several securities"),
    Column("composite_figi", pa.string(), "FIGI of the security in its country"),
    Column("share_class_figi", pa.string(), "FIGI of the share class"),
    Column("evidence", pa.string(), "Why the row begins, ends and belongs to its security"),
)
SECURITY_TYPE_COLUMNS = (
    Column("security_id", pa.string(), "As in the table of securities"),
    Column("since", pa.date32(), "Day of the first snapshot that says so; the first one counts before, too"),
    Column("type", pa.string(), "CS common stock, ETF, ADRC, WARRANT, UNIT, …"),
)
UNAPPLIED_COLUMNS = (
    Column("kind", pa.string(), "rename or identity"),
    Column("ticker", pa.string(), "Ticker before"),
    Column("new_ticker", pa.string(), "Ticker after; the same for an identity"),
    Column("date", pa.date32(), "The record's date"),
    Column("source", pa.string(), "events, snapshots or user"),
    Column("reason", pa.string(), "What contradicts the record"),
)


def _schema(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([(column.name, column.type) for column in columns])


@dataclasses.dataclass(frozen=True)
class IdentityRecords:
    """What is on record about tickers; each table may be empty.

    Attributes:
        snapshots: ``snapshot_date``, ``ticker``, ``active``, ``delisted_date`` and the fields of
            `security_pieces.Profile`.
        events: ``entity``, ``event_date``, ``ticker``, ``old_ticker``.
        splits: ``ticker``, ``execution_date``, ``split_from``, ``split_to``: a jump by one of them is no
            sign of another security.
        user: What the user's file says of pairs of tickers.
    """

    snapshots: pa.Table
    events: pa.Table
    splits: pa.Table
    user: Sequence[UserRename] = ()

    @classmethod
    def none(cls) -> IdentityRecords:
        """No records at all: everything is made of bars."""
        return cls(pa.table({}), pa.table({}), pa.table({}))


@dataclasses.dataclass(frozen=True)
class UserRename:
    """The user's word on a rename.

    Attributes:
        old: Ticker before.
        new: Ticker after.
        date: First session under the new ticker; None where the bars shall say.
        confirmed: False where the user says that it is none.
    """

    old: str
    new: str
    date: dt.date | None
    confirmed: bool = True


@dataclasses.dataclass(frozen=True)
class Securities:
    """What `build_securities` made.

    Attributes:
        table: `SECURITY_COLUMNS`, by ticker and first session.
        suspected: `renames.SUSPECTED_RENAME_COLUMNS`.
        unapplied: `UNAPPLIED_COLUMNS`: records that were not applied, with the reason.
    """

    table: pa.Table
    suspected: pa.Table
    unapplied: pa.Table


def build_securities(evidence: BarEvidence, records: IdentityRecords) -> Securities:
    """The securities behind all bars: every session of every ticker in exactly one row.

    Args:
        evidence: One scan of every bar.
        records: What is on record.
    """
    pieces = Pieces(evidence, _split_days(evidence, records.splits))
    apply_snapshots(pieces, records.snapshots)
    _join_by_key(pieces)
    rejected = {(each.old, each.new) for each in records.user if not each.confirmed}
    if records.events.num_rows:
        for rename in renames_of_events(records.events):
            if (rename.old, rename.new) not in rejected:
                apply_rename(pieces, rename)
    said = {(each.old, each.new): "confirmed" if each.confirmed else "rejected" for each in records.user}
    suspected = suspected_renames(pieces, evidence, said)
    for each in records.user:
        if each.confirmed:
            _apply_users(pieces, each)
    _join_across_gaps(pieces, evidence)
    return Securities(_table(pieces), suspected, _unapplied_table(pieces.unapplied))


def _apply_users(pieces: Pieces, said: UserRename) -> None:
    known = apply_rename(pieces, Rename(said.old, said.new, said.date, "user"))
    absent = [ticker for ticker in (said.old, said.new) if ticker not in pieces.by_ticker]
    if not known and absent:
        reason = f"there is no bar of {' or '.join(absent)}"
        pieces.unapplied.append(Unapplied("rename", said.old, said.new, said.date, "user", reason))


def _split_days(evidence: BarEvidence, splits: pa.Table) -> dict[str, dict[int, float]]:
    """By ticker: position of each split's first session, and its factor on prices."""
    days: dict[str, dict[int, float]] = {}
    if not splits.num_rows:
        return days
    dates = np.asarray(splits.column("execution_date").to_numpy()).astype("datetime64[D]")
    positions = np.searchsorted(evidence.sessions, dates).tolist()
    columns = (splits.column(name).to_pylist() for name in ("ticker", "split_from", "split_to"))
    for position, ticker, before, after in zip(positions, *columns, strict=True):
        if before and after and before > 0 and after > 0:
            days.setdefault(ticker, {})[position] = before / after
    return days


def _join_by_key(pieces: Pieces) -> None:
    """Pieces that snapshots give one identity are one security, unless they trade at once."""
    by_key: dict[str, list[Piece]] = {}
    for piece in pieces:
        if piece.key is not None:
            by_key.setdefault(piece.key, []).append(piece)
    for key, group in by_key.items():
        group.sort(key=lambda piece: piece.first)
        anchor = group[0]
        for piece in group[1:]:
            if pieces.join(anchor, piece):
                if piece.ticker != anchor.ticker:
                    piece.evidence.append(f"same identity as {anchor.ticker}")
                continue
            rival = pieces.overlap(anchor, piece)
            other = rival[0].ticker if rival else anchor.ticker
            reason = f"{key} is given to {other} and {piece.ticker}, which trade at once"
            day = pieces.day(piece.first)
            pieces.unapplied.append(Unapplied("identity", other, piece.ticker, day, "snapshots", reason))
            piece.key = None


def _join_across_gaps(pieces: Pieces, evidence: BarEvidence) -> None:
    """Pieces of one ticker that records say nothing about: one security where the price level is one."""
    holes = own_holes(evidence)
    for siblings in pieces.by_ticker.values():
        for earlier, later in itertools.pairwise(siblings):
            if earlier.security >= 0 and earlier.security == later.security:
                continue
            why = _why_one(pieces, earlier, later, holes, evidence)
            if why and not _is_elsewhere(pieces, earlier, later) and pieces.join(earlier, later):
                later.evidence.append(why)
            else:
                later.evidence.append(f"ticker reused after {pieces.day(earlier.last)}")


def _is_elsewhere(pieces: Pieces, earlier: Piece, later: Piece) -> bool:
    """Whether the earlier security went on, or the later one was before, under another ticker."""
    goes_on = any(piece.first > earlier.last for piece in pieces.members(earlier))
    was_before = any(piece.last < later.first for piece in pieces.members(later))
    return goes_on or was_before


def _why_one(
    pieces: Pieces,
    earlier: Piece,
    later: Piece,
    holes: Sequence[tuple[int, int]],
    evidence: BarEvidence,
) -> str | None:
    """Why two pieces of one ticker are one security; None where nothing says so."""
    if earlier.key and later.key:
        return None
    before, after = earlier.profile, later.profile
    if before.issuer and after.issuer:
        is_one = (before.issuer, before.type) == (after.issuer, after.type)
        return "same issuer and type" if is_one else None
    if later.first - earlier.last <= MAX_GAP_SESSIONS + 1:
        # Cut by a record, not by a gap.
        return None
    hole = next((hole for hole in holes if earlier.last <= hole[0] and hole[1] <= later.first), None)
    if hole is not None:
        lo, hi = np.searchsorted(evidence.loaded, [earlier.last + 1, later.first])
        if hi - lo <= MAX_GAP_SESSIONS:
            return f"no session is loaded from {pieces.day(hole[0] + 1)} to {pieces.day(hole[1] - 1)}"
    ratio = later.first_open / earlier.last_close
    if not ratio > 0:
        return None
    days = pieces.split_days.get(earlier.ticker, {})
    factor = math.prod(each for day, each in days.items() if earlier.last < day <= later.first)
    level = math.log(SAME_LEVEL)
    if abs(math.log(ratio)) <= level or abs(math.log(ratio / factor)) <= level:
        return f"same price level after a pause since {pieces.day(earlier.last)}"
    return None


def _table(pieces: Pieces) -> pa.Table:
    rows = []
    taken: set[str] = set()
    securities = sorted(pieces.securities(), key=lambda members: (members[0].first, members[0].ticker))
    for members in securities:
        security_id = _security_id(pieces, members, taken)
        taken.add(security_id)
        merged = _merged(pieces, members)
        rows += [{"security_id": security_id, **_described(pieces, row)} for row in merged]
    rows.sort(key=lambda row: (row["ticker"], row["first_session"]))
    return pa.Table.from_pylist(rows, schema=_schema(SECURITY_COLUMNS))


def _security_id(pieces: Pieces, members: Sequence[Piece], taken: set[str]) -> str:
    """The first share class FIGI that the security had, else its first ticker and session."""
    for piece in members:
        figi = piece.profile.share_class_figi
        if figi and figi not in taken and (piece.key is None or piece.key == figi):
            return figi
    return f"{members[0].ticker}@{pieces.day(members[0].first)}"


def _merged(pieces: Pieces, members: Sequence[Piece]) -> list[list[Piece]]:
    """Rows of a security: pieces of one ticker are one row unless something stands between them."""
    rows: list[list[Piece]] = []
    for piece in members:
        if rows and rows[-1][-1].ticker == piece.ticker:
            between = any(
                rows[-1][-1].last < other.first < piece.first for other in pieces.by_ticker[piece.ticker]
            )
            if not between:
                rows[-1].append(piece)
                continue
        rows.append([piece])
    return rows


def _described(pieces: Pieces, row: Sequence[Piece]) -> dict[str, object]:
    latest = next((piece.profile for piece in reversed(row) if piece.profile.name), row[-1].profile)
    evidence = [text for piece in row for text in piece.evidence if text]
    return {
        "ticker": row[0].ticker,
        "first_session": pieces.day(row[0].first),
        "last_session": pieces.day(row[-1].last),
        **vars(latest),
        "evidence": "; ".join(dict.fromkeys(["bars", *evidence])),
    }


def _unapplied_table(unapplied: Sequence[Unapplied]) -> pa.Table:
    rows = [dataclasses.asdict(each) for each in dict.fromkeys(unapplied)]
    return pa.Table.from_pylist(rows, schema=_schema(UNAPPLIED_COLUMNS))

"""What the snapshots of reference data say of each piece of bars, and the cuts that follow from it.

Here: snapshots laid over pieces, and pieces cut where a ticker went from one security to another
without a gap. A snapshot that lacks a ticker says nothing: there are days of which a third is missing.
Not here: which pieces become one security (`securities.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.algorithms.bar_scan import IntArray
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS
from flatfiles_assets.algorithms.security_pieces import Piece, Pieces, Profile, Unapplied

# A delisting is dated days or weeks after the last trade.
_DELISTING_LAG_SESSIONS = 30

# Where no FIGI is known: how large a move from one session to the next is, between snapshots so near, that
# another issuer explains and news hardly ever.
_OVERNIGHT, _NEAR_SNAPSHOTS_SESSIONS = 1.5, 45

_PROFILE = tuple(field.name for field in dataclasses.fields(Profile))
_FIGIS = ("share_class_figi", "composite_figi")


@dataclasses.dataclass(frozen=True)
class _Claim:
    """One identity that snapshots give a piece, from the first to the last of them."""

    key: str | None
    first: int
    last: int
    profile: Profile


def apply_snapshots(pieces: Pieces, snapshots: pa.Table) -> None:
    """Give each piece the identity and the profile that snapshots within it state, cutting where need be.

    Args:
        pieces: Changed in place.
        snapshots: ``snapshot_date``, ``ticker``, ``active``, ``delisted_date`` (date32) and the fields
            of `Profile`.
    """
    if not snapshots.num_rows:
        return
    # Before any cut: a position in this list stays what it is.
    flat = sorted(pieces, key=lambda piece: (piece.ticker, piece.first))
    claims = _claims(flat, snapshots, pieces)
    for number, found in claims.items():
        _settle(pieces, flat[number], sorted(found, key=lambda claim: (claim.first, claim.last)))


def _claims(flat: Sequence[Piece], snapshots: pa.Table, pieces: Pieces) -> dict[int, list[_Claim]]:
    days = _days(snapshots)
    points = np.searchsorted(pieces.sessions, days)
    numbers = _piece_numbers(flat, snapshots.column("ticker"), points, _lags(snapshots))
    rows = snapshots.select(_PROFILE).append_column("piece", pa.array(numbers))
    rows = rows.append_column("point", pa.array(points)).filter(pa.array(numbers >= 0))
    grouped = rows.group_by(["piece", *_PROFILE]).aggregate([("point", "min"), ("point", "max")])
    share_class_of = _share_classes(snapshots)
    by_piece: dict[int, list[_Claim]] = defaultdict(list)
    for row in grouped.to_pylist():
        profile = Profile(**{name: row[name] for name in _PROFILE})
        key = profile.share_class_figi
        if key is None and profile.composite_figi is not None:
            key = share_class_of.get(profile.composite_figi, profile.composite_figi)
        by_piece[row["piece"]].append(_Claim(key, row["point_min"], row["point_max"], profile))
    return by_piece


def _days(snapshots: pa.Table) -> np.ndarray:
    """The day that each row speaks of: a dead ticker's is the one on which it died."""
    dead = pc.and_(pc.invert(snapshots.column("active")), pc.is_valid(snapshots.column("delisted_date")))
    days = pc.if_else(dead, snapshots.column("delisted_date"), snapshots.column("snapshot_date"))
    return np.asarray(days.to_numpy()).astype("datetime64[D]")


def _lags(snapshots: pa.Table) -> IntArray:
    active = snapshots.column("active").to_numpy()
    return np.where(active.astype(bool), MAX_GAP_SESSIONS, _DELISTING_LAG_SESSIONS)


def _piece_numbers(
    flat: Sequence[Piece], tickers: pa.ChunkedArray, points: np.ndarray, lags: IntArray
) -> IntArray:
    """For each row the piece that it speaks of, -1 where there is none."""
    names = sorted({piece.ticker for piece in flat})
    code_of = {name: code for code, name in enumerate(names)}
    encoded = tickers.combine_chunks().dictionary_encode()
    code_of_entry = np.array([code_of.get(name, -1) for name in encoded.dictionary.to_pylist()])
    if not len(code_of_entry):
        return np.zeros(0, dtype=np.int64)
    codes = code_of_entry[encoded.indices.to_numpy()]
    span = np.int64(2**32)
    piece_codes = np.array([code_of[piece.ticker] for piece in flat], dtype=np.int64)
    first = np.array([piece.first for piece in flat], dtype=np.int64)
    last = np.array([piece.last for piece in flat], dtype=np.int64)
    found = np.searchsorted(piece_codes * span + first, codes * span + points, side="right") - 1
    at = np.maximum(found, 0)
    inside = (found >= 0) & (piece_codes[at] == codes) & (points <= last[at] + lags)
    # Listed some days before its first trade.
    following = np.minimum(found + 1, len(flat) - 1)
    soon = (piece_codes[following] == codes) & (first[following] >= points)
    soon &= first[following] - points <= MAX_GAP_SESSIONS
    numbers: IntArray = np.where(inside, at, np.where(soon, following, -1)).astype(np.int64)
    return np.where(codes < 0, -1, numbers)


def _share_classes(snapshots: pa.Table) -> dict[str, str]:
    both = snapshots.select(_FIGIS).drop_null().group_by(list(_FIGIS)).aggregate([])
    return dict(
        zip(both.column("composite_figi").to_pylist(), both.column(_FIGIS[0]).to_pylist(), strict=True)
    )


def _settle(pieces: Pieces, piece: Piece, claims: Sequence[_Claim]) -> None:
    """Give a piece its identity, and cut it where the snapshots tell one from another."""
    last = piece.last
    spans: dict[str, tuple[int, int]] = {}
    for claim in claims:
        if claim.key is not None:
            begin, end = spans.get(claim.key, (claim.first, claim.last))
            spans[claim.key] = min(begin, claim.first), max(end, claim.last)
    if not spans:
        _part_by_issuer(pieces, piece, claims)
    steady = _without_nested(pieces, piece, spans)
    current = piece
    for number, (key, span) in enumerate(steady):
        if current.key is None:
            current.key = key
            current.evidence.append("snapshots")
        if number + 1 == len(steady):
            break
        new_key, new_span = steady[number + 1]
        jumps = pieces.jumps(piece.ticker, max(span[1], current.first), min(new_span[0], current.last))
        if not jumps:
            pieces.unapplied.append(_unseen_change(pieces, piece, current.key, new_key, new_span[0]))
            continue
        largest = max(jumps, key=lambda jump: abs(np.log(jump.ratio)))
        current = pieces.cut(current, largest, f"another security by snapshots, price x{largest.ratio:.3g}")
    for part in pieces.by_ticker[piece.ticker]:
        if piece.first <= part.first and part.last <= last:
            _describe(part, claims)


def _part_by_issuer(pieces: Pieces, piece: Piece, claims: Sequence[_Claim]) -> None:
    """Cut a piece of which no FIGI is known where both its issuer and its price level are another.

    An issuer's number alone changes in a holding's reorganisation, too, and a price alone jumps at any
    news: only together they tell of another security, and between snapshots far apart only if the ticker
    paused there. Issuers are no identity to join by.
    """
    spans: dict[str, tuple[int, int]] = {}
    for claim in claims:
        if claim.profile.issuer:
            first, last = spans.get(claim.profile.issuer, (claim.first, claim.last))
            spans[claim.profile.issuer] = min(first, claim.first), max(last, claim.last)
    ordered = sorted(spans.values())
    current = piece
    for (_, known_until), (known_from, _) in itertools.pairwise(ordered):
        jumps = pieces.jumps(piece.ticker, max(known_until, current.first), min(known_from, current.last))
        is_near = known_from - known_until <= _NEAR_SNAPSHOTS_SESSIONS
        telling = [
            jump
            for jump in jumps
            if jump.session - jump.before > 1 or (is_near and abs(np.log(jump.ratio)) > np.log(_OVERNIGHT))
        ]
        largest = max(telling, key=lambda jump: abs(np.log(jump.ratio)), default=None)
        if largest is not None:
            current = pieces.cut(current, largest, f"another issuer by snapshots, price x{largest.ratio:.3g}")


def _describe(part: Piece, claims: Sequence[_Claim]) -> None:
    """The latest profile that belongs to a part's identity."""
    own = [claim for claim in claims if part.key is None or claim.key in (part.key, None)]
    inside = [claim for claim in own if claim.first <= part.last and claim.last >= part.first]
    if inside or own:
        latest = max(inside or own, key=lambda claim: (claim.key is not None, claim.last))
        part.profile = latest.profile


def _without_nested(
    pieces: Pieces, piece: Piece, spans: Mapping[str, tuple[int, int]]
) -> list[tuple[str, tuple[int, int]]]:
    """Identities one after the other; one that only interrupts another is a slip, and listed."""
    ordered = sorted(spans.items(), key=lambda item: (item[1][0], -item[1][1]))
    steady: list[tuple[str, tuple[int, int]]] = []
    for key, span in ordered:
        if steady and span[0] <= steady[-1][1][1]:
            pieces.unapplied.append(_unseen_change(pieces, piece, steady[-1][0], key, span[0]))
            continue
        steady.append((key, span))
    return steady


def _unseen_change(pieces: Pieces, piece: Piece, key: str | None, new_key: str, at: int) -> Unapplied:
    day: dt.date = pieces.day(at)
    reason = f"snapshots turn {key} into {new_key}, and no bar shows where the security changed"
    return Unapplied("identity", piece.ticker, piece.ticker, day, "snapshots", reason)

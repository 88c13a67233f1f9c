"""Which sessions of a feed have to be fetched or loaded, from a listing and the ledger; pure.

Here: what a difference between bucket, ledger and warehouse means, when a failure is tried again,
and the fewest ranges that cover what is wanted. Not here: listing, Dagster (`sensors.py`) and what
a tick remembers (`sync_cursor.py`).

A ledger entry does not say which version of an object a failed attempt saw. Times decide instead:
an object that changed after the attempt is another one. Both clocks may be wrong, so an object that
changed shortly before the attempt gets one more chance, and nothing is given up for longer than a
week. A listing that lacks an object never leads to a run.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal

from flatfiles_assets.download.ledger import LedgerEntry
from flatfiles_assets.download.listing import RemoteObject

Why = Literal["new", "replaced", "retry", "damaged", "not loaded", "not recorded"]

FIRST_RETRY = dt.timedelta(minutes=30)
LONGEST_RETRY = dt.timedelta(days=1)
SETTLED_RETRY = dt.timedelta(days=7)
CLOCK_SLACK = dt.timedelta(hours=1)
_DAMAGED_RETRY = dt.timedelta(days=1)
_MOST_QUICK_RETRIES = 3


@dataclasses.dataclass(frozen=True)
class Change:
    """A session that a run has to bring up to date.

    Attributes:
        session: The session's date.
        why: ``new``: never attempted. ``replaced``: the object differs from the copy. ``retry``: the
            last attempt failed and its time has come. ``damaged``: the copy is. ``not loaded``: the
            copy is current, the warehouse has not its rows. ``not recorded``: it has them, and Dagster
            does not know, because whoever loaded them was killed: nothing downstream follows.
        fingerprint: The object and the last attempt at it. It is the same in every tick until
            somebody attempts the session or the object changes.
    """

    session: dt.date
    why: Why
    fingerprint: str


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a listing means.

    Attributes:
        changes: Sessions that a run has to bring up to date, in order.
        current: Sessions that are as the bucket has them; a range may run over them.
        waiting: Sessions whose last attempt failed, and why it is not yet tried again.
        deleted: Keys that were downloaded once and that the bucket does not list any more.
    """

    changes: tuple[Change, ...]
    current: frozenset[dt.date]
    waiting: Mapping[dt.date, str]
    deleted: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Range:
    """Consecutive sessions for one run.

    Attributes:
        first: First session.
        last: Last session, included.
        changes: The sessions for whose sake the run is made.
    """

    first: dt.date
    last: dt.date
    changes: tuple[Change, ...]

    @property
    def digest(self) -> str:
        """Names the work: equal for two ticks that saw the same, different once anything changed."""
        text = "\n".join([str(self.first), str(self.last), *(c.fingerprint for c in self.changes)])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def compare(
    remote: Mapping[dt.date, RemoteObject],
    entries: Mapping[str, LedgerEntry],
    stored: Mapping[dt.date, str] | None,
    *,
    unrecorded: Collection[dt.date] = frozenset(),
    failed_attempts: Callable[[str], int],
    now: dt.datetime,
) -> Comparison:
    """What to do about a listing.

    Args:
        remote: The objects of complete listings, by session.
        entries: The ledger's entries below the same prefixes, by key.
        stored: SHA-256 of the file that each session's rows in the warehouse come from, accepted or
            refused; None where the warehouse could not be asked.
        unrecorded: Sessions that are loaded and of whose loading Dagster has no record.
        failed_attempts: How many attempts at a key have failed in a row.
        now: The present, with a zone.
    """
    changes, current, waiting = [], set(), {}
    denied = _denied_that_are_due(remote, entries, now)
    for session, item in sorted(remote.items()):
        entry = entries.get(item.key)
        why = reason_to_fetch(entry, item, failed_attempts=failed_attempts, now=now)
        if why is None and session in denied:
            why = "retry"
        if why is None and entry is not None:
            if not is_current(entry, item):
                waiting[session] = f"{entry.state} at the last attempt"
            elif stored is not None and stored.get(session) != entry.sha256:
                why = "not loaded"
            elif session in unrecorded:
                why = "not recorded"
            else:
                current.add(session)
        if why:
            changes.append(Change(session, why, fingerprint(item, entry)))
    listed = {item.key for item in remote.values()}
    deleted = tuple(sorted(key for key, entry in entries.items() if entry.has_file and key not in listed))
    return Comparison(tuple(changes), frozenset(current), waiting, deleted)


def reason_to_fetch(
    entry: LedgerEntry | None,
    item: RemoteObject,
    *,
    failed_attempts: Callable[[str], int],
    now: dt.datetime,
) -> Why | None:
    """Why an object is to be fetched now; None where the copy is good or the last failure still rests."""
    if entry is None:
        return "new"
    if is_current(entry, item):
        # Whoever reads the file may call it corrupt again: not more often than once a day.
        damaged = entry.state == "corrupt" and has_rested(entry.fetched_at, _DAMAGED_RETRY, now)
        return "damaged" if damaged else None
    if entry.state == "downloaded":
        return "replaced"
    return "retry" if _is_due(entry, item, failed_attempts, now) else None


def is_current(entry: LedgerEntry, item: RemoteObject) -> bool:
    """Whether there is a copy of exactly the object that is listed."""
    if not entry.has_file or entry.size_bytes != item.size_bytes:
        return False
    if entry.etag and item.etag:
        return entry.etag == item.etag
    return entry.last_modified == item.last_modified


def retry_delay(failed_attempts: int) -> dt.timedelta:
    """How long a failure rests: half an hour, doubled for each further one, a day at most."""
    doublings = min(max(failed_attempts, 1) - 1, 10)
    return min(FIRST_RETRY * int(2**doublings), LONGEST_RETRY)


def plan_ranges(
    sessions: Sequence[dt.date],
    changes: Iterable[Change],
    current: frozenset[dt.date],
    *,
    longest: int,
    bridge: int,
) -> list[Range]:
    """The fewest ranges that cover some changes, latest first.

    Args:
        sessions: Every session there is, in order; changes of other days are left out.
        changes: What is to be covered.
        current: Sessions that a range may run over. Others would fail, or fail again.
        longest: Most sessions in a range.
        bridge: Most sessions between two changes that a range runs over, because a run costs more.
    """
    position = {session: index for index, session in enumerate(sessions)}
    groups: list[list[Change]] = []
    for change in sorted(changes, key=lambda change: change.session):
        if (index := position.get(change.session)) is None:
            continue
        if groups:
            first, last = position[groups[-1][0].session], position[groups[-1][-1].session]
            between = sessions[last + 1 : index]
            joins = len(between) <= bridge and index - first < longest and current.issuperset(between)
            if joins:
                groups[-1].append(change)
                continue
        groups.append([change])
    return [Range(group[0].session, group[-1].session, tuple(group)) for group in reversed(groups)]


def _is_due(
    entry: LedgerEntry,
    item: RemoteObject,
    failed_attempts: Callable[[str], int],
    now: dt.datetime,
) -> bool:
    attempted_at = entry.attempted_at
    if attempted_at is None or attempted_at > now:  # The clock was set back.
        return True
    failures = failed_attempts(entry.key)
    if item.last_modified > attempted_at and failures <= _MOST_QUICK_RETRIES:
        return True
    if entry.state not in ("corrupt", "not_entitled"):
        return has_rested(attempted_at, retry_delay(failures), now)
    if item.last_modified > attempted_at - CLOCK_SLACK:
        return has_rested(attempted_at, max(CLOCK_SLACK, retry_delay(failures)), now)
    return entry.state == "corrupt" and has_rested(attempted_at, SETTLED_RETRY, now)


def _denied_that_are_due(
    remote: Mapping[dt.date, RemoteObject], entries: Mapping[str, LedgerEntry], now: dt.datetime
) -> set[dt.date]:
    """The sessions by which a change of the subscription is noticed.

    Once a week the latest denied session of each month is tried; the rest of the month follows once
    a file of that month has been had since its own denial.
    """
    due = set()
    probed, fetched_at = set(), dict[tuple[int, int], dt.datetime]()
    for session, item in remote.items():
        entry = entries.get(item.key)
        if entry and entry.fetched_at and entry.state == "downloaded":
            month = (session.year, session.month)
            fetched_at[month] = max(fetched_at.get(month, entry.fetched_at), entry.fetched_at)
    for session in sorted(remote, reverse=True):
        entry = entries.get(remote[session].key)
        if entry is None or entry.state != "not_entitled" or entry.attempted_at is None:
            continue
        month = (session.year, session.month)
        probe = month not in probed
        probed.add(month)
        opened = month in fetched_at and fetched_at[month] > entry.attempted_at
        if opened or (probe and has_rested(entry.attempted_at, SETTLED_RETRY, now)):
            due.add(session)
    return due


def has_rested(since: dt.datetime | None, rest: dt.timedelta, now: dt.datetime) -> bool:
    """Whether a rest is over; one that began in the future, before a clock was set back, is."""
    return since is None or not dt.timedelta(0) <= now - since < rest


def fingerprint(item: RemoteObject, entry: LedgerEntry | None) -> str:
    """An object and the last attempt at it, as text."""
    attempted_at = entry.attempted_at.isoformat() if entry and entry.attempted_at else ""
    return f"{item.key} {item.etag} {item.size_bytes} {attempted_at}"

"""What a tick lists of the vendor's bucket: which folders are due, and what is in them.

Here: plain values, each made of the one before it: what is due, the listing, the next cursor. Not here:
what a listing means (`download/remote_changes.py`), the rhythm (`cursor.py`), the runs (`feeds.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping

from flatfiles_assets import calendars
from flatfiles_assets.datasets import Dataset
from flatfiles_assets.defs.sensors.cursor import SyncCursor, poll_interval, recent_months
from flatfiles_assets.download.ledger import Ledger, LedgerEntry
from flatfiles_assets.download.listing import RemoteObject
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse import inventory

_YEARS_PER_TICK = 8
_UNFINISHED_MONTHS = 6

ListFolder = Callable[[str], "Listing"]
"""From a folder of the feed, e.g. ``2024/01/``, to all of its files; it raises where it is cut short."""


@dataclasses.dataclass(frozen=True)
class Due:
    """What a tick has to list.

    Attributes:
        recent: Whether the recent months are due.
        sweep: Whether all years are, or the sweep under way is to go on.
        interval: How long a listing of the recent months is good for.
    """

    recent: bool
    sweep: bool
    interval: dt.timedelta


@dataclasses.dataclass(frozen=True)
class Listing:
    """What the bucket has of a feed, and what the ledger says of the same folders.

    Attributes:
        remote: The files, by session.
        entries: The ledger's entries, by key.
    """

    remote: Mapping[dt.date, RemoteObject] = dataclasses.field(default_factory=dict)
    entries: Mapping[str, LedgerEntry] = dataclasses.field(default_factory=dict)

    def __or__(self, later: Listing) -> Listing:
        """Both listings; where a file is in both, the later one counts."""
        return Listing({**self.remote, **later.remote}, {**self.entries, **later.entries})

    def without(self, days: Iterable[dt.date]) -> Listing:
        """The listing as if the files of some sessions were neither here nor there."""
        left_out = set(days)
        keys = {self.remote[day].key for day in left_out}
        return Listing(
            {day: item for day, item in self.remote.items() if day not in left_out},
            {key: entry for key, entry in self.entries.items() if key not in keys},
        )


@dataclasses.dataclass(frozen=True)
class Sweep:
    """How far a sweep came, latest year first.

    Attributes:
        listing: The years that were listed to their end.
        next_year: The year to go on with; None where the sweep came to its end.
        problem: What stopped it, if anything did.
    """

    listing: Listing
    next_year: int | None
    problem: FlatFilesError | None = None


def what_is_due(dataset: Dataset, cursor: SyncCursor, settings: Settings, now: dt.datetime) -> Due:
    """What is to be listed now."""
    seconds = settings.sync_poll_seconds
    interval = dt.timedelta(seconds=seconds) if seconds else poll_interval(dataset, now)
    return Due(cursor.is_poll_due(interval, now), cursor.is_sweep_due(now), interval)


def reason_to_rest(due: Due, cursor: SyncCursor) -> str | None:
    """Why nothing is to be listed yet, if so."""
    if due.recent or due.sweep or cursor.polled_at is None:
        return None
    return f"Listed at {cursor.polled_at:%H:%M} UTC; the next listing is due {due.interval} later."


def first_session(
    dataset: Dataset, catalog: S3Catalog, ledger: Ledger, settings: Settings, now: dt.datetime
) -> dt.date:
    """The first session whose file counts: of what was ever asked for, or of the recent months."""
    if settings.sync_start:
        return max(settings.sync_start, dataset.first_session)
    recent = dt.date(*recent_months(now)[0], 1)
    known = inventory.known_range(dataset, catalog, ledger)
    return min(known[0], recent) if known else recent


def months_to_list(
    dataset: Dataset, catalog: S3Catalog, ledger: Ledger, first: dt.date, now: dt.datetime
) -> set[tuple[int, int]]:
    """The recent months, and the latest ones with files that were to be had and are not.

    The latter cannot wait for a sweep.
    """
    unfinished = set()
    for entry in ledger.entries(catalog.get_prefix(dataset.name)):
        if entry.state == "failed" or (entry.state == "corrupt" and entry.has_file):
            session = _session_of(catalog, entry.key)
            if session >= first and calendars.is_session(dataset.calendar, session):
                unfinished.add((session.year, session.month))
    return {*recent_months(now), *sorted(unfinished, reverse=True)[:_UNFINISHED_MONTHS]}


def list_months(list_folder: ListFolder, months: Iterable[tuple[int, int]]) -> Listing:
    """List some months.

    Raises:
        FlatFilesError: One of them could not be listed to its end.
    """
    found = Listing()
    for year, month in months:
        found |= list_folder(f"{year:04}/{month:02}/")
    return found


def list_years(list_folder: ListFolder, latest: int, first: int, *, deadline: float) -> Sweep:
    """List years, latest first, as many as there is time for.

    Args:
        list_folder: Lists a folder.
        latest: The year to begin with.
        first: The last one of the sweep.
        deadline: When to begin no further year, by the monotonic clock, in seconds.
    """
    found = Listing()
    for year in range(latest, max(first - 1, latest - _YEARS_PER_TICK), -1):
        if time.monotonic() > deadline:
            return Sweep(found, year)
        try:
            found |= list_folder(f"{year:04}/")
        except FlatFilesError as error:
            return Sweep(found, year, error)
    following = latest - _YEARS_PER_TICK
    return Sweep(found, following if following >= first else None)


def of_folder(
    catalog: S3Catalog, ledger: Ledger, prefix: str, listed: Iterable[RemoteObject], first: dt.date
) -> Listing:
    """The feed's files among the objects of a folder, from a session on, beside the ledger's entries."""
    sessions = ((_session_of(catalog, item.key), item) for item in listed if catalog.validate_key(item.key))
    remote = {session: item for session, item in sessions if session >= first}
    return Listing(remote, {entry.key: entry for entry in ledger.entries(prefix)})


def next_cursor(cursor: SyncCursor, due: Due, sweep: Sweep | None, now: dt.datetime) -> SyncCursor:
    """The memory after a tick that requested all it found."""
    polled_at = now if due.recent else cursor.polled_at
    if sweep is None:
        return dataclasses.replace(cursor, polled_at=polled_at)
    if sweep.next_year is None:
        return SyncCursor(polled_at, now, None)
    return SyncCursor(polled_at, cursor.swept_at, sweep.next_year)


def _session_of(catalog: S3Catalog, key: str) -> dt.date:
    return dt.date.fromisoformat(catalog.parse_key_metadata(key)["date"])

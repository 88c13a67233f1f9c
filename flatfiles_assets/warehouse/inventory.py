"""What there is of each session of a feed, and why there is no more.

Here: one status per session, from the calendar, the ledger and ``market.files``. The command line,
the sensors and the pictures in the UI all read this one answer. Nothing here asks the network.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

from flatfiles_assets import calendars
from flatfiles_assets.datasets import NEW_YORK, Dataset
from flatfiles_assets.download.ledger import Ledger, LedgerEntry
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import TableNotFound, WarehouseMissing
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.session_states import QUARANTINED_COLOUR, SESSION_STATES, STATES, State
from flatfiles_assets.warehouse.tables import get_table


@dataclasses.dataclass(frozen=True)
class SessionStatus:
    """What there is of one session.

    Attributes:
        session: The session's date.
        state: What `SESSION_STATES` describes.
        rows: Rows in the warehouse.
        quarantined_share: Rejected rows over rows read, 0 to 1.
        detail: The last failure's message.
    """

    session: dt.date
    state: State
    rows: int = 0
    quarantined_share: float = 0.0
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class StoredFile:
    """One line of ``market.files``: the file that a session's rows come from.

    Attributes:
        state: ``loaded``: the accepted rows are in the table. ``refused``: none could be accepted.
        sha256: The file's hexadecimal SHA-256.
        rows_read: Its data rows.
        rows_accepted: Rows in the table; of a refused file, those of the one before it.
        rows_rejected: Rows in the quarantine.
        message: Why it was refused.
        loaded_at: When the rows were committed, UTC.
    """

    state: str
    sha256: str
    rows_read: int
    rows_accepted: int
    rows_rejected: int
    message: str
    loaded_at: dt.datetime


KEPT_OUT = "columns kept out: "
"""How the message of a loaded file begins that has columns which are not the feed's."""


@dataclasses.dataclass(frozen=True)
class LoadedSession:
    """One line of ``market.files``: what was read of a session's file, and what was stored.

    Attributes:
        session: The session's date.
        sha256: Checksum of the file whose rows are stored.
        rows_read: Data rows in the file.
        rows_accepted: Rows that were stored.
        rejected_by_rule: Quarantined rows by rule.
        message: What else there is to say, e.g. which columns were kept out.
    """

    session: dt.date
    sha256: str
    rows_read: int
    rows_accepted: int
    rejected_by_rule: Mapping[str, int]
    message: str | None = None


def last_published_session(dataset: Dataset, now: dt.datetime) -> dt.date:
    """The latest session whose file should have been published by now.

    A file is published on the day after the session, at the feed's usual hour in New York.
    """
    local = now.astimezone(ZoneInfo(NEW_YORK))
    latest = local.date() - dt.timedelta(days=1 if local.time() >= dataset.publish_time else 2)
    known = calendars.sessions(dataset.calendar, dataset.first_session, max(latest, dataset.first_session))
    return known[-1]


def feed_inventory(
    dataset: Dataset,
    catalog: S3Catalog,
    ledger: Ledger,
    warehouse: Warehouse,
    start: dt.date,
    end: dt.date,
    *,
    with_closed_days: bool = False,
) -> list[SessionStatus]:
    """The status of every session of a feed from start to end, both included.

    With `with_closed_days`, days that the calendar calls closed and of which a file is known, too.
    """
    stored = stored_files(warehouse, dataset)
    sessions = calendars.sessions(dataset.calendar, max(start, dataset.first_session), end)
    if with_closed_days:
        noted = ledger.entries(catalog.get_prefix(dataset.name))
        names = (catalog.parse_key_metadata(entry.key)["date"] for entry in noted)
        days = {*stored, *map(dt.date.fromisoformat, names)}
        sessions = sorted({*sessions, *(day for day in days if start <= day <= end)})
    keys = {session: catalog.get_key(dataset.name, session) for session in sessions}
    entries = ledger.get_many(list(keys.values()))
    return [_status(session, entries.get(keys[session]), stored.get(session)) for session in sessions]


def note_closed_days(
    dataset: Dataset, ledger: Ledger, keys: Mapping[dt.date, str], entries: Mapping[str, LedgerEntry]
) -> list[dt.date]:
    """Write down files on days that the calendar calls closed, where nothing is known of them yet.

    Args:
        dataset: The feed.
        ledger: Where they are noted, so that the status shows them.
        keys: The keys of a listing, by day.
        entries: What the ledger has of them.

    Returns:
        The days that are no session.
    """
    closed = [day for day in sorted(keys) if not calendars.is_session(dataset.calendar, day)]
    for day in closed:
        if keys[day] not in entries:
            ledger.mark(keys[day], "failed", _closed_day(dataset, day))
    return closed


def _closed_day(dataset: Dataset, day: dt.date) -> str:
    return (
        f"the bucket has a file of {day}, which the calendar {dataset.calendar} calls closed; "
        f"FLATFILES_EXTRA_SESSIONS={dataset.calendar}:{day} makes it a session that can be loaded"
    )


def known_range(dataset: Dataset, catalog: S3Catalog, ledger: Ledger) -> tuple[dt.date, dt.date] | None:
    """First and last session that anybody ever asked for; None where nobody did."""
    prefix = catalog.get_prefix(dataset.name)
    days = [
        dt.date.fromisoformat(catalog.parse_key_metadata(entry.key)["date"])
        for entry in ledger.entries(prefix)
    ]
    return (min(days), max(days)) if days else None


def count_states(statuses: Iterable[SessionStatus]) -> dict[State, int]:
    """How many sessions are in each state, in the order of `STATES`, empty ones left out."""
    counts = collections.Counter(status.state for status in statuses)
    return {state: counts[state] for state in STATES if counts[state]}


def counts_in_words(statuses: Iterable[SessionStatus]) -> str:
    """How many sessions are in each state, e.g. ``250 present, 1 corrupt file``."""
    return ", ".join(f"{n} {SESSION_STATES[state].label}" for state, n in count_states(statuses).items())


def incomplete(statuses: Iterable[SessionStatus]) -> Sequence[dt.date]:
    """The sessions that a backfill has to ask for."""
    return [status.session for status in statuses if status.state != "present"]


def _status(session: dt.date, entry: LedgerEntry | None, stored: StoredFile | None) -> SessionStatus:
    if stored is None:
        if entry is None:
            return SessionStatus(session, "missing")
        state: State = "downloaded" if entry.state == "downloaded" else entry.state
        return SessionStatus(session, state, detail=entry.message or "")
    share = stored.rows_rejected / stored.rows_read if stored.rows_read else 0.0
    if stored.state == "refused":
        return SessionStatus(session, "refused", stored.rows_accepted, detail=stored.message)
    if entry is not None and entry.state == "corrupt":
        return SessionStatus(session, "corrupt", stored.rows_accepted, share, entry.message or "")
    if entry is not None and entry.state == "downloaded" and entry.sha256 != stored.sha256:
        return SessionStatus(session, "stale", stored.rows_accepted, share, "the file was replaced since")
    return SessionStatus(session, "present", stored.rows_accepted, share)


def stored_files(warehouse: Warehouse, dataset: Dataset) -> dict[dt.date, StoredFile]:
    """The file that was last loaded or refused, by session.

    Raises:
        WarehouseBusy: The wait for the warehouse was longer than its limit.
    """
    with warehouse.reader() as reader:
        try:
            rows = reader.sql(
                """
                SELECT trade_date, state, sha256, rows_read, rows_accepted, coalesce(rows_rejected, 0),
                       coalesce(message, ''), loaded_at
                FROM market.files WHERE feed = $feed
                """,
                {"feed": dataset.name},
            ).fetchall()
        except (TableNotFound, WarehouseMissing):
            return {}
        files = {row[0]: StoredFile(*row[1:]) for row in rows}
        refused = [day for day, file in files.items() if file.state == "refused"]
        kept = _stored_rows(reader, dataset, refused) if refused else {}
    return files | {
        day: dataclasses.replace(files[day], rows_accepted=rows_stored) for day, rows_stored in kept.items()
    }


def _stored_rows(reader: WarehouseReader, dataset: Dataset, days: list[dt.date]) -> dict[dt.date, int]:
    table = get_table(("market", dataset.name)).stored_name
    try:
        return dict(
            reader.sql(
                f"SELECT trade_date, count(*) FROM {table} WHERE list_contains($days, trade_date) GROUP BY 1",  # noqa: S608
                {"days": days},
            ).fetchall()
        )
    except TableNotFound:
        return {}


def loaded_sessions(
    reader: WarehouseReader, feed: str, *, rules_version: str | None = None
) -> dict[dt.date, LoadedSession]:
    """Every session of a feed that was loaded, in order; none where nothing ever was.

    Args:
        reader: Where to read.
        feed: Name of the feed.
        rules_version: The rules under which it must have been loaded; None for any.
    """
    try:
        rows = reader.sql(
            """
            SELECT f.trade_date, f.sha256, f.rows_read, f.rows_accepted, q.rules, q.counts, f.message
            FROM market.files f
            LEFT JOIN (
                SELECT trade_date, list(rule ORDER BY rule) AS rules, list(n ORDER BY rule) AS counts
                FROM (SELECT trade_date, rule, count(*) AS n FROM market.quarantine
                      WHERE feed = $feed GROUP BY ALL)
                GROUP BY trade_date
            ) q USING (trade_date)
            WHERE f.feed = $feed AND f.state = 'loaded'
              AND f.rules_version = coalesce($rules_version, f.rules_version)
            ORDER BY f.trade_date
            """,
            {"feed": feed, "rules_version": rules_version},
        ).fetchall()
    except (TableNotFound, WarehouseMissing):
        return {}
    return {
        day: LoadedSession(
            day, sha256, read, accepted, dict(zip(rules or (), counts or (), strict=True)), message
        )
        for day, sha256, read, accepted, rules, counts, message in rows
    }


def colour_of(status: SessionStatus) -> str:
    """The colour of a session: its state's, darker the more of its rows were rejected."""
    base, dark = _rgb(SESSION_STATES[status.state].colour), _rgb(QUARANTINED_COLOUR)
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

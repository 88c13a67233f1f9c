"""What a sync sensor remembers from tick to tick, and how often it looks; pure.

Here: the cursor, its text form, and the rhythm of polls and sweeps. Not here: what a listing means
(`download/remote_changes.py`). The cursor is a few dozen bytes whatever the bucket holds: which files
there are is the ledger's knowledge. Times in it only ever delay work, and a clock that was set back
ends the delay.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from zoneinfo import ZoneInfo

from flatfiles_assets import calendars
from flatfiles_assets.datasets import NEW_YORK, Dataset
from flatfiles_assets.download.remote_changes import has_rested
from flatfiles_assets.settings import load_settings

SWEEP_INTERVAL = dt.timedelta(days=7)
RECENT_MONTHS = 3

_VERSION = 1
_PUBLICATION_LASTS = dt.timedelta(hours=3)
_POLL_WHILE_PUBLISHING = dt.timedelta(minutes=5)
_POLL_OTHERWISE = dt.timedelta(minutes=30)


@dataclasses.dataclass(frozen=True)
class SyncCursor:
    """The memory of one sensor.

    Attributes:
        polled_at: When the recent months were last listed to the end.
        swept_at: When the last full sweep was completed.
        next_year: The year that the sweep under way lists next; None where none is under way.
    """

    polled_at: dt.datetime | None = None
    swept_at: dt.datetime | None = None
    next_year: int | None = None

    def encode(self) -> str:
        """The cursor as text."""
        return json.dumps(
            {
                "version": _VERSION,
                "polled_at": self.polled_at.isoformat() if self.polled_at else None,
                "swept_at": self.swept_at.isoformat() if self.swept_at else None,
                "next_year": self.next_year,
            }
        )

    @classmethod
    def decode(cls, text: str | None) -> SyncCursor:
        """The cursor of a text; a new one for text that is no cursor of this version.

        A cursor that is lost costs a listing, never a file.
        """
        try:
            values = json.loads(text or "{}")
            if values["version"] != _VERSION:
                return cls()
            year = values["next_year"]
            return cls(
                _time(values["polled_at"]), _time(values["swept_at"]), None if year is None else int(year)
            )
        except (ValueError, TypeError, KeyError):
            return cls()

    def is_poll_due(self, interval: dt.timedelta, now: dt.datetime) -> bool:
        """Whether the recent months are to be listed."""
        return has_rested(self.polled_at, interval, now)

    def is_sweep_due(self, now: dt.datetime) -> bool:
        """Whether all years are to be listed, or the sweep under way to be continued."""
        return self.next_year is not None or has_rested(self.swept_at, SWEEP_INTERVAL, now)


def tick_seconds(usual: int) -> int:
    """How often Dagster asks a sensor; FLATFILES_SYNC_POLL_SECONDS makes it more often.

    Dagster stores more than a kilobyte for every tick, also for one that asked for nothing: a sensor
    ticks as often as its news is worth and no more.
    """
    return max(1, min(usual, int(load_settings().sync_poll_seconds or usual)))


def poll_interval(dataset: Dataset, now: dt.datetime) -> dt.timedelta:
    """How long a listing of the recent months is good for.

    Five minutes in the three hours after the feed's usual time on a day after a session, else half
    an hour: feeds are late, and old files are replaced at any time.
    """
    local = now.astimezone(ZoneInfo(NEW_YORK))
    yesterday = local.date() - dt.timedelta(days=1)
    begins = dt.datetime.combine(local.date(), dataset.publish_time, local.tzinfo)
    publishing = begins <= local < begins + _PUBLICATION_LASTS
    if publishing and calendars.is_session(dataset.calendar, yesterday):
        return _POLL_WHILE_PUBLISHING
    return _POLL_OTHERWISE


def recent_months(now: dt.datetime) -> list[tuple[int, int]]:
    """The months whose files are listed with every poll, as (year, month), earliest first."""
    local = now.astimezone(ZoneInfo(NEW_YORK))
    last = local.year * 12 + local.month - 1
    return [(month // 12, month % 12 + 1) for month in range(last - RECENT_MONTHS + 1, last + 1)]


def _time(text: object) -> dt.datetime | None:
    if not isinstance(text, str):
        return None
    parsed = dt.datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else None

"""Dagster's partitions, derived from the exchange calendars.

Here: one function per kind of partitions, and how ranges of keys are found. Not here: which days
have a session (`calendars.py`).

The exclusions are one cron line for the closed days of the week and one datetime per holiday:
thousands of datetimes would make every hash of the definition slow. Nothing is derived from the
clock, so the definition is the same today and tomorrow.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Sequence

import dagster as dg

from flatfiles_assets import calendars
from flatfiles_assets.datasets import NEW_YORK, CalendarName, Dataset

HISTORICAL_YEARS = tuple(str(year) for year in range(2002, 2010))


@functools.cache
def session_partitions(
    calendar: CalendarName,
    first_session: dt.date,
    timezone: str = NEW_YORK,
    end: dt.date | None = None,
) -> dg.TimeWindowPartitionsDefinition:
    """Daily partitions that are exactly a calendar's sessions, keyed ``YYYY-MM-DD``.

    A session's partition exists once its day has ended in `timezone`; `end` (excluded) closes a
    history that does not grow.
    """
    closed_days_of_week = calendars.closed_weekday_numbers(calendar)
    holidays = calendars.closed_weekdays(calendar, first_session)
    exclusions: list[str | dt.datetime] = [
        # Dagster replaces the zone of an exclusion by the definition's, so these stay naive.
        dt.datetime(day.year, day.month, day.day)  # noqa: DTZ001
        for day in holidays
        if end is None or day < end
    ]
    if closed_days_of_week:
        exclusions.insert(0, f"0 0 * * {','.join(map(str, closed_days_of_week))}")
    return dg.TimeWindowPartitionsDefinition(
        start=first_session.isoformat(),
        end=end.isoformat() if end else None,
        cron_schedule="0 0 * * *",
        fmt="%Y-%m-%d",
        timezone=timezone,
        exclusions=exclusions or None,
    )


def dataset_partitions(dataset: Dataset) -> dg.TimeWindowPartitionsDefinition:
    """The sessions of a feed."""
    return session_partitions(dataset.calendar, dataset.first_session, dataset.timezone)


@functools.cache
def year_partitions() -> dg.TimeWindowPartitionsDefinition:
    """One partition per historical year, keyed ``YYYY``, so that sessions map onto their year.

    They change on 2 January. Dagster maps a window that begins on a closed day onto the session before,
    too, so on New Year's Day every year would ask for the last session of the year before it.
    """
    return dg.TimeWindowPartitionsDefinition(
        start=dt.datetime(int(HISTORICAL_YEARS[0]), 1, 2),  # noqa: DTZ001  # in `timezone`
        end=dt.datetime(int(HISTORICAL_YEARS[-1]) + 1, 1, 2),  # noqa: DTZ001
        cron_schedule="0 0 2 1 *",
        fmt="%Y",
        timezone=NEW_YORK,
    )


def key_ranges(
    partitions: dg.PartitionsDefinition[str],
    wanted: Iterable[str],
    *,
    longest: int,
    bridge: int = 0,
) -> list[Sequence[str]]:
    """The fewest ranges of consecutive keys that cover the wanted ones.

    Args:
        partitions: The definition whose order counts.
        wanted: Keys to cover; those that the definition does not have are left out.
        longest: Most keys in one range.
        bridge: Up to this many unwanted keys between two wanted ones join a range, because a run
            costs more than a few partitions that turn out to be up to date.

    Returns:
        Each range as its first and last key.
    """
    keys = partitions.get_partition_keys()
    position = {key: index for index, key in enumerate(keys)}
    ranges: list[list[int]] = []
    for index in sorted(position[key] for key in set(wanted) if key in position):
        if ranges and index - ranges[-1][1] <= bridge + 1 and index - ranges[-1][0] < longest:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return [(keys[first], keys[last]) for first, last in ranges]

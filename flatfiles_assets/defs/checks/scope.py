"""Over which sessions a check looks when no run says so, and which it leaves out.

Here: plain dates. Not here: the sessions of a run, and those that a check keeps in view
(`feed_checks.py`).
"""

from __future__ import annotations

import datetime as dt

from flatfiles_assets.calendars import parse_date
from flatfiles_assets.datasets import Dataset, get_dataset
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.inventory import loaded_sessions


def latest_sessions(dataset: Dataset, warehouse: Warehouse) -> list[dt.date]:
    """The last sessions loaded, as many as one run of the feed takes: what a check run alone looks at."""
    with warehouse.reader() as reader:
        return list(loaded_sessions(reader, dataset.name))[-dataset.max_partitions_per_run :]


def accepted_sessions(dataset: Dataset) -> frozenset[dt.date]:
    """The sessions of a feed that an operator accepts as they are, and that no check judges any more.

    They are written ``FLATFILES_ACCEPTED_SESSIONS=stocks_daily:2019-08-12,options_daily:2020-01-02``.

    Raises:
        InvalidArgument: An entry is not a feed and a date.
    """
    accepted = set()
    for entry in load_settings().accepted_sessions.split(","):
        feed, separator, day = entry.strip().partition(":")
        if not separator and not feed:
            continue
        if not separator:
            raise InvalidArgument(
                f"{entry.strip()!r} is not a feed and a date",
                where="FLATFILES_ACCEPTED_SESSIONS",
                next_step="write feed:YYYY-MM-DD, several with commas between",
            )
        if get_dataset(feed.strip()) == dataset:
            accepted.add(parse_date(day.strip()))
    return frozenset(accepted)

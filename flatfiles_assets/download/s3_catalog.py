"""Dates ↔ keys of the vendor's bucket, without a request.

Here: `S3Catalog`, pure functions of the registry and the calendars. Not here: whether an object
exists (`async_downloader.py`, `sync_downloader.py`) and what has been fetched (`ledger.py`).

Every key has the form ``<prefix>/<type>/<YYYY>/<MM>/<YYYY-MM-DD>.csv.gz`` and holds one session of
one feed, all symbols in one file.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Sequence

from flatfiles_assets.calendars import DateLike, parse_date, sessions
from flatfiles_assets.datasets import DATASETS, CalendarName, Dataset, get_dataset
from flatfiles_assets.errors import InvalidArgument

_KEY = re.compile(
    r"(?P<prefix>[^/]+)/(?P<vendor_type>[^/]+)/(?P<year>[0-9]{4})/(?P<month>[0-9]{2})/"
    r"(?P<date>(?P=year)-(?P=month)-[0-9]{2})\.csv\.gz"
)
_FOLDER = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]+")
_OPTIONS_PREFIX = get_dataset("options_daily").prefix
_STOCK_CALENDAR: CalendarName = "XNYS"


class S3Catalog:
    """Which key holds which session of which feed, and back.

    Dates are given as ``"YYYY-MM-DD"``, `datetime.date`, `datetime.datetime` (pandas timestamps
    included; their own date counts, whatever the zone) or `numpy.datetime64`. Data types are the
    names in the registry: ``stocks_daily``, ``stocks_minute``, ``options_daily``, ``options_minute``
    and the feeds that are off by default.

    Args:
        bucket: Name of the bucket; kept for callers, it is no part of a key.
        options_prefix: First folder of the option feeds' keys. The live vendor's is
            ``us_options_opra``, which `Settings.options_prefix` holds. Parsing accepts both.

    Raises:
        InvalidArgument: The prefix is not the name of one folder, or is another feed's.

    Example:
        >>> S3Catalog().get_stocks_daily_key("2024-01-02")
        'us_stocks_sip/day_aggs_v1/2024/01/2024-01-02.csv.gz'
    """

    def __init__(self, bucket: str = "flatfiles", options_prefix: str = "us_options") -> None:
        taken = {prefix for feed in DATASETS.values() if not _is_options(feed) for prefix in feed.prefixes}
        if not _FOLDER.fullmatch(options_prefix) or options_prefix in taken:
            raise InvalidArgument(
                f"{options_prefix!r} cannot be the options' prefix",
                next_step="use us_options, us_options_opra or another single folder of its own",
            )
        self.bucket = bucket
        self.options_prefix = options_prefix
        self._by_folders = {
            (prefix, feed.vendor_type): feed
            for feed in DATASETS.values()
            for prefix in (self._prefix(feed), *feed.prefixes)
        }

    def _prefix(self, feed: Dataset) -> str:
        return self.options_prefix if _is_options(feed) else feed.prefix

    def get_key(self, data_type: str, date: DateLike) -> str:
        """The key of a feed's file for one day.

        This only writes the date into the key: for a day without a session (a Saturday) it is a key
        that no file will ever have. `get_date_range_keys` knows the calendar.

        Raises:
            InvalidArgument: The data type is unknown (the message lists those there are) or the
                date is not a real one.
        """
        day = parse_date(date)
        return f"{self.get_prefix(data_type)}{day.year:04}/{day.month:02}/{day}.csv.gz"

    def get_prefix(self, data_type: str) -> str:
        """What every key of a feed begins with, the slash at its end included.

        Raises:
            InvalidArgument: The data type is unknown; the message lists those there are.
        """
        feed = get_dataset(data_type)
        return f"{self._prefix(feed)}/{feed.vendor_type}/"

    def get_stocks_daily_key(self, date: DateLike) -> str:
        """Key of the stock day bars of one day; see `get_key`."""
        return self.get_key("stocks_daily", date)

    def get_stocks_minute_key(self, date: DateLike) -> str:
        """Key of the stock minute bars of one day; see `get_key`."""
        return self.get_key("stocks_minute", date)

    def get_options_daily_key(self, date: DateLike) -> str:
        """Key of the option day bars of one day; see `get_key`."""
        return self.get_key("options_daily", date)

    def get_options_minute_key(self, date: DateLike) -> str:
        """Key of the option minute bars of one day; see `get_key`."""
        return self.get_key("options_minute", date)

    def get_date_range_keys(
        self,
        data_type: str,
        start_date: DateLike,
        end_date: DateLike,
        symbols: Sequence[str] | None = None,  # noqa: ARG002 - part of the documented signature
    ) -> list[str]:
        """Keys of a feed for every session of its own calendar in a range, in order.

        Sessions before the vendor's first file of the feed have no key. Whether a file has been
        published yet is not looked at.

        Args:
            data_type: Name of the feed.
            start_date: First day, included.
            end_date: Last day, included.
            symbols: Does not narrow the keys, because each file holds all symbols; filter the rows.

        Raises:
            InvalidArgument: The data type is unknown, a date is not a real one, or the range is
                reversed or leaves the calendar.
        """
        feed = get_dataset(data_type)
        days = sessions(feed.calendar, start_date, end_date)
        return [self.get_key(data_type, day) for day in days if day >= feed.first_session]

    def parse_key_metadata(self, key: str) -> dict[str, str]:
        """What a key says: ``data_type``, ``date`` (YYYY-MM-DD), ``year`` (YYYY), ``month`` (MM).

        All values are text, as in the key. Option keys are understood under ``us_options``,
        ``us_options_opra`` and this catalog's own prefix.

        Raises:
            InvalidArgument: It is not the key of a known feed and a real date.
        """
        found = self._parse(key)
        if found is None:
            raise InvalidArgument(
                f"{key!r} is not the key of a flat file",
                next_step="expected <prefix>/<type>/YYYY/MM/YYYY-MM-DD.csv.gz with a real date and one of "
                + ", ".join(sorted("/".join(folders) for folders in self._by_folders)),
            )
        return found

    def validate_key(self, key: str) -> bool:
        """Whether a key is exactly that of a known feed's file.

        The date is a real one, and the year's and month's folders agree with it. The calendar is
        not asked.
        """
        return self._parse(key) is not None

    def _parse(self, key: object) -> dict[str, str] | None:
        match = _KEY.fullmatch(key) if isinstance(key, str) else None
        feed = self._by_folders.get((match["prefix"], match["vendor_type"])) if match else None
        if match is None or feed is None:
            return None
        try:
            parse_date(match["date"])
        except InvalidArgument:
            return None
        return {
            "data_type": feed.name,
            "date": match["date"],
            "year": match["year"],
            "month": match["month"],
        }

    def get_summary(self, keys: Iterable[str]) -> dict[str, int]:
        """How many keys there are: ``total``, one count per data type, and ``unknown``.

        The feeds that are on by default are always named, further ones where they occur. Unknown
        are those that `validate_key` refuses.
        """
        parsed = [self._parse(key) for key in keys]
        counts = collections.Counter(found["data_type"] if found else "unknown" for found in parsed)
        data_types = [name for name, feed in DATASETS.items() if feed.enabled or name in counts]
        return {
            "total": len(parsed),
            **{name: counts[name] for name in data_types},
            "unknown": counts["unknown"],
        }

    @staticmethod
    def get_business_days(start_date: DateLike, end_date: DateLike) -> list[str]:
        """The sessions of the New York Stock Exchange in a range, both ends included, as YYYY-MM-DD.

        Weekends, holidays and unscheduled closures are not among them; half days are.

        Raises:
            InvalidArgument: A date is not a real one, or the range is reversed or leaves the calendar.
        """
        return [day.isoformat() for day in sessions(_STOCK_CALENDAR, start_date, end_date)]

    @staticmethod
    def get_missing_dates(
        existing_dates: Iterable[DateLike], start_date: DateLike, end_date: DateLike
    ) -> list[str]:
        """The sessions of `get_business_days` that are not among the existing dates.

        Raises:
            InvalidArgument: As `get_business_days`, and for an existing date that is not one.
        """
        existing = {parse_date(date, "existing date") for date in existing_dates}
        days = sessions(_STOCK_CALENDAR, start_date, end_date)
        return [day.isoformat() for day in days if day not in existing]


def _is_options(feed: Dataset) -> bool:
    return feed.prefix == _OPTIONS_PREFIX

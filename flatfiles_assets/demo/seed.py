"""What the demo's two buckets hold, and which faults are planted where.

Here: the plan, as data, and putting it into a store. Not here: the store (`embedded_s3.py`), the
files' forms (`vendor_files.py`, `minio_files.py`), nor the run that reads them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets import calendars
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.minio_directories import directory_objects
from flatfiles_assets.demo.minio_files import (
    HistoricalLayout,
    historical_bars,
    hostile_zip,
    write_bars_zip,
    write_year_zip,
)
from flatfiles_assets.demo.vendor_files import object_key, to_csv_gz, vendor_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DateRange = tuple[dt.date, dt.date]

# Each range is there for a reason: the overlap with the 2008 archive across a split, a quarter to
# compute features on, a half day, and the week in which volumes became fractional.
_OVERLAP = (dt.date(2008, 5, 12), dt.date(2008, 6, 6))
_QUARTER = (dt.date(2024, 1, 2), dt.date(2024, 3, 28))
_HALF_DAY = (dt.date(2024, 7, 3), dt.date(2024, 7, 3))
_FRACTIONAL_VOLUMES = (dt.date(2026, 2, 18), dt.date(2026, 2, 27))
_DETAILED_WEEK = (dt.date(2024, 3, 11), dt.date(2024, 3, 15))

SEEDED_RANGES: Mapping[str, tuple[DateRange, ...]] = {
    "stocks_daily": (_OVERLAP, _QUARTER, _HALF_DAY, _FRACTIONAL_VOLUMES),
    "stocks_minute": (_DETAILED_WEEK, _HALF_DAY, (dt.date(2026, 2, 23), dt.date(2026, 2, 23))),
    "options_daily": (_DETAILED_WEEK,),
    "options_minute": (_DETAILED_WEEK,),
}

SYMBOLS_WITH_MINUTES = 120


@dataclasses.dataclass(frozen=True)
class Planted:
    """A fault or an oddity that the platform is expected to find.

    Attributes:
        key: Object concerned.
        fault: Name of the fault: one of `vendor_files`, or ``not_published``, ``replaced``,
            ``hostile`` or a difference between the two sources.
        description: One sentence for people.
        session: Day concerned, where there is one.
        ticker: Symbol concerned, where there is one.
    """

    key: str
    fault: str
    description: str
    session: dt.date | None = None
    ticker: str | None = None


@dataclasses.dataclass(frozen=True)
class SeedManifest:
    """What was put into a bucket.

    Attributes:
        bucket: Its name.
        sizes_bytes: Every object, by key.
        planted: What is wrong or odd, and where.
    """

    bucket: str
    sizes_bytes: Mapping[str, int]
    planted: tuple[Planted, ...]

    def with_fault(self, fault: str) -> tuple[Planted, ...]:
        """The plants of that name."""
        return tuple(plant for plant in self.planted if plant.fault == fault)


def _planted_day(session: dt.date, fault: str, description: str) -> Planted:
    return Planted(object_key("stocks_daily", session), fault, description, session)


REPLACED_SESSION = dt.date(2024, 1, 10)

FLATFILES_FAULTS = (
    _planted_day(REPLACED_SESSION, "replaced", "published with a part of its rows, replaced later"),
    _planted_day(dt.date(2024, 1, 24), "truncated", "the gzip stream is cut"),
    _planted_day(dt.date(2024, 2, 7), "not_published", "the session's file is missing"),
    _planted_day(dt.date(2024, 2, 21), "bad_rows", "duplicates, an empty ticker, a high below its low"),
    _planted_day(dt.date(2024, 3, 6), "misdated", "every row is stamped with the day after"),
)

HISTORICAL_LAYOUTS: Mapping[int, HistoricalLayout] = {
    2002: HistoricalLayout("long", separator="\t", extension=".txt", heading_style="lower", folder="data"),
    2003: HistoricalLayout(
        "per_day", separator="|", date_format="%Y%m%d", heading_style="angle", volume_heading="<VOL>",
        extension=".csv.gz", nested=True, file_date_format="%Y%m%d", named_fields_repeated=True,
    ),
    2008: HistoricalLayout(
        "per_symbol", date_format="%m/%d/%Y", adjusted_close=True, folder="2008", newest_first=True,
    ),
    2009: HistoricalLayout("long", header=False, separator=";", date_format="%Y-%m-%d", extension=".CSV"),
}  # fmt: skip

HOSTILE_YEAR = 2005
OVERLAP_YEAR = 2008

_SPLIT_ADJUSTED, _SPLIT_DATE, _SPLIT_RATIO = "BUCY", dt.date(2008, 5, 28), 2.0
_DIFFERENT, _DIFFERENT_SESSION, _DIFFERENT_FACTOR = "JPM", dt.date(2008, 5, 20), 1.1
_ONLY_IN_FLAT_FILES = "NAN"
_ONLY_IN_ARCHIVE, _ARCHIVE_ORIGINAL = "OTCQ", "NULL"
_YAHOO_STYLE = ("BRK.B", "BRK-B")

_ARCHIVE_README = b"Daily prices as delivered. No warranty.\n"


def seed_flatfiles_bucket(
    client: S3Client,
    bucket: str,
    market: SyntheticMarket | None = None,
    *,
    ranges: Mapping[str, tuple[DateRange, ...]] = SEEDED_RANGES,
) -> SeedManifest:
    """Put the vendor's files of those ranges into a bucket that exists, with their faults.

    Args:
        client: S3 client of the store.
        bucket: Name of the bucket.
        market: Where the prices come from.
        ranges: Sessions per feed, both ends included.
    """
    source = market or SyntheticMarket()
    sizes = _put_all(client, bucket, flatfiles_objects(source, ranges))
    sessions = set(_sessions(ranges.get("stocks_daily", ())))
    planted = tuple(plant for plant in FLATFILES_FAULTS if plant.session in sessions)
    return SeedManifest(bucket, sizes, planted)


def flatfiles_objects(
    market: SyntheticMarket, ranges: Mapping[str, tuple[DateRange, ...]] = SEEDED_RANGES
) -> Iterator[tuple[str, bytes]]:
    """Key and bytes of each of the vendor's files, as first published."""
    faults = {plant.key: plant.fault for plant in FLATFILES_FAULTS}
    for feed, chosen in ranges.items():
        for session in _sessions(chosen):
            key = object_key(feed, session)
            fault = faults.get(key)
            if fault == "not_published":
                continue
            table = _table(market, feed, session)
            if fault == "replaced":
                # As first published: the last third of the market had not reported yet.
                yield key, to_csv_gz(table.slice(0, table.num_rows * 2 // 3))
            else:
                yield key, vendor_file(table, fault)


def replace_one(client: S3Client, bucket: str, market: SyntheticMarket | None = None) -> str:
    """Replace the incomplete file in place by the complete one, as the vendor does; returns its key."""
    table = _table(market or SyntheticMarket(), "stocks_daily", REPLACED_SESSION)
    key = object_key("stocks_daily", REPLACED_SESSION)
    client.put_object(Bucket=bucket, Key=key, Body=to_csv_gz(table))
    return key


def seed_minio_bucket(
    client: S3Client,
    bucket: str,
    market: SyntheticMarket | None = None,
    *,
    years: Mapping[int, HistoricalLayout] = HISTORICAL_LAYOUTS,
) -> SeedManifest:
    """Put the yearly archives, a hostile one and the four directories into a bucket that exists.

    Args:
        client: S3 client of the store.
        bucket: Name of the bucket.
        market: Where the prices come from.
        years: Layout of each year's archive.
    """
    source = market or SyntheticMarket()
    hostile = Planted(
        f"{HOSTILE_YEAR}.zip", "hostile", "a member's name leaves the directory it is extracted to"
    )
    sizes = _put_all(client, bucket, minio_objects(source, years))
    differences = planted_differences() if OVERLAP_YEAR in years else ()
    return SeedManifest(bucket, sizes, (hostile, *differences))


def minio_objects(
    market: SyntheticMarket, years: Mapping[int, HistoricalLayout] = HISTORICAL_LAYOUTS
) -> Iterator[tuple[str, bytes]]:
    """Key and bytes of each object of the user's bucket."""
    for year, layout in years.items():
        if year == OVERLAP_YEAR:
            # Files per symbol: names that differ in case only would make the archive unusable.
            symbols = [ticker for ticker in market.tickers if ticker != "BCpC"]
            bars = with_planted_differences(historical_bars(market, year, symbols))
            readme = {"2008/README.txt": _ARCHIVE_README}
            yield f"{year}.zip", write_bars_zip(bars, layout, str(year), readme)
        else:
            yield f"{year}.zip", write_year_zip(market, year, layout)
    yield f"{HOSTILE_YEAR}.zip", hostile_zip(HOSTILE_YEAR)
    yield from directory_objects(market).items()


def planted_differences() -> tuple[Planted, ...]:
    """How the 2008 archive differs from the flat files."""
    key = f"{OVERLAP_YEAR}.zip"
    return (
        Planted(
            key,
            "split_adjusted",
            f"prices before {_SPLIT_DATE} are already divided by the split's {_SPLIT_RATIO:g}",
            _SPLIT_DATE,
            _SPLIT_ADJUSTED,
        ),
        Planted(key, "price_difference", "prices are 10 % higher", _DIFFERENT_SESSION, _DIFFERENT),
        Planted(key, "only_in_flat_files", "the archive lacks the symbol", ticker=_ONLY_IN_FLAT_FILES),
        Planted(key, "only_in_archive", "the flat files lack the symbol", ticker=_ONLY_IN_ARCHIVE),
        Planted(key, "other_symbol_style", f"written {_YAHOO_STYLE[1]}", ticker=_YAHOO_STYLE[0]),
    )


def with_planted_differences(bars: pa.Table) -> pa.Table:
    """Historical bars of 2008 with the differences that `planted_differences` tells of."""
    bars = bars.filter(pc.not_equal(bars["ticker"], _ONLY_IN_FLAT_FILES))
    tickers = bars["ticker"].to_numpy(zero_copy_only=False)
    dates = bars["trade_date"].to_numpy()
    adjusted = (tickers == _SPLIT_ADJUSTED) & (dates < np.datetime64(_SPLIT_DATE))
    different = (tickers == _DIFFERENT) & (dates == np.datetime64(_DIFFERENT_SESSION))
    price_factor = np.where(adjusted, 1 / _SPLIT_RATIO, np.where(different, _DIFFERENT_FACTOR, 1.0))
    for name in ("open", "high", "low", "close"):
        prices = bars[name].to_numpy()
        changed = np.where(price_factor == 1.0, prices, np.round(prices * price_factor, 4))
        bars = bars.set_column(bars.column_names.index(name), name, pa.array(changed))
    volumes = bars["volume"].to_numpy() * np.where(adjusted, _SPLIT_RATIO, 1.0)
    bars = bars.set_column(bars.column_names.index("volume"), "volume", pa.array(volumes))
    extra = bars.filter(pc.equal(bars["ticker"], _ARCHIVE_ORIGINAL))
    bars = pa.concat_tables([bars, _renamed(extra, _ARCHIVE_ORIGINAL, _ONLY_IN_ARCHIVE)])
    return _renamed(bars, *_YAHOO_STYLE)


def _renamed(bars: pa.Table, old: str, new: str) -> pa.Table:
    tickers = pc.if_else(pc.equal(bars["ticker"], old), new, bars["ticker"])
    return bars.set_column(bars.column_names.index("ticker"), "ticker", tickers)


def _table(market: SyntheticMarket, feed: str, session: dt.date) -> pa.Table:
    if feed == "stocks_daily":
        return market.day_bars(session)
    if feed == "stocks_minute":
        return market.minute_bars(session, market.tickers[:SYMBOLS_WITH_MINUTES])
    if feed == "options_daily":
        return market.option_day_bars(session)
    return market.option_minute_bars(session)


def _sessions(ranges: tuple[DateRange, ...]) -> Iterator[dt.date]:
    for start, end in ranges:
        yield from calendars.sessions("XNYS", start, end)


def _put_all(client: S3Client, bucket: str, objects: Iterator[tuple[str, bytes]]) -> dict[str, int]:
    """Put each object while the next is being made; returns their sizes by key."""
    sizes: dict[str, int] = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        pending = []
        for key, payload in objects:
            sizes[key] = len(payload)
            pending.append(pool.submit(client.put_object, Bucket=bucket, Key=key, Body=payload))
        for put in pending:
            put.result()
    return sizes

"""Securities that a ticker alone does not tell: what reference data do to software, in one quarter.

Here: a rename, a ticker given anew, mergers, records that are doubled, early, false or no splits at all,
a fund, a warrant, identifiers and a third of a snapshot that are missing; their bars and their records.
Not here: the ordinary companies (`universe.py`) and their events (`corporate_actions.py`).

Each of these tickers has bars from 11 January to July 2024 at most, so that the demo's first quarter of
2024 shows them all.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flatfiles_assets import calendars
from flatfiles_assets.demo.intraday import DayBar

FIRST, LAST = dt.date(2024, 1, 11), dt.date(2024, 7, 31)

#: A third of all tickers is missing from the snapshot of that day.
HOLE = dt.date(2024, 2, 1)

_STREAM = 6
_VOLATILITY = 0.008


@dataclasses.dataclass(frozen=True)
class Series:
    """One ticker's bars.

    Attributes:
        ticker: Symbol.
        path: Name of the price path; tickers of one security share it.
        price: Price around which the path runs on its first day, USD, as published then.
        first: First session.
        last: Last session.
        splits: Session, shares before and after, as they really happened to the path.
        drops: Session and factor of a price that falls without a split: a spin-off.
        dollars: Typical traded value, USD.
    """

    ticker: str
    path: str
    price: float
    first: dt.date = FIRST
    last: dt.date = LAST
    splits: tuple[tuple[dt.date, int, int], ...] = ()
    drops: tuple[tuple[dt.date, float], ...] = ()
    dollars: float = 3e7


@dataclasses.dataclass(frozen=True)
class Listing:
    """A row of the vendor's list of tickers, between two days."""

    ticker: str
    name: str
    type: str
    first: dt.date
    last: dt.date
    figi: str | None
    cik: str | None = None


def _day(month: int, day: int, year: int = 2024) -> dt.date:
    return dt.date(year, month, day)


_RENAMED, _MERGED, _REUSED = _day(2, 26), _day(3, 12), _day(3, 4)
_REVERSE, _FUND_ENDS, _TAKEN_OVER = _day(1, 30), _day(1, 19), _day(2, 15)

SERIES = (
    Series("OLDN", "renamed", 0.8, last=_day(2, 23), splits=((_REVERSE, 10, 1),)),
    Series("NEWN", "renamed", 0.8, first=_RENAMED, splits=((_REVERSE, 10, 1),)),
    Series("RUSE", "fund", 12.31, last=_FUND_ENDS, dollars=4e5),
    Series("RUSE", "reuser", 184.0, first=_REUSED, dollars=9e7),
    Series("TRGA", "merged", 4.95, last=_day(3, 11), splits=((_MERGED, 2, 1),)),
    Series("MMAL", "merged", 4.95, first=_MERGED, splits=((_MERGED, 2, 1),)),
    Series("TKOV", "taken over", 31.0, last=_TAKEN_OVER),
    Series("ACQR", "acquirer", 77.0),
    Series("DUPE", "conflicting", 0.12, splits=((_day(2, 20), 15, 1),)),
    Series("ERLY", "early", 130.0, splits=((_day(2, 22), 1, 2),)),
    Series("FLSE", "false", 62.0, splits=((_day(2, 13), 1, 2),)),
    Series("SPIN", "spin-off", 45.0, drops=((_day(3, 5), 1000 / 1580),)),
    Series("INDX", "index fund", 51.0, dollars=6e7),
    Series("SPAQW", "warrant", 0.35, dollars=8e4),
)

#: As the vendor files them: under today's ticker, doubled, a session early, on a false day, or no split.
SPLIT_RECORDS = (
    ("NEWN", _REVERSE, 10, 1, "reverse_split"),
    ("MMAL", _MERGED, 2, 1, "reverse_split"),
    ("DUPE", _day(2, 20), 15, 1, "reverse_split"),
    ("DUPE", _day(2, 20), 20, 1, "reverse_split"),
    ("ERLY", _day(2, 21), 1, 2, "forward_split"),
    ("FLSE", _day(2, 12), 1, 2, "forward_split"),
    ("FLSE", _day(2, 13), 1, 2, "forward_split"),
    ("SPIN", _day(3, 5), 1000, 1580, "forward_split"),
)

#: Security, day and ticker of each change on record; the first rename is dated two sessions late.
EVENTS = (
    ("Renamed Holdings", "0000777001", _day(3, 15, 2019), "OLDN"),
    ("Renamed Holdings", "0000777001", _day(2, 28), "NEWN"),
    ("Metal Materials", "0000777002", _day(6, 1, 2018), "TRGA"),
    ("Metal Materials", "0000777002", _MERGED, "MMAL"),
)

_LISTINGS = (
    Listing("OLDN", "Renamed Holdings", "CS", FIRST, _day(2, 23), None, "0000777001"),
    Listing("NEWN", "Renamed Holdings", "CS", _RENAMED, LAST, None, "0000777001"),
    Listing("RUSE", "Retired Universal ETF", "ETF", FIRST, _FUND_ENDS, "BBG00DEMO001", "0000777003"),
    Listing("RUSE", "Reuse Industries", "CS", _REUSED, LAST, "BBG00DEMO002", "0000777004"),
    Listing("TRGA", "Target Light", "CS", FIRST, _day(3, 11), None, "0000777002"),
    Listing("MMAL", "Metal Materials", "CS", _MERGED, LAST, None, "0000777005"),
    Listing("TKOV", "Taken Over Corp", "CS", FIRST, _TAKEN_OVER, "BBG00DEMO003", "0000777006"),
    Listing("ACQR", "Acquirer Inc", "CS", FIRST, LAST, "BBG00DEMO004", "0000777007"),
    Listing("DUPE", "Conflicting Records Ltd", "ADRC", FIRST, LAST, "BBG00DEMO005", "0000777008"),
    Listing("ERLY", "Early 3X Fund", "ETF", FIRST, LAST, "BBG00DEMO006", "0000777009"),
    Listing("FLSE", "False Day Inc", "CS", FIRST, LAST, "BBG00DEMO007", "0000777010"),
    Listing("SPIN", "Spin-Off Parent", "CS", FIRST, LAST, "BBG00DEMO008", "0000777011"),
    Listing("INDX", "Index Fund", "ETF", FIRST, LAST, "BBG00DEMO009", "0000777009"),
    Listing("SPAQW", "Special Purpose Acquisition Warrant", "WARRANT", FIRST, LAST, None, "0000777012"),
)


@dataclasses.dataclass(frozen=True)
class CaseBar:
    """One day bar; prices as published."""

    ticker: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    transactions: int

    def day_bar(self) -> DayBar:
        """The bar as `intraday` takes it apart."""
        return DayBar(
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            volume=self.volume,
            transactions=self.transactions,
            decimals=2 if self.close >= 1 else 4,
            volume_unit=1.0,
        )


def case_bars(session: dt.date, seed: int) -> list[CaseBar]:
    """The day bars of these tickers on a session, by ticker."""
    if not FIRST <= session <= LAST:
        return []
    bars = [_bar(each, session, seed) for each in SERIES if each.first <= session <= each.last]
    return sorted(bars, key=lambda bar: bar.ticker)


def _bar(series: Series, session: dt.date, seed: int) -> CaseBar:
    moves, opens, size = _path(series.path, seed)
    position = _positions()[session]
    before = moves[max(position - 1, 0)]
    factor = series.price
    shares = 1.0
    for day, split_from, split_to in series.splits:
        if session >= day:
            factor *= split_from / split_to
            shares *= split_to / split_from
    for day, drop in series.drops:
        factor *= drop if session >= day else 1.0
    decimals = 4 if factor < 1 else 2
    opened, closed = (
        round(factor * float(np.exp(level)), decimals)
        for level in (before + opens[position], moves[position])
    )
    # In shares, so that a split shows in the volume and a spin-off does not.
    volume = max(round(series.dollars / series.price * shares * float(np.exp(size[position]))), 100)
    spread = 10.0**-decimals
    return CaseBar(
        series.ticker,
        opened,
        round(max(opened, closed) + spread, decimals),
        round(min(opened, closed) - spread, decimals),
        closed,
        float(volume),
        max(volume // 120, 1),
    )


@functools.lru_cache(maxsize=64)
def _path(name: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log levels at the close, moves overnight, and log sizes, by session."""
    random = np.random.default_rng([seed, _STREAM, *name.encode()])
    count = len(_positions())
    steps, nights, sizes = random.standard_normal((3, count))
    levels = np.cumsum(_VOLATILITY * steps)
    return levels - levels[0], 0.3 * _VOLATILITY * nights, 0.25 * sizes


@functools.lru_cache(maxsize=1)
def _positions() -> Mapping[dt.date, int]:
    return {day: number for number, day in enumerate(calendars.sessions("XNYS", FIRST, LAST))}


def case_splits() -> list[dict[str, Any]]:
    """The splits on record, as the vendor's endpoint gives them, newest first."""
    records = [
        {
            "id": f"E{number:03}{ticker}{day:%Y%m%d}",
            "ticker": ticker,
            "execution_date": day.isoformat(),
            "split_from": split_from,
            "split_to": split_to,
            "adjustment_type": kind,
        }
        for number, (ticker, day, split_from, split_to, kind) in enumerate(SPLIT_RECORDS)
    ]
    return sorted(records, key=lambda record: str(record["execution_date"]), reverse=True)


def case_events() -> list[dict[str, Any]]:
    """Changes of ticker on record, one row each; these securities have no FIGI."""
    return [
        {"entity": f"CIK{cik}", "name": name, "cik": cik, "date": day.isoformat(), "ticker": ticker,
         "type": "ticker_change"}
        for name, cik, day, ticker in EVENTS
    ]  # fmt: skip


def case_tickers(day: dt.date) -> list[dict[str, Any]]:
    """These tickers as the vendor lists them on a day, listed and delisted."""
    rows = []
    for each in _LISTINGS:
        if each.first > day:
            continue
        active = day <= each.last
        rows.append(
            ticker_record(each.ticker, each.name, each.type, each.figi, each.cik, active)
            | ({} if active else {"delisted_utc": f"{each.last}T00:00:00Z"})
        )
    return rows


def ticker_record(
    ticker: str, name: str, kind: str, figi: str | None, cik: str | None, active: bool
) -> dict[str, Any]:
    """A ticker as the vendor lists it; fields that it does not know are left out, as the vendor does."""
    record: dict[str, Any] = {
        "ticker": ticker,
        "name": name,
        "market": "stocks",
        "locale": "us",
        "primary_exchange": "XNAS",
        "type": kind,
        "active": active,
        "currency_name": "usd",
        "cik": cik,
        "composite_figi": figi.replace("DEMO", "COMP") if figi else None,
        "share_class_figi": figi,
    }
    return {field: value for field, value in record.items() if value is not None}


def with_hole(rows: Sequence[dict[str, Any]], day: dt.date) -> list[dict[str, Any]]:
    """A snapshot as the vendor gives it: of one day a third is missing."""
    return [row for number, row in enumerate(rows) if day != HOLE or number % 3]

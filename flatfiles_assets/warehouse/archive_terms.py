"""The terms of the archives' prices beside those of the flat files, told from what both hold.

Here: `archive_terms`, what bars of the archives are to be multiplied by so that a series may go from
one source to the other. Not here: which source counts when (`unified_prices.py`), corporate actions
(`corporate_actions.py`).

The flat files' prices are as published. An archive that was made later often is adjusted for splits
that came after its bars: where a series changes its source, such a series jumps though no price did.
``market.daily_prices`` keeps both as they are. Whoever computes from its bars reads them through
`ArchiveTerms.applied`: a stretch of sessions that only the archive has is put in the terms that the
sessions next to it show, which both sources have. What they show differently before and after a
stretch is laid to the recorded splits in it; without such records the stretch's bars of that ticker
are left out, as nobody can say where the terms change.
"""

# ruff: noqa: S608  (names are constants of this module, values are parameters)
from __future__ import annotations

import bisect
import dataclasses
import datetime as dt
import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from typing import Any

from flatfiles_assets.warehouse.day_bars import FLAT_FILES, HISTORICAL, UNIFIED
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.tables import SPLITS

# Sessions of both sources that are compared on each side of a stretch, and how far away they may be.
_COMPARED, _NEAR = 5, dt.timedelta(days=30)
# Closes of two sources differ by this much on ordinary days.
_SAME = 0.01
_STEADY = 0.005
# Beyond this factor, sources without a steady ratio do not speak of one security.
_FAR = math.log(1.2)

_PRICES = ("open", "high", "low", "close")


@dataclasses.dataclass(frozen=True)
class TermsSpan:
    """Bars of the archive that are in other terms than the flat files.

    Attributes:
        ticker: Whose.
        first: First session.
        last: Last session, included.
        price_factor: What its prices are multiplied by; None where they are left out.
        volume_factor: What its volumes are multiplied by.
    """

    ticker: str
    first: dt.date
    last: dt.date
    price_factor: float | None
    volume_factor: float = 1.0


@dataclasses.dataclass(frozen=True)
class ArchiveTerms:
    """Every span of some sessions that is in other terms; none where the sources agree."""

    spans: tuple[TermsSpan, ...] = ()

    def applied(self, query: str, columns: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """A query of bars in the flat files' terms, and the parameters that it needs besides its own.

        Args:
            query: A table's name or a query in parentheses, with ``trade_date``, ``ticker``, ``source``
                and the columns.
            columns: Its columns of prices and volumes, of which some may be wanted.
        """
        if not self.spans:
            return query, {}
        changed = [f"bars.{name} * coalesce(terms.price, 1) AS {name}" for name in columns if name in _PRICES]
        if "volume" in columns:
            changed.append("bars.volume * coalesce(terms.volume, 1) AS volume")
        replaced = f" REPLACE ({', '.join(changed)})" if changed else ""
        parameters = {
            "terms_ticker": [span.ticker for span in self.spans],
            "terms_first": [span.first for span in self.spans],
            "terms_last": [span.last for span in self.spans],
            "terms_price": [span.price_factor for span in self.spans],
            "terms_volume": [span.volume_factor for span in self.spans],
        }
        return (
            f"(SELECT bars.*{replaced} FROM {query} bars LEFT JOIN (SELECT unnest($terms_ticker) AS ticker,"
            " unnest($terms_first) AS first, unnest($terms_last) AS last,"
            " unnest($terms_price::DOUBLE[]) AS price, unnest($terms_volume) AS volume) terms"
            " ON bars.source = 'historical' AND bars.ticker = terms.ticker"
            " AND bars.trade_date BETWEEN terms.first AND terms.last"
            " WHERE terms.ticker IS NULL OR terms.price IS NOT NULL)",
            parameters,
        )

    def between(self, ticker: str, after: dt.date, until: dt.date) -> TermsSpan | None:
        """The span that begins or ends between two bars of a ticker, the second included."""
        for span in self.spans:
            if span.ticker == ticker and (after < span.first <= until or after <= span.last < until):
                return span
        return None

    def described(self) -> list[dict[str, Any]]:
        """The spans as plain values, for metadata."""
        return [
            {
                "ticker": span.ticker,
                "first": span.first.isoformat(),
                "last": span.last.isoformat(),
                "price_factor": span.price_factor,
                "volume_factor": span.volume_factor,
            }
            for span in self.spans
        ]


@dataclasses.dataclass(frozen=True)
class _Stretch:
    """Consecutive sessions that have bars of the archive, and the sessions that both sources have."""

    first: dt.date
    last: dt.date
    before: tuple[dt.date, ...]
    after: tuple[dt.date, ...]
    is_mixed: bool


@dataclasses.dataclass(frozen=True)
class _Ratio:
    """Flat files over archive: of closes, how far these differ, and the inverse of volumes."""

    price: float
    spread: float
    volume: float | None

    @property
    def is_same(self) -> bool:
        return abs(self.price - 1) <= _SAME

    @property
    def is_steady(self) -> bool:
        return self.spread <= _STEADY * self.price

    @property
    def is_of_shares(self) -> bool:
        """Whether the volumes differ as a split makes them differ, rather than not at all."""
        if not self.volume or self.volume <= 0:
            return False
        return abs(math.log(self.volume / self.price)) < abs(math.log(self.volume))


def archive_terms(
    reader: WarehouseReader, first: dt.date, last: dt.date, tickers: Collection[str] | None = None
) -> ArchiveTerms:
    """What the archives' bars of some sessions are to be multiplied by.

    Args:
        reader: The warehouse.
        first: First session.
        last: Last session, included. Sessions outside are looked at as evidence.
        tickers: Only these; None for all.
    """
    with reader.held() as held:
        if not {UNIFIED, FLAT_FILES, HISTORICAL} <= set(held.tables()):
            return ArchiveTerms()
        if not _has_archive(held, first, last):
            return ArchiveTerms()
        stretches = [each for each in _stretches(held) if each.first <= last and each.last >= first]
        wanted = None if tickers is None else sorted(tickers)
        ratios = _ratios(held, stretches, wanted)
        changing = {ticker for ticker, of_sides in ratios.items() if any(_differs(*s) for s in of_sides)}
        splits = _splits(held, changing, stretches) if changing else {}
    spans = [
        span
        for ticker, of_sides in sorted(ratios.items())
        for stretch, (before, after) in zip(stretches, of_sides, strict=True)
        for span in _spans(ticker, stretch, before, after, splits.get(ticker, ()))
    ]
    return ArchiveTerms(tuple(spans))


def _has_archive(reader: WarehouseReader, first: dt.date, last: dt.date) -> bool:
    query = f"SELECT 1 FROM {UNIFIED} WHERE trade_date BETWEEN ? AND ? AND source = 'historical' LIMIT 1"
    return reader.sql(query, [first, last]).fetchone() is not None


def _stretches(reader: WarehouseReader) -> list[_Stretch]:
    """Runs of sessions with bars of the archive, no session of the flat files alone between them."""
    rows = reader.sql(
        "SELECT trade_date, bool_or(source = 'historical'), bool_or(source <> 'historical')"
        f" FROM {UNIFIED} WHERE trade_date BETWEEN (SELECT min(trade_date) FROM {HISTORICAL})"
        f" AND (SELECT max(trade_date) FROM {HISTORICAL}) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    both = sorted(
        day
        for (day,) in reader.sql(
            f"SELECT DISTINCT trade_date FROM {HISTORICAL}"
            f" INTERSECT SELECT DISTINCT trade_date FROM {FLAT_FILES}"
            f" WHERE trade_date <= (SELECT max(trade_date) FROM {HISTORICAL})"
        ).fetchall()
    )
    runs: list[list[Any]] = []
    open_run = False
    for day, has_archive, has_flat in rows:
        if has_archive:
            if open_run and runs[-1][2] == has_flat:
                runs[-1][1] = day
            else:
                runs.append([day, day, has_flat])
        open_run = has_archive
    return [_Stretch(run[0], run[1], *_evidence(both, *run), run[2]) for run in runs]


def _evidence(
    both: Sequence[dt.date], first: dt.date, last: dt.date, is_mixed: bool
) -> tuple[tuple[dt.date, ...], tuple[dt.date, ...]]:
    """Sessions of both sources next to a stretch; around and within it where it holds bars of both."""
    if is_mixed:
        lo, hi = bisect.bisect_left(both, first - _NEAR), bisect.bisect_right(both, last + _NEAR)
        return (), tuple(both[lo:hi])
    lo, hi = bisect.bisect_left(both, first), bisect.bisect_right(both, last)
    before = tuple(day for day in both[max(lo - _COMPARED, 0) : lo] if first - day <= _NEAR)
    after = tuple(day for day in both[hi : hi + _COMPARED] if day - last <= _NEAR)
    return before, after


def _ratios(
    reader: WarehouseReader, stretches: Sequence[_Stretch], tickers: Sequence[str] | None
) -> dict[str, list[tuple[_Ratio | None, _Ratio | None]]]:
    """Per ticker, what the sessions before and after each stretch say."""
    windows = [
        (2 * number + side, day)
        for number, stretch in enumerate(stretches)
        for side, days in enumerate((stretch.before, stretch.after))
        for day in days
    ]
    if not windows:
        return {}
    only, parameters = "", {}
    if tickers is not None:
        only, parameters = "AND list_contains($tickers, ticker)", {"tickers": list(tickers)}
    rows = reader.sql(
        f"""
        WITH windows AS (SELECT unnest($numbers) AS number, unnest($days) AS trade_date),
        compared AS (
            SELECT number, trade_date, ticker, f.close / a.close AS ratio,
                   a.volume / nullif(f.volume, 0) AS volume
            FROM (SELECT trade_date, ticker, close, volume FROM {FLAT_FILES}
                  WHERE trade_date BETWEEN $lo AND $hi) f
            JOIN (SELECT trade_date, ticker, close, volume FROM {HISTORICAL}
                  WHERE trade_date BETWEEN $lo AND $hi) a USING (trade_date, ticker)
            JOIN windows USING (trade_date)
            WHERE f.close > 0 AND a.close > 0 {only}
        )
        SELECT ticker, number, list(ratio ORDER BY trade_date), list(volume ORDER BY trade_date)
        FROM compared SEMI JOIN (FROM compared WHERE abs(ratio - 1) > {_SAME}) USING (ticker)
        GROUP BY ALL
        """,
        {
            "numbers": [number for number, _ in windows],
            "days": [day for _, day in windows],
            "lo": min(day for _, day in windows),
            "hi": max(day for _, day in windows),
            **parameters,
        },
    ).fetchall()
    found: dict[str, list[_Ratio | None]] = {}
    for ticker, number, prices, volumes in rows:
        stretch = stretches[number // 2]
        of_ticker = found.setdefault(ticker, [None] * (2 * len(stretches)))
        of_ticker[number] = _ratio(prices, volumes, None if stretch.is_mixed else -1 + number % 2)
    return {ticker: list(zip(sides[::2], sides[1::2], strict=True)) for ticker, sides in found.items()}


def _ratio(prices: Sequence[float], volumes: Sequence[float | None], nearest: int | None) -> _Ratio:
    """What sessions say together: the nearest of them, or their median where none is nearer."""
    if nearest is None:
        price = statistics.median(prices)
        known = [volume for volume in volumes if volume is not None]
        off = statistics.median(abs(each - price) for each in prices)
        return _Ratio(price, off, statistics.median(known) if known else None)
    price = prices[nearest]
    # A split between two of them moves the ratio: one other session must say the same.
    others = [each for at, each in enumerate(prices) if at != nearest % len(prices)]
    found = _Ratio(price, min((abs(each - price) for each in others), default=0.0), volumes[nearest])
    return found if others or found.is_of_shares else dataclasses.replace(found, spread=math.inf)


def _splits(
    reader: WarehouseReader, tickers: Collection[str], stretches: Sequence[_Stretch]
) -> dict[str, list[tuple[dt.date, float]]]:
    if SPLITS.sql_name not in reader.tables():
        return {}
    rows = reader.sql(
        f"SELECT DISTINCT ticker, execution_date, split_to / split_from FROM {SPLITS.sql_name}"
        " WHERE list_contains($tickers, ticker) AND execution_date BETWEEN $first AND $last ORDER BY ALL",
        {
            "tickers": sorted(tickers),
            "first": min((*each.before, each.first)[0] for each in stretches),
            "last": max((each.last, *each.after)[-1] for each in stretches),
        },
    ).fetchall()
    found: dict[str, list[tuple[dt.date, float]]] = defaultdict(list)
    for ticker, day, ratio in rows:
        found[ticker].append((day, float(ratio)))
    return found


def _differs(before: _Ratio | None, after: _Ratio | None) -> bool:
    return before is not None and after is not None and abs(before.price / after.price - 1) > _SAME


def _spans(
    ticker: str,
    stretch: _Stretch,
    before: _Ratio | None,
    after: _Ratio | None,
    splits: Sequence[tuple[dt.date, float]],
) -> Iterator[TermsSpan]:
    ratio = after or before
    if ratio is None:
        return
    if before is not None and after is not None and _differs(before, after):
        steps = _steps(stretch, before, after, splits)
        if steps is None:
            yield TermsSpan(ticker, stretch.first, stretch.last, None)
            return
        first, factor = stretch.first, before.price
        for day, size in [*steps, (stretch.last + dt.timedelta(days=1), 1.0)]:
            last = day - dt.timedelta(days=1)
            if first <= last and abs(factor - 1) > _SAME:
                yield TermsSpan(ticker, first, last, *_factors(_Ratio(factor, 0.0, factor)))
            first, factor = max(first, day), factor / size
        return
    if ratio.is_same:
        return
    if ratio.is_steady:
        yield TermsSpan(ticker, stretch.first, stretch.last, *_factors(ratio))
    elif abs(math.log(ratio.price)) > _FAR:
        yield TermsSpan(ticker, stretch.first, stretch.last, None)


def _steps(
    stretch: _Stretch, before: _Ratio, after: _Ratio, splits: Sequence[tuple[dt.date, float]]
) -> list[tuple[dt.date, float]] | None:
    """The recorded splits that lead from the terms before a stretch to those after it."""
    if not (before.is_steady and after.is_steady):
        return None
    lo, hi = (*stretch.before, stretch.first)[0], (stretch.last, *stretch.after)[-1]
    inside = [(day, size) for day, size in splits if lo < day <= hi]
    wanted = before.price / after.price
    for chosen in (inside, *([each] for each in inside)):
        if chosen and abs(math.prod(size for _, size in chosen) / wanted - 1) <= 2 * _SAME:
            return list(chosen)
    return None


def _factors(ratio: _Ratio) -> tuple[float, float]:
    """Of prices and of volumes; a ratio of shares is exact."""
    if not ratio.is_of_shares:
        return ratio.price, 1.0
    exact = Fraction(ratio.price).limit_denominator(20)
    if exact <= 0 or abs(float(exact) / ratio.price - 1) > _STEADY:
        exact = 1 / Fraction(1 / ratio.price).limit_denominator(20)
    price = float(exact) if abs(float(exact) / ratio.price - 1) <= _STEADY else ratio.price
    return price, 1 / price

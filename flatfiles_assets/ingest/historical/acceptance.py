"""After reading: whether what was read can be the day bars of US stocks, or the layout is to be doubted.

A layout may parse every row and still be wrong: bars of weeks, two copies of one market, names of
companies for tickers. Each doubt here is a count over all rows that a year of day bars passes with a
wide margin. Here: counts to doubts. Not here: the counting (`group_figures`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt

from flatfiles_assets.ingest.historical.group_figures import (
    GroupFigures,
    Keys,
    days_of,
    starts_of,
    without_repeats,
)
from flatfiles_assets.ingest.historical.name_variants import names_longer_bars
from flatfiles_assets.ingest.historical.symbol_marks import SymbolMap, is_plausible
from flatfiles_assets.ingest.layouts.date_evidence import session_days
from flatfiles_assets.ingest.layouts.layout import FileLayout, NotUnderstood
from flatfiles_assets.ingest.layouts.overrides import LayoutOverride
from flatfiles_assets.ingest.layouts.price_scales import CHEAPEST, DEAREST

# Below this many rows a share says little.
_FEWEST_ROWS = 20
_MOST_FAULTY = 0.05
_MOST_DISORDERLY = 0.2
_MOST_STRANGE = 0.1
# Sessions from a bar to the next: one for days, about five for weeks.
_LONGEST_STEP = 3
_FEWEST_STEPS = 4
_TICKERS_LOOKED_AT = 300
_FEWEST_KNOWN, _FEWEST_TO_RECOGNISE, _FEWEST_RECOGNISED = 200, 5, 0.2


@dataclasses.dataclass(frozen=True)
class ReadGroup:
    """Files that were read with one layout.

    Attributes:
        names: Their names.
        layout: The layout.
        stated: What an override states about them.
        figures: What was counted of its bars.
        rows: Rows read.
        rejected: Rejected rows by the rule that they break.
    """

    names: Sequence[str]
    layout: FileLayout
    stated: LayoutOverride
    figures: GroupFigures
    rows: int = 0
    rejected: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def is_daily(self) -> bool:
        """Whether its rows are days."""
        return self.layout.bar_size == "daily"


@dataclasses.dataclass(frozen=True)
class YearSymbols:
    """The symbols of a year.

    Attributes:
        map: From symbols to tickers.
        codes: A code per ticker.
        known: Tickers that the warehouse knows of that year; empty where it has none.
    """

    map: SymbolMap
    codes: Mapping[str, int]
    known: AbstractSet[str] = frozenset()

    def keys(self, group: ReadGroup) -> Keys:
        """The sorted keys of a group's bars; see `GroupFigures.keys`."""
        codes = {symbol: self.codes[self.map.tickers.get(symbol, symbol)] for symbol in group.figures.symbols}
        return group.figures.keys(codes, is_daily=group.is_daily)

    def tickers(self, group: ReadGroup) -> list[str]:
        """A group's tickers."""
        return sorted({self.map.tickers.get(symbol, symbol) for symbol in group.figures.symbols})


def doubt(group: ReadGroup, symbols: YearSymbols, year: int) -> NotUnderstood | None:
    """The first reason to doubt how a group was read, with its numbers; None where there is none."""
    keys = symbols.keys(group)
    checks: tuple[Callable[[], NotUnderstood | None], ...] = (
        lambda: _faulty_rows(group, keys, year),
        lambda: _distance(group, keys),
        lambda: _tickers(group, symbols),
        lambda: _prices(group),
    )
    return next((found for check in checks if (found := check()) is not None), None)


def _faulty_rows(group: ReadGroup, keys: Keys, year: int) -> NotUnderstood | None:
    if group.rows < _FEWEST_ROWS:
        return None
    repeated = group.rejected.get("duplicate", 0) + (
        int(np.count_nonzero(keys[1:] == keys[:-1])) if group.is_daily else 0
    )
    if repeated > _MOST_FAULTY * group.rows:
        return NotUnderstood(
            f"{repeated:,} of {group.rows:,} rows have a symbol and date that an earlier row has "
            f"({repeated / group.rows:.0%}): it holds more than one bar of a day, or one market twice; state "
            "in an override what tells them apart, or ignore one copy",
            settling={"ignore": True},
        )
    misdated = group.rejected.get("misdated", 0)
    if misdated > _MOST_FAULTY * group.rows:
        return NotUnderstood(
            f"{misdated:,} of {group.rows:,} rows have a date that is no session of {year} "
            f"({misdated / group.rows:.0%}): its dates are read wrongly, or it is of other years; state "
            "`date_format` or `timezone` in an override",
            settling={"date_format": group.layout.date_format},
        )
    disorderly = group.rejected.get("ohlc", 0)
    if disorderly > _MOST_DISORDERLY * group.rows:
        return NotUnderstood(
            f"{disorderly:,} of {group.rows:,} rows have open or close outside low and high "
            f"({disorderly / group.rows:.0%}); state `columns` in an override",
            settling={"columns": list(group.layout.columns)},
        )
    return None


def _distance(group: ReadGroup, keys: Keys) -> NotUnderstood | None:
    if group.stated.frequency == "daily":
        return None
    if group.stated.frequency:
        return NotUnderstood(f"an override says that its bars are {group.stated.frequency}", is_table=False)
    steps = list(_steps_between_bars(keys, group.figures.first_day))
    if len(steps) and sum(len(each) for each in steps) >= _FEWEST_STEPS:
        typical = float(np.median([float(np.median(each)) for each in steps]))
        if typical >= _LONGEST_STEP:
            return NotUnderstood(
                f"its bars come every {typical:.0f} sessions, like bars of weeks or months and not of "
                "days; if "
                "they are day bars all the same, state `frequency` in an override",
                settling={"frequency": "daily"},
            )
    elif group.is_daily and all(map(names_longer_bars, group.names)):
        return NotUnderstood(
            "its name says that its bars are of weeks or months; if they are day bars all the same, state "
            "`frequency` in an override",
            settling={"frequency": "daily"},
        )
    return None


def _steps_between_bars(keys: Keys, first_day: int) -> Iterator[npt.NDArray[np.int64]]:
    """Per ticker, how many sessions lie between its bars; of some tickers."""
    starts = starts_of(keys)
    chosen = range(0, len(starts) - 1, max(1, len(starts) // _TICKERS_LOOKED_AT))
    for start, end in ((starts[place], starts[place + 1]) for place in chosen):
        sessions = np.searchsorted(session_days(), days_of(keys[start:end], first_day))
        steps = np.diff(sessions)
        steps = steps[steps > 0]
        if len(steps):
            yield steps


def _tickers(group: ReadGroup, symbols: YearSymbols) -> NotUnderstood | None:
    tickers = symbols.tickers(group)
    strange = [ticker for ticker in tickers if ticker and not is_plausible(ticker)]
    is_vouched = group.stated.symbol is not None or group.stated.symbol_pattern is not None
    most = max(1, _MOST_STRANGE * len(tickers)) if len(tickers) > 1 else 0
    if len(strange) > most and not is_vouched:
        in_case = all(is_plausible(ticker.upper()) for ticker in strange)
        return NotUnderstood(
            f"{len(strange):,} of {len(tickers):,} symbols cannot be tickers of US exchanges, e.g. "
            f"{', '.join(repr(ticker) for ticker in strange[:3])}; state "
            f"{'`symbol_case`' if in_case else '`symbol_pattern`'} in an override",
            settling={"symbol_case": "upper"} if in_case else {"symbol_pattern": "^([A-Z]+)"},
        )
    if len(symbols.known) < _FEWEST_KNOWN or len(tickers) < _FEWEST_TO_RECOGNISE or is_vouched:
        return None
    recognised = len(symbols.known & set(tickers))
    if recognised < _FEWEST_RECOGNISED * len(tickers):
        return NotUnderstood(
            f"of its {len(tickers):,} symbols only {recognised:,} are tickers of that year's flat files, "
            "e.g. "
            f"{', '.join(repr(t) for t in tickers if t not in symbols.known)[:60]} are not; state "
            "`symbol_pattern` in an override",
            settling={"symbol_pattern": "^([A-Z.]+)"},
        )
    return None


def _prices(group: ReadGroup) -> NotUnderstood | None:
    if not group.figures.closes or group.stated.price_scale is not None or group.rows < _FEWEST_ROWS:
        return None
    median = float(np.nanmedian(np.concatenate(group.figures.closes)))
    if CHEAPEST <= median <= DEAREST or len(group.figures.symbols) < 2:
        return None
    return NotUnderstood(
        f"the median of its closes is {median:,.6g}, which is not that of shares; state `price_scale`, "
        "by which "
        "they are divided, in an override",
        settling={"price_scale": 1},
    )


def doubt_copies(
    groups: Sequence[ReadGroup], symbols: YearSymbols
) -> Iterator[tuple[ReadGroup, NotUnderstood]]:
    """Groups that hold the bars of another group once more.

    Day bars are preferred to days made of their parts; of two copies of one kind neither can be.
    """
    if len(groups) < 2:
        return
    accepted = sorted(groups, key=lambda group: not group.is_daily)
    keys = [without_repeats(symbols.keys(group)) for group in accepted]
    refused: set[int] = set()
    for second in range(len(accepted)):
        for first in range(second):
            if first in refused and accepted[second].is_daily:
                continue
            fewer = min(len(keys[first]), len(keys[second]))
            if fewer < _FEWEST_ROWS:
                continue
            shared = len(np.intersect1d(keys[first], keys[second], assume_unique=True))
            if shared <= _MOST_FAULTY * fewer:
                continue
            earlier, later = accepted[first], accepted[second]
            if earlier.is_daily != later.is_daily:
                yield (
                    later,
                    NotUnderstood(
                        f"{shared:,} of its days stand as day bars in {earlier.names[0]} and its "
                        "siblings, which are "
                        "taken; to take these, ignore those in an override",
                        settling={},
                    ),
                )
                refused.add(second)
                break
            for group, other, place in ((earlier, later, first), (later, earlier, second)):
                if place not in refused:
                    refused.add(place)
                    yield (
                        group,
                        NotUnderstood(
                            f"{shared:,} of its bars stand in {other.names[0]} and its siblings as well, and "
                            "nothing tells which is right; ignore one of them in an override",
                            settling={"ignore": True},
                        ),
                    )

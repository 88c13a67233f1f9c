"""What a researcher asks for, checked before anything is read.

Here: `DataRequest`. Not here: the reading of its input (`inputs.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable
from typing import Any, Literal, get_args

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.panel import Adjustment
from flatfiles_assets.algorithms.universe import Universe
from flatfiles_assets.calendars import DateLike, parse_date, parse_range
from flatfiles_assets.data_integration.errors import check_choice
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.warehouse.identities import Identity
from flatfiles_assets.warehouse.prices import CALENDAR, PanelWithSource, sessions_with_lookback

#: The terms of a result: those of its last day, or each session's own.
ResultTerms = Literal["end", "own"]


@dataclasses.dataclass(frozen=True)
class DataRequest:
    """A checked request for prices.

    Attributes:
        symbols: Distinct, in the order asked for; empty for a universe.
        sessions: The sessions of the range, those of the look-back before them, and after them those
            until the day whose terms are asked for.
        n_before: How many of them are look-back.
        n_after: How many come after the range.
        adjust: What prices are adjusted for; None for splits where the warehouse knows them.
        columns: The prices needed.
        terms: The terms of the result.
        as_of: The day that is asked from; None for the end of the range.
        identity: What a symbol means.
        universe: Who is asked for in each session, instead of symbols.
    """

    symbols: tuple[str, ...]
    sessions: tuple[dt.date, ...]
    n_before: int
    n_after: int
    adjust: Adjustment | None
    columns: tuple[str, ...] = ("close", "volume")
    terms: ResultTerms = "end"
    as_of: dt.date | None = None
    identity: Identity = "security"
    universe: Universe | None = None

    @classmethod
    def of(
        cls,
        symbols: Iterable[str] | str | Universe,
        start_date: DateLike,
        end_date: DateLike,
        adjust: Adjustment | None,
        lookback_sessions: int,
        columns: tuple[str, ...] = ("close", "volume"),
        *,
        terms: ResultTerms = "end",
        as_of: DateLike | None = None,
        identity: Identity = "security",
    ) -> DataRequest:
        """Check what a researcher asks for, before anything is read.

        Raises:
            InvalidArgument: A symbol, date, adjustment or kind of terms is not usable, or the range has
                no session that had been by `as_of`, or that has been by now.
        """
        universe = symbols if isinstance(symbols, Universe) else None
        names = () if isinstance(symbols, Universe) else _checked_symbols(symbols)
        start, end = parse_range(start_date, end_date)
        asked_from = None if as_of is None else parse_date(as_of, "as_of")
        check_choice("a kind of terms", terms, get_args(ResultTerms))
        check_choice("a kind of identity", identity, get_args(Identity))
        if adjust is not None:
            check_choice("an adjustment", adjust, get_args(Adjustment))
        if asked_from is not None and asked_from < start:
            raise InvalidArgument(
                f"nothing of the range had been by as_of={asked_from}: it starts {start}",
                next_step="choose a later as_of, or an earlier range",
            )
        last = end if asked_from is None else min(end, asked_from)
        # A session to come is neither missing nor covered.
        ended = calendars.last_ended_session(dt.datetime.now(dt.timezone.utc))
        if start > ended:
            raise InvalidArgument(
                f"no session from {start} to {last} has ended yet: the last that has is {ended}",
                next_step="choose an earlier range",
            )
        last = min(last, ended)
        if not calendars.sessions(CALENDAR, start, last):
            raise InvalidArgument(
                f"there is no exchange session from {start} to {last}", next_step="choose a longer range"
            )
        sessions, n_before = sessions_with_lookback(start, last, lookback_sessions)
        after: list[dt.date] = []
        if asked_from is not None and asked_from > last and terms == "end":
            after = calendars.sessions(CALENDAR, last + dt.timedelta(days=1), asked_from)
        return cls(
            names,
            (*sessions, *after),
            n_before,
            len(after),
            adjust,
            columns,
            terms,
            asked_from,
            identity,
            universe,
        )

    @property
    def key(self) -> list[Any]:
        """What tells this request from others, in terms of JSON."""
        days = [day.isoformat() for day in self.sessions]
        asked_from = None if self.as_of is None else self.as_of.isoformat()
        counts = (self.n_before, self.n_after)
        universe = None if self.universe is None else dataclasses.astuple(self.universe)
        kinds = (self.adjust, self.columns, self.terms, self.identity, universe)
        return [self.symbols, days, counts, kinds, asked_from]

    @property
    def asked_from(self) -> dt.date:
        """The day that is asked from: what a symbol means is what it means then."""
        return self.as_of or self.asked[-1]

    @property
    def rows(self) -> slice:
        """The rows of the range in a panel of `sessions`."""
        return slice(self.n_before, len(self.sessions) - self.n_after)

    @property
    def asked(self) -> tuple[dt.date, ...]:
        """The sessions of the range, without look-back and what comes after."""
        return self.sessions[self.rows]

    def missing(self, read: PanelWithSource) -> list[dt.date]:
        """The sessions of the range without any prices."""
        return [day for day in read.missing_sessions if self.asked[0] <= day <= self.asked[-1]]


def _checked_symbols(symbols: Iterable[str] | str) -> tuple[str, ...]:
    names = [symbols] if isinstance(symbols, str) else list(symbols)
    wrong = [name for name in names if not isinstance(name, str) or not name.strip()]
    if wrong or not names:
        raise InvalidArgument(
            f"{wrong[0]!r} is not a symbol" if wrong else "no symbols are given",
            next_step='name symbols as published, e.g. ["AAPL", "MSFT"]',
        )
    return tuple(dict.fromkeys(names))

"""What `get_data_for_algorithm` returns, and what is said of it.

Here: `AlgorithmData`, a dict that can be read, printed and plotted; metadata and warnings. Not
here: the data themselves (`algorithms/`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, overload

import numpy as np

from flatfiles_assets.algorithms import plots
from flatfiles_assets.algorithms.panel import Adjustment
from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.data_integration.errors import (
    AdjustmentWarning,
    CorporateActionWarning,
    CoverageWarning,
    IdentityWarning,
    InsufficientCoverage,
    StatementWarning,
    warn_caller,
)
from flatfiles_assets.data_integration.inputs import Input
from flatfiles_assets.data_integration.metadata import Metadata, days_in_brief
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.warehouse.corporate_actions import sentence
from flatfiles_assets.warehouse.prices import bars_per_symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from typing_extensions import TypeVar

    F = TypeVar("F", default=Any)
else:
    from typing import TypeVar

    F = TypeVar("F")

_MOST_NAMED = 5
_DATE_FIELDS = ("start", "end", "as_of")


class AlgorithmData(dict[str, Any], Generic[F]):
    """The data of one algorithm by key, e.g. ``price_data``; ``metadata`` says what they are.

    Attributes:
        from_cache: Whether it was read from the disk cache.
    """

    def __init__(self, data: Mapping[str, Any], *, from_cache: bool = False) -> None:
        super().__init__(data)
        self.from_cache = from_cache

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: Literal["metadata"], /) -> dict[str, Any]: ...

        @overload
        def __getitem__(self, key: str, /) -> F: ...

        def __getitem__(self, key: str, /) -> Any: ...

    @property
    def metadata(self) -> dict[str, Any]:
        """What the data are: adjustment, coverage, what is missing, where prices come from."""
        found: dict[str, Any] = self["metadata"]
        return found

    def plot(self, kind: str | None = None, **options: Any) -> Figure:
        """A picture of the data, in whatever form they are.

        Args:
            kind: ``prices``, ``correlation``, ``spread``, ``ranking`` or ``zscores``; None for the one
                that suits the algorithm.
            options: For ``prices``: ``symbols``; for ``spread``: ``pair``; for ``ranking``: ``top``.

        Raises:
            PlottingUnavailable: matplotlib is not installed.
            InvalidArgument: The data have no such picture.
        """
        pictures = ALGORITHMS[self.metadata["algorithm"]].pictures
        chosen = kind or next(iter(pictures))
        if chosen not in pictures:
            raise InvalidArgument(
                f"{self.metadata['algorithm']} data have no picture {chosen!r}",
                next_step=f"use one of {', '.join(pictures)}",
            )
        shown = {name: plots.as_pandas(value) for name, value in self.items() if name != "metadata"}
        return pictures[chosen](shown, **options)

    def __repr__(self) -> str:
        about = self.metadata
        head = (
            f"{about['algorithm']}: {_count(len(about['symbols']), 'symbol')}, "
            f"{about['start']} to {about['end']} ({_count(about['sessions'], 'session')}), "
            f"adjustment {about['adjustment']}{', from cache' if self.from_cache else ''}"
        )
        width = max(map(len, self))
        lines = [f"  {name:<{width}}  {_shape(value)}" for name, value in self.items() if name != "metadata"]
        return "\n".join([head, *lines, f"  {'metadata':<{width}}  {coverage_summary(about)}"])


def coverage_summary(metadata: Mapping[str, Any]) -> str:
    """Coverage and gaps in one line."""
    coverage = metadata["coverage"]
    partial = {symbol: share for symbol, share in coverage.items() if share < 1}
    parts = [f"{len(coverage) - len(partial)} of {_count(len(coverage), 'symbol')} complete"]
    if partial:
        lowest = sorted(partial, key=lambda symbol: partial[symbol])
        named = ", ".join(f"{symbol} {partial[symbol]:.0%}" for symbol in lowest[:_MOST_NAMED])
        more = len(lowest) - _MOST_NAMED
        parts.append(f"incomplete: {named}{f' and {more} more' if more > 0 else ''}")
    missing = metadata["missing_sessions"]
    if missing:
        parts.append(f"{_count(len(missing), 'session')} without any prices: {days_in_brief(missing)}")
    return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _shape(value: Any) -> str:
    rows, columns = value.shape
    return f"{type(value).__name__} {rows:,} × {columns:,}"


def describe(found: Input) -> dict[str, Any]:
    """The metadata of what was read, in terms of JSON."""
    request = found.request
    bars = bars_per_symbol(found.read.panel, request.rows)
    asked = request.asked
    symbols, members = found.read.panel.symbols, found.read.panel.members
    # A member is one by its bar, and is asked for in no other session.
    expected = bars if members is not None else np.full(len(symbols), len(asked))
    coverage = {s: int(n) / max(int(of), 1) for s, n, of in zip(symbols, bars, expected, strict=True)}
    missing = [day.isoformat() for day in request.missing(found.read)]
    missing_before = [day for day in found.read.missing_sessions if day < asked[0]]
    return {
        "symbols": list(symbols),
        "start": asked[0].isoformat(),
        "end": asked[-1].isoformat(),
        "sessions": len(asked),
        "adjustment": found.adjust,
        "universe": None if request.universe is None else dataclasses.asdict(request.universe),
        "identity": request.identity,
        "tickers": _tickers(found),
        "security_ids": dict(zip(symbols, found.read.columns.identity.security_ids, strict=True)),
        "symbols_merged": [symbol for symbol in request.symbols if symbol not in coverage],
        "terms": request.terms,
        "as_of": (request.as_of or request.sessions[-1]).isoformat(),
        "warehouse_state": found.state,
        "actions_not_as_recorded": _actions(found),
        "coverage": coverage,
        "missing_sessions": missing,
        "symbols_not_found": [symbol for symbol, share in coverage.items() if share == 0],
        "source_mix": dict(found.read.source_mix),
        "archive_terms": found.read.archive_terms.described(),
        "lookback_sessions": request.n_before,
        "lookback_missing_sessions": len(missing_before),
    }


def _tickers(found: Input) -> dict[str, list[str]]:
    """The tickers under which each series traded in the range and its look-back, oldest first."""
    first, last = found.request.sessions[0], found.request.sessions[-1]
    columns = found.read.columns
    return {
        label: [span.ticker for span in spans if span.first <= last and span.last >= first]
        for label, spans in zip(columns.labels, columns.identity.spans, strict=True)
    }


_ACTION_FIELDS = (
    "kind", "verdict", "applied", "overridden", "ticker", "recorded_ticker", "recorded_date", "session",
    "split_from", "split_to", "cash_amount", "note",
)  # fmt: skip
# Said in the metadata, and no reason for a warning: nothing about the prices is in doubt.
_SETTLED = "duplicate"


def _actions(found: Input) -> list[dict[str, Any]]:
    """Splits and dividends of the range and its look-back that are not applied as recorded."""
    first, last = found.request.sessions[0], found.request.sessions[-1]
    rows = []
    for row in found.actions.not_as_recorded.to_pylist():
        days = [day for day in (row["session"], row["recorded_date"]) if day is not None]
        if any(first <= day <= last for day in days):
            told = {name: row[name] for name in _ACTION_FIELDS}
            dates = {name: day.isoformat() for name, day in told.items() if isinstance(day, dt.date)}
            rows.append({**told, **dates, "sentence": sentence(row)})
    return rows


def _warn_of_actions(actions: Sequence[Mapping[str, Any]]) -> None:
    open_cases = [row for row in actions if row["verdict"] != _SETTLED and not row["overridden"]]
    if open_cases:
        named = "; ".join(row["sentence"] for row in open_cases[:_MOST_NAMED])
        more = len(open_cases) - _MOST_NAMED
        warn_caller(
            f"{_count(len(open_cases), 'corporate action')} not applied as recorded: {named}"
            f"{f'; and {more} more' if more > 0 else ''}. `flatfiles audit` shows the bars, overrides.csv "
            "settles them",
            CorporateActionWarning,
        )


def warn_or_refuse(metadata: Mapping[str, Any], adjust: Adjustment | None, min_coverage: float) -> None:
    """Refuse or warn about data that are not complete."""
    coverage: Mapping[str, float] = metadata["coverage"]
    too_few = {symbol: share for symbol, share in coverage.items() if share < min_coverage}
    if too_few:
        named = ", ".join(f"{symbol} {share:.1%}" for symbol, share in list(too_few.items())[:_MOST_NAMED])
        raise InsufficientCoverage(
            f"{len(too_few)} of {len(coverage)} symbols have bars on fewer than {min_coverage:.0%} of the "
            f"{metadata['sessions']} sessions",
            why=named,
            next_step="leave them out, choose another range or a lower min_coverage",
        )
    if metadata["symbols_merged"]:
        merged = metadata["symbols_merged"]
        more = f" and {len(merged) - _MOST_NAMED} more" if len(merged) > _MOST_NAMED else ""
        warn_caller(
            f"{', '.join(merged[:_MOST_NAMED])}{more}: the same security as another symbol asked for, and "
            "in the data once; identity='ticker' tells tickers apart",
            IdentityWarning,
        )
    if any(share < 1 for share in coverage.values()):
        warn_caller(coverage_summary(metadata), CoverageWarning)
    _warn_of_actions(metadata["actions_not_as_recorded"])
    if adjust is None and metadata["adjustment"] == "none":
        warn_caller(
            "prices are not adjusted for splits: reference/splits was never materialised; do that, or "
            "say adjust='none'",
            AdjustmentWarning,
        )


def warn_of_statements(notes: Mapping[str, Mapping[str, Any]]) -> None:
    """Warn of statements that are not placed by the day of their publication alone."""
    for name, note in notes.items():
        if "lag_days" not in note:
            continue
        parts = []
        if note["lagged"]:
            parts.append(
                f"{note['lagged']:,} of {note['rows']:,} rows have no usable day of publication and count "
                f"from {note['lag_days']} days after their period's end (FLATFILES_STATEMENT_LAG_DAYS)"
            )
        if note["of_unknown_shares"]:
            parts.append(
                f"{note['of_unknown_shares']:,} rows have no figures per share and in shares: a split "
                "lies between their period's end and the day they count from; a day of publication settles it"
            )
        if note["unparsed"]:
            named = ", ".join(note["examples"][:_MOST_NAMED])
            parts.append(f"{note['unparsed']:,} rows are left out, their dates are none: {named}")
        if note["restated_later"]:
            parts.append(
                f"{note['restated_later']:,} rows were restated after they were published: what they hold "
                "may not have been known then"
            )
        if by_turns := note["symbols_of_several_timeframes"]:
            parts.append(
                f"figures of different lengths follow each other in {_count(len(by_turns), 'symbol')}, e.g. "
                f"{by_turns[0]}: say timeframe='quarterly' or 'annual'"
            )
        if parts:
            warn_caller(f"{name}: {'; '.join(parts)}", StatementWarning)


def with_dates(metadata: Mapping[str, Any]) -> Metadata:
    """Metadata with dates as dates."""
    dates = {name: dt.date.fromisoformat(metadata[name]) for name in _DATE_FIELDS}
    missing = [dt.date.fromisoformat(day) for day in metadata["missing_sessions"]]
    return Metadata({**metadata, **dates, "missing_sessions": missing})

"""Judgement: from the figures of some sessions to passed or not, with the bad days by name.

Here: thresholds and pure functions. Not here: where the figures come from (`evidence.py`,
`price_evidence.py`), Dagster (`feed_checks.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.defs.checks.price_evidence import Agreement
from flatfiles_assets.warehouse.evidence import SessionFigures
from flatfiles_assets.warehouse.inventory import KEPT_OUT, LoadedSession
from flatfiles_assets.warehouse.table import TableSchema, sql_type

#: A session is compared with the median of this many sessions before it, of this many days back at
#: most; with fewer than `FEWEST_BEFORE` only an empty session is found out.
TRAILING_SESSIONS, TRAILING_DAYS, FEWEST_BEFORE = 20, 90, 5
#: The fewest rows, as a share of that median. Between the two, what the feed's own scatter says: a
#: feed whose days differ little is held to more than one whose days differ much.
LOOSEST_SHARE, STRICTEST_SHARE, SCATTERS_BELOW = 0.5, 0.8, 8.0
#: A session of minute bars must reach from this long after the open to this long before the close.
COVERAGE_SLACK = dt.timedelta(minutes=15)
#: Shares of rejected rows from which a file is doubtful, and from which it is not to be trusted. Test
#: tickers do not count: every good file has them.
DOUBTFUL_REJECTED_SHARE, UNTRUSTED_REJECTED_SHARE = 0.001, 0.05
#: Share of the tickers compared that may differ between day bars and minute bars.
DIFFERING_SHARE = 0.05

Number = float | int | str
Numbers = Mapping[str, Number]

_REGULAR_SESSION = dt.timedelta(hours=6, minutes=30)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        passed: Whether all is well.
        description: One sentence with the figures that matter.
        bad: The sessions that are not well, in order, each with what is wrong.
        numbers: What was measured, for plots over time.
        serious: False where it is a warning, and nothing is to be stopped for it.
        doubtful: Bad sessions that are no more than a warning beside others that are serious.
    """

    passed: bool
    description: str
    bad: Mapping[dt.date, str] = dataclasses.field(default_factory=dict)
    numbers: Numbers = dataclasses.field(default_factory=dict)
    serious: bool = True
    doubtful: frozenset[dt.date] = frozenset()

    @property
    def untrusted(self) -> list[dt.date]:
        """The bad sessions that must not spread, in order."""
        return [day for day in self.bad if day not in self.doubtful] if self.serious else []


def by_session(
    sessions: Sequence[dt.date],
    problem: Callable[[dt.date], str],
    claim: str,
    numbers: Numbers | None = None,
    *,
    serious: bool = True,
) -> Verdict:
    """A verdict over sessions, each judged alone.

    Args:
        sessions: The sessions judged.
        problem: What is wrong with a session; empty for nothing.
        claim: What a good session is, e.g. ``"no key twice"``.
        numbers: Further figures.
        serious: Whether it is more than a warning.
    """
    bad = {day: found for day in sorted(sessions) if (found := problem(day))}
    figures = {"sessions_checked": len(sessions), "sessions_bad": len(bad), **(numbers or {})}
    if not bad:
        return Verdict(True, f"{claim}: true of {len(sessions)} session(s)", {}, figures, serious)
    return Verdict(False, f"{claim}: not so on {named(bad)}", bad, figures, serious)


def named(days: Mapping[dt.date, str], most: int = 5) -> str:
    """Bad days with their reasons, as text."""
    text = "; ".join(f"{day}: {problem}" for day, problem in list(days.items())[:most])
    return text + (f"; and {len(days) - most} more" if len(days) > most else "")


def judge_schema(table: TableSchema, stored: Mapping[str, str]) -> Verdict:
    """Whether the stored columns are the registry's, by name and type."""
    wanted = {column.name: sql_type(column.table_type) for column in table.columns}
    if not stored:
        return Verdict(True, "nothing is stored yet", {}, {"columns": 0})
    problems = [f"{name} is missing" for name in wanted if name not in stored]
    # Text beside the registry's columns is what FLATFILES_EXTRA_COLUMNS=store adds.
    further = [name for name, kind in stored.items() if name not in wanted and kind == "VARCHAR"]
    problems += [
        f"{name} is not in the registry" for name in stored if name not in wanted and name not in further
    ]
    problems += [
        f"{name} is {stored[name]} and should be {wanted[name]}"
        for name in wanted
        if name in stored and stored[name] != wanted[name]
    ]
    numbers = {"columns": len(stored)}
    if problems:
        return Verdict(False, f"{table.sql_name}: {'; '.join(problems)}", {}, numbers)
    also = f" and {', '.join(further)}" if further else ""
    text = f"{table.sql_name} has the {len(stored) - len(further)} columns of the registry{also}"
    return Verdict(True, text, {}, numbers)


def judge_further_columns(sessions: Sequence[dt.date], loaded: Mapping[dt.date, LoadedSession]) -> Verdict:
    """Whether files had columns that are not the feed's and were kept out; a warning at most."""
    kept_out = {
        day: message
        for day in sessions
        if (message := loaded[day].message) is not None and message.startswith(KEPT_OUT)
    }
    numbers = {"sessions": len(sessions), "with_further_columns": len(kept_out)}
    if not kept_out:
        return Verdict(True, "no column of a file was kept out", {}, numbers, serious=False)
    text = (
        f"{len(kept_out)} session(s) have columns that the feed has not: {kept_out[max(kept_out)]}; "
        "FLATFILES_EXTRA_COLUMNS=store and loading them again stores them"
    )
    return Verdict(False, text, kept_out, numbers, serious=False)


def judge_row_counts(
    sessions: Sequence[dt.date],
    figures: Mapping[dt.date, SessionFigures],
    loaded: Mapping[dt.date, LoadedSession],
    *,
    follows_hours: bool,
) -> Verdict:
    """Whether each session has about as many rows as those before it, and all that were accepted.

    Args:
        sessions: The sessions judged.
        figures: What is stored of them.
        loaded: What was loaded, of these and earlier sessions.
        follows_hours: Whether an early close has fewer rows in proportion, as of minute bars.
    """
    days = sorted(loaded)
    counts = [loaded[day].rows_accepted for day in days]
    position = {day: index for index, day in enumerate(days)}
    shares: list[float] = []

    def problem(day: dt.date) -> str:
        rows = figures[day].rows if day in figures else 0
        line = loaded.get(day)
        if line is not None and rows != line.rows_accepted:
            return f"{rows:,} rows are stored, {line.rows_accepted:,} were accepted"
        end = position.get(day, len(days))
        before = [
            counts[index]
            for index in range(max(end - TRAILING_SESSIONS, 0), end)
            if (day - days[index]).days <= TRAILING_DAYS and counts[index]
        ]
        if len(before) < FEWEST_BEFORE:
            return "" if rows or not before else "no rows at all"
        median = statistics.median(before)
        shares.append(rows / median)
        least = median * fewest_share(before)
        if follows_hours:
            opens, closes = calendars.regular_hours(day)
            least *= (closes - opens) / _REGULAR_SESSION
        if rows >= least:
            return ""
        return (
            f"{rows:,} rows are {rows / median:.0%} of the median of the {len(before)} before, {median:,.0f}"
        )

    bad = {day: found for day in sorted(sessions) if (found := problem(day))}
    numbers: dict[str, Number] = {
        "sessions_checked": len(sessions),
        "sessions_bad": len(bad),
        "rows": sum(figures[day].rows for day in sessions if day in figures),
    }
    if shares:
        numbers["lowest_share_of_median"] = round(min(shares), 4)
    claim = "As many rows as usual"
    if bad:
        return Verdict(False, f"{claim}: not so on {named(bad)}", bad, numbers)
    return Verdict(True, f"{claim}: true of {len(sessions)} session(s)", {}, numbers)


def fewest_share(counts: Sequence[int]) -> float:
    """The share of their median below which a further count is too low, by the counts' own scatter."""
    median = statistics.median(counts)
    scatter = statistics.median(abs(count - median) for count in counts) / median
    return min(max(1 - SCATTERS_BELOW * scatter, LOOSEST_SHARE), STRICTEST_SHARE)


def judge_coverage(sessions: Sequence[dt.date], figures: Mapping[dt.date, SessionFigures]) -> Verdict:
    """Whether the bars of each session reach from its open to its close."""

    def problem(day: dt.date) -> str:
        found = figures.get(day)
        if found is None or found.first_bar is None or found.last_bar is None:
            return ""
        opens, closes = calendars.regular_hours(day)
        if found.last_bar < closes - COVERAGE_SLACK:
            return f"the last bar is of {found.last_bar:%H:%M} UTC, the session closed at {closes:%H:%M}"
        if found.first_bar > opens + COVERAGE_SLACK:
            return f"the first bar is of {found.first_bar:%H:%M} UTC, the session opened at {opens:%H:%M}"
        return ""

    return by_session(sessions, problem, "Bars from the open to the close")


def judge_missing(expected: Sequence[dt.date], loaded: Iterable[dt.date]) -> Verdict:
    """Whether every session between the first and the last that were loaded is there."""
    have = set(loaded)
    absent = [day for day in expected if day not in have]
    numbers: dict[str, Number] = {
        "sessions_expected": len(expected),
        "sessions_missing": len(absent),
    }
    if not absent:
        return Verdict(
            True, f"All {len(expected)} sessions of the covered range are there", {}, numbers, False
        )
    text = f"{len(absent)} of {len(expected)} sessions of the covered range are not there: "
    text += ", ".join(map(str, absent[-5:])) + (" and earlier ones" if len(absent) > 5 else "")
    bad = dict.fromkeys(absent, "not loaded")
    return Verdict(False, text, bad, numbers, serious=False)


def judge_duplicates(sessions: Sequence[dt.date], figures: Mapping[dt.date, SessionFigures]) -> Verdict:
    """Whether no key repeats within a session."""
    total = sum(figures[day].duplicates for day in sessions if day in figures)
    return by_session(
        sessions,
        lambda day: _count(figures[day].duplicates, "row", "with a key twice") if day in figures else "",
        "No key twice",
        {"duplicate_rows": total},
    )


def judge_bars(sessions: Sequence[dt.date], figures: Mapping[dt.date, SessionFigures]) -> Verdict:
    """Whether low ≤ open, close ≤ high in every bar, and nothing is below zero or missing."""
    total = sum(figures[day].broken_bars for day in sessions if day in figures)
    return by_session(
        sessions,
        lambda day: (
            _count(figures[day].broken_bars, "bar", "that contradicts itself") if day in figures else ""
        ),
        "Low ≤ open, close ≤ high",
        {"broken_bars": total},
    )


def judge_rejected(sessions: Sequence[dt.date], loaded: Mapping[dt.date, LoadedSession]) -> Verdict:
    """Whether few rows of each file were rejected; serious only where it is a large share."""
    shares = {}
    for day in sessions:
        line = loaded.get(day)
        rejected = sum(n for rule, n in line.rejected_by_rule.items() if rule != "test_ticker") if line else 0
        shares[day] = rejected / line.rows_read if line and line.rows_read else 0.0

    def problem(day: dt.date) -> str:
        if shares[day] <= DOUBTFUL_REJECTED_SHARE:
            return ""
        rules = ", ".join(f"{rule} {n:,}" for rule, n in loaded[day].rejected_by_rule.items())
        return f"{shares[day]:.2%} of the rows were rejected ({rules})"

    worst = max(shares.values(), default=0.0)
    verdict = by_session(
        sessions,
        problem,
        f"At most {DOUBTFUL_REJECTED_SHARE:.1%} of the rows rejected",
        {"highest_rejected_share": round(worst, 6)},
        serious=worst > UNTRUSTED_REJECTED_SHARE,
    )
    doubtful = frozenset(day for day in verdict.bad if shares[day] <= UNTRUSTED_REJECTED_SHARE)
    return dataclasses.replace(verdict, doubtful=doubtful)


def judge_agreement(found: Mapping[dt.date, Agreement]) -> Verdict:
    """Whether the day bars are those that the minutes make, for all but a few tickers."""

    def problem(day: dt.date) -> str:
        each = found[day]
        problems = [
            f"{what} differ for {n:,} of {each.tickers:,} tickers"
            for what, n in (("prices", each.prices_differ), ("volumes", each.volumes_differ))
            if n > DIFFERING_SHARE * each.tickers
        ]
        return " and ".join(problems)

    numbers: dict[str, Number] = {
        "tickers_compared": sum(each.tickers for each in found.values()),
        "prices_differ": sum(each.prices_differ for each in found.values()),
        "volumes_differ": sum(each.volumes_differ for each in found.values()),
    }
    if not found:
        return Verdict(True, "No session has both day bars and minute bars", {}, numbers, False)
    return by_session(list(found), problem, "Day bars are those of their minutes", numbers, serious=False)


def judge_splits(sessions: Sequence[dt.date], suspected: pa.Table) -> Verdict:
    """Whether every jump that looks like a split is a known split."""
    by_day: dict[dt.date, list[str]] = {}
    for row in suspected.to_pylist():
        text = f"{row['ticker']} {row['split_to']:g}:{row['split_from']:g}"
        by_day.setdefault(row["trade_date"], []).append(text)
    return by_session(
        sessions,
        lambda day: "looks like a split of " + ", ".join(by_day[day]) if day in by_day else "",
        "No jump like an unknown split",
        {"suspected_splits": suspected.num_rows},
        serious=False,
    )


def _count(n: int, noun: str, what: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'} {what}" if n else ""

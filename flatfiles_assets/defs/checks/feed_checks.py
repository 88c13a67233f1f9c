"""Dagster's checks of a feed, generated from the registry, and run once for a whole range.

Here: which checks a feed has, and over which sessions they look. Not here: what is measured
(`evidence.py`, `price_evidence.py`), what is good (`verdicts.py`), the form of results (`results.py`).

The checks belong to the step that loads the feed. As a step of their own they would be skipped
whenever one file of a range cannot be had, and the sessions that were stored all the same would go
on unchecked. Either checks or assets can be run alone.

A check that failed keeps its bad sessions in view: later runs judge them again with their own, so
that one good day does not turn an unrepaired feed green. They fail no later run, and hold nothing
back but themselves. They leave the list when their file is repaired, or when an operator accepts
them (``FLATFILES_ACCEPTED_SESSIONS``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import dagster as dg

from flatfiles_assets import calendars
from flatfiles_assets.datasets import Dataset
from flatfiles_assets.defs.checks import price_evidence, verdicts
from flatfiles_assets.defs.checks.results import result_of, sessions_in_view
from flatfiles_assets.defs.checks.verdicts import Verdict
from flatfiles_assets.defs.keys import market_key, raw_key
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.warehouse import evidence, inventory
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.table import TableSchema
from flatfiles_assets.warehouse.tables import get_table

CHECKSUM = "checksum"
FRESH = "fresh"
#: How long after a file's usual hour it may be loaded before anybody should hear of it.
FRESHNESS_GRACE = dt.timedelta(hours=6)

# Minutes are a thousand times the day bars: a month of them is compared at most.
_MOST_COMPARED = 23
_MOST_HASHED = 23


class Facts:
    """What is known of the sessions under a check; each fact is asked for once, by the first who needs it."""

    def __init__(
        self, dataset: Dataset, reader: WarehouseReader, sessions: Sequence[dt.date], now: dt.datetime
    ) -> None:
        self.dataset = dataset
        self.reader = reader
        self.now = now
        self._wanted = frozenset(sessions)

    @property
    def table(self) -> TableSchema:
        """The feed's table."""
        return get_table(("market", self.dataset.name))

    @functools.cached_property
    def loaded(self) -> dict[dt.date, inventory.LoadedSession]:
        """Every session of the feed that was ever loaded."""
        return inventory.loaded_sessions(self.reader, self.dataset.name)

    @property
    def sessions(self) -> list[dt.date]:
        """The sessions to judge: of those asked for, the ones that are loaded."""
        return [day for day in self.loaded if day in self._wanted]

    @functools.cached_property
    def figures(self) -> dict[dt.date, evidence.SessionFigures]:
        """What is stored of them."""
        stored = set(self.table.column_names)
        key = [name for name in self.dataset.unique_key or () if name in stored]
        return evidence.session_figures(self.reader, self.table, key, self.sessions)

    @functools.cached_property
    def stored_types(self) -> dict[str, str]:
        """The table's columns as stored."""
        return evidence.stored_types(self.reader, self.table)


@dataclasses.dataclass(frozen=True)
class FeedCheck:
    """One kind of check.

    Attributes:
        name: Name in the UI.
        description: What a pass means.
        applies: Whether a feed has it.
        judge: From the facts to the verdict.
        blocking: Whether bad data would spread from here, so that downstream waits.
    """

    name: str
    description: str
    applies: Callable[[Dataset], bool]
    judge: Callable[[Facts], Verdict]
    blocking: bool = False


def _keeps_times(dataset: Dataset) -> bool:
    return dataset.timestamp in {column.name for column in dataset.table_columns}


def _has_bars(dataset: Dataset) -> bool:
    return {"open", "high", "low", "close"} <= {column.name for column in dataset.columns}


def _is_day_bars(dataset: Dataset) -> bool:
    pair = price_evidence.day_and_minutes(dataset)
    return pair is not None and pair[0] == dataset and dataset.prefix == "us_stocks_sip"


def _always(_: Dataset) -> bool:
    return True


def _judge_row_counts(facts: Facts) -> Verdict:
    follows_hours = _keeps_times(facts.dataset) and facts.dataset.calendar == "XNYS"
    return verdicts.judge_row_counts(facts.sessions, facts.figures, facts.loaded, follows_hours=follows_hours)


def _judge_missing(facts: Facts) -> Verdict:
    days = list(facts.loaded)
    expected = calendars.sessions(facts.dataset.calendar, days[0], days[-1]) if days else []
    return verdicts.judge_missing(expected, days)


def _judge_agreement(facts: Facts) -> Verdict:
    pair = price_evidence.day_and_minutes(facts.dataset)
    if pair is None:
        raise AssertionError(facts.dataset.name)
    day_feed, minute_feed = pair
    other = minute_feed if facts.dataset == day_feed else day_feed
    in_both = inventory.loaded_sessions(facts.reader, other.name).keys() & set(facts.sessions)
    days, minutes = (get_table(("market", feed.name)) for feed in pair)
    return verdicts.judge_agreement(
        price_evidence.agreement(facts.reader, days, minutes, sorted(in_both)[-_MOST_COMPARED:])
    )


def _judge_splits(facts: Facts) -> Verdict:
    found = price_evidence.unexplained_splits(facts.reader, facts.table, facts.sessions)
    return verdicts.judge_splits(facts.sessions, found)


def _judge_freshness(facts: Facts) -> Verdict:
    return judge_freshness(facts.dataset, max(facts.loaded, default=None), facts.now)


def judge_freshness(dataset: Dataset, latest: dt.date | None, now: dt.datetime) -> Verdict:
    """Whether the latest session that should have been published by now is loaded.

    It counts sessions and the publication hour, so no weekend and no holiday is ever late; a file is
    late when `FRESHNESS_GRACE` has passed. A feed of which nothing was ever loaded is not late either.
    """
    due = inventory.last_published_session(dataset, now - FRESHNESS_GRACE)
    if latest is None:
        return Verdict(True, "Nothing of this feed was ever loaded", serious=False)
    late = len(calendars.sessions(dataset.calendar, latest, due)) - 1 if due > latest else 0
    numbers: dict[str, verdicts.Number] = {
        "sessions_late": late,
        "latest_session": latest.isoformat(),
        "due_session": due.isoformat(),
    }
    if late <= 0:
        return Verdict(True, f"{latest} is loaded, the last session due", {}, numbers, serious=False)
    text = f"{due} is due and the latest session loaded is {latest}: {late} session(s) late"
    return Verdict(False, text, {}, numbers, serious=False)


MARKET_CHECKS: Sequence[FeedCheck] = (
    FeedCheck(
        "schema",
        "The table has the registry's columns and types.",
        _always,
        lambda facts: verdicts.judge_schema(facts.table, facts.stored_types),
        blocking=True,
    ),
    FeedCheck(
        "row_count",
        "Each session has all rows that were accepted, and not far fewer than the median of the "
        f"{verdicts.TRAILING_SESSIONS} sessions before: at least {verdicts.LOOSEST_SHARE:.0%} to "
        f"{verdicts.STRICTEST_SHARE:.0%} of it, by how much the feed scatters; in proportion to the "
        "hours on an early close of a minute feed.",
        _always,
        _judge_row_counts,
        blocking=True,
    ),
    FeedCheck(
        "covers_session",
        "The minute bars of each session reach from the open to the close, within 15 minutes.",
        lambda dataset: _keeps_times(dataset) and _has_bars(dataset) and dataset.calendar == "XNYS",
        lambda facts: verdicts.judge_coverage(facts.sessions, facts.figures),
        blocking=True,
    ),
    FeedCheck(
        "no_duplicates",
        "No key stands twice in a session.",
        lambda dataset: dataset.unique_key is not None,
        lambda facts: verdicts.judge_duplicates(facts.sessions, facts.figures),
        blocking=True,
    ),
    FeedCheck(
        "ohlc",
        "Low ≤ open, close ≤ high; no price or volume is missing or below zero.",
        _has_bars,
        lambda facts: verdicts.judge_bars(facts.sessions, facts.figures),
        blocking=True,
    ),
    FeedCheck(
        "rejected_rows",
        f"At most {verdicts.DOUBTFUL_REJECTED_SHARE:.1%} of each file's rows went to the quarantine, test "
        f"tickers apart; above {verdicts.UNTRUSTED_REJECTED_SHARE:.0%} the file is not to be trusted.",
        _always,
        lambda facts: verdicts.judge_rejected(facts.sessions, facts.loaded),
        blocking=True,
    ),
    FeedCheck(
        "no_further_columns",
        "The files have no columns that the feed has not, or they are stored (FLATFILES_EXTRA_COLUMNS).",
        _always,
        lambda facts: verdicts.judge_further_columns(facts.sessions, facts.loaded),
    ),
    FeedCheck(
        "no_missing_sessions",
        "Every session between the first and the last one loaded is loaded.",
        _always,
        _judge_missing,
    ),
    FeedCheck(
        "days_agree_with_minutes",
        f"Day bars are those of the minutes, for all but {verdicts.DIFFERING_SHARE:.0%} of the tickers "
        "that both have, in the sessions that both have: prices "
        f"of regular hours within {price_evidence.PRICE_TOLERANCE:.0%}, volume of all hours within "
        f"{price_evidence.VOLUME_TOLERANCE:.0%}.",
        lambda dataset: price_evidence.day_and_minutes(dataset) is not None,
        _judge_agreement,
    ),
    FeedCheck(
        "no_unexplained_splits",
        "No price jumps by a simple fraction, and volume by its inverse, without a record in "
        "reference.splits; not judged where that table was never loaded.",
        _is_day_bars,
        _judge_splits,
    ),
    FeedCheck(
        FRESH,
        "The latest session that should have been published six hours ago is loaded.",
        _always,
        _judge_freshness,
    ),
)


def feed_check_specs(dataset: Dataset) -> list[dg.AssetCheckSpec]:
    """The checks of a feed's two assets."""
    raw, market = raw_key(dataset), market_key(dataset)
    return [
        dg.AssetCheckSpec(
            CHECKSUM,
            asset=raw,
            description="The cached files still have the SHA-256 with which they were fetched.",
        ),
        *(
            dg.AssetCheckSpec(
                check.name, asset=market, description=check.description, blocking=check.blocking
            )
            for check in MARKET_CHECKS
            if check.applies(dataset)
        ),
    ]


def run_feed_checks(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    keys: Mapping[dt.date, str],
    *,
    cache: FileCache,
    warehouse: Warehouse,
    accepted: frozenset[dt.date] = frozenset(),
    started_at: dt.datetime | None = None,
) -> Iterator[dg.AssetCheckResult]:
    """Run the selected checks of a feed.

    Args:
        context: Of the step; says which checks are selected.
        dataset: The feed.
        keys: Sessions of the run and the keys of their files.
        cache: Where the files are.
        warehouse: Where the rows are.
        accepted: Sessions that an operator accepts as they are.
        started_at: When the step began to fetch; None for checks that are run alone, which hash
            every file. A file fetched since then was hashed as it was written, and of the older ones
            the latest month is hashed: the weekly verification is for the rest.
    """
    selected = {key.name: key for key in context.selected_asset_check_keys}
    if CHECKSUM in selected:
        key = selected[CHECKSUM]
        yield result_of(key, _judge_files(cache, keys, started_at))
    now = dt.datetime.now(dt.timezone.utc)
    in_view = {
        check.name: sessions_in_view(context.instance, selected[check.name])
        for check in MARKET_CHECKS
        if check.name in selected
    }
    sessions = {*keys, *(day for days in in_view.values() for day in days)} - accepted
    reader = warehouse.reader()
    # Opened once for all checks, unless nothing was ever loaded, which each of them can say.
    with reader.held() if warehouse.path.exists() else contextlib.nullcontext(reader) as one_state:
        facts = Facts(dataset, one_state, sorted(sessions), now)
        judged = {check.name: check.judge(facts) for check in MARKET_CHECKS if check.name in selected}
    for name, verdict in judged.items():
        yield result_of(selected[name], verdict, keys if started_at else None)


def _judge_files(cache: FileCache, keys: Mapping[dt.date, str], started_at: dt.datetime | None) -> Verdict:
    have = cache.ledger.get_many(list(keys.values()))
    held = [
        day
        for day, key in sorted(keys.items())
        if key in have
        and have[key].has_file
        and not (started_at and (fetched_at := have[key].fetched_at) and fetched_at >= started_at)
    ]
    if started_at:
        held = held[-_MOST_HASHED:]
    results = cache.verify([keys[day] for day in held])
    wrong = {file.key: file for file in results if file.status != "ok"}
    return verdicts.by_session(
        held,
        lambda day: f"{wrong[keys[day]].status}: {wrong[keys[day]].detail}" if keys[day] in wrong else "",
        "The file is the one that was fetched",
    )

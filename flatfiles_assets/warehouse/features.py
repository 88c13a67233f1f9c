"""Prices of the warehouse to features of the warehouse: the step behind `algorithm/*`.

Here: which sessions are computed together, and what became of each. Not here: the arithmetic and
which algorithms there are (`algorithms/`), the reading of prices (`prices.py`), Dagster (`assets/`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flatfiles_assets.algorithms.algorithm import Algorithm
from flatfiles_assets.algorithms.panel import Adjustment
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.prices import actions_of, read_market, sessions_with_lookback
from flatfiles_assets.warehouse.tables import algorithm_table_key, get_table

# A year with its look-back is about a gigabyte for the whole market; longer runs go year by year.
_MOST_SESSIONS = 253


class PricesMissing(FlatFilesError):
    """There are no prices of a session, so it has no features."""

    state = "no_prices"


@dataclasses.dataclass(frozen=True)
class SessionFeatures:
    """What became of one session.

    Attributes:
        session: The session's date.
        rows: The session's rows as now stored; None where it failed.
        lookback_missing: Sessions of the look-back without any prices.
        seconds: This session's share of the computation.
        error: Why it failed.
    """

    session: dt.date
    rows: pa.Table | None = None
    lookback_missing: int = 0
    seconds: float = 0.0
    error: FlatFilesError | None = None


def update_features(
    algorithm: Algorithm,
    sessions: Sequence[dt.date],
    warehouse: Warehouse,
    *,
    adjust: Adjustment = "splits",
    parameters: Any = None,
) -> Iterator[SessionFeatures]:
    """Compute and store the features of some sessions: a year at a time, each in one pass.

    Args:
        algorithm: Whose features.
        sessions: Exchange sessions, in any order.
        warehouse: Where prices are read and features are stored.
        adjust: What prices are adjusted for.
        parameters: Of the algorithm; None for its defaults.

    Yields:
        One result per session, ascending, once its rows are committed.

    Raises:
        ReferenceMissing: The table of splits or dividends was never loaded.
        WarehouseMissing: Nothing was ever loaded.
        WarehouseBusy: Another process holds the warehouse for longer than the limit.
    """
    for part in _parts(sorted(sessions)):
        yield from _update_part(algorithm, part, warehouse, adjust, parameters)


def _parts(sessions: Sequence[dt.date]) -> Iterator[list[dt.date]]:
    """Runs of sessions whose span is at most about a year."""
    longest = dt.timedelta(days=_MOST_SESSIONS * 365 // 252)
    part: list[dt.date] = []
    for session in sessions:
        if part and (session - part[0] > longest or len(part) == _MOST_SESSIONS):
            yield part
            part = []
        part.append(session)
    if part:
        yield part


def _update_part(
    algorithm: Algorithm,
    wanted: Sequence[dt.date],
    warehouse: Warehouse,
    adjust: Adjustment,
    parameters: Any,
) -> Iterator[SessionFeatures]:
    started = time.perf_counter()
    table = get_table(algorithm_table_key(algorithm.name))
    session = warehouse.reader()
    days, _ = sessions_with_lookback(wanted[0], wanted[-1], algorithm.lookback_sessions)
    read = read_market(session, days)
    actions = actions_of(session, adjust, days, read.columns)
    panel = actions.adjust(read.panel, adjust, anchor="first")
    without_prices = {day for day in wanted if day in set(read.missing_sessions)}
    computed = [day for day in wanted if day not in without_prices]
    by_session: dict[dt.date, pa.Table] = {}
    if computed:
        rows = algorithm.compute(
            panel, first_session=computed[0], last_session=computed[-1], parameters=parameters
        )
        by_session = {day: part for day, part in _split_by_session(rows) if day in set(computed)}
        empty = table.arrow_schema.empty_table()
        with warehouse.writer(f"{algorithm.name} {computed[0]} to {computed[-1]}") as transaction:
            transaction.replace(
                table,
                pa.concat_tables([empty, *by_session.values()]),
                {"trade_date": computed},
            )
    missing_before = sum(day < wanted[0] for day in read.missing_sessions)
    seconds_each = (time.perf_counter() - started) / len(wanted)
    for day in wanted:
        if day in without_prices:
            yield SessionFeatures(day, error=_no_prices(algorithm, day))
        else:
            stored = by_session.get(day, table.arrow_schema.empty_table())
            yield SessionFeatures(day, stored, missing_before, seconds_each)


def _split_by_session(rows: pa.Table) -> Iterator[tuple[dt.date, pa.Table]]:
    """The rows of each session; they come by session."""
    days = rows.column("trade_date").cast(pa.int32()).to_numpy()
    starts = np.flatnonzero(np.diff(days, prepend=-1)).tolist()
    for start, stop in itertools.pairwise([*starts, len(days)]):
        part = rows.slice(start, stop - start)
        yield part.column("trade_date")[0].as_py(), part


def _no_prices(algorithm: Algorithm, session: dt.date) -> PricesMissing:
    return PricesMissing(
        "there are no prices of this session",
        where=f"algorithm/{algorithm.name} {session}",
        why="neither market/daily_prices nor market/stocks_daily has it",
        next_step=f"materialise market/daily_prices for {session} first",
    )

"""The tables of identities: what they are made from, and their making.

Here: records read from the warehouse, `update_securities`, and the ids in ``market.daily_prices``. Not
here: telling securities apart (`algorithms/securities.py`), reading them (`securities.py`).
"""

# ruff: noqa: S608  (names are constants of this module, values are parameters)
from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flatfiles_assets.algorithms.bar_scan import BarEvidence, BarScan
from flatfiles_assets.algorithms.securities import (
    IdentityRecords,
    Securities,
    UserRename,
    build_securities,
)
from flatfiles_assets.algorithms.split_search import unexplained_jumps
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.day_bars import session_days
from flatfiles_assets.warehouse.errors import WarehouseMissing
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.securities import make_securities
from flatfiles_assets.warehouse.security_types import (
    TypeHistory,
    changed_between,
    store_types,
    type_history,
)
from flatfiles_assets.warehouse.table import TableSchema
from flatfiles_assets.warehouse.tables import (
    DAILY_PRICES,
    PRICE_JUMPS,
    SECURITIES,
    SPLITS,
    SUSPECTED_RENAMES,
    TICKER_EVENTS,
    TICKERS,
    UNAPPLIED_IDENTITIES,
)
from flatfiles_assets.warehouse.transaction import WriteTransaction

# Sessions whose tickers differ from the day before as much as these are looked at by snapshots, too.
_MOST_BUSY_SESSIONS, _LEAST_CHANGES = 24, 5

#: The id of each bar of ``market.daily_prices``: a session after the last on record belongs to the
#: security that bore the ticker last, if that was within two weeks.
SECURITY_OF_BAR = f"""
    SELECT ticker, security_id, first_session,
        CASE WHEN row_number() OVER (PARTITION BY ticker ORDER BY last_session DESC) = 1
             THEN last_session + 15 ELSE last_session END AS last_session
    FROM {SECURITIES.sql_name}
"""


def read_records(reader: WarehouseReader, user: Sequence[UserRename] = ()) -> IdentityRecords:
    """What the warehouse has on record about tickers."""
    known = set(reader.tables())

    def rows(table: TableSchema, columns: str, condition: str = "") -> pa.Table:
        if table.sql_name not in known:
            return table.arrow_schema.empty_table()
        query = f"SELECT {columns} FROM {table.sql_name} {condition} ORDER BY ALL"
        return reader.sql(query).to_arrow()

    return IdentityRecords(
        rows(TICKERS, "* EXCLUDE (source)"),
        rows(TICKER_EVENTS, "entity, event_date, ticker, old_ticker", "WHERE type = 'ticker_change'"),
        rows(SPLITS, "ticker, execution_date, split_from, split_to"),
        user,
    )


@dataclasses.dataclass(frozen=True)
class ChangedBars:
    """Bars of ``market.daily_prices`` that have another security now.

    Attributes:
        count: How many.
        sessions: Sessions in which a series is another one by it, ascending. Where a bar only gets the
            id of a security that bore one ticker, which no other bore, its series stays as it was.
        of_other_types: Sessions in which a security is of another kind, ascending.
    """

    count: int = 0
    sessions: tuple[dt.date, ...] = ()
    of_other_types: tuple[dt.date, ...] = ()


def update_securities(
    warehouse: Warehouse, user: Sequence[UserRename] = ()
) -> tuple[Securities, BarEvidence, ChangedBars]:
    """Make the tables of securities anew, and the ids of bars that have another security now.

    Returns:
        What was made, the scan it was made from, and the bars whose id changed.
    """
    types: TypeHistory = {}
    try:
        with warehouse.reader().held() as held:
            types = type_history(held)
            made, evidence = make_securities(held, read_records(held, user))
    except WarehouseMissing:
        evidence = BarScan((), session_days()).finish()
        made = build_securities(evidence, IdentityRecords.none())
    with warehouse.writer("make the securities") as transaction:
        transaction.replace_all(SECURITIES, made.table)
        transaction.replace_all(SUSPECTED_RENAMES, made.suspected)
        transaction.replace_all(UNAPPLIED_IDENTITIES, made.unapplied)
        # Of the same scan, so that the audit needs none of its own.
        transaction.replace_all(PRICE_JUMPS, unexplained_jumps(evidence))
        changed = _give_ids(transaction)
        store_types(transaction)
    others = _of_other_types(types, type_history(warehouse.reader()), made.table, evidence)
    return made, evidence, dataclasses.replace(changed, of_other_types=others)


def _of_other_types(
    before: TypeHistory, after: TypeHistory, securities: pa.Table, evidence: BarEvidence
) -> tuple[dt.date, ...]:
    """The loaded sessions in which a security is of another kind than it was held to be."""
    spans: dict[str, tuple[dt.date, dt.date]] = {}
    names = ("security_id", "first_session", "last_session")
    for security, first, last in zip(*(securities.column(name).to_pylist() for name in names), strict=True):
        start, end = spans.get(security, (first, last))
        spans[security] = min(start, first), max(end, last)
    stretches = list(changed_between(before, after, spans))
    days = evidence.sessions[evidence.loaded]
    begin, end = (np.array([each[n] for each in stretches], dtype="datetime64[D]") for n in (0, 1))
    steps = np.zeros(len(days) + 1, dtype=np.int64)
    np.add.at(steps, np.searchsorted(days, begin), 1)
    np.add.at(steps, np.searchsorted(days, end, side="right"), -1)
    chosen: list[dt.date] = days[np.cumsum(steps[:-1]) > 0].tolist()
    return tuple(chosen)


def _give_ids(transaction: WriteTransaction) -> ChangedBars:
    """Have every bar of ``market.daily_prices`` say which security it is of."""
    if transaction.stored_table(DAILY_PRICES.key) is None:
        return ChangedBars()
    # Brings a table of earlier days up to the columns of today.
    transaction.create(DAILY_PRICES)
    differing = (
        "new.ticker = bars.ticker AND bars.trade_date BETWEEN new.first_session AND new.last_session"
        " AND bars.security_id IS DISTINCT FROM new.security_id"
    )
    named_once = f"SELECT security_id FROM {SECURITIES.sql_name} GROUP BY 1 HAVING count(*) = 1"
    of_one = f"SELECT any_value(security_id) FROM {SECURITIES.sql_name} GROUP BY ticker HAVING count(*) = 1"
    is_another = f"bars.security_id IS NOT NULL OR new.security_id NOT IN ({named_once} INTERSECT {of_one})"
    by_session = transaction.query(
        f"SELECT bars.trade_date, count(*), bool_or({is_another})"
        f" FROM {DAILY_PRICES.stored_name} bars, ({SECURITY_OF_BAR}) new WHERE {differing}"
        " GROUP BY 1 ORDER BY 1"
    ).fetchall()
    if by_session:
        transaction.update(DAILY_PRICES, ["security_id"], f"({SECURITY_OF_BAR}) new WHERE {differing}")
    return ChangedBars(
        sum(count for _, count, _ in by_session),
        tuple(day for day, _, another in by_session if another),
    )


def snapshot_dates(evidence: BarEvidence) -> list[dt.date]:
    """Days of which a snapshot of all tickers tells most, ascending.

    Each month's first session, the last one, and those beside the largest changes of who trades.
    """
    if not len(evidence.loaded):
        return []
    days = evidence.sessions[evidence.loaded]
    months = days.astype("datetime64[M]")
    first_of_month = days[np.flatnonzero(np.diff(months.astype(np.int64), prepend=-1))]
    position = {session: number for number, session in enumerate(evidence.loaded.tolist())}
    changes: Counter[int] = Counter()
    last = int(evidence.loaded[-1])
    for session in evidence.runs.first.tolist():
        changes[position[session]] += 1
    for session in evidence.runs.last.tolist():
        if session < last:
            changes[position[session] + 1] += 1
    changes.pop(0, None)
    busiest = [
        number for number, count in changes.most_common(_MOST_BUSY_SESSIONS) if count >= _LEAST_CHANGES
    ]
    chosen = {*first_of_month.tolist(), days[-1].item()}
    for number in busiest:
        chosen |= {days[number - 1].item(), days[number].item()}
    return sorted(chosen)


def event_candidates(made: Securities, known: set[str], first_session: dt.date, most: int) -> list[str]:
    """Whose ticker events to ask for: FIGIs, or tickers, that may have borne another ticker before.

    Args:
        made: Securities by everything that is known so far.
        known: Those whose events are known.
        first_session: First session with any bar: who trades then already may have begun earlier.
        most: How many at most; suspected renames first, then the latest to begin.
    """
    rows: list[dict[str, Any]] = made.table.to_pylist()
    first_row: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["first_session"]):
        first_row.setdefault(row["security_id"], row)
    suspected = set(made.suspected.column("new_ticker").to_pylist())
    began = [row for row in first_row.values() if row["first_session"] > first_session]
    began.sort(key=lambda row: (row["ticker"] in suspected, row["first_session"]), reverse=True)
    wanted = [row["composite_figi"] or row["ticker"] for row in began]
    return [each for each in dict.fromkeys(wanted) if each not in known][:most]

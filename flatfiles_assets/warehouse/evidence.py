"""What the warehouse says of some sessions of one table: the facts that checks judge.

Here: SQL, in few passes, because a check of a year should cost less than loading a week. Not here:
what is good or bad (`verdicts.py`), comparisons with other tables (`price_evidence.py`).
"""

# ruff: noqa: S608  (names are the registry's, values are parameters)
from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence

from flatfiles_assets.escaping import quoted
from flatfiles_assets.warehouse.errors import TableNotFound, WarehouseMissing
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.table import CATALOG, TableSchema, storage_schema

_BRIDGED_DAYS = 30
_PRICES = ("open", "high", "low", "close")


@dataclasses.dataclass(frozen=True)
class SessionFigures:
    """What is stored of one session.

    Attributes:
        rows: Rows in the table.
        duplicates: Rows whose key an earlier row has.
        broken_bars: Rows whose prices contradict each other, are missing or below zero.
        first_bar: Start of the earliest bar, UTC; None where the table keeps no times.
        last_bar: Start of the latest bar, UTC; likewise.
    """

    rows: int
    duplicates: int = 0
    broken_bars: int = 0
    first_bar: dt.datetime | None = None
    last_bar: dt.datetime | None = None


def stored_types(reader: WarehouseReader, table: TableSchema) -> dict[str, str]:
    """Names and types of a table's columns as they are stored, in order; empty where there is none."""
    try:
        rows = reader.sql(
            "SELECT column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index",
            [CATALOG, storage_schema(table.key), table.key[-1]],
        ).fetchall()
    except WarehouseMissing:
        return {}
    return dict(rows)


def session_figures(
    reader: WarehouseReader, table: TableSchema, key: Sequence[str], sessions: Sequence[dt.date]
) -> dict[dt.date, SessionFigures]:
    """What is stored of some sessions.

    A session is stored in the order of its key, so one pass over neighbouring rows proves that no
    key repeats; only where the order is broken are the keys counted, which costs several times more.

    Args:
        reader: Where to read.
        table: A table partitioned by ``trade_date``.
        key: Columns that identify a row within a session; empty where rows may repeat.
        sessions: The sessions to look at.

    Returns:
        The figures of those sessions that have any row.
    """
    if not sessions:
        return {}
    try:
        spans = _spans(sessions)
        bounds = [bound for span in spans for bound in span]
        rows = reader.sql(_figures_query(table, key, len(spans)), bounds).fetchall()
        wanted = set(sessions)
        unproven = [row[0] for row in rows if row[5] and row[0] in wanted]
        repeated = dict(
            reader.sql(_duplicates_query(table, key, len(unproven)), unproven).fetchall()
            if unproven and key
            else ()
        )
    except (TableNotFound, WarehouseMissing):
        return {}
    return {
        day: SessionFigures(count, int(repeated.get(day, 0)), broken, first, last)
        for day, count, broken, first, last, _ in rows
        if day in wanted
    }


def _spans(sessions: Sequence[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """A few ranges of days that cover the sessions: DuckDB filters by ranges far faster than by a list."""
    spans: list[tuple[dt.date, dt.date]] = []
    for day in sorted(sessions):
        if spans and (day - spans[-1][1]).days <= _BRIDGED_DAYS:
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans


def _figures_query(table: TableSchema, key: Sequence[str], n_spans: int) -> str:
    names = [quoted(name) for name in key]
    previous = [f"lag({name}) OVER () AS previous_{number}" for number, name in enumerate(names)]
    # Written out level by level: DuckDB compares the columns far faster than it builds rows of them.
    not_after = "false"
    for number, name in reversed(list(enumerate(names))):
        tail = f" OR (previous_{number} = {name} AND ({not_after}))" if number < len(names) - 1 else ""
        last = ">=" if number == len(names) - 1 else ">"
        not_after = f"previous_{number} {last} {name}{tail}"
    times = "window_start" if "window_start" in table.column_names else "NULL::TIMESTAMPTZ"
    # A session in one piece whose neighbours all ascend has no key twice.
    order_is_broken = (
        f"count(*) FILTER (WHERE previous_day = trade_date AND ({not_after})) > 0 "
        "OR count(*) FILTER (WHERE previous_day IS DISTINCT FROM trade_date) > 1"
    )
    neighbours = "".join(", " + each for each in (*names, *previous))
    in_spans = " OR ".join("trade_date BETWEEN ? AND ?" for _ in range(n_spans))
    return f"""
        SELECT trade_date, count(*), count(*) FILTER (WHERE broken), min(bar), max(bar), {order_is_broken}
        FROM (SELECT trade_date, {_broken_bar(table)} AS broken, {times} AS bar,
                     lag(trade_date) OVER () AS previous_day{neighbours}
              FROM {table.stored_name} WHERE {in_spans})
        GROUP BY trade_date
    """


def _broken_bar(table: TableSchema) -> str:
    if not set(_PRICES) <= set(table.column_names):
        return "false"
    sane = "low >= 0 AND low <= open AND low <= close AND high >= open AND high >= close"
    if "volume" in table.column_names:
        sane += " AND volume >= 0"
    return f"NOT coalesce({sane}, false)"


def _duplicates_query(table: TableSchema, key: Sequence[str], n_sessions: int) -> str:
    columns = ", ".join(("trade_date", *map(quoted, key)))
    return f"""
        SELECT trade_date, sum(n - 1)::BIGINT
        FROM (SELECT {columns}, count(*) AS n FROM {table.stored_name}
              WHERE trade_date IN ({_places(n_sessions)}) GROUP BY ALL HAVING n > 1)
        GROUP BY trade_date
    """


def _places(count: int) -> str:
    return ", ".join("?" for _ in range(count))

"""One price per session and symbol from two sources, and how far the two agree.

Here: the queries behind ``market.daily_prices`` and ``market.price_reconciliation``. Not here:
running them (`assets/daily_prices.py`).

Precedence: from `flat_files_from` on the flat files count, before it the archives. Where the
source that counts has no bar, `fill` says what the other one may give:

- ``sessions`` (default): whole sessions of which the counting source has nothing;
- ``symbols``: single symbols that it lacks, too;
- ``none``: nothing.
"""

# ruff: noqa: S608  (every name is a constant of this module)
from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from flatfiles_assets.warehouse.day_bars import FLAT_FILES, HISTORICAL
from flatfiles_assets.warehouse.identity_tables import SECURITY_OF_BAR
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.tables import SECURITIES

Fill = Literal["none", "sessions", "symbols"]

FIRST_FLAT_FILE = dt.date(2003, 9, 10)
OVERLAP = (FIRST_FLAT_FILE, dt.date(2009, 12, 31))

_COLUMNS = "trade_date, ticker, open, high, low, close, volume, transactions"
_NO_COLUMNS = (
    "NULL::DATE AS trade_date, NULL::VARCHAR AS ticker, NULL::DOUBLE AS open, NULL::DOUBLE AS high,"
    " NULL::DOUBLE AS low, NULL::DOUBLE AS close, NULL::DOUBLE AS volume, NULL::BIGINT AS transactions,"
    " NULL::VARCHAR AS source"
)


@dataclasses.dataclass(frozen=True)
class Precedence:
    """Which source counts when.

    Attributes:
        flat_files_from: First session in which the flat files count.
        fill: What the other source may add.
    """

    flat_files_from: dt.date = FIRST_FLAT_FILE
    fill: Fill = "sessions"


@dataclasses.dataclass(frozen=True)
class UnifiedQuery:
    """The rows of ``market.daily_prices`` for some sessions.

    Attributes:
        sql: The SELECT.
        parameters: Its parameters.
        is_sorted: Whether each session's rows come from one source, in its order by symbol.
    """

    sql: str
    parameters: dict[str, Any]
    is_sorted: bool


def held_sessions(reader: WarehouseReader, sessions: Sequence[dt.date]) -> dict[str, frozenset[dt.date]]:
    """Which of some sessions each source has bars of."""
    tables = reader.tables()
    return {
        source: frozenset(
            row[0]
            for row in reader.sql(
                f"SELECT DISTINCT trade_date FROM {source} WHERE trade_date BETWEEN ? AND ?",
                [min(sessions), max(sessions)],
            ).fetchall()
        )
        if source in tables
        else frozenset()
        for source in (FLAT_FILES, HISTORICAL)
    }


def has_securities(reader: WarehouseReader) -> bool:
    """Whether the table of securities was ever made."""
    return SECURITIES.sql_name in reader.tables()


def unified_query(
    sessions: Sequence[dt.date],
    held: Mapping[str, Collection[dt.date]],
    precedence: Precedence,
    *,
    securities: bool = False,
) -> UnifiedQuery:
    """The query that unifies some sessions.

    Args:
        sessions: Sessions wanted.
        held: From `held_sessions`.
        precedence: Which source counts when.
        securities: Whether there is a table of securities: without it no bar knows its own yet.
    """
    parts: list[str] = []
    parameters: dict[str, Any] = {}

    def take(source: str, label: str, chosen: list[dt.date], but_not: str | None = None) -> None:
        if not chosen:
            return
        name = f"part_{len(parts)}"
        parameters[name] = chosen
        # The bounds let DuckDB skip row groups, which a list alone does not.
        condition = (
            f"trade_date BETWEEN list_min(${name}::DATE[]) AND list_max(${name}::DATE[])"
            f" AND trade_date IN (SELECT unnest(${name}::DATE[]))"
        )
        anti_join = f" ANTI JOIN {but_not} USING (trade_date, ticker)" if but_not else ""
        parts.append(f"SELECT {_COLUMNS}, '{label}' AS source FROM {source}{anti_join} WHERE {condition}")

    for source, label, other in (
        (FLAT_FILES, "flat_files", HISTORICAL),
        (HISTORICAL, "historical", FLAT_FILES),
    ):
        has, other_has = held[source], held[other]
        counts = [day for day in sessions if _counts(source, day, precedence)]
        others = [day for day in sessions if not _counts(source, day, precedence)]
        take(source, label, [day for day in counts if day in has])
        if precedence.fill != "none":
            take(source, label, [day for day in others if day in has and day not in other_has])
        if precedence.fill == "symbols":
            take(source, label, [day for day in others if day in has and day in other_has], but_not=other)
    nothing = f"SELECT {_COLUMNS}, source FROM (SELECT {_NO_COLUMNS}) WHERE false"
    bars = " UNION ALL ".join(parts) or nothing
    if securities and parts:
        parameters |= {"first_wanted": min(sessions), "last_wanted": max(sessions)}
        bars = (
            f"SELECT bars.*, known.security_id FROM ({bars}) bars LEFT JOIN (FROM ({SECURITY_OF_BAR})"
            " WHERE first_session <= $last_wanted AND last_session >= $first_wanted) known"
            " ON bars.ticker = known.ticker"
            " AND bars.trade_date BETWEEN known.first_session AND known.last_session"
        )
    else:
        bars = f"SELECT *, NULL::VARCHAR AS security_id FROM ({bars})"
    return UnifiedQuery(bars, parameters, precedence.fill != "symbols")


def _counts(source: str, day: dt.date, precedence: Precedence) -> bool:
    return (source == FLAT_FILES) == (day >= precedence.flat_files_from)


def reconciliation_query(tolerance: float = 0.005) -> tuple[str, dict[str, Any]]:
    """Both sources compared per symbol over the sessions that both have loaded in the overlap.

    A symbol's difference is put down to split adjustment where its closes differ by a steady ratio
    that is a quotient of small whole numbers and its volumes differ by about the inverse.

    Args:
        tolerance: Largest relative difference of two closes that still agree.
    """
    query = f"""
        WITH
        flat AS (SELECT trade_date, ticker, close, volume FROM {FLAT_FILES}
                 WHERE trade_date BETWEEN $first AND $last),
        archive AS (SELECT trade_date, ticker, close, volume FROM {HISTORICAL}
                    WHERE trade_date BETWEEN $first AND $last),
        common AS (SELECT DISTINCT trade_date FROM flat INTERSECT SELECT DISTINCT trade_date FROM archive),
        compared AS (
            SELECT ticker, trade_date, f.close AS flat_close, a.close AS archive_close,
                   f.volume AS flat_volume, a.volume AS archive_volume,
                   f.ticker IS NOT NULL AND a.ticker IS NOT NULL AS in_both,
                   f.ticker IS NOT NULL AS in_flat,
                   abs(f.close - a.close) / nullif(greatest(abs(f.close), abs(a.close)), 0) AS difference
            FROM (SELECT * FROM flat SEMI JOIN common USING (trade_date)) f
            FULL JOIN (SELECT * FROM archive SEMI JOIN common USING (trade_date)) a USING (trade_date, ticker)
        ),
        judged AS (SELECT *, in_both AND coalesce(difference, 0) > $tolerance AS is_different FROM compared),
        ratios AS (
            SELECT ticker,
                   median(flat_close / nullif(archive_close, 0)) AS ratio,
                   mad(flat_close / nullif(archive_close, 0)) AS spread,
                   median(archive_volume / nullif(flat_volume, 0)) AS volume_ratio
            FROM judged WHERE is_different GROUP BY ticker
        ),
        fractions AS (
            SELECT DISTINCT p / q AS fraction
            FROM (SELECT unnest(range(1, 21))::DOUBLE AS p), (SELECT unnest(range(1, 21))::DOUBLE AS q)
            WHERE (p <= 4 OR q = 1) AND (q <= 4 OR p = 1) AND p <> q
        ),
        splits AS (
            SELECT ticker, arg_min(fraction, abs(fraction / ratio - 1)) AS fraction
            FROM ratios, fractions
            WHERE spread <= ratio * $tolerance AND abs(fraction / ratio - 1) <= 2 * $tolerance
              AND volume_ratio / ratio BETWEEN 0.8 AND 1.25
            GROUP BY ticker
        )
        SELECT ticker,
               count(*) FILTER (in_both) AS sessions_both,
               count(*) FILTER (in_both AND NOT is_different) AS sessions_matched,
               count(*) FILTER (is_different) AS sessions_different,
               count(*) FILTER (in_flat AND NOT in_both) AS sessions_only_flat_files,
               count(*) FILTER (NOT in_flat) AS sessions_only_historical,
               max(difference) AS largest_difference,
               min(trade_date) FILTER (is_different) AS first_different,
               max(trade_date) FILTER (is_different) AS last_different,
               any_value(splits.fraction) AS suspected_split_ratio
        FROM judged LEFT JOIN splits USING (ticker)
        GROUP BY ticker
        ORDER BY ticker
    """
    return query, {"first": OVERLAP[0], "last": OVERLAP[1], "tolerance": tolerance}

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
from collections.abc import Collection, Sequence
from typing import Any, Literal

Fill = Literal["none", "sessions", "symbols"]

FLAT_FILES, HISTORICAL = "market.stocks_daily", "market.historical_daily"
FIRST_FLAT_FILE = dt.date(2003, 9, 10)
OVERLAP = (FIRST_FLAT_FILE, dt.date(2009, 12, 31))

_COLUMNS = "trade_date, ticker, open, high, low, close, volume, transactions"


@dataclasses.dataclass(frozen=True)
class Precedence:
    """Which source counts when.

    Attributes:
        flat_files_from: First session in which the flat files count.
        fill: What the other source may add.
    """

    flat_files_from: dt.date = FIRST_FLAT_FILE
    fill: Fill = "sessions"


def unified_query(
    sessions: Sequence[dt.date], tables: Collection[str], precedence: Precedence
) -> tuple[str, dict[str, Any]]:
    """The rows of ``market.daily_prices`` for some sessions, and the query's parameters.

    Args:
        sessions: Sessions wanted.
        tables: Names of the tables that exist; a source without a table gives nothing.
        precedence: Which source counts when.
    """
    flat = _source(FLAT_FILES, "flat_files", "trade_date >= $flat_files_from", tables)
    archive = _source(HISTORICAL, "historical", "trade_date < $flat_files_from", tables)
    key = {"none": None, "sessions": "trade_date", "symbols": "trade_date, ticker"}[precedence.fill]
    query = f"WITH bars AS ({flat} UNION ALL {archive}) SELECT {_COLUMNS}, source FROM bars"
    if key is None:
        query += " WHERE counts"
    elif key == "trade_date":
        query += " QUALIFY counts OR NOT bool_or(counts) OVER (PARTITION BY trade_date)"
    else:
        query += f" QUALIFY counts OR NOT bool_or(counts) OVER (PARTITION BY {key})"
    parameters = {
        "sessions": list(sessions),
        "first": min(sessions),
        "last": max(sessions),
        "flat_files_from": precedence.flat_files_from,
    }
    return query, parameters


def _source(table: str, name: str, counts: str, tables: Collection[str]) -> str:
    if table not in tables:
        empty = (
            "NULL::DATE AS trade_date, NULL::VARCHAR AS ticker, NULL::DOUBLE AS open, NULL::DOUBLE AS high"
        )
        empty += ", NULL::DOUBLE AS low, NULL::DOUBLE AS close, NULL::DOUBLE AS volume"
        return (
            f"SELECT {empty}, NULL::BIGINT AS transactions, '{name}' AS source, false AS counts WHERE false"
        )
    # The bounds let DuckDB skip row groups, which a list alone does not.
    return (
        f"SELECT {_COLUMNS}, '{name}' AS source, {counts} AS counts FROM {table}"
        " WHERE trade_date BETWEEN $first AND $last AND list_contains($sessions::DATE[], trade_date)"
    )


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

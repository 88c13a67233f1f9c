"""The table of the audit: every record on file judged, and jumps that no record explains.

Here: `update_audit`, and `audit_cases` for showing. Not here: judging (`action_records.py`) and what is
applied when prices are read (`corporate_actions.py`).
"""

# ruff: noqa: S608  (names are constants of this module, values are parameters)
from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from flatfiles_assets.algorithms.split_search import unexplained_jumps
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.warehouse.action_records import ActionRecords
from flatfiles_assets.warehouse.archive_terms import ArchiveTerms, TermsSpan, archive_terms
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.day_bars import bars_source, scan_bars
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.securities import SecurityMap, securities_of, stored_securities
from flatfiles_assets.warehouse.tables import ACTION_AUDIT, DIVIDENDS, OVERRIDES, PRICE_JUMPS, SPLITS

# Bars shown before and after a case.
_SHOWN_BEFORE, _SHOWN_AFTER = dt.timedelta(days=9), dt.timedelta(days=9)


def update_audit(warehouse: Warehouse, overrides: pa.Table) -> pa.Table:
    """Judge everything on record, and store the verdicts with the overrides that they obey.

    Args:
        warehouse: The warehouse.
        overrides: The user's, in the columns of ``reference.overrides``.

    Returns:
        Rows of ``reference.corporate_action_audit``.
    """
    with warehouse.writer("take the user's overrides") as transaction:
        transaction.replace_all(OVERRIDES, overrides)
    with warehouse.reader().held() as held:
        rows = judge_everything(held)
    with warehouse.writer("audit the corporate actions") as transaction:
        transaction.replace_all(ACTION_AUDIT, rows)
    return rows


def judge_everything(reader: WarehouseReader) -> pa.Table:
    """Every split, the dividends that are not applied, and jumps without a record."""
    tables = set(reader.tables())
    securities = stored_securities(reader)
    if not securities:
        securities = securities_of(reader)
    records = ActionRecords(reader, securities, None)
    everything = (dt.date.min + dt.timedelta(days=400), dt.date.max - dt.timedelta(days=400))
    rows: list[dict[str, Any]] = []
    if SPLITS.sql_name in tables:
        rows += records.splits(*everything)
    explained = list(rows)
    if DIVIDENDS.sql_name in tables:
        rows += records.dividends(*everything)[1]
    if PRICE_JUMPS.sql_name in tables:
        jumps = reader.table(PRICE_JUMPS.sql_name).to_arrow()
    else:
        jumps = unexplained_jumps(scan_bars(reader))
    days = jumps.column("trade_date").to_pylist()
    terms = archive_terms(reader, min(days), max(days)) if days else ArchiveTerms()
    rows += _jump_rows(jumps, securities, explained, terms)
    return pa.Table.from_pylist(rows, schema=ACTION_AUDIT.arrow_schema)


def _jump_rows(
    jumps: pa.Table, securities: SecurityMap, explained: Sequence[dict[str, Any]], terms: ArchiveTerms
) -> list[dict[str, Any]]:
    """Jumps that look like a split, less those that a record is about."""
    known: dict[tuple[str, dt.date], None] = {
        (row["security_id"], row["session"]): None
        for row in explained
        if row["security_id"] and (row["applied"] or row["verdict"] in ("not_a_split", "conflicting"))
    }
    rows = []
    for jump in jumps.to_pylist():
        security = securities.resolve(jump["ticker"], jump["trade_date"])
        if security is None or _is_known(known, security, jump):
            continue
        span = terms.between(jump["ticker"], jump["session_before"], jump["trade_date"])
        rows.append(
            {
                "kind": "jump",
                "verdict": "no_record" if span is None else "archive_terms",
                "applied": span is not None,
                "overridden": False,
                "security_id": security,
                "ticker": jump["ticker"],
                "session": jump["trade_date"],
                "split_from": jump["split_from"],
                "split_to": jump["split_to"],
                "price_ratio": jump["price_ratio"],
                "volume_ratio": jump["volume_ratio"],
                "note": "it looks like a split, and none is recorded" if span is None else _other_terms(span),
            }
        )
    return rows


def _other_terms(span: TermsSpan) -> str:
    bars = f"the archive's bars from {span.first} to {span.last} are in other terms than the flat files'"
    done = "left out" if span.price_factor is None else f"read at x{span.price_factor:.4g}"
    return f"no move of the price: {bars}, and are {done}"


def _is_known(known: dict[tuple[str, dt.date], None], security: str, jump: dict[str, Any]) -> bool:
    """Whether a record counts after the bar before the jump, and not after it."""
    day = jump["trade_date"]
    while day > jump["session_before"]:
        if (security, day) in known:
            return True
        day -= dt.timedelta(days=1)
    return False


def audit_cases(reader: WarehouseReader, ticker: str | None = None, verdicts: Sequence[str] = ()) -> pa.Table:
    """Rows of the audit, by ticker and session.

    Args:
        reader: The warehouse.
        ticker: Only this one's, under any ticker of its securities; then all verdicts.
        verdicts: Only these.

    Raises:
        InvalidArgument: There is no bar and no record of the ticker.
    """
    if ACTION_AUDIT.sql_name in reader.tables():
        rows = reader.table(ACTION_AUDIT.sql_name).to_arrow().to_pylist()
    else:
        rows = judge_everything(reader).to_pylist()
    if ticker is not None:
        securities = securities_of(reader, [ticker])
        meant = {security for security, _, _ in securities.securities_of_ticker(ticker)}
        if not meant and not any(ticker in (row["ticker"], row["recorded_ticker"]) for row in rows):
            raise InvalidArgument(
                f"there is no bar and no record of {ticker!r}",
                next_step="symbols are case-sensitive; see DataIntegration().available_symbols()",
            )
        rows = [
            row
            for row in rows
            if row["security_id"] in meant or ticker in (row["ticker"], row["recorded_ticker"])
        ]
    if verdicts:
        rows = [row for row in rows if row["verdict"] in verdicts]
    return pa.Table.from_pylist(rows, schema=ACTION_AUDIT.arrow_schema)


def bars_around(reader: WarehouseReader, case: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Session, ticker, open, close and volume of the bars around a case, under any of its tickers."""
    source = bars_source(reader, ("lo", "hi"))
    if source is None:
        return []
    first = min(each for each in (case["session"], case["recorded_date"]) if each) - _SHOWN_BEFORE
    last = max(each for each in (case["session"], case["recorded_date"]) if each) + _SHOWN_AFTER
    spans = securities_of(reader, [case["ticker"]], first, last).spans(case["security_id"] or "")
    wanted = [(span.ticker, max(first, span.first), min(last, span.last)) for span in spans]
    rows: list[tuple[Any, ...]] = []
    for ticker, lo, hi in wanted:
        if lo <= hi:
            rows += reader.sql(
                f"SELECT trade_date, ticker, open, close, volume FROM ({source}) WHERE ticker = $ticker",
                {"ticker": ticker, "lo": lo, "hi": hi},
            ).fetchall()
    return sorted(rows)

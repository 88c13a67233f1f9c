"""Checks of the archives against the flat files, in the sessions that both have.

Two sources of one market agree in most prices. Where they do not in the median, it is not the prices
that differ but their reading: another scale, adjusted prices, open for close, a day's shift, names for
tickers. Here: thresholds and the checks. Not here: the figures (`warehouse/archive_evidence.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from flatfiles_assets.defs.checks.results import result_of
from flatfiles_assets.defs.checks.verdicts import Number, Verdict, by_session
from flatfiles_assets.defs.keys import HISTORICAL_DAILY_KEY
from flatfiles_assets.warehouse.archive_evidence import Overlap, overlap
from flatfiles_assets.warehouse.connection import Warehouse

#: Fewer shared tickers say nothing about a session.
FEWEST_SHARED = 5
#: Share of the archive's tickers that the flat files must know.
SHARED_SHARE = 0.2
#: How far the median close may lie from the flat files', and by what factor the median volume.
CLOSE_TOLERANCE, VOLUME_FACTOR = 0.02, 2.0
#: Share of the symbols compared whose sessions may mostly differ.
DIFFERING_SYMBOLS_SHARE = 0.2

_AGREES = dg.AssetCheckKey(HISTORICAL_DAILY_KEY, "agrees_with_flat_files")
_RECONCILED = dg.AssetCheckKey(dg.AssetKey(["market", "price_reconciliation"]), "sources_agree")


def archive_check_specs() -> list[dg.AssetCheckSpec]:
    """The check of `market/historical_daily` beside those of its table; it blocks."""
    description = (
        "Where the flat files have the session, too: tickers, closes, volumes, open against close, days."
    )
    return [dg.AssetCheckSpec(_AGREES.name, asset=_AGREES.asset_key, description=description, blocking=True)]


def run_archive_check(warehouse: Warehouse, sessions: Sequence[dt.date]) -> dg.AssetCheckResult:
    """Compare some sessions with the flat files'."""
    with warehouse.reader() as reader:
        found = overlap(reader, sessions)
    return result_of(_AGREES, judge_overlap(found), sessions)


def judge_overlap(found: Mapping[dt.date, Overlap]) -> Verdict:
    """Whether the archive's bars are those of the flat files, as far as a whole session can tell."""
    numbers: dict[str, Number] = {
        "sessions_in_both": len(found),
        "tickers_shared": sum(each.shared for each in found.values()),
    }
    if not found:
        return Verdict(True, "The flat files have none of these sessions", {}, numbers)
    return by_session(list(found), lambda day: _problem(found[day]), "Bars are the flat files'", numbers)


def _problem(each: Overlap) -> str:
    if each.archive_tickers >= FEWEST_SHARED and each.shared < SHARED_SHARE * each.archive_tickers:
        return f"only {each.shared:,} of {each.archive_tickers:,} tickers are in the flat files"
    if each.shared < FEWEST_SHARED:
        return ""
    if each.next_close > max(each.same_close, each.shared / 2):
        return f"{each.next_close:,} of {each.shared:,} closes are those of the session before or after"
    if each.exchanged > each.same_close:
        return f"open and close are exchanged in {each.exchanged:,} of {each.shared:,} bars"
    if each.close_ratio is not None and abs(each.close_ratio - 1) > CLOSE_TOLERANCE:
        return f"the median close is {each.close_ratio:.4g} times the flat files': another scale, or adjusted"
    ratio = each.volume_ratio
    if ratio is not None and not 1 / VOLUME_FACTOR <= ratio <= VOLUME_FACTOR:
        return f"the median volume is {ratio:.4g} times the flat files': another unit, or no volume"
    return ""


def reconciliation_check_specs() -> list[dg.AssetCheckSpec]:
    """The check of `market/price_reconciliation`; a warning, for the table is there to show differences."""
    description = (
        f"At most {DIFFERING_SYMBOLS_SHARE:.0%} of the symbols in both sources differ in most sessions."
    )
    return [dg.AssetCheckSpec(_RECONCILED.name, asset=_RECONCILED.asset_key, description=description)]


def check_reconciliation(rows: Sequence[Mapping[str, Any]]) -> dg.AssetCheckResult:
    """Judge the rows of the reconciliation."""
    compared = [row for row in rows if row["sessions_both"]]
    differing = [row["ticker"] for row in compared if row["sessions_matched"] < row["sessions_both"] / 2]
    numbers: dict[str, Number] = {"symbols_compared": len(compared), "symbols_differing": len(differing)}
    passed = len(differing) <= DIFFERING_SYMBOLS_SHARE * len(compared) or len(compared) < FEWEST_SHARED
    some = f", e.g. {', '.join(sorted(differing)[:5])}" if differing else ""
    said = f"{len(differing):,} of {len(compared):,} symbols differ in most sessions{some}"
    return result_of(_RECONCILED, Verdict(passed, said, {}, numbers, serious=False))

"""The part of `flatfiles demo` about research: corporate actions, features, the researcher's door."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from flatfiles_assets.calendars import sessions
from flatfiles_assets.cli.audit import ODD
from flatfiles_assets.cli.demo_output import print_rows
from flatfiles_assets.data_integration import DataIntegration
from flatfiles_assets.defs.runs import run_job, run_ranges
from flatfiles_assets.demo.market import PAIRS, SyntheticMarket
from flatfiles_assets.escaping import printable
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse.audit import audit_cases
from flatfiles_assets.warehouse.workspace import open_warehouse

_LAST_DAYS = ("2008-12-24", "2008-12-31")
# The archive's year, and each month of the quarter of flat files; of 1 February a third is missing.
_SNAPSHOTS = (
    dt.date(2008, 1, 2),
    dt.date(2024, 1, 2),
    dt.date(2024, 2, 1),
    dt.date(2024, 3, 1),
    dt.date(2024, 3, 28),
)
_SECURITIES = """
    SELECT security_id, ticker, first_session, last_session, type, evidence
    FROM reference.securities
    WHERE ticker IN ('OLDN', 'NEWN', 'RUSE', 'TRGA', 'MMAL', 'TKOV') ORDER BY first_session, ticker
"""
_SUSPECTED = """
    SELECT old_ticker, new_ticker, session, price_ratio, status FROM reference.suspected_renames LIMIT 5
"""
_RANKING = """
    SELECT ticker, momentum_12_1, volatility_63 FROM algorithm.momentum
    WHERE trade_date = '2008-12-31' AND momentum_rank IS NOT NULL
    ORDER BY momentum_rank LIMIT 5
"""


def research(settings: Settings, console: Console) -> None:
    """Load splits and dividends, compute features, ask for a pair."""
    from flatfiles_assets.definitions import build_defs

    console.rule("Algorithm-ready data: adjusted as of each date, never from the future")
    _drop_reference_files(settings.reference_path)
    defs = build_defs()
    run_job(defs, "reference", home=settings.dagster_home)
    _show_securities(console)
    days = [day.isoformat() for day in sessions("XNYS", *_LAST_DAYS)]
    for job in ("momentum", "mean_reversion"):
        list(run_ranges(defs, job, days, home=settings.dagster_home))
    with open_warehouse() as warehouse:
        console.print("Leaders by 12-1 momentum on 2008-12-31:")
        print_rows(console, warehouse.sql(_RANKING).fetchall(), ("symbol", "12-1 momentum", "volatility 63"))
    symbols = [symbol for pair in PAIRS[:2] for symbol in pair]
    data = DataIntegration(settings=settings).get_data_for_algorithm(
        "pairs_trading", symbols, "2008-01-02", "2008-12-31"
    )
    best = data["cointegration_data"].sort_values("p_value").head(3)
    columns = ["symbol_y", "symbol_x", "hedge_ratio", "p_value", "half_life_sessions"]
    console.print(f"Cointegration of {', '.join(symbols)} over 2008, from Python:")
    print_rows(console, list(best[columns].itertuples(index=False)), columns)


def _show_securities(console: Console) -> None:
    """What a ticker meant when, and what the bars say of the vendor's records."""
    with open_warehouse() as warehouse:
        console.print("Tickers are not identities: what these meant, and when")
        names = ("security", "ticker", "first session", "last session", "type", "evidence")
        print_rows(console, warehouse.sql(_SECURITIES).fetchall(), names)
        suspected = warehouse.sql(_SUSPECTED).fetchall()
        if suspected:
            console.print("Renames that only the bars suggest; renames.csv would confirm them:")
            print_rows(console, suspected, ("before", "after", "session", "price ratio", "status"))
        console.print("What the audit found in the recorded splits (`flatfiles audit TICKER`):")
        rows = [
            (case["ticker"], case["recorded_date"], case["verdict"], "yes" if case["applied"] else "no",
             case["session"], printable(case["note"]))
            for case in audit_cases(warehouse, verdicts=ODD).to_pylist()
        ]  # fmt: skip
        print_rows(console, rows, ("ticker", "recorded", "verdict", "applied", "session", "why"))


def _drop_reference_files(folder: Path) -> None:
    market = SyntheticMarket()
    _write_csv(folder / "splits.csv", market.recorded_splits())
    _write_csv(folder / "ticker_events.csv", market.ticker_events())
    _write_csv(folder / "tickers.csv", [
        {"date": day, **row} for day in _SNAPSHOTS for row in market.ticker_snapshot(day)
    ])  # fmt: skip
    _write_csv(folder / "dividends.csv", market.dividends(dt.date(2007, 1, 1), dt.date(2009, 12, 31)))


def _write_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        names = dict.fromkeys(name for record in records for name in record)
        writer = csv.DictWriter(file, fieldnames=list(names))
        writer.writeheader()
        writer.writerows(records)

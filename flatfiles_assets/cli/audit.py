"""`flatfiles audit`: recorded splits and dividends against the bars, with the bars around each case."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flatfiles_assets.console import console as terminal
from flatfiles_assets.escaping import printable
from flatfiles_assets.warehouse.audit import audit_cases, bars_around
from flatfiles_assets.warehouse.corporate_actions import sentence
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.workspace import open_warehouse

#: Verdicts that are worth a look; the others are as they should be.
ODD = (
    "shifted",
    "contradicted",
    "conflicting",
    "not_a_split",
    "duplicate",
    "unusable",
    "no_record",
    "archive_terms",
)

_COLORS = {"contradicted": "red", "conflicting": "red", "not_a_split": "magenta", "shifted": "yellow"}
_MOST_SHOWN = 20


@click.command()
@click.argument("ticker", required=False)
@click.option("--all", "everything", is_flag=True, help="Show every case, not the first 20.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one case a line.")
def audit(ticker: str | None, everything: bool, as_json: bool) -> None:
    """Show what the bars say of recorded splits and dividends: of TICKER, or every odd case.

    The table is that of the asset reference/corporate_action_audit, which records everything anew.
    What only you can settle, overrides.csv in the reference folder settles.
    """
    with open_warehouse() as warehouse:
        cases = audit_cases(warehouse, ticker, () if ticker else ODD).to_pylist()
        if as_json:
            for case in cases:
                print(json.dumps(case, default=str))
            return
        show_cases(terminal(), warehouse, cases, None if everything else _MOST_SHOWN)


def show_cases(
    console: Console, warehouse: WarehouseReader, cases: Sequence[Mapping[str, Any]], most: int | None
) -> None:
    """Each case in a sentence, and the bars around it."""
    if not cases:
        console.print("nothing of it is on record, and no jump looks like a split")
        return
    shown = cases[:most]
    for text, bars in _told(warehouse, shown):
        console.print(text)
        console.print(bars)
    if len(shown) < len(cases):
        console.print(f"… {len(cases) - len(shown):,} more cases; --all shows them")


def _told(warehouse: WarehouseReader, cases: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Text, Table]]:
    with warehouse.held() as held:
        for case in cases:
            text = Text(printable(case["verdict"]), style=f"bold {_COLORS.get(case['verdict'], 'cyan')}")
            text.append(f"  {printable(sentence(case))}", style="not bold default")
            yield text, _bars_table(case, bars_around(held, case))


def _bars_table(case: Mapping[str, Any], bars: Sequence[tuple[Any, ...]]) -> Table:
    table = Table("", "session", "ticker", box=None, header_style="dim", pad_edge=False)
    for name in ("open", "close", "open / close before", "volume"):
        table.add_column(name, justify="right")
    before: float | None = None
    for session, ticker, opened, close, volume in bars:
        mark = "→" if session == case["session"] else "·" if session == case["recorded_date"] else " "
        moved = f"{opened / before:.4g}" if before and opened else ""
        table.add_row(
            mark, str(session), printable(ticker), f"{opened:,.4f}", f"{close:,.4f}", moved, f"{volume:,.0f}"
        )
        before = close
    return table

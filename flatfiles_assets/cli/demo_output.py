"""How the demo prints the rows of a query."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def print_rows(console: Console, rows: Sequence[Sequence[object]], names: Sequence[str]) -> None:
    """Rows as a table without lines; numbers with separators, nothing for null."""
    table = Table(*names, box=None, header_style="bold")
    for row in rows:
        table.add_row(*map(_text, row))
    console.print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if isinstance(value, float) else str(value)

"""`flatfiles sql`: a read-only query on the warehouse."""

from __future__ import annotations

import sys

import click
import pyarrow.csv
from rich.table import Table

from flatfiles_assets.console import console as terminal
from flatfiles_assets.warehouse.workspace import open_warehouse

_MOST_ROWS_SHOWN = 50


@click.command()
@click.argument("query")
@click.option("--csv", "as_csv", is_flag=True, help="Print every row as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print every row as JSON, one object per line.")
def sql(query: str, as_csv: bool, as_json: bool) -> None:
    """Run QUERY on the warehouse, for example "SELECT count(*) FROM market.stocks_daily"."""
    with open_warehouse() as warehouse:
        result = warehouse.sql(query)
        if as_csv:
            pyarrow.csv.write_csv(result.arrow(), sys.stdout.buffer)
        elif as_json:
            result.df().to_json(sys.stdout, orient="records", lines=True, date_format="iso")
        else:
            rows = result.arrow()
            table = Table(*rows.column_names, box=None, header_style="bold")
            for row in rows.slice(0, _MOST_ROWS_SHOWN).to_pylist():
                table.add_row(*(str(value) for value in row.values()))
            console = terminal()
            console.print(table)
            if rows.num_rows > _MOST_ROWS_SHOWN:
                console.print(f"… {rows.num_rows - _MOST_ROWS_SHOWN:,} more rows; --csv or --json prints all")

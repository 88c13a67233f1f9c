"""`flatfiles sql`: a read-only query on the warehouse."""

from __future__ import annotations

import io
import os
import sys

import click
import pyarrow as pa
import pyarrow.csv
from rich.table import Table

from flatfiles_assets.console import console as terminal
from flatfiles_assets.console import show_every_character
from flatfiles_assets.escaping import printable_lines
from flatfiles_assets.warehouse.workspace import open_warehouse

_MOST_ROWS_SHOWN = 50


@click.command()
@click.argument("query")
@click.option("--csv", "as_csv", is_flag=True, help="Print every row as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print every row as JSON, one object per line.")
@click.option("--allow-files", is_flag=True, help="Let the query read other files and export to them.")
@click.option(
    "--as-of",
    metavar="MOMENT",
    help="As it was then: '2026-03-01 12:00' (UTC unless a zone is given), a state, or a run's id.",
)
def sql(query: str, as_csv: bool, as_json: bool, allow_files: bool, as_of: str | None) -> None:
    """Run QUERY on the warehouse, for example "SELECT count(*) FROM market.stocks_daily".

    It reads the warehouse and nothing else, unless --allow-files opens COPY … TO and other files.
    """
    show_every_character()
    # In the C locale Python takes UTF-8 in an argument for bytes that are no text.
    query = os.fsencode(query).decode("utf-8", "replace")
    with open_warehouse(allow_files=allow_files, as_of=as_of) as warehouse:
        result = warehouse.sql(query)
        if as_csv:
            _print_csv(result.arrow())
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


def _print_csv(rows: pa.Table) -> None:
    if not sys.stdout.isatty():
        pyarrow.csv.write_csv(rows, sys.stdout.buffer)
        return
    # A terminal obeys what a file only holds.
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(rows, buffer)
    sys.stdout.write(printable_lines(buffer.getvalue().decode()))

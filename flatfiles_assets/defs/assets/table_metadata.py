"""Tables as the UI shows them: column schemas and small previews."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

import dagster as dg

from flatfiles_assets.escaping import markdown
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.table import TableSchema, sql_type

_PREVIEW_ROWS = 5


def column_schema(table: TableSchema) -> dg.TableSchema:
    """The table's columns with types and descriptions."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, sql_type(column.table_type), description=column.description)
            for column in table.columns
        ]
    )


def preview_table(warehouse: Warehouse, table: TableSchema, session: dt.date) -> dg.MarkdownMetadataValue:
    """The first rows of a session."""
    with warehouse.reader() as reader:
        rows = reader.sql(
            f"SELECT * FROM {table.sql_name} WHERE trade_date = $session LIMIT {_PREVIEW_ROWS}",  # noqa: S608
            {"session": session},
        ).fetchall()
    return dg.MetadataValue.md(markdown_table([column.name for column in table.columns], rows))


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as a table of Markdown, in which every name and value is text."""
    lines = [_line(names), "|" + "---|" * len(names)]
    return "\n".join([*lines, *map(_line, rows)])


def _line(values: Iterable[object]) -> str:
    return "| " + " | ".join(map(markdown, values)) + " |"

"""Tables as the UI shows them: column schemas and small previews."""

from __future__ import annotations

import datetime as dt

import dagster as dg

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
    names = [column.name for column in table.columns]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(value) for value in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))

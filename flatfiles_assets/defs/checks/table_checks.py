"""Checks of the tables that are computed: schema, no key twice, bars that make sense.

Here: what follows from a table's schema, for `market/daily_prices`, the input of every algorithm, and
for what algorithms make of it. Not here: checks that need a file to compare with (`feed_checks.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence

import dagster as dg

from flatfiles_assets.defs.checks import verdicts
from flatfiles_assets.defs.checks.results import result_of, sessions_in_view
from flatfiles_assets.defs.checks.verdicts import Verdict
from flatfiles_assets.warehouse import evidence
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.evidence import SessionFigures
from flatfiles_assets.warehouse.table import TableSchema

_SCHEMA = "schema"
_BY_SESSION: Mapping[
    str, tuple[str, Callable[[Sequence[dt.date], Mapping[dt.date, SessionFigures]], Verdict]]
]
_BY_SESSION = {
    "no_duplicates": ("No key stands twice in a session.", verdicts.judge_duplicates),
    "ohlc": ("Low ≤ open, close ≤ high; nothing is missing or below zero.", verdicts.judge_bars),
}


def _names(table: TableSchema) -> list[str]:
    """The checks by session that a table can be held to."""
    has_bars = {"open", "high", "low", "close"} <= set(table.column_names)
    return [name for name in _BY_SESSION if name != "ohlc" or has_bars]


def table_check_specs(table: TableSchema, *, blocking: bool = True) -> list[dg.AssetCheckSpec]:
    """The checks of the asset that is a table.

    Args:
        table: A table partitioned by session.
        blocking: Whether a bad session goes no further downstream.
    """
    descriptions = {_SCHEMA: "The table has the registry's columns and types."}
    descriptions |= {name: _BY_SESSION[name][0] for name in _names(table)}
    return [
        dg.AssetCheckSpec(name, asset=dg.AssetKey(table.key), description=description, blocking=blocking)
        for name, description in descriptions.items()
    ]


def run_table_checks(
    context: dg.AssetExecutionContext, table: TableSchema, sessions: Sequence[dt.date], warehouse: Warehouse
) -> Iterator[dg.AssetCheckResult]:
    """Run the checks over some sessions and those that they found bad before.

    Args:
        context: Of the step that wrote the table.
        table: A table whose order within a session is its key.
        sessions: Sessions of the run.
        warehouse: Where the table is.
    """
    names = _names(table)
    keys = {name: dg.AssetCheckKey(dg.AssetKey(table.key), name) for name in (_SCHEMA, *names)}
    in_view = {day for name in names for day in sessions_in_view(context.instance, keys[name])}
    with warehouse.reader() as reader:
        yield result_of(keys[_SCHEMA], verdicts.judge_schema(table, evidence.stored_types(reader, table)))
        wanted = sorted({*sessions, *in_view})
        figures = evidence.session_figures(reader, table, table.sort_columns, wanted)
    for name in names:
        _, judge = _BY_SESSION[name]
        yield result_of(keys[name], judge(sorted(figures), figures), sessions)

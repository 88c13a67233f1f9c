"""Checks of the tables that are computed from feeds: schema, no key twice, bars that make sense.

Here: what `market/daily_prices`, the input of every algorithm, is checked for; any other table by
session and ticker can be. Not here: checks that need a file to compare with (`feed_checks.py`).
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
    "no_duplicates": ("No ticker stands twice in a session.", verdicts.judge_duplicates),
    "ohlc": ("Low ≤ open, close ≤ high; nothing is missing or below zero.", verdicts.judge_bars),
}


def table_check_specs(table: TableSchema) -> list[dg.AssetCheckSpec]:
    """The checks of the asset that is a table; all of them block."""
    descriptions = {_SCHEMA: "The table has the registry's columns and types."}
    descriptions |= {name: description for name, (description, _) in _BY_SESSION.items()}
    return [
        dg.AssetCheckSpec(name, asset=dg.AssetKey(table.key), description=description, blocking=True)
        for name, description in descriptions.items()
    ]


def run_table_checks(
    context: dg.AssetExecutionContext, table: TableSchema, sessions: Sequence[dt.date], warehouse: Warehouse
) -> Iterator[dg.AssetCheckResult]:
    """Run the checks over some sessions and those that they found bad before.

    Args:
        context: Of the step that wrote the table.
        table: A table of one row per session and ticker.
        sessions: Sessions of the run.
        warehouse: Where the table is.
    """
    keys = {name: dg.AssetCheckKey(dg.AssetKey(table.key), name) for name in (_SCHEMA, *_BY_SESSION)}
    in_view = {day for name in _BY_SESSION for day in sessions_in_view(context.instance, keys[name])}
    with warehouse.reader() as reader:
        yield result_of(keys[_SCHEMA], verdicts.judge_schema(table, evidence.stored_types(reader, table)))
        wanted = sorted({*sessions, *in_view})
        figures = evidence.session_figures(reader, table, ["ticker"], wanted)
    for name, (_, judge) in _BY_SESSION.items():
        yield result_of(keys[name], judge(sorted(figures), figures), sessions)

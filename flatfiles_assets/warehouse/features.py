"""Prices of the warehouse to features of the warehouse: the step behind `algorithm/*`.

Here: prices in, rows computed and stored. Not here: the arithmetic and which algorithms there are
(`algorithms/`), which sessions go together and what is said of each (`session_rows.py`), the reading
of prices (`prices.py`), Dagster (`defs/`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flatfiles_assets.algorithms.algorithm import Algorithm
from flatfiles_assets.algorithms.panel import Adjustment, PricePanel
from flatfiles_assets.algorithms.universe import Universe
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.identities import PanelColumns
from flatfiles_assets.warehouse.prices import actions_of, read_market, sessions_with_lookback
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.session_rows import (
    SessionFeatures,
    no_prices,
    sessions_at_once,
    split_by_session,
)
from flatfiles_assets.warehouse.tables import algorithm_table_key, get_table
from flatfiles_assets.warehouse.universe import members


def update_features(
    algorithm: Algorithm,
    sessions: Sequence[dt.date],
    warehouse: Warehouse,
    *,
    adjust: Adjustment = "splits",
    parameters: Any = None,
    universe: Universe | None = None,
) -> Iterator[SessionFeatures]:
    """Compute and store the features of some sessions: a year at a time, each in one pass.

    Args:
        algorithm: Whose features.
        sessions: Exchange sessions, in any order.
        warehouse: Where prices are read and features are stored.
        adjust: What prices are adjusted for.
        parameters: Of the algorithm; None for its defaults.
        universe: Who is ranked and paired in each session; None for everybody.

    Yields:
        One result per session, ascending, once its rows are committed.

    Raises:
        ReferenceMissing: The table of splits or dividends was never loaded.
        WarehouseMissing: Nothing was ever loaded.
        WarehouseBusy: Another process holds the warehouse for longer than the limit.
    """
    for part in sessions_at_once(sorted(sessions)):
        yield from _update_part(algorithm, part, warehouse, adjust, parameters, universe)


def _update_part(
    algorithm: Algorithm,
    wanted: Sequence[dt.date],
    warehouse: Warehouse,
    adjust: Adjustment,
    parameters: Any,
    universe: Universe | None,
) -> Iterator[SessionFeatures]:
    started = time.perf_counter()
    table = get_table(algorithm_table_key(algorithm.name))
    days, _ = sessions_with_lookback(wanted[0], wanted[-1], algorithm.lookback_sessions)
    # One state for everything that is read, so that its number says what the rows were made from.
    with warehouse.reader().held() as reader:
        state = reader.state()
        read = read_market(reader, days)
        actions = actions_of(reader, adjust, days, read.columns)
        panel = actions.adjust(read.panel, adjust, anchor="first")
        without_prices = {day for day in wanted if day in set(read.missing_sessions)}
        computed = [day for day in wanted if day not in without_prices]
        if computed and universe is not None:
            panel = _with_members(panel, reader, universe, computed, read.columns)
    by_session: dict[dt.date, pa.Table] = {}
    if computed:
        rows = algorithm.compute(
            panel, first_session=computed[0], last_session=computed[-1], parameters=parameters
        )
        by_session = {day: part for day, part in split_by_session(rows) if day in set(computed)}
        empty = table.arrow_schema.empty_table()
        with warehouse.writer(f"{algorithm.name} {computed[0]} to {computed[-1]}") as transaction:
            transaction.replace(
                table,
                pa.concat_tables([empty, *by_session.values()]),
                {"trade_date": computed},
            )
            transaction.note_inputs(table, computed, state)
    noticed_on = [row["session"] for row in actions.not_as_recorded.to_pylist()]
    missing_before = sum(day < wanted[0] for day in read.missing_sessions)
    seconds_each = (time.perf_counter() - started) / len(wanted)
    for day in wanted:
        if day in without_prices:
            yield SessionFeatures(day, error=no_prices(f"algorithm/{algorithm.name}", day))
        else:
            stored = by_session.get(day, table.arrow_schema.empty_table())
            odd = sum(noticed <= day for noticed in noticed_on)
            yield SessionFeatures(
                day, stored, missing_before, seconds_each, actions_not_as_recorded=odd, input_state=state
            )


def _with_members(
    panel: PricePanel,
    reader: WarehouseReader,
    universe: Universe,
    sessions: Sequence[dt.date],
    columns: PanelColumns,
) -> PricePanel:
    """The panel in which only the members of a universe are ranked and paired in those sessions."""
    asked = np.zeros(panel.close.shape, dtype=np.bool_)
    rows = np.searchsorted(panel.sessions, np.array(sessions, dtype="datetime64[D]"))
    asked[rows] = members(reader, universe, sessions, columns)
    return dataclasses.replace(panel, members=asked)

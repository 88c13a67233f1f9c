"""The researcher's door on the warehouse as it was: every answer of the past is what was answered then."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flatfiles_assets.data_integration import DataIntegration
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.ingest.directories.options_table import OPTIONS_SCHEMA
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.table import schema_from_arrow
from flatfiles_assets.warehouse.tables import SPLITS
from flatfiles_assets_tests.data_integration.test_options import BARS, OPTIONS_DAILY, QUOTES
from flatfiles_assets_tests.market_warehouse import STOCKS_DAILY, day_bars, market_warehouse, sessions

pytestmark = pytest.mark.slow

MARKET = SyntheticMarket(40)
DATES = ("2024-02-06", "2024-02-14")  # NVDA splits 4:1 on 2024-02-12
DAY = dt.date(2024, 2, 7)
SYMBOLS = ["NVDA", "KO"]


def _store_all(warehouse: Warehouse, name: str, rows: pa.Table) -> None:
    with warehouse.writer("test") as transaction:
        transaction.replace_table(schema_from_arrow(("market", name), rows.schema), rows)


def _statements(factor: int) -> pa.Table:
    rows = [
        {**row, "filing_date": dt.date(2024, 2, 8), "revenues": row["revenues"] * factor}
        for row in MARKET.financials(2023, 2023, SYMBOLS)[:2]
    ]
    return pa.Table.from_pylist(rows)


def _store_bars(warehouse: Warehouse, days: list[dt.date], factor: float) -> None:
    rows = day_bars(MARKET, days)
    for name in ("open", "high", "low", "close"):
        place = rows.column_names.index(name)
        rows = rows.set_column(place, rows.field(place), pc.multiply(rows.column(place), factor))
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, rows, {"trade_date": days})


def _store_options(warehouse: Warehouse, bars: list[dict[str, Any]], quotes: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(bars).select(OPTIONS_DAILY.column_names).cast(OPTIONS_DAILY.arrow_schema)
    with warehouse.writer("test") as transaction:
        transaction.replace(OPTIONS_DAILY, table, {"trade_date": [DAY, dt.date(2024, 2, 13)]})
    _store_all(warehouse, "options_directory", pa.Table.from_pylist(quotes, schema=OPTIONS_SCHEMA))


def _store_no_splits(warehouse: Warehouse) -> None:
    with warehouse.writer("test") as transaction:
        transaction.replace_all(SPLITS, SPLITS.arrow_schema.empty_table())


def _answers(door: DataIntegration) -> dict[str, Any]:
    types = ("prices", "financials", "options")
    return {
        "unified": door.create_unified_dataset(SYMBOLS, *DATES, types, ensure=False),
        "chain": door.option_chain("NVDA", DAY),
        "momentum": door.get_data_for_algorithm("momentum", SYMBOLS, *DATES, ensure=False),
        "pairs": door.get_data_for_algorithm("pairs_trading", SYMBOLS, *DATES, ensure=False),
    }


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, pd.DataFrame):
        return one.equals(other)
    frames = {name for name, value in one.items() if isinstance(value, pd.DataFrame)}
    assert frames, "nothing to compare"
    return set(one) == set(other) and all(one[name].equals(other[name]) for name in frames)


def test_what_was_answered_then_is_answered_of_then(tmp_path: Path):
    warehouse = market_warehouse(tmp_path / "w.duckdb", MARKET, *DATES)
    settings = load_settings(data_dir=tmp_path, api_key=None)
    days = sessions(*DATES)

    def door(as_of: int | None = None, **options: Any) -> DataIntegration:
        # The present and the past answer from one cache.
        return DataIntegration(warehouse, settings, tmp_path / "cache", warehouse_as_of=as_of, **options)

    steps = [
        lambda: (
            _store_all(warehouse, "financials", _statements(1)),
            _store_options(warehouse, BARS, QUOTES),
        ),
        lambda: _store_bars(warehouse, days[:3], 1.5),
        lambda: _store_all(warehouse, "financials", _statements(7)),
        lambda: _store_options(warehouse, BARS[:4] + BARS[-1:], QUOTES[1:]),
        lambda: _store_no_splits(warehouse),
        lambda: _store_bars(warehouse, days, 2.0),
    ]
    seen: dict[int, dict[str, Any]] = {}
    for step in steps:
        step()
        state = warehouse.reader().state()
        assert state is not None
        seen[state] = _answers(door())
    states = list(seen)
    # Every step changed some answer, or the test would show nothing.
    for before, after in itertools.pairwise(states):
        assert not all(_equal(seen[before][name], seen[after][name]) for name in seen[after]), after
    for state in reversed(states):
        for cached in ({}, {"cache_bytes": 0}):
            then = _answers(door(state, **cached))
            for name, answer in seen[state].items():
                assert _equal(then[name], answer), (state, name, cached)

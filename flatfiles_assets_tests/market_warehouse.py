"""The synthetic market straight in a warehouse, without files and stores between."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.securities import IdentityRecords
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.ingest.reference import reference_records
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.securities import make_securities
from flatfiles_assets.warehouse.tables import DIVIDENDS, SECURITIES, SPLITS, get_table
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

STOCKS_DAILY = get_table(("market", "stocks_daily"))


def sessions(start: str, end: str) -> list[dt.date]:
    return calendars.sessions("XNYS", start, end)


def day_bars(market: SyntheticMarket, days: Sequence[dt.date]) -> pa.Table:
    """Bars as the feed's table holds them: those without a trade left out."""
    tables = []
    for day in days:
        bars = market.day_bars(day).to_pandas().query("volume > 0").sort_values("ticker")
        bars.insert(0, "trade_date", day)
        tables.append(pa.Table.from_pandas(bars[list(STOCKS_DAILY.column_names)], preserve_index=False))
    return pa.concat_tables(tables).cast(STOCKS_DAILY.arrow_schema)


def load_bars(warehouse: Warehouse, market: SyntheticMarket, days: Sequence[dt.date]) -> None:
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars(market, days), {"trade_date": list(days)})


def load_reference(warehouse: Warehouse, market: SyntheticMarket) -> None:
    with warehouse.writer("test") as transaction:
        transaction.replace_all(SPLITS, reference_records("splits", market.splits(), "api").table)
        transaction.replace_all(DIVIDENDS, reference_records("dividends", market.dividends(), "api").table)


def load_securities(warehouse: Warehouse, records: IdentityRecords | None = None) -> None:
    made, _ = make_securities(warehouse.reader(), records or IdentityRecords.none())
    with warehouse.writer("test") as transaction:
        transaction.replace_all(SECURITIES, made.table)


def market_warehouse(path: Path, market: SyntheticMarket, start: str, end: str) -> Warehouse:
    """A warehouse with the market's stock day bars of a range, its splits, dividends and securities."""
    warehouse = Warehouse(path, lock_timeout_seconds=PATIENCE_SECONDS)
    load_bars(warehouse, market, sessions(start, end))
    load_reference(warehouse, market)
    load_securities(warehouse)
    return warehouse

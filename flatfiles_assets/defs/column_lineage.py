"""Which columns a table's columns come from, where a table is made from another.

Here: the mapping, for the catalog's graph of columns. Dagster's UI takes it from an asset's latest
materialisation, so runs note it on their last partition only: it is the same on every one.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from flatfiles_assets.algorithms.algorithm import Algorithm
from flatfiles_assets.columns import TRADE_DATE
from flatfiles_assets.defs.keys import (
    DAILY_PRICES_KEY,
    HISTORICAL_DAILY_KEY,
    STOCKS_DAILY_KEY,
    reference_key,
)
from flatfiles_assets.warehouse.tables import DAILY_PRICES

LINEAGE = "dagster/column_lineage"

_SPLITS = [dg.TableColumnDep(reference_key("splits"), name) for name in ("split_from", "split_to")]
# Ranked or chosen by traded value, not by price alone.
_OF_LIQUIDITY = ("dollar_volume", "rank", "percentile")


def unified_prices_lineage() -> dg.TableColumnLineage:
    """`market/daily_prices`: each column is the same column of whichever source counts."""
    return dg.TableColumnLineage(
        {
            column.name: [
                dg.TableColumnDep(key, column.name) for key in (STOCKS_DAILY_KEY, HISTORICAL_DAILY_KEY)
            ]
            for column in DAILY_PRICES.columns
            if column.name != "source"
        }
    )


def features_lineage(algorithm: Algorithm) -> dg.TableColumnLineage:
    """`algorithm/<name>`: features of closes, of volumes where liquidity counts, adjusted for splits."""
    return dg.TableColumnLineage(
        {name: _sources(name) for name in (column.name for column in algorithm.columns) if _sources(name)}
    )


def _sources(column: str) -> Sequence[dg.TableColumnDep]:
    if column == "adjustment":
        return []
    if column == TRADE_DATE.name or column.startswith("ticker"):
        name = TRADE_DATE.name if column == TRADE_DATE.name else "ticker"
        return [dg.TableColumnDep(DAILY_PRICES_KEY, name)]
    names = ("close", "volume") if any(word in column for word in _OF_LIQUIDITY) else ("close",)
    return [*(dg.TableColumnDep(DAILY_PRICES_KEY, name) for name in names), *_SPLITS]

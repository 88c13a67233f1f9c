"""Results as Arrow tables: wide, by pair, square or long, as they are computed and cached.

Here: their making. Not here: what is in them (each algorithm's module), and their conversion to
pandas and polars (`data_integration/frames.py`).

A table says in its schema's metadata what it is: ``wide`` (the first column is the session, every
other one a symbol or a pair), ``square`` (the first column is the symbol) or ``long``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets.algorithms.panel import FloatArray

SESSION, SYMBOL = "session", "symbol"
PAIR_LEVELS = ("symbol_y", "symbol_x")

SHAPE, PAIRS = b"shape", b"pairs"
_RENAMED = {"trade_date": SESSION, "ticker": SYMBOL, "ticker_y": PAIR_LEVELS[0], "ticker_x": PAIR_LEVELS[1]}


def wide(values: FloatArray, sessions: npt.NDArray[np.datetime64], symbols: Sequence[str]) -> pa.Table:
    """A matrix of shape (n_sessions, n_symbols) as a wide table; NaN becomes null."""
    return _matrix_table(SESSION, _days(sessions), values, list(symbols), {SHAPE: b"wide"})


def wide_pairs(
    values: FloatArray, sessions: npt.NDArray[np.datetime64], pairs: Sequence[tuple[str, str]]
) -> pa.Table:
    """A matrix of shape (n_sessions, n_pairs) as a wide table with a column ``Y/X`` per pair."""
    metadata = {SHAPE: b"wide", PAIRS: json.dumps(pairs).encode()}
    return _matrix_table(SESSION, _days(sessions), values, [f"{y}/{x}" for y, x in pairs], metadata)


def square(values: FloatArray, symbols: Sequence[str]) -> pa.Table:
    """A matrix of shape (n_symbols, n_symbols) as a table with the symbols first."""
    return _matrix_table(SYMBOL, pa.array(symbols, pa.string()), values, list(symbols), {SHAPE: b"square"})


def long(rows: pa.Table) -> pa.Table:
    """A long table with sessions and symbols under the names that research code sees."""
    rows = rows.rename_columns([_RENAMED.get(name, name) for name in rows.column_names])
    for index, field in enumerate(rows.schema):
        if pa.types.is_string(field.type):
            rows = rows.set_column(index, field.name, rows.column(index).dictionary_encode())
    return rows.unify_dictionaries().replace_schema_metadata({SHAPE: b"long"})


def _days(sessions: npt.NDArray[np.datetime64]) -> pa.Array:
    return pa.array(sessions.astype(np.int32), pa.int32()).cast(pa.date32())


def _matrix_table(
    index_name: str, index: pa.Array, values: FloatArray, names: list[str], metadata: dict[bytes, bytes]
) -> pa.Table:
    # Arrow's search for NaN takes longer than the rest.
    has_nan = bool(np.isnan(values).any())
    columns = [pa.array(column, from_pandas=has_nan) for column in np.ascontiguousarray(values.T)]
    schema = pa.schema(
        [(index_name, index.type), *((name, pa.float64()) for name in names)], metadata=metadata
    )
    return pa.Table.from_arrays([index, *columns], schema=schema)

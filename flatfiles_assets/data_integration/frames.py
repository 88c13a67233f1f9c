"""Tables as research code wants them: wide or long, in pandas, polars or Arrow.

Here: the Arrow form in which results are computed and cached, and its conversions. Not here: what
is in them (`algorithm_data.py`).

A table says in its schema's metadata what it is: ``wide`` (the first column is the session, every
other one a symbol or a pair), ``square`` (the first column is the symbol) or ``long``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets.algorithms.panel import FloatArray

FrameKind = Literal["pandas", "polars", "arrow"]
FRAME_KINDS: tuple[FrameKind, ...] = get_args(FrameKind)

SESSION, SYMBOL = "session", "symbol"
PAIR_LEVELS = ("symbol_y", "symbol_x")

_NS_PER_DAY = np.int64(86_400 * 10**9)

_SHAPE, _PAIRS = b"shape", b"pairs"
_RENAMED = {"trade_date": SESSION, "ticker": SYMBOL, "ticker_y": PAIR_LEVELS[0], "ticker_x": PAIR_LEVELS[1]}


def wide(values: FloatArray, sessions: npt.NDArray[np.datetime64], symbols: Sequence[str]) -> pa.Table:
    """A matrix of shape (n_sessions, n_symbols) as a wide table; NaN becomes null."""
    days = pa.array(sessions.astype(np.int32), pa.int32()).cast(pa.date32())
    return _matrix_table(SESSION, days, values, list(symbols), {_SHAPE: b"wide"})


def wide_pairs(
    values: FloatArray, sessions: npt.NDArray[np.datetime64], pairs: Sequence[tuple[str, str]]
) -> pa.Table:
    """A matrix of shape (n_sessions, n_pairs) as a wide table with a column ``Y/X`` per pair."""
    days = pa.array(sessions.astype(np.int32), pa.int32()).cast(pa.date32())
    metadata = {_SHAPE: b"wide", _PAIRS: json.dumps(pairs).encode()}
    return _matrix_table(SESSION, days, values, [f"{y}/{x}" for y, x in pairs], metadata)


def square(values: FloatArray, symbols: Sequence[str]) -> pa.Table:
    """A matrix of shape (n_symbols, n_symbols) as a table with the symbols first."""
    return _matrix_table(SYMBOL, pa.array(symbols, pa.string()), values, list(symbols), {_SHAPE: b"square"})


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


def long(rows: pa.Table) -> pa.Table:
    """A long table with sessions and symbols under the names that research code sees."""
    rows = rows.rename_columns([_RENAMED.get(name, name) for name in rows.column_names])
    for index, field in enumerate(rows.schema):
        if pa.types.is_string(field.type):
            rows = rows.set_column(index, field.name, rows.column(index).dictionary_encode())
    return rows.unify_dictionaries().replace_schema_metadata({_SHAPE: b"long"})


def convert(table: pa.Table, kind: FrameKind) -> pd.DataFrame | pl.DataFrame | pa.Table:
    """A table in the form asked for."""
    if kind == "pandas":
        return _to_pandas(table)
    return to_polars(table) if kind == "polars" else _plain(table)


def to_polars(table: pa.Table) -> pl.DataFrame:
    """A table as a polars DataFrame."""
    return cast("pl.DataFrame", pl.from_arrow(_plain(table)))


def _plain(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.string()))
    return table.replace_schema_metadata(None)


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    metadata = table.schema.metadata or {}
    shape = metadata.get(_SHAPE, b"long")
    if shape == b"long":
        columns = {
            field.name: _values(table.column(index), field.type) for index, field in enumerate(table.schema)
        }
        return pd.DataFrame(columns, copy=False)
    matrix = np.empty((table.num_columns - 1, table.num_rows))
    for number in range(1, table.num_columns):
        matrix[number - 1] = table.column(number).to_numpy()
    names = table.column_names[1:]
    columns_index: pd.Index[Any] = pd.Index(names, name=SYMBOL)
    if _PAIRS in metadata:
        pairs = [tuple(pair) for pair in json.loads(metadata[_PAIRS])]
        columns_index = pd.MultiIndex.from_tuples(pairs, names=PAIR_LEVELS) if pairs else columns_index
    index: pd.Index[Any] = (
        pd.DatetimeIndex(_values(table.column(0), pa.date32()), name=SESSION)
        if shape == b"wide"
        else pd.Index(table.column(0).to_pylist(), name=SYMBOL)
    )
    return pd.DataFrame(matrix.T, index=index, columns=columns_index, copy=False)


def _values(column: pa.ChunkedArray, type_: pa.DataType) -> Any:
    if pa.types.is_date32(type_):
        if column.null_count:
            return column.to_pandas(date_as_object=False)
        # numpy's own way from days to nanoseconds takes seven times as long.
        return (column.cast(pa.int32()).to_numpy() * _NS_PER_DAY).view("datetime64[ns]")
    if pa.types.is_dictionary(type_):
        # Shared text objects: a hundred times faster than a new one for each row.
        codes = column.combine_chunks()
        codes = codes if isinstance(codes, pa.DictionaryArray) else pa.concat_arrays(codes.chunks)
        names = np.array([*codes.dictionary.to_pylist(), None], dtype=object)
        return names[codes.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)]
    return column.to_pandas(date_as_object=False)

"""Tables as research code wants them: wide or long, in pandas, polars or Arrow.

Here: conversions of the Arrow form in which results are computed and cached. Not here: that form
(`algorithms/frames.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets.algorithms.frames import PAIR_LEVELS, PAIRS, SESSION, SHAPE, SYMBOL
from flatfiles_assets.data_integration.metadata import Metadata

FrameKind = Literal["pandas", "polars", "arrow"]
FRAME_KINDS: tuple[FrameKind, ...] = get_args(FrameKind)

_NS_PER_DAY = np.int64(86_400 * 10**9)


def convert(table: pa.Table, kind: FrameKind) -> pd.DataFrame | pl.DataFrame | pa.Table:
    """A table in the form asked for."""
    if kind == "pandas":
        return _to_pandas(table)
    return to_polars(table) if kind == "polars" else _plain(table)


def with_metadata(
    frame: pd.DataFrame | pl.DataFrame | pa.Table, metadata: Mapping[str, Any]
) -> pd.DataFrame | pl.DataFrame | pa.Table:
    """A frame that says of itself what it is, where frames of its kind can (polars' cannot)."""
    if isinstance(frame, pd.DataFrame):
        frame.attrs["metadata"] = Metadata(metadata)
    elif isinstance(frame, pa.Table):
        return frame.replace_schema_metadata({b"flatfiles": json.dumps(metadata, default=str).encode()})
    return frame


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
    shape = metadata.get(SHAPE, b"long")
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
    if PAIRS in metadata:
        pairs = [tuple(pair) for pair in json.loads(metadata[PAIRS])]
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

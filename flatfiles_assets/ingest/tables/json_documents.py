"""JSON documents to JSON lines: arrays, answers of web services, pandas' `to_json` in its forms.

Here: the rows of a document that is one value: an array of objects or of rows (streamed), or an object
that holds such arrays, columns, or rows by key. What stands beside an array in an object (``"symbol":
"AAPL"``) becomes a column of its rows. Not here: JSON lines, which are tables already (`table_files`).
"""

from __future__ import annotations

import collections
import decimal
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ijson

from flatfiles_assets.ingest.layouts.date_formats import is_date
from flatfiles_assets.ingest.layouts.layout import NotUnderstood

# An object is held in memory; arrays are streamed.
_LARGEST_OBJECT_BYTES = 256 * 2**20
_DEEPEST = 6
_BEGINNING = re.compile(rb'(?:\xef\xbb\xbf)?\s*(\{\s*(?:"|\})|\[\s*(?:[{\["\d\]-]|true|false|null))')
_SCALAR = (str, int, float, bool, type(None), decimal.Decimal)

Row = dict[str, Any]


def begins_like_one(beginning: bytes) -> bool:
    """Whether these could be the first bytes of JSON; bracketed headings (``[QUOTE_DATE]``) are not."""
    return _BEGINNING.match(beginning) is not None


def is_document(path: Path, beginning: bytes) -> bool:
    """Whether a file is one JSON array or object, rather than one object per line or no JSON at all."""
    match = _BEGINNING.match(beginning)
    if match is None:
        return False
    if match[1].startswith(b"{"):
        return not _is_json_lines(path)
    try:
        with path.open("rb") as file:
            collections.deque(itertools.islice(ijson.parse(_without_bom(file)), 20), maxlen=0)
    except ijson.JSONError:
        # Cut short it is still JSON: the reader will say where it ends.
        return begins_like_one(beginning) and match[1].startswith(b"[") and b"{" in beginning[:64]
    return True


def _is_json_lines(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline(2**24).strip().removeprefix(b"\xef\xbb\xbf")
        second = file.read(1)
    try:
        # One line alone may be an answer of a service as well: its shape decides.
        value = json.loads(first)
    except ValueError:
        return False
    return isinstance(value, dict) and (bool(second) or not _holds_rows(value))


def write_tables(path: Path, folder: Path) -> dict[str, Path] | NotUnderstood:
    """Write each table of a document as JSON lines; by its key in the document, ``""`` for all of it."""
    try:
        with path.open("rb") as file:
            content = _without_bom(file)
            start = content.tell()
            beginning = content.read(64).lstrip()
            content.seek(start)
            if beginning.startswith(b"["):
                return _written({"": _rows_of_array(content)}, folder)
            if path.stat().st_size > _LARGEST_OBJECT_BYTES:
                return NotUnderstood(
                    f"it is one JSON object of more than {_LARGEST_OBJECT_BYTES:,} bytes; save its rows as"
                    " an array or one object per line"
                )
            value = json.loads(content.read(), parse_float=decimal.Decimal)
            return _written(tables_of(value), folder)
    except (ijson.JSONError, ValueError, RecursionError) as error:
        return NotUnderstood(f"it is JSON that cannot be read to its end: {str(error).splitlines()[0]}")


def _without_bom(file: Any) -> Any:
    if file.read(3) != b"\xef\xbb\xbf":
        file.seek(0)
    return file


def _rows_of_array(content: Any) -> Iterator[Row]:
    headings: list[str] | None = None
    for value in ijson.items(content, "item", use_float=False):
        if isinstance(value, dict):
            yield value
        elif isinstance(value, list) and all(isinstance(cell, _SCALAR) for cell in value):
            if headings is None:
                is_header = bool(value) and all(isinstance(cell, str) and cell for cell in value)
                headings = value if is_header else [f"column {place}" for place in range(1, len(value) + 1)]
                if is_header:
                    continue
            yield dict(zip(headings, value, strict=False))
        else:
            raise ValueError("its array holds values that are no objects and no rows")


def tables_of(value: Any) -> dict[str, Iterable[Row]]:
    """The tables in a JSON value, by the path of their keys joined with ``.``."""
    return dict(_tables(value, (), {}))


def _holds_rows(value: Mapping[str, Any]) -> bool:
    return bool(tables_of(value))


def _tables(value: Any, path: tuple[str, ...], constants: Row) -> Iterator[tuple[str, list[Row]]]:
    name = ".".join(path)
    if isinstance(value, list):
        if value and all(isinstance(item, dict) for item in value):
            yield name, [constants | item for item in value]
        return
    if not isinstance(value, dict) or len(path) > _DEEPEST:
        return
    if {"columns", "data"} <= value.keys() and _is_matrix(value["data"]):
        yield name, list(_split(value, constants))
        return
    columns = {key: cells for key, cells in value.items() if isinstance(cells, list) and cells}
    if (
        len(columns) > 1
        and len({len(cells) for cells in columns.values()}) == 1
        and all(isinstance(cell, _SCALAR) for cells in columns.values() for cell in cells)
    ):
        own = constants | _scalars(value)
        yield (
            name,
            [own | dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
        )
        return
    if rows := _by_key(value):
        yield name, [constants | row for row in rows]
        return
    inner = constants | _scalars(value)
    for key, item in value.items():
        yield from _tables(item, (*path, key), inner)


def _scalars(value: Row) -> Row:
    return {key: cell for key, cell in value.items() if isinstance(cell, _SCALAR) and cell is not None}


def _is_matrix(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and all(isinstance(row, list) for row in data)


def _split(value: Row, constants: Row) -> Iterator[Row]:
    index = value.get("index", [])
    has_index = len(index) == len(value["data"]) and not _are_positions(map(str, index))
    for place, cells in enumerate(value["data"]):
        named = {"": index[place]} if has_index else {}
        yield constants | named | dict(zip(map(str, value["columns"]), cells, strict=False))


def _by_key(value: Row) -> list[Row]:
    """Rows of an object of objects: by key of the row, or (as pandas writes) of the column."""
    inner = list(value.values())
    if len(inner) < 2 or not all(isinstance(item, dict) and item for item in inner):
        return []
    if not all(isinstance(cell, _SCALAR) for item in inner for cell in item.values()):
        return []
    keys = list(dict.fromkeys(key for item in inner for key in item))
    if any(len(item) < len(keys) / 2 for item in inner):
        return []
    are_rows_inside = _are_labels(keys) and not _are_labels(value)
    if are_rows_inside:
        rows = [(key, {column: cells.get(key) for column, cells in value.items()}) for key in keys]
    else:
        rows = list(value.items())
    labels = [key for key, _ in rows]
    if _are_positions(labels):
        return [row for _, row in rows]
    name = "date" if all(map(is_date, labels)) and "date" not in rows[0][1] else ""
    return [{name: key, **row} for key, row in rows]


def _are_labels(keys: Iterable[str]) -> bool:
    return all(key.isdecimal() or is_date(key) for key in keys)


def _are_positions(keys: Iterable[str]) -> bool:
    return all(key == str(place) for place, key in enumerate(keys))


def _flat(row: Row) -> Row:
    """A row with the values of the objects in it as columns of its own: ``day.close``."""
    if not any(isinstance(cell, dict) for cell in row.values()):
        return row
    found: Row = {}
    for key, cell in row.items():
        if isinstance(cell, dict):
            found |= {f"{key}.{name}": inner for name, inner in _flat(cell).items()}
        else:
            found[key] = cell
    return found


def _written(tables: Mapping[str, Iterable[Row]], folder: Path) -> dict[str, Path] | NotUnderstood:
    written = {}
    for number, (name, rows) in enumerate(tables.items()):
        target = folder / f"{number}.jsonl"
        count = 0
        with target.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(_flat(row), ensure_ascii=False, default=str) + "\n")
                count += 1
        if count:
            written[name] = target
    return written or NotUnderstood(
        "it is JSON without rows: no array of objects, no columns", is_table=False
    )

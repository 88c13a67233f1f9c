"""Feeds that somebody declares in YAML, without writing Python.

Here: the fields of a declaration, what they mean for the registry, and the files of a folder. Not here:
Dagster, which reads the same files as components (`defs/components/`), and feeds that the package knows
(`datasets.py`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flatfiles_assets.calendars import parse_date
from flatfiles_assets.columns import Column
from flatfiles_assets.datasets import NEW_YORK, Dataset, get_dataset, register
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.warehouse.tables import register_feed_table

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")

#: What a column's text is read as.
_TYPES: Mapping[str, tuple[pa.DataType, pa.DataType | None]] = {
    "text": (pa.string(), None),
    "integer": (pa.int64(), None),
    "number": (pa.float64(), None),
    "nanoseconds": (pa.int64(), pa.timestamp("us", tz="UTC")),
}


class DeclaredColumn(BaseModel):
    """One column of a declared feed's files, found by its name in their header."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="In the file's header, and in the table.")
    type: Literal["text", "integer", "number", "nanoseconds"] = Field(
        description="`nanoseconds` since 1970 UTC become a time stamp."
    )
    description: str = Field(description="One line, with the unit.")
    optional: bool = Field(default=False, description="Whether good rows may lack a value.")
    stored: bool = Field(default=True, description="False for a column that is checked and not kept.")


class FeedDeclaration(BaseModel):
    """A feed of the vendor's bucket, as somebody declares it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Of assets, table, job and commands.")
    prefix: str = Field(description="First folder of the keys.")
    vendor_type: str = Field(description="Second folder of the keys.")
    title: str = Field(description="One sentence for people.")
    first_session: str = Field(description="First day the vendor has, YYYY-MM-DD.")
    like: str | None = Field(default=None, description="A feed of the registry with the same columns.")
    columns: list[DeclaredColumn] | None = Field(default=None, description="Where no other feed has them.")
    calendar: Literal["XNYS", "weekdays", "forex", "24/7"] | None = Field(
        default=None, description="Which days have a file; that of `like`, else XNYS."
    )
    timezone: str | None = Field(default=None, description="Zone whose days bound a session.")
    timestamp: str | None = Field(default=None, description="The column that must lie within the session.")
    unique_key: list[str] | None = Field(default=None, description="What identifies a row, if anything.")
    publish_time: str = Field(default="11:00", description="New York time on the day after the session.")
    max_partitions_per_run: int | None = Field(default=None, ge=1, description="Sessions per run.")


def dataset_of(declared: FeedDeclaration) -> Dataset:
    """The registry's entry for a declaration.

    Raises:
        InvalidArgument: It says too little or contradicts itself; the message says what.
    """
    if (declared.like is None) == (declared.columns is None):
        raise InvalidArgument(
            "a feed needs either `like` or `columns`",
            where=declared.name,
            next_step="name a feed with the same columns, or list the columns",
        )
    model = get_dataset(declared.like) if declared.like else None
    columns = model.columns if model else tuple(_column(column) for column in declared.columns or ())
    names = [column.name for column in columns]
    timestamp = declared.timestamp or (model.timestamp if model else "window_start")
    key = tuple(declared.unique_key) if declared.unique_key else (model.unique_key if model else None)
    if bad := [name for name in (declared.name, *names) if not _NAME.match(name)]:
        raise InvalidArgument(
            f"{bad[0]!r} is no name of a feed or column",
            where=declared.name,
            next_step="use lower-case letters, digits and underscores, a letter first",
        )
    unknown = [name for name in ("ticker", timestamp, *(key or ())) if name not in names]
    if unknown or len(set(names)) < len(names):
        raise InvalidArgument(
            f"the columns do not fit: {', '.join(unknown) or 'a name stands twice'}",
            where=declared.name,
            next_step="a feed has `ticker`, its `timestamp` and its `unique_key` among its columns, once",
        )
    return Dataset(
        declared.name,
        declared.prefix.strip("/"),
        declared.vendor_type.strip("/"),
        declared.title,
        columns,
        parse_date(declared.first_session),
        declared.max_partitions_per_run or (model.max_partitions_per_run if model else 23),
        timestamp=timestamp,
        unique_key=key,
        calendar=declared.calendar or (model.calendar if model else "XNYS"),
        timezone=declared.timezone or (model.timezone if model else NEW_YORK),
        publish_time=_time(declared),
    )


def declare(declared: FeedDeclaration) -> Dataset:
    """Put a declared feed into the registry of feeds and of tables; a repeated declaration changes nothing.

    Raises:
        InvalidArgument: The declaration is no feed, or another feed has its name or its keys.
    """
    dataset = dataset_of(declared)
    register(dataset)
    register_feed_table(dataset)
    return dataset


def declare_folder(folder: Path | None) -> list[Dataset]:
    """Put every feed that a folder declares into the registry: its ``*.yaml``, below any of its folders.

    Args:
        folder: Of component files as Dagster's `dg` has them, ``type`` and ``attributes``; None for none.

    Raises:
        InvalidArgument: A file cannot be read as a feed; the message names it and what is wrong.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise InvalidArgument(
            "there is no such folder", where=str(folder), next_step="see FLATFILES_FEEDS_DIR"
        )
    return [declare(read_declaration(path)) for path in sorted(folder.rglob("*.yaml"))]


def read_declaration(path: Path) -> FeedDeclaration:
    """The declaration in a file.

    Raises:
        InvalidArgument: There is none; the message names each field that is wrong.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        attributes: Any = document["attributes"]
        return FeedDeclaration.model_validate({k: _plain(v) for k, v in attributes.items()})
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
        why = f"it is no YAML with `type` and `attributes` ({error})"
    raise InvalidArgument("the file declares no feed", where=str(path), why=why)


def _plain(value: object) -> object:
    # YAML makes dates of what looks like one.
    return value.isoformat() if isinstance(value, dt.date) else value


def _column(declared: DeclaredColumn) -> Column:
    kind, stored = _TYPES[declared.type]
    return Column(
        declared.name,
        kind,
        declared.description,
        stored=declared.stored,
        stored_type=stored if declared.stored else None,
        optional=declared.optional,
    )


def _time(declared: FeedDeclaration) -> dt.time:
    try:
        return dt.time.fromisoformat(declared.publish_time)
    except ValueError:
        raise InvalidArgument(
            f"{declared.publish_time!r} is no time of day", where=declared.name, next_step="write HH:MM"
        ) from None

"""Layouts stated by hand, for files whose lines do not settle them.

Here: the TOML file's fields, their valid values and which files they are for.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from zoneinfo import available_timezones

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.date_formats import is_known_format
from flatfiles_assets.ingest.layouts.layout import SEPARATORS, BarLabel, BarSize, NotSettled, StraddlingBars
from flatfiles_assets.ingest.layouts.sidecars import SIDECARS, sidecar_pattern
from flatfiles_assets.ingest.options.overrides import EXPECTED, OptionsOverride, options_override

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PLACEHOLDER = "…"
"""Stands in entries to paste for what only the user knows."""

_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252")


@dataclasses.dataclass(frozen=True)
class LayoutOverride:
    """What the user states about some files; None is left to discovery.

    Attributes:
        separator: One of `SEPARATORS`.
        header: Whether there is a line of names.
        encoding: One of utf-8, utf-8-sig, utf-16, utf-16-le, utf-16-be, latin-1, cp1252.
        columns: Meanings in the file's order, or by heading.
        date_format: As `date_formats` names it, e.g. ``"%d/%m/%Y"``.
        date_source: ``"column"`` or ``"file name"``.
        symbol_source: ``"column"`` or ``"file name"``.
        symbol: The symbol of every row.
        decimal: ``"."`` or ``","``.
        bar_size: ``"daily"`` or ``"intraday"``.
        timezone: IANA name of the zone of naive intraday stamps, or whose day daily stamps name.
        bar_label: Whether an intraday stamp is the bar's ``"start"`` or ``"end"``.
        straddling_bars: Whether intraday bars that straddle 09:30 or 16:00 ``"count"`` for the day, with
            what was traded outside regular hours, or are to ``"ignore"``.
        frequency: ``"daily"`` for bars of one session each, or parts of one, whatever their distance;
            ``"weekly"`` or ``"monthly"`` for bars that are not to be read.
        symbol_pattern: Regular expression that finds the symbol, as its first group or as a whole, in
            the cells of the symbol column, or else in the file's path.
        symbol_case: ``"upper"`` where case means nothing, ``"as written"`` where it does.
        price_scale: By what prices are divided, e.g. 10000.
        volume_scale: By what volumes are multiplied, e.g. 1000.
        ignore: True for files that are to be listed and not read.
        options: What is stated about files of option quotes.
    """

    separator: str | None = None
    header: bool | None = None
    encoding: str | None = None
    columns: tuple[str, ...] | Mapping[str, str] | None = None
    date_format: str | None = None
    date_source: Literal["column", "file name"] | None = None
    symbol_source: Literal["column", "file name"] | None = None
    symbol: str | None = None
    decimal: str | None = None
    bar_size: BarSize | None = None
    timezone: str | None = None
    bar_label: BarLabel | None = None
    straddling_bars: StraddlingBars | None = None
    frequency: Literal["daily", "weekly", "monthly"] | None = None
    symbol_pattern: str | None = None
    symbol_case: Literal["upper", "as written"] | None = None
    price_scale: float | None = None
    volume_scale: float | None = None
    ignore: bool = False
    options: OptionsOverride | None = None

    def meanings_by_place(self, headings: Sequence[str], width: int) -> dict[int, str]:
        """The stated meanings by the columns' positions.

        Args:
            headings: The file's headings; empty where it has none.
            width: Its number of columns.

        Raises:
            NotSettled: The file has other columns than the override says.
        """
        if isinstance(self.columns, tuple):
            if len(self.columns) != width:
                raise NotSettled(f"the override names {len(self.columns)} columns where the file has {width}")
            return dict(enumerate(self.columns))
        stated = self.columns or {}
        unknown = [heading for heading in stated if heading not in headings]
        if unknown:
            raise NotSettled(f"the override names the headings {unknown}; the file has {list(headings)}")
        return {place: stated[heading] for place, heading in enumerate(headings) if heading in stated}


@dataclasses.dataclass(frozen=True)
class LayoutOverrides:
    """The entries of an override file, in its order.

    Attributes:
        entries: Patterns, years (empty: every year) and what is stated.
        sidecars: Globs of files that are no data, unless an entry speaks of them.
    """

    entries: tuple[tuple[tuple[str, ...], frozenset[int], LayoutOverride], ...] = ()
    sidecars: tuple[str, ...] = SIDECARS

    def for_file(self, name: str, year: int | None = None) -> LayoutOverride | None:
        """What is stated about a file: the first entry whose pattern its name matches.

        Args:
            name: The file's path below the year's directory; patterns also match the bare name.
            year: The archive's year.
        """
        for patterns, years, override in self.entries:
            if years and year not in years:
                continue
            if any(
                fnmatch.fnmatchcase(text, p) for p in patterns for text in (name, name.rpartition("/")[2])
            ):
                return override
        return None

    def why_ignored(self, name: str, year: int | None = None) -> str | None:
        """Why a file is to be listed and not read; None where it is to be read. Arguments as above."""
        override = self.for_file(name, year)
        if override is not None:
            return "ignored by an override" if override.ignore else None
        pattern = sidecar_pattern(name, self.sidecars)
        return f"a file beside the data ({pattern}), not data" if pattern else None


def _one_of(*values: object) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: any(value is v or (value == v and type(value) is type(v)) for v in values)), (
        "one of " + ", ".join(repr(value) for value in values)
    )


def _is_columns(value: Any) -> bool:
    by_heading = isinstance(value, Mapping) and bool(value)
    names = list(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return False
    meanings = [m for m in names if m != meaning.IGNORED]
    # By heading, to ignore one may be all that there is to state.
    return (
        (by_heading or bool(meanings))
        and set(meanings) <= set(meaning.MEANINGS)
        and len(set(meanings)) == len(meanings)
    )


def _is_pattern(value: str) -> bool:
    try:
        return bool(value) and re.compile(value).groups <= 1
    except re.error:
        return False


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0


_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "separator": _one_of(*SEPARATORS),
    "header": _one_of(True, False),
    "encoding": _one_of(*_ENCODINGS),
    "columns": (_is_columns, f"a list or table of {', '.join(meaning.MEANINGS)}, each but ignored once"),
    "date_format": (
        lambda value: isinstance(value, str) and is_known_format(value),
        "year, month and day as in '%m/%d/%Y' or '%d-%b-%y', 'excel', or 'epoch' and a unit: s, ms, us, ns",
    ),
    "date_source": _one_of("column", "file name"),
    "symbol_source": _one_of("column", "file name"),
    "symbol": (
        lambda value: isinstance(value, str) and value.strip() not in ("", PLACEHOLDER),
        "a symbol, such as 'AAPL'",
    ),
    "decimal": _one_of(".", ","),
    "bar_size": _one_of("daily", "intraday"),
    "timezone": (
        lambda value: isinstance(value, str) and value in available_timezones(),
        "an IANA zone such as 'America/New_York' or 'UTC'",
    ),
    "bar_label": _one_of("start", "end"),
    "straddling_bars": _one_of("count", "ignore"),
    "frequency": _one_of("daily", "weekly", "monthly"),
    "symbol_pattern": (
        lambda value: isinstance(value, str) and _is_pattern(value),
        "a regular expression with at most one group, e.g. '^daily_([A-Z.]+)'",
    ),
    "symbol_case": _one_of("upper", "as written"),
    "price_scale": (_is_positive, "a number above zero by which prices are divided, e.g. 10000"),
    "volume_scale": (_is_positive, "a number above zero by which volumes are multiplied, e.g. 1000"),
    "ignore": _one_of(True, False),
    "options": (lambda value: options_override(value) is not None, EXPECTED),
}


def load_overrides(path: str | Path) -> LayoutOverrides:
    """Reads an override file.

    An entry's ``match`` is a glob or a list of them, against the file's path below the year's
    directory or its bare name; the first entry that matches a file is taken. ``years`` limits it.

    ```toml
    [[files]]
    match = "eod/*.txt"
    years = [2003, 2004]
    separator = "|"
    date_format = "%d/%m/%Y"
    columns = ["symbol", "date", "open", "high", "low", "close", "volume", "ignored"]

    [[files]]
    match = ["readme*", "*.log"]
    ignore = true
    ```

    Raises:
        InvalidArgument: The file is not TOML, or an entry has an unknown key or a wrong value; the
            message names the key and the valid values.
    """
    where = str(path)
    try:
        # Editors of Windows put a mark before UTF-8.
        document = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InvalidArgument(
            "there is no override file",
            where=where,
            next_step="write it, or leave MINIO_LAYOUT_OVERRIDES away",
        ) from error
    except OSError as error:
        raise InvalidArgument(
            "the override file cannot be read",
            where=where,
            why=error.strerror or type(error).__name__,
            next_step="name a file that can be read in MINIO_LAYOUT_OVERRIDES",
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(
            "the override file is not TOML",
            where=where,
            why=str(error),
            next_step="correct it; `load_overrides` shows an example",
        ) from error
    extra = sorted(set(document) - {"files"})
    if extra or not isinstance(document.get("files", []), list):
        raise InvalidArgument(
            f"unknown key {extra[0]!r}" if extra else "`files` is not a list of tables",
            where=where,
            next_step="write each entry under [[files]]",
        )
    entries = (_entry(entry, f"{where}, entry {i}") for i, entry in enumerate(document.get("files", []), 1))
    return LayoutOverrides(tuple(entries))


def _entry(entry: Any, where: str) -> tuple[tuple[str, ...], frozenset[int], LayoutOverride]:
    if not isinstance(entry, dict):
        raise InvalidArgument("the entry is not a table", where=where, next_step="write it under [[files]]")
    fields = dict(entry)
    patterns, years = fields.pop("match", None), fields.pop("years", [])
    patterns = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(patterns, list) or not patterns or not all(isinstance(p, str) and p for p in patterns):
        raise InvalidArgument(
            "`match` is not a glob or a list of globs", where=where, next_step='e.g. "*.txt"'
        )
    if not isinstance(years, list) or not all(type(year) is int for year in years):
        raise InvalidArgument("`years` is not a list of years", where=where, next_step="e.g. [2003, 2004]")
    for name, value in fields.items():
        if name not in _FIELDS:
            valid = ", ".join(("match", "years", *_FIELDS))
            raise InvalidArgument(f"unknown key {name!r}", where=where, next_step=f"use one of {valid}")
        is_valid, expected = _FIELDS[name]
        if not is_valid(value):
            raise InvalidArgument(
                f"{name} = {value!r} is not valid", where=where, next_step=f"use {expected}"
            )
    if isinstance(fields.get("columns"), list):
        fields["columns"] = tuple(fields["columns"])
    if "options" in fields:
        fields["options"] = options_override(fields["options"])
    return tuple(patterns), frozenset(years), LayoutOverride(**fields)


def override_entry(names: Sequence[str], settling: Mapping[str, object], year: int | None = None) -> str:
    """The entry of an override file that would settle what was refused, ready to paste.

    Args:
        names: The files that it is about.
        settling: Values by key.
        year: The archive's year, to which it is limited; None for every year.
    """
    lines = ["[[files]]", f"match = {_toml(_glob_of(names))}"]
    if year is not None:
        lines.append(f"years = [{year}]")
    lines += [f"{key} = {_toml(value)}" for key, value in settling.items()]
    return "\n".join(lines)


def _glob_of(names: Sequence[str]) -> str:
    """A glob for one name, or for the folder and suffix that several share."""
    if len(names) == 1:
        return re.sub(r"([*?\[])", r"[\1]", names[0])
    folders = {name.rpartition("/")[0] for name in names}
    folder = f"{folders.pop()}/" if len(folders) == 1 and "" not in folders else ""
    endings = {"." + name.rpartition(".")[2] for name in names if "." in name.rpartition("/")[2]}
    ending = endings.pop() if len(endings) == 1 else ""
    return re.sub(r"([?\[])", r"[\1]", folder.replace("*", "[*]")) + "*" + ending


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # TOML's basic strings are JSON's, but for a character that JSON writes in two halves.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

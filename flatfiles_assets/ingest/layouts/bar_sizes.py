"""Whether rows are days or parts of days, and how their stamps are read, in all files of a layout.

Here: which cells are the evidence. Not here: how it is judged, for days (`daily_stamps`) and for parts
of days (`session_hours`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.column_cells import iter_column, iter_columns
from flatfiles_assets.ingest.layouts.daily_stamps import settle_shift
from flatfiles_assets.ingest.layouts.date_formats import parse_day, parse_stamp, parse_time
from flatfiles_assets.ingest.layouts.layout import FileLayout, NotSettled
from flatfiles_assets.ingest.layouts.name_dates import date_text
from flatfiles_assets.ingest.layouts.number_formats import to_numbers
from flatfiles_assets.ingest.layouts.overrides import LayoutOverride
from flatfiles_assets.ingest.layouts.session_hours import Trading, read_stamps
from flatfiles_assets.ingest.layouts.source_file import SourceFile

_FILES = 8
_STAMPS = 400
_BLOCK_BYTES = 2**20
_MOST_BLOCKS = 16
_REGULAR_SECONDS = 390 * 60


def with_bar_size(
    files: Sequence[SourceFile], layout: FileLayout, stated: LayoutOverride, *, is_intraday: bool
) -> FileLayout:
    """The layout with its bar size, and how its stamps are read.

    Args:
        files: Files of the layout.
        layout: All but that.
        stated: What the user states.
        is_intraday: Whether rows are parts of days.

    Raises:
        NotSettled: The stamps fit no zone or number of bars.
        CorruptFile: A file cannot be read to its end.
    """
    if not is_intraday:
        return _daily(files, layout, stated)
    if meaning.BAR_NUMBER in layout.columns:
        return _numbered(files, layout)
    trading = _trading(files, layout)
    if trading is None:
        raise NotSettled("an override says that its bars are intraday, and it has no times")
    reading = read_stamps(trading, stated.timezone, stated.bar_label, stated.straddling_bars)
    return dataclasses.replace(
        layout,
        bar_size="intraday",
        timezone=reading.timezone,
        bar_label=reading.bar_label,
        straddling_bars=reading.straddling,
        bar_seconds=reading.bar_seconds,
        evidence=(*layout.evidence, *reading.evidence),
    )


def _daily(files: Sequence[SourceFile], layout: FileLayout, stated: LayoutOverride) -> FileLayout:
    if stated.timezone:
        return dataclasses.replace(layout, timezone=stated.timezone, days_in_zone=True)
    if layout.date_source != "column":
        return layout
    texts: dict[str, None] = {}
    for file in _spread(files):
        texts |= dict.fromkeys(itertools.islice(iter_column(file, layout, meaning.DATE), _STAMPS))
        if len(texts) >= _STAMPS:
            break
    shift, evidence = settle_shift(list(texts), layout.date_format)
    if not shift:
        return layout
    return dataclasses.replace(layout, day_shift=shift, evidence=(*layout.evidence, evidence))


def _numbered(files: Sequence[SourceFile], layout: FileLayout) -> FileLayout:
    numbers = {
        int(text)
        for file in _spread(files)
        for text in iter_column(file, layout, meaning.BAR_NUMBER)
        if text.isdecimal()
    }
    first, last = min(numbers, default=0), max(numbers, default=0)
    count = last - first + 1
    if first not in (0, 1) or not numbers or _REGULAR_SECONDS % count or count < 2:
        raise NotSettled(
            f"its bars are numbered from {first} to {last} each day, and the regular hours from 09:30 to "
            "16:00 "
            "are not made of as many bars of one width; state in `columns` of an override where the time of "
            "day is"
        )
    evidence = f"bars {first} to {last} of a day are the {count} of its regular hours"
    return dataclasses.replace(
        layout,
        bar_size="intraday",
        bar_seconds=_REGULAR_SECONDS // count,
        first_bar=first,
        evidence=(*layout.evidence, evidence),
    )


def _spread(files: Sequence[SourceFile]) -> Sequence[SourceFile]:
    """Some files from the whole list, its first and last included."""
    if len(files) <= _FILES:
        return files
    places = np.unique(np.linspace(0, len(files) - 1, _FILES).astype(int))
    return [files[place] for place in places.tolist()]


def _trading(files: Sequence[SourceFile], layout: FileLayout) -> Trading | None:
    parts = [part for file in _spread(files) for part in _of_file(file, layout)]
    if not parts:
        return None
    moments = np.concatenate([moments for moments, _, _ in parts])
    volumes = np.concatenate([volumes for _, volumes, _ in parts])
    if not np.any(volumes > 0):
        volumes = np.ones(len(moments))
    return Trading(moments, volumes, any(has_zone for _, _, has_zone in parts)) if len(moments) else None


def _of_file(
    file: SourceFile, layout: FileLayout
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], bool]]:
    names = [n for n in (meaning.DATE, meaning.TIME, meaning.VOLUME) if n in layout.columns]
    blocks = file.path.stat().st_size // _BLOCK_BYTES
    try:
        for columns in iter_columns(file, layout, names, _BLOCK_BYTES, max(1, blocks // _MOST_BLOCKS)):
            cells = {layout.columns[place]: column for place, column in columns.items()}
            yield _moments_and_volumes(file, layout, cells)
    except CorruptFile:
        return  # the reader will say so


def _moments_and_volumes(
    file: SourceFile, layout: FileLayout, cells: dict[str, pa.StringArray]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], bool]:
    count = len(next(iter(cells.values())))
    has_zone = False
    if meaning.DATE in cells and layout.date_source == "column":
        encoded = cells[meaning.DATE].dictionary_encode()
        stamps = [parse_stamp(text, layout.date_format) for text in encoded.dictionary.to_pylist()]
        has_zone = any(stamp is not None and stamp.offset_seconds is not None for stamp in stamps)
        seconds = [
            stamp.day * 86400 + (stamp.second or 0) - (stamp.offset_seconds or 0) if stamp else -1
            for stamp in stamps
        ]
        moments = np.array(seconds, dtype=np.int64)[encoded.indices.to_numpy()]
    else:
        day = parse_day(date_text(file.name) or "", layout.date_format)
        moments = np.full(count, -1 if day is None else day * 86400, dtype=np.int64)
    readable = moments >= 0
    if meaning.TIME in cells:
        encoded = cells[meaning.TIME].dictionary_encode()
        times = [parse_time(text) for text in encoded.dictionary.to_pylist()]
        of_day = np.array([-1 if time is None else time for time in times], dtype=np.int64)
        seconds_of_day = of_day[encoded.indices.to_numpy()]
        readable &= seconds_of_day >= 0
        moments = moments // 86400 * 86400 + seconds_of_day
    volumes = np.ones(count)
    if meaning.VOLUME in cells:
        numbers, _ = to_numbers(cells[meaning.VOLUME], layout.decimal)
        volumes = np.nan_to_num(numbers.to_numpy(zero_copy_only=False).astype(np.float64))
    return moments[readable], np.maximum(volumes[readable], 0), has_zone

"""Which columns are the date, the time and the symbol: by headings where their values agree, else by values.

Here: dates, times and periods. Not here: symbols (`symbol_columns`), prices and volumes
(`price_columns`), the format of the dates (`date_evidence`).
"""

from __future__ import annotations

import numpy as np

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.column_aliases import Heading
from flatfiles_assets.ingest.layouts.date_formats import is_date, parse_time
from flatfiles_assets.ingest.layouts.known_columns import MOST, TextColumns, columns_entry, headed
from flatfiles_assets.ingest.layouts.layout import NotSettled
from flatfiles_assets.ingest.layouts.samples import Sample, share
from flatfiles_assets.ingest.layouts.series_evidence import counts_rows
from flatfiles_assets.ingest.layouts.symbol_columns import find_symbol_column

_LONGER_PERIODS = frozenset(
    {
        "w",
        "1w",
        "weekly",
        "week",
        "10080",
        "w1",
        "m",
        "mn",
        "mn1",
        "1m",
        "monthly",
        "month",
        "43200",
        "q",
        "y",
    }
)


def settle_text_columns(
    headings: tuple[Heading, ...],
    sample: Sample,
    stated: dict[int, str],
    year: int | None,
    *,
    date_from_name: bool,
    symbol_from_name: bool,
    is_daily: bool = False,
) -> TextColumns:
    """Finds the date, the time and the symbol.

    Args:
        headings: One per column.
        sample: Rows.
        stated: Meanings by position that an override states.
        year: Year of the archive, where it is known.
        date_from_name: Whether an override says that the names hold the dates.
        symbol_from_name: Whether an override says that the names hold the symbols.
        is_daily: Whether an override vouches for bars of days.

    Raises:
        NotSettled: A column of dates or of text is not explained, or bars are of weeks or months.
    """
    found = TextColumns(headings, [None] * len(headings))
    for place, name in stated.items():
        found.meanings[place] = name
    if not date_from_name and found.place(meaning.DATE) is None:
        _find_date(found, sample, year)
    if found.place(meaning.TIME) is None and found.place(meaning.BAR_NUMBER) is None:
        _find_time(found, sample)
    _find_period(found, sample, is_daily=is_daily)
    if not symbol_from_name and found.place(meaning.SYMBOL) is None:
        find_symbol_column(found, sample, per_day=found.place(meaning.DATE) is None)
    _refuse_unexplained_dates(found, sample, year)
    return found


def _find_date(found: TextColumns, sample: Sample, year: int | None) -> None:
    dated = headed(found, meaning.DATE)
    stamps = [*dated, *headed(found, meaning.TIME)]
    for place in stamps:
        if share(is_date, sample.columns[place]) >= MOST and not _are_times(sample, place):
            found.meanings[place] = meaning.DATE
            return
    explained = {meaning.OTHER, meaning.IDENTIFIER, meaning.QUOTE}
    for place, heading in enumerate(found.headings):
        if found.meanings[place] is not None or heading.meaning in explained:
            continue
        if heading.meaning in (None, meaning.SYMBOL, meaning.CLOSE) and _holds_dates(sample, place, year):
            found.meanings[place] = meaning.DATE
            if dated or heading.text:
                found.evidence.append(f"{found.named(place)} is the date, by its values")
            return
    if dated:
        # What is wrong with them is said where their format is settled.
        found.meanings[dated[0]] = meaning.DATE


def _holds_dates(sample: Sample, place: int, year: int | None) -> bool:
    return share(lambda cell: is_date(cell, year), sample.columns[place]) >= MOST


def _are_times(sample: Sample, place: int) -> bool:
    return share(lambda cell: ":" in cell and parse_time(cell) is not None, sample.columns[place]) >= MOST


def _find_time(found: TextColumns, sample: Sample) -> None:
    for place in headed(found, meaning.TIME):
        if share(lambda cell: parse_time(cell) is not None, sample.columns[place]) >= MOST:
            found.meanings[place] = meaning.TIME
            return
    date = found.place(meaning.DATE)
    for place, heading in enumerate(found.headings):
        if found.meanings[place] is not None or heading.meaning not in (
            *(None, meaning.BAR_NUMBER, meaning.DATE),
        ):
            continue
        is_bare = not heading.text and (
            _is_bare_time(sample, place, date) or _is_milliseconds(sample, place, date)
        )
        if _are_times(sample, place) or is_bare:
            found.meanings[place] = meaning.TIME
            if heading.text:
                found.evidence.append(f"{found.named(place)} is the time of day, by its values")
            return
    for place in headed(found, meaning.BAR_NUMBER):
        if share(str.isdecimal, sample.columns[place]) >= MOST:
            found.meanings[place] = meaning.BAR_NUMBER
            return


def _is_bare_time(sample: Sample, place: int, date: int | None) -> bool:
    """Bare digits are a time only right after the date, in the width of a clock."""
    if date is None or place != date + 1:
        return False
    cells = sample.filled(place)
    widths = {len(cell) for cell in cells}
    clock = all(cell.isdecimal() and parse_time(cell) is not None for cell in cells)
    return bool(cells) and clock and widths in ({4}, {6}, {3, 4}, {5, 6})


def _is_milliseconds(sample: Sample, place: int, date: int | None) -> bool:
    """In files of one day each, whose names have the date, the first column may count from midnight."""
    if date is not None or place != 0:
        return False
    cells = sample.filled(place)
    if not cells or not all(len(cell) in (7, 8) and parse_time(cell) is not None for cell in cells):
        return False
    steps = np.diff(sample.numbers(place))[np.diff(sample.files) == 0]
    return bool(len(steps)) and bool(np.all(steps > 0))


def _find_period(found: TextColumns, sample: Sample, *, is_daily: bool) -> None:
    places = headed(found, meaning.PERIOD)
    if not places:
        return
    place = places[0]
    values = {cell.casefold() for cell in sample.filled(place)}
    if not is_daily and (longer := sorted(values & _LONGER_PERIODS)):
        raise NotSettled(
            f"{found.named(place)} is {longer[0].upper()!r}: its bars are of weeks or months, not of days; "
            "`frequency` in an override would say otherwise",
            frequency="daily",
        )
    found.meanings[place] = meaning.PERIOD


def _refuse_unexplained_dates(found: TextColumns, sample: Sample, year: int | None) -> None:
    for place, heading in enumerate(found.headings):
        if found.meanings[place] is not None or heading.meaning is not None:
            continue
        if counts_rows(sample.numbers(place), sample.files) if place in sample.numeric else False:
            continue
        if _holds_dates(sample, place, year) and not _repeats_date(found, sample, place):
            raise NotSettled(
                f"{found.named(place)} holds dates and is not explained; state in `columns` of an override "
                "what it is",
                columns=columns_entry(found, place, meaning.IGNORED),
            )


def _repeats_date(found: TextColumns, sample: Sample, place: int) -> bool:
    date = found.place(meaning.DATE)
    return date is not None and sample.columns[place] == sample.columns[date]

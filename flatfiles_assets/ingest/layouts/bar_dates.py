"""In which format dates are, and which column counts the bars of a day.

Here: dates of whole columns, all files together. Not here: one date (`date_formats`), what the evidence
is (`date_evidence`).
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.column_cells import iter_column
from flatfiles_assets.ingest.layouts.date_evidence import DateVerdict, judge_siblings
from flatfiles_assets.ingest.layouts.date_formats import candidate_formats
from flatfiles_assets.ingest.layouts.known_columns import TextColumns, moments_of, repeated_share
from flatfiles_assets.ingest.layouts.layout import FileLayout, NotSettled
from flatfiles_assets.ingest.layouts.samples import Sample
from flatfiles_assets.ingest.layouts.source_file import SourceFile


def settle_date_format(
    files: Sequence[SourceFile], sample: list[str], draft: FileLayout | None, year: int | None
) -> DateVerdict:
    """The one format in which the dates of all files are.

    Args:
        files: The files.
        sample: Some dates.
        draft: The layout so far, where a column has the dates; None where the names have them.
        year: The archive's year, where it is known.

    Raises:
        NotSettled: No format, or more than one, fits.
    """
    shapes = collections.Counter(map(candidate_formats, sample))
    shapes.pop((), None)
    if not shapes:
        raise NotSettled(f"its dates are in no known format, e.g. {sample[0]!r}" if sample else "no dates")
    candidates = shapes.most_common(1)[0][0]
    if draft is None:
        # One file per day: the order of the names says nothing about that of the days.
        verdict = judge_siblings(([text] for text in sample), candidates, year)
    elif len(candidates) == 1:
        verdict = DateVerdict(candidates)
    else:
        columns = (list(iter_column(file, draft, meaning.DATE)) for file in files)
        verdict = judge_siblings(columns, candidates, year)
    if len(verdict.formats) == 1:
        others = tuple(name for name in candidates if name != verdict.formats[0])
        return dataclasses.replace(verdict, refuted=others)
    if not verdict.formats:
        raise NotSettled(f"its dates fit no format, e.g. {sample[0]!r}: {verdict.reason}".rstrip(": "))
    raise NotSettled(
        f"its dates can be read as {' or '.join(verdict.formats)}, e.g. {sample[0]!r}: no day above "
        "12, no "
        "closed day and no order of the rows settles which; state `date_format` in an override",
        date_format=verdict.formats[0],
    )


def find_bar_numbers(text: TextColumns, sample: Sample) -> None:
    """A column that counts the bars of each day, where neither a time nor a symbol tells them apart."""
    has_time = {meaning.TIME, meaning.BAR_NUMBER, meaning.SYMBOL} & set(text.meanings)
    date = text.place(meaning.DATE)
    if has_time or date is None:
        return
    moments = moments_of(text, sample, per_day=False)
    if repeated_share(sample.files, moments) < 0.5:
        return
    for place in sample.numeric:
        known = text.meanings[place] is not None or text.headings[place].meaning in (
            *meaning.PRICES,
            "volume",
        )
        if not known and _counts_within(sample.numbers(place), moments, sample.files):
            text.meanings[place] = meaning.BAR_NUMBER
            text.evidence.append(f"{text.named(place)} counts the bars of each day")
            return


def _counts_within(
    numbers: npt.NDArray[np.float64], moments: npt.NDArray[np.int64], files: npt.NDArray[np.int64]
) -> bool:
    """Whether a column goes up or down by one from row to row of a date."""
    together = (np.diff(moments) == 0) & (np.diff(files) == 0)
    steps = np.abs(np.diff(numbers)[together])
    return len(steps) > 2 and float(np.mean(steps == 1)) >= 0.98

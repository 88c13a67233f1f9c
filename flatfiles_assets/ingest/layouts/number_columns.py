"""The numbers of a file on the way to their meanings: values, and words about columns.

Here: what every question about columns of numbers asks. Not here: the questions (`price_columns`,
`volume_columns`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts import series_evidence
from flatfiles_assets.ingest.layouts.known_columns import TextColumns
from flatfiles_assets.ingest.layouts.samples import Sample
from flatfiles_assets.ingest.layouts.series_evidence import Floats, Ints, Series

_MOST_EQUAL = 0.95


@dataclasses.dataclass
class NumberColumns:
    """Columns of numbers.

    Attributes:
        found: The columns, with what is known of them.
        sample: Rows.
        series: The rows in time.
        securities: A code for each row's security.
        volume_scale: By what volumes are multiplied, from a heading's unit.
    """

    found: TextColumns
    sample: Sample
    series: Series
    securities: Ints
    volume_scale: float = 1.0
    _values: dict[int, Floats] = dataclasses.field(default_factory=dict)

    def values(self, place: int) -> Floats:
        """A column's numbers; prices and sizes of zero are none."""
        if place not in self._values:
            self._values[place] = self.sample.numbers(place)
        return self._values[place]

    @property
    def numeric(self) -> set[int]:
        """Columns of numbers, and such as hold nothing, which a heading may yet name."""
        empty = (p for p in range(len(self.found.headings)) if not self.sample.filled(p))
        return {*self.sample.numeric, *empty}

    def same(self, first: int, second: int) -> bool:
        """Whether two columns are equal in every row."""
        return bool(np.allclose(self.values(first), self.values(second), rtol=1e-9, equal_nan=True))

    def nearly_same(self, first: int, second: int) -> bool:
        """Whether two columns differ in few rows, as a close and one adjusted for few symbols do."""
        equal = np.isclose(self.values(first), self.values(second), rtol=1e-9, equal_nan=True)
        return float(np.mean(equal)) >= _MOST_EQUAL

    def numbers_rows(self, place: int) -> bool:
        """Whether a column is an index, which stands first."""
        return place == 0 and series_evidence.counts_rows(self.values(place), self.sample.files)

    def traded(self, place: int) -> bool:
        """Whether a column has anything but zeros."""
        return bool(np.nansum(np.abs(self.values(place))) > 0)

    def unexplained_numbers(self) -> list[int]:
        """Columns of numbers that neither a heading nor a value explains yet."""
        return [
            p
            for p in self.sample.numeric
            if self.found.meanings[p] is None
            and self.found.headings[p].meaning is None
            and not self.numbers_rows(p)
        ]

    def known(self, name: str) -> int:
        """Where a meaning stands that was settled before."""
        place = self.found.place(name)
        if place is None:
            raise AssertionError(f"{name} is settled before")
        return place

    def entry(self, named: dict[int, str]) -> object:
        """What `columns` of an override would be: by heading where there are headings, else a list."""
        headings = self.found.headings
        if any(h.text for h in headings):
            return {headings[p].text: name for p, name in named.items()}
        return [
            named.get(place) or known or meaning.IGNORED for place, known in enumerate(self.found.meanings)
        ]

    def names(self, places: Sequence[int]) -> str:
        """Columns' names for sentences."""
        return ", ".join(self.found.named(place) for place in places)

    def heading_list(self) -> str:
        """The headings for a sentence; nothing where there are none."""
        headings = [h.text for h in self.found.headings]
        return f"; its headings are {headings}" if any(headings) else ""

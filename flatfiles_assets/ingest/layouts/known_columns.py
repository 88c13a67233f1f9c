"""What is known of a file's columns while they are being settled.

Here: the state that each step adds to, and what rows share. Not here: the steps (`text_columns`,
`symbol_columns`, `price_columns`).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.column_aliases import Heading
from flatfiles_assets.ingest.layouts.samples import Sample

#: One row in twenty may be a footer or a fault.
MOST = 0.95


@dataclasses.dataclass
class TextColumns:
    """What is known of a file's columns so far.

    Attributes:
        headings: What each heading says; with an empty text where there is none.
        meanings: One of `column_aliases.MEANINGS` per column; None where nothing says yet.
        evidence: What settled questions, in sentences.
        has_many_securities: Whether something shows that a file holds more than one security.
    """

    headings: tuple[Heading, ...]
    meanings: list[str | None]
    evidence: list[str] = dataclasses.field(default_factory=list)
    has_many_securities: bool = False

    def place(self, name: str) -> int | None:
        """Where a meaning stands."""
        return self.meanings.index(name) if name in self.meanings else None

    def named(self, place: int) -> str:
        """A column's name for sentences."""
        return repr(self.headings[place].text) if self.headings[place].text else f"column {place + 1}"


def headed(found: TextColumns, name: str) -> list[int]:
    """Columns whose headings say a meaning, the preferred first, without those that have another."""
    places = [p for p, h in enumerate(found.headings) if h.meaning == name and found.meanings[p] is None]
    return sorted(places, key=lambda place: (found.headings[place].rank, place))


def moments_of(found: TextColumns, sample: Sample, *, per_day: bool) -> npt.NDArray[np.int64]:
    """A code for each row's date and time."""
    places = [found.place(name) for name in (meaning.DATE, meaning.TIME, meaning.BAR_NUMBER)]
    columns = [sample.columns[place] for place in places if place is not None]
    if not columns or per_day:
        columns = [["" for _ in sample.rows], *columns]
    texts = np.array([" ".join(cells) for cells in zip(*columns, strict=True)], dtype=np.str_)
    return np.unique(texts, return_inverse=True)[1].astype(np.int64)


def repeated_share(*keys: npt.NDArray[np.int64]) -> float:
    """The share of rows whose key an earlier row has."""
    if not len(keys[0]):
        return 0.0
    distinct = int(np.unique(np.stack(keys), axis=1).shape[1])
    return 1 - distinct / len(keys[0])


def columns_entry(found: TextColumns, place: int, name: str) -> object:
    """What `columns` of an override would be to give one column a meaning."""
    if found.headings[place].text:
        return {found.headings[place].text: name}
    return [
        name if other == place else (known or meaning.IGNORED) for other, known in enumerate(found.meanings)
    ]

"""Rows that were not accepted, as the quarantine keeps them: why, and as they stood in the file.

Here: reasons in words and the rows' own text. Which rows are rejected is decided in `bar_rows`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets.ingest.historical.bars import FEED, HISTORICAL_RULES
from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.delimited import Cells, split_line
from flatfiles_assets.ingest.layouts.layout import FileLayout
from flatfiles_assets.ingest.layouts.number_formats import is_no_value
from flatfiles_assets.ingest.quality import QUARANTINE_SCHEMA
from flatfiles_assets.ingest.row_rules import FileIdentity, RowRule

# The rules used here do not look at the session.
IDENTITY = FileIdentity(HISTORICAL_RULES, "", dt.date(1970, 1, 1))


class RejectedRows:
    """Writes the quarantine's rows of one block.

    Args:
        block: The block's lines.
        cells: Its cells.
        layout: How they were read.
        batch: The well-formed rows, typed, with `bars.STAGED_SCHEMA`.
        unread: By meaning, masks of the cells of `batch` that are no numbers.
        year: The archive's year.
    """

    def __init__(
        self,
        block: bytes,
        cells: Cells,
        layout: FileLayout,
        batch: pa.RecordBatch,
        unread: Mapping[str, pa.BooleanArray],
        year: int | None,
    ) -> None:
        self._lines = block.split(b"\n")
        self._cells = cells
        self._layout = layout
        self._batch = batch
        self._unread = unread
        self._year = year
        names = layout.headings or layout.columns
        self._names = [
            name if name not in ("", meaning.IGNORED) else f"column {place}"
            for place, name in enumerate(names, 1)
        ]

    def breaking(
        self, rule: RowRule | str, indices: npt.NDArray[np.int64], files: Sequence[str]
    ) -> pa.RecordBatch:
        """Well-formed rows that break one rule, with `QUARANTINE_SCHEMA`.

        Args:
            rule: A rule of `row_rules`, or one of ``unparsable``, ``misdated``, ``duplicate``.
            indices: Positions of the rows in the batch.
            files: Name of each row's file.
        """
        rows = self._batch.take(pa.array(indices))
        cells = [self._split(int(line)) for line in self._cells.row_indices[indices]]
        days = rows.column("trade_date").to_pylist()
        if isinstance(rule, RowRule) and rule.name == "missing_value":
            name = rule.name
            reasons = [self._missing(row, texts) for row, texts in zip(rows.to_pylist(), cells, strict=True)]
        elif isinstance(rule, RowRule):
            name, reasons = rule.name, rule.explain(rows, IDENTITY)
        else:
            name = rule
            reasons = [
                self._reason(rule, index, texts, day)
                for index, texts, day in zip(indices.tolist(), cells, days, strict=True)
            ]
        count = len(indices)
        texts_json = [
            json.dumps(dict(zip(self._names, texts, strict=False)), ensure_ascii=False) for texts in cells
        ]
        return _batch(
            rows.column("trade_date"),
            list(files),
            rows.column("row_number"),
            [name] * count,
            reasons,
            rows.column("ticker"),
            texts_json,
        )

    def malformed(self, files: Sequence[str], row_numbers: Sequence[int]) -> pa.RecordBatch:
        """The lines that are no rows of the layout, in the block's order, with `QUARANTINE_SCHEMA`."""
        lines = sorted(self._cells.malformed)
        count = len(lines)
        return _batch(
            pa.nulls(count, pa.date32()),
            list(files),
            list(row_numbers),
            ["unparsable"] * count,
            [self._cells.malformed[line] for line in lines],
            [""] * count,
            [json.dumps(self._lines[line].decode(), ensure_ascii=False) for line in lines],
        )

    def _split(self, line: int) -> list[str]:
        return split_line(self._lines[line].decode(), self._layout.separator)

    def _reason(self, rule: str, index: int, texts: Sequence[str], day: dt.date | None) -> str:
        if rule == "unparsable":
            return ", ".join(self._unparsable(index, texts, day))
        if rule == "duplicate":
            return f"an earlier row has the same symbol and time on {day}"
        is_outside = self._year is not None and day is not None and day.year != self._year
        return f"{day} is not in {self._year}" if is_outside else f"{day} is no session of XNYS"

    def _missing(self, row: Mapping[str, object], texts: Sequence[str]) -> str:
        """What of a bar is missing; a price of zero is none, and said as it stands."""
        places = {name: place for place, name in enumerate(self._layout.columns)}
        absent = [name for name in meaning.PRICES if row[name] is None]
        zeros = [name for name in absent if not is_no_value(texts[places[name]])]
        empty = [name for name in absent if name not in zeros]
        parts = [
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {what}"
            for names, what in ((empty, "empty"), (zeros, "zero, which is no price"))
            if names
        ]
        return ", ".join(parts)

    def _unparsable(self, index: int, texts: Sequence[str], day: dt.date | None) -> list[str]:
        places = {name: place for place, name in enumerate(self._layout.columns)}
        parts = [
            f"{name} {texts[places[name]]!r} is not a number"
            for name, mask in self._unread.items()
            if mask[index].as_py()
        ]
        if day is None:
            stamp = " ".join(texts[places[name]] for name in (meaning.DATE, meaning.TIME) if name in places)
            parts.append(f"{stamp!r} is no date under {self._layout.date_format}")
        return parts


def empty_quarantine() -> pa.RecordBatch:
    """No rows, with `QUARANTINE_SCHEMA`."""
    return pa.RecordBatch.from_pylist([], schema=QUARANTINE_SCHEMA)


def _batch(
    days: pa.Array,
    files: list[str],
    row_numbers: pa.Array | list[int],
    rules: list[str],
    reasons: list[str],
    tickers: pa.Array | list[str],
    rows: list[str],
) -> pa.RecordBatch:
    columns = [days, [FEED] * len(files), files, row_numbers, rules, reasons, tickers, rows]
    arrays = [
        values if isinstance(values, pa.Array) else pa.array(values, field.type)
        for values, field in zip(columns, QUARANTINE_SCHEMA, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=QUARANTINE_SCHEMA)

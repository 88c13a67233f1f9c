"""Lines of a known layout to typed bars, and the rows that cannot be accepted beside them.

Here: one block of lines of one or many files at a time, vectorised: which line is whose
(`OwnedLines`), what its cells are (`TypedRows`), which rule it breaks. The rules of one row are
`row_rules`'; this module adds what a historical row can break besides: it may not be readable, and
its date may not be a session of the archive's year. Symbols stay as the file writes them: what they
are called follows from those of the whole year (`symbol_marks`).
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.ingest.historical.bars import STAGED_SCHEMA
from flatfiles_assets.ingest.historical.rejected_rows import IDENTITY, RejectedRows, empty_quarantine
from flatfiles_assets.ingest.historical.row_dates import RowDates, dates_of, per_distinct
from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.daily_stamps import daily_day
from flatfiles_assets.ingest.layouts.date_evidence import is_open
from flatfiles_assets.ingest.layouts.delimited import Cells, parse_cells
from flatfiles_assets.ingest.layouts.layout import FileLayout
from flatfiles_assets.ingest.layouts.number_formats import to_numbers
from flatfiles_assets.ingest.layouts.zones import ABSENT
from flatfiles_assets.ingest.placeholder_tickers import DEFAULT_TEST_TICKERS
from flatfiles_assets.ingest.row_rules import ROW_RULES, RowRule

_PRICES = (*meaning.PRICES, meaning.ADJUSTED_CLOSE)
_VOLUMES = (meaning.VOLUME, meaning.UP_VOLUME, meaning.DOWN_VOLUME)
_NUMBERS = (*_PRICES, *_VOLUMES, meaning.TRANSACTIONS)
_READ = frozenset({meaning.DATE, meaning.TIME, meaning.BAR_NUMBER, meaning.SYMBOL, *_NUMBERS})
# In the order of precedence; those of `row_rules` know how to find and explain themselves.
_RULES: tuple[RowRule | str, ...] = (
    "unparsable",
    "misdated",
    *(rule for rule in ROW_RULES if rule.name != "misdated"),
    "duplicate",
)
RULE_NAMES = tuple(rule if isinstance(rule, str) else rule.name for rule in _RULES)
"""Every rule that a row of an archive may break, in the order of precedence."""

_UNPARSABLE = 0
_DUPLICATE = len(_RULES) - 1
_OHLC = next(code for code, rule in enumerate(_RULES) if isinstance(rule, RowRule) and rule.name == "ohlc")

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Segment:
    """Consecutive lines of a block that come from one file.

    Attributes:
        file_id: Number of the file in its year.
        name: Its name for reports.
        rows: Lines in the block.
        first_row: Number in the file of the first of them, counted from 1, without the header.
        symbol: Symbol of all rows, where the file's name or an override has it.
        day: Date of all rows, days since 1970-01-01, where the file's name has it.
    """

    file_id: int
    name: str
    rows: int
    first_row: int = 1
    symbol: str | None = None
    day: int | None = None


@dataclasses.dataclass(frozen=True)
class ConvertedRows:
    """The rows of one block.

    Attributes:
        accepted: With `STAGED_SCHEMA`, in the block's order.
        rejected: With `QUARANTINE_SCHEMA`; `trade_date` is null where the row has none that can be read.
        rejected_segments: For each rejected row, the position of its segment.
        unreadable_per_segment: Rows that could not be parsed, int64.
        disorderly_per_segment: Rows whose prices contradict each other (rule `ohlc`), int64.
        undecided_segments: Positions of segments whose dates another reading would allow, too: that
            they are read so rests on the evidence of their siblings.
    """

    accepted: pa.RecordBatch
    rejected: pa.RecordBatch
    rejected_segments: Ints
    unreadable_per_segment: Ints
    disorderly_per_segment: Ints
    undecided_segments: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class OwnedLines:
    """A block's lines, and whose each is.

    Attributes:
        segments: The files' parts of the block.
        starts: The block's first line of each segment.
    """

    segments: Sequence[Segment]
    starts: Ints

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> OwnedLines:
        """The lines of some segments, which add up to the block."""
        return cls(segments, np.cumsum([0, *(segment.rows for segment in segments)])[:-1])

    def owners(self, lines: Ints) -> Ints:
        """The position of each line's segment."""
        return np.searchsorted(self.starts, lines, side="right") - 1

    def row_numbers(self, lines: Ints) -> Ints:
        """The number of each line in its file."""
        owners = self.owners(lines)
        first_rows = np.array([segment.first_row for segment in self.segments], dtype=np.int64)
        return lines - self.starts[owners] + first_rows[owners]

    def file_names(self, lines: Ints) -> list[str]:
        """The name of each line's file."""
        names = np.array([segment.name for segment in self.segments], dtype=object)
        return list(names[self.owners(lines)])

    def per_segment(self, lines: Ints) -> Ints:
        """How many of the lines each segment has."""
        return np.bincount(self.owners(lines), minlength=len(self.segments))


@dataclasses.dataclass(frozen=True)
class TypedRows:
    """The well-formed rows of a block with their types.

    Attributes:
        bars: With `STAGED_SCHEMA`.
        days: Days since 1970-01-01, `ABSENT` where the date cannot be read.
        unread: By meaning, masks of the cells that are no numbers.
        lines: The block's line of each row.
    """

    bars: pa.RecordBatch
    days: Ints
    unread: Mapping[str, pa.BooleanArray]
    lines: Ints

    @property
    def unreadable(self) -> Mask:
        """Rows of which some cell cannot be read."""
        found: Mask = self.days == ABSENT
        for mask in self.unread.values():
            found = found | mask.to_numpy(zero_copy_only=False)
        return found


def convert_rows(
    block: bytes,
    segments: Sequence[Segment],
    layout: FileLayout,
    year: int | None = None,
    test_tickers: AbstractSet[str] = DEFAULT_TEST_TICKERS,
) -> ConvertedRows:
    """Types a block of lines and applies every rule that looks at one row.

    Args:
        block: UTF-8 lines without headers, each ended by LF.
        segments: Which lines are whose; their rows add up to the block's lines.
        layout: How to read them all.
        year: Year in which every date must lie; None for any.
        test_tickers: Symbols of the rule `test_ticker`.
    """
    owned = OwnedLines.of(segments)
    wanted = [place for place, name in enumerate(layout.columns) if name in _READ]
    cells = parse_cells(block, layout.separator, len(layout.columns), wanted)
    by_meaning = {layout.columns[place]: column for place, column in cells.columns.items()}
    rows = _typed(by_meaning, owned, cells.row_indices, layout)
    broken = _broken_rules(rows, year, test_tickers)
    if layout.bar_size == "intraday":
        broken[_repeated_stamps(rows.bars, broken)] = _DUPLICATE

    malformed = np.array(sorted(cells.malformed), dtype=np.int64)
    rejected, rejected_lines = empty_quarantine(), np.zeros(0, dtype=np.int64)
    has_bad = bool((broken >= 0).any())
    if has_bad or len(malformed):
        writer = RejectedRows(block, cells, layout, rows.bars, rows.unread, year)
        rejected, rejected_lines = _rejected(writer, owned, rows, broken, malformed)
    return ConvertedRows(
        accepted=rows.bars.filter(pa.array(broken < 0)) if has_bad else rows.bars,
        rejected=rejected,
        rejected_segments=owned.owners(rejected_lines),
        unreadable_per_segment=owned.per_segment(
            np.concatenate([rows.lines[broken == _UNPARSABLE], malformed])
        ),
        disorderly_per_segment=owned.per_segment(rows.lines[broken == _OHLC]),
        undecided_segments=_undecided(by_meaning.get(meaning.DATE), owned, cells, layout),
    )


def _typed(
    columns: Mapping[str, pa.StringArray], owned: OwnedLines, lines: Ints, layout: FileLayout
) -> TypedRows:
    owners = owned.owners(lines)
    in_names = [ABSENT if segment.day is None else segment.day for segment in owned.segments]
    dates = dates_of(columns, np.array(in_names, dtype=np.int64)[owners], layout)
    numbers: dict[str, pa.DoubleArray] = {}
    unread: dict[str, pa.BooleanArray] = {}
    for name in _NUMBERS:
        if name in columns:
            numbers[name], mask = to_numbers(columns[name], layout.decimal)
            if mask is not None:
                unread[name] = mask
    tickers = _tickers(columns, owned.segments, owners, layout)
    return TypedRows(_bars(dates, tickers, _scaled(numbers, layout), owned, lines), dates.days, unread, lines)


def _scaled(numbers: Mapping[str, pa.DoubleArray], layout: FileLayout) -> dict[str, pa.DoubleArray]:
    """Numbers in dollars and shares; a price of zero, which is none, becomes null."""
    found = dict(numbers)
    for name in _PRICES:
        if name in found:
            if layout.sign_is_mark:
                found[name] = pc.abs(found[name])
            if layout.price_scale != 1:
                found[name] = pc.divide(found[name], layout.price_scale)
            is_zero = pc.equal(found[name], 0.0)
            if pc.any(is_zero, min_count=0).as_py():
                found[name] = pc.if_else(is_zero, None, found[name])
    if meaning.UP_VOLUME in found and meaning.DOWN_VOLUME in found and meaning.VOLUME not in found:
        found[meaning.VOLUME] = pc.add(found[meaning.UP_VOLUME], found[meaning.DOWN_VOLUME])
    if meaning.VOLUME in found and layout.volume_scale != 1:
        found[meaning.VOLUME] = pc.multiply(found[meaning.VOLUME], layout.volume_scale)
    return found


def _tickers(
    columns: Mapping[str, pa.StringArray], segments: Sequence[Segment], owners: Ints, layout: FileLayout
) -> pa.StringArray:
    """The symbols as the file writes them."""
    if segments[0].symbol is not None:
        of_segments = pa.array([segment.symbol or "" for segment in segments], pa.string())
        return of_segments.take(pa.array(owners))
    encoded = columns[meaning.SYMBOL].dictionary_encode()
    symbols = [find_symbol(text.strip(), layout.symbol_pattern) for text in encoded.dictionary.to_pylist()]
    return pa.array(symbols, pa.string()).take(encoded.indices)


@functools.lru_cache(maxsize=65536)
def find_symbol(text: str, pattern: str | None) -> str:
    """The symbol that a pattern finds in a text, its first group or all of it; empty where it finds none."""
    if pattern is None:
        return text
    match = re.search(pattern, text)
    return "" if match is None else (match[1] or "") if match.re.groups else match[0]


def _bars(
    dates: RowDates,
    tickers: pa.StringArray,
    numbers: Mapping[str, pa.DoubleArray],
    owned: OwnedLines,
    lines: Ints,
) -> pa.RecordBatch:
    count = len(lines)
    absent = dates.days == ABSENT
    file_ids = np.array([segment.file_id for segment in owned.segments], dtype=np.int32)
    trades = numbers.get(meaning.TRANSACTIONS)
    no_numbers, no_integers = pa.nulls(count, pa.float64()), pa.nulls(count, pa.int64())
    stamps = no_integers if dates.stamps is None else pa.array(dates.stamps)
    columns = {
        "trade_date": pa.array(np.where(absent, 0, dates.days).astype(np.int32), mask=absent).cast(
            pa.date32()
        ),
        "ticker": tickers,
        **{name: numbers[name] for name in meaning.PRICES},
        "volume": numbers.get(meaning.VOLUME, no_numbers),
        "transactions": no_integers if trades is None else pc.round(trades).cast(pa.int64()),
        "adjusted_close": numbers.get(meaning.ADJUSTED_CLOSE, no_numbers),
        "file_id": pa.array(file_ids[owned.owners(lines)]),
        "row_number": pa.array(owned.row_numbers(lines)),
        "stamp": stamps,
        "last_stamp": stamps,
        "rows": pa.array(np.ones(count, dtype=np.int32)),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in STAGED_SCHEMA.names], schema=STAGED_SCHEMA)


def _rejected(
    writer: RejectedRows, owned: OwnedLines, rows: TypedRows, broken: npt.NDArray[np.int8], malformed: Ints
) -> tuple[pa.RecordBatch, Ints]:
    """The rejected rows in the files' order, and the block's line of each."""
    numbers = owned.row_numbers(malformed).tolist()
    parts = [writer.malformed(owned.file_names(malformed), numbers)]
    lines = [malformed]
    for code, rule in enumerate(_RULES):
        places = np.flatnonzero(broken == code)
        if len(places):
            parts.append(writer.breaking(rule, places, owned.file_names(rows.lines[places])))
            lines.append(rows.lines[places])
    table, all_lines = pa.Table.from_batches(parts), np.concatenate(lines)
    order = np.argsort(all_lines, kind="stable")
    return table.take(pa.array(order)).combine_chunks().to_batches()[0], all_lines[order]


def _undecided(
    dates: pa.StringArray | None, owned: OwnedLines, cells: Cells, layout: FileLayout
) -> tuple[int, ...]:
    found: set[int] = set()
    for reading in layout.other_readings if dates is not None else ():
        days = per_distinct(dates, functools.partial(daily_day, date_format=reading))
        refuted = owned.per_segment(cells.row_indices[days == ABSENT]) > 0
        found.update(np.flatnonzero(~refuted).tolist())
    return tuple(sorted(found))


def _broken_rules(rows: TypedRows, year: int | None, test_tickers: AbstractSet[str]) -> npt.NDArray[np.int8]:
    """For each row the first rule that it breaks, as a position in `_RULES`; -1 for none."""
    masks: list[Mask | None] = [rows.unreadable, _misdated(rows.days, year)]
    for rule in _RULES:
        if isinstance(rule, RowRule):
            found = rule.find(rows.bars, IDENTITY, test_tickers)
            is_broken = found is not None and pc.any(found).as_py()
            masks.append(pc.fill_null(found, False).to_numpy(zero_copy_only=False) if is_broken else None)
    broken = np.full(len(rows.days), -1, dtype=np.int8)
    for code, mask in enumerate(masks):
        if mask is not None:
            broken[mask & (broken < 0)] = code
    return broken


def _misdated(days: Ints, year: int | None) -> Mask:
    encoded = pa.array(days).dictionary_encode()
    distinct, places = encoded.dictionary.to_numpy(), encoded.indices.to_numpy()
    misdated: Mask = ~is_open(distinct)
    if year is not None:
        years = np.where(distinct == ABSENT, 0, distinct).astype("datetime64[D]").astype("datetime64[Y]")
        misdated |= years != np.datetime64(str(year))
    found: Mask = misdated[places]
    return found


def _repeated_stamps(batch: pa.RecordBatch, broken: npt.NDArray[np.int8]) -> Ints:
    """Positions of good intraday rows whose file, ticker and stamp an earlier good row has."""
    good = np.flatnonzero(broken < 0)
    tickers = batch.column("ticker").dictionary_encode().indices.to_numpy()[good]
    files, stamps = (batch.column(name).to_numpy()[good] for name in ("file_id", "stamp"))
    order = np.lexsort((stamps, tickers, files))
    repeats = np.ones(max(len(order) - 1, 0), dtype=bool)
    for values in (files, tickers, stamps):
        repeats &= np.diff(values[order]) == 0
    return good[order[1:][repeats]]

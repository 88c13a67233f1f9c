"""Lines of a known layout to typed bars, and the rows that cannot be accepted beside them.

Here: one block of lines of one or many files at a time, vectorised. The rules of one row are
`row_rules`'; this module adds what a historical row can break besides: it may not be readable, and
its date may not be a session of the archive's year.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.ingest.historical.bars import STAGED_SCHEMA
from flatfiles_assets.ingest.historical.rejected_rows import IDENTITY, RejectedRows, empty_quarantine
from flatfiles_assets.ingest.historical.symbols import to_vendor_style
from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.date_evidence import is_open
from flatfiles_assets.ingest.layouts.date_formats import parse_stamp, parse_time
from flatfiles_assets.ingest.layouts.delimited import parse_cells
from flatfiles_assets.ingest.layouts.layout import FileLayout
from flatfiles_assets.ingest.layouts.number_formats import to_numbers
from flatfiles_assets.ingest.layouts.stamp_evidence import utc_offset_seconds
from flatfiles_assets.ingest.placeholder_tickers import DEFAULT_TEST_TICKERS
from flatfiles_assets.ingest.row_rules import ROW_RULES, RowRule

_ABSENT = np.iinfo(np.int64).min
_NUMBERS = (*meaning.PRICES, meaning.VOLUME, meaning.TRANSACTIONS, meaning.ADJUSTED_CLOSE)
# In the order of precedence; those of `row_rules` know how to find and explain themselves.
_RULES: tuple[RowRule | str, ...] = (
    "unparsable",
    "misdated",
    *(rule for rule in ROW_RULES if rule.name != "misdated"),
    "duplicate",
)
_UNPARSABLE = 0
_DUPLICATE = len(_RULES) - 1
_OHLC = next(code for code, rule in enumerate(_RULES) if isinstance(rule, RowRule) and rule.name == "ohlc")


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
    rejected_segments: npt.NDArray[np.int64]
    unreadable_per_segment: npt.NDArray[np.int64]
    disorderly_per_segment: npt.NDArray[np.int64]
    undecided_segments: tuple[int, ...] = ()


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
    wanted = [p for p, name in enumerate(layout.columns) if name in _READ]
    cells = parse_cells(block, layout.separator, len(layout.columns), wanted)
    by_meaning = {layout.columns[position]: column for position, column in cells.columns.items()}
    starts = np.cumsum([0, *(segment.rows for segment in segments)])[:-1]
    owner = np.searchsorted(starts, cells.row_indices, side="right") - 1
    first_rows = np.array([segment.first_row for segment in segments], dtype=np.int64)
    row_numbers = cells.row_indices - starts[owner] + first_rows[owner]

    days, stamps = _dates(by_meaning, segments, owner, layout)
    unreadable = days == _ABSENT
    numbers: dict[str, pa.Array] = {}
    unread_columns: dict[str, pa.Array] = {}
    for name in _NUMBERS:
        if name in by_meaning:
            numbers[name], mask = to_numbers(by_meaning[name], layout.decimal)
            if mask is not None:
                unread_columns[name] = mask
                unreadable |= mask.to_numpy(zero_copy_only=False)
    batch = _batch(days, _tickers(by_meaning, segments, owner), numbers, owner, row_numbers, stamps, segments)
    broken = _broken_rules(batch, days, unreadable, year, test_tickers)
    if stamps is not None:
        broken[_repeated_stamps(batch, broken)] = _DUPLICATE

    malformed = np.array(sorted(cells.malformed), dtype=np.int64)
    malformed_owner = np.searchsorted(starts, malformed, side="right") - 1
    rejected, rejected_owner = empty_quarantine(), np.zeros(0, dtype=np.int64)
    has_bad = bool((broken >= 0).any())
    if has_bad or len(malformed):
        files = np.array([segment.name for segment in segments], dtype=object)
        writer = RejectedRows(block, cells, layout, batch, unread_columns, year)
        numbers_of_malformed = malformed - starts[malformed_owner] + first_rows[malformed_owner]
        parts = [writer.malformed(files[malformed_owner].tolist(), numbers_of_malformed.tolist())]
        owners = [malformed_owner]
        for code, rule in enumerate(_RULES):
            places = np.flatnonzero(broken == code)
            if len(places):
                parts.append(writer.breaking(rule, places, files[owner[places]].tolist()))
                owners.append(owner[places])
        rejected, rejected_owner = _in_file_order(parts, np.concatenate(owners))
    lost = np.concatenate([owner[broken == _UNPARSABLE], malformed_owner])
    return ConvertedRows(
        accepted=batch.filter(pa.array(broken < 0)) if has_bad else batch,
        rejected=rejected,
        rejected_segments=rejected_owner,
        unreadable_per_segment=np.bincount(lost, minlength=len(segments)),
        disorderly_per_segment=np.bincount(owner[broken == _OHLC], minlength=len(segments)),
        undecided_segments=_undecided(by_meaning.get(meaning.DATE), owner, layout, len(segments)),
    )


def _in_file_order(
    parts: Sequence[pa.RecordBatch], owners: npt.NDArray[np.int64]
) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
    table = pa.Table.from_batches(parts)
    order = np.lexsort((table.column("row_number").to_numpy(), owners))
    return table.take(pa.array(order)).combine_chunks().to_batches()[0], owners[order]


def _undecided(
    dates: pa.StringArray | None, owner: npt.NDArray[np.int64], layout: FileLayout, segment_count: int
) -> tuple[int, ...]:
    found: set[int] = set()
    for reading in layout.other_readings if dates is not None else ():
        days = _per_distinct(dates, functools.partial(_daily, date_format=reading))
        refuted = np.bincount(owner[days == _ABSENT], minlength=segment_count) > 0
        found.update(np.flatnonzero(~refuted).tolist())
    return tuple(sorted(found))


_READ = frozenset({meaning.DATE, meaning.TIME, meaning.SYMBOL, *_NUMBERS})


def _per_distinct(column: pa.StringArray, convert: Callable[[str], int | None]) -> npt.NDArray[np.int64]:
    """A conversion of text to integers that runs once per distinct text."""
    encoded = column.dictionary_encode()
    converted = [convert(text) for text in encoded.dictionary.to_pylist()]
    values = np.array([_ABSENT if value is None else value for value in converted], dtype=np.int64)
    return values[encoded.indices.to_numpy()] if len(values) else np.zeros(0, dtype=np.int64)


def _dates(
    columns: dict[str, pa.StringArray],
    segments: Sequence[Segment],
    owner: npt.NDArray[np.int64],
    layout: FileLayout,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
    """Calendar days in New York, and for intraday bars their stamps in microseconds since 1970 UTC."""
    intraday = layout.bar_size == "intraday"
    if layout.date_source == "file name":
        known = [_ABSENT if segment.day is None else segment.day for segment in segments]
        days = np.array(known, dtype=np.int64)[owner]
        moments = days * 86400
    elif not intraday:
        return _per_distinct(columns[meaning.DATE], lambda text: _daily(text, layout.date_format)), None
    else:
        # Seconds since 1970 UTC, or, of naive stamps, since 1970 in the layout's zone.
        moments = _per_distinct(columns[meaning.DATE], lambda text: _moment(text, layout))
        days = np.where(moments == _ABSENT, _ABSENT, moments // 86400)
    if not intraday:
        return days, None
    if meaning.TIME in columns:
        seconds = _per_distinct(columns[meaning.TIME], parse_time)
        unknown = (seconds == _ABSENT) | (days == _ABSENT)
        naive = np.where(unknown, _ABSENT, days * 86400 + seconds)
        moments = _per_day(naive, lambda day: -utc_offset_seconds(layout.timezone, day))
    local = _per_day(moments, lambda day: utc_offset_seconds(NEW_YORK, day))
    absent = moments == _ABSENT
    return np.where(absent, _ABSENT, local // 86400), np.where(absent, 0, moments) * 1_000_000


def _per_day(moments: npt.NDArray[np.int64], shift: Callable[[int], int]) -> npt.NDArray[np.int64]:
    """Moments moved by a number of seconds that depends on their day; absent ones stay so."""
    absent = moments == _ABSENT
    days, places = np.unique(np.where(absent, 0, moments) // 86400, return_inverse=True)
    shifts = np.array([shift(day) for day in days.tolist()], dtype=np.int64)
    return np.where(absent, _ABSENT, moments + shifts[places])


def _daily(text: str, date_format: str) -> int | None:
    stamp = parse_stamp(text, date_format)
    if stamp is None:
        return None
    if date_format.startswith("epoch") and stamp.second:
        # Midnight UTC names the date; any other instant lies in its day in New York.
        return stamp.day + (stamp.second + utc_offset_seconds(NEW_YORK, stamp.day)) // 86400
    return stamp.day


def _moment(text: str, layout: FileLayout) -> int | None:
    stamp = parse_stamp(text, layout.date_format)
    if stamp is None:
        return None
    if meaning.TIME in layout.columns:
        return stamp.day * 86400
    if stamp.second is None:
        return None
    offset = stamp.offset_seconds
    if offset is None:
        offset = utc_offset_seconds(layout.timezone, stamp.day)
    return stamp.day * 86400 + stamp.second - offset


def _tickers(
    columns: dict[str, pa.StringArray], segments: Sequence[Segment], owner: npt.NDArray[np.int64]
) -> pa.StringArray:
    if segments[0].symbol is not None:
        symbols = pa.array([to_vendor_style(segment.symbol or "") for segment in segments], pa.string())
        return symbols.take(pa.array(owner))
    encoded = columns[meaning.SYMBOL].dictionary_encode()
    symbols = pa.array(
        [to_vendor_style(text.strip()) for text in encoded.dictionary.to_pylist()], pa.string()
    )
    return symbols.take(encoded.indices)


def _batch(
    days: npt.NDArray[np.int64],
    tickers: pa.StringArray,
    numbers: dict[str, pa.Array],
    owner: npt.NDArray[np.int64],
    row_numbers: npt.NDArray[np.int64],
    stamps: npt.NDArray[np.int64] | None,
    segments: Sequence[Segment],
) -> pa.RecordBatch:
    count = len(days)
    absent = days == _ABSENT
    file_ids = np.array([segment.file_id for segment in segments], dtype=np.int32)[owner]
    dates = pa.array(np.where(absent, 0, days).astype(np.int32), mask=absent).cast(pa.date32())
    trades = numbers.get(meaning.TRANSACTIONS)
    columns = {
        "trade_date": dates,
        "ticker": tickers,
        **{name: numbers[name] for name in meaning.PRICES},
        "volume": numbers.get(meaning.VOLUME, pa.nulls(count, pa.float64())),
        "transactions": pa.nulls(count, pa.int64()) if trades is None else pc.round(trades).cast(pa.int64()),
        "adjusted_close": numbers.get(meaning.ADJUSTED_CLOSE, pa.nulls(count, pa.float64())),
        "file_id": pa.array(file_ids),
        "row_number": pa.array(row_numbers),
        "stamp": pa.nulls(count, pa.int64()) if stamps is None else pa.array(stamps),
        "last_stamp": pa.nulls(count, pa.int64()) if stamps is None else pa.array(stamps),
        "rows": pa.array(np.ones(count, dtype=np.int32)),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in STAGED_SCHEMA.names], schema=STAGED_SCHEMA)


def _broken_rules(
    batch: pa.RecordBatch,
    days: npt.NDArray[np.int64],
    unreadable: npt.NDArray[np.bool_],
    year: int | None,
    test_tickers: AbstractSet[str],
) -> npt.NDArray[np.int8]:
    """For each row the first rule that it breaks, as a position in `_RULES`; -1 for none."""
    broken = np.full(len(days), -1, dtype=np.int8)
    encoded = pa.array(days).dictionary_encode()
    distinct, places = encoded.dictionary.to_numpy(), encoded.indices.to_numpy()
    misdated = ~is_open(distinct)
    if year is not None:
        years = np.where(distinct == _ABSENT, 0, distinct).astype("datetime64[D]").astype("datetime64[Y]")
        misdated |= years != np.datetime64(str(year))
    masks: list[npt.NDArray[np.bool_] | None] = [unreadable, misdated[places]]
    for rule in _RULES:
        if isinstance(rule, RowRule):
            found = rule.find(batch, IDENTITY, test_tickers)
            is_broken = found is not None and pc.any(found).as_py()
            masks.append(pc.fill_null(found, False).to_numpy(zero_copy_only=False) if is_broken else None)
    for code, mask in enumerate(masks):
        if mask is not None:
            broken[mask & (broken < 0)] = code
    return broken


def _repeated_stamps(batch: pa.RecordBatch, broken: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """Positions of good intraday rows whose file, ticker and stamp an earlier good row has."""
    good = np.flatnonzero(broken < 0)
    tickers = batch.column("ticker").dictionary_encode().indices.to_numpy()[good]
    files, stamps = (batch.column(name).to_numpy()[good] for name in ("file_id", "stamp"))
    order = np.lexsort((stamps, tickers, files))
    repeats = np.ones(max(len(order) - 1, 0), dtype=bool)
    for values in (files, tickers, stamps):
        repeats &= np.diff(values[order]) == 0
    return good[order[1:][repeats]]

"""The files of a year, group by group, into bars and rejected rows.

Here: which layout a file is read with, and when one is taken back. A group is read with the layout
that its files share. A file that does not fit it is taken back and judged alone; if it turns out to
have the same dates in another order, then the files that had no proof of their own are taken back
as well, for their siblings contradict each other. When all are read, each layout is doubted by what
was counted (`acceptance`), and the files of one that cannot be are taken back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from flatfiles_assets.ingest.archives.zip_directory import Expansion
from flatfiles_assets.ingest.historical.acceptance import ReadGroup, YearSymbols, doubt, doubt_copies
from flatfiles_assets.ingest.historical.bar_buckets import BarBuckets
from flatfiles_assets.ingest.historical.bar_rows import ConvertedRows, Segment, convert_rows
from flatfiles_assets.ingest.historical.file_blocks import NumberedFile, iter_blocks
from flatfiles_assets.ingest.historical.group_figures import GroupFigures
from flatfiles_assets.ingest.historical.intraday import aggregate, regular_hours
from flatfiles_assets.ingest.historical.rejected_spill import RejectedSpill
from flatfiles_assets.ingest.historical.sibling_groups import Group
from flatfiles_assets.ingest.historical.symbol_marks import SymbolMap, map_symbols
from flatfiles_assets.ingest.historical.year_report import ReportBuilder
from flatfiles_assets.ingest.layouts.discovery import discover
from flatfiles_assets.ingest.layouts.layout import FileLayout, NotUnderstood
from flatfiles_assets.ingest.layouts.overrides import LayoutOverride
from flatfiles_assets.ingest.layouts.source_file import SourceFile

# More than one row in ten that is not what the layout says: the layout is in doubt, not the rows.
_MOST_UNFIT = 0.1
_FEWEST_ROWS, _MOST_REPEATED = 10, 0.05


@dataclasses.dataclass
class YearFiles:
    """Reads groups, and remembers which files were taken back.

    Attributes:
        year: Year of the archive.
        buckets: Takes the bars.
        rejected: Takes the rejected rows.
        block_bytes: Bytes of text that are parsed at once.
        known_tickers: Tickers that the warehouse knows of that year; empty where it has none.
        fellow_names: Names of all files of the year that are tables.
        names: Name of each numbered file.
        dropped: Numbers of the files whose bars and rejected rows do not count.
        report: What was counted.
        expansion: Counts what compressed files of the year become, as parts of one archive.
    """

    year: int
    buckets: BarBuckets
    rejected: RejectedSpill
    block_bytes: int
    known_tickers: AbstractSet[str] = frozenset()
    fellow_names: Sequence[str] = ()
    report: ReportBuilder = dataclasses.field(default_factory=ReportBuilder)
    names: list[str] = dataclasses.field(default_factory=list)
    dropped: set[int] = dataclasses.field(default_factory=set)
    expansion: Expansion | None = None
    _read_groups: list[ReadGroup] = dataclasses.field(default_factory=list)

    def read(self, group: Group) -> None:
        """Reads every file of a group, or says why not."""
        layout = self._discover(group.files, group.override)
        if isinstance(layout, FileLayout):
            self._read_together(group, layout)
        elif len(group.files) == 1:
            self.report.refuse(group.files[0].name, layout)
        else:
            self._read_each(group, layout)

    def conclude(self) -> SymbolMap:
        """Takes back what cannot be right; no more groups can be read after it.

        Returns:
            What the symbols of all accepted files are called.
        """
        # What reading needed is not needed for the counts, which are a few large arrays.
        pa.default_memory_pool().release_unused()
        for group in self._read_groups:
            self._take_back_repeating_files(group)
        accepted = [counted for group in self._read_groups if (counted := self._counted(group))]
        # What is refused must not decide on the symbols of the others, so the others are mapped again.
        while True:
            symbols = self._symbols(accepted)
            doubted = [(group, reason) for group in accepted if (reason := doubt(group, symbols, self.year))]
            doubted = doubted or list(doubt_copies(accepted, symbols))
            if not doubted:
                self.report.notes = symbols.map.notes
                self._read_groups.clear()
                return symbols.map
            for group, reason in doubted:
                self._take_back_all(group.figures.files, reason)
            gone = [group for group, _ in doubted]
            accepted = [group for group in accepted if not any(group is each for each in gone)]

    def _discover(
        self, files: Sequence[SourceFile], override: LayoutOverride | None
    ) -> FileLayout | NotUnderstood:
        return discover(files, override, self.year, self.known_tickers, self.fellow_names)

    def _symbols(self, groups: Sequence[ReadGroup]) -> YearSymbols:
        found = {symbol for group in groups for symbol in group.figures.symbols}
        by_case = {
            case: {s for group in groups if group.layout.symbol_case == case for s in group.figures.symbols}
            for case in ("upper", "as written")
        }
        named = map_symbols(found, by_case["upper"], by_case["as written"])
        tickers = sorted({named.tickers.get(symbol, symbol) for symbol in found})
        return YearSymbols(named, {ticker: code for code, ticker in enumerate(tickers)}, self.known_tickers)

    def _counted(self, group: ReadGroup) -> ReadGroup | None:
        """A group with the figures of the files that are left of it; None where none is."""
        group.figures.drop(self.dropped)
        names = [self.names[number] for number in group.figures.files if number not in self.dropped]
        rows, rejected = self.report.counts(names)
        return dataclasses.replace(group, names=names, rows=rows, rejected=rejected) if names else None

    def _take_back_all(self, numbers: Sequence[int], reason: NotUnderstood) -> None:
        names = [self.names[number] for number in numbers]
        for number, name in zip(numbers, names, strict=True):
            self.dropped.add(number)
            self.report.refuse(name, reason, names)

    def _take_back_repeating_files(self, group: ReadGroup) -> None:
        """Files that are to be of one symbol, by their names, and have several bars of a day."""
        for number, (repeated, rows) in group.figures.repeats.items():
            if number not in self.dropped and rows >= _FEWEST_ROWS and repeated > _MOST_REPEATED * rows:
                reason = NotUnderstood(
                    f"{repeated:,} of its {rows:,} rows have a date that an earlier row has, and no "
                    "column is a "
                    "symbol: it holds more than one security, or more than one bar of a day; ignore it in an "
                    "override",
                    settling={"ignore": True},
                )
                self._take_back_all([number], reason)

    def _read_each(self, group: Group, together: NotUnderstood) -> None:
        """Judges files one by one whose layout nothing settles together."""
        refused: list[str] = []
        if together.settling and "date_format" not in together.settling:
            # What all of them together cannot settle, one of them would settle by chance only.
            refused = [file.name for file in group.files]
        for file in () if refused else group.files:
            alone = self._discover([file], group.override)
            if isinstance(alone, FileLayout):
                self._read_together(Group([file], group.override), alone)
            elif alone.settling.keys() == together.settling.keys():
                refused.append(file.name)
            else:
                self.report.refuse(file.name, alone)
        for name in refused:
            self.report.refuse(name, together, refused)

    def _read_together(self, group: Group, layout: FileLayout) -> None:
        stated = group.override
        unfit, undecided = self._stage(group.files, layout, stated, is_doubted=len(group.files) > 1)
        contradicted = False
        for file in unfit:
            alone = self._discover([file.source], group.override)
            differs = isinstance(alone, FileLayout) and _reading(alone) != _reading(layout)
            self._take_back(file)
            if isinstance(alone, FileLayout) and differs:
                contradicted |= alone.date_format in layout.other_readings
                self._stage([file.source], alone, stated, is_doubted=False)
            else:
                # No other layout is better; its rows show in quarantine what is wrong with them.
                self._stage([file.source], layout, stated, is_doubted=False)
        for file in undecided if contradicted else ():
            self._take_back(file)
            self.report.refuse(
                file.source.name,
                NotUnderstood(
                    f"its dates can be read as {layout.date_format} or {' or '.join(layout.other_readings)}, "
                    "and files beside it that begin alike prove both; state `date_format` in an override",
                    settling={"date_format": layout.date_format},
                ),
            )

    def _stage(
        self,
        files: Sequence[SourceFile],
        layout: FileLayout,
        stated: LayoutOverride | None,
        *,
        is_doubted: bool,
    ) -> tuple[list[NumberedFile], list[NumberedFile]]:
        """Reads files; returns those that do not fit, and those that only their siblings decide."""
        numbered = {len(self.names) + i: file for i, file in enumerate(files)}
        self.names.extend(file.name for file in files)
        words = layout.describe()
        figures = GroupFigures(self.year, files=list(numbered))
        self._read_groups.append(
            ReadGroup([file.name for file in files], layout, stated or LayoutOverride(), figures)
        )
        for file in files:
            self.report.understood(file.name, words)
        unfit: dict[int, NumberedFile] = {}
        undecided: dict[int, NumberedFile] = {}
        disorderly = 0
        rows = 0

        def refuse(file: NumberedFile, reason: NotUnderstood) -> None:
            self._take_back(file)
            self.report.refuse(file.source.name, reason)

        sources = (NumberedFile(number, file) for number, file in numbered.items())
        for segments, converted in self._convert(
            iter_blocks(sources, layout, refuse, self.block_bytes, self.expansion, self.year), layout
        ):
            self._add(converted, segments, layout, figures)
            rows += sum(segment.rows for segment in segments)
            disorderly += int(converted.disorderly_per_segment.sum())
            if is_doubted:
                bad = _unfit_segments(converted, segments, layout)
                for found, places in ((unfit, bad), (undecided, converted.undecided_segments)):
                    for place in places:
                        number = segments[place].file_id
                        found[number] = NumberedFile(number, numbered[number])
        if not layout.headings and not is_doubted and rows and disorderly > _MOST_UNFIT * rows:
            for number, source in numbered.items():
                refuse(
                    NumberedFile(number, source),
                    NotUnderstood(
                        f"read as {words}, {disorderly} of {rows} rows have open or close outside low and "
                        "high; state `columns` in an override",
                        settling={"columns": list(layout.columns)},
                    ),
                )
        return list(unfit.values()), [file for number, file in undecided.items() if number not in unfit]

    def _convert(
        self, blocks: Iterable[tuple[bytes, list[Segment]]], layout: FileLayout
    ) -> Iterator[tuple[list[Segment], ConvertedRows]]:
        """Converts a block in a second thread, which leaves Python's lock, while this one reads the next."""
        pending: tuple[list[Segment], Future[ConvertedRows]] | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="historical") as pool:
            for block, segments in blocks:
                submitted = pool.submit(convert_rows, block, segments, layout, self.year)
                if pending:
                    yield pending[0], pending[1].result()
                pending = segments, submitted
            if pending:
                yield pending[0], pending[1].result()

    def _add(
        self, converted: ConvertedRows, segments: Sequence[Segment], layout: FileLayout, figures: GroupFigures
    ) -> None:
        for segment in segments:
            self.report.count_rows(segment.name, segment.rows)
        file_ids = np.array([segment.file_id for segment in segments], dtype=np.int32)
        rejected = converted.rejected
        self.rejected.add(rejected, pa.array(file_ids[converted.rejected_segments]))
        for name, rule in zip(
            rejected.column("file").to_pylist(), rejected.column("rule").to_pylist(), strict=True
        ):
            self.report.count_rejected(name, rule)
        if layout.bar_size == "daily":
            figures.add(converted.accepted)
            if layout.symbol_source == "file name":
                figures.count_repeats(converted.accepted)
            self.buckets.add(converted.accepted)
            return
        bars = aggregate(pa.Table.from_batches([regular_hours(converted.accepted, layout)]))
        figures.add(bars)
        for batch in bars.combine_chunks().to_batches():
            self.buckets.add(batch)

    def _take_back(self, file: NumberedFile) -> None:
        self.dropped.add(file.file_id)
        self.report.forget(file.source.name)


def _unfit_segments(converted: ConvertedRows, segments: Sequence[Segment], layout: FileLayout) -> list[int]:
    unfit = converted.unreadable_per_segment.copy()
    if not layout.headings:
        unfit += converted.disorderly_per_segment
    rows = np.array([segment.rows for segment in segments])
    found: list[int] = np.flatnonzero(unfit > _MOST_UNFIT * rows).tolist()
    return found


def _reading(layout: FileLayout) -> tuple[object, ...]:
    return (
        *(layout.separator, layout.columns, layout.date_format, layout.decimal, layout.lines_before_data),
        *(layout.price_scale, layout.bar_size, layout.timezone, layout.day_shift),
    )

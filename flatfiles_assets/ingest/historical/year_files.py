"""The files of a year, group by group, into bars and rejected rows.

Here: which layout a file is read with, and when one is taken back. A group is read with the layout
that its files share. A file that does not fit it is taken back and judged alone; if it turns out to
have the same dates in another order, then the files that had no proof of their own are taken back
as well, for their siblings contradict each other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from flatfiles_assets.ingest.archives.zip_directory import Expansion
from flatfiles_assets.ingest.historical.bar_buckets import BarBuckets
from flatfiles_assets.ingest.historical.bar_rows import ConvertedRows, Segment, convert_rows
from flatfiles_assets.ingest.historical.file_blocks import NumberedFile, iter_blocks
from flatfiles_assets.ingest.historical.intraday import aggregate, regular_hours
from flatfiles_assets.ingest.historical.rejected_spill import RejectedSpill
from flatfiles_assets.ingest.historical.sibling_groups import Group
from flatfiles_assets.ingest.historical.year_report import ReportBuilder
from flatfiles_assets.ingest.layouts.discovery import SourceFile, discover
from flatfiles_assets.ingest.layouts.layout import FileLayout, NotUnderstood

# More than one row in ten that is not what the layout says: the layout is in doubt, not the rows.
_MOST_UNFIT = 0.1


@dataclasses.dataclass
class YearFiles:
    """Reads groups, and remembers which files were taken back.

    Attributes:
        year: Year of the archive.
        names: Name of each numbered file.
        dropped: Numbers of the files whose bars and rejected rows do not count.
        report: What was counted.
        expansion: Counts what compressed files of the year become, as parts of one archive.
    """

    year: int
    buckets: BarBuckets
    rejected: RejectedSpill
    block_bytes: int
    report: ReportBuilder = dataclasses.field(default_factory=ReportBuilder)
    names: list[str] = dataclasses.field(default_factory=list)
    dropped: set[int] = dataclasses.field(default_factory=set)
    expansion: Expansion | None = None

    def read(self, group: Group) -> None:
        """Reads every file of a group, or says why not."""
        layout = discover(group.files, group.override, self.year)
        if isinstance(layout, FileLayout):
            self._read_together(group, layout)
        elif len(group.files) == 1:
            self.report.refuse(group.files[0].name, layout)
        else:
            for file in group.files:
                self.read(Group([file], group.override))

    def _read_together(self, group: Group, layout: FileLayout) -> None:
        unfit, undecided = self._stage(group.files, layout, is_doubted=len(group.files) > 1)
        contradicted = False
        for file in unfit:
            alone = discover([file.source], group.override, self.year)
            differs = isinstance(alone, FileLayout) and _reading(alone) != _reading(layout)
            self._take_back(file)
            if isinstance(alone, FileLayout) and differs:
                contradicted |= alone.date_format in layout.other_readings
                self._stage([file.source], alone, is_doubted=False)
            else:
                # No other layout is better; its rows show in quarantine what is wrong with them.
                self._stage([file.source], layout, is_doubted=False)
        for file in undecided if contradicted else ():
            self._take_back(file)
            self.report.refuse(
                file.source.name,
                NotUnderstood(
                    f"its dates can be read as {layout.date_format} or {' or '.join(layout.other_readings)}, "
                    "and files beside it that begin alike prove both; state `date_format` in an override"
                ),
            )

    def _stage(
        self, files: Sequence[SourceFile], layout: FileLayout, *, is_doubted: bool
    ) -> tuple[list[NumberedFile], list[NumberedFile]]:
        """Reads files; returns those that do not fit, and those that only their siblings decide."""
        numbered = {len(self.names) + i: file for i, file in enumerate(files)}
        self.names.extend(file.name for file in files)
        words = layout.describe()
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
            iter_blocks(sources, layout, refuse, self.block_bytes, self.expansion), layout
        ):
            self._add(converted, segments, layout)
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
                        "high; state `columns` in an override"
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

    def _add(self, converted: ConvertedRows, segments: Sequence[Segment], layout: FileLayout) -> None:
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
            self.buckets.add(converted.accepted)
            return
        bars = aggregate(pa.Table.from_batches([regular_hours(converted.accepted, layout)]))
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
    return (layout.separator, layout.columns, layout.date_format, layout.decimal, layout.lines_before_data)

"""What became of every file of an extracted year, in figures and words."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Literal

from flatfiles_assets.ingest.layouts.layout import NotUnderstood

FileStatus = Literal["understood", "not understood", "not a table"]


@dataclasses.dataclass(frozen=True)
class FileReport:
    """What became of one file; ``accepted + quarantined == rows_in``.

    Attributes:
        file: Its path below the year's directory.
        status: Whether it was read.
        layout: What it was understood as, in words; empty where it was not.
        reason: Why it was not understood; empty where it was.
        rows_in: Rows of the file, header and blank lines not counted.
        accepted: Rows that were accepted; of an intraday file, parts of daily bars or outside
            regular hours.
        quarantined_by_rule: Rows in quarantine, by the rule that they break.
    """

    file: str
    status: FileStatus
    layout: str = ""
    reason: str = ""
    rows_in: int = 0
    accepted: int = 0
    quarantined_by_rule: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def quarantined(self) -> int:
        """Rows in quarantine."""
        return sum(self.quarantined_by_rule.values())


@dataclasses.dataclass(frozen=True)
class YearReport:
    """What became of an extracted year.

    Attributes:
        year: The year.
        files: One report per file, by name.
        bars: Daily bars that came out.
    """

    year: int
    files: tuple[FileReport, ...]
    bars: int

    @property
    def rows_in(self) -> int:
        """Rows of all understood files."""
        return sum(file.rows_in for file in self.files)

    @property
    def accepted(self) -> int:
        """Accepted rows of all files."""
        return sum(file.accepted for file in self.files)

    @property
    def quarantined(self) -> int:
        """Rows in quarantine of all files."""
        return sum(file.quarantined for file in self.files)

    def with_status(self, status: FileStatus) -> list[FileReport]:
        """The files of one status."""
        return [file for file in self.files if file.status == status]

    @property
    def layouts(self) -> dict[str, int]:
        """How many files were understood as what."""
        return dict(Counter(file.layout for file in self.files if file.layout).most_common())


class ReportBuilder:
    """Counts rows while a year is read."""

    def __init__(self) -> None:
        self._refused: dict[str, NotUnderstood] = {}
        self._layouts: dict[str, str] = {}
        self._rows: Counter[str] = Counter()
        self._quarantined: dict[str, Counter[str]] = {}

    def refuse(self, name: str, reason: NotUnderstood) -> None:
        """Takes a file back, with what was counted of it."""
        self.forget(name)
        self._refused[name] = reason

    def forget(self, name: str) -> None:
        """Takes back what was counted of a file that is read again."""
        self._layouts.pop(name, None)
        self._rows.pop(name, None)
        self._quarantined.pop(name, None)

    def understood(self, name: str, layout: str) -> None:
        """A file is about to be read."""
        self._layouts[name] = layout

    def count_rows(self, name: str, rows: int) -> None:
        """Rows were read."""
        self._rows[name] += rows

    def count_rejected(self, name: str, rule: str, rows: int = 1) -> None:
        """Rows, counted before, went to quarantine."""
        self._quarantined.setdefault(name, Counter())[rule] += rows

    def build(self, year: int, bars: int) -> YearReport:
        """The report as counted so far."""
        reports = [
            FileReport(name, "not understood" if r.is_table else "not a table", reason=r.reason)
            for name, r in self._refused.items()
        ]
        for name, layout in self._layouts.items():
            by_rule = dict(self._quarantined.get(name, {}))
            rows = self._rows[name]
            accepted = rows - sum(by_rule.values())
            reports.append(
                FileReport(
                    name,
                    "understood",
                    layout,
                    rows_in=rows,
                    accepted=accepted,
                    quarantined_by_rule=by_rule,
                )
            )
        return YearReport(year, tuple(sorted(reports, key=lambda report: report.file)), bars)

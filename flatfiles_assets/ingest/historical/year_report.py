"""What became of every file of an extracted year, in figures and words."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.layouts.overrides import override_entry

WRITE_ENTRY = "; write into the override file:"
"""Stands between a reason and the entry that would settle it."""

FileStatus = Literal["understood", "not understood", "not a table"]


@dataclasses.dataclass(frozen=True)
class FileReport:
    """What became of one file; ``accepted + quarantined == rows_in``.

    Attributes:
        file: Its path below the year's directory.
        status: Whether it was read.
        layout: What it was understood as, in words; empty where it was not.
        reason: Why it was not understood; empty where it was. With the entry of an override file that
            would settle it, where one can.
        override_entry: That entry alone, as TOML ready to paste.
        rows_in: Rows of the file, header and blank lines not counted.
        accepted: Rows that were accepted; of an intraday file, parts of daily bars or outside
            regular hours.
        quarantined_by_rule: Rows in quarantine, by the rule that they break.
    """

    file: str
    status: FileStatus
    layout: str = ""
    reason: str = ""
    override_entry: str = ""
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
        notes: What was found of all files together, e.g. a mark that every symbol carried.
    """

    year: int
    files: tuple[FileReport, ...]
    bars: int
    notes: tuple[str, ...] = ()

    @property
    def refusals(self) -> dict[str, list[str]]:
        """The names of the files that were not understood, by the reason, with its override entry."""
        found: dict[str, list[str]] = {}
        for file in self.with_status("not understood"):
            found.setdefault(file.reason, []).append(file.file)
        return found

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
        self.notes: tuple[str, ...] = ()
        self._refused: dict[str, tuple[NotUnderstood, Sequence[str]]] = {}
        self._layouts: dict[str, str] = {}
        self._rows: Counter[str] = Counter()
        self._quarantined: dict[str, Counter[str]] = {}

    def refuse(self, name: str, reason: NotUnderstood, fellows: Sequence[str] = ()) -> None:
        """Takes a file back, with what was counted of it.

        Args:
            name: The file.
            reason: Why.
            fellows: All files, itself included, that are refused for that reason.
        """
        self.forget(name)
        self._refused[name] = (reason, fellows or (name,))

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

    def counts(self, names: Iterable[str]) -> tuple[int, dict[str, int]]:
        """Rows of some files, and how many of them each rule rejected."""
        rejected: Counter[str] = Counter()
        rows = 0
        for name in names:
            rows += self._rows[name]
            rejected.update(self._quarantined.get(name, {}))
        return rows, dict(rejected)

    def build(self, year: int, bars: int) -> YearReport:
        """The report as counted so far."""
        reports = [self._refusal(name, year) for name in self._refused]
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
        return YearReport(year, tuple(sorted(reports, key=lambda report: report.file)), bars, self.notes)

    def _refusal(self, name: str, year: int) -> FileReport:
        refused, fellows = self._refused[name]
        entry = override_entry(fellows, refused.settling, year) if refused.settling else ""
        reason = f"{refused.reason}{WRITE_ENTRY}\n{entry}" if entry else refused.reason
        return FileReport(
            name, "not understood" if refused.is_table else "not a table", reason=reason, override_entry=entry
        )

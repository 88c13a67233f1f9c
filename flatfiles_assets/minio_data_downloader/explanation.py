"""What a year or a file is understood as, and why, before anything of it is loaded.

Here: from a year's number, an archive, a folder or a file to what was found, and that as a table and as
plain values. Not here: the verb (`commands`), the finding itself (`ingest/historical`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.archives.extraction import extract_archive
from flatfiles_assets.ingest.historical.reader import YearReport, read_extracted_year
from flatfiles_assets.ingest.historical.year_report import WRITE_ENTRY
from flatfiles_assets.ingest.layouts.date_formats import candidate_formats, parse_stamp
from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.layouts.overrides import LayoutOverrides, load_overrides
from flatfiles_assets.ingest.layouts.text_files import read_head
from flatfiles_assets.warehouse.archive_evidence import tickers_of_year
from flatfiles_assets.warehouse.workspace import Workspace

_BARS_SHOWN = 5
_NAMES_SHOWN = 3
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d{2}(?!\d)")
_COLUMNS = ("trade_date", "ticker", "open", "high", "low", "close", "volume", "source_file")


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What was found.

    Attributes:
        source: The year's folder or the file.
        report: What became of every file.
        rejected: Rejected rows, by the rule that they break.
        tickers: How many there are.
        bars: The first accepted bars, as `market.historical_daily` would have them.
    """

    source: str
    report: YearReport
    rejected: dict[str, int]
    tickers: int
    bars: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        report = self.report
        return {
            "source": self.source,
            "year": report.year,
            "bars": report.bars,
            "tickers": self.tickers,
            "rows": report.rows_in,
            "rows_rejected": self.rejected,
            "notes": list(report.notes),
            "files": [dataclasses.asdict(file) for file in report.files],
            "first_bars": [
                {
                    name: value.isoformat() if isinstance(value, dt.date) else value
                    for name, value in bar.items()
                }
                for bar in self.bars
            ],
        }


def explain(source: str, year: int | None, cache_dir: str | None, overrides_path: str | None) -> Explanation:
    """Understand a year or a file, and load nothing.

    Args:
        source: A year that was downloaded, or the path of an archive, a folder or a file.
        year: Year of the bars; None for the one in the source's name or in its dates.
        cache_dir: Folder of the mirror; None for the settings'.
        overrides_path: A file of overrides instead of the settings'.

    Raises:
        InvalidArgument: There is no such year or file, or its year is not known.
        UnsafeArchive: The archive is refused.
    """
    workspace = Workspace.from_settings()
    overrides = workspace.layout_overrides()
    if overrides_path is not None:
        overrides = dataclasses.replace(load_overrides(overrides_path), sidecars=overrides.sidecars)
    with tempfile.TemporaryDirectory(prefix="explain-") as scratch:
        folder, of_source = _folder_of(source, Path(scratch), workspace.minio_cache(cache_dir).root)
        wanted = year or of_source or _year_of_dates(folder)
        if wanted is None:
            raise InvalidArgument("the year of its bars is not known", where=source, next_step="add --year")
        return _explain(
            source, folder, wanted, overrides, tickers_of_year(workspace.warehouse.reader(), wanted)
        )


def _folder_of(source: str, scratch: Path, cache_dir: Path) -> tuple[Path, int | None]:
    """A folder with the files, and the year that the source's name says."""
    if re.fullmatch(r"\d{4}", source) and not Path(source).exists():
        extracted = cache_dir / "historical" / source
        archives = sorted(cache_dir.rglob(f"*{source}.zip"))
        if extracted.is_dir():
            return extracted, int(source)
        if archives:
            extract_archive(archives[0], scratch / source)
            return scratch / source, int(source)
        raise InvalidArgument(
            "the year is not in the mirror",
            where=str(cache_dir),
            next_step=f"run `flatfiles minio download-historical {source}`, or name a file",
        )
    path = Path(source)
    years = _YEAR.findall(path.name)
    year = int(years[-1]) if years else None
    if path.is_dir():
        return path, year
    if not path.is_file():
        raise InvalidArgument("there is no such file", where=source, next_step="name a year or a file")
    if path.suffix.lower() == ".zip":
        extract_archive(path, scratch / "extracted")
        return scratch / "extracted", year
    (scratch / "file").mkdir()
    shutil.copyfile(path, scratch / "file" / path.name)
    return scratch / "file", year


def _year_of_dates(folder: Path) -> int | None:
    """The year that most dates at the beginnings of the files lie in."""
    years: Counter[int] = Counter()
    for path in itertools.islice((p for p in sorted(folder.rglob("*")) if p.is_file()), 20):
        head = read_head(path)
        for line in () if isinstance(head, NotUnderstood) else head.lines[:200]:
            for text in re.split(r"[,;|\t\"]", line)[:4]:
                stamps = (parse_stamp(text, name) for name in candidate_formats(text))
                if stamp := next((each for each in stamps if each), None):
                    years[(dt.date(1970, 1, 1) + dt.timedelta(days=stamp.day)).year] += 1
    return years.most_common(1)[0][0] if years else None


def _explain(
    source: str, folder: Path, year: int, overrides: LayoutOverrides, known: frozenset[str]
) -> Explanation:
    with read_extracted_year(folder, year, overrides, known_tickers=known) as found:
        rejected: Counter[str] = Counter()
        for file in found.report.files:
            rejected.update(file.quarantined_by_rule)
        tickers: set[str] = set()
        bars: list[dict[str, Any]] = []
        for batch in found.read():
            tickers.update(batch.column("ticker").unique().to_pylist())
            if len(bars) < _BARS_SHOWN:
                bars += batch.slice(0, _BARS_SHOWN - len(bars)).to_pylist()
        shown = [{name: bar[name] for name in _COLUMNS} for bar in bars]
        return Explanation(source, found.report, dict(rejected), len(tickers), shown)


def show_explanation(found: Explanation, console: Console) -> None:
    """Print what was found, as tables."""
    report = found.report
    understood = Table("files", "e.g.", "understood as, and why", title=f"{found.source}: {report.year}")
    by_layout: dict[str, list[str]] = {}
    for file in report.with_status("understood"):
        by_layout.setdefault(file.layout, []).append(file.file)
    for layout, names in by_layout.items():
        understood.add_row(f"{len(names):,}", names[0], "\n".join(layout.split("; ")))
    if by_layout:
        console.print(understood)
    for note in report.notes:
        console.print(Text.assemble(("note: ", "yellow"), note), soft_wrap=True)
    others = Table("files", "e.g.", "not read because")
    for reason, names in _reasons(report).items():
        others.add_row(
            f"{len(names):,}",
            "\n".join(names[:_NAMES_SHOWN]),
            reason.partition("\n")[0].removesuffix(WRITE_ENTRY),
        )
    if others.row_count:
        console.print(others)
    for reason in report.refusals:
        _, _, entry = reason.partition("\n")
        if entry:
            console.print(Text("\n# to settle it, in the file that MINIO_LAYOUT_OVERRIDES names:", "dim"))
            console.print(entry, soft_wrap=True)
    bars = Table(*_COLUMNS, title="first bars")
    for bar in found.bars:
        bars.add_row(*("" if value is None else str(value) for value in bar.values()))
    if found.bars:
        console.print(bars)
    rejected = ", ".join(f"{rule} {count:,}" for rule, count in sorted(found.rejected.items())) or "none"
    console.print(
        f"{report.bars:,} day bars of {found.tickers:,} tickers from {report.rows_in:,} rows; rejected: "
        f"{rejected}"
    )


def _reasons(report: YearReport) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in report.files:
        if file.status != "understood":
            found.setdefault(file.reason, []).append(file.file)
    return found

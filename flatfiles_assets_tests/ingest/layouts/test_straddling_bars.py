"""Bars of the clock's hours: what they are depends on what the user says of the one that holds the open."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from flatfiles_assets.calendars import sessions
from flatfiles_assets.ingest.historical.reader import read_extracted_year
from flatfiles_assets.ingest.layouts.overrides import load_overrides

_DAYS = sessions("XNYS", "2008-03-03", "2008-03-20")


def _hours(folder: Path, *, at_end: bool, first: int = 8, last: int = 18) -> Path:
    """Hours that begin on the clock; 09:00 to 15:00 hold the session, and each closes at its own number."""
    lines = ["Date,Time,Open,High,Low,Close,Volume"]
    for day in _DAYS:
        for hour in range(first, last):
            stamp = dt.time(hour + at_end)
            volume = 1_000_000 if 9 <= hour < 16 else 4_000
            lines.append(f"{day},{stamp:%H:%M},{20 + hour},{21.5 + hour},{19.5 + hour},{21 + hour},{volume}")
    folder.mkdir(parents=True)
    (folder / "GE.csv").write_text("\n".join(lines) + "\n")
    return folder


def _read(folder: Path, entry: str = "") -> tuple[set[tuple], str, str]:
    overrides = None
    if entry:
        path = folder.parent / "layouts.toml"
        path.write_text(entry)
        overrides = load_overrides(path)
    with read_extracted_year(folder, 2008, overrides) as year:
        bars = year.read().read_all().to_pylist()
        (report,) = year.report.files
    assert len(bars) in (0, len(_DAYS))
    values = {tuple(bar[name] for name in ("open", "high", "low", "close", "volume")) for bar in bars}
    return values, report.override_entry, report.reason


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("hours", [(8, 18), (9, 16)])
def test_the_printed_entry_takes_the_bar_that_holds_the_open_into_the_day(
    tmp_path: Path, at_end: bool, hours: tuple[int, int]
):
    folder = _hours(tmp_path / "files", at_end=at_end, first=hours[0], last=hours[1])
    none, entry, _ = _read(folder)
    assert none == set()
    assert 'straddling_bars = "count"' in entry

    bars, _, reason = _read(folder, entry)

    assert bars == {(29.0, 36.5, 28.5, 36.0, 7_000_000.0)}, reason


@pytest.mark.parametrize("at_end", [False, True])
def test_the_bar_that_holds_the_open_may_be_left_out(tmp_path: Path, at_end: bool):
    folder = _hours(tmp_path / "files", at_end=at_end)
    bars, _, reason = _read(folder, '[[files]]\nmatch = "*"\nstraddling_bars = "ignore"')
    assert bars == {(30.0, 36.5, 29.5, 36.0, 6_000_000.0)}, reason


@pytest.mark.parametrize("hours", [(8, 18), (9, 16)])
def test_a_stated_zone_and_label_say_nothing_of_the_bar_that_holds_the_open(
    tmp_path: Path, hours: tuple[int, int]
):
    folder = _hours(tmp_path / "files", at_end=False, first=hours[0], last=hours[1])
    stated = '[[files]]\nmatch = "*"\ntimezone = "America/New_York"\nbar_label = "start"'
    bars, _, reason = _read(folder, stated)
    assert bars == set()
    assert "straddle the open" in reason

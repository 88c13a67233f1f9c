"""One historical year of files per symbol, from the ZIP to sorted bars, against pandas by hand."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from flatfiles_assets.calendars import sessions
from flatfiles_assets_tests.benchmarks.report import Row

SYMBOLS = 5_000
YEAR = 2008
RUNS = 3

# Each in a process of its own: imports first, then the clock; memory is the peak above the imports, by
# VmHWM, because ru_maxrss of a new process begins with the memory of the one that started it.
# What is extracted stays until all topics are measured: removing it would slow down who comes next.
_MEASURE = """
import json, sys, time
from pathlib import Path

def peak():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024

archive, scratch = map(Path, sys.argv[1:])
{imports}
before, started = peak(), time.perf_counter()
{work}
print(json.dumps(dict(seconds=time.perf_counter() - started, bytes=peak() - before, rows=rows)))
"""

_OURS = _MEASURE.format(
    imports="""
from flatfiles_assets.ingest.archives.extraction import extract_archive
from flatfiles_assets.ingest.historical.reader import read_extracted_year
""",
    work="""
extract_archive(archive, scratch / "2008")
with read_extracted_year(scratch / "2008", 2008) as year:
    rows = sum(batch.num_rows for batch in year.read())
""",
)

# The same by hand: extracted, read file by file with the date format given, put together, sorted.
_PANDAS = _MEASURE.format(
    imports="""
import zipfile
import pandas as pd
""",
    work="""
frames = []
with zipfile.ZipFile(archive) as members:
    members.extractall(scratch)
for path in scratch.rglob("*.csv"):
    frame = pd.read_csv(path)
    frame["Date"] = pd.to_datetime(frame["Date"], format="%m/%d/%Y")
    frame["ticker"] = path.stem
    frames.append(frame)
year = pd.concat(frames, ignore_index=True).sort_values(["Date", "ticker"], ignore_index=True)
rows = len(year)
""",
)


def run() -> list[Row]:
    """Time and peak memory of extracting and normalising the year."""
    archive = Path(tempfile.mkdtemp(prefix="historical-")) / f"{YEAR}.zip"
    rows = write_year(archive)
    # In turn, so that a busy moment of the machine meets both.
    runs = [[_measure(script, archive, rows) for script in (_OURS, _PANDAS)] for _ in range(RUNS)]
    ours, pandas = zip(*runs, strict=True)
    seconds = [statistics.median(run["seconds"] for run in side) for side in (ours, pandas)]
    mebibytes = [statistics.median(run["bytes"] for run in side) / 2**20 for side in (ours, pandas)]
    what = f"one year of {SYMBOLS:,} files, {rows:,} rows"
    peer = "zipfile.extractall + pandas.read_csv per file"
    return [
        Row(
            f"extract and normalise {what}",
            seconds[0],
            peer,
            seconds[1],
            "s",
            seconds[1] / seconds[0],
            ">= 3",
        ),
        Row(
            f"peak memory above the imports, {what}",
            mebibytes[0],
            peer,
            mebibytes[1],
            "MiB",
            mebibytes[0] / mebibytes[1],
            "<= 0.25",
        ),
    ]


def _measure(script: str, archive: Path, rows: int) -> dict[str, float]:
    scratch = tempfile.mkdtemp(dir=archive.parent)
    command = [sys.executable, "-c", script, str(archive), scratch]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    measured: dict[str, float] = json.loads(done.stdout)
    if measured["rows"] != rows:
        raise RuntimeError(f"{measured['rows']} rows came out where {rows} went in")
    return measured


def write_year(archive: Path) -> int:
    """Writes a ZIP of one file per symbol, 252 sessions each; returns the number of rows."""
    rng = np.random.default_rng(YEAR)
    days = [f"{day:%m/%d/%Y}" for day in sessions("XNYS", f"{YEAR}-01-01", f"{YEAR}-12-31")][:252]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as members:
        for number in range(SYMBOLS):
            close = np.round(20 + 30 * np.exp(np.cumsum(rng.normal(0, 0.02, len(days)))), 2)
            opened = np.round(close * (1 + rng.normal(0, 0.01, len(days))), 2)
            high, low = np.maximum(opened, close) + 0.25, np.minimum(opened, close) - 0.25
            volume = rng.integers(100, 10**7, len(days))
            lines = [
                f"{day},{o:.2f},{h:.2f},{lo:.2f},{c:.2f},{v},{c / 2:.2f}"
                for day, o, h, lo, c, v in zip(days, opened, high, low, close, volume, strict=True)
            ]
            text = "Date,Open,High,Low,Close,Volume,Adj Close\n" + "\n".join(lines) + "\n"
            members.writestr(f"eod/{_symbol(number)}.csv", text)
    return SYMBOLS * len(days)


def _symbol(number: int) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(letters[number // 26**place % 26] for place in (2, 1, 0)) + "Q"

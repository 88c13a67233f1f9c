"""`make bench`: every measured claim in one table, each beside a named peer of the same run.

python -m flatfiles_assets_tests.benchmarks [TOPIC ...]
"""

from __future__ import annotations

import json
import os
import pkgutil
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flatfiles_assets_tests import benchmarks
from flatfiles_assets_tests.benchmarks.report import Row

_NOT_TOPICS = {"__main__", "report"}
# They make many small files. An ext4 without a journal, as small virtual machines have it, looks at every
# file deleted in the last minutes before it makes a new one: so these two come before anything is deleted.
_FIRST = ("fetch", "historical")
_VERSIONS = ("dagster", "duckdb", "obstore", "boto3", "pyarrow", "pandas", "polars", "numpy", "statsmodels")


def topics() -> list[str]:
    """The benchmark modules: those that measure something."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    found = [name for name in names if name not in _NOT_TOPICS and not name.startswith("_")]
    return [*_FIRST, *(name for name in found if name not in _FIRST)]


def _machine() -> str:
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"


def _table(rows: list[Row]) -> Table:
    table = Table("claim", "peer", box=None, header_style="bold")
    for name in ("ours", "peer's", "unit", "ratio", "asked", "met"):
        table.add_column(name, justify="right")
    for row in rows:
        met = "[green]yes[/green]" if row.met else "[red]no[/red]"
        table.add_row(
            row.claim,
            row.peer_name,
            f"{row.ours:.4g}",
            f"{row.peer:.4g}",
            row.unit,
            f"{row.ratio:.2f}",
            row.asked,
            met,
        )
    return table


def main(names: list[str]) -> int:
    """Run the named topics (all where none is named) and print the table; 1 if a bound is missed."""
    console = Console(width=200 if not sys.stdout.isatty() else None)
    console.print(_machine())
    console.print(", ".join(f"{name} {version(name)}" for name in _VERSIONS))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="flatfiles-bench-") as scratch:
        try:
            for name in names or topics():
                console.print(f"… {name}", style="dim")
                rows += _measure(name, Path(scratch))
        finally:
            console.print(_table(rows))
    return 0 if all(row.met for row in rows) else 1


def _measure(name: str, scratch: Path) -> list[Row]:
    results = scratch / f"{name}.json"
    command = [sys.executable, "-m", "flatfiles_assets_tests.benchmarks._topic", name, str(results)]
    # What a topic does not remove itself stays until all are measured.
    subprocess.run(command, check=True, env={**os.environ, "TMPDIR": str(scratch)})
    return [Row(**row) for row in json.loads(results.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make bench`: every measured claim in one table, each beside a named peer of the same run.

python -m flatfiles_assets_tests.benchmarks [TOPIC ...]
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flatfiles_assets_tests import benchmarks
from flatfiles_assets_tests.benchmarks.report import Row

_NOT_TOPICS = {"__main__", "report"}
# It makes many small files, which some file systems do more slowly for minutes after others were deleted.
_FIRST = "fetch"
_VERSIONS = ("dagster", "duckdb", "obstore", "boto3", "pyarrow", "pandas", "polars", "numpy", "statsmodels")


def topics() -> list[str]:
    """The benchmark modules: those that measure something."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    found = [name for name in names if name not in _NOT_TOPICS and not name.startswith("_")]
    return sorted(found, key=lambda name: (name != _FIRST, name))


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
    try:
        for name in names or topics():
            module = importlib.import_module(f"flatfiles_assets_tests.benchmarks.{name}")
            if not hasattr(module, "run"):
                continue
            console.print(f"… {name}", style="dim")
            rows += module.run()
    finally:
        console.print(_table(rows))
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

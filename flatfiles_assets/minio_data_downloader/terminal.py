"""What a command line draws: progress bars while it works, a table when it is done.

Here: rich. Bars are drawn on a terminal only, and beside the results, on standard error.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from flatfiles_assets.console import console as terminal
from flatfiles_assets.console import draws_bars
from flatfiles_assets.minio_data_downloader.actions import Done


class ProgressBars:
    """`Work` as progress bars; silent where standard error is no terminal."""

    def __init__(self) -> None:
        self._console = terminal(stderr=True)

    @contextlib.contextmanager
    def begin(self, what: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """Draw a bar for the work within."""
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
            TransferSpeedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        quiet = not draws_bars(self._console)
        with Progress(*columns, console=self._console, transient=True, disable=quiet) as progress:
            task = progress.add_task(what, total=total_bytes or None)
            yield lambda size_bytes: progress.advance(task, size_bytes)


def show(done: Sequence[Done], *, as_json: bool) -> int:
    """Print an account of everything that was done.

    Args:
        done: What was done.
        as_json: Whether for programs, on standard output.

    Returns:
        The exit code: 0 only when everything asked for is true.
    """
    ok = all(item.ok for item in done)
    if as_json:
        document = {"ok": ok, "actions": [item.to_json() for item in done]}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return 0 if ok else 1
    console = terminal(stderr=True)
    for item in done:
        for problem in item.problems:
            console.print(Text.assemble(("error: ", "red"), problem), soft_wrap=True)
        for note in item.notes:
            console.print(Text.assemble(("note: ", "yellow"), note), soft_wrap=True)
    table = Table("asked for", "", "result")
    for item in done:
        table.add_row(item.action, Text("ok", "green") if item.ok else Text("failed", "red"), item.result)
    terminal().print(table)
    return 0 if ok else 1

"""`flatfiles run`: any job of the code location, for one partition, a range or all of it."""

from __future__ import annotations

import sys

import click

from flatfiles_assets.console import console as terminal
from flatfiles_assets.defs.runs import by_outcome, run_job, run_ranges
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import load_settings


@click.command()
@click.argument("job")
@click.option("--start", help="First partition, e.g. 2008-01-02, or 2008 for yearly ones.")
@click.option("--end", help="Last partition, included; default: the same as --start.")
def run(job: str, start: str | None, end: str | None) -> None:
    """Run JOB, for example historical_years, historical_daily, daily_prices or directories."""
    from flatfiles_assets.definitions import build_defs

    defs = build_defs()
    home = load_settings().dagster_home
    names = sorted(known.name for known in defs.resolve_all_job_defs() if not known.name.startswith("__"))
    if job not in names:
        raise InvalidArgument(f"{job!r} is not a job", next_step=f"use one of {', '.join(names)}")
    partitions = defs.resolve_job_def(job).partitions_def
    if partitions is None:
        runs = [run_job(defs, job, home=home)]
    elif start is None:
        raise InvalidArgument(f"{job} is partitioned", next_step="name a range with --start and --end")
    else:
        last = end or start
        wanted = [key for key in partitions.get_partition_keys() if start <= key <= last]
        if not wanted:
            raise InvalidArgument(
                f"{job} has no partition from {start} to {last}",
                next_step="name sessions as YYYY-MM-DD, years as YYYY",
            )
        runs = list(run_ranges(defs, job, wanted, home=home))
    console = terminal(stderr=True)
    for alike in by_outcome(runs):
        finished = alike[0]
        what = f"{job} {finished.first} to {alike[-1].last}" if finished.first else job
        many = f" ({len(alike)} runs)" if len(alike) > 1 else ""
        result = "done" if finished.succeeded else f"failed: {finished.message}"
        console.print(f"{what}{many}: {result}", soft_wrap=True)
    if not all(finished.succeeded for finished in runs):
        sys.exit(1)

"""Dagster alone: the same assets over the same partitions, with nothing to do."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from flatfiles_assets.defs.runs import run_ranges


def seconds(
    home: Path,
    partitions: dg.PartitionsDefinition,
    asset_keys: Sequence[dg.AssetKey],
    days: Sequence[dt.date],
) -> float:
    """Wall time of an empty range run on a shipped instance of its own."""

    @dg.multi_asset(
        specs=[dg.AssetSpec(key) for key in asset_keys],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(len(days)),
    )
    def nothing():
        for key in asset_keys:
            yield dg.MaterializeResult(asset_key=key)

    defs = dg.Definitions(
        assets=[nothing],
        jobs=[dg.define_asset_job("nothing_job", selection=[nothing])],
        executor=dg.in_process_executor,
    )
    started = time.perf_counter()
    list(run_ranges(defs, "nothing_job", [day.isoformat() for day in days], home=home))
    return time.perf_counter() - started

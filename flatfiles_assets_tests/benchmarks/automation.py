"""One tick of the automation sensor over twenty years, in CPU seconds and bytes of memory kept.

Every session of twenty years is recorded as materialised for every asset with sessions. Measured are
a tick with nothing to do, and the tick after one session was replaced. The peer is the same tick
after one year. Asked is that a tick after twenty years stays within two seconds of CPU.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import dagster as dg

from flatfiles_assets.calendars import sessions
from flatfiles_assets.datasets import selected_datasets
from flatfiles_assets.definitions import build_assets
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import STOCKS_DAILY_KEY
from flatfiles_assets.defs.sensors.automation import build_automation_sensor
from flatfiles_assets_tests.benchmarks.report import QUIET, Row

_TICKS = 5
_MOST_CPU_SECONDS = 2.0


def run() -> list[Row]:
    """The idle tick, and the one after a session was replaced, after twenty years and after one."""
    long, short = _measured(20), _measured(1)
    return [
        Row(
            f"a tick of automation after 20 years, {name}",
            ours,
            "after one year",
            peer,
            "s of CPU",
            ours,
            f"<= {_MOST_CPU_SECONDS}",
        )
        for name, ours, peer in zip(("nothing to do", "a session replaced"), long, short, strict=True)
    ]


def _measured(years: int) -> tuple[float, float]:
    assets = build_assets(selected_datasets(""))
    sensor = build_automation_sensor(assets)
    today = dt.datetime.now(dt.timezone.utc).date()
    days = [
        str(day)
        for day in sessions("XNYS", today - dt.timedelta(days=365 * years), today - dt.timedelta(days=3))
    ]
    with _instance() as instance:
        for definition in assets:
            for spec in definition.specs:
                _record(instance, spec, days)
        instance.report_runless_asset_event(dg.AssetMaterialization(["reference", "splits"]))
        cursor, _ = _tick(sensor, instance, None)
        idle = []
        for _ in range(_TICKS):
            cursor, seconds = _tick(sensor, instance, cursor)
            idle.append(seconds)
        busy = []
        for day in days[-_TICKS:]:
            instance.report_runless_asset_event(dg.AssetMaterialization(STOCKS_DAILY_KEY, partition=day))
            cursor, seconds = _tick(sensor, instance, cursor)
            busy.append(seconds)
    return statistics.median(idle), statistics.median(busy)


@contextlib.contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {"FLATFILES_DATA_DIR": folder}
        with mock.patch.dict(os.environ, environment), open_instance(Path(folder) / "home") as instance:
            yield instance


def _tick(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None
) -> tuple[str | None, float]:
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    begun = time.process_time()
    result = sensor(context)
    seconds = time.process_time() - begun
    assert isinstance(result, dg.SensorResult)
    return result.cursor, seconds


def _record(instance: dg.DagsterInstance, spec: dg.AssetSpec, days: list[str]) -> None:
    """One run that materialises every session of an asset among those days."""
    partitions = spec.partitions_def
    if partitions is None:
        instance.report_runless_asset_event(dg.AssetMaterialization(spec.key))
        return
    known = set(partitions.get_partition_keys())
    keys = [day for day in days if day in known] or sorted(known)

    @dg.asset(key=spec.key, partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run())
    def loaded() -> None:
        return

    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    dg.materialize([loaded], instance=instance, tags=tags, run_config=QUIET)

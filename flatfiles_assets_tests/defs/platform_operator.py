"""Whoever runs the platform, for tests: evaluates sensors and launches what they request.

Here: what Dagster's daemon does with a tick, in this process: a run key is launched once.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.defs.resources import FlatFilesS3Resource, MinIOS3Resource, WarehouseResource
from flatfiles_assets.defs.sensors.feeds import build_sync_sensor

WEEK = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]

Bounds = list[tuple[str, str]]


def bounds(requests: list[dg.RunRequest] | None) -> Bounds:
    """First and last partition of each request, in order of the sessions."""
    return sorted(
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in requests or []
    )


@dataclasses.dataclass
class Operator:
    """One instance, one code location, and a clock that can be moved.

    Attributes:
        cursors: What Dagster keeps for each sensor.
        launched: Bounds of every run that was launched.
    """

    instance: dg.DagsterInstance
    defs: dg.Definitions
    ahead: dt.timedelta = dt.timedelta(0)
    cursors: dict[str, str | None] = dataclasses.field(default_factory=dict)
    launched: Bounds = dataclasses.field(default_factory=list)

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.timezone.utc) + self.ahead

    def evaluate(self, feed: str = "stocks_daily") -> dg.SensorResult:
        """One tick, of which nothing is kept."""
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursors.get(feed))
        return build_sync_sensor(get_dataset(feed), clock=self.now)(
            context, flatfiles_s3=FlatFilesS3Resource(), warehouse=WarehouseResource()
        )

    def evaluate_named(self, name: str) -> dg.SensorResult:
        """One tick of a sensor of the user's bucket, or of the look-back."""
        sensor = self.defs.resolve_sensor_def(name)
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursors.get(name))
        resources = {"minio_s3": MinIOS3Resource()} if "minio_s3" in sensor.required_resource_keys else {}
        return sensor(context, **resources)

    def keep(self, result: dg.SensorResult, feed: str = "stocks_daily") -> None:
        """Store a tick's cursor, as the daemon does once its runs are submitted."""
        self.cursors[feed] = result.cursor

    def launch(self, result: dg.SensorResult, feed: str = "stocks_daily") -> Bounds:
        """Run what a tick requests; a run key that was used is passed over."""
        done = []
        for request in result.run_requests or []:
            if self.instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: request.run_key})):
                continue
            tags = {**request.tags, RUN_KEY_TAG: request.run_key, SENSOR_NAME_TAG: f"{feed}_sync"}
            self.defs.resolve_job_def(feed).execute_in_process(
                instance=self.instance,
                tags=tags,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
            done += bounds([request])
        self.launched += done
        return done

    def tick(self, feed: str = "stocks_daily") -> Bounds:
        """Evaluate, run and remember; returns the ranges that were run."""
        result = self.evaluate(feed)
        done = self.launch(result, feed)
        self.keep(result, feed)
        return sorted(done)

    def tick_later(
        self, later: dt.timedelta = dt.timedelta(minutes=31), feed: str = "stocks_daily"
    ) -> Bounds:
        """Let time pass, then tick."""
        self.ahead += later
        return self.tick(feed)

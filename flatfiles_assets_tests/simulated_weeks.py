"""Weeks of a platform, a session a tick: files arrive, are late, are replaced; the bucket is away.

Here: the driver, in one process: it evaluates the sensors as the daemon does and runs what they
request. What must hold afterwards is asserted by those who use it.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import os
import resource
import time
from collections.abc import Callable, Collection, Sequence
from unittest import mock

import dagster as dg
import pyarrow as pa

from flatfiles_assets.datasets import get_dataset, selected_datasets
from flatfiles_assets.definitions import build_assets, build_defs
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import market_key
from flatfiles_assets.defs.sensors.automation import build_automation_sensor
from flatfiles_assets.demo.vendor_files import object_key, vendor_file
from flatfiles_assets_tests.defs.platform_operator import Operator
from flatfiles_assets_tests.platform import MARKET, Platform

_NOWHERE = "http://127.0.0.1:9"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_MOST_ROUNDS = 6


@dataclasses.dataclass
class Weeks:
    """What happens.

    Attributes:
        days: The sessions, in order, one a tick.
        feeds: The feeds that publish.
        late: Sessions whose last feed comes one tick later.
        replaced: Sessions that the vendor replaces three ticks later, without their last row.
        away: Sessions during whose tick the bucket cannot be reached.
        restarts: Sessions after which everything is closed and opened again.
    """

    days: Sequence[dt.date]
    feeds: Sequence[str]
    late: Collection[dt.date] = ()
    replaced: Collection[dt.date] = ()
    away: Collection[dt.date] = ()
    restarts: Collection[dt.date] = ()


@dataclasses.dataclass
class Lived:
    """What came of it.

    Attributes:
        failed: Messages of the runs that failed.
        tick_seconds: CPU seconds of every tick of automation.
        runs: Runs in all.
        cursor_bytes: Largest cursor of automation.
        peak_kib: Largest memory of the process after each day.
    """

    failed: list[str] = dataclasses.field(default_factory=list)
    tick_seconds: list[float] = dataclasses.field(default_factory=list)
    runs: int = 0
    cursor_bytes: int = 0
    peak_kib: list[int] = dataclasses.field(default_factory=list)


class Simulation:
    """One platform that lives through some weeks."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.defs = build_defs("")
        self.lived = Lived()
        self._cursor: str | None = None
        self._lookback: str | None = None
        self._feed_cursors: dict[str, str | None] = {}
        self._now = dt.datetime.now(dt.timezone.utc)

    def drop_reference_files(self) -> None:
        """Put splits and dividends where the platform looks for them."""
        folder = self.platform.data_dir / "reference"
        folder.mkdir(parents=True)
        (folder / "splits.csv").write_text("ticker,execution_date,split_from,split_to\nKO,2012-08-13,1,2\n")
        (folder / "dividends.csv").write_text("ticker,ex_dividend_date,cash_amount\nKO,2012-08-13,0.25\n")

    def live(self, weeks: Weeks) -> Lived:
        """Live through them, and through the ticks that settle what is open at the end."""
        pending: dict[int, list[Callable[[], None]]] = collections.defaultdict(list)
        instance = open_instance(self.platform.home)
        try:
            for number, day in enumerate([*weeks.days, *[weeks.days[-1]] * 4]):
                self._now = dt.datetime.combine(day, dt.time(18), dt.timezone.utc) + dt.timedelta(
                    days=1 + max(0, number - len(weeks.days) + 1)
                )
                if number < len(weeks.days):
                    self._publish(weeks, number, day, pending)
                for happens in pending.pop(number, []):
                    happens()
                away = number < len(weeks.days) and day in weeks.away
                with mock.patch.dict(os.environ, {"FLATFILES_ENDPOINT_URL": _NOWHERE} if away else {}):
                    self._day(instance, weeks.feeds)
                self.lived.peak_kib.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
                if day in weeks.restarts:
                    instance.dispose()
                    instance = open_instance(self.platform.home)
            self.lived.runs = len(instance.get_runs())
        finally:
            instance.dispose()
        return self.lived

    def _publish(
        self, weeks: Weeks, number: int, day: dt.date, pending: dict[int, list[Callable[[], None]]]
    ) -> None:
        for feed in weeks.feeds:
            if day in weeks.late and feed == weeks.feeds[-1]:
                pending[number + 1].append(lambda feed=feed: self._put(feed, day))
            else:
                self._put(feed, day)
        if day in weeks.replaced:
            pending[number + 3].append(lambda: self._put(weeks.feeds[0], day, rows_fewer=1))

    def _put(self, feed: str, day: dt.date, rows_fewer: int = 0) -> None:
        bars: pa.Table = MARKET.day_bars(day) if feed == "stocks_daily" else MARKET.option_day_bars(day)
        body = vendor_file(bars.slice(0, bars.num_rows - rows_fewer))
        self.platform.server.client().put_object(
            Bucket=self.platform.bucket, Key=object_key(feed, day), Body=body
        )

    def _day(self, instance: dg.DagsterInstance, feeds: Sequence[str]) -> None:
        operator = Operator(instance, self.defs, cursors=self._feed_cursors)
        operator.ahead = self._now - dt.datetime.now(dt.timezone.utc)
        for feed in feeds:
            operator.tick_later(dt.timedelta(minutes=31), feed)
        automation = build_automation_sensor(build_assets(selected_datasets("")), clock=lambda: self._now)
        for _ in range(_MOST_ROUNDS):
            context = dg.build_sensor_context(instance=instance, cursor=self._cursor)
            begun = time.process_time()
            result = automation(context)
            self.lived.tick_seconds.append(time.process_time() - begun)
            assert isinstance(result, dg.SensorResult)
            self._cursor = result.cursor
            self.lived.cursor_bytes = max(self.lived.cursor_bytes, len(self._cursor or ""))
            if not result.run_requests:
                return
            for request in result.run_requests:
                self._launch(instance, request)
        raise AssertionError("automation does not come to rest")

    def _launch(self, instance: dg.DagsterInstance, request: dg.RunRequest) -> None:
        job = self.defs.resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(
            instance=instance,
            asset_selection=list(request.asset_selection or []),
            tags=dict(request.tags),
            raise_on_error=False,
            run_config=_QUIET,
        )
        if not done.success:
            self.lived.failed.append(f"{request.asset_selection} {request.tags}")

    def materialisations(self, feed: str) -> dict[str, int]:
        """How often each session of a feed was recorded as loaded."""
        with open_instance(self.platform.home) as instance:
            records = instance.fetch_materializations(market_key(get_dataset(feed)), limit=10_000).records
        return dict(collections.Counter(str(record.partition_key) for record in records))

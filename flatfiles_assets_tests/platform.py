"""A bucket of the vendor's files, a data directory, and the code location reading both."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from flatfiles_assets.calendars import sessions
from flatfiles_assets.defs.runs import RangeRun, run_ranges
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.vendor_files import object_key, to_csv_gz, vendor_file
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.s3_servers import S3Server

MARKET = SyntheticMarket(n_symbols=40)


@dataclasses.dataclass
class Platform:
    """The whole platform in one folder, on one bucket of its own."""

    server: S3Server
    bucket: str
    data_dir: Path

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(
            self.data_dir / "warehouse" / "warehouse.duckdb", lock_timeout_seconds=PATIENCE_SECONDS
        )

    @property
    def home(self) -> Path:
        return self.data_dir / "dagster_home"

    def put(self, session: str, fault: str | None = None, feed: str = "stocks_daily") -> bytes:
        """Publish a session's file; returns its bytes."""
        day = dt.date.fromisoformat(session)
        body = vendor_file(getattr(MARKET, _TABLES[feed])(day), fault)
        self.server.client().put_object(Bucket=self.bucket, Key=object_key(feed, day), Body=body)
        return body

    def put_half_of(self, session: str) -> None:
        """Publish a session's file without the second half of its rows."""
        day = dt.date.fromisoformat(session)
        bars = MARKET.day_bars(day)
        half = to_csv_gz(bars.slice(0, bars.num_rows // 2))
        self.server.client().put_object(Bucket=self.bucket, Key=object_key("stocks_daily", day), Body=half)

    def put_range(self, start: str, end: str) -> list[str]:
        """Publish every session of a range; returns them."""
        days = [day.isoformat() for day in sessions("XNYS", start, end)]
        for day in days:
            self.put(day)
        return days

    def run(
        self,
        partitions: Sequence[str],
        job: str = "stocks_daily",
        defs: dg.Definitions | None = None,
        **config: bool,
    ) -> list[RangeRun]:
        """Run a job over some partitions, as the command line does."""
        from flatfiles_assets.definitions import build_defs

        return list(run_ranges(defs or build_defs(), job, partitions, home=self.home, op_config=config))

    def rows(self, query: str) -> list[tuple]:
        return self.warehouse.reader().sql(query).fetchall()


_TABLES = {
    "stocks_daily": "day_bars",
    "stocks_minute": "minute_bars",
    "options_daily": "option_day_bars",
    "options_minute": "option_minute_bars",
}

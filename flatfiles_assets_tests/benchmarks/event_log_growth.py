"""How much Dagster's event log grows for each session of a feed, and in a year of all feeds.

Peer: the stored rows themselves. The log is what an operator must know about before it fills a disk.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest import mock

from flatfiles_assets.calendars import sessions
from flatfiles_assets.datasets import selected_datasets
from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.runs import run_ranges
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.vendor_files import object_key, vendor_file
from flatfiles_assets_tests import s3_servers
from flatfiles_assets_tests.benchmarks.report import Row

FEED = "stocks_daily"
BACKFILLED = ("2024-01-02", "2024-03-28")
NIGHTLY = ("2024-04-01", "2024-04-12")
SESSIONS_A_YEAR = 252


def run() -> list[Row]:
    """Bytes of the event log per session: in one range run, and in a run of its own each night."""
    market = SyntheticMarket(n_symbols=40)
    with s3_servers.moto() as server, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bucket = server.new_bucket()
        for day in sessions("XNYS", BACKFILLED[0], NIGHTLY[1]):
            body = vendor_file(market.day_bars(day))
            server.client().put_object(Bucket=bucket, Key=object_key(FEED, day), Body=body)
        names = {
            "FLATFILES_ENDPOINT_URL": server.endpoint_url,
            "FLATFILES_ACCESS_KEY_ID": server.access_key_id,
            "FLATFILES_SECRET_ACCESS_KEY": server.secret_access_key,
            "FLATFILES_BUCKET": bucket,
            "FLATFILES_DATA_DIR": str(folder),
        }
        with mock.patch.dict(os.environ, names):
            home = folder / "home"
            _run(home, [NIGHTLY[0]])  # makes the databases, whose empty tables are no growth
            backfill_bytes = _growth(home, [_keys(*BACKFILLED)])
            nightly_bytes = _growth(home, [[day] for day in _keys(*NIGHTLY)[1:]])
    each_backfilled = backfill_bytes / len(_keys(*BACKFILLED))
    each_nightly = nightly_bytes / (len(_keys(*NIGHTLY)) - 1)
    feeds = len(selected_datasets())
    year_mb = each_nightly * SESSIONS_A_YEAR * feeds / 1e6
    return [
        Row(
            f"event log per session of a feed, nightly ({year_mb:.0f} MB a year for {feeds} feeds)",
            each_nightly / 1e3,
            "the same in one range run",
            each_backfilled / 1e3,
            "kB",
            each_nightly / each_backfilled,
            ">= 0",
        )
    ]


def _keys(first: str, last: str) -> list[str]:
    return [day.isoformat() for day in sessions("XNYS", first, last)]


def _growth(home: Path, runs: list[list[str]]) -> int:
    before = _size_bytes(home)
    for partitions in runs:
        _run(home, partitions)
    return _size_bytes(home) - before


def _run(home: Path, partitions: list[str]) -> None:
    (result,) = run_ranges(build_defs(), FEED, partitions, home=home)
    if not result.succeeded:
        raise RuntimeError(result.message)


def _size_bytes(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())

"""A backfill that is killed at any moment leaves whole partitions, whole files and no lock."""

from __future__ import annotations

import datetime as dt
import gzip
import random
import signal
import subprocess
import sys
import time

import pytest

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import market_key, raw_key
from flatfiles_assets_tests.fault_proxy import FaultProxy, Stall
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.platform import MARKET, Platform

KILLS = 20
PROGRAM = """
import sys
from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.runs import run_ranges
from pathlib import Path
print("ready", flush=True)
sys.stdin.readline()
days, home = sys.argv[1].split(","), Path(sys.argv[2])
runs = list(run_ranges(build_defs(), "stocks_daily", days, home=home))
sys.exit(not all(run.succeeded for run in runs))
"""


def _start(platform: Platform, days: list[str]) -> subprocess.Popen:
    """A backfill in a process of its own that has imported everything and waits for a word."""
    arguments = [",".join(days), str(platform.home)]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _go(process: subprocess.Popen) -> None:
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.slow
def test_a_killed_backfill_leaves_nothing_half_and_the_next_completes_it(platform: Platform):
    days = platform.put_range("2024-01-02", "2024-02-29")
    published = {day: MARKET.day_bars(_date(day)).num_rows for day in days}
    rng = random.Random(7)
    waiting = _start(platform, days)
    for _ in range(KILLS):
        process, waiting = waiting, _start(platform, days)
        _go(process)
        time.sleep(rng.uniform(0.0, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        _assert_nothing_is_half(platform, published)

    _go(waiting)
    assert waiting.wait(timeout=PATIENCE_SECONDS) == 0

    stored = dict(platform.rows("SELECT trade_date::VARCHAR, count(*) FROM market.stocks_daily GROUP BY ALL"))
    assert set(stored) == set(days)
    with open_instance(platform.home) as instance:
        for key in (raw_key, market_key):
            assert instance.get_materialized_partitions(key(get_dataset("stocks_daily"))) == set(days)
    leftovers = [path for path in (platform.data_dir / "flatfiles_cache").rglob("*") if _is_leftover(path)]
    assert leftovers == []


def _assert_nothing_is_half(platform: Platform, published: dict[str, int]) -> None:
    for path in (platform.data_dir / "flatfiles_cache").rglob("*.csv.gz"):
        gzip.decompress(path.read_bytes())  # a name that exists is a whole file
    if not platform.warehouse.path.exists() or "market.files" not in platform.warehouse.reader().tables():
        return
    rows = platform.rows(
        """
        SELECT f.trade_date::VARCHAR, f.rows_accepted, f.rows_read, count(s.ticker)
        FROM market.files f LEFT JOIN market.stocks_daily s USING (trade_date) GROUP BY ALL
        """
    )
    for day, accepted, read, stored in rows:
        assert stored == accepted, day
        assert read == published[day], day
    (orphans,) = platform.rows(
        "SELECT count(*) FROM market.stocks_daily s ANTI JOIN market.files f USING (trade_date)"
    )[0]
    assert orphans == 0


def _is_leftover(path) -> bool:
    return path.is_file() and not path.name.endswith(".csv.gz") and "metadata" not in path.parts


def _date(day: str):
    return dt.date.fromisoformat(day)


def test_a_fetch_that_hangs_keeps_nobody_from_loading(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    """Turns are taken where rows are written, not where bytes are awaited."""
    platform.put("2024-01-02")
    platform.put("2024-01-02", feed="options_daily")
    with FaultProxy(platform.server.endpoint_url) as proxy:
        proxy.add(Stall(), path="us_stocks_sip", times=None)
        with monkeypatch.context() as between:
            between.setenv("FLATFILES_ENDPOINT_URL", proxy.endpoint_url)
            hanging = _start(platform, ["2024-01-02"])
            _go(hanging)
        try:
            while not proxy.requests(path="us_stocks_sip"):
                assert hanging.poll() is None
                time.sleep(0.2)
            (other,) = platform.run(["2024-01-02"], job="options_daily")
            assert other.succeeded
            assert hanging.poll() is None, "it hangs all the while"
        finally:
            hanging.kill()
            hanging.communicate()

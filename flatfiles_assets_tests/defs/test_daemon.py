"""The whole loop with no hand on it: the daemon runs, files come and change, features follow."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pyarrow.compute as pc
import pytest

from flatfiles_assets.calendars import sessions
from flatfiles_assets.defs.instance.home import instance_environment, open_instance
from flatfiles_assets.demo.vendor_files import object_key, vendor_file
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.platform import MARKET, Platform


def _latest_sessions() -> list[str]:
    """Three sessions of the months that every poll lists, long enough ago to have partitions."""
    today = dt.datetime.now(dt.timezone.utc).date()
    found = sessions("XNYS", today - dt.timedelta(days=20), today - dt.timedelta(days=3))
    return [day.isoformat() for day in found[-3:]]


@pytest.fixture
def daemon(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    with open_instance(platform.home):
        pass
    reference = platform.data_dir / "reference"
    reference.mkdir(parents=True)
    (reference / "splits.csv").write_text("ticker,execution_date,split_from,split_to\nKO,2012-08-13,1,2\n")
    (reference / "dividends.csv").write_text("ticker,ex_dividend_date,cash_amount\nKO,2012-08-13,0.25\n")
    environment = {
        **os.environ,
        **instance_environment(platform.home),
        "FLATFILES_SYNC_POLL_SECONDS": "3",
    }
    log = platform.data_dir / "daemon.log"
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "flatfiles_assets.definitions"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(condition: Callable[[], object], platform: Platform, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if condition():
                return
        except FlatFilesError:
            pass  # No warehouse, or no such table yet.
        if time.monotonic() > deadline:
            log = (platform.data_dir / "daemon.log").read_text(errors="replace")
            pytest.fail(f"{what} did not come; the daemon says:\n{log[-6000:]}")
        time.sleep(1)


def _features(platform: Platform, session: str) -> dict[str, tuple]:
    rows = platform.rows(f"SELECT * FROM algorithm.mean_reversion WHERE trade_date = '{session}'")
    return {str(row[1]): row for row in rows}


def _replace_without(platform: Platform, session: str, ticker: str) -> None:
    """The vendor publishes the session again, without one of its tickers."""
    day = dt.date.fromisoformat(session)
    bars = MARKET.day_bars(day)
    body = vendor_file(bars.filter(pc.not_equal(bars["ticker"], ticker)))
    platform.server.client().put_object(
        Bucket=platform.bucket, Key=object_key("stocks_daily", day), Body=body
    )


@pytest.mark.slow
def test_a_file_in_the_bucket_becomes_features_and_a_replaced_one_changes_them(
    platform: Platform, daemon: subprocess.Popen[bytes]
):
    refused, first, last = _latest_sessions()
    platform.put(refused, "misdated")
    platform.put(first)
    platform.put(last)
    _wait_for(lambda: _features(platform, last), platform, "the first features")
    before = _features(platform, last)

    gone = min(before)
    _replace_without(platform, last, gone)

    _wait_for(lambda: gone not in _features(platform, last), platform, "the changed features")
    with open_instance(platform.home) as instance:
        feed_runs = [run for run in instance.get_runs() if run.job_name == "stocks_daily"]
    assert daemon.poll() is None
    assert len(feed_runs) == 2

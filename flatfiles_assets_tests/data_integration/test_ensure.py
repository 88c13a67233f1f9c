"""What is missing is fetched, loaded and unified first, through Dagster, as one range run a job."""

from __future__ import annotations

import asyncio
import csv
import warnings

import dagster as dg
import pandas as pd
import pytest

from flatfiles_assets.data_integration import CoverageWarning, DataIntegration, NoData
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.errors import MissingCredentials
from flatfiles_assets.settings import load_settings
from flatfiles_assets_tests.platform import MARKET, Platform

WEEK = ["2024-02-05", "2024-02-06", "2024-02-07", "2024-02-08", "2024-02-09"]
SYMBOLS = ["AAPL", "KO"]


@pytest.fixture
def stocked(platform: Platform) -> Platform:
    """A bucket with a week of files, and a folder with the splits."""
    platform.put_range(WEEK[0], WEEK[-1])
    folder = platform.data_dir / "reference"
    folder.mkdir(parents=True)
    for name, records in (("splits", MARKET.splits()), ("dividends", MARKET.dividends())):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, records[0])
            writer.writeheader()
            writer.writerows(records)
    return platform


def get(symbols=SYMBOLS, dates=(WEEK[0], WEEK[-1]), settings=None, **options):
    door = DataIntegration(settings=settings)
    return door.get_data_for_algorithm("mean_reversion", symbols, *dates, **options)


def runs(platform: Platform, job: str) -> int:
    with open_instance(platform.home) as instance:
        return len(instance.get_runs(dg.RunsFilter(job_name=job)))


def published(day: str, symbol: str) -> float:
    bars = MARKET.day_bars(pd.Timestamp(day).date(), [symbol])
    return bars.column("close")[0].as_py()


def test_an_empty_warehouse_is_filled_for_the_range_asked_for(stocked: Platform):
    with warnings.catch_warnings():
        warnings.simplefilter("error", CoverageWarning)
        data = get()

    assert data["price_data"].loc[WEEK[2], "KO"] == published(WEEK[2], "KO")
    assert data["metadata"]["adjustment"] == "splits", "the reference tables were brought in, too"
    assert data["metadata"]["source_mix"] == {"flat_files": 2 * len(WEEK)}
    loaded = stocked.rows("SELECT DISTINCT trade_date::VARCHAR FROM market.daily_prices ORDER BY 1")
    assert [day for (day,) in loaded] == WEEK
    assert (runs(stocked, "stocks_daily"), runs(stocked, "daily_prices")) == (1, 1)


def test_what_is_there_is_not_asked_for_again_and_what_is_not_is(stocked: Platform):
    get(dates=(WEEK[1], WEEK[2]))
    again = get(dates=(WEEK[1], WEEK[2]))
    assert again.from_cache
    assert runs(stocked, "stocks_daily") == 1

    data = get()
    assert data["metadata"]["missing_sessions"] == []
    assert runs(stocked, "stocks_daily") == 2


def test_without_ensure_nothing_is_fetched(stocked: Platform):
    with pytest.raises(NoData, match="AAPL, KO"):
        get(ensure=False)
    assert not stocked.home.exists()


def test_sessions_that_cannot_be_had_are_warned_about_and_not_asked_for_at_every_call(stocked: Platform):
    dates = ("2024-02-02", WEEK[-1])
    with pytest.warns(CoverageWarning) as warned:
        data = get(dates=dates)
    said = [str(each.message) for each in warned]
    assert any("2024-02-02: [not_published]" in message for message in said)
    assert any("1 session without any prices: 2024-02-02" in message for message in said)
    assert len(data["price_data"].dropna()) == len(WEEK)

    with pytest.warns(CoverageWarning, match="1 session without any prices"):
        get(dates=dates)
    assert runs(stocked, "stocks_daily") == 1


def test_without_credentials_missing_data_are_an_error_and_partial_data_a_warning(
    stocked: Platform, monkeypatch: pytest.MonkeyPatch
):
    get(dates=(WEEK[0], WEEK[1]))
    monkeypatch.delenv("FLATFILES_ACCESS_KEY_ID")
    with pytest.warns(CoverageWarning, match=r"3 sessions are not in the warehouse.*FLATFILES_ACCESS_KEY_ID"):
        assert len(get()["price_data"].dropna()) == 2
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(stocked.data_dir / "another"))
    with pytest.raises(MissingCredentials, match="FLATFILES_ACCESS_KEY_ID"):
        get()


def test_settings_given_in_python_are_those_of_the_run(stocked: Platform, monkeypatch: pytest.MonkeyPatch):
    settings = load_settings()
    for name in ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "BUCKET", "DATA_DIR"):
        monkeypatch.delenv(f"FLATFILES_{name}")
    data = get(settings=settings)
    assert data["metadata"]["missing_sessions"] == []
    assert stocked.rows("SELECT count(*) > 0 FROM market.daily_prices") == [(True,)]


def test_it_works_inside_a_running_event_loop_as_in_a_notebook(stocked: Platform):
    async def cell() -> int:
        return len(get()["price_data"])

    assert asyncio.run(cell()) == len(WEEK)

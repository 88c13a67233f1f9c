"""Bad files dropped into the bucket: each is caught where it should be, stopped, explained, and repaired."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.checks.results import held_back
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import market_key, raw_key
from flatfiles_assets.defs.runs import RangeRun, run_ranges
from flatfiles_assets_tests.platform import Platform

STOCKS = get_dataset("stocks_daily")
DOWNSTREAM = dg.AssetKey(["market", "quarantine"])


def _with_downstream() -> dg.Definitions:
    job = dg.define_asset_job(
        "with_downstream",
        selection=dg.AssetSelection.assets(raw_key(STOCKS), market_key(STOCKS), DOWNSTREAM),
    )
    return dg.Definitions.merge(build_defs(), dg.Definitions(jobs=[job]))


def _launch(platform: Platform, days: list[str]) -> list[RangeRun]:
    return list(run_ranges(_with_downstream(), "with_downstream", days, home=platform.home))


def _downstream_days(platform: Platform) -> set[str]:
    with open_instance(platform.home) as instance:
        return instance.get_materialized_partitions(DOWNSTREAM)


def test_a_corrupted_file_stops_at_the_step_and_the_good_sessions_are_still_checked(
    platform: Platform, last_check
):
    platform.put("2024-01-02")
    platform.put("2024-01-03", "truncated")
    (run,) = _launch(platform, ["2024-01-02", "2024-01-03"])

    assert not run.succeeded
    assert "2024-01-03: [corrupt]" in run.message
    assert _downstream_days(platform) == set()
    assert last_check("no_duplicates").passed
    assert last_check("no_duplicates").metadata["sessions_checked"].value == 1

    platform.put("2024-01-03")
    (run,) = _launch(platform, ["2024-01-02", "2024-01-03"])
    assert run.succeeded, run.message
    assert _downstream_days(platform) == {"2024-01-02", "2024-01-03"}
    assert last_check("no_duplicates").metadata["sessions_checked"].value == 2


def test_a_day_that_lacks_half_its_rows_is_named_and_blocks_what_depends_on_it(
    platform: Platform, last_check
):
    days = platform.put_range("2024-01-02", "2024-01-10")
    platform.put_half_of(days[-1])
    (run,) = _launch(platform, days)

    assert not run.succeeded
    found = last_check("row_count")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert "2024-01-10" in (found.description or "")
    assert "2024-01-09" not in (found.description or "")
    assert [record.data["session"] for record in found.metadata["bad"].records] == ["2024-01-10"]
    assert found.metadata["lowest_share_of_median"].value < 0.6
    assert _downstream_days(platform) == set()

    platform.put("2024-01-10")
    (run,) = _launch(platform, days)
    assert run.succeeded, run.message
    assert last_check("row_count").passed
    assert _downstream_days(platform) == set(days)


def test_a_bad_day_stays_in_view_until_it_is_repaired(platform: Platform, last_check):
    """The next good day must not turn the feed green; nor must it fail for the sake of the bad one."""
    days = platform.put_range("2024-01-02", "2024-01-11")
    bad = days[-2]
    platform.put_half_of(bad)
    _launch(platform, days[:-1])
    assert last_check("row_count").severity == dg.AssetCheckSeverity.ERROR
    (run,) = _launch(platform, days[-1:])

    assert run.succeeded, run.message
    assert _downstream_days(platform) == {days[-1]}
    found = last_check("row_count")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert bad in (found.description or "")
    assert held_back(found).sessions == {dt.date.fromisoformat(bad)}

    platform.put(bad)
    (run,) = _launch(platform, [bad])
    assert run.succeeded, run.message
    assert last_check("row_count").passed
    assert held_back(last_check("row_count")).sessions == set()


def test_a_bad_day_that_an_operator_accepts_leaves_the_view(
    platform: Platform, last_check, monkeypatch: pytest.MonkeyPatch
):
    days = platform.put_range("2024-01-02", "2024-01-10")
    platform.put_half_of(days[-1])
    _launch(platform, days)
    monkeypatch.setenv("FLATFILES_ACCEPTED_SESSIONS", f"stocks_daily:{days[-1]}")

    (run,) = _launch(platform, days[-1:])

    assert run.succeeded, run.message
    assert last_check("row_count").passed


def test_a_minute_file_that_ends_in_the_middle_of_the_session_is_caught(platform: Platform, last_check):
    platform.put("2024-01-03", "cut_mid_session", feed="stocks_minute")
    (run,) = platform.run(["2024-01-03"], job="stocks_minute")

    assert not run.succeeded
    found = last_check("covers_session", "market/stocks_minute")
    assert not found.passed
    assert "2024-01-03: the last bar is of" in (found.description or "")

    platform.put("2024-01-03", feed="stocks_minute")
    (run,) = platform.run(["2024-01-03"], job="stocks_minute")
    assert run.succeeded, run.message
    assert last_check("covers_session", "market/stocks_minute").passed


def test_an_early_close_is_no_truncated_session(platform: Platform, last_check):
    platform.put("2024-07-03", feed="stocks_minute")
    (run,) = platform.run(["2024-07-03"], job="stocks_minute")
    assert run.succeeded, run.message
    assert last_check("covers_session", "market/stocks_minute").passed


def test_a_misdated_file_stops_at_the_step_and_its_quarantine_goes_when_it_is_repaired(platform: Platform):
    platform.put("2024-01-03", "misdated")
    (run,) = _launch(platform, ["2024-01-03"])

    assert not run.succeeded
    assert "[misdated]" in run.message
    assert _downstream_days(platform) == set()
    rules = platform.rows("SELECT DISTINCT rule FROM market.quarantine")
    assert ("misdated",) in rules

    platform.put("2024-01-03")
    (run,) = _launch(platform, ["2024-01-03"])
    assert run.succeeded, run.message
    assert ("misdated",) not in platform.rows("SELECT DISTINCT rule FROM market.quarantine")


def test_a_file_with_its_rows_twice_keeps_them_once_and_is_not_trusted(platform: Platform, last_check):
    platform.put("2024-01-03", "duplicated_rows")
    (run,) = _launch(platform, ["2024-01-03"])

    assert not run.succeeded
    found = last_check("rejected_rows")
    assert not found.passed
    assert "duplicate 3" in (found.description or "")
    assert last_check("no_duplicates").passed
    assert _downstream_days(platform) == set()

    platform.put("2024-01-03")
    (run,) = _launch(platform, ["2024-01-03"])
    assert run.succeeded, run.message
    assert last_check("rejected_rows").passed


def test_day_bars_are_compared_with_the_minutes_whichever_comes_last(platform: Platform, last_check):
    platform.put("2024-01-03")
    platform.put("2024-01-03", feed="stocks_minute")
    platform.run(["2024-01-03"])
    assert last_check("days_agree_with_minutes").metadata["tickers_compared"].value == 0
    platform.run(["2024-01-03"], job="stocks_minute")

    agreed = last_check("days_agree_with_minutes", "market/stocks_minute")
    assert agreed.passed, agreed.description
    assert agreed.metadata["tickers_compared"].value > 20

    platform.put("2024-01-03", "cut_mid_session", feed="stocks_minute")
    platform.run(["2024-01-03"], job="stocks_minute")
    differs = last_check("days_agree_with_minutes", "market/stocks_minute")
    assert not differs.passed
    assert differs.severity == dg.AssetCheckSeverity.WARN
    assert "volumes differ" in (differs.description or "")


def test_checks_can_be_run_alone_and_find_a_file_that_changed_on_disk(platform: Platform, last_check):
    days = platform.put_range("2024-01-02", "2024-01-04")
    platform.run(days)
    path = platform.data_dir / f"flatfiles_cache/us_stocks_sip/day_aggs_v1/2024/01/{days[1]}.csv.gz"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)

    job = dg.define_asset_job("checks", selection=dg.AssetSelection.checks_for_assets(raw_key(STOCKS)))
    defs = dg.Definitions.merge(build_defs(), dg.Definitions(jobs=[job]))
    with open_instance(platform.home) as instance:
        result = defs.resolve_job_def("checks").execute_in_process(instance=instance, raise_on_error=False)
    assert result.success

    found = last_check("checksum", "raw/stocks_daily")
    assert not found.passed
    assert found.metadata["sessions_checked"].value == 3
    assert [record.data["session"] for record in found.metadata["bad"].records] == [days[1]]

    (run,) = platform.run(days)
    assert run.succeeded, run.message
    assert last_check("checksum", "raw/stocks_daily").passed

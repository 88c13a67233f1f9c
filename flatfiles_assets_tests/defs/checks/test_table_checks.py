"""The table that algorithms read is checked by the step that writes it."""

from __future__ import annotations

import dagster as dg

from flatfiles_assets_tests.platform import Platform


def test_the_unified_prices_are_checked_when_they_are_written(platform: Platform, last_check):
    platform.put("2024-01-02")
    platform.put("2024-01-03")
    platform.run(["2024-01-02", "2024-01-03"])
    (run,) = platform.run(["2024-01-02", "2024-01-03"], job="daily_prices")

    assert run.succeeded, run.message
    for name in ("schema", "no_duplicates", "ohlc"):
        found = last_check(name, "market/daily_prices")
        assert found.passed
        assert found.blocking
    assert last_check("ohlc", "market/daily_prices").metadata["sessions_checked"].value == 2


def test_a_broken_bar_in_the_unified_prices_stops_what_reads_them(platform: Platform, last_check):
    platform.put("2024-01-02")
    platform.run(["2024-01-02"])
    with platform.warehouse.writer("damage") as transaction:
        transaction.execute("UPDATE market.stocks_daily SET high = low / 2 WHERE ticker = 'NA'")
    (run,) = platform.run(["2024-01-02"], job="daily_prices")

    assert not run.succeeded
    found = last_check("ohlc", "market/daily_prices")
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert "2024-01-02: 1 bar" in (found.description or "")


def test_sessions_without_prices_do_not_keep_the_others_from_being_checked(platform: Platform, last_check):
    platform.put("2024-01-02")
    platform.run(["2024-01-02"])
    (run,) = platform.run(["2024-01-02", "2024-01-03"], job="daily_prices")

    assert not run.succeeded
    assert last_check("no_duplicates", "market/daily_prices").metadata["sessions_checked"].value == 1

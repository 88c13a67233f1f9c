"""Weeks of files that are late, replaced and out of reach: every session reaches every table, once."""

from __future__ import annotations

import pytest

from flatfiles_assets.calendars import sessions
from flatfiles_assets_tests.platform import Platform
from flatfiles_assets_tests.simulated_weeks import Simulation, Weeks


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_weeks_of_late_replaced_and_unreachable_files_leave_every_session_loaded_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    days = sessions("XNYS", "2024-02-05", "2024-02-15")
    monkeypatch.setenv("FLATFILES_SYNC_START", str(days[0]))
    monkeypatch.setenv("FLATFILES_MAX_RETRIES", "0")
    simulation = Simulation(platform)
    simulation.drop_reference_files()

    lived = simulation.live(
        Weeks(
            days,
            ("stocks_daily", "options_daily"),
            late=[days[2]],
            replaced=[days[1]],
            away=[days[4]],
            restarts=[days[3]],
        )
    )

    assert lived.failed == []
    once = {str(day): 1 for day in days}
    assert simulation.materialisations("stocks_daily") == once | {str(days[1]): 2}
    assert simulation.materialisations("options_daily") == once
    bars = platform.rows("SELECT trade_date, count(*) FROM market.stocks_daily GROUP BY 1 ORDER BY 1")
    assert [day for day, _ in bars] == days
    prices = platform.rows("SELECT trade_date, count(*) FROM market.daily_prices GROUP BY 1 ORDER BY 1")
    assert prices == bars, "the replaced session's too"
    for algorithm in ("momentum", "mean_reversion", "pairs_trading"):
        with_features = platform.rows(f"SELECT DISTINCT trade_date FROM algorithm.{algorithm} ORDER BY 1")
        expected = days if algorithm != "pairs_trading" else [day for (day,) in with_features]
        assert [day for (day,) in with_features] == expected
    assert lived.cursor_bytes < 2_000

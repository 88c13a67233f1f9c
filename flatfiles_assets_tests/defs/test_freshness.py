"""A feed is late when a session that was due is not loaded, and never because of a holiday."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.checks.feed_checks import judge_freshness
from flatfiles_assets.defs.freshness import build_freshness_sensor, freshness_policy, longest_closure
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import market_key
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets_tests.platform import Platform

pytestmark = pytest.mark.slow

STOCKS = get_dataset("stocks_daily")


def _new_york(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York"))


@pytest.mark.parametrize(
    ("latest", "now", "passed"),
    [
        # Thursday's file is due on Friday at 11:00, and late six hours later.
        (dt.date(2024, 1, 10), "2024-01-12 16:59", True),
        (dt.date(2024, 1, 10), "2024-01-12 17:01", False),
        # Martin Luther King Day: Friday's file is the last one due until Wednesday.
        (dt.date(2024, 1, 12), "2024-01-16 23:00", True),
        (dt.date(2024, 1, 12), "2024-01-17 17:01", False),
        # Two days were closed for the hurricane.
        (dt.date(2012, 10, 26), "2012-11-01 16:00", True),
        (None, "2024-01-17 17:01", True),
    ],
)
def test_lateness_counts_sessions(latest: dt.date | None, now: str, passed: bool):
    assert judge_freshness(STOCKS, latest, _new_york(now)).passed is passed


def test_the_verdict_says_how_many_sessions_are_late():
    verdict = judge_freshness(STOCKS, dt.date(2024, 1, 10), _new_york("2024-01-18 18:00"))
    assert verdict.numbers["sessions_late"] == 4
    assert "2024-01-17 is due" in verdict.description


def test_the_policy_spans_the_longest_closure_of_the_calendar():
    assert longest_closure("XNYS") == dt.timedelta(days=5)
    policy = freshness_policy(STOCKS)
    assert policy.fail_window.to_timedelta() > policy.warn_window.to_timedelta() > dt.timedelta(days=5)
    graph = build_defs().resolve_asset_graph()
    assert graph.get(market_key(STOCKS)).freshness_policy == policy


def test_the_sensor_says_it_once_and_again_when_it_changes(platform: Platform):
    platform.put("2024-01-02")
    platform.run(["2024-01-02"])
    sensor = build_freshness_sensor([STOCKS, get_dataset("options_daily")])
    resources = {"warehouse": WarehouseResource(database=str(platform.warehouse.path))}
    with open_instance(platform.home) as instance:
        first = sensor(dg.build_sensor_context(instance=instance, resources=resources))
        again = sensor(dg.build_sensor_context(instance=instance, resources=resources, cursor=first.cursor))
        platform.put("2024-01-03")
        platform.run(["2024-01-03"])
        later = sensor(dg.build_sensor_context(instance=instance, resources=resources, cursor=again.cursor))

    by_asset = {event.asset_key.path[-1]: event for event in first.asset_events}
    assert not by_asset["stocks_daily"].passed
    assert by_asset["stocks_daily"].severity == dg.AssetCheckSeverity.WARN
    assert by_asset["options_daily"].passed
    assert again.asset_events == []
    (event,) = later.asset_events
    assert "2024-01-03" in (event.description or "")
    assert len(later.cursor) < 1_000


def test_without_access_to_the_vendor_nothing_is_waited_for(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    """Whoever has a bucket of their own and no subscription is not told of late feeds."""
    monkeypatch.delenv("FLATFILES_ACCESS_KEY_ID")
    platform.put("2024-01-02")
    with open_instance(platform.home) as instance:
        context = dg.build_sensor_context(instance=instance)
        result = build_freshness_sensor([STOCKS])(context, warehouse=WarehouseResource())
    assert isinstance(result, dg.SensorResult)
    assert not result.asset_events
    assert "no access key" in str(result.skip_reason)

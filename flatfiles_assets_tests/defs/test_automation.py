"""What is loaded reaches everything computed from it, once, and in few runs."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest

from flatfiles_assets.calendars import sessions
from flatfiles_assets.datasets import selected_datasets
from flatfiles_assets.definitions import build_assets
from flatfiles_assets.defs.instance.liveness import obituary
from flatfiles_assets.defs.keys import CHANGED_SERIES, CHANGED_TYPES, algorithm_key, reference_key
from flatfiles_assets.defs.sensors.automation import build_automation_sensor
from flatfiles_assets_tests.defs.platform_operator import WEEK, Operator
from flatfiles_assets_tests.platform import Platform

STOCKS, RAW_STOCKS = dg.AssetKey(["market", "stocks_daily"]), dg.AssetKey(["raw", "stocks_daily"])
DAILY_PRICES, QUARANTINE = dg.AssetKey(["market", "daily_prices"]), dg.AssetKey(["market", "quarantine"])
WEEKLY = dt.timedelta(days=7, minutes=1)
ALGORITHMS = [
    dg.AssetKey(["algorithm", name]) for name in ("mean_reversion", "momentum", "pairs_trading", "universe")
]


class Automation:
    """The automation sensor on a real instance, tick by tick; nothing that it requests is run."""

    def __init__(self, instance: dg.DagsterInstance, defs: dg.Definitions) -> None:
        self.instance = instance
        self.defs = defs
        self.now = lambda: dt.datetime.now(dt.timezone.utc)
        self.cursor: str | None = None
        self.requests: list[dg.RunRequest] = []
        self.first = self.tick()

    def tick(self) -> dict[dg.AssetKey, set[str | None]]:
        """Evaluate once; returns what is requested, by asset, without the reference tables."""
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = build_automation_sensor(build_assets(selected_datasets("")), clock=self.now)(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        self.requests = [
            request
            for request in result.run_requests or []
            if request.asset_selection and request.asset_selection[0].path[0] != "reference"
        ]
        found: dict[dg.AssetKey, set[str | None]] = {}
        for request in self.requests:
            first, last = (
                request.tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end")
            )
            days = {str(day) for day in sessions("XNYS", first, last)} if first and last else {None}
            for key in request.asset_selection or []:
                assert not found.get(key, set()) & days, "a session is requested once"
                found.setdefault(key, set()).update(days)
        return found

    def materialize(self, key: dg.AssetKey, *partitions: str | None) -> None:
        for partition in partitions:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))

    def check(
        self,
        key: dg.AssetKey,
        passed: bool = True,
        severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    ) -> None:
        for check_key in self.defs.resolve_asset_graph().get_check_keys_for_assets({key}):
            self.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    key, check_name=check_key.name, passed=passed, metadata={}, severity=severity
                )
            )


@pytest.fixture
def automation(platform: Platform, operator: Operator) -> Automation:
    found = Automation(operator.instance, operator.defs)
    for name in ("splits", "dividends"):
        found.materialize(dg.AssetKey(["reference", name]), None)
        found.check(dg.AssetKey(["reference", name]))
    found.tick()
    return found


def test_nothing_is_requested_where_nothing_has_changed(automation: Automation):
    assert automation.tick() == {}


def test_a_loaded_session_is_carried_to_every_table_and_feature_of_that_session(automation: Automation):
    automation.materialize(RAW_STOCKS, WEEK[0])
    automation.materialize(STOCKS, WEEK[0])
    automation.check(STOCKS)

    requested = automation.tick()

    assert requested == {key: {WEEK[0]} for key in (DAILY_PRICES, QUARANTINE, *ALGORITHMS)}
    assert automation.tick() == {}, "what was requested is not requested again"


def test_what_was_loaded_before_the_first_tick_is_carried_on_too(operator: Operator, platform: Platform):
    platform.put(WEEK[0])
    platform.put(WEEK[1], "misdated")
    operator.tick()
    for name in ("splits", "dividends"):
        operator.instance.report_runless_asset_event(
            dg.AssetMaterialization(dg.AssetKey(["reference", name]))
        )

    automation = Automation(operator.instance, operator.defs)

    assert automation.first[DAILY_PRICES] == automation.first[ALGORITHMS[0]] == {WEEK[0]}
    assert automation.tick() == {}


def test_a_file_without_its_rows_is_loaded(automation: Automation):
    automation.materialize(RAW_STOCKS, WEEK[0])
    assert automation.tick()[STOCKS] == {WEEK[0]}


def test_what_a_tick_requests_can_be_launched(automation: Automation):
    """Each request names assets of the same partitions, which Dagster makes one run of."""
    automation.materialize(STOCKS, WEEK[0])
    automation.check(STOCKS)
    automation.materialize(RAW_STOCKS, WEEK[1])
    sensor = automation.defs.resolve_sensor_def("automation")
    context = dg.build_sensor_context(
        instance=automation.instance, repository_def=automation.defs.get_repository_def()
    )

    requests = sensor.evaluate_tick(context).run_requests or []

    partitions = automation.defs.resolve_asset_graph().get
    for request in requests:
        assert request.asset_selection
        assert len({partitions(key).partitions_def for key in request.asset_selection}) == 1
    asked = {
        (key, request.tags["dagster/asset_partition_range_start"])
        for request in requests
        for key in request.asset_selection or []
    }
    assert {(DAILY_PRICES, WEEK[0]), (STOCKS, WEEK[1])} <= asked
    assert (DAILY_PRICES, WEEK[1]) not in asked, "its rows are not there yet"


def test_a_blocking_check_that_failed_holds_the_prices_back_but_not_what_was_rejected(automation: Automation):
    automation.materialize(STOCKS, WEEK[0])
    automation.check(STOCKS, passed=False)

    assert automation.tick() == {QUARANTINE: {WEEK[0]}}

    automation.check(STOCKS)
    assert set(automation.tick()) == {DAILY_PRICES, *ALGORITHMS}, "what waited is remembered"


def test_a_warning_of_a_blocking_check_holds_nothing_back(automation: Automation):
    automation.materialize(STOCKS, WEEK[0])
    automation.check(STOCKS, passed=False, severity=dg.AssetCheckSeverity.WARN)

    assert automation.tick()[DAILY_PRICES] == {WEEK[0]}


def test_a_bad_session_holds_back_itself_and_no_other(
    automation: Automation, operator: Operator, platform: Platform
):
    days = platform.put_range("2024-01-02", "2024-01-10")
    lacking, misdated = days[-1], days[2]
    platform.put_half_of(lacking)
    platform.put(misdated, "misdated")
    operator.tick()
    assert automation.tick()[DAILY_PRICES] == set(days) - {lacking, misdated}

    platform.put("2024-01-11")
    operator.tick_later(WEEKLY)
    assert automation.tick()[DAILY_PRICES] == {"2024-01-11"}

    platform.put(lacking)
    operator.tick_later(WEEKLY)
    assert automation.tick()[DAILY_PRICES] == {lacking}
    platform.put(misdated)
    operator.tick_later(WEEKLY)
    assert automation.tick()[DAILY_PRICES] == {misdated}


def test_rows_that_no_check_has_seen_yet_wait(automation: Automation, operator: Operator, platform: Platform):
    platform.put(WEEK[0])
    operator.tick()
    automation.materialize(STOCKS, WEEK[1])

    assert DAILY_PRICES not in automation.tick()

    platform.put(WEEK[1])
    operator.tick_later(WEEKLY)
    assert automation.tick()[DAILY_PRICES] == set(WEEK[:2])


def test_an_update_between_request_and_run_is_not_lost(automation: Automation):
    automation.materialize(STOCKS, WEEK[0])
    automation.check(STOCKS)
    assert automation.tick()[DAILY_PRICES] == {WEEK[0]}

    automation.materialize(STOCKS, WEEK[0])
    automation.check(STOCKS)

    assert automation.tick()[DAILY_PRICES] == {WEEK[0]}
    assert automation.tick() == {}


def test_what_was_computed_from_the_latest_rows_is_not_computed_again(automation: Automation):
    """Prices and features are asked for together; the prices' arrival is then no news to the features."""
    automation.materialize(STOCKS, WEEK[0])
    automation.check(STOCKS)
    assert ALGORITHMS[0] in automation.tick()

    automation.materialize(DAILY_PRICES, WEEK[0])
    for key in (QUARANTINE, *ALGORITHMS):
        automation.materialize(key, WEEK[0])

    assert automation.tick() == {}
    assert automation.tick() == {}


def test_prices_that_arrive_after_the_features_are_news_even_in_the_same_tick(automation: Automation):
    automation.materialize(ALGORITHMS[0], WEEK[0])
    automation.materialize(DAILY_PRICES, WEEK[0])
    automation.check(DAILY_PRICES)

    assert automation.tick()[ALGORITHMS[0]] == {WEEK[0]}


def test_a_run_that_fails_is_not_asked_for_again_and_again(automation: Automation):
    automation.materialize(DAILY_PRICES, WEEK[0])
    automation.check(DAILY_PRICES)
    requested = [automation.tick() for _ in range(4)]
    assert [ALGORITHMS[0] in found for found in requested] == [True, False, False, False]


def test_a_run_that_was_killed_is_asked_for_once_more_and_under_another_key(automation: Automation):
    """Its end says nothing of the data; and what kills two runs may be the work itself."""
    automation.materialize(DAILY_PRICES, WEEK[0])
    automation.check(DAILY_PRICES)
    requested, keys = [], set()
    for _ in range(4):
        requested.append(ALGORITHMS[0] in automation.tick())
        for request in automation.requests:
            keys.add(request.run_key)
            run = automation.instance.create_run_for_job(
                automation.defs.resolve_implicit_global_asset_job_def(),
                tags=dict(request.tags),
                asset_selection=frozenset(request.asset_selection or []),
            )
            automation.instance.report_run_failed(run, obituary(automation.instance, run))
    assert requested == [True, True, False, False]
    assert len(keys) == 2


def test_a_year_that_is_loaded_asks_for_one_run_of_each_layer(automation: Automation):
    """A run for each session would be 1,300 processes of ten seconds each."""
    year = [str(day) for day in sessions("XNYS", "2023-01-01", "2023-12-31")]
    automation.materialize(STOCKS, *year)
    automation.check(STOCKS)

    requested = automation.tick()

    assert requested[DAILY_PRICES] == requested[ALGORITHMS[0]] == set(year)
    assert len(automation.requests) == 2, "prices with their features, and what was rejected"
    for key in (DAILY_PRICES, QUARANTINE, *ALGORITHMS):
        policy = automation.defs.resolve_asset_graph().get(key).backfill_policy
        assert policy is not None
        assert (policy.max_partitions_per_run or 0) >= 250


def test_news_of_splits_recompute_the_features_of_the_last_month_and_no_more(automation: Automation):
    today = dt.datetime.now(dt.timezone.utc).date()
    recent = str(sessions("XNYS", today - dt.timedelta(days=20), today - dt.timedelta(days=3))[-1])
    automation.materialize(ALGORITHMS[0], WEEK[0], recent)
    automation.tick()
    automation.materialize(dg.AssetKey(["reference", "splits"]), None)
    automation.check(dg.AssetKey(["reference", "splits"]))

    assert automation.tick() == {ALGORITHMS[0]: {recent}}


def test_a_changed_price_concerns_the_features_that_look_back_at_it(operator: Operator):
    """Only those that exist: the others are computed from it anyway."""
    later = [str(day) for day in sessions("XNYS", WEEK[1], "2025-12-31")]
    for key in ALGORITHMS:
        for partition in (WEEK[0], *later[:3], later[-1]):
            operator.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))
    assert not operator.evaluate_named("lookback_sync").run_requests
    operator.instance.report_runless_asset_event(dg.AssetMaterialization(DAILY_PRICES, partition=WEEK[0]))

    first, again = operator.evaluate_named("lookback_sync"), operator.evaluate_named("lookback_sync")

    found = {
        request.asset_selection[0]: (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in first.run_requests
    }
    assert found == dict.fromkeys(ALGORITHMS, (later[0], later[2]))
    assert [r.run_key for r in again.run_requests] == [r.run_key for r in first.run_requests]
    operator.cursors["lookback_sync"] = first.cursor
    assert not operator.evaluate_named("lookback_sync").run_requests


def test_securities_that_turn_out_to_be_others_concern_their_sessions_and_what_looks_back(operator: Operator):
    """Only features that exist, and each making of the securities once."""
    later = [str(day) for day in sessions("XNYS", WEEK[1], "2026-06-30")]
    for key in ALGORITHMS:
        for partition in (WEEK[0], *later[:3], later[-1]):
            operator.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))
    assert not operator.evaluate_named("lookback_sync").run_requests
    for ranges in ([], [[later[0], later[1]]]):
        made = dg.AssetMaterialization(reference_key("securities"), metadata={CHANGED_SERIES: ranges})
        operator.instance.report_runless_asset_event(made)

    result = operator.evaluate_named("lookback_sync")

    found = {
        request.asset_selection[0]: (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in result.run_requests
    }
    assert found == dict.fromkeys(ALGORITHMS, (later[0], later[2]))
    operator.cursors["lookback_sync"] = result.cursor
    assert not operator.evaluate_named("lookback_sync").run_requests


def test_securities_of_another_kind_concern_the_universe_of_those_sessions_alone(operator: Operator):
    """Its ranks and pairs follow the universe by the rule that every table follows another by."""
    later = [str(day) for day in sessions("XNYS", WEEK[1], "2026-06-30")]
    for key in ALGORITHMS:
        for partition in (WEEK[0], *later[:3]):
            operator.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))
    made = dg.AssetMaterialization(
        reference_key("securities"), metadata={CHANGED_SERIES: [], CHANGED_TYPES: [[later[1], later[20]]]}
    )
    operator.instance.report_runless_asset_event(made)

    (request,) = operator.evaluate_named("lookback_sync").run_requests

    assert request.asset_selection == [algorithm_key("universe")]
    assert request.tags["dagster/asset_partition_range_start"] == later[1]
    assert request.tags["dagster/asset_partition_range_end"] == later[2]


def test_prices_that_are_written_in_order_concern_no_other_session(operator: Operator):
    for day in WEEK:
        for key in (DAILY_PRICES, *ALGORITHMS):
            operator.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=day))

    assert not operator.evaluate_named("lookback_sync").run_requests


def test_the_reference_tables_are_fetched_once_and_then_every_morning(operator: Operator, platform: Platform):
    folder = platform.data_dir / "reference"
    folder.mkdir(parents=True)
    for name in ("splits", "dividends"):
        (folder / f"{name}.csv").write_text("ticker\n")
    evening = dt.datetime(2026, 3, 2, 22, 0, tzinfo=dt.timezone.utc)
    cursor = None

    def refreshed(now: dt.datetime) -> list[set[str]]:
        nonlocal cursor
        sensor = build_automation_sensor(build_assets(selected_datasets("")), clock=lambda: now)
        result = sensor(dg.build_sensor_context(instance=operator.instance, cursor=cursor))
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor
        return [
            {key.to_user_string() for key in request.asset_selection or []}
            for request in result.run_requests or []
        ]

    (everything,) = refreshed(evening)
    assert everything == {"reference/splits", "reference/dividends", "reference/corporate_action_audit"}
    assert refreshed(evening + dt.timedelta(hours=1)) == []
    assert refreshed(evening + dt.timedelta(hours=13)) == [], "06:00 in New York"
    assert refreshed(evening + dt.timedelta(hours=15)) == [everything], "08:00 in New York"
    assert refreshed(evening + dt.timedelta(hours=16)) == []


def test_the_checks_of_several_assets_are_read_in_one_tick(automation: Automation):
    for key in (STOCKS, dg.AssetKey(["market", "historical_daily"]), DAILY_PRICES):
        automation.materialize(key, WEEK[0])
        automation.check(key)
    automation.materialize(STOCKS, WEEK[0])
    automation.check(STOCKS)
    assert automation.tick()[DAILY_PRICES] == {WEEK[0]}


def test_without_a_source_of_records_securities_are_made_of_the_bars_alone(operator: Operator):
    def requested() -> list[set[str]]:
        sensor = build_automation_sensor(build_assets(selected_datasets("")))
        result = sensor(dg.build_sensor_context(instance=operator.instance))
        assert isinstance(result, dg.SensorResult)
        return [
            {key.to_user_string() for key in request.asset_selection or []}
            for request in result.run_requests or []
        ]

    assert requested() == []
    operator.instance.report_runless_asset_event(dg.AssetMaterialization(DAILY_PRICES, partition=WEEK[0]))
    assert requested() == [{"reference/securities"}]

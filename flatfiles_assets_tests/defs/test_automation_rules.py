"""Which partitions are due, case by case: the table of `defs/automation.py`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatfiles_assets.datasets import selected_datasets
from flatfiles_assets.definitions import build_assets
from flatfiles_assets.defs.automation import AssetState, Rule, due, runs_for, still_open
from flatfiles_assets.defs.automation_graph import AutomationGraph
from flatfiles_assets.defs.sensors.automation_memory import AutomationMemory

DAYS = tuple(f"2024-01-{day:02}" for day in range(1, 31))
PRICES = Rule("prices", ("bars",))
FEATURES = Rule("features", ("prices",), all_sessions=("splits",), run_with=("prices",))
NEVER: AssetState = AssetState()


def ask(
    states: dict[str, AssetState],
    *rules: Rule,
    asked: dict[str, dict[str, int]] | None = None,
    since: str = "9",
) -> dict[str, dict[str, int]]:
    names = {name for rule in rules for name in (rule.asset, *rule.upstream, *rule.all_sessions)}
    known = {name: states.get(name, NEVER) for name in names}
    return due(rules, known, asked or {}, lambda _: frozenset(DAYS), lambda day: day >= since)


@pytest.mark.parametrize(
    ("bars", "prices", "asked", "expected"),
    [
        (AssetState(), AssetState(), {}, False),
        (AssetState({"2024-01-02": 5}), AssetState(), {}, True),
        (AssetState({"2024-01-02": 5}), AssetState({"2024-01-02": 6}), {}, False),
        (AssetState({"2024-01-02": 7}), AssetState({"2024-01-02": 6}), {}, True),
        (AssetState({"2024-01-02": 7}), AssetState(), {"2024-01-02": 7}, False),
        (AssetState({"2024-01-02": 8}), AssetState(), {"2024-01-02": 7}, True),
        (AssetState({"2024-01-02": 5}, under_way={"2024-01-02"}), AssetState(), {}, False),
        (AssetState({"2024-01-02": 5}, under_way={"2024-01-03"}), AssetState(), {}, True),
        (AssetState({"2024-01-02": 5}), AssetState(under_way={"2024-01-02"}), {}, False),
        (AssetState({"2024-01-02": 5}), AssetState(failed={"2024-01-02": "a run"}), {}, True),
        (AssetState({"2024-01-02": 5}, untrusted={"2024-01-02"}), AssetState(), {}, False),
        (AssetState({"2024-01-02": 5}, untrusted={"2024-01-03"}), AssetState(), {}, True),
        (AssetState({"2024-01-02": 5}, untrusted="all"), AssetState(), {}, False),
    ],
    ids=[
        "nothing upstream",
        "upstream is new",
        "computed since",
        "upstream was updated after it",
        "asked for with the same news",
        "newer news since it was asked for",
        "upstream is being written",
        "another session is being written",
        "it is being computed",
        "a failure is no reason to rest",
        "a check holds the session back",
        "a check holds another session back",
        "a check says nothing of single sessions",
    ],
)
def test_a_session_is_due(bars: AssetState, prices: AssetState, asked: dict[str, int], expected: bool):
    found = ask({"bars": bars, "prices": prices}, PRICES, asked={"prices": asked})
    assert (found == {"prices": {"2024-01-02": bars.updated["2024-01-02"]}}) if expected else not found


def test_what_follows_is_due_with_what_it_follows():
    states = {"bars": AssetState({"2024-01-02": 5}), "splits": AssetState({"": 1})}
    assert ask(states, PRICES, FEATURES) == {"prices": {"2024-01-02": 5}, "features": {"2024-01-02": 5}}


def test_what_another_run_computes_is_waited_for():
    apart = Rule("features", ("prices",))
    assert ask({"bars": AssetState({"2024-01-02": 5})}, PRICES, apart) == {"prices": {"2024-01-02": 5}}
    both = {"bars": AssetState({"2024-01-02": 5}), "prices": AssetState({"2024-01-02": 3})}
    assert ask(both, PRICES, apart) == {"prices": {"2024-01-02": 5}}


def test_a_session_that_is_requested_anew_is_no_longer_held_back_downstream():
    """Its check runs in the same run, before what follows."""
    states = {
        "bars": AssetState({"2024-01-02": 9}),
        "prices": AssetState({"2024-01-02": 5}, untrusted={"2024-01-02"}),
        "splits": AssetState({"": 1}),
    }
    assert ask(states, PRICES, FEATURES)["features"] == {"2024-01-02": 9}


def test_features_wait_for_splits_that_were_never_fetched_and_while_they_are():
    states = {"prices": AssetState({"2024-01-02": 5})}
    assert not ask(states, FEATURES)
    assert not ask({**states, "splits": AssetState({"": 1}, under_way={""})}, FEATURES)
    assert ask({**states, "splits": AssetState({"": 1})}, FEATURES)


def test_news_of_splits_concerns_what_was_computed_before_and_lately():
    states = {
        "prices": AssetState(dict.fromkeys(DAYS[:4], 1)),
        "features": AssetState(dict.fromkeys(DAYS[:3], 2)),
        "splits": AssetState({"": 9}),
    }
    found = ask(states, FEATURES, since=DAYS[1])["features"]
    assert found == {DAYS[1]: 9, DAYS[2]: 9, DAYS[3]: 1}, "the last was never computed"


def test_a_table_of_files_rests_where_its_last_load_failed():
    rule = Rule("table", ("files",), repeats_failures=False)
    states = {"files": AssetState({"2024-01-02": 5}), "table": AssetState(failed={"2024-01-02": "a run"})}
    assert not ask(states, rule)


def test_a_year_upstream_is_news_to_each_of_its_sessions():
    rule = Rule("bars", ("years",), yearly=("years",))
    states = {"years": AssetState({"2024": 5}), "bars": AssetState({DAYS[0]: 7})}
    assert ask(states, rule) == {"bars": dict.fromkeys(DAYS[1:], 5)}


def test_a_partition_that_does_not_exist_is_never_requested():
    assert not ask({"bars": AssetState({"2030-01-01": 5})}, PRICES)


@given(
    st.dictionaries(st.sampled_from(DAYS), st.integers(1, 5)),
    st.dictionaries(st.sampled_from(DAYS), st.integers(1, 5)),
    st.integers(1, 10),
)
def test_runs_cover_exactly_what_is_due_in_ranges_of_like_sessions(
    prices: dict[str, int], features: dict[str, int], longest: int
):
    runs = runs_for(
        {"prices": prices, "features": features},
        [("prices", "features")],
        lambda _: DAYS,
        longest=lambda _: longest,
    )
    covered: dict[str, list[str]] = {"prices": [], "features": []}
    for assets, first, last in runs:
        days = [day for day in DAYS if first <= day <= last]
        assert 1 <= len(days) <= longest
        for name in assets:
            covered[name] += days
    assert sorted(covered["prices"]) == sorted(prices)
    assert sorted(covered["features"]) == sorted(features)


def test_what_came_is_forgotten_and_what_did_not_is_kept():
    asked = {"prices": {DAYS[0]: 5, DAYS[1]: 5}, "gone": {DAYS[0]: 1}}
    states = {"prices": AssetState({DAYS[0]: 6, DAYS[1]: 4})}
    assert still_open(asked, states) == {"prices": {DAYS[1]: 5}}


@pytest.fixture(scope="module")
def graph() -> AutomationGraph:
    return AutomationGraph(build_assets(selected_datasets("")))


def test_the_memory_of_a_year_is_short_and_complete(graph: AutomationGraph):
    year = [day for day in graph.partitions("market/daily_prices") if day.startswith("2023")]
    asked = {"market/daily_prices": {**dict.fromkeys(year, 7), "2024-01-02": 9}}
    text = AutomationMemory(asked, None).encode(graph)
    assert len(text) < 200
    assert AutomationMemory.decode(text, graph).asked == asked


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "17",
        "[]",
        "{",
        '{"asked": 3}',
        json.dumps({"asked": {"market/daily_prices": [["a", "b", 1]]}}),
    ],
)
def test_a_cursor_of_another_kind_is_no_memory(text: Any, graph: AutomationGraph):
    assert AutomationMemory.decode(text, graph).asked == {}


def test_the_rules_follow_the_graph(graph: AutomationGraph):
    rules = {rule.asset: rule for rule in graph.rules}
    assert rules["market/historical_daily"].yearly == ("historical/extracted_year",)
    assert not rules["market/quarantine"].needs_checks
    assert not rules["market/stocks_daily"].repeats_failures
    assert set(rules["algorithm/momentum"].all_sessions) >= {"reference/splits", "reference/dividends"}
    assert "market/price_reconciliation" not in rules

"""Dagster's partitions are the exchange's sessions, whatever the day on which one looks."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatfiles_assets import calendars
from flatfiles_assets.datasets import DATASETS, Dataset, get_dataset
from flatfiles_assets.defs.partitions import (
    dataset_partitions,
    key_ranges,
    session_partitions,
    year_partitions,
)

NOON = dt.datetime(2026, 11, 20, 17, tzinfo=dt.timezone.utc)
STOCKS = dataset_partitions(get_dataset("stocks_daily"))


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_partitions_are_exactly_the_sessions_of_the_feeds_calendar(dataset: Dataset):
    keys = dataset_partitions(dataset).get_partition_keys(current_time=NOON)

    expected = calendars.sessions(dataset.calendar, dataset.first_session, dt.date(2026, 11, 19))
    assert keys == [day.isoformat() for day in expected]


@pytest.mark.parametrize("closed", ["2012-10-29", "2018-12-05", "2025-01-09", "2024-12-25", "2024-01-06"])
def test_days_without_a_session_are_not_partitions(closed: str):
    assert not STOCKS.has_partition_key(closed)


def test_a_session_becomes_a_partition_when_its_day_has_ended_in_new_york():
    friday_evening = dt.datetime(2024, 3, 15, 23, 59, tzinfo=dt.timezone(dt.timedelta(hours=-4)))

    assert STOCKS.get_partition_keys(current_time=friday_evening)[-1] == "2024-03-14"
    just_after = friday_evening + dt.timedelta(minutes=2)
    assert STOCKS.get_partition_keys(current_time=just_after)[-1] == "2024-03-15"


def test_the_definition_has_the_same_identity_tomorrow():
    """Dagster keys its caches by it: an identity that moves with the clock loses every status."""
    session_partitions.cache_clear()
    first = session_partitions("XNYS", dt.date(2003, 9, 10))
    session_partitions.cache_clear()
    second = session_partitions("XNYS", dt.date(2003, 9, 10))

    assert first is not second
    assert first.get_serializable_unique_identifier() == second.get_serializable_unique_identifier()


def test_a_year_maps_onto_its_sessions_and_back():
    days = session_partitions("XNYS", dt.date(2002, 1, 2), end=dt.date(2010, 1, 1))
    mapping = dg.TimeWindowPartitionMapping()
    years = year_partitions()
    upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(
        days.subset_with_partition_keys(["2008-02-29", "2008-12-31"]), days, years
    )

    assert years.get_partition_keys() == [str(year) for year in range(2002, 2010)]
    assert list(upstream.partitions_subset.get_partition_keys()) == ["2008"]


@pytest.mark.parametrize("year", ["2002", "2003", "2004", "2008", "2009"])
def test_a_year_that_begins_on_the_second_asks_for_its_own_sessions_only(year):
    """Where 2 January is closed, too, the last session of the year before is asked for again."""
    days = session_partitions("XNYS", dt.date(2002, 1, 2), end=dt.date(2010, 1, 1))
    years = year_partitions()
    downstream = dg.TimeWindowPartitionMapping().get_downstream_partitions_for_partitions(
        years.subset_with_partition_keys([year]), years, days
    )

    own = {key for key in days.get_partition_keys() if key.startswith(year)}
    assert set(downstream.get_partition_keys()) == own


def test_ranges_cover_what_is_wanted_and_nothing_else():
    wanted = ["2024-01-02", "2024-01-03", "2024-01-05", "2024-01-08"]

    assert key_ranges(STOCKS, wanted, longest=100) == [
        ("2024-01-02", "2024-01-03"),
        ("2024-01-05", "2024-01-08"),
    ]


def test_a_short_gap_is_bridged_rather_than_starting_another_run():
    wanted = ["2024-01-02", "2024-01-05", "2024-03-01"]

    assert key_ranges(STOCKS, wanted, longest=100, bridge=5) == [
        ("2024-01-02", "2024-01-05"),
        ("2024-03-01", "2024-03-01"),
    ]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    wanted=st.sets(st.sampled_from(STOCKS.get_partition_keys(current_time=NOON)[-400:]), min_size=1),
    longest=st.integers(1, 60),
    bridge=st.integers(0, 10),
)
def test_every_wanted_key_is_in_exactly_one_range_of_bounded_length(
    wanted: set[str], longest: int, bridge: int
):
    keys = STOCKS.get_partition_keys()
    covered: list[str] = []
    for first, last in key_ranges(STOCKS, wanted, longest=longest, bridge=bridge):
        covered += keys[keys.index(first) : keys.index(last) + 1]
        assert keys.index(last) - keys.index(first) < longest

    assert wanted <= set(covered)
    assert len(covered) == len(set(covered))

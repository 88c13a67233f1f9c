"""The registry holds together: whatever a feed says of itself can be acted on without looking at its name."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flatfiles_assets import calendars
from flatfiles_assets.datasets import DATASETS, get_dataset, selected_datasets
from flatfiles_assets.errors import InvalidArgument

EVERY_FEED = pytest.mark.parametrize("feed", DATASETS.values(), ids=str)


def test_the_four_feeds_are_on_and_the_large_ones_off_by_default():
    on = [feed.name for feed in selected_datasets()]
    assert on == ["stocks_daily", "stocks_minute", "options_daily", "options_minute"]


def test_further_feeds_are_added_by_name_and_a_misspelt_one_is_refused():
    names = [feed.name for feed in selected_datasets(" crypto_daily, stocks_daily ,")]
    assert names == ["stocks_daily", "stocks_minute", "options_daily", "options_minute", "crypto_daily"]
    with pytest.raises(InvalidArgument, match=r"'crypto_dayly'.*crypto_daily"):
        selected_datasets("crypto_dayly")


def test_no_two_feeds_can_claim_one_key():
    folders = [(prefix, feed.vendor_type) for feed in DATASETS.values() for prefix in feed.prefixes]
    assert len(folders) == len(set(folders))
    assert [feed.name for feed in DATASETS.values()] == list(DATASETS)


def test_an_unknown_feed_is_refused_with_those_there_are():
    with pytest.raises(InvalidArgument, match="stocks_minute"):
        get_dataset("stocks")


@EVERY_FEED
def test_what_a_feed_names_are_columns_that_it_has(feed):
    names = [column.name for column in feed.columns]
    assert len(names) == len(set(names))
    assert {feed.timestamp, *(feed.unique_key or ())} <= set(names)
    assert set(feed.sort_columns) <= set(feed.table_schema.names)
    assert all(column.description for column in feed.columns)


@EVERY_FEED
def test_its_first_session_is_one_and_its_publish_time_is_a_time(feed):
    assert calendars.is_session(feed.calendar, feed.first_session)
    assert feed.publish_time.tzinfo is None
    assert feed.max_partitions_per_run >= 1


@EVERY_FEED
def test_tables_begin_with_the_session_and_the_ticker_as_text(feed):
    schema = feed.table_schema
    assert schema.names[:2] == ["trade_date", "ticker"]
    assert schema.field("trade_date").type == pa.date32()
    assert schema.field("ticker").type == pa.string()


@EVERY_FEED
def test_volumes_and_sizes_of_stocks_can_be_fractions(feed):
    for name in ("volume", "open", "high", "low", "close", "price"):
        if name in feed.table_schema.names:
            assert feed.table_schema.field(name).type == pa.float64()


def test_bars_are_published_as_open_close_high_low_and_stored_as_open_high_low_close():
    feed = get_dataset("stocks_minute")
    assert [column.name for column in feed.columns] == (
        ["ticker", "volume", "open", "close", "high", "low", "window_start", "transactions"]
    )
    assert feed.table_schema.names == (
        ["trade_date", "ticker", "window_start", "open", "high", "low", "close", "volume", "transactions"]
    )
    assert feed.table_schema.field("window_start").type == pa.timestamp("us", tz="UTC")
    assert "window_start" not in get_dataset("stocks_daily").table_schema.names

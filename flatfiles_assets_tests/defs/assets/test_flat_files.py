"""A range of sessions becomes files, rows and green partitions, and what fails says why."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import market_key, raw_key
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.warehouse.inventory import feed_inventory
from flatfiles_assets_tests.platform import MARKET, Platform

STOCKS = get_dataset("stocks_daily")
WEEK = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]


def _materialized(platform: Platform, key: dg.AssetKey) -> set[str]:
    with open_instance(platform.home) as instance:
        return instance.get_materialized_partitions(key)


def _metadata(platform: Platform, key: dg.AssetKey, partition: str) -> dict:
    with open_instance(platform.home) as instance:
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(key, asset_partitions=[partition]), limit=1
        ).records
    found = records[0].asset_materialization.metadata
    return {name: value.value for name, value in found.items()}


def test_a_range_becomes_files_rows_and_materialised_partitions(platform: Platform):
    bodies = {day: platform.put(day) for day in WEEK}

    (run,) = platform.run(WEEK)

    assert run.succeeded, run.message
    for day, body in bodies.items():
        path = platform.data_dir / f"flatfiles_cache/us_stocks_sip/day_aggs_v1/2024/01/{day}.csv.gz"
        assert path.read_bytes() == body
    assert (
        _materialized(platform, raw_key(STOCKS)) == _materialized(platform, market_key(STOCKS)) == set(WEEK)
    )
    stored = platform.warehouse.reader().table("market.stocks_daily", start=WEEK[0], end=WEEK[0]).arrow()
    published = MARKET.day_bars(dt.date(2024, 1, 2)).to_pandas().set_index("ticker")
    found = stored.to_pandas().set_index("ticker")
    accepted = published.loc[found.index]
    for column in ("open", "high", "low", "close", "volume", "transactions"):
        assert (found[column] == accepted[column]).all(), column
    assert {"NA", "TRUE", "NULL"} <= set(found.index)


def test_each_partition_carries_its_own_figures(platform: Platform):
    """A range run of the stock IO manager stamps the whole batch's row count on every day."""
    platform.put(WEEK[0])
    platform.put(WEEK[1], "bad_rows")
    platform.run(WEEK[:2])

    for day in WEEK[:2]:
        (stored,) = platform.rows(f"SELECT count(*) FROM market.stocks_daily WHERE trade_date = '{day}'")[0]
        (rejected,) = platform.rows(f"SELECT count(*) FROM market.quarantine WHERE trade_date = '{day}'")[0]
        figures = _metadata(platform, market_key(STOCKS), day)
        assert figures["dagster/partition_row_count"] == stored
        assert figures["rows_quarantined"] == rejected
        assert figures["rows_read"] == stored + rejected
        raw = _metadata(platform, raw_key(STOCKS), day)
        assert len(raw["sha256"]) == 64
        assert raw["size_bytes"] == (platform.data_dir / "flatfiles_cache" / raw["key"]).stat().st_size


def test_good_sessions_survive_bad_ones_and_the_error_names_each_with_its_reason(platform: Platform):
    platform.put("2024-01-02")
    platform.put("2024-01-03", "truncated")
    platform.put("2024-01-05", "misdated")
    platform.put("2024-01-08")
    platform.put("2024-01-09", "renamed_column")

    (run,) = platform.run([*WEEK, "2024-01-08", "2024-01-09"])

    assert not run.succeeded
    assert _materialized(platform, market_key(STOCKS)) == {"2024-01-02", "2024-01-08"}
    assert _materialized(platform, raw_key(STOCKS)) == {
        "2024-01-02",
        "2024-01-05",
        "2024-01-08",
        "2024-01-09",
    }
    days = platform.rows("SELECT DISTINCT trade_date::VARCHAR FROM market.stocks_daily ORDER BY 1")
    assert days == [("2024-01-02",), ("2024-01-08",)]
    lines = {line[:10]: line for line in run.message.splitlines() if line.startswith("2024")}
    assert "[corrupt]" in lines["2024-01-03"]
    assert "[not_published]" in lines["2024-01-04"]
    assert "[misdated]" in lines["2024-01-05"]
    assert "[unexpected_columns]" in lines["2024-01-09"]
    assert set(lines) == {"2024-01-03", "2024-01-04", "2024-01-05", "2024-01-09"}


def test_a_failed_partition_shows_its_reason_on_itself(platform: Platform):
    platform.put("2024-01-02")
    platform.run(["2024-01-02", "2024-01-03"])

    with open_instance(platform.home) as instance:
        records = instance.fetch_observations(
            dg.AssetRecordsFilter(market_key(STOCKS), asset_partitions=["2024-01-03"]), limit=1
        ).records
    assert records[0].asset_observation.metadata["state"].value == "not_published"


def test_a_misdated_file_leaves_its_rows_in_the_quarantine(platform: Platform):
    platform.put("2024-01-05", "misdated")
    platform.run(["2024-01-05"])

    expected = MARKET.day_bars(dt.date(2024, 1, 5)).num_rows
    rules = platform.rows("SELECT rule, count(*), min(file) FROM market.quarantine GROUP BY rule")
    assert sum(count for _, count, _ in rules) == expected
    assert ("misdated") in {rule for rule, _, _ in rules}
    assert platform.rows("SELECT state FROM market.files") == [("refused",)]


def test_a_second_run_does_only_what_is_missing(platform: Platform):
    platform.put_range(WEEK[0], WEEK[2])
    platform.run(WEEK)
    loaded_at = dict(platform.rows("SELECT trade_date::VARCHAR, loaded_at FROM market.files"))

    platform.put(WEEK[3])
    (run,) = platform.run(WEEK)

    assert run.succeeded
    again = dict(platform.rows("SELECT trade_date::VARCHAR, loaded_at FROM market.files"))
    assert {day: again[day] for day in loaded_at} == loaded_at
    assert set(again) == set(WEEK)
    assert _metadata(platform, raw_key(STOCKS), WEEK[0])["outcome"] == "unchanged"
    assert _metadata(platform, raw_key(STOCKS), WEEK[3])["outcome"] == "downloaded"


def test_a_replaced_file_is_fetched_again_and_its_partition_rewritten(platform: Platform):
    platform.put("2024-01-02")
    platform.put("2024-01-03")
    platform.run(WEEK[:2])
    before = platform.rows("SELECT * FROM market.stocks_daily WHERE trade_date = '2024-01-03' ORDER BY ALL")

    platform.put("2024-01-03", "bad_rows")
    platform.run(WEEK[:2])

    assert _metadata(platform, raw_key(STOCKS), "2024-01-03")["outcome"] == "replaced"
    after = platform.rows("SELECT * FROM market.stocks_daily WHERE trade_date = '2024-01-03' ORDER BY ALL")
    assert len(after) < len(before)
    assert _metadata(platform, raw_key(STOCKS), "2024-01-02")["outcome"] == "unchanged"


@pytest.mark.parametrize("fault", ["renamed_column", "misdated"])
def test_rows_stay_in_view_when_their_file_is_replaced_by_one_that_is_refused(platform: Platform, fault: str):
    platform.put("2024-01-03", "bad_rows")
    platform.run(["2024-01-03"])
    before = platform.rows("SELECT * FROM market.stocks_daily ORDER BY ALL")
    rejected = platform.rows("SELECT * FROM market.quarantine ORDER BY ALL")

    platform.put("2024-01-03", fault)
    (run,) = platform.run(["2024-01-03"])

    assert not run.succeeded
    assert platform.rows("SELECT * FROM market.stocks_daily ORDER BY ALL") == before
    if fault == "renamed_column":
        assert platform.rows("SELECT * FROM market.quarantine ORDER BY ALL") == rejected
    with FileCache(platform.data_dir / "flatfiles_cache") as cache:
        day = dt.date(2024, 1, 3)
        catalog = S3Catalog(options_prefix="us_options_opra")
        (status,) = feed_inventory(STOCKS, catalog, cache.ledger, platform.warehouse, day, day)
    assert (status.state, status.rows) == ("refused", len(before))


def test_loading_the_same_file_again_gives_the_same_rows(platform: Platform):
    platform.put("2024-01-03", "bad_rows")
    platform.run(["2024-01-03"])
    before = platform.rows("SELECT * FROM market.stocks_daily ORDER BY ALL")
    quarantined = platform.rows("SELECT * FROM market.quarantine ORDER BY ALL")

    platform.run(["2024-01-03"], reload=True)

    assert platform.rows("SELECT * FROM market.stocks_daily ORDER BY ALL") == before
    assert platform.rows("SELECT * FROM market.quarantine ORDER BY ALL") == quarantined


def test_a_file_with_only_a_header_is_an_empty_partition_that_says_so(platform: Platform):
    platform.put("2024-01-03", "header_only")
    (run,) = platform.run(["2024-01-03"])

    assert run.succeeded
    figures = _metadata(platform, market_key(STOCKS), "2024-01-03")
    assert figures["dagster/partition_row_count"] == 0
    assert "no rows" in figures["note"]


def test_either_asset_can_be_materialised_alone(platform: Platform):
    platform.put_range(*WEEK[:1] * 2)
    tags = {"dagster/asset_partition_range_start": WEEK[0], "dagster/asset_partition_range_end": WEEK[1]}
    job = build_defs().resolve_job_def("stocks_daily")
    with open_instance(platform.home) as instance:
        only_raw = job.execute_in_process(
            instance=instance, tags=tags, asset_selection=[raw_key(STOCKS)], raise_on_error=False
        )
        assert not only_raw.success  # the second session is not published
        only_market = job.execute_in_process(
            instance=instance, tags=tags, asset_selection=[market_key(STOCKS)], raise_on_error=False
        )
        assert not only_market.success
    assert _materialized(platform, raw_key(STOCKS)) == {WEEK[0]}
    assert _materialized(platform, market_key(STOCKS)) == {WEEK[0]}


@pytest.mark.parametrize("feed", ["stocks_minute", "options_daily", "options_minute"])
def test_every_feed_goes_the_same_way(platform: Platform, feed: str):
    platform.put("2024-01-03", feed=feed)
    (run,) = platform.run(["2024-01-03"], job=feed)

    assert run.succeeded, run.message
    (rows,) = platform.rows(f"SELECT count(*) FROM market.{feed}")[0]
    assert rows > 0
    if feed.endswith("minute"):
        (outside,) = platform.rows(
            f"SELECT count(*) FROM market.{feed}"
            " WHERE (window_start AT TIME ZONE 'America/New_York')::DATE <> trade_date"
        )[0]
        assert outside == 0


@pytest.mark.parametrize(
    ("python_type", "rows_of"),
    [(pd.DataFrame, len), (pa.Table, lambda table: table.num_rows), (pl.DataFrame, len)],
)
def test_a_partition_loads_as_the_type_asked_for(platform: Platform, python_type: type, rows_of):
    platform.put("2024-01-02")
    platform.run(["2024-01-02"])

    with open_instance(platform.home) as instance:
        loaded = build_defs().load_asset_value(
            ["market", "stocks_daily"], python_type=python_type, partition_key="2024-01-02", instance=instance
        )

    assert isinstance(loaded, python_type)
    assert rows_of(loaded) == platform.rows("SELECT count(*) FROM market.stocks_daily")[0][0]


def test_no_secret_is_in_any_event(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLATFILES_SECRET_ACCESS_KEY", "hunter2-secret")
    platform.put("2024-01-02")
    platform.run(["2024-01-02", "2024-01-03"])

    with open_instance(platform.home) as instance:
        for run in instance.get_runs():
            assert "hunter2" not in str(run.run_config)
            for entry in instance.all_logs(run.run_id):
                assert "hunter2" not in str(entry)

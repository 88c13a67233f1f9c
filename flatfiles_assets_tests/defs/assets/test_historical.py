"""Yearly archives become sessions, both sources become one table, and a hostile year harms no other."""

from __future__ import annotations

import collections
import os

import dagster as dg
import pytest

from flatfiles_assets.calendars import sessions
from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.minio_files import zip_of
from flatfiles_assets.demo.seed import (
    HISTORICAL_LAYOUTS,
    HOSTILE_YEAR,
    planted_differences,
    seed_flatfiles_bucket,
    seed_minio_bucket,
)
from flatfiles_assets.ingest.historical.bar_rows import RULE_NAMES
from flatfiles_assets.ingest.quality import RULES
from flatfiles_assets_tests.ingest.layouts.look_alikes import LOOK_ALIKES
from flatfiles_assets_tests.ingest.layouts.whole_years import (
    BARS,
    DAYS,
    HEADER,
    WHOLE_YEARS,
    YEAR,
    plain,
)
from flatfiles_assets_tests.ingest.layouts.whole_years import expected as expected_bars
from flatfiles_assets_tests.platform import Platform

MARKET = SyntheticMarket(n_symbols=60)
YEARS = {year: HISTORICAL_LAYOUTS[year] for year in (2002, 2008)}
FIRST_WEEKS = [day.isoformat() for day in sessions("XNYS", "2008-05-12", "2008-06-06")]


@pytest.fixture
def bucket(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The platform with the user's own bucket beside the vendor's."""
    name = platform.server.new_bucket()
    monkeypatch.setenv("MINIO_ENDPOINT_URL", platform.server.endpoint_url)
    monkeypatch.setenv("MINIO_BUCKET", name)
    monkeypatch.setenv("MINIO_ACCESS_KEY", platform.server.access_key_id)
    monkeypatch.setenv("MINIO_SECRET_KEY", platform.server.secret_access_key)
    seed_minio_bucket(platform.server.client(), name, MARKET, years=YEARS)
    return platform


def _materialized(platform: Platform, *path: str) -> set[str]:
    with open_instance(platform.home) as instance:
        return instance.get_materialized_partitions(dg.AssetKey(path))


def test_a_hostile_year_is_refused_and_the_others_are_extracted(bucket: Platform):
    (run,) = bucket.run(["2002", str(HOSTILE_YEAR), "2008"], job="historical_years")

    assert not run.succeeded
    assert _materialized(bucket, "historical", "extracted_year") == {"2002", "2008"}
    assert _materialized(bucket, "raw", "historical_zip") == {"2002", str(HOSTILE_YEAR), "2008"}
    refusals = [line for line in run.message.splitlines() if line.startswith(str(HOSTILE_YEAR))]
    assert len(refusals) == 1
    assert "../" in refusals[0]
    assert not (bucket.data_dir / f"minio_cache/historical/{HOSTILE_YEAR}").exists()


def test_a_year_becomes_sessions_with_the_prices_that_were_written_into_it(bucket: Platform):
    bucket.run(["2002"], job="historical_years")
    days = [day.isoformat() for day in sessions("XNYS", "2002-01-02", "2002-12-31")]

    (run,) = bucket.run(days, job="historical_daily")

    assert run.succeeded, run.message
    assert _materialized(bucket, "market", "historical_daily") == set(days)
    expected = (
        MARKET.day_bars(sessions("XNYS", "2002-06-03", "2002-06-03")[0]).to_pandas().set_index("ticker")
    )
    stored = bucket.rows(
        "SELECT ticker, open, high, low, close, volume FROM market.historical_daily"
        " WHERE trade_date = '2002-06-03' ORDER BY ticker"
    )
    assert len(stored) > 20
    for ticker, *values in stored:
        assert values == pytest.approx(list(expected.loc[ticker, ["open", "high", "low", "close", "volume"]]))


def test_a_session_of_a_year_that_is_not_extracted_says_what_to_do(bucket: Platform):
    (run,) = bucket.run(["2003-01-02"], job="historical_daily")

    assert not run.succeeded
    assert "extract the archive of 2003 first" in run.message


def test_daily_prices_has_one_row_per_session_and_symbol_with_its_source(bucket: Platform):
    seed_flatfiles_bucket(
        bucket.server.client(),
        bucket.bucket,
        MARKET,
        ranges={"stocks_daily": tuple((day, day) for day in sessions("XNYS", "2008-05-12", "2008-05-23"))},
    )
    bucket.run(["2008"], job="historical_years")
    bucket.run(FIRST_WEEKS, job="historical_daily")
    bucket.run([day for day in FIRST_WEEKS if day <= "2008-05-23"])

    (run,) = bucket.run(FIRST_WEEKS, job="daily_prices")

    assert run.succeeded, run.message
    repeated = bucket.rows(
        "SELECT trade_date, ticker FROM market.daily_prices GROUP BY ALL HAVING count(*) > 1"
    )
    assert repeated == []
    sources = dict(
        bucket.rows(
            "SELECT source, list(DISTINCT trade_date::VARCHAR ORDER BY trade_date::VARCHAR)"
            " FROM market.daily_prices GROUP BY source"
        )
    )
    assert sources["flat_files"] == [day for day in FIRST_WEEKS if day <= "2008-05-23"]
    assert sources["historical"] == [day for day in FIRST_WEEKS if day > "2008-05-23"]
    assert ("BRK.B",) in bucket.rows(
        "SELECT DISTINCT ticker FROM market.daily_prices WHERE source = 'historical'"
    )


def test_the_reconciliation_finds_every_difference_between_the_sources(bucket: Platform):
    ranges = tuple((day, day) for day in sessions("XNYS", "2008-05-12", "2008-06-06"))
    seed_flatfiles_bucket(bucket.server.client(), bucket.bucket, MARKET, ranges={"stocks_daily": ranges})
    bucket.run(["2008"], job="historical_years")
    bucket.run(FIRST_WEEKS, job="historical_daily")
    bucket.run(FIRST_WEEKS)
    with open_instance(bucket.home) as instance:
        result = build_defs().resolve_job_def("price_reconciliation").execute_in_process(instance=instance)
    assert result.success

    found = {
        row["ticker"]: row
        for row in bucket.warehouse.reader().table("market.price_reconciliation").arrow().to_pylist()
    }
    for plant in planted_differences():
        row = found.get(plant.ticker)
        if row is None:
            continue  # a small market does not list every planted company
        if plant.fault == "split_adjusted":
            assert row["suspected_split_ratio"] == 2.0
        elif plant.fault == "price_difference":
            assert row["sessions_different"] == 1
            assert row["first_different"] == plant.session
        elif plant.fault == "only_in_flat_files":
            assert (row["sessions_only_flat_files"], row["sessions_both"]) == (len(FIRST_WEEKS), 0)
        elif plant.fault == "only_in_archive":
            assert (row["sessions_only_historical"], row["sessions_both"]) == (len(FIRST_WEEKS), 0)
        else:
            assert row["sessions_matched"] == row["sessions_both"] == len(FIRST_WEEKS)
    assert any(plant.ticker in found for plant in planted_differences())


def test_the_directories_become_tables_and_lists_of_what_is_none(bucket: Platform):
    with open_instance(bucket.home) as instance:
        result = build_defs().resolve_job_def("directories").execute_in_process(instance=instance)
        assert result.success
        record = instance.get_latest_materialization_event(dg.AssetKey(["market", "us_financials"]))
    (rows,) = bucket.rows("SELECT count(*) FROM market.us_financials")[0]
    assert rows > 0
    assert bucket.rows("SELECT count(DISTINCT source_file) FROM market.us_financials")[0][0] > 1
    assert record.asset_materialization.metadata["not_tables"].value >= 1


def _put_year(bucket: Platform, year: int, members: dict[str, str]) -> None:
    """Puts the ZIP of a year into the user's own bucket, in place of the one that is there."""
    archive = zip_of({name: text.encode() for name, text in members.items()})
    client, name = bucket.server.client(), os.environ["MINIO_BUCKET"]
    for found in client.list_objects_v2(Bucket=name)["Contents"]:
        if found["Key"].endswith(f"{year}.zip"):
            client.delete_object(Bucket=name, Key=found["Key"])
    client.put_object(Bucket=name, Key=f"historical/{year}.zip", Body=archive)


# For each rule a row that breaks it, and the rule under which it is kept where that is another one.
_BAD_ROWS: dict[str, tuple[str, str | None]] = {
    "unparsable": ("IBM,2008-03-03,ten,12,9,11,1000", None),
    "misdated": ("IBM,2008-03-01,10,12,9,11,1000", None),
    "empty_ticker": (",2008-03-04,10,12,9,11,1000", None),
    "unprintable_ticker": ("A\u202eB,2008-03-05,10,12,9,11,1000", None),
    "missing_value": ("ZZA,2008-03-06,10,12,,11,1000", None),
    # A number that is not finite is no number here.
    "not_finite": ("ZZB,2008-03-07,10,inf,9,11,1000", "unparsable"),
    "negative": ("ZZC,2008-03-10,10,12,-9,11,1000", None),
    "ohlc": ("ZZD,2008-03-11,10,8,9,11,1000", None),
    "test_ticker": ("ZVZZT,2008-03-12,10,12,9,11,1000", None),
    "duplicate": (f"{BARS[40].ticker},{plain(BARS[40])}", None),
}


def test_every_rule_that_a_row_can_break_has_a_bad_row_here():
    assert set(_BAD_ROWS) == set(RULES) == set(RULE_NAMES)


def test_one_row_for_every_rule_costs_these_rows_and_not_the_year(bucket: Platform):
    """One ordinary bad row once made every session of a year impossible to store."""
    header = f"Symbol,{HEADER}"
    good = [f"{bar.ticker},{plain(bar)}" for bar in BARS]
    footer = ["Source: the exchange", "IBM,2007-12-31,10,12,9,11,1000"]
    rows = [*good, *(row for row, _ in _BAD_ROWS.values()), *footer]
    _put_year(bucket, YEAR, {"2008.csv": "\n".join([header, *rows])})

    _run_to_daily_prices(bucket)

    _assert_every_bar_is_there(bucket)
    rules = [stored or rule for rule, (_, stored) in _BAD_ROWS.items()] + ["unparsable", "misdated"]
    quarantined = bucket.rows(
        "SELECT rule, count(*) FROM market.quarantine WHERE feed = 'historical_daily' GROUP BY rule"
    )
    assert dict(quarantined) == dict(collections.Counter(rules))


def test_a_close_that_was_edited_on_disk_is_not_loaded_whatever_size_and_time_say(bucket: Platform):
    day = "2006-03-01"
    _put_year(
        bucket, 2006, {"2006.csv": f"Symbol,Date,Open,High,Low,Close,Volume\nIBM,{day},10,12,9,11,1000\n"}
    )
    bucket.run(["2006"], job="historical_years")
    (path,) = (bucket.data_dir / "minio_cache" / "historical" / "2006").glob("2006.csv")
    before = path.stat()
    path.write_text(path.read_text().replace(",11,", ",12,"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    (refused,) = bucket.run([day], job="historical_daily")
    bucket.run(["2006"], job="historical_years")
    (loaded,) = bucket.run([day], job="historical_daily")

    assert not refused.succeeded
    assert "2006.csv is not as it was extracted" in refused.message
    assert "extract-historical 2006" in refused.message
    assert loaded.succeeded, loaded.message
    assert bucket.rows("SELECT close FROM market.historical_daily") == [(11.0,)]


def _run_to_daily_prices(bucket: Platform) -> None:
    days = [day.isoformat() for day in DAYS]
    for job, partitions in (
        ("historical_years", [str(YEAR)]),
        ("historical_daily", days),
        ("daily_prices", days),
    ):
        runs = bucket.run(partitions, job=job)
        assert all(run.succeeded for run in runs), [run.message for run in runs]


def _assert_every_bar_is_there(bucket: Platform) -> None:
    """Every bar of the year is in the daily prices with its own values, and nothing else is."""
    stored = bucket.rows(
        "SELECT trade_date, ticker, open, high, low, close, volume FROM market.daily_prices"
        " WHERE source = 'historical'"
    )
    assert {(day, ticker): tuple(values) for day, ticker, *values in stored} == expected_bars()
    assert bucket.rows("SELECT count(*) FROM market.daily_prices") == [(len(BARS),)]


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE_YEARS)
def test_a_whole_year_in_any_layout_goes_from_the_bucket_to_the_daily_prices(bucket: Platform, name: str):
    _put_year(bucket, YEAR, WHOLE_YEARS[name]())

    _run_to_daily_prices(bucket)

    _assert_every_bar_is_there(bucket)
    assert bucket.rows("SELECT count(*) FROM market.quarantine") == [(0,)]


def test_a_year_of_which_nothing_is_understood_fails_where_it_is_read_with_its_reasons(bucket: Platform):
    _put_year(bucket, 2008, LOOK_ALIKES["weeks"].files)

    (run,) = bucket.run(["2008"], job="historical_years")

    assert not run.succeeded
    assert "not one bar of the year was accepted" in run.message
    assert 'frequency = "daily"' in run.message
    assert "flatfiles minio explain 2008" in run.message

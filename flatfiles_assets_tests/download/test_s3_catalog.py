"""`S3Catalog`: keys as the user's documents show them, and as the live vendor has them."""

from __future__ import annotations

import datetime as dt
import inspect

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatfiles_assets.calendars import FIRST_DAY, LAST_DAY
from flatfiles_assets.datasets import DATASETS
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.errors import InvalidArgument

CATALOG = S3Catalog()
LIVE = S3Catalog(options_prefix="us_options_opra")
DAYS = st.dates(FIRST_DAY, LAST_DAY)
FEEDS = st.sampled_from(sorted(DATASETS))


def test_keys_are_those_of_the_documents():
    assert CATALOG.bucket == "flatfiles"
    assert CATALOG.get_stocks_daily_key("2024-01-02") == "us_stocks_sip/day_aggs_v1/2024/01/2024-01-02.csv.gz"
    assert (
        CATALOG.get_stocks_minute_key("2024-01-02")
        == "us_stocks_sip/minute_aggs_v1/2024/01/2024-01-02.csv.gz"
    )
    assert CATALOG.get_options_daily_key("2024-01-02") == "us_options/day_aggs_v1/2024/01/2024-01-02.csv.gz"
    assert (
        CATALOG.get_options_minute_key("2024-01-02") == "us_options/minute_aggs_v1/2024/01/2024-01-02.csv.gz"
    )


def test_the_live_vendor_has_another_options_prefix_and_only_that_differs():
    assert LIVE.get_options_daily_key("2024-01-02") == "us_options_opra/day_aggs_v1/2024/01/2024-01-02.csv.gz"
    for data_type in DATASETS:
        same = CATALOG.get_key(data_type, "2024-01-02") == LIVE.get_key(data_type, "2024-01-02")
        assert same == (not data_type.startswith("options_"))


@pytest.mark.parametrize("prefix", ["..", "", "a/b", "us_stocks_sip", "global_crypto", " "])
def test_an_options_prefix_that_would_make_keys_ambiguous_is_refused(prefix):
    with pytest.raises(InvalidArgument, match="us_options_opra"):
        S3Catalog(options_prefix=prefix)


@pytest.mark.parametrize(
    "date",
    [
        "2024-03-01",
        dt.date(2024, 3, 1),
        dt.datetime(2024, 3, 1, 23, 59),  # noqa: DTZ001 - naive on purpose
        dt.datetime(2024, 3, 1, 23, 59, tzinfo=dt.timezone.utc),
        pd.Timestamp("2024-03-01 20:00", tz="America/New_York"),
    ],
)
def test_a_date_may_be_text_a_date_or_a_timestamp_whose_own_date_counts(date):
    assert CATALOG.get_stocks_daily_key(date).endswith("/2024/03/2024-03-01.csv.gz")


@pytest.mark.parametrize(
    "date",
    [
        "2024-02-30",
        "2023-02-29",
        "2024-1-2",
        "20240102",
        "2024/01/02",
        "02-01-2024",
        "2024-01-02T00:00",
        "",
        " ",
        "٢٠٢٤-٠١-٠٢",
        None,
        20240102,
        pd.NaT,
    ],
)
def test_what_is_no_date_is_refused_with_the_form_that_is_wanted(date):
    with pytest.raises(ValueError, match="YYYY-MM-DD"):
        CATALOG.get_stocks_daily_key(date)


def test_an_unknown_data_type_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"'stock_daily'.*options_minute.*stocks_daily"):
        CATALOG.get_date_range_keys("stock_daily", "2024-01-02", "2024-01-03")
    with pytest.raises(ValueError, match="forex_minute"):
        CATALOG.get_key("", "2024-01-02")


def test_a_range_holds_trading_days_only_with_both_ends():
    keys = CATALOG.get_date_range_keys("stocks_daily", "2024-01-12", "2024-01-17")
    assert [key[-17:-7] for key in keys] == ["2024-01-12", "2024-01-16", "2024-01-17"]
    assert CATALOG.get_date_range_keys("stocks_daily", "2024-01-13", "2024-01-15") == []
    one = CATALOG.get_date_range_keys("options_minute", "2024-01-16", "2024-01-16")
    assert one == [CATALOG.get_options_minute_key("2024-01-16")]


@pytest.mark.parametrize(
    ("closed", "why"),
    [
        ("2012-10-29", "hurricane Sandy"),
        ("2012-10-30", "hurricane Sandy"),
        ("2018-12-05", "national day of mourning"),
        ("2025-01-09", "national day of mourning"),
        ("2007-01-02", "national day of mourning"),
        ("2004-06-11", "national day of mourning"),
        ("2024-03-29", "Good Friday"),
        ("2022-06-20", "Juneteenth, observed"),
    ],
)
def test_unscheduled_closures_and_holidays_have_no_key(closed, why):
    assert CATALOG.get_date_range_keys("stocks_minute", closed, closed) == [], why
    assert S3Catalog.get_business_days(closed, closed) == [], why


@pytest.mark.parametrize("half_day", ["2023-11-24", "2024-07-03", "2024-12-24"])
def test_half_days_are_trading_days(half_day):
    assert S3Catalog.get_business_days(half_day, half_day) == [half_day]


def test_every_feed_follows_its_own_calendar():
    def days(data_type):
        keys = CATALOG.get_date_range_keys(data_type, "2024-07-03", "2024-07-08")
        return [key[-9:-7] for key in keys]

    assert days("stocks_daily") == ["03", "05", "08"]
    assert days("indices_daily") == ["03", "04", "05", "08"]
    assert days("forex_daily") == ["03", "04", "05", "07", "08"]
    assert days("crypto_minute") == ["03", "04", "05", "06", "07", "08"]


def test_a_range_begins_no_earlier_than_the_vendors_first_file():
    keys = CATALOG.get_date_range_keys("options_daily", "2014-05-28", "2014-06-03")
    assert [key[-17:-7] for key in keys] == ["2014-06-02", "2014-06-03"]
    assert CATALOG.get_date_range_keys("options_daily", "2010-01-04", "2010-12-31") == []


def test_symbols_do_not_narrow_the_keys_and_the_docstring_says_so():
    every = CATALOG.get_date_range_keys("stocks_daily", "2024-01-02", "2024-01-31")
    assert CATALOG.get_date_range_keys("stocks_daily", "2024-01-02", "2024-01-31", symbols=["AAPL"]) == every
    assert "all symbols" in inspect.getdoc(S3Catalog.get_date_range_keys)


def test_a_reversed_range_is_refused():
    for call in (
        lambda: CATALOG.get_date_range_keys("stocks_daily", "2024-02-01", "2024-01-01"),
        lambda: S3Catalog.get_business_days("2024-02-01", "2024-01-01"),
        lambda: S3Catalog.get_missing_dates([], "2024-02-01", "2024-01-01"),
    ):
        with pytest.raises(ValueError, match="reversed"):
            call()


@given(data_type=FEEDS, day=DAYS, options_prefix=st.sampled_from(["us_options", "us_options_opra", "my_opt"]))
def test_a_key_that_is_made_says_what_it_was_made_of(data_type, day, options_prefix):
    catalog = S3Catalog(options_prefix=options_prefix)
    key = catalog.get_key(data_type, day)
    assert catalog.validate_key(key)
    date = day.isoformat()
    assert catalog.parse_key_metadata(key) == {
        "data_type": data_type,
        "date": date,
        "year": date[:4],
        "month": date[5:7],
    }


@pytest.mark.parametrize("prefix", ["us_options", "us_options_opra"])
@pytest.mark.parametrize("catalog", [CATALOG, LIVE, S3Catalog(options_prefix="my_options")])
def test_both_option_prefixes_parse_whichever_is_produced(catalog, prefix):
    found = catalog.parse_key_metadata(f"{prefix}/minute_aggs_v1/2024/01/2024-01-02.csv.gz")
    assert found == {"data_type": "options_minute", "date": "2024-01-02", "year": "2024", "month": "01"}


@pytest.mark.parametrize(
    "key",
    [
        "us_stocks_sip/day_aggs_v1/2024/02/2024-02-30.csv.gz",
        "us_stocks_sip/day_aggs_v1/2023/01/2024-01-02.csv.gz",
        "us_stocks_sip/day_aggs_v1/2024/02/2024-01-02.csv.gz",
        "us_stocks_sip/day_aggs_v1/2024/1/2024-01-02.csv.gz",
        "us_stocks_sip/day_aggs_v1/2024/01/2024-01-02.csv",
        "us_stocks_sip/day_aggs_v1/2024/01/2024-01-02.csv.gz\n",
        "us_stocks_sip/day_aggs_v1/2024/01/2024-01-02.csv.gz.tmp",
        "us_stocks_sip/day_aggs_v1/2024/01/2024-01-02Xcsv.gz",
        "/us_stocks_sip/day_aggs_v1/2024/01/2024-01-02.csv.gz",
        "flatfiles/us_stocks_sip/day_aggs_v1/2024/01/2024-01-02.csv.gz",
        "us_stocks_sip/values_v1/2024/01/2024-01-02.csv.gz",
        "us_stocks/day_aggs_v1/2024/01/2024-01-02.csv.gz",
        "US_STOCKS_SIP/day_aggs_v1/2024/01/2024-01-02.csv.gz",
        "us_indices/trades_v1/2024/01/2024-01-02.csv.gz",
        "us_stocks_sip/day_aggs_v1/0000/01/0000-01-02.csv.gz",
        "us_stocks_sip/day_aggs_v1/２０２４/01/２０２４-01-02.csv.gz",
        "us_stocks_sip/day_aggs_v1/2024/01/",
        "",
        None,
    ],
)
def test_anything_else_is_not_a_key(key):
    assert CATALOG.validate_key(key) is False
    with pytest.raises(InvalidArgument, match="us_stocks_sip/day_aggs_v1"):
        CATALOG.parse_key_metadata(key)


@given(
    key=st.builds(CATALOG.get_key, FEEDS, DAYS),
    position=st.integers(0, 200),
    replacement=st.characters(codec="utf-8"),
)
def test_a_key_with_one_character_changed_is_refused_or_means_just_what_it_says(key, position, replacement):
    position %= len(key)
    changed = key[:position] + replacement + key[position + 1 :]
    if CATALOG.validate_key(changed):
        found = CATALOG.parse_key_metadata(changed)
        made = [catalog.get_key(found["data_type"], found["date"]) for catalog in (CATALOG, LIVE)]
        assert changed in made


@given(st.text())
def test_no_text_breaks_validation(text):
    assert CATALOG.validate_key(text) in (True, False)


def test_a_summary_counts_every_key_once():
    keys = [
        *CATALOG.get_date_range_keys("stocks_daily", "2024-01-02", "2024-01-05"),
        LIVE.get_options_daily_key("2024-01-02"),
        CATALOG.get_options_daily_key("2024-01-02"),
        CATALOG.get_key("crypto_daily", "2024-01-06"),
        "readme.txt",
        "us_stocks_sip/day_aggs_v1/2024/02/2024-02-30.csv.gz",
    ]
    assert CATALOG.get_summary(iter(keys)) == {
        "total": 9,
        "stocks_daily": 4,
        "stocks_minute": 0,
        "options_daily": 2,
        "options_minute": 0,
        "crypto_daily": 1,
        "unknown": 2,
    }
    assert CATALOG.get_summary([])["total"] == 0


@given(first=DAYS, days=st.integers(0, 60), have=st.sets(st.integers(0, 60)))
def test_missing_and_existing_dates_make_up_the_business_days(first, days, have):
    last = min(first + dt.timedelta(days=days), LAST_DAY)
    every = S3Catalog.get_business_days(first, last)
    assert every == sorted(set(every))
    existing = [first + dt.timedelta(days=offset) for offset in have]
    missing = S3Catalog.get_missing_dates(existing, first, last)
    assert set(missing) | ({day.isoformat() for day in existing} & set(every)) == set(every)
    assert not set(missing) & {day.isoformat() for day in existing}
    assert missing == sorted(missing)


def test_existing_dates_may_be_text_dates_and_timestamps_mixed():
    existing = ["2024-01-02", dt.date(2024, 1, 3), pd.Timestamp("2024-01-04"), "2024-01-06"]
    assert S3Catalog.get_missing_dates(existing, "2024-01-02", "2024-01-08") == ["2024-01-05", "2024-01-08"]
    with pytest.raises(InvalidArgument, match="existing date"):
        S3Catalog.get_missing_dates(["yesterday"], "2024-01-02", "2024-01-08")


def test_the_calendars_arguments_have_the_names_that_callers_write():
    days = {"start_date": "2024-01-02", "end_date": np.datetime64("2024-01-05")}
    assert S3Catalog().get_business_days(**days) == ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]
    missing = S3Catalog().get_missing_dates(existing_dates=["2024-01-03"], **days)
    assert missing == ["2024-01-02", "2024-01-04", "2024-01-05"]

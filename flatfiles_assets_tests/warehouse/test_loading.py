"""Files to partitions: what becomes of columns that the feed has not."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib

import pytest

from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.ledger import LedgerEntry
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.errors import UnexpectedColumns
from flatfiles_assets.warehouse.inventory import (
    KEPT_OUT,
    feed_inventory,
    loaded_sessions,
    note_closed_days,
)
from flatfiles_assets.warehouse.loading import cached_files, load_sessions

DAILY = get_dataset("stocks_daily")
HEADER = "ticker,volume,open,close,high,low,window_start,transactions"
DAYS = [dt.date(2024, 1, day) for day in (2, 3, 4)]


@pytest.fixture
def cache(tmp_path):
    with FileCache(tmp_path / "cache") as cache:
        yield cache


def _put(cache, day, header=HEADER, tail=""):
    key = f"us_stocks_sip/day_aggs_v1/{day:%Y/%m}/{day}.csv.gz"
    start = int(dt.datetime(day.year, day.month, day.day, 5, tzinfo=dt.timezone.utc).timestamp()) * 10**9
    body = gzip.compress(f"{header}\nAAPL,100,1,2,3,0.5,{start},7{tail}\n".encode())
    path = cache.path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    now = dt.datetime.now(dt.timezone.utc)
    sha256 = hashlib.sha256(body).hexdigest()
    entry = LedgerEntry(
        key, "e", len(body), sha256, now, now, 1, "downloaded", mtime_ns=path.stat().st_mtime_ns
    )
    cache.ledger.record(entry)
    return day, key


def _load(cache, warehouse, keys, **options):
    files = cached_files(cache, dict(keys))
    return list(load_sessions(DAILY, files, cache=cache, warehouse=warehouse, **options))


def test_a_column_that_was_added_is_kept_out_and_said_so(cache, warehouse):
    keys = [_put(cache, DAYS[0]), _put(cache, DAYS[1], f"{HEADER},VWAP", ",1.75")]
    first, second = _load(cache, warehouse, keys)
    assert (first.outcome, second.outcome) == ("loaded", "loaded")
    assert second.kept_out == ("VWAP",)
    with warehouse.reader() as reader:
        rows = reader.sql("SELECT * FROM market.stocks_daily ORDER BY trade_date").arrow()
        assert "VWAP" not in rows.column_names
        assert rows.num_rows == 2
        loaded = loaded_sessions(reader, "stocks_daily")
    assert loaded[DAYS[0]].message is None
    assert loaded[DAYS[1]].message == f"{KEPT_OUT}VWAP"


def test_columns_that_were_added_are_stored_as_they_are_published_where_that_is_wanted(cache, warehouse):
    keys = [
        _put(cache, DAYS[0]),
        _put(cache, DAYS[1], f"{HEADER},VWAP,otc", ",1.750,true"),
        _put(cache, DAYS[2], f"{HEADER},otc", ",NA"),
    ]
    results = _load(cache, warehouse, keys, extra_columns="store")
    assert {result.outcome for result in results} == {"loaded"}
    with warehouse.reader() as reader:
        rows = reader.sql(
            "SELECT ticker, close, vwap, otc FROM market.stocks_daily ORDER BY trade_date"
        ).arrow()
    assert rows.to_pylist() == [
        {"ticker": "AAPL", "close": 2.0, "vwap": None, "otc": None},
        {"ticker": "AAPL", "close": 2.0, "vwap": "1.750", "otc": "true"},
        {"ticker": "AAPL", "close": 2.0, "vwap": None, "otc": "NA"},
    ]
    # And a later file without them is loaded as before.
    (later,) = _load(cache, warehouse, [_put(cache, dt.date(2024, 1, 5))])
    assert later.outcome == "loaded"


def test_a_file_with_a_further_column_is_refused_where_that_is_wanted(cache, warehouse):
    (result,) = _load(
        cache, warehouse, [_put(cache, DAYS[0], f"{HEADER},vwap", ",1")], extra_columns="refuse"
    )
    assert isinstance(result.error, UnexpectedColumns)
    assert "vwap" in str(result.error)


@pytest.mark.parametrize("name", ["trade_date", "TICKER ", "", '"; DROP TABLE x; --', "a\x1b[31m"])
@pytest.mark.parametrize("answer", ["ignore", "store"])
def test_a_further_column_of_any_name_does_no_harm(cache, warehouse, name, answer):
    if name == "TICKER ":
        name = "TICKER_"
    key = _put(cache, DAYS[0], f'{HEADER},"{name.replace(chr(34), chr(34) * 2)}"', ",1")
    (result,) = _load(cache, warehouse, [key], extra_columns=answer)
    assert result.outcome == "loaded", result.error
    with warehouse.reader() as reader:
        assert reader.sql("SELECT ticker, trade_date FROM market.stocks_daily").arrow().to_pylist() == [
            {"ticker": "AAPL", "trade_date": DAYS[0]}
        ]


def test_a_file_of_a_closed_day_shows_until_the_calendar_is_corrected(cache, warehouse, monkeypatch):
    day = dt.date(2024, 3, 29)  # Good Friday
    key = f"us_stocks_sip/day_aggs_v1/2024/03/{day}.csv.gz"
    catalog = S3Catalog()
    assert note_closed_days(DAILY, cache.ledger, {day: key}, {}) == [day]
    (status,) = feed_inventory(DAILY, catalog, cache.ledger, warehouse, day, day, with_closed_days=True)
    assert status.state == "failed"
    assert f"FLATFILES_EXTRA_SESSIONS=XNYS:{day}" in status.detail
    # It is no work for a backfill before somebody says so.
    assert feed_inventory(DAILY, catalog, cache.ledger, warehouse, day, day) == []
    monkeypatch.setenv("FLATFILES_EXTRA_SESSIONS", str(day))
    assert note_closed_days(DAILY, cache.ledger, {day: key}, {}) == []
    (session,) = feed_inventory(DAILY, catalog, cache.ledger, warehouse, day, day)
    assert session.session == day

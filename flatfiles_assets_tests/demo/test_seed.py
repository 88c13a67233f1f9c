import datetime as dt
import gzip
import io
import zipfile
from collections.abc import Iterator

import pandas as pd
import pytest
from mypy_boto3_s3 import S3Client

from flatfiles_assets import calendars
from flatfiles_assets.demo.embedded_s3 import EmbeddedS3
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.minio_files import historical_bars
from flatfiles_assets.demo.seed import (
    FLATFILES_FAULTS,
    HISTORICAL_LAYOUTS,
    REPLACED_SESSION,
    SEEDED_RANGES,
    SeedManifest,
    flatfiles_objects,
    planted_differences,
    replace_one,
    seed_flatfiles_bucket,
    seed_minio_bucket,
    with_planted_differences,
)
from flatfiles_assets.demo.vendor_files import object_key, to_csv

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(n_symbols=40)


@pytest.fixture(scope="module")
def client() -> Iterator[S3Client]:
    with EmbeddedS3() as store:
        store.create_bucket("flatfiles")
        store.create_bucket("market-data")
        yield store.client()


@pytest.fixture(scope="module")
def flatfiles(client: S3Client, market: SyntheticMarket) -> SeedManifest:
    return seed_flatfiles_bucket(client, "flatfiles", market)


@pytest.fixture(scope="module")
def minio(client: S3Client, market: SyntheticMarket) -> SeedManifest:
    return seed_minio_bucket(client, "market-data", market)


def body(client: S3Client, bucket: str, key: str) -> bytes:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()


def sizes(client: S3Client, bucket: str) -> dict[str, int]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}


def session_of(manifest: SeedManifest, fault: str) -> tuple[str, dt.date]:
    (plant,) = manifest.with_fault(fault)
    assert plant.session is not None
    return plant.key, plant.session


def test_the_manifest_lists_exactly_what_the_buckets_hold(
    client: S3Client, flatfiles: SeedManifest, minio: SeedManifest
) -> None:
    assert sizes(client, "flatfiles") == flatfiles.sizes_bytes
    assert sizes(client, "market-data") == minio.sizes_bytes


def test_a_quarter_of_day_bars_is_there_but_for_the_session_not_published(flatfiles: SeedManifest) -> None:
    quarter = calendars.sessions("XNYS", "2024-01-02", "2024-03-28")
    missing = [day for day in quarter if object_key("stocks_daily", day) not in flatfiles.sizes_bytes]
    assert missing == [session_of(flatfiles, "not_published")[1]]


def test_every_feed_has_several_days_and_every_planted_session_is_one(flatfiles: SeedManifest) -> None:
    for feed, ranges in SEEDED_RANGES.items():
        days = [day for start, end in ranges for day in calendars.sessions("XNYS", start, end)]
        assert sum(object_key(feed, day) in flatfiles.sizes_bytes for day in days) >= 5
    assert flatfiles.planted == FLATFILES_FAULTS
    assert all(calendars.is_session("XNYS", plant.session) for plant in flatfiles.planted)


def test_each_planted_file_has_the_fault_that_the_manifest_names(
    client: S3Client, flatfiles: SeedManifest, market: SyntheticMarket
) -> None:
    with pytest.raises(EOFError):
        gzip.decompress(body(client, "flatfiles", session_of(flatfiles, "truncated")[0]))
    key, session = session_of(flatfiles, "misdated")
    misdated = pd.read_csv(io.BytesIO(gzip.decompress(body(client, "flatfiles", key))))
    next_day = calendars.day_bounds_ns(session + dt.timedelta(days=1), "America/New_York")[0]
    assert (misdated.window_start == next_day).all()
    key, session = session_of(flatfiles, "bad_rows")
    assert gzip.decompress(body(client, "flatfiles", key)) != to_csv(market.day_bars(session))


def test_every_other_day_file_is_sound(market: SyntheticMarket) -> None:
    faulty = {plant.key for plant in FLATFILES_FAULTS}
    ranges = {"stocks_daily": SEEDED_RANGES["stocks_daily"]}
    payloads = dict(flatfiles_objects(market, ranges))
    sound = [
        day
        for start, end in ranges["stocks_daily"]
        for day in calendars.sessions("XNYS", start, end)
        if object_key("stocks_daily", day) not in faulty
    ]
    assert len(sound) > 80
    for day in sound:
        assert gzip.decompress(payloads[object_key("stocks_daily", day)]) == to_csv(market.day_bars(day))


def test_the_replaced_file_grows_in_place_under_a_new_etag(
    client: S3Client, flatfiles: SeedManifest, market: SyntheticMarket
) -> None:
    key = object_key("stocks_daily", REPLACED_SESSION)
    first = client.head_object(Bucket="flatfiles", Key=key)["ETag"]
    before = gzip.decompress(body(client, "flatfiles", key))
    assert replace_one(client, "flatfiles", market) == key
    after = gzip.decompress(body(client, "flatfiles", key))
    client.put_object(Bucket="flatfiles", Key=key, Body=gzip.compress(before, 4, mtime=0))
    assert after == to_csv(market.day_bars(REPLACED_SESSION))
    assert after.startswith(before)
    assert len(before) < len(after)
    assert first == client.head_object(Bucket="flatfiles", Key=key)["ETag"], "put back for other tests"


def test_the_week_volumes_became_fractional_is_there(client: S3Client, flatfiles: SeedManifest) -> None:
    def has_decimals(day: dt.date) -> bool:
        lines = gzip.decompress(body(client, "flatfiles", object_key("stocks_daily", day))).splitlines()
        return any(b"." in line.split(b",")[1] for line in lines[1:])

    assert not has_decimals(dt.date(2026, 2, 20))
    assert has_decimals(dt.date(2026, 2, 23))


def test_years_come_in_different_layouts_and_one_is_hostile(client: S3Client, minio: SeedManifest) -> None:
    assert {f"{year}.zip" for year in (*HISTORICAL_LAYOUTS, 2005)} <= set(minio.sizes_bytes)
    arrangements = {layout.arrangement for layout in HISTORICAL_LAYOUTS.values()}
    assert arrangements == {"long", "per_symbol", "per_day"}
    (hostile,) = minio.with_fault("hostile")
    names = zipfile.ZipFile(io.BytesIO(body(client, "market-data", hostile.key))).namelist()
    assert any(name.startswith("../") for name in names)


def test_the_2008_archive_differs_from_the_flat_files_as_planted_and_not_otherwise(
    market: SyntheticMarket,
) -> None:
    bars = historical_bars(market, 2008)
    index = ["trade_date", "ticker"]
    truth = bars.to_pandas().set_index(index)
    changed = with_planted_differences(bars).to_pandas().set_index(index)
    by_fault = {plant.fault: plant for plant in planted_differences()}
    tickers = set(truth.index.get_level_values("ticker"))
    assert tickers - set(changed.index.get_level_values("ticker")) == {"NAN", "BRK.B"}
    assert set(changed.index.get_level_values("ticker")) - tickers == {"OTCQ", "BRK-B"}

    both = truth.index.intersection(changed.index)
    differing = both[(truth.loc[both] != changed.loc[both]).any(axis=1)]
    split = by_fault["split_adjusted"]
    jump = by_fault["price_difference"]
    assert set(differing.get_level_values("ticker")) == {split.ticker, jump.ticker}
    assert list(differing[differing.get_level_values("ticker") == jump.ticker]) == [
        (jump.session, jump.ticker)
    ]
    days_adjusted = differing[differing.get_level_values("ticker") == split.ticker].get_level_values(0)
    assert max(days_adjusted) == dt.date(2008, 5, 27)
    assert (
        changed.loc[(dt.date(2008, 5, 27), "BUCY"), "close"]
        == truth.loc[(dt.date(2008, 5, 27), "BUCY"), "close"] / 2
    )


def test_overlap_prices_are_the_same_in_both_sources(
    client: S3Client, flatfiles: SeedManifest, minio: SeedManifest
) -> None:
    day = dt.date(2008, 5, 21)
    flat = pd.read_csv(
        io.BytesIO(gzip.decompress(body(client, "flatfiles", object_key("stocks_daily", day)))),
        keep_default_na=False,
    ).set_index("ticker")
    archive = zipfile.ZipFile(io.BytesIO(body(client, "market-data", "2008.zip")))
    assert "2008/NA.csv" in archive.namelist()
    for ticker in ("KO", "NA", "TRUE"):
        rows = pd.read_csv(archive.open(f"2008/{ticker}.csv")).set_index("Date")
        assert rows.loc["05/21/2008", "Close"] == flat.loc[ticker, "close"]

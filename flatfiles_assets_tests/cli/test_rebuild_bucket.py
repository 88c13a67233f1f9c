"""What came from the user's own bucket is made anew from what lies extracted and mirrored, too."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from flatfiles_assets.calendars import sessions
from flatfiles_assets.cli import main
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.seed import HISTORICAL_LAYOUTS, seed_flatfiles_bucket, seed_minio_bucket
from flatfiles_assets_tests.platform import Platform

MARKET = SyntheticMarket(n_symbols=20)
DAYS = [day.isoformat() for day in sessions("XNYS", "2008-05-12", "2008-05-16")]
QUERIES = (
    "SELECT * FROM market.historical_daily ORDER BY ALL",
    "SELECT * FROM market.daily_prices ORDER BY ALL",
    "SELECT * FROM market.stocks_daily ORDER BY ALL",
    "SELECT count(*) FROM market.financials",
    "SELECT count(*) FROM market.samples",
)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_archives_directories_and_unified_prices_are_made_anew_without_any_store(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    name = platform.server.new_bucket()
    monkeypatch.setenv("MINIO_ENDPOINT_URL", platform.server.endpoint_url)
    monkeypatch.setenv("MINIO_BUCKET", name)
    monkeypatch.setenv("MINIO_ACCESS_KEY", platform.server.access_key_id)
    monkeypatch.setenv("MINIO_SECRET_KEY", platform.server.secret_access_key)
    seed_minio_bucket(platform.server.client(), name, MARKET, years={2008: HISTORICAL_LAYOUTS[2008]})
    seed_flatfiles_bucket(
        platform.server.client(),
        platform.bucket,
        MARKET,
        ranges={"stocks_daily": tuple((day, day) for day in sessions("XNYS", DAYS[0], DAYS[-1]))},
    )
    year = [day.isoformat() for day in sessions("XNYS", "2008-01-02", "2008-12-31")]
    platform.run(["2008"], job="historical_years")
    (run,) = platform.run(year, job="historical_daily")
    assert run.succeeded, run.message
    platform.run(DAYS)
    (run,) = platform.run(year, job="daily_prices")
    assert run.succeeded, run.message
    directories = CliRunner().invoke(main, ["run", "directories"])
    assert directories.exit_code == 0, directories.output
    before = [platform.rows(query) for query in QUERIES]

    for variable in ("FLATFILES_ENDPOINT_URL", "MINIO_ENDPOINT_URL"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    (platform.data_dir / "warehouse" / "warehouse.duckdb").write_bytes(b"x" * 100_000)
    for mirror in ("flatfiles_cache", "minio_cache"):
        (platform.data_dir / mirror / "metadata" / "ledger.sqlite").write_bytes(b"x" * 10_000)
    rebuilt = CliRunner().invoke(main, ["rebuild", "--workers", "1"])

    assert [platform.rows(query) for query in QUERIES] == before, rebuilt.output
    assert "historical_daily:" not in rebuilt.output
    verified = CliRunner().invoke(main, ["verify"])
    assert verified.exit_code == 0, verified.output

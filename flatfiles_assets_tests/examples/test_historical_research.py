"""The example does what it says: a year, a directory, two algorithms, a verification."""

from __future__ import annotations

import pytest

from examples.historical_research import main
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.seed import HISTORICAL_LAYOUTS, seed_minio_bucket
from flatfiles_assets.minio_data_downloader import MinIODataDownloader
from flatfiles_assets_tests.platform import Platform


@pytest.fixture
def archive(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    bucket = platform.server.new_bucket()
    monkeypatch.setenv("MINIO_ENDPOINT_URL", platform.server.endpoint_url)
    monkeypatch.setenv("MINIO_BUCKET", bucket)
    monkeypatch.setenv("MINIO_ACCESS_KEY", platform.server.access_key_id)
    monkeypatch.setenv("MINIO_SECRET_KEY", platform.server.secret_access_key)
    market = SyntheticMarket(n_symbols=40)
    seed_minio_bucket(platform.server.client(), bucket, market, years={2008: HISTORICAL_LAYOUTS[2008]})
    return platform


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_example_runs_to_its_end(archive: Platform, capsys: pytest.CaptureFixture[str]):
    assert main(["--year", "2008", "--symbols", "KO", "PEP"]) == 0

    output = capsys.readouterr().out
    assert "2008.zip: extracted to" in output
    assert "p_value" in output
    assert "Daily returns" in output
    assert "Integrity:" in output
    sources = archive.rows("SELECT DISTINCT source FROM market.daily_prices")
    assert sources == [("historical",)]


def test_the_example_says_what_is_wrong_and_ends_with_one(
    archive: Platform, capsys: pytest.CaptureFixture[str]
):
    assert main(["--year", "2004"]) == 1

    assert "2004.zip" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_example_runs_although_the_zip_was_removed_after_its_extraction(
    archive: Platform, capsys: pytest.CaptureFixture[str]
):
    downloader = MinIODataDownloader(cache_dir=None)
    (zip_path,) = downloader.download_historical_zips(2008)
    downloader.extract_historical_data(2008, cleanup=True)
    assert not zip_path.exists()

    assert main(["--year", "2008", "--symbols", "KO", "PEP"]) == 0
    assert "2008.zip: extracted to" in capsys.readouterr().out

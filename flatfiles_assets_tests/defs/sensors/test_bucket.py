"""New and replaced archives and directories of the user's bucket are asked for, once."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from flatfiles_assets.minio_data_downloader import MinIODataDownloader
from flatfiles_assets_tests.defs.platform_operator import Operator, bounds
from flatfiles_assets_tests.platform import Platform


class Bucket:
    """The user's bucket."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.name = platform.server.new_bucket()
        self.client = platform.server.client()

    def put(self, key: str, body: bytes = b"a,b\n1,2\n") -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    @property
    def downloader(self) -> MinIODataDownloader:
        return MinIODataDownloader()


@pytest.fixture
def bucket(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    found = Bucket(platform)
    monkeypatch.setenv("MINIO_ENDPOINT_URL", platform.server.endpoint_url)
    monkeypatch.setenv("MINIO_BUCKET", found.name)
    monkeypatch.setenv("MINIO_ACCESS_KEY", platform.server.access_key_id)
    monkeypatch.setenv("MINIO_SECRET_KEY", platform.server.secret_access_key)
    return found


def _keys(result: dg.SensorResult) -> list[str]:
    return sorted(request.run_key for request in result.run_requests or [])


def test_new_and_replaced_archives_are_asked_for_year_by_year(bucket: Bucket, operator: Operator):
    bucket.put("old/2003.zip", b"first")
    bucket.put("old/2005.zip", b"second")

    first, again = (operator.evaluate_named("historical_years_sync") for _ in range(2))
    assert bounds(first.run_requests) == [("2003", "2003"), ("2005", "2005")]
    assert _keys(first) == _keys(again)

    bucket.downloader.download_historical_zips([2003, 2005])
    assert not operator.evaluate_named("historical_years_sync").run_requests
    bucket.put("old/2005.zip", b"repaired")
    assert bounds(operator.evaluate_named("historical_years_sync").run_requests) == [("2005", "2005")]


def test_a_year_that_a_run_is_about_is_not_asked_for(bucket: Bucket, operator: Operator):
    bucket.put("2003.zip")
    operator.instance.create_run_for_job(
        operator.defs.resolve_job_def("historical_years"),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/asset_partition_range_start": "2002", "dagster/asset_partition_range_end": "2004"},
    )
    assert not operator.evaluate_named("historical_years_sync").run_requests


def test_only_the_directories_that_changed_are_synchronised(bucket: Bucket, operator: Operator):
    bucket.put("financials/a.csv")
    bucket.put("samples/b.csv")
    bucket.put("samples/")

    first = operator.evaluate_named("directories_sync")
    assert [request.asset_selection for request in first.run_requests] == [
        [dg.AssetKey([layer, name]) for layer in ("raw", "market")] for name in ("financials", "samples")
    ]

    bucket.downloader.sync_directory("financials")
    bucket.downloader.sync_directory("samples")
    assert not operator.evaluate_named("directories_sync").run_requests
    bucket.put("samples/b.csv", b"a,b\n3,4\n")
    bucket.put("samples/c.csv")
    (changed,) = operator.evaluate_named("directories_sync").run_requests
    assert dg.AssetKey(["raw", "samples"]) in changed.asset_selection


def test_what_it_asks_for_runs(bucket: Bucket, operator: Operator, platform: Platform):
    bucket.put("financials/a.csv")
    (request,) = operator.evaluate_named("directories_sync").run_requests

    job = operator.defs.resolve_job_def("directories")
    assert job.execute_in_process(
        instance=operator.instance, tags=request.tags, asset_selection=request.asset_selection
    ).success

    assert platform.rows("SELECT a, b FROM market.financials")
    assert not operator.evaluate_named("directories_sync").run_requests


def test_a_bucket_that_does_not_answer_is_no_empty_bucket(bucket: Bucket, operator: Operator, monkeypatch):
    monkeypatch.setenv("MINIO_BUCKET", "no-such-bucket")
    result = operator.evaluate_named("historical_years_sync")
    assert not result.run_requests
    assert result.cursor is None
    assert "no-such-bucket" in result.skip_reason.skip_message

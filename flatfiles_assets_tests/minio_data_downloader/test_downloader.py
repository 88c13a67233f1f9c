"""The user's bucket, mirrored: incremental, resumable, verified, and nothing lost in silence."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.errors import NotPublished
from flatfiles_assets.download.transfer import TransferLimits
from flatfiles_assets.errors import CorruptFile, FlatFilesError, InvalidArgument, MissingCredentials
from flatfiles_assets.ingest.archives.extraction import UnsafeArchive
from flatfiles_assets.minio_data_downloader import (
    DIRECTORIES,
    AmbiguousYear,
    MinIODataDownloader,
    NotDownloaded,
    SyncFailed,
)
from flatfiles_assets_tests.fault_proxy import FaultProxy
from flatfiles_assets_tests.faults import Reset
from flatfiles_assets_tests.ingest.archives.hostile_archives import CORPUS, plain_zip
from flatfiles_assets_tests.s3_servers import S3Server

pytestmark = pytest.mark.slow

BARS = b"".join(
    b"%s,2008-01-%02d,%d.5,%d.75,%d.25,%d.5,1000\n" % (ticker, day, day, day, day, day)
    for ticker in (b"AAPL", b"IBM")
    for day in (2, 3, 4, 7)
)
YEAR = {"2008/bars.csv": b"Ticker,Date,Open,High,Low,Close,Volume\n" + BARS, "README.txt": b"prices"}


class Bucket:
    """A bucket of a test's own, behind a proxy that counts requests and makes faults."""

    def __init__(self, server: S3Server, proxy: FaultProxy, cache_dir: Path) -> None:
        self.server, self.proxy, self.cache_dir = server, proxy, cache_dir
        self.name = server.new_bucket()
        self.client = server.client()

    def put(self, objects: dict[str, bytes]) -> None:
        for key, data in objects.items():
            self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def downloader(self, **options: object) -> MinIODataDownloader:
        return MinIODataDownloader(
            self.cache_dir,
            endpoint_url=self.proxy.endpoint_url,
            bucket=self.name,
            access_key=self.server.access_key_id,
            secret_key=self.server.secret_access_key,
            **{"max_retries": 1, "timeout": 20, **options},
        )

    def reads(self) -> list[str]:
        """Objects that were read since the last look, by key, in order."""
        records = [record for record in self.proxy.records if "list-type=2" not in record.path]
        assert all(record.method in ("GET", "HEAD") for record in records)
        return [record.path.split("/", 2)[2].split("?")[0] for record in records if record.method == "GET"]

    def tree(self) -> set[str]:
        """Every file of the cache."""
        paths = (path for path in self.cache_dir.rglob("*") if path.is_file())
        return {path.relative_to(self.cache_dir).as_posix() for path in paths}


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path) -> Iterator[Bucket]:
    with FaultProxy(s3.endpoint_url) as proxy:
        yield Bucket(s3, proxy, tmp_path / "minio_cache")


def test_everything_lands_where_the_documents_say(bucket: Bucket) -> None:
    bucket.put({"2008.zip": plain_zip(YEAR), "old/2007.zip": plain_zip(YEAR), "unrelated/x.csv": b"1"})
    bucket.put({f"{name}/sub/a.csv": b"a,b\n1,2\n" for name in DIRECTORIES})
    downloader = bucket.downloader()
    report = downloader.sync_all()
    assert report.ok
    assert downloader.extract_historical_data(2008) == bucket.cache_dir / "historical" / "2008"
    assert {name for name in bucket.tree() if not name.startswith("metadata/")} == {
        "historical/2007.zip",
        "historical/2008.zip",
        "historical/2008/2008/bars.csv",
        "historical/2008/README.txt",
        "historical/2008/.manifest.json",
        *(f"{name}/sub/a.csv" for name in DIRECTORIES),
    }
    assert (bucket.cache_dir / "historical/2008/2008/bars.csv").read_bytes() == YEAR["2008/bars.csv"]
    assert downloader.available_years() == [2007, 2008]


@pytest.mark.parametrize(
    ("keys", "prefix", "expected"),
    [
        (["2008.zip", "deep/er/2005.ZIP"], None, {2005, 2008}),
        (["stocks/2008.zip", "stocks/old/2008.zip"], None, {2008}),
        (["a/2008.zip", "b/2008.zip"], "b/", {2008}),
        (["2008.zip", "history/2007.zip"], "history/", {2007}),
        (["2008.zip", "samples/2009.zip", "x2007.zip", "2008.zip.bak", "20080.zip", "208.zip"], None, {2008}),
        (["samples/2009.zip"], "samples/", {2009}),
    ],
)
def test_a_year_is_any_object_named_for_it_under_the_prefix(
    bucket: Bucket, keys: list[str], prefix: str | None, expected: set[int]
) -> None:
    bucket.put({key: plain_zip({"key.csv": key.encode()}) for key in keys})
    downloader = bucket.downloader(historical_prefix=prefix)
    paths = downloader.download_historical_zips()
    assert {path.name for path in paths} == {f"{year}.zip" for year in expected}


def test_a_year_that_stands_twice_is_not_guessed(bucket: Bucket) -> None:
    bucket.put({"a/2008.zip": plain_zip(YEAR), "b/2008.zip": plain_zip({}), "a/2007.zip": plain_zip(YEAR)})
    with pytest.raises(SyncFailed, match=r"a/2008\.zip and b/2008\.zip.*historical_prefix") as failure:
        bucket.downloader().download_historical_zips()
    assert isinstance(failure.value.report.failures["2008"], AmbiguousYear)
    assert [path.name for path in failure.value.report.paths] == ["2007.zip"], "the others are there"


def test_a_year_that_the_bucket_lacks_is_named_with_those_it_has(bucket: Bucket) -> None:
    bucket.put({"2008.zip": plain_zip(YEAR)})
    with pytest.raises(SyncFailed, match=r"no 1999\.zip.*there are 2008"):
        bucket.downloader().download_historical_zips([2008, 1999])
    assert (bucket.cache_dir / "historical" / "2008.zip").exists()
    assert bucket.downloader().download_historical_zips(2008) == [bucket.cache_dir / "historical/2008.zip"]


def test_a_directory_comes_with_or_without_its_subdirectories(bucket: Bucket) -> None:
    bucket.put(
        {"options/a.csv": b"1", "options/2024/b.csv": b"2", "options/": b"", "options_old/c.csv": b"3"}
    )
    downloader = bucket.downloader()
    assert downloader.download_directory("options", recursive=False) == [bucket.cache_dir / "options/a.csv"]
    assert [path.name for path in downloader.download_directory("/options/")] == ["b.csv", "a.csv"]
    assert downloader.download_directory("options/2024") == [bucket.cache_dir / "options/2024/b.csv"]
    with pytest.raises(SyncFailed) as failure:
        downloader.download_directory("financials")
    assert isinstance(failure.value.report.failures["financials/"], NotPublished)


@pytest.mark.parametrize("prefix", ["", "/", "historical", "metadata/x", "Historical/2008"])
def test_folders_of_the_cache_itself_cannot_be_mirrored(bucket: Bucket, prefix: str) -> None:
    with pytest.raises(InvalidArgument, match="financials, options"):
        bucket.downloader().download_directory(prefix)


def test_keys_that_would_leave_the_cache_are_refused_and_the_rest_is_fetched(bucket: Bucket) -> None:
    bucket.put({"samples/../../evil.csv": b"1", "samples/good.csv": b"2"})
    report = bucket.downloader().sync_directory("samples")
    assert [path.name for path in report.paths] == ["good.csv"]
    assert list(report.failures) == ["samples/../../evil.csv"]
    assert not (bucket.cache_dir.parent / "evil.csv").exists()


def test_a_second_sync_of_a_thousand_objects_makes_only_the_listing_requests(bucket: Bucket) -> None:
    bucket.put({"2008.zip": plain_zip(YEAR)})
    bucket.put({f"{DIRECTORIES[i % 4]}/{i % 7}/{i}.csv": b"id\n%d\n" % i for i in range(999)})
    assert len(bucket.downloader().sync_all().fetched) == 1_000
    bucket.proxy.clear()
    report = bucket.downloader().sync_all()
    assert len(report.files) == 1_000
    assert report.fetched == []
    assert bucket.proxy.records
    assert all(record.method == "GET" and "list-type=2" in record.path for record in bucket.proxy.records)
    assert len(bucket.proxy.records) <= 2

    # One flipped byte in one file of a thousand is found, and the next sync repairs that file only.
    damaged = bucket.cache_dir / "financials" / "4" / "200.csv"
    status = damaged.stat()
    data = bytearray(damaged.read_bytes())
    data[-2] ^= 1
    damaged.write_bytes(data)
    os.utime(damaged, ns=(status.st_atime_ns, status.st_mtime_ns))
    integrity = bucket.downloader().verify_data_integrity()
    assert integrity["summary"] == {"total": 1_000, "ok": 999, "missing": 0, "changed": 1, "corrupt": 0}
    assert integrity["files"]["financials/4/200.csv"]["status"] == "changed"
    assert not integrity["ok"]
    bucket.proxy.clear()
    repaired = bucket.downloader().sync_all()
    assert [file.key for file in repaired.fetched] == ["financials/4/200.csv"]
    assert bucket.reads() == ["financials/4/200.csv"]
    assert bucket.downloader().verify_data_integrity()["ok"]


def test_an_object_replaced_in_the_bucket_is_fetched_again_and_history_kept(bucket: Bucket) -> None:
    bucket.put({"samples/a.csv": b"old", "samples/b.csv": b"b"})
    downloader = bucket.downloader()
    downloader.sync_all()
    bucket.put({"samples/a.csv": b"new"})
    report = downloader.sync_all()
    assert [(file.key, file.outcome) for file in report.fetched] == [("samples/a.csv", "replaced")]
    assert (bucket.cache_dir / "samples/a.csv").read_bytes() == b"new"
    with FileCache(bucket.cache_dir) as cache:
        assert [entry.size_bytes for entry in cache.ledger.history("samples/a.csv")] == [3, 3]
        assert len({entry.sha256 for entry in cache.ledger.history("samples/a.csv")}) == 2


def test_an_object_deleted_from_the_bucket_is_kept_and_reported(bucket: Bucket) -> None:
    bucket.put({"samples/a.csv": b"a", "2007.zip": plain_zip(YEAR), "2008.zip": plain_zip(YEAR)})
    downloader = bucket.downloader()
    downloader.sync_all()
    for key in ("samples/a.csv", "2007.zip"):
        bucket.client.delete_object(Bucket=bucket.name, Key=key)
    report = downloader.sync_all()
    assert report.ok
    assert set(report.kept_though_deleted) == {"samples/a.csv", "historical/2007.zip"}
    assert (bucket.cache_dir / "samples/a.csv").read_bytes() == b"a"
    assert downloader.verify_data_integrity()["ok"]


def test_a_large_zip_that_was_cut_continues_where_it_was(bucket: Bucket) -> None:
    data = bytes(range(256)) * 40_000  # 10 MB in parts of 1 MB
    bucket.put({"2008.zip": data})
    limits = TransferLimits(
        stream_above_bytes=2**18, ranges_above_bytes=2**20, part_bytes=2**20, parts_at_once=1
    )
    bucket.proxy.add(Reset(after_bytes=1_000), path="2008.zip", skip=9, times=None)
    with pytest.raises(SyncFailed):
        bucket.downloader(transfer_limits=limits, max_retries=0).download_historical_zips([2008])
    assert not (bucket.cache_dir / "historical" / "2008.zip").exists()
    bucket.proxy.clear()
    bucket.downloader(transfer_limits=limits).download_historical_zips([2008])
    assert (bucket.cache_dir / "historical" / "2008.zip").read_bytes() == data
    ranges = [record.range_header for record in bucket.proxy.requests(path="2008.zip") if record.range_header]
    assert 1 <= len(ranges) <= 3, "most of its ten parts were there already"


def test_a_verified_extraction_may_replace_its_zip_for_good(bucket: Bucket) -> None:
    bucket.put({"2008.zip": plain_zip(YEAR)})
    downloader = bucket.downloader()
    downloader.download_historical_zips()
    folder = downloader.extract_historical_data(2008, cleanup=True)
    assert not (bucket.cache_dir / "historical" / "2008.zip").exists()
    assert downloader.verify_data_integrity()["ok"]
    bucket.proxy.clear()
    report = downloader.sync_all()
    assert report.ok
    assert bucket.reads() == []
    assert report.extracted_only == ("historical/2008.zip",)
    assert downloader.extract_historical_data(2008, cleanup=True) == folder

    bucket.put({"2008.zip": plain_zip({"other.csv": b"2"})})
    assert len(downloader.sync_all().fetched) == 1
    assert sorted(path.name for path in downloader.extract_historical_data(2008).iterdir()) == [
        ".manifest.json",
        "other.csv",
    ]


def test_a_damaged_extraction_is_found_and_extracted_again(bucket: Bucket) -> None:
    bucket.put({"2008.zip": plain_zip(YEAR)})
    downloader = bucket.downloader()
    downloader.download_historical_zips()
    downloader.extract_historical_data(2008)
    (bucket.cache_dir / "historical/2008/README.txt").write_bytes(b"pricex")
    integrity = downloader.verify_data_integrity()
    assert integrity["files"]["historical/2008/README.txt"]["status"] == "changed"
    downloader.extract_historical_data(2008)
    assert downloader.verify_data_integrity()["ok"]


def test_a_hostile_year_is_refused_and_its_neighbours_live(bucket: Bucket) -> None:
    bucket.put({"2008.zip": plain_zip(YEAR), "2009.zip": CORPUS["name: parent folder"]()})
    downloader = bucket.downloader()
    downloader.sync_all()
    before = bucket.tree()
    with pytest.raises(UnsafeArchive, match=r"2009\.zip"):
        downloader.extract_historical_data(2009)
    assert bucket.tree() == before
    assert downloader.extract_historical_data(2008).is_dir()


def test_a_zip_that_changed_on_disk_is_not_extracted(bucket: Bucket) -> None:
    bucket.put({"2008.zip": plain_zip(YEAR)})
    downloader = bucket.downloader()
    downloader.download_historical_zips()
    (bucket.cache_dir / "historical/2008.zip").write_bytes(plain_zip({"forged.csv": b"1"}))
    with pytest.raises(CorruptFile):
        downloader.extract_historical_data(2008)
    assert not (bucket.cache_dir / "historical/2008").exists()


def test_what_is_here_needs_no_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    downloader = MinIODataDownloader()
    assert downloader.verify_data_integrity() == {
        "files": {},
        "summary": {"total": 0, "ok": 0, "missing": 0, "changed": 0, "corrupt": 0},
        "ok": True,
    }
    assert downloader.get_integration_config()["historical"] == {}
    assert (tmp_path / "data" / "minio_cache" / "metadata").is_dir()
    with pytest.raises(NotDownloaded, match="--download-historical 2008"):
        downloader.extract_historical_data(2008)
    with pytest.raises(MissingCredentials, match="MINIO_ACCESS_KEY"):
        downloader.sync_all()


def test_secrets_are_in_no_representation(tmp_path: Path) -> None:
    downloader = MinIODataDownloader(tmp_path, access_key="key-id", secret_key="hush-hush")
    assert "hush" not in repr(downloader)
    assert "hush" not in repr(vars(downloader))


def test_the_integration_config_says_what_there_is(bucket: Bucket) -> None:
    bucket.put(
        {
            "2007.zip": plain_zip(YEAR),
            "2008.zip": plain_zip(YEAR),
            "financials/q1.csv": b"symbol;filing_date;net_income\nIBM;2008-03-01;5\n",
            "financials/q2.csv": b"symbol;filing_date;net_income;eps\nIBM;20080601;5;1\n",
            "financials/logo.png": b"\x89PNG....",
            "samples/a.csv": b"x,y\n1,2\n",
        }
    )
    downloader = bucket.downloader()
    downloader.sync_all()
    downloader.extract_historical_data(2008)
    config = downloader.get_integration_config()
    year = config["historical"]["2008"]
    assert (year["extracted"], year["files"], year["bars"]) == (True, 2, 8)
    assert (year["first_date"], year["last_date"]) == ("2008-01-02", "2008-01-07")
    assert {"trade_date", "ticker", "open", "high", "low", "close", "volume"} <= set(year["columns"])
    assert year["path"] == str(bucket.cache_dir / "historical" / "2008")
    assert [problem.split(":")[0] for problem in year["problems"]] == ["README.txt"]
    assert not config["historical"]["2007"]["extracted"]
    financials = config["directories"]["financials"]
    assert financials["columns"] == ["symbol", "filing_date", "net_income", "eps"]
    assert (financials["first_date"], financials["last_date"]) == ("2008-03-01", "2008-06-01")
    assert financials["files"] == 3
    assert "picture" in financials["problems"][0]
    assert config["directories"]["samples"]["first_date"] is None
    assert json.loads(json.dumps(config)) == config
    assert downloader.get_integration_config() == config, "the same when it is remembered"

    bucket.put({"samples/a.csv": b"x,date\n1,2024-05-06\n"})
    downloader.sync_all()
    assert downloader.get_integration_config()["directories"]["samples"]["last_date"] == "2024-05-06"


@pytest.mark.integration
def test_a_real_store_is_mirrored_incrementally(real_s3: S3Server, tmp_path: Path) -> None:
    with FaultProxy(real_s3.endpoint_url) as proxy:
        bucket = Bucket(real_s3, proxy, tmp_path)
        bucket.put(
            {"h/2008.zip": plain_zip(YEAR), "financials/a b+c.csv": b"a,b\n1,2\n", "options/x.csv": b""}
        )
        downloader = bucket.downloader()
        assert len(downloader.sync_all().fetched) == 3
        downloader.extract_historical_data(2008)
        bucket.put({"options/x.csv": b"a,b\n"})
        proxy.clear()
        assert [file.key for file in downloader.sync_all().fetched] == ["options/x.csv"]
        assert set(bucket.reads()) == {"options/x.csv"}
        assert downloader.verify_data_integrity()["ok"]


@pytest.mark.parametrize(
    "prefix", ["archive/", "/archive/", "./archive", "s3://{bucket}/archive/", "Archive/", " archive "]
)
def test_the_prefix_of_the_years_is_understood_however_it_is_written(s3, tmp_path, monkeypatch, prefix):
    monkeypatch.chdir(tmp_path)
    name = s3.new_bucket()
    s3.client().put_object(Bucket=name, Key="archive/2007.zip", Body=b"not looked into")
    s3.client().put_object(Bucket=name, Key="other/2008.zip", Body=b"not asked for")
    monkeypatch.setenv("MINIO_HISTORICAL_PREFIX", prefix.format(bucket=name))
    downloader = _at(s3, name, tmp_path)
    assert downloader.available_years() == [2007]
    report = downloader.sync_all()
    assert [file.key for file in report.files] == ["archive/2007.zip"]
    assert report.ok


@pytest.mark.parametrize(
    ("prefix", "message"),
    [("nothing/", "years below 'archive/'"), ("s3://another/archive", "bucket"), ("../archive", "beginning")],
)
def test_a_prefix_below_which_no_year_lies_is_a_failure_and_the_directories_come_all_the_same(
    s3, tmp_path, monkeypatch, prefix, message
):
    monkeypatch.chdir(tmp_path)
    name = s3.new_bucket()
    s3.client().put_object(Bucket=name, Key="archive/2007.zip", Body=b"not looked into")
    s3.client().put_object(Bucket=name, Key="samples/a.csv", Body=b"a,b\n1,2\n")
    monkeypatch.setenv("MINIO_HISTORICAL_PREFIX", prefix)
    downloader = _at(s3, name, tmp_path)
    with pytest.raises(FlatFilesError, match=message):
        downloader.available_years()
    if prefix == "nothing/":
        report = downloader.sync_all()
        assert [file.key for file in report.files] == ["samples/a.csv"]
        assert message in str(report.failures)


def _at(s3, name, folder):
    return MinIODataDownloader(
        folder / "mirror",
        endpoint_url=s3.endpoint_url,
        bucket=name,
        access_key=s3.access_key_id,
        secret_key=s3.secret_access_key,
    )

"""One bad object of a directory is shown and keeps nobody from the rest."""

from __future__ import annotations

import os

import dagster as dg
import pytest

from flatfiles_assets.defs.assets.directories import build_directory_assets
from flatfiles_assets.defs.io_manager import WarehouseIOManager
from flatfiles_assets.defs.keys import WAREHOUSE_IO
from flatfiles_assets.defs.resources import MinIOS3Resource, WarehouseResource
from flatfiles_assets.defs.step_errors import shown_message
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.escaping import from_markdown
from flatfiles_assets.warehouse.workspace import Workspace
from flatfiles_assets_tests.platform import Platform

ROW = b"ticker,date,eps\n%s,2008-01-02,1\n"


@pytest.fixture
def put(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    bucket = platform.server.new_bucket()
    monkeypatch.setenv("MINIO_ENDPOINT_URL", platform.server.endpoint_url)
    monkeypatch.setenv("MINIO_BUCKET", bucket)
    monkeypatch.setenv("MINIO_ACCESS_KEY", platform.server.access_key_id)
    monkeypatch.setenv("MINIO_SECRET_KEY", platform.server.secret_access_key)
    client = platform.server.client()
    return lambda key, body: client.put_object(Bucket=bucket, Key=key, Body=body)


def materialise(directory: str, **options) -> dg.ExecuteInProcessResult:
    workspace = Workspace.from_settings()
    database = str(workspace.settings.warehouse_path)
    resources = {
        "minio_s3": MinIOS3Resource(),
        "warehouse": WarehouseResource(database=database),
        WAREHOUSE_IO: WarehouseIOManager(database=database),
    }
    return dg.materialize(build_directory_assets(directory), resources=resources, **options)


def test_refused_objects_are_shown_and_the_table_is_built_from_the_rest(platform: Platform, put):
    put("financials/a.csv", ROW % b"A")
    put("financials//b.csv", ROW % b"B")  # no path of any file system
    put("financials/" + "決算短信" * 22 + ".csv", ROW % b"C")  # 264 bytes
    for _ in range(2):
        result = materialise("financials")
        assert result.success
    raw, table = (result.asset_materializations_for_node(name)[0] for name in
                  ("raw__financials", "market__financials"))  # fmt: skip
    assert raw.metadata["not_fetched"].value == 1
    check, as_fetched = result.get_asset_check_evaluations()
    assert not check.passed
    assert as_fetched.passed
    assert "financials//b.csv" in check.metadata["not_fetched"].value
    assert table.metadata["dagster/row_count"].value == 2
    assert platform.rows("SELECT ticker FROM market.financials ORDER BY ALL") == [("A",), ("C",)]


def test_a_directory_of_which_nothing_could_be_had_fails(platform: Platform, put):
    put("samples//b.csv", ROW % b"B")
    result = materialise("samples", raise_on_error=False)
    assert not result.success


@pytest.mark.parametrize("change", ["edited, size and time kept", "gone"])
def test_a_file_that_is_not_what_was_fetched_is_left_out_by_name_and_the_others_are_loaded(
    platform: Platform, put, change: str
):
    put("samples/a.csv", ROW % b"A")
    put("samples/b.csv", ROW % b"B")
    assert materialise("samples").success
    path = platform.data_dir / "minio_cache" / "samples" / "a.csv"
    before = path.stat()
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b",1\n", b",9\n"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    market = [dg.AssetKey(["market", "samples"])]

    result = materialise("samples", selection=market, raise_on_error=False)

    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    message = from_markdown(check.description)
    assert "samples/a.csv" in message
    assert "raw/samples" in message
    query = "SELECT ticker, eps FROM market.samples ORDER BY ALL"
    assert platform.rows(query) == [("B", 1)]
    assert materialise("samples").success, "the synchronisation fetches it again"
    assert platform.rows(query) == [("A", 1), ("B", 1)]


def test_where_no_file_is_what_was_fetched_the_table_is_left_as_it_is(platform: Platform, put):
    put("samples/a.csv", ROW % b"A")
    assert materialise("samples").success
    (platform.data_dir / "minio_cache" / "samples" / "a.csv").write_bytes(ROW % b"Z")
    market = [dg.AssetKey(["market", "samples"])]

    result = materialise("samples", selection=market, raise_on_error=False)

    (failed,) = [event for event in result.all_events if event.is_step_failure]
    message = shown_message(failed.step_failure_data.error)
    assert "samples/a.csv" in message
    assert "raw/samples" in message
    assert platform.rows("SELECT ticker FROM market.samples") == [("A",)]


def test_files_beside_the_data_and_what_is_ignored_are_listed(platform: Platform, put, monkeypatch, tmp_path):
    put("samples/a.csv", ROW % b"A")
    put("samples/a.csv.bak", ROW % b"B")
    put("samples/notes.csv", ROW % b"C")
    overrides = tmp_path / "layouts.toml"
    overrides.write_text('[[files]]\nmatch = "notes*"\nignore = true\n')
    monkeypatch.setenv("MINIO_LAYOUT_OVERRIDES", str(overrides))
    assert materialise("samples").success
    assert platform.rows("SELECT ticker FROM market.samples") == [("A",)]
    monkeypatch.setenv("FLATFILES_IGNORED_FILES", "*.nothing")
    assert materialise("samples").success
    assert platform.rows("SELECT ticker FROM market.samples ORDER BY ALL") == [("A",), ("B",)]


@pytest.mark.parametrize("part", ["x" * 256, "決算短信" * 22, "a" * 230 + ".csv.gz"])
def test_a_name_too_long_for_a_file_system_has_a_place_of_its_own(tmp_path, part):
    cache = FileCache(tmp_path)
    place, other = (cache.path(f"financials/{part}{end}") for end in ("", "2"))
    assert place != other
    assert all(len(name.encode()) <= 220 for name in place.relative_to(tmp_path).parts)
    assert place.suffixes[-2:] == ([".csv", ".gz"] if part.endswith(".gz") else [])
    assert cache.path("financials/a.csv") == tmp_path / "financials" / "a.csv"

"""What the catalog says of each asset: where it is, which code made it, and what it comes from."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs import code_versions
from flatfiles_assets.defs.column_lineage import LINEAGE
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import DAILY_PRICES_KEY, USER_BUCKET_KEY, VENDOR_BUCKET_KEY, algorithm_key
from flatfiles_assets_tests.platform import Platform

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FETCHED_OR_COUNTED = {"raw", "stores"}


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLATFILES_BUCKET", "vendor-copy")
    monkeypatch.setenv("FLATFILES_OPTIONS_PREFIX", "us_options")
    monkeypatch.setenv("MINIO_BUCKET", "mine")
    return build_defs().resolve_asset_graph()


def _node(graph, path: str):
    return graph.get(dg.AssetKey(path.split("/")))


@pytest.mark.parametrize(
    ("asset", "uri"),
    [
        ("raw/stocks_daily", "s3://vendor-copy/us_stocks_sip/day_aggs_v1/"),
        ("raw/options_daily", "s3://vendor-copy/us_options/day_aggs_v1/"),
        ("raw/options_directory", "s3://mine/options/"),
        ("raw/historical_zip", "s3://mine/"),
        ("stores/vendor_bucket", "s3://vendor-copy"),
        ("stores/user_bucket", "s3://mine"),
    ],
)
def test_addresses_are_those_of_the_settings(graph, asset: str, uri: str):
    assert _node(graph, asset).metadata["dagster/uri"] == uri


def test_tables_are_in_the_warehouse_of_the_settings(graph):
    uri = _node(graph, "market/daily_prices").metadata["dagster/uri"]
    assert uri.startswith("file:///")
    assert uri.endswith(".duckdb")


def test_every_file_comes_from_a_bucket_that_others_fill(graph):
    for key in graph.get_all_asset_keys():
        if key.path[0] == "raw":
            (store,) = graph.get(key).parent_keys
            assert store in (VENDOR_BUCKET_KEY, USER_BUCKET_KEY)
    assert graph.get(VENDOR_BUCKET_KEY).is_external
    assert graph.get(USER_BUCKET_KEY).is_external


def test_every_asset_says_where_an_operator_reads_on(graph, monkeypatch: pytest.MonkeyPatch):
    described = [key for key in graph.get_all_asset_keys() if not graph.get(key).is_external]
    pages = {
        page
        for key in described
        for page in re.findall(r"docs/[\w/-]+\.md", graph.get(key).description or "")
    }
    assert all("docs/operating.md" in graph.get(key).description for key in described)
    assert "docs/directories.md" in graph.get(dg.AssetKey(["market", "options_directory"])).description
    assert all((ROOT / page).is_file() for page in pages)

    monkeypatch.setenv("FLATFILES_SOURCE_URL", "https://github.com/acme/flatfiles_assets")
    linked = build_defs().resolve_asset_graph().get(DAILY_PRICES_KEY).description
    assert "(https://github.com/acme/flatfiles_assets/blob/main/docs/operating.md)" in linked


def test_every_computed_asset_has_a_version_of_its_logic(graph):
    without = {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).code_version is None and key.path[0] not in FETCHED_OR_COUNTED
    }
    assert without <= {"market/quarantine"}, "counted only, by the step that loads a feed"


def test_an_algorithms_version_is_its_own(graph):
    names = ("momentum", "mean_reversion", "pairs_trading")
    versions = {name: graph.get(algorithm_key(name)).code_version for name in names}
    assert len(set(versions.values())) == len(versions)


def test_a_version_changes_with_the_logic_and_not_with_what_is_said_about_it(monkeypatch, tmp_path: Path):
    path = tmp_path / "logic.py"

    def version(text: str) -> str:
        path.write_text(text)
        code_versions.version_of.cache_clear()
        return code_versions.version_of(("flatfiles_assets.logic",))

    monkeypatch.setattr(code_versions, "_path", lambda _: path)
    first = version('"""Says this."""\ndef f(x):\n    return x + 1\n')
    assert version('"""Says that."""\n\n# why\ndef f(x):\n    """Adds."""\n    return x + 1\n') == first
    assert version("def f(x):\n    return x + 2\n") != first
    code_versions.version_of.cache_clear()


def test_a_version_counts_what_its_module_reaches():
    reached = code_versions._reached(["flatfiles_assets.algorithms.momentum"])
    assert "flatfiles_assets.algorithms.rolling" in reached
    assert not any("mean_reversion" in module or "plots" in module for module in reached)


def test_code_is_linked_to_the_local_file_or_to_the_repository(monkeypatch: pytest.MonkeyPatch):
    def source() -> object:
        node = _node(build_defs().resolve_asset_graph(), "market/daily_prices")
        (reference,) = node.metadata["dagster/code_references"].code_references
        return reference

    assert Path(source().file_path).name == "daily_prices.py"
    monkeypatch.setenv("FLATFILES_SOURCE_URL", "https://github.com/someone/flatfiles")
    monkeypatch.setenv("FLATFILES_SOURCE_BRANCH", "v1")
    url = source().url
    assert url.startswith("https://github.com/someone/flatfiles/tree/v1/flatfiles_assets/defs/assets/")
    assert "daily_prices.py#L" in url


def test_the_last_session_of_a_run_says_where_its_columns_come_from(platform: Platform):
    days = platform.put_range("2024-01-02", "2024-01-04")
    platform.run(days)
    platform.run(days, job="daily_prices")
    with open_instance(platform.home) as instance:
        records = instance.fetch_materializations(DAILY_PRICES_KEY, limit=10).records
    said = {record.partition_key: record.asset_materialization.metadata for record in records}
    assert [LINEAGE in said[day] for day in days] == [False, False, True]
    lineage = said[days[-1]][LINEAGE].value
    assert {dep.asset_key.to_user_string() for dep in lineage.deps_by_column["close"]} == {
        "market/stocks_daily",
        "market/historical_daily",
    }


@pytest.mark.slow
@pytest.mark.parametrize("command", [["check", "defs"], ["list", "defs", "--json"]], ids=" ".join)
def test_dagsters_own_tool_finds_everything(command: list[str], tmp_path: Path):
    found = subprocess.run(
        [Path(sys.executable).with_name("dg"), *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": str(Path(sys.executable).parent), "DAGSTER_HOME": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert found.returncode == 0, found.stderr
    assert "loaded successfully" in found.stdout + found.stderr or "algorithm/momentum" in found.stdout

"""The code location loads as production loads it, and the graph is the documented one."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from flatfiles_assets.datasets import DATASETS, selected_datasets
from flatfiles_assets.definitions import build_defs, defs
from flatfiles_assets.errors import InvalidArgument

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SNAPSHOT = Path(__file__).with_name("asset_graph.json")


def _graph(definitions: dg.Definitions) -> dict[str, object]:
    graph = definitions.resolve_asset_graph()
    described = {}
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        policy = node.backfill_policy
        described[key.to_user_string()] = {
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "group": node.group_name,
            "partitions": type(node.partitions_def).__name__ if node.partitions_def else None,
            "first_partition": node.partitions_def.get_first_partition_key() if node.partitions_def else None,
            "partitions_per_run": policy.max_partitions_per_run if policy else None,
            "kinds": sorted(node.kinds),
            "owners": sorted(node.owners),
        }
    return described


def test_the_graph_is_the_one_in_the_snapshot():
    """An accidental change of the graph shows in review; write the snapshot anew to accept one."""
    current = _graph(defs)
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(json.dumps(current, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        pytest.fail(f"{SNAPSHOT.name} was missing and has been written; review and commit it")
    assert current == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_the_workspace_file_and_the_project_block_name_the_same_module():
    """`dagster dev` prefers the block in pyproject.toml without a word: they must not differ."""
    workspace = (ROOT / "workspace.yaml").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert "module_name: flatfiles_assets.definitions" in workspace
    assert '[tool.dagster]\nmodule_name = "flatfiles_assets.definitions"' in project
    assert isinstance(importlib.import_module("flatfiles_assets.definitions").defs, dg.Definitions)


@pytest.mark.parametrize("arguments", [["-w", "workspace.yaml"], ["-m", "flatfiles_assets.definitions"]])
def test_dagster_lists_the_code_location_either_way(arguments: list[str], tmp_path: Path):
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dagster", "definitions", "validate", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "DAGSTER_HOME": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert found.returncode == 0, found.stderr
    assert "Validation successful for code location flatfiles_assets" in found.stderr + found.stdout


def test_every_enabled_feed_has_its_two_assets_and_its_job():
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    jobs = {job.name for job in defs.resolve_all_job_defs()}
    for name in (dataset.name for dataset in selected_datasets()):
        assert {f"raw/{name}", f"market/{name}"} <= keys
        assert name in jobs


def test_any_feed_of_the_registry_can_be_switched_on():
    everything = build_defs(extra_feeds=",".join(DATASETS))
    keys = {key.to_user_string() for key in everything.resolve_asset_graph().get_all_asset_keys()}

    assert {f"market/{name}" for name in DATASETS} <= keys


def test_a_feed_that_is_not_in_the_registry_is_refused_with_the_names_there_are():
    with pytest.raises(InvalidArgument, match=r"'stock_daily' is not a data type.*stocks_daily"):
        build_defs(extra_feeds="stock_daily")

"""Range runs from this process, whatever was opened and closed in it before."""

from __future__ import annotations

import contextvars
import gc
import os
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from flatfiles_assets.cli import main
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.runs import RangeRun
from flatfiles_assets_tests.platform import Platform

pytestmark = pytest.mark.slow


def test_a_run_does_not_ask_an_instance_that_was_closed(platform: Platform, tmp_path: Path):
    """Dagster remembers the instance in force when another was opened; that one may be gone by then."""
    platform.put("2024-01-02")

    # In a context of its own, so that what Dagster remembers does not outlive this test.
    (run,) = contextvars.copy_context().run(_run_after_closing_out_of_order, platform, tmp_path)

    assert run.succeeded, run.message


def _run_after_closing_out_of_order(platform: Platform, tmp_path: Path) -> list[RangeRun]:
    first, second = open_instance(tmp_path / "first"), open_instance(tmp_path / "second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    del first, second
    gc.collect()
    return platform.run(["2024-01-02"])


def test_runs_are_recorded_in_the_users_own_dagster_home(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever runs Dagster already looks for these runs there, and it is configured as they like it."""
    home = tmp_path / "their_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    platform.put("2024-01-02")
    days = ["--start", "2024-01-02", "--end", "2024-01-02"]
    result = CliRunner().invoke(main, ["backfill", "stocks_daily", *days])
    assert result.exit_code == 0, result.output
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS]
    assert (home / "dagster.yaml").read_text() == "telemetry:\n  enabled: false\n"
    assert not platform.home.exists()


def test_a_home_that_was_used_without_a_configuration_goes_on_without(tmp_path: Path):
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.get_runs()
    open_instance(tmp_path).dispose()
    assert not (tmp_path / "dagster.yaml").exists()


def test_a_run_leaves_the_environment_as_it_was(platform: Platform):
    """Or the next run of this process would take our home for one that its user chose."""
    platform.put("2024-01-02")
    before = os.environ.get("DAGSTER_HOME")
    platform.run(["2024-01-02"])
    assert os.environ.get("DAGSTER_HOME") == before

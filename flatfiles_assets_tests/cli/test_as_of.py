"""What a run left is seen later as it was: at the command line, by name in Python, and by the door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flatfiles_assets.cli import main
from flatfiles_assets.data_integration import DataIntegration
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.warehouse.workspace import open_warehouse
from flatfiles_assets_tests.platform import Platform

DAY = "2024-01-03"
COUNTS = "SELECT count(*) AS n, (SELECT any_value(sha256) FROM market.files) AS f FROM market.stocks_daily"


def _flatfiles(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result.output


def _as_of(as_of: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(_flatfiles("sql", COUNTS, "--json", "--as-of", as_of))
    return found


@pytest.fixture
def replaced(platform: Platform) -> list[dict[str, object]]:
    """What the warehouse said after each of three runs on one session's file."""
    said = []
    for publish in (platform.put, platform.put_half_of, platform.put):
        publish(DAY)
        (run,) = platform.run([DAY])
        assert run.succeeded, run.message
        said.append(json.loads(_flatfiles("sql", COUNTS, "--json")))
    assert said[0] == said[2] != said[1]
    return said


def test_a_replaced_file_is_seen_as_it_was_and_kept_under_its_checksum(
    replaced: list[dict[str, object]], platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    with open_instance(platform.home) as instance:
        runs = [record.dagster_run.run_id for record in instance.get_run_records(ascending=True)]
    loading = {run for (run,) in platform.rows("SELECT DISTINCT run_id FROM flatfiles.states") if run}
    assert [_as_of(run) for run in runs if run in loading] == replaced

    kept = platform.data_dir / "flatfiles_cache" / "metadata" / "replaced"
    names = {path.name for path in kept.iterdir()}
    assert names == {f"{said['f']}.csv.gz" for said in replaced}
    _flatfiles("verify")
    assert "0 of 2 beyond" in _flatfiles("prune", "--older-than", "3650")
    monkeypatch.setenv("FLATFILES_KEEP_REPLACED_BYTES", "0")
    assert "replaced files of flatfiles_cache: 2 of 2" in _flatfiles("prune", "--older-than", "3650")
    assert {path.name for path in kept.iterdir()} == names
    _flatfiles("prune", "--older-than", "3650", "--yes")
    assert not list(kept.iterdir())

    _flatfiles("backup", str(platform.data_dir.parent / "backups"))
    (backup,) = (platform.data_dir.parent / "backups").iterdir()
    assert not list(Path(backup).rglob("replaced"))
    _flatfiles("restore", str(backup), "--yes")
    assert [_as_of(run) for run in runs if run in loading] == replaced
    assert "has not been yet" in _flatfiles("sql", COUNTS, "--as-of", "2126-01-01 00:00", code=1)


def test_the_door_reads_the_past_and_says_which_state_it_read(
    replaced: list[dict[str, object]], platform: Platform
):
    symbols = [
        ticker for (ticker,) in platform.rows("SELECT ticker FROM market.stocks_daily ORDER BY ticker")
    ]
    states = [
        state
        for (state,) in platform.rows(
            "SELECT state FROM flatfiles.states WHERE starts_with(purpose, 'load stocks_daily') "
            "ORDER BY state"
        )
    ]
    assert len(states) == 3
    for state, said in zip(states, replaced, strict=True):
        with open_warehouse(as_of=state) as then:
            assert then.state() == state
        door = DataIntegration(warehouse_as_of=state)
        known = door.available_symbols()
        assert len(known) == said["n"]
        for _ in range(2):  # computed, and from the cache
            found = door.get_data_for_algorithm("momentum", symbols[:1], DAY, DAY)
            assert found.metadata["warehouse_state"] == state

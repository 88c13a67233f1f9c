"""`flatfiles audit` tells each case in a sentence and shows the bars around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flatfiles_assets.cli import main
from flatfiles_assets.settings import load_settings
from flatfiles_assets_tests.histories import history
from flatfiles_assets_tests.warehouse.test_corporate_actions import World

pytestmark = pytest.mark.slow


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "160")
    World(load_settings().warehouse_path).make(
        [
            history("CPRT", "2017-01-03", "2017-08-31", 62.0, splits=[("2017-04-11", 1, 2)]),
            history("NONE", "2017-01-03", "2017-08-31", 90.0, splits=[("2017-05-11", 1, 3)]),
            history("KO", "2017-01-03", "2017-08-31", 40.0),
        ],
        [("CPRT", "2017-04-10", 1, 2), ("CPRT", "2017-04-11", 1, 2)],
    )
    return tmp_path


def audit(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["audit", *arguments])


def test_every_odd_case_is_told_and_shown(data_dir):
    said = audit().output
    assert "split of CPRT 1:2 recorded for 2017-04-10: contradicted, not applied" in said
    assert "confirmed" not in said
    assert "jump of NONE" in said
    assert any("2017-04-11" in line and "0.5" in line for line in said.splitlines()), "the bars around it"


def test_of_one_ticker_every_case_is_shown(data_dir):
    said = audit("CPRT").output
    assert "contradicted" in said
    assert "confirmed" in said
    assert "NONE" not in said
    assert audit("KO").exit_code == 0
    assert "nothing of it is on record" in audit("KO").output


def test_an_unknown_ticker_is_an_error(data_dir):
    found = audit("NOPE")
    assert found.exit_code == 1
    assert "no bar and no record" in found.output


def test_as_json_each_case_is_a_line(data_dir):
    cases = [json.loads(line) for line in audit("--json").output.splitlines()]
    assert {(case["ticker"], case["verdict"]) for case in cases} == {
        ("CPRT", "contradicted"),
        ("NONE", "no_record"),
    }

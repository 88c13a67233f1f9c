"""What an earlier version of the package left is brought up to date by one command, whole.

``data_of_format_1.tar.xz`` is a data directory made by the last version before the file had a version:
three sessions, one of them with rejected rows, one session that was not published, unified prices, and
two tables of the user's own. ``expected.json`` in it says what that version read.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner

from flatfiles_assets.cli import main
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.workspace import open_warehouse

ARCHIVE = Path(__file__).parents[1] / "warehouse" / "data_of_format_1.tar.xz"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        duckdb.__version__.startswith("1."), reason="the old file is in DuckDB 2's own format"
    ),
]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def _flatfiles(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def _check(old: Path, *, unified_anew: bool = False) -> None:
    expected = json.loads((old / "expected.json").read_text())
    if unified_anew:  # every session that is loaded, and not only those that somebody asked for
        expected["rows"]["market.daily_prices"] = expected["rows"]["market.stocks_daily"]
    with open_warehouse() as warehouse:
        assert warehouse.tables() == sorted(expected["rows"])
        for name, rows in expected["rows"].items():
            assert warehouse.sql(f"SELECT count(*) FROM {name}").fetchone() == (rows,), name
        sums = warehouse.sql("SELECT sum(volume), sum(close) FROM market.stocks_daily").fetchone()
        assert sums == pytest.approx(tuple(expected["sums"]))


VERBS = [["status"], ["sql", "SELECT 1"], ["compact"], ["prune", "--older-than", "1"]]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_before_it_every_verb_names_the_command(old: Path, verb: list[str]):
    code, output = _flatfiles(*verb)
    assert code == 1
    assert "flatfiles upgrade" in output
    assert str(old / "warehouse" / "market.duckdb") in output.replace("\n", "")


def test_an_upgrade_keeps_every_row_the_old_file_and_what_was_recorded(old: Path):
    before = (old / "warehouse" / "market.duckdb").read_bytes()
    code, output = _flatfiles("upgrade")
    assert code == 0, output
    _check(old)
    assert (old / "warehouse" / "market.duckdb").read_bytes() == before

    status = json.loads(_flatfiles("status", "stocks_daily", "--json")[1])["stocks_daily"]
    assert status["states"] == {"present": 3, "not_published": 1}
    assert _flatfiles("verify")[0] == 0, _flatfiles("verify")[1]
    with open_instance(load_settings().dagster_home) as instance:
        assert len(instance.get_runs()) == 2
        loaded = instance.get_materialized_partitions(dg.AssetKey(["market", "stocks_daily"]))
        assert loaded == {"2024-01-02", "2024-01-03", "2024-01-05"}

    code, output = _flatfiles("upgrade")
    assert code == 0
    assert "nothing to upgrade" in output


def test_columns_are_as_the_registry_says_and_rows_can_be_replaced(old: Path):
    assert _flatfiles("upgrade")[0] == 0
    with open_warehouse() as warehouse:
        [(nullable,)] = warehouse.sql(
            "SELECT is_nullable FROM duckdb_columns() WHERE table_name = 'stocks_daily' "
            "AND column_name = 'ticker' AND schema_name = 'market'"
        ).fetchall()
    assert nullable is False
    assert _flatfiles("rebuild", "--workers", "1")[1].count("3 sessions from the mirror") == 1
    _check(old, unified_anew=True)


def test_a_rebuild_does_without_the_upgrade(old: Path):
    code, output = _flatfiles("rebuild", "--workers", "1")
    assert "3 sessions from the mirror" in output
    assert code in (0, 1)  # one of its sessions fails a check that nobody accepted
    _check(old, unified_anew=True)

"""A demo removes what a demo made, and never what somebody loaded or put beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from flatfiles_assets.cli import main
from flatfiles_assets.cli.demo_folder import fresh_folder, note_contents, own_settings
from flatfiles_assets.demo.embedded_s3 import s3_client
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.settings import Settings, load_settings


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    folder = fresh_folder(tmp_path / "demo")
    for name in ("warehouse/warehouse.duckdb", "flatfiles_cache/a/b.csv.gz", "dagster_home/history/runs.db"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("demo")
    note_contents(folder)
    return folder


def test_a_demos_own_folder_is_made_anew_however_much_it_was_looked_at(demo: Path):
    (demo / "dagster_home" / "history" / "runs.db").write_text("looked at")
    (demo / "warehouse" / "warehouse.duckdb.queue").mkdir()
    (demo / "flatfiles_cache" / "ledger.sqlite-wal").write_text("looked at")
    fresh_folder(demo)
    assert [path.name for path in demo.iterdir()] == [".made-by-flatfiles-demo"]


def test_a_demo_that_was_cut_short_is_made_anew(tmp_path: Path):
    folder = fresh_folder(tmp_path / "demo")
    (folder / "warehouse").mkdir()
    (folder / "warehouse" / "x").touch()
    assert not (fresh_folder(folder) / "warehouse").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: (folder / "notes.txt").write_text("mine"), "notes.txt"),
        (lambda folder: (folder / "flatfiles_cache/a/c.csv.gz").write_text("mine"), "c.csv.gz was added"),
        (lambda folder: (folder / "warehouse/warehouse.duckdb").write_text("loaded"), "was changed"),
        (lambda folder: os.utime(folder / "warehouse/warehouse.duckdb", (1, 1)), "was changed"),
        (lambda folder: (folder / ".made-by-flatfiles-demo").unlink(), "no demo made it"),
        (lambda folder: (folder / ".made-by-flatfiles-demo").write_text("{"), "cannot be told"),
    ],
)
def test_a_folder_that_holds_more_is_left_alone(demo: Path, change, named: str):
    change(demo)
    before = sorted(demo.rglob("*"))
    with pytest.raises(InvalidArgument, match=named):
        fresh_folder(demo)
    assert sorted(demo.rglob("*")) == before


def test_it_is_replaced_where_that_is_said_and_a_demo_made_it(demo: Path):
    (demo / "notes.txt").write_text("mine")
    fresh_folder(demo, replace=True)
    assert not (demo / "notes.txt").exists()
    (demo / ".made-by-flatfiles-demo").unlink()
    (demo / "notes.txt").write_text("mine")
    with pytest.raises(InvalidArgument):
        fresh_folder(demo, replace=True)


def test_the_command_refuses_and_says_what_to_do(demo: Path):
    (demo / "notes.txt").write_text("mine")
    result = CliRunner().invoke(main, ["demo", "--data-dir", str(demo)])
    assert result.exit_code == 1
    assert "notes.txt" in result.stderr
    assert "--replace" in result.stderr
    assert (demo / "notes.txt").read_text() == "mine"


def test_no_setting_of_the_users_holds_in_a_demo(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "FLATFILES_SESSION_TOKEN=t\nMINIO_HISTORICAL_PREFIX=x/\nMINIO_REGION=eu-west-3\n"
    )
    for name, value in {
        "FLATFILES_PROXY_URL": "http://127.0.0.1:9",
        "POLYGON_S3_REGION": "eu-west-3",
        "FLATFILES_EXTRA_FEEDS": "crypto_daily",
        "FLATFILES_LOCK_TIMEOUT_SECONDS": "7",
        "FLATFILES_DATA_DIR": str(tmp_path / "elsewhere"),
        "MINIO_BUCKET": "elsewhere",
    }.items():
        monkeypatch.setenv(name, value)
    with own_settings(demo, {"FLATFILES_DATA_DIR": str(demo), "MINIO_BUCKET": "market-data"}):
        found = load_settings()
    assert found == Settings(
        _env_file=None, data_dir=demo, minio_bucket="market-data", lock_timeout_seconds=7
    )
    assert Path.cwd() == tmp_path


def test_the_demos_client_reads_no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "config").write_text("this is [no config")
    monkeypatch.setenv("AWS_PROFILE", "gone")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "config"))
    assert s3_client("http://127.0.0.1:1", "key", "secret").meta.region_name == "us-east-1"

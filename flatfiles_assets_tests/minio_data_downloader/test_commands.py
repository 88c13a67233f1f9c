"""The mirror's two command lines: the flags of the documents, and the same as verbs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from flatfiles_assets.minio_data_downloader.commands import minio_group
from flatfiles_assets.minio_data_downloader.flags import main
from flatfiles_assets_tests.ingest.archives.hostile_archives import CORPUS, plain_zip
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.s3_servers import S3Server

pytestmark = pytest.mark.slow

BARS = b"Ticker,Date,Open,High,Low,Close,Volume\n" + b"".join(
    b"IBM,2008-01-%02d,1.5,1.75,1.25,1.5,1000\n" % day for day in (2, 3, 4, 7)
)


@pytest.fixture
def environment(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A bucket with two years, one of them hostile, and two directories; settings that point to it."""
    bucket, client = s3.new_bucket(), s3.client()
    objects = {
        "2008.zip": plain_zip({"bars.csv": BARS}),
        "2009.zip": CORPUS["name: parent folder"](),
        "financials/a.csv": b"a,b\n1,2\n",
        "samples/b.csv": b"a,b\n1,2\n",
    }
    for key, data in objects.items():
        client.put_object(Bucket=bucket, Key=key, Body=data)
    variables = {
        "MINIO_ENDPOINT_URL": s3.endpoint_url,
        "MINIO_BUCKET": bucket,
        "MINIO_ACCESS_KEY": s3.access_key_id,
        "MINIO_SECRET_KEY": s3.secret_access_key,
        "FLATFILES_MAX_RETRIES": "0",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return {**os.environ, **variables}


Captured = pytest.CaptureFixture[str]


def _json(capsys: Captured) -> dict[str, object]:
    captured = capsys.readouterr()
    assert captured.err == "", "nothing but JSON for programs, and no bars where there is no terminal"
    return json.loads(captured.out)


def test_the_module_runs_as_the_documents_show(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flatfiles_assets.minio_data_downloader"]
    arguments = ["--download-historical", "2008", "--extract-historical", "2008", "--cache-dir", "mirror"]
    finished = subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert finished.returncode == 0, finished.stderr
    assert "1 downloaded" in finished.stdout
    assert "1 files" in finished.stdout
    assert finished.stderr == ""
    assert (tmp_path / "mirror" / "historical" / "2008" / "bars.csv").read_bytes() == BARS


def test_every_flag_at_once_is_done_in_order(environment: dict[str, str], capsys: Captured) -> None:
    code = main(
        [
            *("--download-historical", "2008", "--extract-historical", "2008"),
            *("--download-directory", "financials", "samples", "--sync-all", "--verify"),
            *("--integration-config", "--json"),
        ]
    )
    document = _json(capsys)
    assert code == 0
    assert document["ok"]
    assert [action["action"] for action in document["actions"]] == [
        "download 2008", "extract 2008", "download financials", "download samples", "synchronise all",
        "verify", "describe",
    ]  # fmt: skip
    results = {action["action"]: action["data"] for action in document["actions"]}
    assert results["synchronise all"]["downloaded"] == 1, "2009 was not there yet"
    assert results["synchronise all"]["unchanged"] == 3
    assert results["verify"]["summary"]["ok"] == 5
    assert results["describe"]["historical"]["2008"]["bars"] == 4
    assert Path("data/minio_cache/historical/2008.zip").exists()


def test_a_flag_without_years_means_every_year(environment: dict[str, str], capsys: Captured) -> None:
    assert main(["--download-historical", "--json"]) == 0
    assert _json(capsys)["actions"][0]["data"]["downloaded"] == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--download-historical", "1999"], "the bucket has no 1999.zip"),
        (["--download-directory", "nothing"], "the bucket has no such directory"),
        (["--extract-historical", "2008"], "the ZIP of 2008 is not in the cache"),
        (
            ["--download-historical", "--extract-historical", "2009"],
            "'../evil.csv' has an empty, . or .. part",
        ),
    ],
)
def test_the_exit_code_is_1_unless_everything_asked_for_is_true(
    environment: dict[str, str], capsys: Captured, arguments: list[str], complaint: str
) -> None:
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert "failed" in captured.out
    assert main([*arguments, "--sync-all", "--json"]) == 1, "what succeeds does not hide what failed"
    document = _json(capsys)
    assert not document["ok"]
    assert document["actions"][-1]["ok"]
    assert complaint in json.dumps(document["actions"])


def test_verify_fails_on_a_flipped_byte_and_names_the_file(
    environment: dict[str, str], capsys: Captured
) -> None:
    assert main(["--sync-all"]) == 0
    assert main(["--verify"]) == 0
    Path("data/minio_cache/samples/b.csv").write_bytes(b"a,b\n1,3\n")
    capsys.readouterr()
    assert main(["--verify"]) == 1
    assert "samples/b.csv is changed" in capsys.readouterr().err
    assert main(["--sync-all", "--verify"]) == 0
    assert Path("data/minio_cache/samples/b.csv").read_bytes() == b"a,b\n1,2\n"


def test_cleanup_removes_the_zip(environment: dict[str, str]) -> None:
    assert main(["--download-historical", "2008", "--extract-historical", "2008", "--cleanup"]) == 0
    assert not Path("data/minio_cache/historical/2008.zip").exists()
    assert Path("data/minio_cache/historical/2008/bars.csv").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--download-historical", "08"],
        ["--extract-historical"],
        ["--extract-historical", "x"],
        ["--nonsense"],
    ],
)
def test_a_wrong_call_is_explained_with_exit_code_2(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    assert ending.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_nothing_asked_for_shows_the_help(capsys: Captured) -> None:
    assert main([]) == 2
    assert "--sync-all" in capsys.readouterr().err


def test_missing_credentials_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    for name in ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["--sync-all"]) == 1
    assert "MINIO_ACCESS_KEY and MINIO_SECRET_KEY not set" in capsys.readouterr().err


def test_the_data_directory_of_the_settings_is_where_the_mirror_is(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path / "elsewhere"))
    assert main(["--download-directory", "samples"]) == 0
    assert (tmp_path / "elsewhere" / "minio_cache" / "samples" / "b.csv").exists()


def test_the_verbs_do_what_the_flags_do(environment: dict[str, str]) -> None:
    def run(*arguments: str) -> tuple[int, dict[str, object]]:
        result = CliRunner().invoke(minio_group, [*arguments, "--json"])
        return result.exit_code, json.loads(result.stdout)

    for arguments, action in (
        (["download-historical", "2008"], "download 2008"),
        (["download-historical"], "download every year"),
        (["extract-historical", "2008", "--cleanup"], "extract 2008"),
        (["download-directory", "financials", "samples"], "download financials"),
        (["sync-all"], "synchronise all"),
        (["verify"], "verify"),
        (["integration-config"], "describe"),
    ):
        code, document = run(*arguments)
        assert code == 0, document
        assert document["actions"][0]["action"] == action
    code, document = run("extract-historical", "2009")
    assert code == 1
    assert not document["ok"]
    assert sorted(minio_group.commands) == [
        "download-directory", "download-historical", "explain", "extract-historical", "integration-config",
        "sync-all", "verify",
    ]  # fmt: skip


def test_a_terminal_gets_progress_bars(environment: dict[str, str], tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "flatfiles_assets.minio_data_downloader", "--sync-all"]
    process = subprocess.Popen(
        command, env={**environment, "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=follower, cwd=tmp_path
    )
    os.close(follower)
    drawn = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not piece:
            break
        drawn += piece
    assert process.wait(timeout=PATIENCE_SECONDS) == 0
    os.close(leader)
    assert process.stdout is not None
    process.stdout.close()
    assert b"fetching" in drawn


def test_explain_shows_what_a_year_is_understood_as_and_loads_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    runner = CliRunner(env=environment)
    assert runner.invoke(minio_group, ["download-historical", "2008"]).exit_code == 0

    shown = runner.invoke(minio_group, ["explain", "2008"])
    asked = runner.invoke(minio_group, ["explain", "2008", "--json"])

    assert shown.exit_code == 0, shown.output
    assert "symbols from the column" in shown.output
    document = json.loads(asked.stdout)
    assert document["ok"]
    assert (document["year"], document["bars"], document["tickers"]) == (2008, 4, 1)
    assert document["first_bars"][0]["ticker"] == "IBM"
    assert not list(tmp_path.rglob("*.duckdb"))


def test_explain_prints_the_entry_that_settles_a_file_and_takes_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    header = "Date,Open,High,Low,Close,Volume (000)\n"
    (tmp_path / "IBM.csv").write_text(header + "2008-01-02,10,11,9,10,5\n2008-01-03,10,11,9,10,6\n")
    runner = CliRunner(env=environment)

    refused = runner.invoke(minio_group, ["explain", str(tmp_path / "IBM.csv")])
    asked = json.loads(runner.invoke(minio_group, ["explain", "--json", str(tmp_path / "IBM.csv")]).stdout)
    (tmp_path / "layouts.toml").write_text(asked["files"][0]["override_entry"])
    again = runner.invoke(
        minio_group,
        ["explain", str(tmp_path / "IBM.csv"), "--overrides", str(tmp_path / "layouts.toml"), "--json"],
    )

    assert refused.exit_code == 1
    assert "volume_scale = 1000" in refused.output
    assert not asked["ok"]
    assert json.loads(again.stdout)["first_bars"][0]["volume"] == 5000.0


def test_explain_of_what_is_not_there_says_what_to_do(environment: dict[str, str]) -> None:
    missing = CliRunner(env=environment).invoke(minio_group, ["explain", "1999"])
    assert missing.exit_code == 1
    assert "download-historical 1999" in missing.output

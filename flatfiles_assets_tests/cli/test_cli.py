"""The command line says what it did, what it could not do and what to do next; its exit code agrees."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from flatfiles_assets.calendars import sessions
from flatfiles_assets.cli import main
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.platform import Platform


def _flatfiles(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_a_backfill_asks_only_for_what_is_missing_and_ends_with_zero_when_all_is_there(platform: Platform):
    platform.put_range("2024-01-02", "2024-01-04")
    first = _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-03")
    second = _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-04")
    third = _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-04")

    assert (first.exit_code, second.exit_code, third.exit_code) == (0, 0, 0), first.output + second.output
    assert "2 of 2 sessions from 2024-01-02 to 2024-01-03 to do" in first.stderr
    assert "1 of 3 sessions" in second.stderr
    assert "all 3 sessions from 2024-01-02 to 2024-01-04 are present" in third.stderr


def test_a_backfill_with_failures_ends_with_one_and_groups_them_by_reason(platform: Platform):
    platform.put("2024-01-02")
    platform.put("2024-01-03", "truncated")
    result = _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-04")

    assert result.exit_code == 1
    assert "1 of 3 sessions present" in result.stderr
    assert re.search(r"corrupt: 1 session", result.stderr)
    assert re.search(r"not_published: 1 session", result.stderr)


def test_the_status_counts_what_is_expected_present_and_failed(platform: Platform):
    platform.put("2024-01-02")
    platform.put("2024-01-05", "misdated")
    _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-05")

    found = json.loads(_flatfiles("status", "stocks_daily", "--json").stdout)["stocks_daily"]

    assert found["expected"] == 4
    assert found["states"] == {"present": 1, "refused": 1, "not_published": 2}
    assert {entry["session"] for entry in found["incomplete"]} == {"2024-01-03", "2024-01-04", "2024-01-05"}


def test_the_status_picture_has_one_mark_per_session(platform: Platform):
    platform.put("2024-01-02")
    _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-05")

    picture = _flatfiles("status", "stocks_daily").stdout

    assert re.search(r"2024-01 +■PPP", picture)


def test_sql_prints_rows_as_a_table_csv_or_json(platform: Platform):
    platform.put("2024-01-02")
    _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-02")
    query = "SELECT ticker FROM market.stocks_daily WHERE ticker IN ('NA', 'TRUE') ORDER BY ticker"

    assert _flatfiles("sql", query, "--json").stdout == '{"ticker":"NA"}\n{"ticker":"TRUE"}\n'
    assert _flatfiles("sql", query, "--csv").stdout == '"ticker"\n"NA"\n"TRUE"\n'
    assert "TRUE" in _flatfiles("sql", query).stdout


def test_sql_cannot_write(platform: Platform):
    platform.put("2024-01-02")
    _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-02")
    result = _flatfiles("sql", "DELETE FROM market.stocks_daily")

    assert result.exit_code == 1
    assert platform.rows("SELECT count(*) > 0 FROM market.stocks_daily") == [(True,)]


def test_verify_finds_a_flipped_byte_and_a_backfill_repairs_it(platform: Platform):
    body = platform.put("2024-01-02")
    _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-02")
    (path,) = (platform.data_dir / "flatfiles_cache").rglob("2024-01-02.csv.gz")
    path.write_bytes(body[:100] + bytes([body[100] ^ 1]) + body[101:])

    damaged = _flatfiles("verify", "stocks_daily")
    _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-02")
    repaired = _flatfiles("verify", "stocks_daily")

    assert damaged.exit_code == 1
    assert "2024-01-02.csv.gz" in damaged.stderr
    assert repaired.exit_code == 0, repaired.stderr
    assert path.read_bytes() == body


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("backfill", "stocks_daily", "--start", "2024-02-30"), "not a calendar date"),
        (("backfill", "stocks_daily", "--start", "2024-03-01", "--end", "2024-02-01"), "reversed"),
        (("backfill", "stock_daily", "--start", "2024-03-01"), "stocks_daily"),
        (("sql", "SELECT 1 FROM market.nothing"), "backfill"),
        (("run", "no_such_job"), "use one of"),
        (("run", "daily_prices"), "--start"),
    ],
)
def test_a_wrong_word_gets_an_answer_that_helps(
    platform: Platform, arguments: tuple[str, ...], expected: str
):
    result = _flatfiles(*arguments)

    assert result.exit_code != 0
    assert expected in result.output
    assert "Traceback" not in result.output


def test_missing_credentials_are_named_and_nothing_is_made(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("FLATFILES_SECRET_ACCESS_KEY")
    result = _flatfiles("backfill", "stocks_daily", "--start", "2024-01-02", "--end", "2024-01-03")

    assert result.exit_code == 1
    assert "FLATFILES_SECRET_ACCESS_KEY" in result.output
    assert not platform.data_dir.exists()


@pytest.mark.slow
def test_the_demo_runs_to_its_end_and_finds_every_fault(tmp_path):
    """What `make demo` runs, in a process of its own."""
    folder = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "flatfiles_assets", "demo", "--data-dir", str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for expected in (
        "corrupt: 1 session(s)",
        "not_published: 1 session(s)",
        "refused: 1 session(s)",
        "379 rows before, 572 after",
        "../../outside.csv",
        "understood as: daily bars; pipe-separated",
    ):
        assert expected in " ".join(done.stdout.split()), expected


def test_the_demo_leaves_a_folder_alone_that_it_did_not_make(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    result = _flatfiles("demo", "--data-dir", str(tmp_path))

    assert result.exit_code == 1
    assert "no demo made" in result.output
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_what_the_system_refuses_is_one_message(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path / "file"))
    for verb in ("status", "verify"):
        result = _flatfiles(verb)
        assert result.exit_code == 1
        assert "error:" in result.stderr
        assert str(tmp_path / "file") in result.stderr.replace("\n", "")
        assert "Traceback" not in result.output


def test_a_ledger_that_is_damaged_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path))
    ledger = tmp_path / "flatfiles_cache" / "metadata" / "ledger.sqlite"
    ledger.parent.mkdir(parents=True)
    ledger.write_bytes(b"no database" * 100)
    result = _flatfiles("status")
    assert result.exit_code == 1
    assert "move it away" in result.stderr


def test_settings_that_are_not_utf_8_are_one_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"FLATFILES_BUCKET=\xff\n")
    result = _flatfiles("status")
    assert result.exit_code == 1
    assert "save the file as UTF-8" in result.stderr


def test_a_range_of_holidays_has_no_session(platform: Platform):
    result = _flatfiles("backfill", "stocks_daily", "--start", "2023-12-30", "--end", "2024-01-01")
    assert result.exit_code == 0
    assert "there is no session from 2023-12-30 to 2024-01-01" in result.stderr


def test_a_backfill_into_the_future_counts_only_days_that_were(platform: Platform):
    today = dt.datetime.now(dt.timezone.utc).date()
    soon, later = str(today + dt.timedelta(days=9)), str(today + dt.timedelta(days=400))
    refused = _flatfiles("backfill", "stocks_daily", "--start", soon, "--end", later)
    assert refused.exit_code == 1
    assert f"{soon} is yet to come" in refused.stderr

    begun = str(today - dt.timedelta(days=5))
    result = _flatfiles("backfill", "stocks_daily", "--start", begun, "--end", later)
    expected = len(sessions("XNYS", begun, today))
    assert f"{expected} of {expected} sessions from {begun} to {today} to do" in result.stderr
    assert len(result.stderr.splitlines()) < 20


def test_a_status_into_the_future_counts_only_days_that_were(platform: Platform):
    today = dt.datetime.now(dt.timezone.utc).date()
    begun, later = str(today - dt.timedelta(days=9)), str(today + dt.timedelta(days=400))
    result = _flatfiles("status", "stocks_daily", "--start", begun, "--end", later, "--json")
    assert json.loads(result.stdout)["stocks_daily"]["expected"] == len(sessions("XNYS", begun, today))
    soon = str(today + dt.timedelta(days=9))
    result = _flatfiles("status", "stocks_daily", "--start", soon, "--end", later, "--json")
    assert json.loads(result.stdout)["stocks_daily"]["expected"] == 0


def test_a_file_of_a_closed_day_is_found_by_a_backfill_shown_and_loaded_as_the_status_says(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    closed = "2024-03-29"  # Good Friday
    header = "ticker,volume,open,close,high,low,window_start,transactions"
    body = f"{header}\nAAPL,10,1,2,3,1,1711684800000000000,5\n".encode()
    platform.server.client().put_object(
        Bucket=platform.bucket,
        Key=f"us_stocks_sip/day_aggs_v1/2024/03/{closed}.csv.gz",
        Body=gzip.compress(body, mtime=0),
    )
    platform.put("2024-03-28")
    result = _flatfiles("backfill", "stocks_daily", "--start", "2024-03-28", "--end", closed)
    assert result.exit_code == 0, result.output
    assert "1 day(s) that the calendar calls closed" in result.stderr
    shown = json.loads(_flatfiles("status", "stocks_daily", "--json").stdout)["stocks_daily"]
    (found,) = shown["incomplete"]
    assert found["session"] == closed
    setting = re.search(r"FLATFILES_EXTRA_SESSIONS=(\S+)", found["detail"])
    assert setting
    monkeypatch.setenv("FLATFILES_EXTRA_SESSIONS", setting[1])
    # In a process of its own: the calendar of one that runs stays as it was.
    command = [sys.executable, "-m", "flatfiles_assets", "backfill", "stocks_daily"]
    again = subprocess.run(
        [*command, "--start", closed, "--end", closed],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert again.returncode == 0, again.stderr
    assert platform.rows(f"SELECT ticker FROM market.stocks_daily WHERE trade_date = '{closed}'") == [
        ("AAPL",)
    ]
    assert "failed" not in json.loads(_flatfiles("status", "--json").stdout)["stocks_daily"]["states"]

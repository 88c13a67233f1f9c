"""The machine's zone, language and terminal change no answer."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time

import pyarrow as pa
import pytest

from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.table import schema_from_arrow

pytestmark = pytest.mark.slow

ZONES = ["UTC", "Asia/Tokyo", "America/New_York"]
QUESTIONS = [
    "SELECT CAST(window_start AS DATE) AS day, hour(window_start) AS h, CAST(window_start AS VARCHAR) AS t, "
    "count(*) AS n FROM market.minutes GROUP BY ALL ORDER BY ALL",
    "SELECT count(*) AS before FROM market.minutes WHERE window_start < '2024-03-12'",
]


@pytest.fixture
def minutes(warehouse: Warehouse) -> Warehouse:
    starts = [dt.datetime(2024, 3, 11, hour, tzinfo=dt.timezone.utc) for hour in (1, 8, 14, 23)]
    rows = pa.table({"window_start": pa.array(starts, pa.timestamp("us", tz="UTC"))})
    key = ("market", "minutes")
    with warehouse.writer("test") as transaction:
        transaction.replace_all(schema_from_arrow(key, rows.schema), rows)
    return warehouse


@pytest.mark.usefixtures("minutes")
@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_is_the_same_in_three_zones(tmp_path, question):
    answers = {
        zone: _cli("sql", question, "--csv", TZ=zone, FLATFILES_DATA_DIR=str(tmp_path)) for zone in ZONES
    }
    assert len(set(answers.values())) == 1, answers


@pytest.mark.usefixtures("minutes")
def test_python_sees_moments_in_utc(tmp_path, minutes, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with minutes.reader() as reader:
            (first,) = (
                reader.sql("SELECT min(window_start) FROM market.minutes").arrow().to_pylist()[0].values()
            )
            assert reader.sql("SELECT current_setting('TimeZone') AS z").arrow().to_pylist() == [{"z": "UTC"}]
        assert first == dt.datetime(2024, 3, 11, 1, tzinfo=dt.timezone.utc)
    finally:
        monkeypatch.undo()
        time.tzset()


C_LOCALE = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.usefixtures("minutes")
@pytest.mark.parametrize(
    ("variables", "flags"),
    [
        ({"PYTHONIOENCODING": "ascii"}, []),
        ({"PYTHONIOENCODING": "latin-1"}, ["--json"]),
        (C_LOCALE, []),
        (C_LOCALE, ["--csv"]),
        ({"LC_ALL": "de_DE.UTF-8", "COLUMNS": "20"}, []),
    ],
    ids=str,
)
def test_language_and_terminal_change_nothing_but_glyphs(tmp_path, variables, flags):
    question = (
        "SELECT 'a name that is longer than most columns are, by far and on purpose' AS name, 'ä€' AS s"
    )
    shown = _cli("sql", question, *flags, FLATFILES_DATA_DIR=str(tmp_path), **variables)
    assert b"a name that is longer than most columns are, by far and on purpose" in shown


@pytest.mark.usefixtures("minutes")
def test_piped_output_is_not_cut(tmp_path):
    wide = ", ".join(f"'{name * 12}' AS column_{name}" for name in "abcdefgh")
    shown = _cli("sql", f"SELECT {wide}", FLATFILES_DATA_DIR=str(tmp_path)).decode()
    assert all(name * 12 in shown and f"column_{name}" in shown for name in "abcdefgh")
    assert "stocks_minute" in _cli("status", FLATFILES_DATA_DIR=str(tmp_path)).decode()


def _cli(*arguments: str, **variables: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "flatfiles_assets", *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

"""A researcher's script that mypy checks strictly needs no casts: the form asked for is the frame's type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import flatfiles_assets

SCRIPT = """
import pandas as pd
import polars as pl
import pyarrow as pa

from flatfiles_assets import DataIntegration

door = DataIntegration()
RANGE = (["KO", "PEP"], "2024-01-02", "2024-03-28")


def closes() -> pl.DataFrame:
    data = door.get_data_for_algorithm("momentum", *RANGE, as_="polars", adjust="none")
    return data["price_data"].drop_nulls()


def returns() -> pd.DataFrame:
    return door.get_data_for_algorithm("momentum", *RANGE)["returns_data"]


def symbols() -> list[str]:
    known: list[str] = door.get_data_for_algorithm("momentum", *RANGE).metadata["symbols"]
    return known


bars: pl.DataFrame = door.load_prices(*RANGE, as_="polars", ensure=False)
plain: pd.DataFrame = door.load_prices(*RANGE)
unified: pa.Table = door.create_unified_dataset(*RANGE, ["prices"], as_="arrow", timeframe="annual")
chain: pl.DataFrame = door.option_chain("KO", "2024-01-02", as_="polars", option_type="C")
members: pd.DataFrame = door.universe("2024-01-02", top=10)
"""
WRONG = """
from flatfiles_assets import DataIntegration

DataIntegration().load_prices(["KO"], "2024-01-02", "2024-01-02", as_="polars").set_index("symbol")
DataIntegration().load_prices(["KO"], "2024-01-02", "2024-01-02", as_="table")
DataIntegration().load_prices(["KO"], "2024-01-02", "2024-01-02", adjusted="none")
"""


def test_frames_have_the_type_of_the_form_asked_for(tmp_path):
    (tmp_path / "right.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text(WRONG)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", tmp_path / "right.py", tmp_path / "wrong.py"],
        cwd=Path(flatfiles_assets.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert not [line for line in errors if "right.py" in line], done.stdout
    assert {line.split("wrong.py:")[1].split(":")[0] for line in errors} == {"4", "5", "6"}, done.stdout

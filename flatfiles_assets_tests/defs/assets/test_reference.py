"""Splits and dividends become tables, from the vendor or from dropped files, all or nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import dagster as dg
import pytest

from flatfiles_assets.defs.assets.reference import build_reference_assets
from flatfiles_assets.defs.assets.reference_source import ReferenceSource
from flatfiles_assets.defs.io_manager import WarehouseIOManager
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets_tests.reference_server import API_KEY, Answer, serving

pytestmark = pytest.mark.slow

MARKET = SyntheticMarket(20)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FLATFILES_MAX_RETRIES", "0")
    monkeypatch.delenv("FLATFILES_API_KEY", raising=False)
    return tmp_path


def materialize(data_dir: Path, *names: str) -> dg.ExecuteInProcessResult:
    path = str(data_dir / "w.duckdb")
    return dg.materialize(
        build_reference_assets(),
        selection=[dg.AssetKey(["reference", name]) for name in names],
        resources={
            "warehouse": WarehouseResource(database=path),
            "warehouse_io": WarehouseIOManager(database=path),
        },
        raise_on_error=False,
    )


def rows(data_dir: Path, name: str) -> int:
    return len(Warehouse(data_dir / "w.duckdb").reader().table(f"reference.{name}"))


def reason(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    error = failed.step_failure_data.error
    while error.cause:
        error = error.cause
    return error.message


def drop(folder: Path, name: str, records: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict:
    (event,) = result.asset_materializations_for_node(f"reference__{name}")
    return {key: value.value for key, value in event.metadata.items()}


def test_both_tables_come_from_the_vendor_where_a_key_is_set(data_dir, monkeypatch):
    drop(data_dir / "reference", "splits", MARKET.splits()[:1])
    dividends = MARKET.dividends()
    with serving(records={"splits": MARKET.splits(), "dividends": dividends}) as server:
        monkeypatch.setenv("FLATFILES_API_KEY", API_KEY)
        monkeypatch.setenv("FLATFILES_API_URL", server.url)
        result = materialize(data_dir, "splits", "dividends")
    assert result.success
    assert rows(data_dir, "splits") == len(MARKET.splits())
    assert rows(data_dir, "dividends") == len(dividends)
    assert metadata(result, "dividends")["source"] == "api"
    assert metadata(result, "dividends")["dagster/row_count"] == len(dividends)


def test_without_a_key_they_come_from_the_folder(data_dir, monkeypatch):
    drop(data_dir / "reference", "splits", MARKET.splits())
    assert materialize(data_dir, "splits").success
    assert rows(data_dir, "splits") == len(MARKET.splits())

    elsewhere = data_dir / "elsewhere"
    monkeypatch.setenv("FLATFILES_REFERENCE_DIR", str(elsewhere))
    drop(elsewhere, "splits", [*MARKET.splits()[:2], {**MARKET.splits()[2], "split_to": 0}])
    result = materialize(data_dir, "splits")
    assert rows(data_dir, "splits") == 2
    assert (metadata(result, "splits")["rejected"], metadata(result, "splits")["source"]) == (1, "splits.csv")


def test_without_either_the_error_tells_both_ways(data_dir):
    said = reason(materialize(data_dir, "dividends"))
    assert "FLATFILES_API_KEY" in said
    assert f"dividends.csv or dividends.parquet into {data_dir / 'reference'}" in said


@pytest.mark.parametrize(
    "answer",
    [Answer(401), Answer(500), Answer(200, b"{}"), Answer(200, b"no json")],
    ids=lambda a: str(a.status),
)
def test_a_failed_or_empty_answer_leaves_the_table_as_it_is(data_dir, monkeypatch, answer):
    drop(data_dir / "reference", "splits", MARKET.splits())
    materialize(data_dir, "splits")
    with serving(records={}, answers=[answer]) as server:
        monkeypatch.setenv("FLATFILES_API_KEY", API_KEY)
        monkeypatch.setenv("FLATFILES_API_URL", server.url)
        result = materialize(data_dir, "splits")
    assert not result.success
    assert API_KEY not in reason(result)
    assert rows(data_dir, "splits") == len(MARKET.splits())


@pytest.mark.parametrize(
    "content", [b"", b"ticker,execution_date,split_from,split_to\n", b"\xef\xbb\xbf\n\n"]
)
def test_an_empty_file_leaves_the_table_as_it_is(data_dir, content):
    drop(data_dir / "reference", "splits", MARKET.splits())
    assert materialize(data_dir, "splits").success
    (data_dir / "reference" / "splits.csv").write_bytes(content)

    said = reason(materialize(data_dir, "splits"))

    assert "no splits at all" in said
    assert "left as it is" in said
    assert rows(data_dir, "splits") == len(MARKET.splits())


def test_a_ticker_that_does_not_show_is_left_out(data_dir):
    drop(data_dir / "reference", "splits", [MARKET.splits()[0], {**MARKET.splits()[1], "ticker": "A\x1bB"}])
    result = materialize(data_dir, "splits")
    assert metadata(result, "splits")["rejected"] == 1
    assert rows(data_dir, "splits") == 1


@pytest.mark.parametrize(
    "url", ["http://api.example", "http://192.0.2.1:80", "http://127.0.0.1.evil.example"]
)
def test_the_key_travels_encrypted_unless_it_stays_on_this_machine(data_dir, monkeypatch, url):
    monkeypatch.setenv("FLATFILES_API_KEY", API_KEY)
    monkeypatch.setenv("FLATFILES_API_URL", url)
    assert "not one of https" in reason(materialize(data_dir, "splits"))


def test_the_users_own_overrides_may_be_empty(data_dir):
    (data_dir / "reference").mkdir()
    (data_dir / "reference" / "overrides.csv").write_text("ticker,execution_date,kind,action\n")
    found = ReferenceSource(load_settings()).dropped("overrides")
    assert found is not None
    assert found.table.num_rows == 0

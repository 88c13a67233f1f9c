"""Securities, their records and the audit as assets: from the vendor, from dropped files, from bars alone."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from flatfiles_assets.defs.assets.corporate_actions import build_corporate_action_assets
from flatfiles_assets.defs.assets.identities import build_identity_assets
from flatfiles_assets.defs.assets.reference import build_reference_assets
from flatfiles_assets.defs.io_manager import WarehouseIOManager
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.tables import DAILY_PRICES
from flatfiles_assets_tests.histories import bars_table, history, store
from flatfiles_assets_tests.reference_server import API_KEY, Answer, serving

pytestmark = pytest.mark.slow

FUND = history("META", "2021-12-01", "2022-01-28", 12.31)
FACEBOOK = history("FB", "2021-12-01", "2022-06-08", 184.0)
RENAMED = history("META", "2022-06-09", "2022-12-30", 184.0)
WORLD = (FUND, FACEBOOK, RENAMED)
NAMES = ("tickers", "ticker_events", "securities")


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FLATFILES_MAX_RETRIES", "0")
    monkeypatch.delenv("FLATFILES_API_KEY", raising=False)
    return tmp_path


def warehouse(data_dir: Path) -> Warehouse:
    return Warehouse(data_dir / "w.duckdb", lock_timeout_seconds=30)


def materialize(data_dir: Path, *names: str, **config: Any) -> dg.ExecuteInProcessResult:
    path = str(data_dir / "w.duckdb")
    ops = {name: {"config": values} for name, values in config.items()}
    return dg.materialize(
        [*build_reference_assets(), *build_identity_assets(), *build_corporate_action_assets()],
        selection=[dg.AssetKey(["reference", name]) for name in names or NAMES],
        resources={
            "warehouse": WarehouseResource(database=path),
            "warehouse_io": WarehouseIOManager(database=path),
        },
        raise_on_error=False,
        run_config={"ops": ops, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(f"reference__{name}")
    return {key: value.value for key, value in event.metadata.items()}


def rows(data_dir: Path, query: str) -> list[tuple]:
    return warehouse(data_dir).reader().sql(query).fetchall()


def ids(data_dir: Path) -> dict[tuple[str, str], str]:
    found = rows(data_dir, "SELECT ticker, first_session, security_id FROM reference.securities")
    return {(ticker, str(first)): security for ticker, first, security in found}


def drop(folder: Path, name: str, records: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for record in records for key in record)))
        writer.writeheader()
        writer.writerows(records)


def test_from_bars_alone_a_rename_is_suggested_and_the_users_file_confirms_it(data_dir):
    store(warehouse(data_dir), *WORLD)
    result = materialize(data_dir)
    assert result.success
    assert metadata(result, "tickers")["source"] == "none"
    assert ids(data_dir)["META", "2022-06-09"] == "META@2022-06-09"
    assert rows(data_dir, "SELECT old_ticker, new_ticker, status FROM reference.suspected_renames") == [
        ("FB", "META", "suggested")
    ]
    drop(data_dir / "reference", "renames.csv", [{"old_ticker": "FB", "new_ticker": "META"}])
    assert materialize(data_dir, "securities").success
    assert ids(data_dir)["META", "2022-06-09"] == "FB@2021-12-01"
    assert rows(data_dir, "SELECT status FROM reference.suspected_renames") == [("confirmed",)]


def test_dropped_files_name_identities_and_renames(data_dir):
    store(warehouse(data_dir), *WORLD)
    folder = data_dir / "reference"
    drop(folder, "ticker_events.csv", [
        {"composite_figi": "BBG1", "date": "2012-05-18", "ticker": "FB"},
        {"composite_figi": "BBG1", "date": "2022-06-09", "ticker": "META"},
    ])  # fmt: skip
    drop(folder, "tickers.csv", [
        {"date": "2022-01-03", "ticker": "META", "share_class_figi": "FUND", "type": "ETF", "active": "true"},
        {"date": "2022-01-03", "ticker": "FB", "share_class_figi": "FACEBOOK", "type": "CS"},
    ])  # fmt: skip
    result = materialize(data_dir)
    assert result.success
    assert ids(data_dir) == {
        ("META", "2021-12-01"): "FUND",
        ("FB", "2021-12-01"): "FACEBOOK",
        ("META", "2022-06-09"): "FACEBOOK",
    }
    assert metadata(result, "tickers")["source"] == "tickers.csv"


SNAPSHOT = {"active": True, "name": "x", "type": "CS", "market": "stocks", "locale": "us"}


def test_the_vendors_snapshots_are_asked_for_each_month_and_around_changes_and_once(data_dir, monkeypatch):
    store(warehouse(data_dir), *WORLD)
    with serving() as server:
        monkeypatch.setenv("FLATFILES_API_KEY", API_KEY)
        monkeypatch.setenv("FLATFILES_API_URL", server.url)
        server.tickers = [
            {**SNAPSHOT, "date": "2022-01-03", "ticker": "FB", "share_class_figi": "F"},
            {**SNAPSHOT, "date": "2022-12-30", "ticker": "META", "share_class_figi": "F"},
            {**SNAPSHOT, "date": "2022-12-30", "ticker": "META", "active": False, "share_class_figi": "OLD",
             "delisted_utc": "2022-02-01T05:00:00Z"},
        ]  # fmt: skip
        result = materialize(data_dir)
        asked = {t.split("date=")[1][:10] for t, _ in server.requests if "active=true" in t}
        assert {"2021-12-01", "2022-01-03", "2022-02-01", "2022-12-30"} <= asked
        assert metadata(result, "tickers")["snapshots_stored"] == 2
        assert ids(data_dir)["FB", "2021-12-01"] == ids(data_dir)["META", "2022-06-09"] == "F"
        assert ids(data_dir)["META", "2021-12-01"] == "OLD"
        server.requests.clear()
        materialize(data_dir, "tickers")
        again = {t.split("date=")[1][:10] for t, _ in server.requests}
        assert not again & {"2022-01-03", "2022-12-30"}, "what is stored is not asked for again"


def test_an_empty_or_refused_answer_wipes_nothing(data_dir, monkeypatch):
    store(warehouse(data_dir), *WORLD)
    with serving() as server:
        monkeypatch.setenv("FLATFILES_API_KEY", API_KEY)
        monkeypatch.setenv("FLATFILES_API_URL", server.url)
        server.tickers = [{**SNAPSHOT, "date": "2022-12-30", "ticker": "META", "share_class_figi": "F"}]
        assert materialize(data_dir).success
        server.tickers = []
        assert materialize(data_dir, "tickers", reference__tickers={"refresh": True}).success
        assert rows(data_dir, "SELECT count(*) FROM reference.tickers") == [(1,)]
        server.answers = [Answer(403)]
        assert materialize(data_dir, "tickers").success
        server.answers = [Answer(401)]
        assert not materialize(data_dir, "tickers").success
        assert rows(data_dir, "SELECT count(*) FROM reference.tickers") == [(1,)]


def test_events_are_asked_for_where_a_rename_is_suspected(data_dir, monkeypatch):
    store(warehouse(data_dir), *WORLD)
    events = [
        {"type": "ticker_change", "date": "2012-05-18", "ticker_change": {"ticker": "FB"}},
        {"type": "ticker_change", "date": "2022-06-10", "ticker_change": {"ticker": "META"}},
    ]
    with serving(events={"META": {"name": "Meta", "composite_figi": "BBG", "events": events}}) as server:
        monkeypatch.setenv("FLATFILES_API_KEY", API_KEY)
        monkeypatch.setenv("FLATFILES_API_URL", server.url)
        result = materialize(data_dir)
        assert result.success
        asked = [t for t, _ in server.requests if "/events" in t]
        assert asked == ["/vX/reference/tickers/META/events?types=ticker_change"]
        assert ids(data_dir)["META", "2022-06-09"] == "FB@2021-12-01"
        server.requests.clear()
        materialize(data_dir, "ticker_events")
        assert not any("/events" in t for t, _ in server.requests)
        assert rows(data_dir, "SELECT count(*) FROM reference.ticker_events") == [(2,)]


def test_bars_of_the_unified_table_say_which_security_they_are_of(data_dir):
    bars = bars_table(*WORLD)
    unified = bars.append_column("source", [["flat_files"] * bars.num_rows]).append_column(
        "security_id", [[None] * bars.num_rows]
    )
    days = sorted({*FACEBOOK.days, *RENAMED.days})
    with warehouse(data_dir).writer("test") as transaction:
        transaction.replace(DAILY_PRICES, unified.cast(DAILY_PRICES.arrow_schema), {"trade_date": days})
    assert metadata(materialize(data_dir), "securities")["bars_with_another_security"] == bars.num_rows
    drop(data_dir / "reference", "renames.csv", [{"old_ticker": "FB", "new_ticker": "META"}])
    result = materialize(data_dir, "securities")
    assert metadata(result, "securities")["bars_with_another_security"] == len(RENAMED.days)
    assert rows(
        data_dir, "SELECT ticker, security_id, count(*) FROM market.daily_prices GROUP BY ALL ORDER BY ALL"
    ) == [
        ("FB", "FB@2021-12-01", len(FACEBOOK.days)),
        ("META", "FB@2021-12-01", len(RENAMED.days)),
        ("META", "META@2021-12-01", len(FUND.days)),
    ]


def test_the_audit_stores_every_case_and_its_check_names_what_only_a_person_can_settle(data_dir):
    store(
        warehouse(data_dir),
        history("CPRT", "2017-01-03", "2017-08-31", 62.0, splits=[("2017-04-11", 1, 2)]),
        history("NONE", "2017-01-03", "2017-08-31", 90.0, splits=[("2017-05-11", 1, 3)]),
        history("FINE", "2017-01-03", "2017-08-31", 90.0, splits=[("2017-05-11", 1, 3)]),
    )
    folder = data_dir / "reference"
    fields = ("ticker", "execution_date", "split_from", "split_to", "id")
    split_rows = [
        ("CPRT", "2017-04-10", 1, 2, "a"),
        ("CPRT", "2017-04-11", 1, 2, "b"),
        ("FINE", "2017-05-11", 1, 3, "c"),
    ]
    drop(folder, "splits.csv", [dict(zip(fields, row, strict=True)) for row in split_rows])
    drop(folder, "dividends.csv", [
        {"ticker": "FINE", "ex_date": "2017-03-01", "cash_amount": 1, "currency": "CAD"},
    ])  # fmt: skip
    names = ("splits", "dividends", *NAMES, "corporate_action_audit")
    result = materialize(data_dir, *names)
    assert result.success
    found = rows(
        data_dir, "SELECT kind, ticker, verdict, applied FROM reference.corporate_action_audit ORDER BY ALL"
    )
    assert found == [
        ("dividend", "FINE", "unusable", False),
        ("jump", "NONE", "no_record", False),
        ("split", "CPRT", "confirmed", True),
        ("split", "CPRT", "contradicted", False),
        ("split", "FINE", "confirmed", True),
    ]
    assert metadata(result, "corporate_action_audit")["not_applied"] == 3
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert "1 contradicted; 1 no_record" in check.description

    drop(folder, "overrides.csv", [
        {"ticker": "CPRT", "date": "2017-04-10", "action": "ignore"},
        {"ticker": "NONE", "date": "2017-05-11", "action": "add", "split_from": 1, "split_to": 3},
    ])  # fmt: skip
    result = materialize(data_dir, "corporate_action_audit")
    assert metadata(result, "corporate_action_audit")["overrides"] == 2
    assert rows(data_dir, "SELECT applied FROM reference.corporate_action_audit WHERE ticker = 'NONE'") == [
        (True,)
    ]
    (check,) = result.get_asset_check_evaluations()
    assert check.passed, "what the user has settled is settled"


def test_an_override_that_cannot_be_understood_is_named_and_the_others_count(data_dir):
    store(warehouse(data_dir), history("KO", "2017-01-03", "2017-08-31", 62.0))
    drop(data_dir / "reference", "overrides.csv", [
        {"ticker": "KO", "date": "2017-04-10", "action": "delete"},
        {"ticker": "KO", "date": "2017-04-10", "action": "move"},
        {"ticker": "KO", "date": "2017-04-11", "action": "add"},
        {"ticker": "KO", "date": "2017-04-10", "action": "ignore"},
    ])  # fmt: skip
    result = materialize(data_dir, "corporate_action_audit")
    assert metadata(result, "corporate_action_audit")["overrides_rejected"] == 3
    assert metadata(result, "corporate_action_audit")["overrides"] == 1


def test_without_anything_loaded_there_are_no_securities_and_no_error(data_dir):
    assert materialize(data_dir).success
    assert rows(data_dir, "SELECT count(*) FROM reference.securities") == [(0,)]


def test_a_list_of_tickers_without_a_date_is_as_of_when_it_was_written(data_dir):
    store(warehouse(data_dir), *WORLD)
    drop(data_dir / "reference", "tickers.csv", [{"ticker": "META", "share_class_figi": "F"}])
    materialize(data_dir, "tickers")
    today = dt.datetime.now(dt.timezone.utc).date()
    ((day, active),) = rows(data_dir, "SELECT snapshot_date, active FROM reference.tickers")
    assert (day, active) == (today, True)


def test_a_plan_without_the_endpoints_leaves_securities_to_the_bars(data_dir, monkeypatch):
    store(warehouse(data_dir), *WORLD)
    with serving(answers=[Answer(403), Answer(403)]) as server:
        monkeypatch.setenv("FLATFILES_API_KEY", API_KEY)
        monkeypatch.setenv("FLATFILES_API_URL", server.url)
        result = materialize(data_dir)
        assert result.success
        assert len(server.requests) == 2
    assert metadata(result, "tickers")["snapshots_not_entitled"] > 0
    assert len(ids(data_dir)) == 3

"""Sessions: what they return, what they refuse, and that they hold nothing."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import (
    QueryFailed,
    ReadOnlyViolation,
    TableNotFound,
    WarehouseMissing,
)
from flatfiles_assets.warehouse.reading import QueryResult, WarehouseReader
from flatfiles_assets.warehouse.workspace import open_warehouse
from flatfiles_assets_tests.patience import PATIENCE_SECONDS
from flatfiles_assets_tests.warehouse.bars import (
    STOCKS_DAILY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    day_bars,
)


@pytest.fixture
def reader(warehouse: Warehouse) -> WarehouseReader:
    # As a backfill that starts with the latest gap would load them.
    for day in (WEDNESDAY, THURSDAY, TUESDAY):
        with warehouse.writer("test") as transaction:
            transaction.replace(STOCKS_DAILY, day_bars([day]), {"trade_date": [day]})
    return warehouse.reader()


def test_before_anything_is_loaded_the_error_says_what_to_run(warehouse: Warehouse):
    with pytest.raises(WarehouseMissing, match=r"make demo.*flatfiles backfill"):
        warehouse.reader().sql("SELECT 1")
    assert not warehouse.path.exists()


def test_open_warehouse_reads_the_file_that_the_settings_name(
    reader: WarehouseReader, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path))
    assert open_warehouse().tables() == ["market.stocks_daily"]
    with open_warehouse(path) as opened:
        assert opened.tables() == ["market.stocks_daily"]


def test_a_result_comes_as_whatever_is_asked_for(reader: WarehouseReader):
    result = reader.sql(
        "SELECT trade_date, ticker, volume FROM market.stocks_daily WHERE ticker = ? ORDER BY ALL", ["T00001"]
    )
    days = [TUESDAY, WEDNESDAY, THURSDAY]
    assert result.fetchall() == [(day, "T00001", 100.0) for day in days]
    assert result.fetchone() == (TUESDAY, "T00001", 100.0)
    assert result.columns == ["trade_date", "ticker", "volume"]
    assert len(result) == 3
    assert isinstance(result.arrow(), pa.Table)
    assert result.arrow() is result.to_arrow()
    assert isinstance(result.pl(), pl.DataFrame)
    assert isinstance(result.df(), pd.DataFrame)
    assert list(result.df().trade_date) == [pd.Timestamp(day) for day in days]
    assert "T00001" in repr(result)


def test_parameters_may_be_named_and_may_be_lists(reader: WarehouseReader):
    result = reader.sql(
        "SELECT count(*) FROM market.stocks_daily WHERE list_contains($tickers, ticker)",
        {"tickers": ["T00000", "T00002"]},
    )
    assert result.fetchone() == (6,)


@pytest.mark.parametrize("statement", ["DESCRIBE market.stocks_daily", "EXPLAIN SELECT 1", "SHOW ALL TABLES"])
def test_statements_about_tables_are_answered_too(reader: WarehouseReader, statement: str):
    assert len(reader.sql(statement)) > 0


def test_a_statement_without_rows_has_an_empty_result(reader: WarehouseReader):
    assert reader.sql("SELECT 1 WHERE false").fetchall() == []
    assert reader.sql("SELECT 1 WHERE false").fetchone() is None


def test_columns_of_the_same_name_stay_apart(reader: WarehouseReader):
    result = reader.sql("SELECT 1 AS a, 2 AS a, 3 AS a")
    assert result.columns == ["a", "a_1", "a_2"]
    assert result.pl().row(0) == (1, 2, 3)


def test_times_are_in_utc_on_a_machine_elsewhere(reader: WarehouseReader, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "America/New_York")
    result = reader.sql("SELECT make_timestamptz(0) AS epoch")
    assert result.to_arrow().schema.field("epoch").type == pa.timestamp("us", tz="UTC")
    assert result.fetchone() == (dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc),)


def test_a_table_is_in_order_of_sessions_whatever_the_order_of_loading(reader: WarehouseReader):
    in_order = pa.concat_tables([day_bars([day]) for day in (TUESDAY, WEDNESDAY, THURSDAY)])
    assert reader.table("market.stocks_daily").to_arrow().equals(in_order)


@pytest.mark.parametrize(
    ("bounds", "days"),
    [
        ({"start": WEDNESDAY}, [WEDNESDAY, THURSDAY]),
        ({"end": "2024-01-03"}, [TUESDAY, WEDNESDAY]),
        ({"start": "2024-01-03", "end": "2024-01-03"}, [WEDNESDAY]),
        ({"where": {"trade_date": [TUESDAY, THURSDAY]}}, [TUESDAY, THURSDAY]),
        ({"where": {"trade_date": []}}, []),
        ({"where": {"ticker": "NONE"}}, []),
    ],
    ids=str,
)
def test_a_table_is_narrowed_by_sessions_both_included_and_by_values(
    reader: WarehouseReader, bounds: dict[str, object], days: list[dt.date]
):
    result = reader.table("market.stocks_daily", ["trade_date"], **bounds)
    assert sorted({day for (day,) in result.fetchall()}) == days
    assert result.columns == ["trade_date"]


@pytest.mark.parametrize("columns", [["nothing"], [], "ticker"])
def test_columns_that_are_not_the_tables_are_refused_with_those_that_are(
    reader: WarehouseReader, columns: list[str]
):
    with pytest.raises(InvalidArgument, match="trade_date, ticker, open"):
        reader.table("market.stocks_daily", columns)


def test_a_missing_table_is_refused_with_similar_names_first(reader: WarehouseReader):
    for ask in (reader.table, reader.schema, lambda name: reader.sql(f"SELECT * FROM {name}")):
        with pytest.raises(TableNotFound, match=r"use market\.stocks_daily"):
            ask("market.stock_daily")
    with pytest.raises(TableNotFound, match=r"use market\.stocks_daily"):
        reader.sql("SELECT * FROM algorithm.stocks_daily")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM market.stocks_daily",
        "CREATE TABLE market.x (y INT)",
        "DROP TABLE market.stocks_daily",
    ],
)
def test_a_session_only_reads(reader: WarehouseReader, statement: str):
    with pytest.raises(ReadOnlyViolation):
        reader.sql(statement)
    assert len(reader.table("market.stocks_daily")) == 9


def test_a_mistake_in_a_query_is_explained_in_duckdbs_words(reader: WarehouseReader):
    with pytest.raises(QueryFailed, match=r"Referenced column .tickr. not found"):
        reader.sql("SELECT tickr FROM market.stocks_daily")


def test_a_session_and_its_results_leave_the_file_free(reader: WarehouseReader, path: Path):
    """Whatever is kept: the session, results, errors with their tracebacks."""
    kept = [reader.sql("SELECT * FROM market.stocks_daily"), reader.table("market.stocks_daily")]
    with pytest.raises(QueryFailed) as error:
        reader.sql("SELECT tickr FROM market.stocks_daily")
    kept.append(error)
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE market.x (y INT)")
    assert reader.sql("SELECT count(*) FROM market.x").fetchone() == (0,)


def test_a_held_session_shows_one_state_and_a_writer_waits_for_its_end(warehouse: Warehouse):
    """Who computes from several queries needs them to agree, and must not wait behind who waits for it."""

    def write(volume: float) -> None:
        with warehouse.writer("test") as transaction:
            rows = day_bars([TUESDAY], volume=volume)
            transaction.replace(STOCKS_DAILY, rows, {"trade_date": [TUESDAY]})

    def volumes(reader: WarehouseReader) -> set[float]:
        return set(reader.table("market.stocks_daily").to_arrow()["volume"].to_pylist())

    write(1.0)
    session = warehouse.reader(timeout=PATIENCE_SECONDS)
    writer = threading.Thread(target=write, args=(2.0,))
    with session.held() as held:
        held.sql("SET VARIABLE seen = 7")
        writer.start()
        writer.join(0.5)
        assert writer.is_alive()
        assert volumes(held) == {1.0}
        assert held.tables() == ["market.stocks_daily"]
        assert held.schema("market.stocks_daily") == STOCKS_DAILY
        assert len(held.scan("SELECT * FROM market.stocks_daily")) == 3
        with held.held() as again:
            assert again.sql("SELECT getvariable('seen')").fetchone() == (7,), "one connection for all calls"
    writer.join(PATIENCE_SECONDS)
    assert volumes(session) == {2.0}


def test_a_held_session_gives_the_file_back_after_an_error(reader: WarehouseReader, path: Path):
    with pytest.raises(QueryFailed), reader.held() as held:
        held.sql("SELECT tickr FROM market.stocks_daily")
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE x (y INT)")


def test_without_a_warehouse_there_is_nothing_to_hold_or_scan(warehouse: Warehouse):
    with pytest.raises(WarehouseMissing), warehouse.reader().held():
        pass
    with pytest.raises(WarehouseMissing):
        warehouse.reader().scan("SELECT 1")


@pytest.mark.slow
def test_a_scan_reads_more_than_it_has_memory_for_and_leaves_none_of_its_limits(
    warehouse: Warehouse, path: Path
):
    def limit_gib(result: QueryResult) -> float:
        (text,) = result.to_arrow()["memory"].to_pylist()
        value, unit = text.split()
        return float(value) * {"MiB": 2**-10, "GiB": 1, "TiB": 2**10}[unit]

    limit = "SELECT current_setting('memory_limit') AS memory"
    session = warehouse.reader()
    with warehouse.writer("test") as transaction:
        transaction.create(STOCKS_DAILY)
    with duckdb.connect(path) as connection:
        connection.execute(
            "INSERT INTO market.stocks_daily SELECT DATE '2024-01-02', n::VARCHAR, "
            "random(), random(), random(), random(), random(), n FROM range(2_000_000) t(n)"
        )
    with session.held() as held:
        before = pytest.approx(limit_gib(held.sql(limit)), rel=0.05)
        assert limit_gib(held.scan(limit)) != before
        scanned = held.scan("SELECT close, ticker, volume FROM market.stocks_daily").to_arrow()
        assert limit_gib(held.sql(limit)) == before
        with pytest.raises(TableNotFound):
            held.scan("SELECT * FROM market.none")
        assert limit_gib(held.sql(limit)) == before
    expected = session.sql("SELECT close, ticker, volume FROM market.stocks_daily").to_arrow()
    assert scanned.equals(expected)
    in_order = session.scan("SELECT * FROM market.stocks_daily ORDER BY close, ticker").to_arrow()["close"]
    assert in_order.equals(pc.take(in_order, pc.sort_indices(in_order))), "a sort takes the memory it needs"


def test_the_schema_of_a_table_says_what_is_stored(reader: WarehouseReader, path: Path):
    assert reader.schema("market.stocks_daily") == STOCKS_DAILY
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE market.other (trade_date DATE, score FLOAT)")
    other = reader.schema("market.other")
    assert other.arrow_schema == pa.schema({"trade_date": pa.date32(), "score": pa.float32()})
    assert other.partition_column == "trade_date"


def test_a_session_shows_what_it_reads(reader: WarehouseReader, path: Path, tmp_path: Path):
    assert repr(reader) == f"WarehouseReader({str(path)!r}, read-only)"
    assert repr(open_warehouse(tmp_path / "x.duckdb")).endswith("not there yet)")

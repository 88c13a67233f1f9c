"""A reading session reads the warehouse and nothing else, whatever it is told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import ReadOnlyViolation, WarehouseError
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, TUESDAY, day_bars

COUNT = "SELECT count(*) FROM market.stocks_daily"


@pytest.fixture
def stored(warehouse: Warehouse) -> Warehouse:
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    return warehouse


@pytest.fixture(params=["one call", "held"])
def run(request: pytest.FixtureRequest, stored: Warehouse):
    def in_one_call(query: str) -> object:
        return stored.reader().sql(query).fetchall()

    def in_a_held_session(query: str) -> object:
        with stored.reader().held() as session:
            return session.sql(query).fetchall()

    return in_one_call if request.param == "one call" else in_a_held_session


@pytest.mark.parametrize(
    "query",
    [
        "USE memory; DETACH market; ATTACH '{file}' AS m; DELETE FROM m.market.stocks_daily",
        "USE memory; DETACH market; ATTACH '{file}' AS market",
        "DETACH market",
        "ATTACH ':memory:' AS other",
        "ATTACH '{folder}/other.duckdb'",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "COPY (SELECT 1) TO '{file}'",
        "COPY (SELECT 1) TO '{file}.wal'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}.wal'",
        "EXPLAIN (ANALYZE, FORMAT JSON) COPY (SELECT 1) TO '{file}.wal'",
        "explain analyze /* x */ copy (select 1) to '{file}.wal'",
        "-- x\nexplain -- y\nanalyze copy (select 1) to '{file}.wal'",
        "PREPARE p AS COPY (SELECT 1) TO '{file}.wal'; EXECUTE p",
        "SELECT 1; COPY (SELECT 1) TO '{file}.wal'",
        "EXPORT DATABASE '{folder}/export'",
        "IMPORT DATABASE '{folder}'",
        "COPY FROM DATABASE market TO memory",
        "SELECT * FROM read_text('{folder}/secret.txt')",
        "SELECT * FROM read_blob('{folder}/secret.txt')",
        "SELECT * FROM read_csv('{folder}/secret.txt')",
        "SELECT * FROM sniff_csv('{folder}/secret.txt')",
        "FROM '{folder}/secret.txt'",
        "SELECT * FROM glob('{folder}/*')",
        "EXPLAIN ANALYZE SELECT * FROM read_text('{folder}/secret.txt')",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_text('https://localhost:1/x')",
        "SET enable_external_access = true",
        "SET allowed_directories = ['{folder}']",
        "PRAGMA enable_profiling; SET profiling_output = '{folder}/profile'",
        "DELETE FROM market.stocks_daily",
        "DROP TABLE market.stocks_daily",
        "CREATE TABLE market.x (i INT)",
        "EXPLAIN ANALYZE DELETE FROM market.stocks_daily",
        "SELECT * FROM params",
    ],
)
def test_no_statement_changes_the_file_or_reaches_another(run, stored: Warehouse, query: str):
    folder = stored.path.parent
    (folder / "secret.txt").write_text("a\nsecret\n")
    before = _contents(folder)

    with pytest.raises(WarehouseError):
        run(query.format(file=stored.path, folder=folder))

    assert _contents(folder) == before
    assert run(COUNT) == [(len(day_bars([TUESDAY])),)]


def test_settings_of_a_call_are_settled(stored: Warehouse):
    for setting in ("lock_configuration = false", "memory_limit = '1GB'", "temp_directory = '/tmp'"):
        with pytest.raises(WarehouseError):
            stored.reader().sql(f"SET {setting}")


@pytest.mark.parametrize(
    "query",
    [
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT count(*) FROM market.stocks_daily",
        "DESCRIBE market.stocks_daily",
        "SHOW ALL TABLES",
        "SUMMARIZE market.stocks_daily",
        "PRAGMA database_list",
        "CREATE TEMP TABLE x AS SELECT 1 AS i; SELECT * FROM x",
        "WITH a AS (SELECT 1) FROM a",
        "SELECT * FROM duckdb_settings() LIMIT 1",
        "SELECT current_timestamp AT TIME ZONE 'America/New_York'",
        "SELECT 'COPY x TO y; ATTACH z'",
    ],
)
def test_reading_in_every_form_works(run, query: str):
    assert run(query) is not None


def test_the_refusal_says_how_exports_are_opened(stored: Warehouse, tmp_path: Path):
    for query in (f"COPY (SELECT 1) TO '{tmp_path}/x.csv'", f"FROM read_text('{tmp_path}/x')"):
        with pytest.raises(ReadOnlyViolation, match=r"--allow-files.*allow_files=True"):
            stored.reader().sql(query)


def test_a_sort_larger_than_memory_still_finds_room_beside_the_file(stored: Warehouse):
    with stored.reader().held() as session:
        session.sql("SET memory_limit = '60MB'")
        session.sql("SET threads = 1")
        rows = session.sql(
            "SELECT max(i) FROM (SELECT i, row_number() OVER (ORDER BY r, i) AS n FROM "
            "(SELECT range AS i, hash(range)::VARCHAR AS r FROM range(2_000_000)))"
        ).fetchall()
    assert rows == [(1_999_999,)]
    assert [found.name for found in stored.path.parent.iterdir() if "spill" in found.name] == []


@pytest.fixture
def with_files(stored: Warehouse) -> WarehouseReader:
    return stored.reader(allow_files=True)


def test_with_files_allowed_a_query_exports_and_reads_files(with_files: WarehouseReader, tmp_path: Path):
    with_files.sql(f"COPY market.stocks_daily TO '{tmp_path}/out.parquet'")
    found = with_files.sql(f"SELECT count(*) FROM '{tmp_path}/out.parquet'").fetchall()
    assert found == with_files.sql(COUNT).fetchall()


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{file}'",
        "COPY (SELECT 1) TO '{file}.wal'",
        "COPY (SELECT 1) TO $${file}$$",
        "COPY (SELECT 1) TO /* it */ '{file}' -- now",
        "COPY (SELECT 1) TO '{folder}/../{folder.name}/{file.name}'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
        "EXPORT DATABASE '{folder}'",
        "USE memory; DETACH market; ATTACH '{file}' AS m; DELETE FROM m.market.stocks_daily",
        "ATTACH '{folder}/other.duckdb'",
        "INSTALL httpfs",
        "DELETE FROM market.stocks_daily",
    ],
)
def test_with_files_allowed_the_warehouse_is_read_only_all_the_same(
    with_files: WarehouseReader, stored: Warehouse, query: str
):
    before = _contents(stored.path.parent)
    with pytest.raises(ReadOnlyViolation):
        with_files.sql(query.format(file=stored.path, folder=stored.path.parent))
    assert _contents(stored.path.parent) == before


def _contents(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "queue" not in path.name
    }

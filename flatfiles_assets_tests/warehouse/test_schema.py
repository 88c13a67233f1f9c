"""What tables are, and how SQL names them."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from flatfiles_assets.columns import Column
from flatfiles_assets.datasets import DATASETS
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import TableMismatch
from flatfiles_assets.warehouse.housekeeping import compact
from flatfiles_assets.warehouse.table import TableSchema, sql_type
from flatfiles_assets.warehouse.tables import TABLES, get_table
from flatfiles_assets_tests.warehouse import run_on_duckdb_1
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, TUESDAY, day_bars

pytestmark = pytest.mark.slow

MOMENTUM = TableSchema(
    ("algorithm", "momentum"),
    (Column("trade_date", pa.date32(), "Session"), Column("score", pa.float64(), "Score")),
)


def test_every_feed_has_a_table_with_exactly_its_stored_columns():
    for dataset in DATASETS.values():
        table = TABLES["market", dataset.name]
        assert table.arrow_schema == dataset.table_schema
        assert table.partition_column == "trade_date"
        assert table.row_order == ("trade_date", *dataset.sort_columns)


def test_an_unknown_table_is_refused_with_those_there_are():
    with pytest.raises(InvalidArgument, match="market/stocks_daily"):
        get_table(("market", "stock_daily"))


@pytest.mark.parametrize("file_name", ["warehouse.duckdb", "backup.duckdb"])
def test_an_assets_key_is_its_tables_name_in_our_sessions_and_in_plain_duckdb(
    warehouse: Warehouse, tmp_path: Path, file_name: str
):
    """A copy under any name, attached under any alias, has the same names."""
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
        transaction.replace_all(MOMENTUM, pa.table({"trade_date": [TUESDAY], "score": [1.0]}))
        assert transaction.execute("SELECT count(*) FROM market.stocks_daily") == [(3,)]

    session = warehouse.reader()
    assert session.tables() == ["algorithm.momentum", "market.stocks_daily"]
    assert session.sql("SELECT count(*) FROM market.stocks_daily").fetchone() == (3,)
    assert session.sql("SELECT score FROM algorithm.momentum").fetchone() == (1.0,)

    copy = tmp_path / file_name
    shutil.copy(warehouse.path, copy)
    with duckdb.connect(copy, read_only=True) as connection:
        assert connection.sql("SELECT score FROM algorithm.momentum").fetchall() == [(1.0,)]
        assert connection.sql("SELECT count(*) FROM market.stocks_daily").fetchall() == [(3,)]
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{copy}' AS db (READ_ONLY)")
        assert connection.sql("SELECT count(*) FROM db.market.stocks_daily").fetchall() == [(3,)]
        connection.execute("USE db")
        assert connection.sql("SELECT count(*) FROM market.stocks_daily").fetchall() == [(3,)]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (("market", "signal"), "market.signal"),
        (("signal",), "market.signal"),
        (("research", "mine", "signal"), "research_mine.signal"),
        (("warehouse", "signal"), "main.signal"),
        (("main", "signal"), "main.signal"),
    ],
)
def test_every_key_has_a_name_that_duckdb_does_not_find_ambiguous(
    warehouse: Warehouse, key: tuple[str, ...], name: str
):
    table = dataclasses.replace(MOMENTUM, key=key)
    with warehouse.writer("test") as transaction:
        transaction.replace_all(table, pa.table({"trade_date": [TUESDAY], "score": [1.0]}))
    reader = warehouse.reader()
    assert reader.tables() == [name] == [table.sql_name]
    assert reader.table(name).fetchall() == [(TUESDAY, 1.0)]
    assert reader.sql(f"SELECT score FROM {name}").fetchall() == [(1.0,)]


def test_names_without_a_schema_are_those_of_market(warehouse: Warehouse):
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    assert warehouse.reader().sql("SELECT count(*) FROM stocks_daily").fetchone() == (3,)


@pytest.mark.parametrize("compacted", [False, True])
def test_duckdb_1_reads_a_copy_of_the_warehouse_under_another_alias(
    warehouse: Warehouse, tmp_path: Path, compacted: bool
):
    """DuckDB 2's own format is read by no DuckDB 1, nor by the tools built on it."""
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    if compacted:
        compact(warehouse)
    copy = tmp_path / "backup.duckdb"
    shutil.copy(warehouse.path, copy)
    script = (
        "import duckdb, sys\n"
        f"assert duckdb.__version__ == {run_on_duckdb_1.VERSION!r}\n"
        "plain = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print(plain.sql('SELECT sum(volume) FROM market.stocks_daily'))\n"
        "connection = duckdb.connect()\n"
        "connection.execute(f\"ATTACH '{sys.argv[1]}' AS other (READ_ONLY)\")\n"
        "print(connection.sql('SELECT sum(volume) FROM other.market.stocks_daily').fetchone())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(run_on_duckdb_1.installed_folder())}
    found = subprocess.run(
        [sys.executable, "-c", script, str(copy)],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.endswith("(300.0,)\n")


def test_tables_are_made_with_the_registrys_types_constraints_and_comments(warehouse: Warehouse):
    minute = get_table(("market", "stocks_minute"))
    with warehouse.writer("test") as transaction:
        transaction.create(minute)
        columns = {
            name: (type_, nullable, comment)
            for name, type_, nullable, comment in transaction.execute(
                "SELECT column_name, data_type, is_nullable, comment FROM duckdb_columns() "
                "WHERE table_name = 'stocks_minute'"
            )
        }
        [(comment,)] = transaction.execute(
            "SELECT comment FROM duckdb_tables() WHERE table_name = 'stocks_minute'"
        )
    assert tuple(columns) == minute.column_names
    assert columns["trade_date"] == ("DATE", False, "Session, from the file's key (exchange date)")
    assert columns["ticker"][:2] == ("VARCHAR", False)
    assert columns["window_start"][:2] == ("TIMESTAMP WITH TIME ZONE", True)
    assert columns["volume"][:2] == ("DOUBLE", True)
    assert columns["transactions"][:2] == ("BIGINT", True)
    assert comment == "US stocks, one bar per ticker and minute, 04:00-20:00 New York"


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.sql_name)
def test_every_registered_table_is_stored_with_the_types_it_declares(
    warehouse: Warehouse, table: TableSchema
):
    with warehouse.writer("test") as transaction:
        transaction.create(table)
        transaction.create(table)  # finds nothing to change
        stored = dict(
            transaction.execute(
                "SELECT column_name, data_type FROM duckdb_columns() "
                "WHERE database_name = 'warehouse' AND schema_name <> 'flatfiles'"
            )
        )
    assert stored == {column.name: sql_type(column.table_type) for column in table.columns}


def test_a_column_added_to_the_registry_is_added_to_the_table_with_its_rows_kept(warehouse: Warehouse):
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    wider = dataclasses.replace(
        STOCKS_DAILY, columns=(*STOCKS_DAILY.columns, Column("vwap", pa.float64(), "Average price"))
    )
    with warehouse.writer("test") as transaction:
        transaction.create(wider)
    rows = warehouse.reader().sql("SELECT volume, vwap FROM market.stocks_daily").fetchall()
    assert rows == [(100.0, None)] * 3


def test_a_column_of_another_type_is_refused_and_the_message_names_both(warehouse: Warehouse):
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    columns = tuple(
        Column("volume", pa.int64(), "") if column.name == "volume" else column
        for column in STOCKS_DAILY.columns
    )
    changed = dataclasses.replace(STOCKS_DAILY, columns=columns)
    with (
        pytest.raises(TableMismatch, match=r"market\.stocks_daily\.volume.*DOUBLE.*BIGINT"),
        warehouse.writer("test") as transaction,
    ):
        transaction.create(changed)


def test_a_type_that_no_column_can_hold_is_refused_by_name():
    with pytest.raises(InvalidArgument, match="month_day_nano_interval"):
        sql_type(pa.month_day_nano_interval())

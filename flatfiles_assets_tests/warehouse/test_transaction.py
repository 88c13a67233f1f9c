"""Replacing partitions: all of it, or nothing, and never in silence."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flatfiles_assets.errors import InvalidArgument, UnexpectedColumns
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import (
    QueryFailed,
    RowsOutsidePartition,
    TableNotFound,
    WarehouseBusy,
    WarehouseError,
)
from flatfiles_assets.warehouse.table import schema_from_arrow
from flatfiles_assets.warehouse.tables import get_table
from flatfiles_assets_tests.warehouse.bars import (
    QUARANTINE,
    STOCKS_DAILY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    day_bars,
    tickers,
)

ROWS_PER_DAY = "SELECT trade_date, count(*), max(volume) FROM market.stocks_daily GROUP BY ALL ORDER BY ALL"


def store(warehouse: Warehouse, data: object, days: list[dt.date], **options: bool) -> dict[dt.date, int]:
    with warehouse.writer("test") as transaction:
        return transaction.replace(STOCKS_DAILY, data, {"trade_date": days}, **options)


def stored(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return warehouse.reader().sql(ROWS_PER_DAY).fetchall()


def as_reader(table: pa.Table) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(max_chunksize=2)))


KINDS = {
    "pyarrow table": lambda table: table,
    "pyarrow reader": as_reader,
    "record batch": lambda table: table.combine_chunks().to_batches()[0],
    "pandas": lambda table: table.to_pandas(),
    "pandas with datetimes": lambda table: table.to_pandas(date_as_object=False),
    "pandas with a named index": lambda table: table.to_pandas().set_index(["trade_date", "ticker"]),
    "polars": pl.from_arrow,
    "lazy polars": lambda table: pl.from_arrow(table).lazy(),
    "duckdb relation": lambda table: duckdb.connect().from_arrow(table),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_frame_stores_the_same_rows(warehouse: Warehouse, kind: str):
    bars = day_bars([TUESDAY, WEDNESDAY], row_count=5)
    assert store(warehouse, KINDS[kind](bars), [TUESDAY, WEDNESDAY]) == {TUESDAY: 5, WEDNESDAY: 5}
    assert warehouse.reader().table("market.stocks_daily").to_arrow().equals(bars)


def test_a_partition_is_replaced_and_its_neighbours_are_kept(warehouse: Warehouse):
    store(warehouse, day_bars([TUESDAY, WEDNESDAY, THURSDAY]), [TUESDAY, WEDNESDAY, THURSDAY])
    store(warehouse, day_bars([WEDNESDAY], row_count=2, volume=7), [WEDNESDAY])
    assert stored(warehouse) == [(TUESDAY, 3, 100.0), (WEDNESDAY, 2, 7.0), (THURSDAY, 3, 100.0)]


def test_storing_the_same_again_gives_the_same_rows(warehouse: Warehouse):
    for _ in range(2):
        store(warehouse, day_bars([TUESDAY]), [TUESDAY])
    assert warehouse.reader().table("market.stocks_daily").to_arrow().equals(day_bars([TUESDAY]))


@pytest.mark.parametrize("kind", ["pyarrow table", "pyarrow reader", "pandas", "polars"])
def test_columns_in_another_order_are_resolved_by_name(warehouse: Warehouse, kind: str):
    bars = day_bars([TUESDAY])
    reordered = bars.select(list(reversed(bars.column_names)))
    store(warehouse, KINDS[kind](reordered), [TUESDAY])
    assert warehouse.reader().table("market.stocks_daily").to_arrow().equals(bars)


@pytest.mark.parametrize("kind", ["pyarrow table", "pyarrow reader"])
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda bars: bars.drop_columns(["open"]), "missing: open"),
        (lambda bars: bars.append_column("vwap", bars["open"]), "not in the table: vwap"),
        (lambda bars: bars.append_column("open", bars["open"]), "repeated: open"),
        (lambda bars: bars.rename_columns([*bars.column_names[:-1], "trades"]), "missing: transactions"),
    ],
    ids=["missing", "extra", "repeated", "renamed"],
)
def test_wrong_columns_are_refused_and_the_old_rows_stay(
    warehouse: Warehouse, kind: str, wrong: object, named: str
):
    store(warehouse, day_bars([TUESDAY]), [TUESDAY])
    with pytest.raises(UnexpectedColumns, match=named):
        store(warehouse, KINDS[kind](wrong(day_bars([TUESDAY], volume=5))), [TUESDAY])
    assert stored(warehouse) == [(TUESDAY, 3, 100.0)]


@pytest.mark.parametrize("kind", ["pyarrow table", "pyarrow reader", "pandas"])
def test_rows_of_another_session_are_refused_and_nothing_is_written(warehouse: Warehouse, kind: str):
    store(warehouse, day_bars([TUESDAY]), [TUESDAY])
    with pytest.raises(RowsOutsidePartition, match="2024-01-04"):
        store(warehouse, KINDS[kind](day_bars([TUESDAY, THURSDAY], volume=5)), [TUESDAY, WEDNESDAY])
    assert stored(warehouse) == [(TUESDAY, 3, 100.0)]


@pytest.mark.parametrize("kind", ["pyarrow table", "pyarrow reader"])
def test_a_row_without_a_session_is_refused(warehouse: Warehouse, kind: str):
    bars = day_bars([TUESDAY])
    bars = bars.set_column(0, "trade_date", pa.array([TUESDAY, None, TUESDAY], pa.date32()))
    with pytest.raises(RowsOutsidePartition, match="NULL"):
        store(warehouse, KINDS[kind](bars), [TUESDAY])


@pytest.mark.parametrize("kind", ["pyarrow table", "pyarrow reader"])
def test_a_value_that_would_be_changed_by_its_columns_type_is_refused(warehouse: Warehouse, kind: str):
    """DuckDB alone would round 1.5 transactions to 2."""
    bars = day_bars([TUESDAY])
    bars = bars.set_column(7, "transactions", pa.array([1.0, 1.5, 2.0]))
    with pytest.raises(WarehouseError, match=r"market\.stocks_daily\.transactions"):
        store(warehouse, KINDS[kind](bars), [TUESDAY])


def test_a_null_where_the_table_allows_none_is_refused_and_the_old_rows_stay(warehouse: Warehouse):
    store(warehouse, day_bars([TUESDAY]), [TUESDAY])
    bars = day_bars([TUESDAY]).set_column(1, "ticker", pa.array(["A", None, "B"]))
    with pytest.raises(QueryFailed, match="NOT NULL constraint failed"):
        store(warehouse, bars, [TUESDAY])
    assert stored(warehouse) == [(TUESDAY, 3, 100.0)]


def test_no_rows_empty_the_partition_and_are_reported_as_zero(warehouse: Warehouse):
    store(warehouse, day_bars([TUESDAY, WEDNESDAY]), [TUESDAY, WEDNESDAY])
    assert store(warehouse, STOCKS_DAILY.arrow_schema.empty_table(), [TUESDAY]) == {TUESDAY: 0}
    assert stored(warehouse) == [(WEDNESDAY, 3, 100.0)]


def test_sessions_of_a_range_without_rows_are_reported_as_zero(warehouse: Warehouse):
    counts = store(warehouse, day_bars([TUESDAY, THURSDAY]), [TUESDAY, WEDNESDAY, THURSDAY])
    assert counts == {TUESDAY: 3, WEDNESDAY: 0, THURSDAY: 3}


@pytest.mark.parametrize("kind", ["pyarrow table", "pyarrow reader"])
def test_rows_are_stored_in_order_whatever_order_they_come_in(warehouse: Warehouse, kind: str, path: Path):
    bars = day_bars([TUESDAY, WEDNESDAY], row_count=50)
    shuffled = bars.take(np.random.default_rng(7).permutation(bars.num_rows))
    store(warehouse, KINDS[kind](shuffled), [TUESDAY, WEDNESDAY])
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.sql("FROM market.stocks_daily").to_arrow_table().equals(bars)


def test_rows_that_are_already_in_order_keep_it(warehouse: Warehouse, path: Path):
    bars = day_bars([TUESDAY], row_count=50)
    store(warehouse, as_reader(bars), [TUESDAY], presorted=True)
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.sql("FROM market.stocks_daily").to_arrow_table().equals(bars)


def test_rows_beside_a_null_are_not_taken_for_ordered(warehouse: Warehouse, path: Path):
    """Nothing compares with NULL, so such rows are sorted like any that are out of order."""
    numbers = [3, None, 1, 2]
    row = dict.fromkeys(QUARANTINE.column_names, "x") | {"trade_date": TUESDAY, "feed": "stocks_daily"}
    rows = pa.Table.from_pylist([row | {"row_number": n} for n in numbers], schema=QUARANTINE.arrow_schema)
    with warehouse.writer("test") as transaction:
        transaction.replace(QUARANTINE, rows, {"trade_date": [TUESDAY], "feed": ["stocks_daily"]})
    with duckdb.connect(path, read_only=True) as connection:
        stored_order = connection.sql("SELECT row_number FROM market.quarantine").fetchall()
    assert [n for (n,) in stored_order] == [1, 2, 3, None]


def test_one_feeds_part_of_a_shared_partition_is_replaced_alone(warehouse: Warehouse):
    def rejected(feed: str, count: int) -> pa.Table:
        row = dict.fromkeys(QUARANTINE.column_names, "x") | {
            "trade_date": TUESDAY,
            "feed": feed,
            "row_number": 1,
        }
        return pa.Table.from_pylist([row] * count, schema=QUARANTINE.arrow_schema)

    with warehouse.writer("test") as transaction:
        for feed, count in (("stocks_daily", 2), ("options_daily", 3), ("stocks_daily", 1)):
            counts = transaction.replace(
                QUARANTINE, rejected(feed, count), {"trade_date": [TUESDAY], "feed": [feed]}
            )
            assert counts == {TUESDAY: count}
    rows = warehouse.reader().sql("SELECT feed, count(*) FROM market.quarantine GROUP BY ALL ORDER BY ALL")
    assert rows.fetchall() == [("options_daily", 3), ("stocks_daily", 1)]


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"ticker": ["A"]},
        {"trade_date": []},
        {"trade_date": [TUESDAY], "ticker": ["A"]},
        {"trade_date": ["x"]},
    ],
    ids=str,
)
def test_a_replacement_must_say_which_partitions(warehouse: Warehouse, where: dict[str, list[object]]):
    with pytest.raises(InvalidArgument), warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), where)


def test_partitions_may_be_named_as_dagster_names_them(warehouse: Warehouse):
    with warehouse.writer("test") as transaction:
        counts = transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": ["2024-01-02"]})
    assert counts == {TUESDAY: 3}


def test_times_with_a_zone_are_the_same_instants_whatever_zone_they_come_in(warehouse: Warehouse):
    minute = get_table(("market", "stocks_minute"))
    starts = pd.to_datetime(["2024-01-02 09:30", "2024-01-02 09:31"]).tz_localize("America/New_York")
    frame = pd.DataFrame(dict.fromkeys(minute.column_names, 1.0), index=range(2)).assign(
        trade_date=TUESDAY, ticker="A", window_start=starts, transactions=1
    )
    with warehouse.writer("test") as transaction:
        transaction.replace(minute, frame, {"trade_date": [TUESDAY]})
    read = warehouse.reader().table("market.stocks_minute", ["window_start"])
    assert read.to_arrow().schema.field("window_start").type == pa.timestamp("us", tz="UTC")
    assert [str(value) for (value,) in read.fetchall()] == [
        "2024-01-02 14:30:00+00:00",
        "2024-01-02 14:31:00+00:00",
    ]


def test_a_table_without_partitions_is_replaced_whole(warehouse: Warehouse):
    with warehouse.writer("test") as transaction:
        assert transaction.replace_all(STOCKS_DAILY, day_bars([TUESDAY, WEDNESDAY])) == 6
    with warehouse.writer("test") as transaction:
        assert transaction.replace_all(STOCKS_DAILY, day_bars([THURSDAY])) == 3
    assert stored(warehouse) == [(THURSDAY, 3, 100.0)]


def test_a_query_replaces_partitions_and_sees_them_as_they_were(warehouse: Warehouse):
    store(warehouse, day_bars([TUESDAY, WEDNESDAY]), [TUESDAY, WEDNESDAY])
    with warehouse.writer("test") as transaction:
        counts = transaction.replace_from_query(
            STOCKS_DAILY,
            "SELECT * REPLACE (2 * volume AS volume) FROM market.stocks_daily WHERE trade_date = $day",
            {"trade_date": [TUESDAY, THURSDAY]},
            {"day": TUESDAY},
        )
    assert counts == {TUESDAY: 3, THURSDAY: 0}
    assert stored(warehouse) == [(TUESDAY, 3, 200.0), (WEDNESDAY, 3, 100.0)]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT * FROM market.stocks_daily", RowsOutsidePartition),
        ("SELECT * EXCLUDE (open) FROM market.stocks_daily", UnexpectedColumns),
        ("SELECT * FROM market.nowhere", TableNotFound),
        ("SELECT nothing FROM market.stocks_daily", QueryFailed),
    ],
)
def test_a_query_that_does_not_fit_changes_nothing(warehouse: Warehouse, query: str, error: type[Exception]):
    store(warehouse, day_bars([TUESDAY, WEDNESDAY]), [TUESDAY, WEDNESDAY])
    with pytest.raises(error), warehouse.writer("test") as transaction:
        transaction.replace_from_query(STOCKS_DAILY, query, {"trade_date": [TUESDAY]})
    assert stored(warehouse) == [(TUESDAY, 3, 100.0), (WEDNESDAY, 3, 100.0)]


def test_an_error_in_the_body_rolls_everything_back(warehouse: Warehouse):
    store(warehouse, day_bars([TUESDAY]), [TUESDAY])
    with pytest.raises(ZeroDivisionError), warehouse.writer("test") as transaction:  # noqa: PT012
        transaction.replace(STOCKS_DAILY, day_bars([WEDNESDAY]), {"trade_date": [WEDNESDAY]})
        raise ZeroDivisionError
    assert stored(warehouse) == [(TUESDAY, 3, 100.0)]


def test_an_error_that_is_caught_and_passed_over_still_commits_nothing(warehouse: Warehouse):
    """The delete has happened when the insert fails: to commit would lose the day."""
    store(warehouse, day_bars([TUESDAY]), [TUESDAY])
    bad = day_bars([TUESDAY]).set_column(1, "ticker", pa.nulls(3, pa.string()))
    with pytest.raises(WarehouseError, match="rolled back"), warehouse.writer("test") as transaction:  # noqa: PT012
        with pytest.raises(QueryFailed):
            transaction.replace(STOCKS_DAILY, bad, {"trade_date": [TUESDAY]})
        with pytest.raises(WarehouseError, match="already failed"):
            transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    assert stored(warehouse) == [(TUESDAY, 3, 100.0)]


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM market.nowhere", "SELEC 1", "INSERT INTO nowhere VALUES (1)"]
)
def test_after_an_error_the_file_is_free_at_once(warehouse: Warehouse, path: Path, statement: str):
    store(warehouse, day_bars([TUESDAY]), [TUESDAY])
    with pytest.raises(WarehouseError) as caught, warehouse.writer("test") as transaction:
        transaction.execute(statement)
    assert caught.value.__traceback__ is not None  # a traceback held must not hold the file
    duckdb.connect(path).close()
    store(warehouse, day_bars([TUESDAY], volume=1), [TUESDAY])


def test_a_reader_that_fails_midway_leaves_the_old_rows(warehouse: Warehouse):
    store(warehouse, day_bars([TUESDAY]), [TUESDAY])
    bars = day_bars([TUESDAY], volume=5)

    def batches():
        yield from bars.to_batches()
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        store(warehouse, pa.RecordBatchReader.from_batches(bars.schema, batches()), [TUESDAY])
    assert stored(warehouse) == [(TUESDAY, 3, 100.0)]


def test_a_writer_in_a_writer_of_the_same_thread_is_told_so_at_once(warehouse: Warehouse):
    with warehouse.writer("outer"), pytest.raises(WarehouseBusy, match=r"this very thread.*outer"):
        warehouse.reader().sql("SELECT 1")


def test_a_file_that_is_no_database_is_refused_with_its_path(path: Path, warehouse: Warehouse):
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(WarehouseError, match=str(path)):
        store(warehouse, day_bars([TUESDAY]), [TUESDAY])


def test_tables_of_unusual_names_are_stored_too(warehouse: Warehouse):
    rows = pa.table({"select": tickers(2), 'a "quoted" name': [1, 2]})
    table = schema_from_arrow(("order", "group"), rows.schema)
    with warehouse.writer("test") as transaction:
        assert transaction.replace_all(table, rows) == 2
    assert warehouse.reader().table("order.group").to_arrow().equals(rows)

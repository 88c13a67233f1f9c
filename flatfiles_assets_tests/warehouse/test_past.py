"""The warehouse as it was: every state read later is what was read then, for every table, row by row."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from flatfiles_assets.algorithms.registry import ALGORITHMS
from flatfiles_assets.columns import Column
from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import MomentUnknown, ReadOnlyViolation, TableNotFound
from flatfiles_assets.warehouse.features import update_features
from flatfiles_assets.warehouse.housekeeping import compact
from flatfiles_assets.warehouse.table import TableSchema, schema_from_arrow
from flatfiles_assets.warehouse.tables import DAILY_PRICES, FILES, SPLITS, TICKERS
from flatfiles_assets.warehouse.universe import update_universe
from flatfiles_assets_tests.market_warehouse import market_warehouse
from flatfiles_assets_tests.warehouse.bars import (
    QUARANTINE,
    STOCKS_DAILY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    day_bars,
)

pytestmark = pytest.mark.slow

Contents = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse" / "warehouse.duckdb", lock_timeout_seconds=30)


def contents(warehouse: Warehouse) -> Contents:
    """Every table with its columns and all its rows, each written out, signs of zero included."""
    found: Contents = {}
    with warehouse.reader().held() as reader:
        for name in reader.tables():
            rows = reader.sql(f"SELECT * FROM {name}")
            found[name] = [tuple(rows.columns), *sorted(tuple(map(repr, row)) for row in rows.fetchall())]
    return found


class Watched:
    """A warehouse of which every state is read while it is the present."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.seen: dict[int, Contents] = {}
        self.moments: dict[int, dt.datetime] = {}

    def look(self) -> None:
        state = self.warehouse.reader().state()
        assert state is not None
        self.seen[state] = contents(self.warehouse)
        self.moments[state] = dt.datetime.now(dt.timezone.utc)

    def replace(self, table: TableSchema, rows: Any, where: Mapping[str, Sequence[Any]]) -> None:
        with self.warehouse.writer("test") as transaction:
            transaction.replace(table, rows, where)
        self.look()

    def replace_all(self, table: TableSchema, rows: Any) -> None:
        with self.warehouse.writer("test") as transaction:
            transaction.replace_all(table, rows)
        self.look()

    def check(self, warehouse: Warehouse | None = None) -> None:
        for state, expected in self.seen.items():
            for as_of in (state, self.moments[state]):
                assert contents((warehouse or self.warehouse).at(as_of)) == expected, as_of


def rejected(day: dt.date, *reasons: str, feed: str = "stocks_daily") -> pa.Table:
    rows = [
        {"trade_date": day, "feed": feed, "row_number": number, QUARANTINE.column_names[-1]: reason}
        for number, reason in enumerate(reasons, 1)
    ]
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in QUARANTINE.column_names} for row in rows],
        schema=QUARANTINE.arrow_schema,
    )


def file_line(day: dt.date, sha256: str, rows: int) -> pa.Table:
    row: dict[str, Any] = dict.fromkeys(FILES.column_names)
    row |= {"trade_date": day, "feed": "stocks_daily", "sha256": sha256, "rows_accepted": rows}
    row["loaded_at"] = dt.datetime.now(dt.timezone.utc)
    return pa.Table.from_pylist([row], schema=FILES.arrow_schema)


def load(watched: Watched, day: dt.date, bars: pa.Table, reasons: Sequence[str], sha256: str) -> None:
    with watched.warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, bars, {"trade_date": [day]})
        transaction.replace(
            QUARANTINE, rejected(day, *reasons), {"trade_date": [day], "feed": ["stocks_daily"]}
        )
        transaction.replace(
            FILES,
            file_line(day, sha256, bars.num_rows),
            {"trade_date": [day], "feed": ["stocks_daily"]},
        )
    watched.look()


@pytest.fixture
def replaced(warehouse: Warehouse) -> Watched:
    """A session that was loaded, replaced again and again, and went back to what it was."""
    watched = Watched(warehouse)
    first = day_bars([TUESDAY])
    load(watched, TUESDAY, first, ["negative price"], "a")
    load(watched, WEDNESDAY, day_bars([WEDNESDAY]), [], "w")
    load(watched, TUESDAY, day_bars([TUESDAY], volume=7), ["negative price"], "b")  # values
    load(watched, TUESDAY, day_bars([TUESDAY], row_count=5, volume=7), ["other rule", "more"], "c")  # more
    load(watched, TUESDAY, day_bars([TUESDAY], row_count=1, volume=7), [], "d")  # fewer
    load(watched, TUESDAY, day_bars([TUESDAY], row_count=1, volume=7), [], "d")  # the same
    load(watched, TUESDAY, first, ["negative price"], "a")  # and back
    load(watched, THURSDAY, day_bars([THURSDAY]), [], "t")
    return watched


def test_each_state_is_read_as_it_was_then(replaced: Watched):
    replaced.check()


def test_compacting_forgets_nothing(replaced: Watched):
    compact(replaced.warehouse)
    replaced.check()


def test_history_holds_what_changed_and_nothing_else(replaced: Watched):
    lines = replaced.warehouse.reader().sql(
        "SELECT history_state, sum(history_times), count(*) FROM flatfiles_history_market.stocks_daily "
        "GROUP BY 1 ORDER BY 1"
    )
    # State 1 is the empty file; 2, 3 and 9 are first loads; the file of state 7 is the one of 6.
    assert lines.fetchall() == [(4, 0, 6), (5, 2, 2), (6, -4, 4), (8, 2, 4)]


def test_a_partition_emptied_and_filled_again(warehouse: Warehouse):
    watched = Watched(warehouse)
    for bars in (day_bars([TUESDAY]), day_bars([]), day_bars([TUESDAY], volume=2), day_bars([])):
        watched.replace(STOCKS_DAILY, bars, {"trade_date": [TUESDAY]})
    with warehouse.writer("test") as transaction:
        for volume in (3.0, 4.0):
            transaction.replace(STOCKS_DAILY, day_bars([TUESDAY], volume=volume), {"trade_date": [TUESDAY]})
            transaction.replace(STOCKS_DAILY, day_bars([]), {"trade_date": [TUESDAY]})
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY], volume=5), {"trade_date": [TUESDAY]})
    watched.look()
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([]), {"trade_date": [TUESDAY]})
        transaction.replace(STOCKS_DAILY, day_bars([TUESDAY], volume=6), {"trade_date": [TUESDAY]})
    watched.look()
    watched.check()


def test_one_part_of_a_partition_leaves_the_others(warehouse: Warehouse):
    watched = Watched(warehouse)
    for feed, reason in (("stocks_daily", "a"), ("options_daily", "b"), ("stocks_daily", "c")):
        rows = rejected(TUESDAY, reason, feed=feed)
        watched.replace(QUARANTINE, rows, {"trade_date": [TUESDAY], "feed": [feed]})
    watched.replace(QUARANTINE, rejected(TUESDAY, "z"), {"trade_date": [TUESDAY]})
    watched.check()


def test_rows_that_are_there_several_times_and_zeros_with_a_sign(warehouse: Warehouse):
    table = schema_from_arrow(
        ("market", "odd"), pa.schema([("x", pa.float64()), ("y", pa.list_(pa.string()))])
    )
    watched = Watched(warehouse)
    # DuckDB 1 writes zeros of both signs to the disk as zeros of one.
    minus = 0.0 if duckdb.__version__.startswith("1.") else -0.0
    for numbers in ([0.0, 0.0, np.nan], [minus, 0.0, 0.0], [minus], [np.nan, np.nan, None], []):
        rows = pa.table({"x": pa.array(numbers, pa.float64()), "y": [["a", None]] * len(numbers)}).cast(
            table.arrow_schema
        )
        watched.replace_all(table, rows)
    watched.check()


def test_a_table_that_is_refreshed_unchanged_grows_by_nothing(warehouse: Warehouse):
    rows = pa.Table.from_pylist(
        [
            dict.fromkeys(SPLITS.column_names)
            | {
                "ticker": f"T{number}",
                "execution_date": TUESDAY,
                "split_from": 1.0,
                "split_to": 2.0,
            }
            for number in range(50)
        ],
        schema=SPLITS.arrow_schema,
    )
    watched = Watched(warehouse)
    for _ in range(4):
        watched.replace_all(SPLITS, rows)
    with warehouse.writer("look") as transaction:
        held = transaction.query(
            "SELECT count(*) FROM duckdb_tables() WHERE starts_with(schema_name, 'flatfiles_history_')"
        )
        assert held.fetchone() == (0,)
    watched.replace_all(SPLITS, rows.slice(1))
    watched.check()
    with warehouse.writer("look") as transaction:
        held = transaction.query(
            "SELECT count(*), sum(history_times) FROM flatfiles_history_reference.splits"
        )
        assert held.fetchone() == (1, -1)


def test_a_partitioned_table_replaced_whole(warehouse: Warehouse):
    def snapshot(*days: dt.date, active: bool) -> pa.Table:
        rows = [
            dict.fromkeys(TICKERS.column_names) | {"snapshot_date": day, "ticker": "A", "active": active}
            for day in days
        ]
        return pa.Table.from_pylist(rows, schema=TICKERS.arrow_schema)

    watched = Watched(warehouse)
    watched.replace(TICKERS, snapshot(TUESDAY, active=True), {"snapshot_date": [TUESDAY]})
    watched.replace(TICKERS, snapshot(WEDNESDAY, active=True), {"snapshot_date": [WEDNESDAY]})
    watched.replace_all(TICKERS, snapshot(WEDNESDAY, THURSDAY, active=False))
    watched.replace_all(TICKERS, snapshot(TUESDAY, active=False))
    watched.check()


def test_a_table_whose_columns_become_others(warehouse: Warehouse):
    watched = Watched(warehouse)
    tables = [
        pa.table({"a": [1, 2]}),
        pa.table({"a": [1, 2]}),
        pa.table({"a": ["x", "x"], "b": [1.0, 2.0]}),
        pa.table({"b": [1.0, 2.0]}),
        pa.table({"a": [1, 3]}),
        pa.table({"a": [1, 4]}),
    ]
    for rows in tables:
        with warehouse.writer("test") as transaction:
            transaction.replace_table(schema_from_arrow(("market", "samples"), rows.schema), rows)
        watched.look()
    watched.check()


def test_columns_that_are_added(warehouse: Warehouse):
    watched = Watched(warehouse)
    watched.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": [TUESDAY]})
    watched.replace(STOCKS_DAILY, day_bars([TUESDAY], volume=2), {"trade_date": [TUESDAY]})
    wider = dataclasses.replace(
        STOCKS_DAILY, columns=(*STOCKS_DAILY.columns, Column("vwap", pa.string(), ""))
    )
    for volume, text in ((2.0, "x"), (3.0, "y")):
        bars = day_bars([TUESDAY], volume=volume).append_column("vwap", pa.array([text, None, text]))
        watched.replace(wider, bars, {"trade_date": [TUESDAY]})
    watched.check()


def test_a_table_that_is_partitioned_from_some_day_on(warehouse: Warehouse):
    rows = pa.table({"trade_date": [TUESDAY, WEDNESDAY], "x": [1, 2]})
    whole = schema_from_arrow(("mine", "own"), rows.schema)
    parted = schema_from_arrow(("mine", "own"), rows.schema, "trade_date")
    watched = Watched(warehouse)
    watched.replace_all(whole, rows)
    watched.replace_all(whole, rows.slice(1))
    watched.replace(parted, rows.slice(0, 1), {"trade_date": [TUESDAY]})
    watched.replace(parted, rows.slice(0, 0), {"trade_date": [WEDNESDAY]})
    watched.replace_all(whole, rows)
    watched.check()


def test_rows_that_are_changed_in_place(warehouse: Warehouse):
    names = DAILY_PRICES.column_names
    bars = day_bars([TUESDAY, WEDNESDAY]).to_pylist()
    rows = pa.Table.from_pylist(
        [{name: bar.get(name) for name in names} | {"source": "flat_files"} for bar in bars],
        schema=DAILY_PRICES.arrow_schema,
    )
    watched = Watched(warehouse)
    watched.replace(DAILY_PRICES, rows, {"trade_date": [TUESDAY, WEDNESDAY]})
    for name in ("one", "two"):
        source = (
            f"(SELECT 'T00001' AS ticker, '{name}' AS security_id) new WHERE bars.ticker = new.ticker "
            "AND bars.security_id IS DISTINCT FROM new.security_id"
        )
        with warehouse.writer("test") as transaction:
            assert transaction.update(DAILY_PRICES, ["security_id"], source) == 2
            assert transaction.update(DAILY_PRICES, ["security_id"], source) == 0
        watched.look()
    watched.check()


def test_a_query_that_replaces_is_remembered(warehouse: Warehouse):
    watched = Watched(warehouse)
    for volume in (1.0, 2.0, 2.0):
        for presorted in (False, True):
            query = "SELECT * FROM rows_given"
            with warehouse.writer("test") as transaction:
                transaction._connection.register("rows_given", day_bars([TUESDAY], volume=volume + presorted))
                transaction.replace_from_query(
                    STOCKS_DAILY, query, {"trade_date": [TUESDAY]}, presorted=presorted
                )
            watched.look()
    watched.check()


def test_a_table_is_not_there_before_it_was(replaced: Watched):
    with pytest.raises(TableNotFound):
        replaced.warehouse.at(1).reader().sql("FROM market.stocks_daily")
    assert replaced.warehouse.at(1).reader().tables() == []


def test_moments_of_which_nothing_is_known(replaced: Watched):
    def read(as_of: Any) -> None:
        replaced.warehouse.at(as_of).reader().sql("SELECT 1")

    with pytest.raises(MomentUnknown, match="remembers states 1 to 9"):
        read("2001-01-01 00:00")
    with pytest.raises(MomentUnknown, match="has not been yet"):
        read("2126-01-01 00:00")
    with pytest.raises(MomentUnknown, match="no state 10"):
        read(10)
    with pytest.raises(MomentUnknown, match="no run"):
        read("0a1b2c3d-0000-0000-0000-000000000000")


@pytest.mark.parametrize("as_of", ["2026-03-01", "yesterday", "2026-03-01 12:00 Mars/Base", 1.5, True, ""])
def test_what_names_no_moment_is_refused(warehouse: Warehouse, as_of: Any):
    with pytest.raises(InvalidArgument):
        warehouse.at(as_of)


@pytest.mark.parametrize(
    "as_of",
    [
        "2026-03-01 12:00",
        "2026-03-01T12:00:00Z",
        "2026-03-01 13:00+01:00",
        "2026-03-01 07:00 America/New_York",
        dt.datetime(2026, 3, 1, 12),  # noqa: DTZ001  (which is the case here)
        dt.datetime(2026, 3, 1, 7, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
    ],
)
def test_a_moment_is_utc_unless_it_says_its_zone(warehouse: Warehouse, as_of: Any):
    assert warehouse.at(as_of).as_of == dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone.utc)


def test_a_run_is_a_name_for_what_it_left(warehouse: Warehouse):
    runs = ["11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"]
    for number, run_id in enumerate(runs):
        mine = Warehouse(warehouse.path, run_id=run_id)
        for volume in (1.0, 2.0):
            bars = day_bars([TUESDAY], volume=volume + 10 * number)
            with mine.writer("test") as transaction:
                transaction.replace(STOCKS_DAILY, bars, {"trade_date": [TUESDAY]})
    volumes = [
        warehouse.at(as_of).reader().sql("SELECT max(volume) FROM market.stocks_daily").fetchone()
        for as_of in (runs[0], runs[1][:8])
    ]
    assert volumes == [(2.0,), (12.0,)]


def test_nobody_changes_the_past(replaced: Watched):
    then = replaced.warehouse.at(3)
    for statement in (
        "DELETE FROM market.stocks_daily",
        "CREATE TABLE market.mine AS SELECT 1",
        "DROP VIEW market.stocks_daily",
        "EXPLAIN ANALYZE DROP VIEW market.stocks_daily",
    ):
        with pytest.raises(ReadOnlyViolation):
            then.reader().sql(statement)
    with pytest.raises(ReadOnlyViolation), then.writer("test"):
        pass
    replaced.check()


def test_a_writer_that_changes_nothing_makes_no_state(replaced: Watched):
    before = replaced.warehouse.reader().state()
    with replaced.warehouse.writer("look") as transaction:
        transaction.query("SELECT 1")
    assert replaced.warehouse.reader().state() == before


def test_a_clock_that_goes_back_leaves_the_order(replaced: Watched):
    with replaced.warehouse.writer("test") as transaction:
        transaction.execute("UPDATE flatfiles.states SET since = since + INTERVAL 1 HOUR WHERE state = 9")
    replaced.replace(STOCKS_DAILY, day_bars([TUESDAY], volume=9), {"trade_date": [TUESDAY]})
    states = replaced.warehouse.reader().sql("SELECT since FROM flatfiles.states ORDER BY state").fetchall()
    assert states == sorted(set(states))
    assert contents(replaced.warehouse.at(states[-1][0])) == contents(replaced.warehouse)


def test_a_warehouse_of_the_schema_before_begins_with_what_it_has(replaced: Watched):
    path = replaced.warehouse.path
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP SCHEMA flatfiles_history_market CASCADE")
        for table in ("states", "tables", "loads", "made_from"):
            connection.execute(f"DROP TABLE flatfiles.{table}")
        connection.execute("UPDATE flatfiles.versions SET version = '1' WHERE part = 'schema'")
    old = contents(replaced.warehouse)
    assert replaced.warehouse.reader().state() is None
    with pytest.raises(MomentUnknown, match="remembers nothing yet"):
        replaced.warehouse.at(dt.datetime.now(dt.timezone.utc)).reader().tables()
    watched = Watched(replaced.warehouse)
    with watched.warehouse.writer("migrate"):
        pass
    watched.look()
    assert watched.seen == {1: old}
    load(watched, TUESDAY, day_bars([TUESDAY], volume=8), ["x"], "e")
    load(watched, dt.date(2024, 1, 5), day_bars([dt.date(2024, 1, 5)]), [], "f")
    watched.check()


def test_a_held_session_sees_the_past_too(replaced: Watched):
    with replaced.warehouse.at(4).reader().held() as reader:
        assert reader.state() == 4
        rows = reader.table("market.stocks_daily", ["volume"], start=TUESDAY, end=TUESDAY)
        assert set(rows.fetchall()) == {(7.0,)}
        assert reader.scan("SELECT max(volume) FROM market.stocks_daily").fetchone() == (100.0,)


def test_a_table_of_ones_own_under_any_name_is_listed(warehouse: Warehouse):
    rows = pa.table({"x": [1]})
    table = schema_from_arrow(("history_of_mine", "own"), rows.schema)
    watched = Watched(warehouse)
    watched.replace_all(table, rows)
    watched.replace_all(table, pa.table({"x": [2]}))
    assert warehouse.reader().tables() == ["history_of_mine.own"]
    watched.check()


def test_rows_computed_say_which_state_they_were_made_from(tmp_path: Path):
    warehouse = market_warehouse(tmp_path / "w.duckdb", SyntheticMarket(5), "2024-01-02", "2024-02-29")
    before = warehouse.reader().state()
    days = [dt.date(2024, 2, 28), dt.date(2024, 2, 29)]
    found = list(update_features(ALGORITHMS["momentum"], days, warehouse, adjust="none"))
    assert [each.input_state for each in found] == [before, before]
    (universe, _) = update_universe(days, warehouse)
    assert universe.input_state == warehouse.reader().state() - 1
    noted = warehouse.reader().sql("SELECT * FROM flatfiles.made_from ORDER BY ALL").fetchall()
    assert noted[0] == ("algorithm.momentum", days[0], before + 1, before)
    assert noted[3] == ("algorithm.universe", days[1], before + 2, before + 1)
    assert warehouse.at(before).reader().sql("FROM flatfiles.made_from").fetchall() == []

"""What assets return becomes a table, and what they ask for comes from one."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flatfiles_assets.defs.io_manager import WarehouseIOManager
from flatfiles_assets.errors import FlatFilesError, InvalidArgument
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import PartitionNotFound
from flatfiles_assets_tests.warehouse.bars import STOCKS_DAILY, TUESDAY, WEDNESDAY, day_bars

pytestmark = pytest.mark.slow

# Mondays to Fridays, New Year's Day and 3 January (a made-up closure within a week) left out.
SESSIONS = dg.TimeWindowPartitionsDefinition(
    start="2024-01-01",
    cron_schedule="0 0 * * *",
    fmt="%Y-%m-%d",
    timezone="America/New_York",
    # Dagster replaces the zone of an exclusion by the definition's.
    exclusions=["0 0 * * 0,6", dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 3)],  # noqa: DTZ001
    end="2024-02-01",
)
FRAMES: dict[type, Callable[[pa.Table], object]] = {
    pd.DataFrame: lambda table: table.to_pandas(),
    pa.Table: lambda table: table,
    pa.RecordBatchReader: lambda table: table.to_reader(),
    pl.DataFrame: pl.from_arrow,
    pl.LazyFrame: lambda table: pl.from_arrow(table).lazy(),
    duckdb.DuckDBPyRelation: lambda table: duckdb.connect().from_arrow(table),
}


def rows_of(frame: object) -> list[dict[str, object]]:
    """Rows of any kind of frame, with plain values."""
    if isinstance(frame, pd.DataFrame):
        frame = pa.Table.from_pandas(frame, preserve_index=False)
    elif isinstance(frame, pa.RecordBatchReader):
        frame = frame.read_all()
    elif isinstance(frame, pl.LazyFrame):
        frame = frame.collect().to_arrow()
    elif isinstance(frame, pl.DataFrame):
        frame = frame.to_arrow()
    elif isinstance(frame, duckdb.DuckDBPyRelation):
        frame = frame.to_arrow_table()
    assert isinstance(frame, pa.Table)
    return [
        {name: value.date() if isinstance(value, dt.datetime) else value for name, value in row.items()}
        for row in frame.to_pylist()
    ]


def days(keys: list[str]) -> list[dt.date]:
    return [dt.date.fromisoformat(key) for key in keys]


def bars_asset(make: Callable[[dg.AssetExecutionContext], object], **options: object) -> dg.AssetsDefinition:
    @dg.asset(
        key=["market", "stocks_daily"],
        partitions_def=SESSIONS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        **options,
    )
    def stocks_daily(context: dg.AssetExecutionContext):
        return make(context)

    return stocks_daily


def definitions(path: Path, *assets: dg.AssetsDefinition) -> dg.Definitions:
    return dg.Definitions(assets, resources={"io_manager": WarehouseIOManager(database=str(path))})


def run(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    key: str | None = None,
    span: tuple[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    tags = {}
    if span:
        tags = {
            "dagster/asset_partition_range_start": span[0],
            "dagster/asset_partition_range_end": span[1],
        }
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, partition_key=key, tags=tags)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.mark.parametrize("kind", FRAMES, ids=lambda kind: kind.__name__)
def test_every_kind_of_frame_is_stored_and_loaded_by_annotation(
    path: Path, instance: dg.DagsterInstance, kind: type
):
    got: list[object] = []

    @dg.asset(partitions_def=SESSIONS, ins={"bars": dg.AssetIn(["market", "stocks_daily"])})
    def downstream(bars: kind) -> None:
        got.append(bars)

    source = bars_asset(lambda context: FRAMES[kind](day_bars(days(context.partition_keys))))
    defs = definitions(path, source, downstream)
    run(defs, instance, key="2024-01-02")
    assert isinstance(got[0], kind)
    expected = day_bars([TUESDAY]).to_pylist()
    assert rows_of(got[0]) == expected
    loaded = defs.load_asset_value(["market", "stocks_daily"], partition_key="2024-01-02", python_type=kind)
    assert isinstance(loaded, kind)
    assert rows_of(loaded) == expected


def test_without_an_annotation_it_is_a_pandas_frame(path: Path, instance: dg.DagsterInstance):
    defs = definitions(path, bars_asset(lambda _: day_bars([TUESDAY])))
    run(defs, instance, key="2024-01-02")
    loaded = defs.load_asset_value(["market", "stocks_daily"], partition_key="2024-01-02")
    assert isinstance(loaded, pd.DataFrame)


def test_only_the_columns_asked_for_are_loaded(path: Path, instance: dg.DagsterInstance):
    defs = definitions(path, bars_asset(lambda _: day_bars([TUESDAY])))
    run(defs, instance, key="2024-01-02")
    with defs.get_asset_value_loader() as loader:
        loaded = loader.load_asset_value(
            ["market", "stocks_daily"],
            partition_key="2024-01-02",
            python_type=pa.Table,
            input_definition_metadata={"columns": ["close", "ticker"]},
        )
    assert loaded.equals(day_bars([TUESDAY]).select(["close", "ticker"]))


def test_a_range_loads_its_sessions_and_no_day_between_them(path: Path, instance: dg.DagsterInstance):
    """2024-01-03 is no partition of this asset, though its table has rows there."""
    warehouse = Warehouse(path)
    all_days = [dt.date(2024, 1, day) for day in range(2, 6)]
    with warehouse.writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars(all_days), {"trade_date": all_days})
    defs = definitions(path, bars_asset(lambda _: None))
    with defs.get_asset_value_loader() as loader:
        loaded = loader.load_asset_value(
            ["market", "stocks_daily"],
            partition_key_range=dg.PartitionKeyRange("2024-01-02", "2024-01-04"),
            python_type=pa.Table,
        )
    assert sorted(set(loaded["trade_date"].to_pylist())) == [TUESDAY, dt.date(2024, 1, 4)]


def test_a_range_run_replaces_its_sessions_and_no_day_between_them(path: Path, instance: dg.DagsterInstance):
    with Warehouse(path).writer("test") as transaction:
        transaction.replace(STOCKS_DAILY, day_bars([WEDNESDAY], volume=1), {"trade_date": [WEDNESDAY]})
    defs = definitions(path, bars_asset(lambda context: day_bars(days(context.partition_keys), volume=2)))
    run(defs, instance, span=("2024-01-02", "2024-01-05"))
    rows = (
        Warehouse(path)
        .reader()
        .sql("SELECT DISTINCT trade_date, volume FROM market.stocks_daily ORDER BY ALL")
    )
    assert rows.fetchall() == [(dt.date(2024, 1, day), 1.0 if day == 3 else 2.0) for day in (2, 3, 4, 5)]


def test_an_asset_that_writes_for_itself_and_returns_nothing_is_loaded_all_the_same(
    path: Path, instance: dg.DagsterInstance
):
    def write(context: dg.AssetExecutionContext) -> None:
        with Warehouse(path).writer("the asset") as transaction:
            transaction.replace(STOCKS_DAILY, day_bars([TUESDAY]), {"trade_date": context.partition_keys})

    defs = definitions(path, bars_asset(write))
    run(defs, instance, key="2024-01-02")
    loaded = defs.load_asset_value(
        ["market", "stocks_daily"], partition_key="2024-01-02", python_type=pa.Table
    )
    assert loaded.equals(day_bars([TUESDAY]))


def test_a_partition_never_loaded_is_an_error_that_names_it_and_what_to_run(
    path: Path, instance: dg.DagsterInstance
):
    defs = definitions(path, bars_asset(lambda _: day_bars([TUESDAY])))
    run(defs, instance, key="2024-01-02")
    named = "2024-01-04.*flatfiles backfill stocks_daily --start 2024-01-04 --end 2024-01-04"
    with pytest.raises(PartitionNotFound, match=named):
        defs.load_asset_value(["market", "stocks_daily"], partition_key="2024-01-04", instance=instance)


def test_a_table_never_loaded_is_an_error_that_says_what_to_run(path: Path, instance: dg.DagsterInstance):
    with Warehouse(path).writer("another table") as transaction:
        transaction.execute("CREATE TABLE market.other (x INT)")
    defs = definitions(path, bars_asset(lambda _: None))
    with pytest.raises(PartitionNotFound, match="flatfiles backfill stocks_daily"):
        defs.load_asset_value(["market", "stocks_daily"], partition_key="2024-01-02")


def test_before_anything_is_loaded_the_error_says_what_to_run(path: Path):
    defs = definitions(path, bars_asset(lambda _: None))
    with pytest.raises(FlatFilesError, match="make demo"):
        defs.load_asset_value(["market", "stocks_daily"], partition_key="2024-01-02")


def test_a_partition_stored_without_rows_loads_as_no_rows(path: Path, instance: dg.DagsterInstance):
    defs = definitions(path, bars_asset(lambda _: STOCKS_DAILY.arrow_schema.empty_table()))
    run(defs, instance, key="2024-01-02")
    loaded = defs.load_asset_value(
        ["market", "stocks_daily"], partition_key="2024-01-02", instance=instance, python_type=pa.Table
    )
    assert loaded.schema.names == list(STOCKS_DAILY.column_names)
    assert loaded.num_rows == 0


def test_an_asset_without_partitions_replaces_its_table_and_counts_it(
    path: Path, instance: dg.DagsterInstance
):
    scores = [
        pd.DataFrame({"ticker": ["A", "B"], "score": [1.0, 2.0]}),
        pd.DataFrame({"score": [3.0], "ticker": ["C"]}),
    ]

    @dg.asset(key=["reference", "scores"])
    def table():
        return scores.pop(0)

    defs = definitions(path, table)
    counts = []
    for _ in range(2):
        [event] = run(defs, instance).get_asset_materialization_events()
        counts.append(event.materialization.metadata["dagster/row_count"].value)
    assert counts == [2, 1]
    assert event.materialization.metadata["dagster/table_name"].value == "reference.scores"
    assert defs.load_asset_value(["reference", "scores"]).to_dict("list") == {"ticker": ["C"], "score": [3.0]}


def test_a_table_that_no_registry_knows_takes_its_columns_from_its_first_rows(
    path: Path, instance: dg.DagsterInstance
):
    @dg.asset(
        key=["algorithm", "lab"], partitions_def=SESSIONS, backfill_policy=dg.BackfillPolicy.single_run()
    )
    def lab(context: dg.AssetExecutionContext) -> pd.DataFrame:
        keys = context.partition_keys
        return pd.DataFrame({"score": [0.5] * len(keys), "trade_date": pd.to_datetime(keys)})

    defs = definitions(path, lab)
    run(defs, instance, span=("2024-01-02", "2024-01-04"))
    run(defs, instance, key="2024-01-04")
    rows = Warehouse(path).reader().table("algorithm.lab").to_arrow()
    assert rows.schema.field("trade_date").type == pa.date32()
    assert rows.to_pydict() == {"score": [0.5, 0.5], "trade_date": [TUESDAY, dt.date(2024, 1, 4)]}


def test_partitions_by_another_column_are_named_by_the_assets_metadata(
    path: Path, instance: dg.DagsterInstance
):
    @dg.asset(
        key=["reference", "years"],
        partitions_def=dg.StaticPartitionsDefinition(["2002", "2003"]),
        metadata={"partition_expr": "year"},
    )
    def years(context: dg.AssetExecutionContext) -> pl.DataFrame:
        return pl.DataFrame({"year": [int(context.partition_key)], "name": ["x"]})

    defs = definitions(path, years)
    for key in ("2002", "2003", "2002"):
        run(defs, instance, key=key)
    loaded = defs.load_asset_value(["reference", "years"], partition_key="2003", python_type=pa.Table)
    assert loaded.to_pylist() == [{"year": 2003, "name": "x"}]
    assert len(Warehouse(path).reader().table("reference.years")) == 2


def test_the_database_is_the_settings_warehouse_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FLATFILES_LOCK_TIMEOUT_SECONDS", "7")
    warehouse = WarehouseIOManager().warehouse()
    assert warehouse.path == tmp_path / "warehouse" / "warehouse.duckdb"
    assert warehouse.lock_timeout_seconds == 7
    assert (
        WarehouseIOManager(database=str(tmp_path / "x"), lock_timeout_seconds=1).warehouse().path.name == "x"
    )


def test_options_of_the_stock_manager_that_mean_nothing_here_are_refused(path: Path):
    with pytest.raises(InvalidArgument, match="an asset's key names its table"):
        WarehouseIOManager(database=str(path), schema="other").create_io_manager(
            dg.build_init_resource_context()
        )

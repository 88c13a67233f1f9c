"""What we use of Dagster's private parts is there, and is what we take it for: each by name.

A red test here after an upgrade says which part has changed, and its module in `defs/dagster_internals/`
says why it is used. What is done with it is tested where it is done; these tests come first and name it.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import flatfiles_assets
from flatfiles_assets.defs import dagster_internals
from flatfiles_assets.defs.dagster_internals import (
    check_records,
    event_log,
    interrupts,
    jobs,
    launcher,
    partition_metadata,
    run_statuses,
    run_tags,
    storages,
    tables,
    ui,
)

pytestmark = pytest.mark.slow

PACKAGE = Path(flatfiles_assets.__file__).parent
FOLDER = Path(dagster_internals.__file__).parent


@dataclasses.dataclass(frozen=True)
class PrivateImport:
    """One ``from dagster._… import name``."""

    path: Path
    line: int
    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def private_imports(folder: Path) -> Iterator[PrivateImport]:
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and _is_private(node.module or ""):
                for alias in node.names:
                    yield PrivateImport(path, node.lineno, node.module or "", alias.name)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if _is_private(alias.name):
                        yield PrivateImport(path, node.lineno, alias.name, "")


def _is_private(module: str) -> bool:
    root, *rest = module.split(".")
    return root.startswith("dagster") and any(part.startswith("_") for part in rest)


def _parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


SOME_ASSET = dg.AssetKey("some")

# What we rely on, by name: calls with these arguments, overrides with these parameters, these values.
EXPECTED: dict[str, Callable[[], bool]] = {
    "ASSET_PARTITION_RANGE_START_TAG": lambda: (
        run_tags.ASSET_PARTITION_RANGE_START_TAG == "dagster/asset_partition_range_start"
    ),
    "ASSET_PARTITION_RANGE_END_TAG": lambda: (
        run_tags.ASSET_PARTITION_RANGE_END_TAG == "dagster/asset_partition_range_end"
    ),
    "GRPC_INFO_TAG": lambda: run_tags.GRPC_INFO_TAG == ".dagster/grpc_info",
    "CheckRunHealthResult": lambda: "status" in launcher.CheckRunHealthResult._fields,
    "DefaultRunLauncher": lambda: (
        {"launch_run", "check_run_worker_health", "dispose"} <= set(dir(launcher.DefaultRunLauncher))
    ),
    "LaunchRunContext": lambda: "dagster_run" in dir(launcher.LaunchRunContext),
    "WorkerStatus": lambda: launcher.WorkerStatus.RUNNING.value == "RUNNING",
    "PARTITION_NAME_TAG": lambda: run_tags.PARTITION_NAME_TAG == "dagster/partition",
    "FINISHED_STATUSES": lambda: (
        set(run_statuses.FINISHED_STATUSES)
        == {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
    ),
    "NOT_FINISHED_STATUSES": lambda: (
        # `MANAGED` is in neither: such a run belongs to another system.
        {*run_statuses.NOT_FINISHED_STATUSES}
        == set(dg.DagsterRunStatus) - {*run_statuses.FINISHED_STATUSES, dg.DagsterRunStatus.MANAGED}
    ),
    "AssetCheckExecutionRecord": lambda: (
        hasattr(check_records.AssetCheckExecutionRecord, "evaluation")
        and inspect.iscoroutinefunction(
            check_records.AssetCheckExecutionRecord.targets_latest_materialization
        )
    ),
    "AssetCheckExecutionRecordStatus": lambda: (
        {"SUCCEEDED", "FAILED"} <= {status.name for status in check_records.AssetCheckExecutionRecordStatus}
    ),
    "LoadingContext": lambda: check_records.LoadingContext.__abstractmethods__ == {"instance", "loaders"},
    "SqliteRunStorage": lambda: (
        _parameters(storages.SqliteRunStorage.connect) == []
        and _parameters(storages.SqliteRunStorage.from_local) == ["base_dir", "inst_data"]
        and "self._conn_string" in inspect.getsource(storages.SqliteRunStorage.connect)
    ),
    "SqliteScheduleStorage": lambda: (
        _parameters(storages.SqliteScheduleStorage.connect) == []
        and _parameters(storages.SqliteScheduleStorage.from_local) == ["base_dir", "inst_data"]
        and "self._conn_string" in inspect.getsource(storages.SqliteScheduleStorage.connect)
    ),
    "UnresolvedAssetJobDefinition": lambda: isinstance(
        dg.define_asset_job("some"), jobs.UnresolvedAssetJobDefinition
    ),
    "AssetMetadataHandle": lambda: (
        partition_metadata.AssetMetadataHandle(asset_key=SOME_ASSET, partition_key="a")
        in partition_metadata.OutputMetadataAccumulator.empty()
        .with_additional_asset_metadata(SOME_ASSET, "a", {"rows": 1})
        .per_output_metadata
    ),
    "OutputMetadataAccumulator": lambda: (
        partition_metadata.OutputMetadataAccumulator(per_output_metadata={})
        == partition_metadata.OutputMetadataAccumulator.empty()
    ),
    "RawMetadataValue": lambda: "MetadataValue" in str(tables.RawMetadataValue),
    "TableMetadataSet": lambda: (
        dict(
            tables.TableMetadataSet(
                table_name="a.b", row_count=1, partition_row_count=2, storage_kind="duckdb"
            )
        ).keys()
        >= {"dagster/table_name", "dagster/row_count", "dagster/partition_row_count"}
    ),
    "DbIOManager": lambda: (
        _parameters(tables.DbIOManager.handle_output) == ["context", "obj"]
        and _parameters(tables.DbIOManager._get_table_slice) == ["context", "output_context"]
        and _parameters(tables.DbIOManager._check_supported_type) == ["obj_type"]
        and _parameters(tables.DbIOManager._resolve_handler) == ["obj_type"]
        and {"db_client", "database", "type_handlers", "default_load_type", "io_manager_name"}
        <= set(_parameters(tables.DbIOManager))
    ),
    "DbTypeHandler": lambda: (
        _parameters(tables.DbTypeHandler.handle_output) == ["context", "table_slice", "obj", "connection"]
        and _parameters(tables.DbTypeHandler.load_input) == ["context", "table_slice", "connection"]
    ),
    "TablePartitionDimension": lambda: (
        _parameters(tables.TablePartitionDimension) == ["partition_expr", "partitions"]
    ),
    "TableSlice": lambda: (
        {"table", "schema", "columns", "partition_dimensions"} <= set(_parameters(tables.TableSlice))
    ),
    "UserConfigSchema": lambda: event_log.UserConfigSchema is not None,
    "AssetCheckEvaluationPlanned": lambda: (
        event_log.AssetCheckEvaluationPlanned(
            asset_key=SOME_ASSET, check_name="some", partitions_subset=None
        ).check_name
        == "some"
    ),
    "DefaultPartitionsSubset": lambda: (
        set(event_log.DefaultPartitionsSubset({"a"}).get_partition_keys()) == {"a"}
    ),
    "EVENT_TYPE_TO_PIPELINE_RUN_STATUS": lambda: (
        event_log.EVENT_TYPE_TO_PIPELINE_RUN_STATUS[dg.DagsterEventType.RUN_FAILURE]
        == dg.DagsterRunStatus.FAILURE
    ),
    "SqliteEventLogStorage": lambda: (
        _parameters(event_log.SqliteEventLogStorage) == ["base_dir", "inst_data"]
        and _parameters(event_log.SqliteEventLogStorage.store_event_batch) == ["events"]
        and _parameters(event_log.SqliteEventLogStorage.store_event) == ["event"]
        and _parameters(event_log.SqliteEventLogStorage._connect) == ["shard"]
        and _parameters(event_log.SqliteEventLogStorage._event_to_row) == ["event"]
        and _parameters(event_log.SqliteEventLogStorage._initdb)[:1] == ["engine"]
        and _parameters(event_log.SqliteEventLogStorage._store_asset_event_tags)
        == ["conn", "events", "event_ids"]
        and _parameters(event_log.SqliteEventLogStorage._store_asset_event) == ["conn", "event", "event_id"]
        and _parameters(event_log.SqliteEventLogStorage.conn_string_for_shard) == ["shard_name"]
        and _parameters(event_log.SqliteEventLogStorage.run_connection) == ["run_id"]
        and _parameters(event_log.SqliteEventLogStorage.index_connection) == []
    ),
    "SqlEventLogStorageTable": lambda: (
        {"id", "run_id", "event", "asset_key", "partition", "dagster_event_type"}
        <= set(event_log.SqlEventLogStorageTable.c.keys())
    ),
    "INDEX_SHARD_NAME": lambda: event_log.INDEX_SHARD_NAME == "index",
    "ConcurrencyClaimStatus": lambda: (
        {"is_claimed", "with_sleep_interval"} <= set(dir(event_log.ConcurrencyClaimStatus))
        and _parameters(event_log.SqliteEventLogStorage.claim_concurrency_slot)
        == ["concurrency_key", "run_id", "step_key", "priority"]
    ),
    "RunFailureReason": lambda: hasattr(interrupts.RunFailureReason, "UNEXPECTED_TERMINATION"),
    "pop_captured_interrupt": lambda: interrupts.pop_captured_interrupt() is False,
    "raise_execution_interrupts": lambda: _parameters(interrupts.raise_execution_interrupts) == [],
    "ConfigurableClassData": lambda: (
        {"module_name", "class_name", "config_yaml"} <= set(_parameters(event_log.ConfigurableClassData))
    ),
    "ModuleTarget": lambda: (
        (ui.ModuleTarget("m", None, "/", "n").module_name, ui.ModuleTarget("m", None, "/", "n").location_name)
        == ("m", "n")
    ),
    "WorkspaceFileTarget": lambda: ui.WorkspaceFileTarget(["w.yaml"]).paths == ["w.yaml"],
    "ProxyServerManager": lambda: (
        _parameters(ui.ProxyServerManager.__init__)[:2] == ["instance", "workspace_load_target"]
        and callable(ui.ProxyServerManager.get_code_server_specs)
    ),
    "WorkspaceProcessContext": lambda: (
        {"instance", "workspace_load_target", "version"}
        <= set(_parameters(ui.WorkspaceProcessContext.__init__))
    ),
    "configure_loggers": lambda: {"formatter", "log_level"} <= set(_parameters(ui.configure_loggers)),
}


@pytest.mark.parametrize("used", list(private_imports(FOLDER)), ids=str)
def test_dagster_still_has_each_private_part_as_we_use_it(used: PrivateImport) -> None:
    found = getattr(importlib.import_module(used.module), used.name, None)
    assert found is not None, f"Dagster no longer has {used}"
    try:
        as_expected = EXPECTED[used.name]()
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        pytest.fail(f"Dagster has changed {used}: {error!r}")
    assert as_expected, f"Dagster has changed {used}"


def test_private_parts_of_dagster_are_imported_in_one_folder_only() -> None:
    elsewhere = [
        f"{used.path.relative_to(PACKAGE)}:{used.line} {used}"
        for used in private_imports(PACKAGE)
        if FOLDER not in used.path.parents
    ]
    assert not elsewhere


def test_each_private_import_says_why() -> None:
    for used in private_imports(FOLDER):
        before = used.path.read_text(encoding="utf-8").splitlines()[used.line - 2]
        assert before.startswith("# Not exported: "), f"{used} in {used.path.name} gives no reason"


def test_nothing_is_expected_that_is_no_longer_used() -> None:
    assert EXPECTED.keys() == {used.name for used in private_imports(FOLDER)}


@pytest.mark.parametrize(
    "name", ["PatientSqliteRunStorage", "PatientSqliteScheduleStorage", "QueuedRunCoordinator"]
)
def test_the_shipped_dagster_yaml_names_classes_that_there_are(name: str) -> None:
    text = (PACKAGE / "defs" / "instance" / "dagster.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    (index,) = [number for number, line in enumerate(lines) if line.strip() == f"class: {name}"]
    module = lines[index - 1].split("module:")[1].strip()
    assert hasattr(importlib.import_module(module), name), f"there is no {module}.{name}"

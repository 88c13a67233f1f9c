"""Every public query of Dagster's event log, asked about the range job's run and assets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_spec import AssetCheckKey
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.event_log.base import AssetRecordsFilter, EventLogStorage

from flatfiles_assets_tests.defs.instance import range_job

RUN_ID = range_job.RECORDED_RUN_ID
BARS, PRICES, HALF_LOADED = range_job.bars.key, range_job.prices.key, range_job.half_loaded.key
ASSETS = [BARS, PRICES, HALF_LOADED, dg.AssetKey("never_seen")]
CHECK = AssetCheckKey(BARS, "bars_have_rows")
PARTITIONS = range_job.DAYS.get_partition_keys()

EVENT_TYPES = [dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED]
OTHER_EVENT_TYPES = [
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
]

QUERIES: dict[str, Callable[[EventLogStorage], Any]] = {
    "all_asset_keys": lambda s: s.all_asset_keys(),
    "has_asset_key": lambda s: [s.has_asset_key(key) for key in ASSETS],
    "get_asset_keys": lambda s: [s.get_asset_keys(), s.get_asset_keys(["market"]), s.get_asset_keys(limit=1)],
    "get_asset_keys_for_run": lambda s: s.get_asset_keys_for_run(RUN_ID),
    "get_asset_partitions_for_run": lambda s: s.get_asset_partitions_for_run(RUN_ID),
    "get_asset_records": lambda s: [s.get_asset_records(), s.get_asset_records(ASSETS)],
    "get_asset_event_summary_records": lambda s: [
        s.get_asset_event_summary_records(event_type, key) for event_type in EVENT_TYPES for key in ASSETS
    ],
    "get_latest_materialization_events": lambda s: s.get_latest_materialization_events(ASSETS),
    "get_latest_materialization_storage_ids": lambda s: s.get_latest_materialization_storage_ids(ASSETS),
    "get_latest_planned_materialization_info": lambda s: [
        s.get_latest_planned_materialization_info(key, partition)
        for key in ASSETS
        for partition in [None, *PARTITIONS[:4]]
    ],
    "get_materialized_partitions": lambda s: [
        s.get_materialized_partitions(key, after_cursor=cursor) for key in ASSETS for cursor in (None, 120)
    ],
    "get_latest_storage_id_by_partition": lambda s: [
        s.get_latest_storage_id_by_partition(key, event_type) for event_type in EVENT_TYPES for key in ASSETS
    ],
    "get_latest_tags_by_partition": lambda s: [
        s.get_latest_tags_by_partition(key, event_type, ["dagster/data_version"])
        for event_type in EVENT_TYPES
        for key in ASSETS
    ],
    "get_latest_asset_partition_materialization_attempts_without_materializations": lambda s: [
        s.get_latest_asset_partition_materialization_attempts_without_materializations(key) for key in ASSETS
    ],
    "get_updated_data_version_partitions": lambda s: [
        s.get_updated_data_version_partitions(key, PARTITIONS, 100) for key in ASSETS
    ],
    "get_event_tags_for_asset": lambda s: [s.get_event_tags_for_asset(key) for key in ASSETS],
    "get_event_records": lambda s: [
        s.get_event_records(
            dg.EventRecordsFilter(event_type, asset_key=key, asset_partitions=partitions), 1_000
        )
        for event_type in [*EVENT_TYPES, *OTHER_EVENT_TYPES]
        for key in (None, BARS)
        for partitions in (None, PARTITIONS[3:5])
        if key or not partitions
    ],
    "fetch_materializations": lambda s: [
        s.fetch_materializations(records_filter, 100, ascending=ascending)
        for records_filter in [*ASSETS, AssetRecordsFilter(BARS, asset_partitions=PARTITIONS[3:5])]
        for ascending in (False, True)
    ],
    "fetch_failed_materializations": lambda s: [s.fetch_failed_materializations(key, 100) for key in ASSETS],
    "fetch_observations": lambda s: [s.fetch_observations(key, 100) for key in ASSETS],
    "fetch_run_status_changes": lambda s: s.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, 10),
    "get_records_for_run": lambda s: [
        s.get_records_for_run(RUN_ID),
        s.get_records_for_run(RUN_ID, of_type=EVENT_TYPES[0], limit=7, ascending=False),
    ],
    "get_logs_for_run": lambda s: s.get_logs_for_run(RUN_ID),
    "get_stats_for_run": lambda s: s.get_stats_for_run(RUN_ID),
    "get_step_stats_for_run": lambda s: s.get_step_stats_for_run(RUN_ID),
    "get_asset_check_execution_history": lambda s: s.get_asset_check_execution_history(CHECK, 10),
    "get_latest_asset_check_execution_by_key": lambda s: s.get_latest_asset_check_execution_by_key([CHECK]),
    "get_asset_check_partition_info": lambda s: s.get_asset_check_partition_info([CHECK]),
    "get_asset_check_state": lambda s: s.get_asset_check_state([(CHECK, None)]),
    "get_checkpointed_asset_check_state": lambda s: s.get_checkpointed_asset_check_state([CHECK]),
    "get_asset_check_summary_records": lambda s: s.get_asset_check_summary_records([CHECK]),
    "get_freshness_state_records": lambda s: s.get_freshness_state_records(ASSETS),
    "get_dynamic_partitions": lambda s: s.get_dynamic_partitions("any"),
    "get_existing_dynamic_partitions": lambda s: s.get_existing_dynamic_partitions("any", ["a"]),
    "get_paginated_dynamic_partitions": lambda s: s.get_paginated_dynamic_partitions("any", 10, True),
    "has_dynamic_partition": lambda s: s.has_dynamic_partition("any", "a"),
    "has_bounded_dynamic_partition_membership_query": lambda s: (
        s.has_bounded_dynamic_partition_membership_query
    ),
    "get_asset_status_cache_values": lambda s: s.get_asset_status_cache_values(
        [(BARS, range_job.DAYS), (HALF_LOADED, range_job.DAYS)], LoadingContextForTest(s._instance)
    ),
    "get_asset_tags_to_index": lambda s: s.get_asset_tags_to_index({"dagster/data_version", "other"}),
    "get_concurrency_info": lambda s: s.get_concurrency_info("duckdb_writer"),
    "get_concurrency_infos": lambda s: s.get_concurrency_infos(["duckdb_writer"]),
    "get_concurrency_keys": lambda s: s.get_concurrency_keys(),
    "get_concurrency_run_ids": lambda s: s.get_concurrency_run_ids(),
    "get_pool_config": lambda s: s.get_pool_config(),
    "get_pool_limits": lambda s: s.get_pool_limits(),
    "alembic_version": lambda s: s.alembic_version(),
    **{
        name: lambda s, name=name: getattr(s, name)
        for name in (
            "asset_records_have_last_observation",
            "asset_records_have_last_planned_and_failed_materializations",
            "can_store_asset_failure_events",
            "handles_run_events_in_store_event",
            "has_instance",
            "is_persistent",
            "is_run_sharded",
            "supports_asset_checks",
            "supports_global_concurrency_limits",
            "supports_partition_subset_in_asset_materialization_planned_events",
            "supports_run_status_change_job_name_filter",
        )
    },
    **{
        name: lambda s, name=name: getattr(s, name)()
        for name in (
            "can_read_asset_status_cache",
            "can_write_asset_status_cache",
            "default_run_scoped_event_tailer_offset",
        )
    },
}

CHANGES_SOMETHING = {
    "add_dynamic_partitions",
    "check_concurrency_claim",
    "claim_concurrency_slot",
    "delete_concurrency_limit",
    "delete_dynamic_partition",
    "delete_events",
    "dispose",
    "end_watch",
    "free_concurrency_slot_for_step",
    "free_concurrency_slots_for_run",
    "initialize_concurrency_limit_to_default",
    "optimize_for_webserver",
    "register_instance",
    "reindex_assets",
    "reindex_events",
    "set_concurrency_slots",
    "store_event",
    "store_event_batch",
    "update_asset_cached_status_data",
    "upgrade",
    "watch",
    "wipe",
    "wipe_asset",
    "wipe_asset_cached_status",
    "wipe_asset_partitions",
}
REFUSED_BY_RUN_SHARDED_STORAGE = {"get_logs_for_all_runs_by_log_id", "get_maximum_record_id"}

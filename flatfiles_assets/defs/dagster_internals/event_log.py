"""What `instance/event_log.py` is made of: Dagster's SQLite event log, its tables and its events.

Storage classes are configured by users and extended by nobody but Dagster's own packages, so nothing of
them is exported. Dagster's plugin packages (`dagster-postgres`) use the same names.
"""

# Not exported: the type of `config_type`, which every configurable class has.
from dagster._config.config_schema import UserConfigSchema

# Not exported: the event of a planned check, which is stored without its partitions' definition.
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned

# Not exported: a set of partition keys without a definition.
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset

# Not exported: which events change a run's status, to know when a run has ended.
from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS

# Not exported: the storage that is extended.
from dagster._core.storage.event_log import SqliteEventLogStorage

# Not exported: the table of events; a batch is one statement on it.
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

# Not exported: the name of the database that indexes the events of all runs.
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME

# Not exported: how a storage is built again in another process.
from dagster._serdes import ConfigurableClassData

# Not exported: the answer to a claim of a pool's slot.
from dagster._utils.concurrency import ConcurrencyClaimStatus

__all__ = [
    "EVENT_TYPE_TO_PIPELINE_RUN_STATUS",
    "INDEX_SHARD_NAME",
    "AssetCheckEvaluationPlanned",
    "ConcurrencyClaimStatus",
    "ConfigurableClassData",
    "DefaultPartitionsSubset",
    "SqlEventLogStorageTable",
    "SqliteEventLogStorage",
    "UserConfigSchema",
]

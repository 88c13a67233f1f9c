"""What Dagster stores of a check's evaluation."""

# Not exported: what a record needs to look up the materialisation that it is about.
from dagster._core.loader import LoadingContext

# Not exported: the history of a check is read from the event log storage, which answers in these.
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

__all__ = ["AssetCheckExecutionRecord", "AssetCheckExecutionRecordStatus", "LoadingContext"]

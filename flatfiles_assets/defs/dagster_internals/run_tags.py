"""The tags by which Dagster says which partitions a run is about, and where its code server is.

A request for one partition has a public argument; a run over a range has only tags, which the UI and
Dagster's own backfills set as well. `range_requests.py` writes and reads them.
"""

# Not exported: a range needs the first two, one partition the last; GRPC_INFO_TAG names a run's code server.
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    GRPC_INFO_TAG,
    PARTITION_NAME_TAG,
)

__all__ = [
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "GRPC_INFO_TAG",
    "PARTITION_NAME_TAG",
]

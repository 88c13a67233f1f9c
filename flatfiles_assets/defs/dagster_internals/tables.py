"""What an IO manager of tables is made of.

`dagster_duckdb.DuckDBIOManager` is public, and so is to extend it; the classes that its methods return
and take are not.
"""

# Not exported: the type of a metadata value as an asset gives it.
from dagster._core.definitions.metadata import RawMetadataValue

# Not exported: the names of `dagster/row_count`, `dagster/table_name`, … with their types checked.
from dagster._core.definitions.metadata.metadata_set import TableMetadataSet

# Not exported: the machinery that `DuckDBIOManager.create_io_manager` returns, and its parts.
from dagster._core.storage.db_io_manager import (
    DbIOManager,
    DbTypeHandler,
    TablePartitionDimension,
    TableSlice,
)

__all__ = [
    "DbIOManager",
    "DbTypeHandler",
    "RawMetadataValue",
    "TableMetadataSet",
    "TablePartitionDimension",
    "TableSlice",
]

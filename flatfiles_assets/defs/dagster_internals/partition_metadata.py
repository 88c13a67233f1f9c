"""Metadata of many partitions of one step at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

# Not exported: where `context.add_asset_metadata` keeps what it is told. See below.
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator


def add_partition_metadata(
    context: dg.AssetExecutionContext, asset_key: dg.AssetKey, by_partition: Mapping[str, Mapping[str, Any]]
) -> None:
    """`context.add_asset_metadata` for many partitions of the run.

    The public method lists the run's whole range again for each partition, to see whether it is in
    it, and copies all metadata there is to add one: a millisecond or two each, most of what a year of
    metadata costs. Here both are done once.

    Raises:
        ValueError: A partition is not one of the run's.
    """
    strangers = by_partition.keys() - set(context.partition_keys)
    if strangers:
        raise ValueError(f"not partitions of this run: {', '.join(sorted(strangers))}")
    step = context.get_step_execution_context()
    collected = dict(step._metadata_accumulator.per_output_metadata)  # noqa: SLF001
    for partition, metadata in by_partition.items():
        collected[AssetMetadataHandle(asset_key=asset_key, partition_key=partition)] = metadata
    step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata=collected)  # noqa: SLF001

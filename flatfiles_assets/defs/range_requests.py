"""Runs over a range of partitions: how a range is said in a run's tags, read again, and requested.

Here: the one place that writes and reads those tags. Not here: which partitions are worth a run
(`sensors/`, `schedules.py`), and ranges of keys (`partitions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from flatfiles_assets.defs.dagster_internals.run_tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)


def range_tags(first: str, last: str) -> dict[str, str]:
    """The tags of a run over the partitions from `first` to `last`, both included."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


def tagged_range(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """First and last partition that a run is about; None for a run without partitions."""
    first = tags.get(ASSET_PARTITION_RANGE_START_TAG) or tags.get(PARTITION_NAME_TAG)
    last = tags.get(ASSET_PARTITION_RANGE_END_TAG) or first
    return (first, last) if first and last else None


def range_request(
    first: str,
    last: str,
    *,
    run_key: str,
    tags: Mapping[str, str] | None = None,
    assets: Sequence[dg.AssetKey] | None = None,
) -> dg.RunRequest:
    """A request for one run over a range.

    Args:
        first: First partition.
        last: Last partition, included.
        run_key: What makes the run the same as an earlier one; Dagster launches each once.
        tags: Further tags.
        assets: Assets of the run; None for all of the job's.
    """
    return dg.RunRequest(
        run_key=run_key,
        tags={**range_tags(first, last), **(tags or {})},
        asset_selection=list(assets) if assets is not None else None,
    )

"""What a range run says of each of its partitions, whether all succeed or only some.

Dagster records a step's success for every partition of its range, and its failure for none. Here
is the other case: what succeeded is recorded as materialised, each failure is an observation on
its own partition, and the step then fails once, with every reason in the message.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from flatfiles_assets.defs.checks.results import log_results
from flatfiles_assets.defs.dagster_internals.partition_metadata import add_partition_metadata
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.escaping import markdown_lines

_MOST_REASONS = 8
_NUMBER = re.compile(r"\d+")


class RangeReport:
    """Collects, asset by asset, which partitions were materialised and which failed."""

    def __init__(self, asset_keys: Sequence[dg.AssetKey]) -> None:
        self._asset_keys = asset_keys
        self._materialized: dict[dg.AssetKey, dict[str, Mapping[str, Any]]] = {key: {} for key in asset_keys}
        self._failed: dict[dg.AssetKey, dict[str, FlatFilesError]] = {key: {} for key in asset_keys}

    def materialized(self, asset_key: dg.AssetKey, partition: str, metadata: Mapping[str, Any]) -> None:
        """Note a partition that is whole and stored."""
        if asset_key in self._materialized:
            self._materialized[asset_key][partition] = metadata

    def failed(self, asset_key: dg.AssetKey, partition: str, error: FlatFilesError) -> None:
        """Note a partition that could not be had, and why."""
        if asset_key in self._failed:
            self._failed[asset_key][partition] = error

    def add_to_latest(self, metadata: Mapping[str, Any]) -> None:
        """Note something of the whole asset on the latest partition that was materialised."""
        for done in self._materialized.values():
            if done:
                latest = max(done)
                done[latest] = {**done[latest], **metadata}

    @property
    def has_failures(self) -> bool:
        """Whether any partition failed, so that the step will."""
        return any(self._failed.values())

    @contextlib.contextmanager
    def recording(self, context: dg.AssetExecutionContext) -> Iterator[None]:
        """The step's work: where it fails as a whole, what is stored is recorded, and the rest is missing."""
        try:
            yield
        except Exception:
            self.record(context)
            raise

    def conclude(
        self, context: dg.AssetExecutionContext, checks: Iterable[dg.AssetCheckResult] = ()
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """End the step: results for Dagster to record, or one failure that keeps what succeeded.

        Args:
            context: Of the step.
            checks: What its checks found. They are judged before anything is recorded: a process killed
                in between must not leave partitions that count as stored and that no check has seen.

        Raises:
            dagster.Failure: Some partitions failed; the others are recorded as materialised.
        """
        results = list(checks)
        if self.has_failures:
            log_results(context, results)
            self.record(context)
            raise self._failure()
        for asset_key in self._asset_keys:
            add_partition_metadata(context, asset_key, self._materialized[asset_key])
            yield dg.MaterializeResult(asset_key=asset_key)
        yield from results

    def record(self, context: dg.AssetExecutionContext) -> None:
        """Write the events of a step that is about to fail."""
        for asset_key in self._asset_keys:
            for partition, metadata in self._materialized[asset_key].items():
                context.log_event(dg.AssetMaterialization(asset_key, partition=partition, metadata=metadata))
            for partition, error in self._failed[asset_key].items():
                context.log_event(
                    dg.AssetObservation(
                        asset_key,
                        partition=partition,
                        # Of the two the UI shows the description as Markdown.
                        description=markdown_lines(error),
                        metadata={"state": error.state, "reason": str(error)},
                    )
                )

    def _failure(self) -> dg.Failure:
        reasons = {
            partition: error for failures in self._failed.values() for partition, error in failures.items()
        }
        stored = set().union(*(set(done) for done in self._materialized.values())) - set(reasons)
        records = [
            dg.TableRecord({"partition": partition, "state": error.state, "reason": str(error)})
            for partition, error in sorted(reasons.items())
        ]
        return dg.Failure(
            description="\n".join(
                [
                    f"{len(reasons)} partition(s) failed, {len(stored)} are stored and recorded:",
                    *_by_reason(reasons),
                ]
            ),
            metadata={
                "failed_partitions": len(reasons),
                "failures": dg.MetadataValue.table(records),
            },
            allow_retries=False,
        )


def _by_reason(failures: Mapping[str, FlatFilesError]) -> list[str]:
    """A line for each reason, whatever numbers and dates it names, in the order of their partitions."""
    groups: dict[tuple[str, str], list[str]] = {}
    for partition, error in sorted(failures.items()):
        groups.setdefault((error.state, _NUMBER.sub("0", error.what)), []).append(partition)
    lines = []
    for partitions in list(groups.values())[:_MOST_REASONS]:
        error = failures[partitions[0]]
        named = partitions[0]
        if len(partitions) > 1:
            named = f"{len(partitions)} partitions from {named} to {partitions[-1]}, here of the first"
        lines.append(f"{named}: [{error.state}] {error}")
    if len(groups) > _MOST_REASONS:
        lines.append(f"and {len(groups) - _MOST_REASONS} more reasons, in this failure's metadata")
    return lines

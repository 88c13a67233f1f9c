"""Which partitions of a feed runs are already about, and which they have recorded, as the instance knows it.

Here: how a tick avoids requesting what another tick, the UI or the command line has under way, and how
it finds what a killed run has loaded without a record. Not here: what there is to request (`changes.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

DIGEST_TAG = "flatfiles/sync"
"""Tag of a run that names the work for whose sake it was requested."""

_RECENT_RUNS = 100

# A session that was recorded before may have been loaded anew since. Listings go back a week.
_LOADED_LATELY = dt.timedelta(days=8)
_MOST_LOADED_LATELY = 500


def unrecorded_sessions(
    instance: dg.DagsterInstance, key: dg.AssetKey, loaded_at: Mapping[dt.date, dt.datetime]
) -> frozenset[dt.date]:
    """The sessions whose rows were committed and never recorded as materialised.

    Args:
        instance: Dagster's instance.
        key: The asset that the rows belong to.
        loaded_at: When the rows of each session were committed, with a zone.
    """
    recorded = instance.get_materialized_partitions(key)
    missing = {session for session in loaded_at if session.isoformat() not in recorded}
    since = dt.datetime.now(dt.timezone.utc) - _LOADED_LATELY
    lately = sorted((at, day) for day, at in loaded_at.items() if day not in missing and at > since)
    if not lately:
        return frozenset(missing)
    lately = lately[-_MOST_LOADED_LATELY:]
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(key, after_timestamp=lately[0][0].timestamp()), limit=2 * _MOST_LOADED_LATELY
    ).records
    latest: dict[str | None, float] = {}
    for record in records:
        latest[record.partition_key] = max(latest.get(record.partition_key, 0.0), record.timestamp)
    return frozenset(missing | {day for at, day in lately if latest.get(str(day), 0.0) < at.timestamp()})


class RunCoverage:
    """The runs of one job, watched from the beginning of a tick.

    Make it before the ledger is read. A run that ends between the two is then still counted as
    covering its partitions, because the ledger as read may not show yet what the run did.

    Args:
        instance: Dagster's instance.
        job_name: The job.
        asset_keys: Its assets; a run of another job that selects one of them counts as well.
    """

    def __init__(self, instance: dg.DagsterInstance, job_name: str, asset_keys: set[dg.AssetKey]) -> None:
        self._instance = instance
        self._job_name = job_name
        self._asset_keys = asset_keys
        self._finished_before = {
            run.run_id for run in instance.get_runs(limit=_RECENT_RUNS) if run.status in FINISHED_STATUSES
        }

    def under_way(self) -> list[tuple[str, str]]:
        """First and last partition of each run that has not ended, or ended since the tick began."""
        return [bounds for run in self._runs_that_count() if (bounds := _bounds(run))]

    def runs_since(self, digest: str) -> tuple[int, dt.datetime | None]:
        """How many runs for the same work have ended, and when the last one did, UTC."""
        records = self._instance.get_run_records(
            dg.RunsFilter(tags={DIGEST_TAG: digest}, statuses=list(FINISHED_STATUSES))
        )
        ended = [record.end_time or record.update_timestamp.timestamp() for record in records]
        return len(records), dt.datetime.fromtimestamp(max(ended), dt.timezone.utc) if ended else None

    def _runs_that_count(self) -> Iterator[dg.DagsterRun]:
        unfinished = self._instance.get_runs(dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES)))
        recent = self._instance.get_runs(limit=_RECENT_RUNS)
        for run in {run.run_id: run for run in [*unfinished, *recent]}.values():
            over = run.status in FINISHED_STATUSES and run.run_id in self._finished_before
            if not over and self._is_about_the_feed(run):
                yield run

    def _is_about_the_feed(self, run: dg.DagsterRun) -> bool:
        return run.job_name == self._job_name or bool(self._asset_keys & (run.asset_selection or frozenset()))


def _bounds(run: dg.DagsterRun) -> tuple[str, str] | None:
    first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG) or run.tags.get(PARTITION_NAME_TAG)
    last = run.tags.get(ASSET_PARTITION_RANGE_END_TAG) or first
    return (first, last) if first and last else None

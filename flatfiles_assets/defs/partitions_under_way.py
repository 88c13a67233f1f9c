"""Which partitions of a feed runs are already about, and which they have recorded, as the instance knows it.

Here: how a tick avoids requesting what another tick, the UI or the command line has under way, and how
it finds what a killed run has loaded without a record. Not here: what there is to request
(`download/remote_changes.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from flatfiles_assets.defs.dagster_internals.run_statuses import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from flatfiles_assets.defs.keys import WORK_TAG
from flatfiles_assets.defs.range_requests import range_request, tagged_range
from flatfiles_assets.download.remote_changes import has_rested, retry_delay

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
        return [bounds for run in self._runs_that_count() if (bounds := tagged_range(run.tags))]

    def request(
        self,
        digest: str,
        now: dt.datetime,
        *,
        bounds: tuple[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        assets: Sequence[dg.AssetKey] | None = None,
    ) -> dg.RunRequest | None:
        """One run for some work; None while an earlier run for the same is too recent a failure.

        A run that ended without having touched the ledger may be repeated, later, under a new key.

        Args:
            digest: Names the work: the same for the same changes.
            now: The present, with a zone.
            bounds: First and last partition of the run; None where there are none.
            tags: Further tags.
            assets: Assets of the run; None for all of the job's.
        """
        ended, ended_at = self._runs_for(digest)
        if ended_at and not has_rested(ended_at, retry_delay(ended), now):
            return None
        run_key = f"{self._job_name}:{digest}:{ended}"
        said = {WORK_TAG: digest, **(tags or {})}
        if bounds:
            return range_request(*bounds, run_key=run_key, tags=said, assets=assets)
        return dg.RunRequest(
            run_key=run_key, tags=said, asset_selection=list(assets) if assets is not None else None
        )

    def _runs_for(self, digest: str) -> tuple[int, dt.datetime | None]:
        """How many runs for the same work have ended, and when the last one did, UTC."""
        records = self._instance.get_run_records(
            dg.RunsFilter(tags={WORK_TAG: digest}, statuses=list(FINISHED_STATUSES))
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

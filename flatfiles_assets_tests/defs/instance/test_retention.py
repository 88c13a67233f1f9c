"""Old runs go, and nothing that is true of a partition goes with them."""

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest

from flatfiles_assets.defs import run_retention
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.instance.retention import old_runs, remove_old_runs
from flatfiles_assets.defs.run_retention import prune_runs

pytestmark = pytest.mark.slow


class _Later:
    """The clock of somebody two years ahead."""

    timezone, timedelta = dt.timezone, dt.timedelta

    class datetime:  # noqa: N801
        @staticmethod
        def now(zone: dt.tzinfo) -> dt.datetime:
            return dt.datetime.now(zone) + dt.timedelta(days=730)


DAYS = dg.StaticPartitionsDefinition(["a", "b", "c"])
KEY = dg.AssetKey("rows")


@dg.asset(
    partitions_def=DAYS,
    key="rows",
    check_specs=[dg.AssetCheckSpec("fine", asset="rows")],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def rows(context: dg.AssetExecutionContext):
    for key in context.partition_keys:
        if "refused" in context.run.tags and key == "b":
            raise dg.Failure("b cannot be had")
    return dg.MaterializeResult(
        metadata={"n": len(context.partition_keys)}, check_results=[dg.AssetCheckResult(passed=True)]
    )


def materialize(instance: dg.DagsterInstance, first: str, last: str, **tags: str) -> str:
    bounds = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return dg.materialize([rows], instance=instance, tags={**bounds, **tags}, raise_on_error=False).run_id


def log_of(home: Path, run_id: str) -> Path:
    return home / "history" / "runs" / f"{run_id}.db"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_run_whose_partitions_were_all_written_again_goes_whole(home: Path):
    with open_instance(home) as instance:
        first = materialize(instance, "a", "b")
        second = materialize(instance, "a", "c")
        found = old_runs(instance, dt.datetime.now(dt.timezone.utc) + dt.timedelta(minutes=1))
        assert (found.superseded, found.logs) == ((first,), (second,))
        assert found.log_bytes > 0

        remove_old_runs(instance, found)

        assert instance.get_run_by_id(first) is None
        assert instance.get_run_by_id(second) is not None
        assert not log_of(home, first).exists()
        assert not log_of(home, second).exists()


def test_what_partitions_and_checks_say_stays_as_it_was(home: Path):
    def said(instance: dg.DagsterInstance) -> tuple[object, ...]:
        records = instance.fetch_materializations(KEY, limit=10).records
        by_partition = {r.partition_key: r.asset_materialization for r in reversed(records)}
        check = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            [dg.AssetCheckKey(KEY, "fine")]
        )
        return (
            {key: (m.metadata["n"].value if m else None) for key, m in by_partition.items()},
            instance.get_status_by_partition(KEY, ["a", "b", "c"], DAYS),
            {key: record.evaluation for key, record in check.items()},
        )

    with open_instance(home) as instance:
        materialize(instance, "a", "c")
        materialize(instance, "b", "b", refused="yes")
        before = said(instance)
        assert before[1]["b"].value == "FAILED"

        remove_old_runs(
            instance, old_runs(instance, dt.datetime.now(dt.timezone.utc) + dt.timedelta(minutes=1))
        )

        assert said(instance) == before
        again = old_runs(instance, dt.datetime.now(dt.timezone.utc) + dt.timedelta(minutes=1))
        assert (again.superseded, again.logs) == ((), ()), "once is enough"


def test_runs_that_are_younger_or_not_over_stay(home: Path):
    with open_instance(home) as instance:
        materialize(instance, "a", "a")
        materialize(instance, "a", "a")
        instance.add_run(dg.DagsterRun("job", run_id="0" * 36, status=dg.DagsterRunStatus.STARTED))
        assert old_runs(instance, dt.datetime.now(dt.timezone.utc) - dt.timedelta(hours=1)).superseded == ()
        found = old_runs(instance, dt.datetime.now(dt.timezone.utc) + dt.timedelta(minutes=1))
        assert len(found.superseded) == 1
        assert "0" * 36 not in found.superseded


def test_the_weekly_job_removes_what_the_settings_say(home: Path, monkeypatch: pytest.MonkeyPatch):
    with open_instance(home) as instance:
        materialize(instance, "a", "a")
        kept = materialize(instance, "a", "a")
        assert prune_runs.execute_in_process(instance=instance).success
        assert log_of(home, kept).exists(), "a year has not passed"

        monkeypatch.setattr(run_retention, "dt", _Later)
        assert prune_runs.execute_in_process(instance=instance).success
        assert not log_of(home, kept).exists()

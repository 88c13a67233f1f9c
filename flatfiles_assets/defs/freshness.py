"""When a feed is late: a policy for Dagster's own health pages, and a sensor that counts sessions.

Dagster knows two kinds of freshness policy, and neither knows a holiday. A cron deadline on Tuesday to
Saturday would fail after every Monday holiday; a time window counts hours. So the policy is a window
that the calendar's longest closure fits into: it never alarms without reason, and is late to alarm.
The exact answer is the check ``fresh`` on each market asset, which counts sessions and the publication
hour: every run of the feed evaluates it, and the sensor here when no run comes, which is just when it
matters.

Not here: what fresh means (`checks/feed_checks.py`, `inventory.last_published_session`).
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import json
from collections.abc import Sequence

import dagster as dg

from flatfiles_assets import calendars
from flatfiles_assets.datasets import CalendarName, Dataset
from flatfiles_assets.defs.checks.feed_checks import FRESH, FRESHNESS_GRACE, judge_freshness
from flatfiles_assets.defs.keys import market_key
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.inventory import loaded_sessions

_LATE_BEFORE_FAILURE = dt.timedelta(days=1)
_POLL_SECONDS = 15 * 60


@functools.cache
def longest_closure(calendar: CalendarName) -> dt.timedelta:
    """The longest time from one session to the next, from 2002 to the calendar's horizon."""
    days = calendars.sessions(calendar, calendars.FIRST_DAY, calendars.LAST_DAY)
    return max(later - earlier for earlier, later in itertools.pairwise(days))


def freshness_policy(dataset: Dataset) -> dg.FreshnessPolicy:
    """The policy of a feed's assets: warns when the longest closure has passed, fails a day later.

    A session's file appears a fixed time after the session, so the time between two files is the time
    between two sessions.
    """
    warn_window = longest_closure(dataset.calendar) + FRESHNESS_GRACE
    return dg.FreshnessPolicy.time_window(
        fail_window=warn_window + _LATE_BEFORE_FAILURE, warn_window=warn_window
    )


def build_freshness_sensor(datasets: Sequence[Dataset]) -> dg.SensorDefinition:
    """The sensor that evaluates each feed's check ``fresh`` as time passes, without a run.

    It writes an evaluation only when the answer is another than at its last tick; the cursor holds one
    short text per feed.
    """

    @dg.sensor(
        name="freshness",
        description="Says of each feed whether the latest session due is loaded; no holiday is late.",
        minimum_interval_seconds=_POLL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    @door
    def freshness(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult:
        now = dt.datetime.now(dt.timezone.utc)
        known = json.loads(context.cursor or "{}")
        answers, evaluations = {}, []
        has_source = load_settings().has_flatfiles_credentials
        with warehouse.open().reader() as reader:
            for dataset in datasets:
                latest = max(loaded_sessions(reader, dataset.name), default=None)
                if latest is None and not has_source:
                    continue  # Nobody who has no access to the vendor waits for its files.
                verdict = judge_freshness(dataset, latest, now)
                answers[dataset.name] = verdict.description
                if known.get(dataset.name) == verdict.description:
                    continue
                evaluations.append(
                    dg.AssetCheckEvaluation(
                        asset_key=market_key(dataset),
                        check_name=FRESH,
                        passed=verdict.passed,
                        description=verdict.description,
                        severity=dg.AssetCheckSeverity.WARN,
                        metadata=dict(verdict.numbers),
                    )
                )
        return dg.SensorResult(
            asset_events=evaluations,
            skip_reason=None if answers else "No feed is loaded, and no access key of the vendor is set.",
            cursor=json.dumps(answers),
        )

    return freshness

"""Declarative automation: what is recomputed when something upstream has changed.

Here: the conditions, which asset has which, and the sensor that evaluates them. Not here: what
brings files in (`sensors.py`, `bucket_sensor.py`) and what runs by the clock (`schedules.py`).

The sensor asks for several partitions of a tick as one backfill, which obeys each asset's backfill
policy: a year that was loaded leads to one range run per asset downstream, not to 252 runs, so
twenty years cost some twenty runs per asset. A session leads to the same session downstream; the
later sessions whose features look back at it are `lookback_sensor.py`'s. News of splits and
dividends recompute the last 30 days; what is older takes an explicit backfill.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, TypeVar

import dagster as dg

from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.defs.checks.results import HeldBack, held_back, last_evaluated
from flatfiles_assets.defs.keys import PRICE_RECONCILIATION_KEY, QUARANTINE_KEY
from flatfiles_assets.defs.sensors.cursor import tick_seconds
from flatfiles_assets.settings import load_settings

T = TypeVar("T", bound=dg.AssetsDefinition | dg.AssetSpec)

Condition = dg.AutomationCondition[Any]

AUTOMATION_SENSOR = "automation"

# It reads the whole history of both sources: daily news of one session is no reason to.
_BY_HAND = {PRICE_RECONCILIATION_KEY}

# What was rejected must be seen above all where a check has failed.
_UNCHECKED = {QUARANTINE_KEY}

# Splits and dividends have no partitions: as a reason to recompute they concern every session there is.
_REFERENCE = dg.AssetSelection.key_prefixes("reference")
_REFERENCE_TIME = "0 7 * * *"
_REFERENCE_REACHES = dt.timedelta(days=30)


def with_automation(assets: Iterable[T]) -> list[T]:
    """The assets with the condition that each has by its place in the graph."""
    mapped: list[T] = list(dg.map_asset_specs(_with_condition, assets))  # type: ignore[arg-type]
    return mapped


def build_automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates every condition, on unless somebody turns it off."""
    return dg.AutomationConditionSensorDefinition(
        AUTOMATION_SENSOR,
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=tick_seconds(),
        emit_backfills=True,
        # Only there can a condition be one of ours.
        use_user_code_server=True,
        description="Brings tables and features up to date with what they are computed from.",
    )


def follows_upstream(*, checked: bool = True) -> Condition:
    """Recompute what anything upstream was updated for, once nothing upstream is being computed.

    An asset is computed together with what it follows where both are asked for in the same tick. A
    run that failed is asked for once more at most, until there is another update.

    Args:
        checked: Wait for the blocking checks of everything upstream.
    """
    coming = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
    unadjustable = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.missing()).allow(_REFERENCE)
    condition = (
        (_is_older_than_its_prices() | _was_left_out() | coming.ignore(_REFERENCE) | _has_news_of_reference())
        & ~_is_asked_for()
        & ~unadjustable
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )
    return condition & ~_blocked() if checked else condition


def follows_its_file() -> Condition:
    """Load a table whose files were updated by a run that did not load them.

    The usual run does both. One whose loading failed is not repeated here: the same file would fail
    again, and the sync sensor knows when there is another.
    """
    return (
        _is_older_than_its_prices()
        & ~_is_asked_for()
        & ~dg.AutomationCondition.execution_failed()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )


def refreshes_daily() -> Condition:
    """Fetch splits and dividends every morning, and once where they were never fetched."""
    return (
        dg.AutomationCondition.cron_tick_passed(_REFERENCE_TIME, NEW_YORK)
        | dg.AutomationCondition.missing().newly_true()
    ).since(
        dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
    ) & ~dg.AutomationCondition.in_progress()


def _is_older_than_its_prices() -> Condition:
    """Something upstream was updated after the asset.

    Writers of the warehouse take turns, so what was written last has seen everything before it. Dagster
    compares the two times as long as neither condition is combined with another: keep them bare.
    """
    updated = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
    return updated.ignore(_REFERENCE).since(dg.AutomationCondition.newly_updated())


def _was_left_out() -> Condition:
    """Something upstream had the session before anybody evaluated conditions, and the asset has not.

    What was loaded by hand before the daemon first ran is an update that no tick has seen.
    """
    there = dg.AutomationCondition.any_deps_match(~dg.AutomationCondition.missing()).ignore(_REFERENCE)
    left_out = dg.AutomationCondition.initial_evaluation() & dg.AutomationCondition.missing() & there
    return left_out.since(dg.AutomationCondition.newly_updated())


def _has_news_of_reference() -> Condition:
    """Splits or dividends were updated, the session is recent, and its features were computed before."""
    updated = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
    # Dagster names the memory of a condition without its selection: with the same reset as above, the
    # two would share one.
    handled = dg.AutomationCondition.newly_updated() | dg.AutomationCondition.newly_requested()
    lately = dg.AutomationCondition.in_latest_time_window(_REFERENCE_REACHES)
    return updated.allow(_REFERENCE).since(handled) & lately & ~dg.AutomationCondition.missing()


def _is_asked_for() -> Condition:
    """It was requested, and nothing upstream was updated since."""
    updated = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
    return dg.AutomationCondition.newly_requested().since(updated).with_label("asked for already")


def _blocked() -> Condition:
    """Something upstream has rows of the session that its blocking checks do not trust.

    Unlike Dagster's own `all_deps_blocking_checks_passed`, it tells sessions apart: a bad one holds
    back itself and not the feed. And it lets a session pass of which a dependency has nothing: the
    archives end in 2009, and many warehouses have none.
    """
    there = ~dg.AutomationCondition.missing() & ~dg.AutomationCondition.will_be_requested()
    return dg.AutomationCondition.any_deps_match(there & _HeldBack())


class _HeldBack(dg.AutomationCondition[dg.AssetKey]):
    """The partitions of an asset that its blocking checks hold back, or have not judged yet."""

    @property
    def name(self) -> str:
        return "held_back_by_a_check"

    @property
    def description(self) -> str:
        return "A blocking check has found the session bad, or was not evaluated since the last update"

    @property
    def requires_cursor(self) -> bool:
        return False

    async def evaluate(  # type: ignore[override]  # Dagster awaits it; its own conditions do the same.
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        view, found = context.asset_graph_view, context.candidate_subset
        if found.is_empty:
            return dg.AutomationResult(context, found)
        held: set[str] = set()
        for key in context.asset_graph.get(context.key).check_keys:
            if not context.asset_graph.get(key).blocking:
                continue
            says = HeldBack(everything=True)
            record = last_evaluated(view.instance, key)
            if record and record.evaluation and await record.targets_latest_materialization(view):
                says = held_back(record.evaluation)
            if says.everything:
                return dg.AutomationResult(context, found)
            held.update(day.isoformat() for day in says.sessions)
        if not found.is_partitioned:
            return dg.AutomationResult(context, context.get_empty_subset())
        return dg.AutomationResult(context, found.compute_intersection_with_partition_keys(held))


def _with_condition(spec: dg.AssetSpec) -> dg.AssetSpec:
    condition = _condition(spec)
    return spec.replace_attributes(automation_condition=condition) if condition else spec


def _condition(spec: dg.AssetSpec) -> Condition | None:
    layer = spec.key.path[0]
    if layer == "reference":
        settings = load_settings()
        return refreshes_daily() if settings.api_key or settings.reference_path.is_dir() else None
    if layer not in ("market", "algorithm") or spec.key in _BY_HAND or not list(spec.deps):
        return None
    if all(dep.asset_key.path[0] == "raw" for dep in spec.deps):
        return follows_its_file()
    return follows_upstream(checked=spec.key not in _UNCHECKED)

"""Which partitions are due: older than what they are computed from, trusted, and not asked for yet.

Here: the rule, as plain functions over what the instance knows; a table of cases is in the tests.
Not here: how the instance is read and runs are requested (`sensors/automation.py`), what brings
files in (`sensors/feeds.py`, `sensors/bucket.py`) and what runs by the clock (`schedules.py`).

A session of an asset is due for *news*: something upstream of the same session has a later
materialisation than its own, or is being requested with it. News is remembered by its storage id,
the instance's own count of events, so no clock is compared with another.

=================================  ======================================================
where                              then
=================================  ======================================================
upstream newer, nothing else       due
the same news was asked for        not due: a run that failed is not asked for for ever
its run was killed                 due once more: that says nothing of the data
newer news since it was asked      due again
a run has it, or what it needs     waits: what the run writes decides the next tick
a blocking check holds it back     waits, this session alone; its neighbours are due
what it needs is requested apart   waits: another run writes it first
its input was never fetched        waits (splits: without them no price can be adjusted)
splits are news                    due if it was computed before and lies in the last month
=================================  ======================================================

Every asset of the same partitions that is due for a session is requested in one run, upstream
first; so twenty years that were loaded become some twenty range runs, not thousands.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal

UNPARTITIONED = ""
"""Stands for the one partition of an asset without partitions."""

Partition = str
AssetName = str
NewsId = int

Requested = Mapping[AssetName, Mapping[Partition, NewsId]]


@dataclasses.dataclass(frozen=True)
class Rule:
    """What one asset follows.

    Attributes:
        asset: Its key as text, ``market/daily_prices``.
        upstream: Assets whose sessions are its sessions' input.
        all_sessions: Assets without sessions, which are input of all of them: splits.
        needs_checks: Whether blocking checks of what is upstream hold its sessions back.
        repeats_failures: Whether news is followed although the last run with it failed here.
        run_with: Those of `upstream` that have the same partitions: one run computes both.
        yearly: Those of `upstream` that have a partition per year, which is input of its sessions.
    """

    asset: AssetName
    upstream: tuple[AssetName, ...]
    all_sessions: tuple[AssetName, ...] = ()
    needs_checks: bool = True
    repeats_failures: bool = True
    run_with: tuple[AssetName, ...] = ()
    yearly: tuple[AssetName, ...] = ()

    def source(self, upstream: AssetName, partition: Partition) -> Partition:
        """The partition of an upstream asset that a partition is computed from."""
        return partition[:4] if upstream in self.yearly else partition


@dataclasses.dataclass(frozen=True)
class AssetState:
    """What the instance knows of one asset.

    Attributes:
        updated: Storage id of the latest materialisation of each partition that has one.
        under_way: Partitions that an unfinished run has promised.
        failed: Partitions that a run promised, and ended without, each with that run's id.
        untrusted: Partitions that a blocking check holds back; ``all`` where every one is.
    """

    updated: Mapping[Partition, NewsId] = dataclasses.field(default_factory=dict)
    under_way: Collection[Partition] = frozenset()
    failed: Mapping[Partition, str] = dataclasses.field(default_factory=dict)
    untrusted: Collection[Partition] | Literal["all"] = frozenset()

    def holds_back(self, partition: Partition) -> bool:
        """Whether there is something of that partition that is not to spread."""
        if partition not in self.updated:
            return False
        return self.untrusted == "all" or partition in self.untrusted


def due(
    rules: Iterable[Rule],
    states: Mapping[AssetName, AssetState],
    asked: Requested,
    partitions_of: Callable[[AssetName], Collection[Partition]],
    recent: Callable[[Partition], bool],
) -> dict[AssetName, dict[Partition, NewsId]]:
    """The partitions that are due now, by asset, with the news that each is due for.

    Args:
        rules: What each asset follows, upstream first.
        states: What the instance knows of every asset that a rule names.
        asked: What earlier ticks asked for, and for which news.
        partitions_of: The partitions that an asset has; asked only where there is news.
        recent: Whether news that concerns all sessions concerns this one.
    """
    found: dict[AssetName, dict[Partition, NewsId]] = {}
    for rule in rules:
        own, known = states[rule.asset], asked.get(rule.asset, {})
        if any(not states[name].updated for name in rule.all_sessions):
            continue
        candidates = {
            partition: news
            for partition, news in _news(rule, states, found, partitions_of, recent).items()
            if known.get(partition, -1) < news
            and partition not in own.under_way
            and (rule.repeats_failures or partition not in own.failed)
            and not _waits(rule, partition, states, found)
        }
        if candidates:
            existing = partitions_of(rule.asset)
            due_now = {partition: news for partition, news in candidates.items() if partition in existing}
            if due_now:
                found[rule.asset] = due_now
    return found


def _news(
    rule: Rule,
    states: Mapping[AssetName, AssetState],
    requested: Requested,
    partitions_of: Callable[[AssetName], Collection[Partition]],
    recent: Callable[[Partition], bool],
) -> dict[Partition, NewsId]:
    """The latest event upstream of each partition that is later than its own."""
    own = states[rule.asset].updated
    news: dict[Partition, NewsId] = {}
    for name in rule.upstream:
        events: dict[Partition, NewsId] = {}
        coming = requested.get(name, {}) if name in rule.run_with else {}
        for source in (states[name].updated, coming):
            for partition, event in source.items():
                events[partition] = max(event, events.get(partition, -1))
        if not events:
            continue
        for partition in _fed_by(rule, name, events, partitions_of):
            source_partition = rule.source(name, partition)
            event = events[source_partition]
            if (source_partition in coming or event > own.get(partition, -1)) and event > news.get(
                partition, -1
            ):
                news[partition] = event
    reference = max((states[name].updated[UNPARTITIONED] for name in rule.all_sessions), default=-1)
    for partition, event in own.items():
        if event < reference and recent(partition):
            news[partition] = max(reference, news.get(partition, -1))
    return news


def _fed_by(
    rule: Rule,
    upstream: AssetName,
    events: Mapping[Partition, NewsId],
    partitions_of: Callable[[AssetName], Collection[Partition]],
) -> Iterable[Partition]:
    """The asset's partitions whose input is among these upstream partitions."""
    if upstream not in rule.yearly:
        return events
    return [session for session in partitions_of(rule.asset) if rule.source(upstream, session) in events]


def _waits(
    rule: Rule, partition: Partition, states: Mapping[AssetName, AssetState], requested: Requested
) -> bool:
    for name in rule.all_sessions:
        state = states[name]
        if state.under_way or (rule.needs_checks and state.holds_back(UNPARTITIONED)):
            return True
    for name in rule.upstream:
        source, state = rule.source(name, partition), states[name]
        if source in state.under_way:
            return True
        if source in requested.get(name, {}):
            if name in rule.run_with:
                continue  # It is judged anew in the run that computes both, before this is.
            return True
        if rule.needs_checks and state.holds_back(source):
            return True
    return False


def runs_for(
    due_now: Requested,
    families: Iterable[Sequence[AssetName]],
    order_of: Callable[[AssetName], Sequence[Partition]],
    *,
    longest: Callable[[AssetName], int],
) -> list[tuple[tuple[AssetName, ...], Partition, Partition]]:
    """The fewest runs for what is due: assets, first and last partition of each.

    Args:
        due_now: What is due.
        families: Assets with the same partitions, upstream first; each asset in one family.
        order_of: All partitions of an asset in order.
        longest: Most partitions of an asset in one run.
    """
    runs = []
    for family in families:
        together: dict[Partition, tuple[AssetName, ...]] = {}
        for name in family:
            for partition in due_now.get(name, {}):
                together[partition] = (*together.get(partition, ()), name)
        if not together:
            continue
        position = {partition: index for index, partition in enumerate(order_of(family[0]))}
        begun: list[tuple[tuple[AssetName, ...], list[Partition]]] = []
        for partition in sorted(together, key=position.__getitem__):
            assets = together[partition]
            if begun and begun[-1][0] == assets:
                members = begun[-1][1]
                follows = position[partition] == position[members[-1]] + 1
                if follows and len(members) < min(map(longest, assets)):
                    members.append(partition)
                    continue
            begun.append((assets, [partition]))
        runs += [(assets, members[0], members[-1]) for assets, members in begun]
    return runs


def still_open(
    asked: Requested, states: Mapping[AssetName, AssetState]
) -> dict[AssetName, dict[Partition, NewsId]]:
    """What was asked for and has not come: all that has to be remembered of it."""
    return {
        name: left
        for name, partitions in asked.items()
        if name in states
        and (
            left := {
                partition: news
                for partition, news in partitions.items()
                if states[name].updated.get(partition, -1) < news
            }
        )
    }

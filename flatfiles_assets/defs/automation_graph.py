"""The assets as automation sees them: what each follows, its partitions, what one run can compute.

Here: the rules, made from the assets' own specifications. Not here: when a rule asks for something
(`automation.py`) and what the instance knows (`automation_state.py`).
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from flatfiles_assets.defs.automation import UNPARTITIONED, Rule
from flatfiles_assets.defs.keys import PRICE_RECONCILIATION_KEY, QUARANTINE_KEY
from flatfiles_assets.defs.partitions import year_partitions

# It reads the whole history of both sources: daily news of one session is no reason to.
_BY_HAND = {PRICE_RECONCILIATION_KEY}

# What was rejected must be seen above all where a check has failed.
_UNCHECKED = {QUARANTINE_KEY}

_REFERENCE = "reference"
_MOST_PARTITIONS_WITHOUT_POLICY = 1


class AutomationGraph:
    """The assets as the rules see them, worked out once."""

    def __init__(self, assets: Iterable[dg.AssetsDefinition]) -> None:
        self.specs: dict[str, dg.AssetSpec] = {}
        self._definitions: dict[str, dg.AssetsDefinition] = {}
        for definition in assets:
            for spec in definition.specs:
                self.specs[spec.key.to_user_string()] = spec
                self._definitions[spec.key.to_user_string()] = definition
        self.order = _upstream_first(self.specs)
        self.rules = [rule for name in self.order if (rule := self._rule(name))]
        self.reference = [
            name
            for name in self.order
            if name.startswith(f"{_REFERENCE}/") and self._definitions[name].is_executable
        ]

    @property
    def followers(self) -> list[dg.AssetKey]:
        """The assets that are ever requested."""
        return [
            self.specs[name].key for name in dict.fromkeys([*self.reference, *(r.asset for r in self.rules)])
        ]

    @functools.cached_property
    def blocking_checks(self) -> Mapping[str, list[dg.AssetCheckKey]]:
        """The checks of each asset whose failure holds back what is downstream."""
        found: dict[str, list[dg.AssetCheckKey]] = {}
        for definition in {id(each): each for each in self._definitions.values()}.values():
            for spec in definition.check_specs:
                if spec.blocking:
                    found.setdefault(spec.asset_key.to_user_string(), []).append(spec.key)
        return found

    def definition_of_partitions(self, name: str) -> dg.PartitionsDefinition[str] | None:
        """How an asset is partitioned; None for one that is not, or that is not ours."""
        spec = self.specs.get(name)
        return spec.partitions_def if spec else None

    def partitions(self, name: str) -> Sequence[str]:
        """All partitions in order; the one that stands for none of an asset without partitions."""
        definition = self.definition_of_partitions(name)
        if definition is None:
            return [UNPARTITIONED]
        # A day's partition begins at a midnight, which is a full hour everywhere that we have feeds.
        return _keys(definition, f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d %H}")

    def most_per_run(self, name: str) -> int:
        """How many partitions one run takes."""
        policy = self._definitions[name].backfill_policy
        return (policy.max_partitions_per_run if policy else None) or _MOST_PARTITIONS_WITHOUT_POLICY

    @functools.cached_property
    def families(self) -> list[list[str]]:
        """The followers by their partitions, upstream first."""
        found: dict[Any, list[str]] = {}
        for rule in self.rules:
            found.setdefault(self.definition_of_partitions(rule.asset), []).append(rule.asset)
        return list(found.values())

    def _rule(self, name: str) -> Rule | None:
        spec = self.specs[name]
        upstream = [dep.asset_key.to_user_string() for dep in spec.deps]
        if spec.key in _BY_HAND or not upstream or name.split("/")[0] not in ("market", "algorithm"):
            return None
        whole = tuple(
            each for each in upstream if spec.partitions_def and self.definition_of_partitions(each) is None
        )
        by_session = tuple(each for each in upstream if each not in whole)
        of_files = all(each.startswith("raw/") for each in upstream)
        return Rule(
            name,
            by_session,
            whole,
            needs_checks=not of_files and spec.key not in _UNCHECKED,
            # The usual run fetches and loads. One whose loading failed is not repeated: the same file
            # would fail again, and the sync sensor knows when there is another.
            repeats_failures=not of_files,
            run_with=tuple(
                each
                for each in by_session
                if self.definition_of_partitions(each) == spec.partitions_def and not each.startswith("raw/")
            ),
            yearly=tuple(
                each
                for each in by_session
                if self.definition_of_partitions(each) == year_partitions() != spec.partitions_def
            ),
        )


@functools.lru_cache(maxsize=32)
def _keys(definition: dg.PartitionsDefinition[str], _hour: str) -> tuple[str, ...]:
    return tuple(definition.get_partition_keys())


def _upstream_first(specs: Mapping[str, dg.AssetSpec]) -> list[str]:
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in order or name not in specs:
            return
        for dep in specs[name].deps:
            visit(dep.asset_key.to_user_string())
        order[name] = None

    for name in specs:
        visit(name)
    return list(order)

"""What a tick of automation leaves to the next: what was asked for, and when the reference tables were.

Here: the memory and its text form, which names ranges of partitions, so that a year that was asked for
is one line.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence

from flatfiles_assets.defs.automation import Requested
from flatfiles_assets.defs.automation_graph import AutomationGraph


class AutomationMemory:
    """What was asked for and has not come, and when the reference tables were asked for."""

    def __init__(self, asked: Requested, reference_asked: dt.datetime | None) -> None:
        self.asked = asked
        self.reference_asked = reference_asked

    def encode(self, graph: AutomationGraph) -> str:
        """The memory as text: first partition, last partition and news of each range."""
        ranges: dict[str, list[tuple[str, str, int]]] = {}
        for name, partitions in self.asked.items():
            position = {partition: index for index, partition in enumerate(graph.partitions(name))}
            found: list[tuple[str, str, int]] = []
            for partition in sorted(set(partitions) & set(position), key=position.__getitem__):
                news = partitions[partition]
                follows = found and position[found[-1][1]] + 1 == position[partition]
                if follows and found[-1][2] == news:
                    found[-1] = (found[-1][0], partition, news)
                else:
                    found.append((partition, partition, news))
            if found:
                ranges[name] = found
        at = self.reference_asked.isoformat() if self.reference_asked else None
        return json.dumps({"asked": ranges, "reference_asked": at}, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str | None, graph: AutomationGraph) -> AutomationMemory:
        """The memory of a text; none for text of another kind: what is due is then asked for anew."""
        try:
            values = json.loads(text or "{}")
            at = values.get("reference_asked")
            asked = {
                name: dict(_spread(graph.partitions(name), ranges))
                for name, ranges in values.get("asked", {}).items()
                if name in graph.specs
            }
            return cls(asked, dt.datetime.fromisoformat(at) if at else None)
        except (ValueError, TypeError, AttributeError, KeyError):
            return cls({}, None)


def _spread(partitions: Sequence[str], ranges: Iterable[tuple[str, str, int]]) -> Iterable[tuple[str, int]]:
    position = {partition: index for index, partition in enumerate(partitions)}
    for first, last, news in ranges:
        for partition in partitions[position[first] : position[last] + 1]:
            yield partition, news

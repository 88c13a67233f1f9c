"""One row per measured claim, and the table that `make bench` prints."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Run configuration of a Dagster run that writes nothing to the terminal."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One claim, measured against a named peer in the same run.

    Attributes:
        claim: What was measured, with its size.
        ours: Our median, in `unit`.
        peer_name: What it is compared with.
        peer: The peer's median, in `unit`.
        unit: Unit of both, e.g. ``"s"`` or ``"objects/s"``.
        ratio: The figure that is asked for: how many times better, or how much of the peer's cost.
        asked: The bound as text, e.g. ``">= 3"`` or ``"<= 1.3"``.
    """

    claim: str
    ours: float
    peer_name: str
    peer: float
    unit: str
    ratio: float
    asked: str

    @property
    def met(self) -> bool:
        """Whether the ratio is within what was asked."""
        operator, bound = self.asked.split()
        return self.ratio >= float(bound) if operator == ">=" else self.ratio <= float(bound)


def median_seconds(action: Callable[[], object], runs: int = 3) -> float:
    """Median wall time of some runs of an action, after none to warm up."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times)

"""A day without news costs Dagster's databases little."""

from __future__ import annotations

import pytest

from flatfiles_assets.definitions import build_defs

pytestmark = pytest.mark.slow

# Measured with a daemon on an idle home: 73 ticks made `schedules.db` 90,112 bytes longer.
_BYTES_PER_TICK = 1_234
_MOST_BYTES_A_DAY = 5_000_000


def test_the_sensors_of_an_idle_day_store_at_most_five_megabytes():
    """Skipped ticks are purged after a day, so that is also what they ever take."""
    ticks = sum(86_400 / (sensor.minimum_interval_seconds or 30) for sensor in build_defs("").sensors or [])
    assert ticks * _BYTES_PER_TICK <= _MOST_BYTES_A_DAY

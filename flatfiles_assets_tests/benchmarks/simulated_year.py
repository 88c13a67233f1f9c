"""A year of two feeds, a session a tick, with late, replaced and unreachable files: is anything unbounded?

Every tick of automation in CPU seconds, the size of Dagster's databases per session, and the growth of
the process's memory from the first quarter of the year to its end. The peer of the last quarter is the
second: what grows with time shows as a ratio above one. `FLATFILES_BENCH_SESSIONS` shortens the year.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest import mock

from flatfiles_assets.calendars import sessions
from flatfiles_assets_tests import s3_servers
from flatfiles_assets_tests.benchmarks.report import Row
from flatfiles_assets_tests.platform import Platform
from flatfiles_assets_tests.simulated_weeks import Lived, Simulation, Weeks

_SESSIONS = 252
_MOST_TICK_SECONDS = 10.0
_MOST_KB_A_SESSION = 2_500.0
_MOST_GROWTH = 1.1


def run() -> list[Row]:
    """Ticks, databases and memory of the year."""
    n_sessions = int(os.environ.get("FLATFILES_BENCH_SESSIONS", _SESSIONS))
    days = sessions("XNYS", "2023-01-03", "2024-01-31")[:n_sessions]
    every = max(n_sessions // 10, 4)
    away = days[n_sessions // 2 : n_sessions // 2 + 5]
    weeks = Weeks(
        days,
        ("stocks_daily", "options_daily"),
        late=days[5::every],
        # What is replaced before anybody could fetch it is loaded once.
        replaced=[day for day in days[2::every] if day not in away],
        away=away,
        restarts=days[7::every],
    )
    with s3_servers.moto() as server, tempfile.TemporaryDirectory() as folder:
        platform = Platform(server, server.new_bucket(), Path(folder) / "data")
        environment = {
            "FLATFILES_ENDPOINT_URL": server.endpoint_url,
            "FLATFILES_ACCESS_KEY_ID": server.access_key_id,
            "FLATFILES_SECRET_ACCESS_KEY": server.secret_access_key,
            "FLATFILES_BUCKET": platform.bucket,
            "FLATFILES_DATA_DIR": str(platform.data_dir),
            "FLATFILES_SYNC_START": str(days[0]),
            "FLATFILES_MAX_RETRIES": "0",
        }
        with mock.patch.dict(os.environ, environment):
            simulation = Simulation(platform)
            simulation.drop_reference_files()
            lived = simulation.live(weeks)
            _check(simulation, weeks, lived)
            kilobytes = sum(path.stat().st_size for path in platform.home.rglob("*.db*")) / 1e3
    quarter = len(lived.tick_seconds) // 4
    early, late = max(lived.tick_seconds[quarter : 2 * quarter]), max(lived.tick_seconds[3 * quarter :])
    memory = lived.peak_kib[-1] / lived.peak_kib[len(lived.peak_kib) // 4]
    year = f"{n_sessions} sessions, two feeds, {lived.runs} runs"
    return [
        Row(
            f"the longest tick of {year}",
            late,
            "its second quarter's",
            early,
            "s of CPU",
            late,
            f"<= {_MOST_TICK_SECONDS}",
        ),
        Row(
            "Dagster's databases per session of two feeds, with all that follows",
            kilobytes / n_sessions,
            "asked for",
            _MOST_KB_A_SESSION,
            "kB",
            kilobytes / n_sessions,
            f"<= {_MOST_KB_A_SESSION}",
        ),
        Row(
            "memory at the end of the year",
            lived.peak_kib[-1] / 1024,
            "after its first quarter",
            lived.peak_kib[len(lived.peak_kib) // 4] / 1024,
            "MiB",
            memory,
            f"<= {_MOST_GROWTH}",
        ),
    ]


def _check(simulation: Simulation, weeks: Weeks, lived: Lived) -> None:
    """A year that went wrong has no figures."""
    expected = {str(day): 1 + (day in weeks.replaced) for day in weeks.days}
    found = simulation.materialisations(weeks.feeds[0])
    if lived.failed or found != expected:
        raise RuntimeError(f"failed runs: {lived.failed[:3]}; sessions: {found} instead of {expected}")

"""Bringing in what is missing before it is read, through Dagster.

Here: which sessions are worth asking for, and the runs that ask. Not here: how a run works
(`runs.py`). Dagster is imported only when there is something to run: it takes seconds.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from flatfiles_assets.console import console as terminal
from flatfiles_assets.console import draws_bars
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.defs import progress
from flatfiles_assets.ingest.archives.extraction import read_manifest
from flatfiles_assets.ingest.reference import dropped_file
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse import inventory
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg

    from flatfiles_assets.defs.runs import RangeRun

_FEED = get_dataset("stocks_daily")
_ARCHIVE_JOB, _UNIFIED_JOB = "historical_daily", "daily_prices"
# Asking again would be answered as before; `flatfiles backfill` asks all the same.
_SETTLED = {"refused", "not_entitled"}
# What was not published so long after its session will hardly be.
_LATE = dt.timedelta(days=10)

T = TypeVar("T")


def worth_asking(settings: Settings, warehouse: Warehouse, missing: Sequence[dt.date]) -> list[dt.date]:
    """Of the sessions without prices, those that an extracted year or the vendor should have."""
    archived = in_extracted_years(settings, missing)
    others = sorted(set(missing) - set(archived))
    return sorted([*archived, *_published(settings, warehouse, others)])


def in_extracted_years(settings: Settings, sessions: Sequence[dt.date]) -> list[dt.date]:
    """The sessions whose year's archive is extracted: they are had without asking any store."""
    years = {
        year
        for year in {session.year for session in sessions}
        if read_manifest(settings.minio_cache_dir / "historical" / str(year)) is not None
    }
    return [session for session in sessions if session.year in years]


def _published(settings: Settings, warehouse: Warehouse, missing: Sequence[dt.date]) -> list[dt.date]:
    """Of some sessions, those that the vendor should have and has not refused."""
    latest = inventory.last_published_session(_FEED, dt.datetime.now(dt.timezone.utc))
    candidates = [day for day in missing if _FEED.first_session <= day <= latest]
    if not candidates:
        return []
    workspace = Workspace.from_settings(settings)
    with workspace.flat_file_cache() as cache:
        statuses = inventory.feed_inventory(
            _FEED, workspace.catalog, cache.ledger, warehouse, candidates[0], candidates[-1]
        )
    settled = {
        status.session
        for status in statuses
        if status.state in _SETTLED or (status.state == "not_published" and status.session < latest - _LATE)
    }
    # A file without rows is present, and has no prices.
    empty = {status.session for status in statuses if status.state == "present" and not status.rows}
    return [day for day in candidates if day not in settled | empty]


def materialize_prices(settings: Settings, warehouse: Warehouse, wanted: Sequence[dt.date]) -> list[RangeRun]:
    """Load some sessions, then unify them: one range run per job, with a progress bar.

    Sessions of an extracted year come from its archive, which is here; the others are fetched from
    the vendor.

    Returns:
        The runs, failed ones included: what they could bring is in the warehouse.

    Raises:
        MissingCredentials: No access key is set for the vendor's bucket.
    """
    archived = in_extracted_years(settings, wanted)
    published = sorted(set(wanted) - set(archived))
    if published:
        settings.flatfiles_credentials()

    def run() -> list[RangeRun]:
        from flatfiles_assets.definitions import build_defs
        from flatfiles_assets.defs.resources import WarehouseResource

        defs = build_defs(resource_overrides={"warehouse": WarehouseResource(database=str(warehouse.path))})
        runs = _run_job(defs, _ARCHIVE_JOB, settings, archived) if archived else []
        runs += _run_job(defs, _FEED.name, settings, published) if published else []
        return [*runs, *_run_job(defs, _UNIFIED_JOB, settings, wanted)]

    with _environment(settings):
        return _outside_event_loop(run)


def _run_job(
    defs: dg.Definitions, job_name: str, settings: Settings, wanted: Sequence[dt.date]
) -> list[RangeRun]:
    from flatfiles_assets.defs.runs import run_ranges

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = terminal(stderr=True)
    with Progress(*columns, console=console, disable=not draws_bars(console)) as bars:
        task = bars.add_task(job_name, total=len(wanted))
        with progress.reporting(lambda _, count: bars.advance(task, count)):
            return list(
                run_ranges(defs, job_name, [day.isoformat() for day in wanted], home=settings.dagster_home)
            )


def can_materialize_reference(settings: Settings) -> bool:
    """Whether there is a source of splits: an API key or a dropped file."""
    has_key = bool(settings.api_key and settings.api_key.get_secret_value())
    return has_key or dropped_file(settings.reference_path, "splits") is not None


def materialize_reference(settings: Settings, warehouse: Warehouse) -> bool:
    """Load splits and dividends; whether both were."""

    def run() -> bool:
        import dagster as dg

        from flatfiles_assets.defs.assets.reference import build_reference_assets
        from flatfiles_assets.defs.instance.home import open_instance
        from flatfiles_assets.defs.io_manager import WarehouseIOManager
        from flatfiles_assets.defs.keys import WAREHOUSE_IO
        from flatfiles_assets.defs.resources import WarehouseResource

        resources = {
            "warehouse": WarehouseResource(database=str(warehouse.path)),
            WAREHOUSE_IO: WarehouseIOManager(database=str(warehouse.path)),
        }
        with open_instance(settings.dagster_home) as instance:
            return dg.materialize(
                build_reference_assets(),
                instance=instance,
                resources=resources,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            ).success

    with _environment(settings):
        return _outside_event_loop(run)


@contextlib.contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """Have the code location, which reads the environment, see these settings.

    They pass through the environment and not through Dagster's configuration, which keeps what it
    is given and shows it.
    """
    wanted: dict[str, str] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        aliases = getattr(field.validation_alias, "choices", ())
        if value is not None and aliases:
            shown = value.get_secret_value() if isinstance(value, SecretStr) else value
            wanted[str(aliases[0])] = str(shown)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, earlier in before.items():
            if earlier is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = earlier


def _outside_event_loop(action: Callable[[], T]) -> T:
    """Run it in this thread, or in one of its own where a notebook's event loop runs in this one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return action()
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(action).result()

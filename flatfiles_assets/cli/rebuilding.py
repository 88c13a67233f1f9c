"""Everything made anew from the files on disk: ledgers, warehouse, Dagster's records; no network.

Here: `rebuild`, the order of its steps and what it could not do. It builds beside what is there and
changes names at the end, so a rebuild that fails or is killed leaves everything as it was, but for the
ledgers, which are the first step and whole by themselves. Not here: how a ledger is recovered
(`download/ledger_recovery.py`), which rows of the old warehouse are kept (`warehouse/salvage.py`).
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime as dt
import multiprocessing
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import dagster as dg

from flatfiles_assets.datasets import Dataset, selected_datasets
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.keys import (
    DUCKDB_WRITER_POOL,
    EXTRACTED_YEAR_KEY,
    WAREHOUSE_IO,
    market_directory_key,
)
from flatfiles_assets.defs.resources import FlatFilesS3Resource, WarehouseResource
from flatfiles_assets.defs.runs import RangeRun, run_job, run_ranges
from flatfiles_assets.download.cache import FetchedFile, FileCache
from flatfiles_assets.download.ledger_recovery import RecoveredLedger, recover_ledger
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.ingest.archives.extraction import read_manifest
from flatfiles_assets.ingest.archives.member_names import MANIFEST_NAME
from flatfiles_assets.ingest.reference import dropped_file
from flatfiles_assets.minio_data_downloader import DIRECTORIES
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.loading import cached_files
from flatfiles_assets.warehouse.new_file import is_there
from flatfiles_assets.warehouse.salvage import salvage, take_the_place
from flatfiles_assets.warehouse.workspace import Workspace

# A process of its own costs some seconds of imports: fewer sessions than these are not worth it.
_FEWEST_SESSIONS_A_PROCESS = 60
_FOLDER = ".rebuilding"


@dataclasses.dataclass
class Rebuilt:
    """What came of a rebuild.

    Attributes:
        sessions: Sessions loaded from the mirror, by feed.
        kept: Rows of the old warehouse that no file on disk has, by table.
        could_not: What could not be made anew, and why.
        aside: Where what was there before is kept.
    """

    sessions: dict[str, int] = dataclasses.field(default_factory=dict)
    kept: dict[str, int] = dataclasses.field(default_factory=dict)
    could_not: list[str] = dataclasses.field(default_factory=list)
    aside: list[Path] = dataclasses.field(default_factory=list)


class MirroredS3Resource(FlatFilesS3Resource):
    """The vendor's bucket as the mirror has it: nothing is asked of the network."""

    def fetch(
        self,
        cache: FileCache,
        keys: Sequence[str],
        *,
        recheck: bool = True,  # noqa: ARG002
    ) -> Iterator[FetchedFile | FlatFilesError]:
        """The cached file of each key, or that there is none."""
        never = dt.date.min
        for key in keys:
            for _, _, file in cached_files(cache, {never: key}):
                yield file


def rebuild(settings: Settings, *, workers: int, say: Callable[[str], None]) -> Rebuilt:
    """Make ledgers, warehouse and Dagster's records anew from the mirrors and manifests.

    Args:
        settings: Where everything is.
        workers: Ranges of sessions that are loaded side by side.
        say: Told of each step as it begins.

    Raises:
        WarehouseBusy: Somebody holds the warehouse when it is to be replaced.
    """
    done = Rebuilt()
    workspace = Workspace.from_settings(settings)
    folder = settings.data_dir.resolve() / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    for mirror in (settings.flatfiles_cache_dir, settings.minio_cache_dir):
        if mirror.exists():
            say(f"the ledger of {mirror.name}")
            _note_ledger(done, mirror, recover_ledger(mirror, MANIFEST_NAME))
    fresh = Warehouse(folder / "warehouse.duckdb", settings.lock_timeout_seconds)
    home = folder / "dagster_home"
    _load_feeds(settings, workspace, fresh, home, workers, done, say)
    _load_the_rest(settings, fresh, home, done, say)
    say("what only the old warehouse has")
    with fresh.writer("rebuilding"):
        pass  # There is one, even if nothing was loaded.
    found = salvage(workspace.warehouse.path, fresh)
    done.kept, problems = found.rows, found.problems
    done.could_not += problems
    say("putting it in place")
    done.aside += take_the_place(fresh, workspace.warehouse)
    done.aside += _replace_home(home, settings.data_dir / "dagster_home")
    if settings.dagster_home.resolve() != (settings.data_dir / "dagster_home").resolve():
        done.could_not.append(
            f"Dagster's records in {settings.dagster_home}, which is your own home: those made anew are in "
            f"{settings.data_dir / 'dagster_home'}"
        )
    shutil.rmtree(folder, ignore_errors=True)
    return done


def load_mirrored(feed: str, sessions: Sequence[str], database: str, home: str) -> list[str]:
    """Load some sessions of a feed from the mirror; returns why not all are, run by run.

    A function of plain values: it runs in processes of its own.
    """
    overrides = {
        "flatfiles_s3": MirroredS3Resource(),
        "warehouse": WarehouseResource(database=database),
    }
    from flatfiles_assets.definitions import build_defs

    runs = run_ranges(
        build_defs(extra_feeds=feed, resource_overrides=overrides), feed, sessions, home=Path(home), bridge=0
    )
    return [run.message for run in runs if not run.succeeded]


def _note_ledger(done: Rebuilt, mirror: Path, recovered: RecoveredLedger) -> None:
    done.could_not += [f"{mirror.name}/{key}: {why}" for key, why in recovered.damaged.items()]
    if recovered.lost:
        done.could_not.append(
            f"{len(recovered.lost)} files that the ledger of {mirror.name} knew are not on disk, "
            f"for example {recovered.lost[0]}"
        )


def _load_feeds(
    settings: Settings,
    workspace: Workspace,
    fresh: Warehouse,
    home: Path,
    workers: int,
    done: Rebuilt,
    say: Callable[[str], None],
) -> None:
    ranges: list[tuple[str, list[str]]] = []
    for dataset in selected_datasets(settings.extra_feeds):
        sessions = _mirrored_sessions(dataset, workspace)
        if not sessions:
            continue
        done.sessions[dataset.name] = len(sessions)
        longest = max(_FEWEST_SESSIONS_A_PROCESS, -(-len(sessions) // workers))
        longest = min(longest, dataset.max_partitions_per_run)
        ranges += [(dataset.name, sessions[at : at + longest]) for at in range(0, len(sessions), longest)]
    say(f"{sum(done.sessions.values())} sessions in {len(ranges)} ranges")
    # Made before anybody else opens it; the pool is for one writer, and these take turns themselves.
    with open_instance(home) as instance:
        instance.event_log_storage.set_concurrency_slots(DUCKDB_WRITER_POOL, max(workers, 1))
    arguments = [(feed, sessions, str(fresh.path), str(home)) for feed, sessions in ranges]
    if workers < 2 or len(ranges) < 2:
        failures = [load_mirrored(*each) for each in arguments]
    else:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
            failures = list(pool.map(load_mirrored, *zip(*arguments, strict=True)))
    for (feed, _), messages in zip(ranges, failures, strict=True):
        done.could_not += [f"{feed}: {message}" for message in messages]
    with open_instance(home) as instance:
        instance.event_log_storage.set_concurrency_slots(DUCKDB_WRITER_POOL, 1)


def _mirrored_sessions(dataset: Dataset, workspace: Workspace) -> list[str]:
    """The sessions whose file the mirror has, as the ledger says."""
    prefix = workspace.catalog.get_prefix(dataset.name)
    with workspace.flat_file_cache() as cache:
        keys = [
            entry.key
            for entry in cache.ledger.entries(prefix)
            if entry.has_file and cache.path(entry.key).is_file()
        ]
    return sorted(workspace.catalog.parse_key_metadata(key)["date"] for key in keys)


def _load_the_rest(
    settings: Settings, fresh: Warehouse, home: Path, done: Rebuilt, say: Callable[[str], None]
) -> None:
    """What is made of archives, of directories and of tables, each as far as it is on disk."""
    defs = _offline_definitions(fresh)
    years = _extracted_years(settings)
    if years:
        say(f"the archives of {', '.join(map(str, years))}")
        with open_instance(home) as instance:
            for year in years:
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(EXTRACTED_YEAR_KEY, partition=str(year))
                )
        days = [key for key in _partitions(defs, "historical_daily") if int(key[:4]) in years]
        _note_runs(done, "historical_daily", run_ranges(defs, "historical_daily", days, home=home))
    for directory in DIRECTORIES:
        if (settings.minio_cache_dir / directory).exists():
            say(f"the directory {directory}")
            _note_runs(done, directory, [run_job(defs, _job_name(directory), home=home)])
    for name in ("splits", "dividends"):
        if dropped_file(settings.reference_path, name) is not None:
            say(f"reference.{name}")
            _note_runs(done, name, [run_job(defs, f"rebuild_{name}", home=home)])
    priced = _priced_sessions(fresh)
    if priced:
        say(f"market.daily_prices, {len(priced)} sessions")
        known = set(_partitions(defs, "daily_prices"))
        wanted = [day for day in priced if day in known]
        _note_runs(done, "daily_prices", run_ranges(defs, "daily_prices", wanted, home=home))
        if years and "stocks_daily" in done.sessions:
            _note_runs(done, "price_reconciliation", [run_job(defs, "price_reconciliation", home=home)])


def _offline_definitions(fresh: Warehouse) -> dg.Definitions:
    from flatfiles_assets.definitions import build_defs
    from flatfiles_assets.defs.io_manager import WarehouseIOManager

    database = str(fresh.path)
    resources = {
        "warehouse": WarehouseResource(database=database),
        WAREHOUSE_IO: WarehouseIOManager(database=database),
    }
    defs = build_defs(resource_overrides=resources)
    jobs = [
        dg.define_asset_job(_job_name(directory), dg.AssetSelection.assets(market_directory_key(directory)))
        for directory in DIRECTORIES
    ]
    jobs += [
        dg.define_asset_job(f"rebuild_{name}", dg.AssetSelection.assets(["reference", name]))
        for name in ("splits", "dividends")
    ]
    return dg.Definitions(
        assets=defs.assets,
        jobs=[*(defs.jobs or ()), *jobs],
        resources=defs.resources,
        executor=dg.in_process_executor,
    )


def _job_name(directory: str) -> str:
    return f"rebuild_{directory}"


def _partitions(defs: dg.Definitions, job_name: str) -> list[str]:
    definition = defs.resolve_job_def(job_name).partitions_def
    return list(definition.get_partition_keys()) if definition else []


def _extracted_years(settings: Settings) -> list[int]:
    folder = settings.minio_cache_dir / "historical"
    found = sorted(path for path in folder.glob("[0-9]*") if path.is_dir())
    return [int(path.name) for path in found if path.name.isdigit() and read_manifest(path) is not None]


def _priced_sessions(fresh: Warehouse) -> list[str]:
    if not is_there(fresh.path):
        return []
    days: set[str] = set()
    with fresh.reader() as reader:
        for table in ("market.stocks_daily", "market.historical_daily"):
            if table in reader.tables():
                rows = reader.sql(f"SELECT DISTINCT trade_date FROM {table}").fetchall()  # noqa: S608
                days |= {day.isoformat() for (day,) in rows}
    return sorted(days)


def _note_runs(done: Rebuilt, what: str, runs: Iterable[RangeRun]) -> None:
    for run in runs:
        if not run.succeeded:
            done.could_not.append(f"{what}: {run.message}")


def _replace_home(fresh: Path, home: Path) -> list[Path]:
    aside = []
    if home.exists():
        kept = home.with_name(f"{home.name}.before-rebuild")
        shutil.rmtree(kept, ignore_errors=True)
        home.rename(kept)
        aside.append(kept)
    fresh.rename(home)
    return aside

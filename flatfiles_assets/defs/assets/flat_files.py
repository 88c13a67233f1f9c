"""The vendor's feeds: `raw/<feed>` (the file, byte for byte) and `market/<feed>` (its rows).

Both assets of a feed are one step, so that a run over a range keeps going when some files cannot
be had: the sessions that are good reach the warehouse, the others are reported with their reasons.
As two steps, one missing file would keep a whole year out of the warehouse. Either asset can be
materialised alone.
"""

import datetime as dt
import functools
import time
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from flatfiles_assets.datasets import Dataset
from flatfiles_assets.defs import progress
from flatfiles_assets.defs.assets.decorations import decoration
from flatfiles_assets.defs.assets.range_report import RangeReport
from flatfiles_assets.defs.assets.status_picture import PICTURED_YEARS, inventory_markdown
from flatfiles_assets.defs.assets.table_metadata import column_schema, preview_table
from flatfiles_assets.defs.checks.feed_checks import feed_check_specs, run_feed_checks
from flatfiles_assets.defs.checks.scope import accepted_sessions, latest_sessions
from flatfiles_assets.defs.freshness import freshness_policy
from flatfiles_assets.defs.keys import (
    FEED_TAG,
    OWNERS,
    VENDOR_BUCKET_KEY,
    WAREHOUSE_IO,
    market_key,
    raw_key,
)
from flatfiles_assets.defs.partitions import dataset_partitions
from flatfiles_assets.defs.resources import (
    FlatFilesS3Resource,
    WarehouseResource,
    extra_columns,
    test_tickers,
)
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.download.cache import FetchedFile, FileCache
from flatfiles_assets.escaping import printable
from flatfiles_assets.warehouse import inventory
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.housekeeping import restore_pruned
from flatfiles_assets.warehouse.loading import SessionFile, SessionResult, cached_files, load_sessions
from flatfiles_assets.warehouse.table import TableSchema
from flatfiles_assets.warehouse.tables import get_table

# A preview for each of many partitions would be most of the event log and read by nobody.
_MOST_PREVIEWS = 31


class FlatFilesConfig(dg.Config):
    """Settings of one run."""

    recheck: bool = Field(
        default=True, description="Ask the bucket whether files that are already here have been replaced."
    )
    reload: bool = Field(
        default=False, description="Load again the sessions whose rows the warehouse already holds."
    )


def market_table(dataset: Dataset) -> TableSchema:
    """The warehouse table of the feed."""
    return get_table(("market", dataset.name))


def build_flat_file_assets(dataset: Dataset) -> dg.AssetsDefinition:
    """The two assets of a feed."""

    @dg.multi_asset(
        name=f"ingest_{dataset.name}",
        specs=[_raw_spec(dataset), _market_spec(dataset)],
        check_specs=feed_check_specs(dataset),
        can_subset=True,
        partitions_def=dataset_partitions(dataset),
        backfill_policy=dg.BackfillPolicy.multi_run(dataset.max_partitions_per_run),
        # No pool: the step fetches too, and whoever only fetches must keep nobody from loading. Loads take
        # turns at the warehouse itself.
    )
    @door
    def ingest(
        context: dg.AssetExecutionContext,
        config: FlatFilesConfig,
        flatfiles_s3: FlatFilesS3Resource,
        warehouse: WarehouseResource,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        selected = [
            key for key in (raw_key(dataset), market_key(dataset)) if key in context.selected_asset_keys
        ]
        report = RangeReport(selected)
        store = warehouse.open()
        keys = _session_keys(dataset, flatfiles_s3, context, store)
        started_at = dt.datetime.now(dt.timezone.utc) if selected else None
        with flatfiles_s3.cache() as cache:
            checks = run_feed_checks(
                context,
                dataset,
                keys,
                cache=cache,
                warehouse=store,
                accepted=accepted_sessions(dataset),
                started_at=started_at,
            )
            if not selected:
                yield from checks
                return
            restore_pruned(dataset, keys, cache, store, reload=config.reload)
            files = (
                _fetched(flatfiles_s3, cache, keys, config.recheck)
                if raw_key(dataset) in selected
                else cached_files(cache, keys)
            )
            files = _noting_raw(files, dataset, report)
            with report.recording(context):
                if market_key(dataset) in selected:
                    _load(context, dataset, files, cache, store, report, reload=config.reload)
                else:
                    for _ in files:
                        pass
            picture = decoration(
                context, "the inventory", lambda: _inventory_picture(dataset, flatfiles_s3, cache, store)
            )
            report.add_to_latest(picture)
            yield from report.conclude(context, checks)

    return ingest


def _session_keys(
    dataset: Dataset, s3: FlatFilesS3Resource, context: dg.AssetExecutionContext, warehouse: Warehouse
) -> dict[dt.date, str]:
    catalog = s3.catalog()
    if context.selected_asset_keys or context.has_partition_key or context.has_partition_key_range:
        # The keys of the run, never its time window: a window spans weekends and holidays.
        sessions = [dt.date.fromisoformat(key) for key in context.partition_keys]
    else:
        sessions = latest_sessions(dataset, warehouse)
    return {session: catalog.get_key(dataset.name, session) for session in sessions}


def _fetched(
    s3: FlatFilesS3Resource, cache: FileCache, keys: Mapping[dt.date, str], recheck: bool
) -> Iterator[SessionFile]:
    results = s3.fetch(cache, list(keys.values()), recheck=recheck)
    for (session, key), result in zip(keys.items(), results, strict=True):
        yield session, key, result


def _noting_raw(files: Iterator[SessionFile], dataset: Dataset, report: RangeReport) -> Iterator[SessionFile]:
    for session, key, file in files:
        if isinstance(file, FetchedFile):
            report.materialized(raw_key(dataset), session.isoformat(), raw_metadata(file))
        else:
            report.failed(raw_key(dataset), session.isoformat(), file)
        progress.advance(dataset.name)
        yield session, key, file


def _load(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    files: Iterator[SessionFile],
    cache: FileCache,
    warehouse: Warehouse,
    report: RangeReport,
    *,
    reload: bool,
) -> None:
    total = len(context.partition_keys)
    previews = total <= _MOST_PREVIEWS
    started, done, rows = time.perf_counter(), 0, 0
    results = load_sessions(
        dataset,
        files,
        cache=cache,
        warehouse=warehouse,
        test_tickers=test_tickers(),
        reload=reload,
        extra_columns=extra_columns(),
    )
    for result in results:
        partition = result.session.isoformat()
        done, rows = done + 1, rows + result.rows_accepted
        if result.error is not None:
            report.failed(market_key(dataset), partition, result.error)
            context.log.error("%s", result.error)
            continue
        metadata = market_metadata(result)
        if previews or done == total:
            metadata |= decoration(
                context, "the preview", functools.partial(_preview, dataset, warehouse, result.session)
            )
        report.materialized(market_key(dataset), partition, metadata)
    context.log.info("%d of %d sessions, %d rows, %.1f s", done, total, rows, time.perf_counter() - started)


def _preview(dataset: Dataset, warehouse: Warehouse, session: dt.date) -> dict[str, Any]:
    return {"preview": preview_table(warehouse, market_table(dataset), session)}


def _inventory_picture(
    dataset: Dataset, s3: FlatFilesS3Resource, cache: FileCache, warehouse: Warehouse
) -> dict[str, Any]:
    catalog = s3.catalog()
    known = inventory.known_range(dataset, catalog, cache.ledger)
    if known is None:
        return {}
    first = max(known[0], dt.date(known[1].year - PICTURED_YEARS + 1, 1, 1))
    statuses = inventory.feed_inventory(dataset, catalog, cache.ledger, warehouse, first, known[1])
    return {"inventory": dg.MetadataValue.md(inventory_markdown(statuses))}


def raw_metadata(file: FetchedFile) -> dict[str, Any]:
    """What the UI shows of a file."""
    metadata: dict[str, Any] = {
        "key": file.key,
        "path": dg.MetadataValue.path(str(file.path)),
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "etag": file.etag or "",
        "outcome": file.outcome,
        "attempts": file.attempts,
        "duration_seconds": round(file.seconds, 4),
    }
    if file.last_modified:
        metadata["last_modified"] = dg.MetadataValue.timestamp(file.last_modified)
    return metadata


def market_metadata(result: SessionResult) -> dict[str, Any]:
    """What the UI shows of a stored session."""
    rejected = sum(result.rejected.values())
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": result.rows_accepted,
        "rows_read": result.rows_read,
        "rows_quarantined": rejected,
        "quarantined_share": round(rejected / result.rows_read, 6) if result.rows_read else 0.0,
        "outcome": result.outcome,
        "duration_seconds": round(result.seconds, 4),
        "source_file": result.key,
        "source_sha256": result.file.sha256 if result.file else "",
    }
    if result.rejected:
        metadata["quarantined_by_rule"] = dict(result.rejected)
    if result.kept_out:
        metadata["columns_kept_out"] = printable(", ".join(result.kept_out))
    if result.rows_read == 0:
        metadata["note"] = "The file has a header and no rows: the session is stored as empty."
    return metadata


def _raw_spec(dataset: Dataset) -> dg.AssetSpec:
    return dg.AssetSpec(
        raw_key(dataset),
        deps=[VENDOR_BUCKET_KEY],
        group_name="raw",
        description=(
            f"{dataset.title}: the vendor's file of each session, byte for byte, in the local mirror. "
            "Materialising it again asks the bucket whether the file has been replaced."
        ),
        kinds={"s3", "gzip"},
        owners=OWNERS,
        tags={FEED_TAG: dataset.name},
        freshness_policy=freshness_policy(dataset),
    )


def _market_spec(dataset: Dataset) -> dg.AssetSpec:
    table = market_table(dataset)
    return dg.AssetSpec(
        market_key(dataset),
        deps=[raw_key(dataset)],
        group_name="market",
        description=(
            f"{dataset.title}: typed and validated rows, as published, not adjusted for splits or "
            "dividends. Rejected rows are in market/quarantine."
        ),
        kinds={"duckdb"},
        owners=OWNERS,
        tags={FEED_TAG: dataset.name},
        freshness_policy=freshness_policy(dataset),
        metadata={
            "dagster/table_name": table.sql_name,
            "dagster/column_schema": column_schema(table),
            "partition_expr": "trade_date",
        },
    ).with_io_manager_key(WAREHOUSE_IO)

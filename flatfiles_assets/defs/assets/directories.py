"""The directories of the user's bucket: `raw/<directory>` (files) and `market/<directory>` (one table).

What is in them is not documented, so every tabular file is unified by column name and every other
file is listed with the reason. Neither is partitioned; both are incremental.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from flatfiles_assets.defs.assets.table_metadata import markdown_table
from flatfiles_assets.defs.keys import (
    DUCKDB_WRITER_POOL,
    OWNERS,
    USER_BUCKET_KEY,
    WAREHOUSE_IO,
    market_directory_key,
    raw_directory_key,
)
from flatfiles_assets.defs.resources import MinIOS3Resource, WarehouseResource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.download.cache import VerifiedFile
from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.escaping import markdown
from flatfiles_assets.ingest.directories.directories import DirectoryTable, read_directory
from flatfiles_assets.ingest.directories.options_table import read_options_directory
from flatfiles_assets.minio_data_downloader.sync import SyncReport
from flatfiles_assets.warehouse.table import schema_from_arrow
from flatfiles_assets.warehouse.workspace import Workspace

EVERY_OBJECT_CHECK = "every_object_fetched"
AS_FETCHED_CHECK = "files_as_fetched"
_MOST_LISTED = 50
_MOST_FILES_SHOWN = 500
_MOST_NAMED = 5


def changed_files(minio_s3: MinIOS3Resource, directory: str) -> dict[str, VerifiedFile]:
    """Files that are not the bytes that were fetched, whatever their size and time say.

    They are marked, so that the next synchronisation fetches them again.

    Returns:
        By their paths below the directory on disk.

    Raises:
        CorruptFile: No file is what was fetched.
    """
    changed: dict[str, VerifiedFile] = {}
    count = 0
    with minio_s3.cache() as cache:
        root = cache.root / directory
        for file in cache.verify(prefix=f"{directory}/"):
            count += 1
            if file.status != "ok":
                changed[cache.path(file.key).relative_to(root).as_posix()] = file
    if changed and len(changed) == count:
        raise CorruptFile(
            "no file of the mirror is what was fetched; the table was left as it is",
            where=f"{directory}/",
            why=_named(changed.values()),
            next_step=_fetch_again(directory),
        )
    return changed


def _named(files: Iterable[VerifiedFile]) -> str:
    found = list(files)
    more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return "; ".join(f"{file.key}: {file.detail}" for file in found[:_MOST_NAMED]) + more


def _fetch_again(directory: str) -> str:
    return f"materialise {raw_directory_key(directory).to_user_string()}: it fetches them again"


def build_directory_assets(directory: str) -> list[dg.AssetsDefinition]:
    """The two assets of one directory."""
    return [_raw_asset(directory), _market_asset(directory)]


def _raw_asset(directory: str) -> dg.AssetsDefinition:
    key = raw_directory_key(directory)

    @dg.asset(
        key=key,
        deps=[USER_BUCKET_KEY],
        group_name="raw",
        description=f"The files below {directory}/ of the user's bucket, synchronised incrementally.",
        kinds={"s3"},
        owners=OWNERS,
        check_specs=[
            dg.AssetCheckSpec(
                EVERY_OBJECT_CHECK,
                asset=key,
                description="Every object of the directory is in the mirror.",
            )
        ],
    )
    @door
    def raw(minio_s3: MinIOS3Resource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # a check beside
        report = minio_s3.downloader().sync_directory(directory)
        if not report.files:
            report.raise_for_failures()
        return _synchronised(report)

    return raw


def _synchronised(report: SyncReport) -> dg.MaterializeResult[Any]:
    # What could not be had is shown, and keeps nobody from the rest.
    refused = {key: str(error) for key, error in report.failures.items()}
    outcomes = [file.outcome for file in report.files]
    return dg.MaterializeResult(
        metadata={
            "files": len(report.files),
            "size_bytes": sum(file.size_bytes for file in report.files),
            **{outcome: outcomes.count(outcome) for outcome in ("downloaded", "replaced", "unchanged")},
            "kept_though_deleted": len(report.kept_though_deleted),
            "not_fetched": len(refused),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=EVERY_OBJECT_CHECK,
                passed=not refused,
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={"not_fetched": dict(list(refused.items())[:_MOST_LISTED])},
                description=f"{len(refused):,} objects could not be had" if refused else None,
            )
        ],
    )


def _market_asset(directory: str) -> dg.AssetsDefinition:
    key = market_directory_key(directory)
    name = key.path[-1]

    @dg.asset(
        key=key,
        deps=[raw_directory_key(directory)],
        pool=DUCKDB_WRITER_POOL,
        group_name="market",
        description=f"The tables among the files of {directory}/, unified by column name, with source_file.",
        kinds={"duckdb"},
        owners=OWNERS,
        metadata={"dagster/table_name": f"market.{name}"},
        io_manager_key=WAREHOUSE_IO,
        check_specs=[
            dg.AssetCheckSpec(
                AS_FETCHED_CHECK,
                asset=key,
                description="Every file of the mirror is what was fetched; rows of others are left out.",
            )
        ],
    )
    @door
    def table(minio_s3: MinIOS3Resource, warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # a check beside
        changed = changed_files(minio_s3, directory)
        read = read_options_directory if directory == "options" else read_directory
        found = read(
            minio_s3.downloader().cache_dir / directory,
            Workspace.from_settings().layout_overrides(),
            refused={name: f"it is not what was fetched: {file.detail}" for name, file in changed.items()},
        )
        schema = schema_from_arrow(tuple(key.path), found.schema)
        with warehouse.open().writer(f"load {name}") as transaction:
            # What columns there are is up to the files, so yesterday's table may have had others.
            rows = transaction.replace_table(schema, found.read())
        found.close()
        return _unified(directory, found, rows, changed)

    return table


def _unified(
    directory: str, found: DirectoryTable, rows: int, changed: Mapping[str, VerifiedFile]
) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows,
            "dagster/column_schema": dg.TableSchema(
                columns=[dg.TableColumn(field.name, str(field.type)) for field in found.schema]
            ),
            "tables": sum(not file.reason for file in found.files),
            "not_tables": sum(bool(file.reason) for file in found.files),
            "malformed_rows": sum(file.malformed_rows for file in found.files),
            "files": dg.MetadataValue.md(describe_files(found)),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=AS_FETCHED_CHECK,
                passed=not changed,
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={"left_out": len(changed)},
                description=markdown(
                    f"{len(changed):,} file(s) are not what was fetched and were left out: "
                    f"{_named(changed.values())}; {_fetch_again(directory)}"
                )
                if changed
                else None,
            )
        ],
    )


def describe_files(found: DirectoryTable) -> str:
    """What became of each file, as Markdown; of very many, the refused ones first."""
    shown = sorted(found.files, key=lambda file: not file.reason)[:_MOST_FILES_SHOWN]
    rows = [(file.file, file.kind, file.rows, file.reason) for file in shown]
    table = markdown_table(("file", "kind", "rows", "not read because"), rows)
    more = len(found.files) - len(shown)
    return f"{table}\n\nand {more:,} more files that were read" if more > 0 else table

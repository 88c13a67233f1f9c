"""Whether the warehouse, the ledgers and the mirrors are whole, and agree.

Here: reading everything once, and comparing what each says of the others. Not here: repairing
(`flatfiles backfill`, `flatfiles rebuild`), the checksums of the mirror's files (`download/cache.py`).
"""

# ruff: noqa: S608  (the names are quoted)
from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from flatfiles_assets.datasets import Dataset
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.ledger_file import read_only_uri
from flatfiles_assets.download.replaced_files import replaced_files
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.escaping import quoted
from flatfiles_assets.ingest.archives.member_names import MANIFEST_NAME
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.errors import TableNotFound, WarehouseError, WarehouseMissing
from flatfiles_assets.warehouse.evidence import session_figures
from flatfiles_assets.warehouse.inventory import loaded_sessions
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.table import CATALOG
from flatfiles_assets.warehouse.tables import get_table

REBUILD = "`flatfiles rebuild` makes it anew from the files on disk, without the network"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        what: A file or a table.
        detail: What was expected and what was found.
        next_step: What mends it.
    """

    what: str
    detail: str
    next_step: str


def verify_warehouse(warehouse: Warehouse, datasets: Iterable[Dataset]) -> Iterator[Finding]:
    """Read every column of every table, and compare each loaded session with what was noted of it.

    DuckDB has a checksum of each block and looks at it when the block is read: a flipped bit is found
    by whoever reads it, and by nobody before.
    """
    try:
        with warehouse.reader().held() as reader:
            every = "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY ALL"
            for schema, table in reader.sql(every, [CATALOG]).fetchall():
                name = f"{schema}.{table}"
                try:
                    reader.sql(
                        f"SELECT bit_xor(hash(t)) FROM {'.'.join(map(quoted, (CATALOG, schema, table)))} AS t"
                    )
                except WarehouseError as error:
                    yield Finding(name, error.why or error.what, error.next_step or REBUILD)
            for dataset in datasets:
                yield from _lost_rows(reader, dataset)
    except WarehouseMissing:
        return
    except WarehouseError as error:
        yield Finding(str(warehouse.path), error.why or error.what, error.next_step or REBUILD)


def _lost_rows(reader: WarehouseReader, dataset: Dataset) -> Iterator[Finding]:
    loaded = loaded_sessions(reader, dataset.name)
    if not loaded:
        return
    table = get_table(("market", dataset.name))
    try:
        stored = session_figures(reader, table, (), list(loaded))
    except TableNotFound:
        stored = {}
    for day, file in loaded.items():
        rows = stored[day].rows if day in stored else 0
        if rows != file.rows_accepted:
            yield Finding(
                f"{table.sql_name} of {day}",
                f"{file.rows_accepted} rows were stored, {rows} are there",
                f"flatfiles backfill {dataset.name} --start {day} --end {day} --reload",
            )


def verify_ledger(cache: FileCache) -> Iterator[Finding]:
    """Check the ledger's own structure, and that it knows the files that lie in the mirror."""
    yield from verify_sqlite(cache.ledger.path)
    known = {cache.path(entry.key) for entry in cache.ledger.entries() if entry.has_file}
    unknown = [path for path in cache.files_on_disk(MANIFEST_NAME) if path not in known]
    if unknown:
        yield Finding(
            str(cache.ledger.path),
            f"{len(unknown)} files of the mirror are not in it, for example {unknown[0].name}",
            REBUILD,
        )


def verify_replaced(metadata_folder: Path) -> Iterator[Finding]:
    """Compare each file that the store has replaced with the checksum that is its name."""
    for file in replaced_files(metadata_folder):
        if not file.is_whole:
            yield Finding(
                f"changed: {file.path}",
                "its bytes are not those of its name",
                f"remove {file.path}: nothing brings the bytes back, and nothing needs them",
            )


def verify_provenance(
    dataset: Dataset, catalog: S3Catalog, cache: FileCache, warehouse: Warehouse
) -> Iterator[Finding]:
    """Check that the ledger knows the file of every session that the warehouse was loaded from."""
    with warehouse.reader() as reader:
        loaded = loaded_sessions(reader, dataset.name)
    keys = {day: catalog.get_key(dataset.name, day) for day in loaded}
    entries = cache.ledger.get_many(list(keys.values()))
    lost = [day for day in loaded if keys[day] not in entries]
    if lost:
        yield Finding(
            str(cache.ledger.path),
            f"it knows no file of {len(lost)} loaded sessions of {dataset.name}, {lost[0]} to {lost[-1]}",
            REBUILD,
        )


def verify_dagster(home: Path) -> Iterator[Finding]:
    """Check the structure of Dagster's databases."""
    for path in sorted(home.rglob("*.db")):
        yield from verify_sqlite(path)


def verify_sqlite(path: Path) -> Iterator[Finding]:
    """Check the structure of one SQLite database."""
    if not path.exists():
        return
    if not path.stat().st_size:
        yield Finding(str(path), "the file is empty", REBUILD)
        return
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True, timeout=30)) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        yield Finding(str(path), f"SQLite: {verdict}", REBUILD)

"""Securities and the audit of 20 years of 11,000 tickers, against the time of loading those bars.

Loading is measured on some sessions, as the platform loads them (decoding the vendor's files, rules,
transactions, the unified table) and counted for all: it takes the same for each. The bars of the whole
history go straight into the warehouse.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.datasets import get_dataset
from flatfiles_assets.download.cache import FileCache
from flatfiles_assets.download.ledger import LedgerEntry
from flatfiles_assets.download.s3_catalog import S3Catalog
from flatfiles_assets.ingest.reference import reference_records
from flatfiles_assets.warehouse.audit import update_audit
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.identity_tables import update_securities
from flatfiles_assets.warehouse.loading import cached_files, load_sessions
from flatfiles_assets.warehouse.tables import OVERRIDES, SPLITS, get_table
from flatfiles_assets.warehouse.unified_prices import Precedence, held_sessions, unified_query
from flatfiles_assets_tests.benchmarks.pipeline import day_file
from flatfiles_assets_tests.benchmarks.report import Row

YEARS = (2005, 2024)
TICKERS = 11_000
SAMPLE_SESSIONS = 63
SESSIONS_PER_BATCH = 63
#: Splits of a session, as many as the vendor lists in a year of the real market.
SPLITS_A_SESSION = 5

_BARS = get_table(("market", "stocks_daily"))
_UNIFIED = get_table(("market", "daily_prices"))


def run() -> list[Row]:
    """One pass over everything, beside the loading of all of it."""
    days = calendars.sessions("XNYS", dt.date(YEARS[0], 1, 3), dt.date(YEARS[1], 12, 31))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        loading = _seconds_of_loading(folder / "sample", days[-SAMPLE_SESSIONS:]) * len(days)
        warehouse = _history(folder / "history.duckdb", days)
        started = time.perf_counter()
        update_securities(warehouse)
        securities = time.perf_counter()
        update_audit(warehouse, OVERRIDES.arrow_schema.empty_table())
        audit = time.perf_counter()
    whole = audit - started
    return [
        Row(
            f"securities ({securities - started:.1f} s) and audit ({audit - securities:.1f} s) of "
            f"{len(days):,} sessions x {TICKERS:,} tickers",
            whole,
            f"loading them, by {SAMPLE_SESSIONS} sessions",
            loading,
            "s",
            whole / loading,
            "<= 0.1",
        )
    ]


def _seconds_of_loading(folder: Path, days: list[dt.date]) -> float:
    """Seconds a session from the vendor's file in the cache to the unified table."""
    dataset, catalog = get_dataset("stocks_daily"), S3Catalog()
    keys = {day: catalog.get_stocks_daily_key(day) for day in days}
    with FileCache(folder / "cache") as cache:
        for day, key in keys.items():
            _put(cache, key, day_file(day))
        warehouse = Warehouse(folder / "w.duckdb")
        started = time.perf_counter()
        results = list(load_sessions(dataset, cached_files(cache, keys), cache=cache, warehouse=warehouse))
        query = unified_query(days, held_sessions(warehouse.reader(), days), Precedence())
        with warehouse.writer("unify") as transaction:
            transaction.replace_from_query(
                _UNIFIED, query.sql, where={"trade_date": days}, parameters=query.parameters,
                presorted=query.is_sorted,
            )  # fmt: skip
        seconds = time.perf_counter() - started
    if any(result.outcome != "loaded" for result in results):
        raise RuntimeError(results)
    return seconds / len(days)


def _put(cache: FileCache, key: str, body: bytes) -> None:
    """A file in the cache as if it had been fetched."""
    path = cache.path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    now = dt.datetime.now(dt.timezone.utc)
    checksum, written = hashlib.sha256(body).hexdigest(), path.stat().st_mtime_ns
    cache.ledger.record(
        LedgerEntry(key, "e", len(body), checksum, now, now, 1, "downloaded", mtime_ns=written)
    )


def _history(path: Path, days: list[dt.date]) -> Warehouse:
    """A warehouse with every bar, some gaps and splits that are on record."""
    warehouse = Warehouse(path)
    random = np.random.default_rng(20)
    splits: list[dict[str, object]] = []
    batches = _batches(days, random, splits)
    for part, rows in batches:
        with warehouse.writer("benchmark") as transaction:
            transaction.replace(_BARS, rows, {"trade_date": part})
    with warehouse.writer("benchmark") as transaction:
        transaction.replace_all(SPLITS, reference_records("splits", splits, "api").table)
    return warehouse


def _batches(
    days: list[dt.date], random: np.random.Generator, splits: list[dict[str, object]]
) -> Iterator[tuple[list[dt.date], pa.Table]]:
    names = np.array(sorted(f"{number:X}" for number in range(4096, 4096 + TICKERS)))
    close = random.lognormal(3, 1, TICKERS)
    begins = random.integers(0, len(days), TICKERS) * (random.random(TICKERS) < 0.5)
    for start in range(0, len(days), SESSIONS_PER_BATCH):
        part = days[start : start + SESSIONS_PER_BATCH]
        tables = []
        for offset, day in enumerate(part):
            before = close
            opened = before * np.exp(0.005 * random.standard_normal(TICKERS))
            close = np.clip(before * np.exp(0.02 * random.standard_normal(TICKERS)), 0.05, 1e5)
            chosen = random.integers(0, TICKERS, SPLITS_A_SESSION)
            opened[chosen] /= 2
            close[chosen] /= 2
            splits += [
                {"ticker": names[each], "execution_date": day, "split_from": 1, "split_to": 2}
                for each in chosen.tolist()
            ]
            there = (random.random(TICKERS) > 0.02) & (begins <= start + offset)
            tables.append(_session(day, names[there], opened[there], close[there], random))
        yield part, pa.concat_tables(tables)


def _session(
    day: dt.date, names: np.ndarray, opened: np.ndarray, close: np.ndarray, random: np.random.Generator
) -> pa.Table:
    count = len(names)
    return pa.table(
        {
            "trade_date": pa.array([day] * count, pa.date32()),
            "ticker": names,
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": np.floor(random.lognormal(11, 0.5, count)),
            "transactions": np.full(count, 900, dtype=np.int64),
        },
        schema=_BARS.arrow_schema,
    )


if __name__ == "__main__":
    print(*run(), sep="\n")

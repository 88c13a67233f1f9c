"""`reference/tickers`, `reference/ticker_events` and `reference/securities`: what a ticker meant when.

Snapshots and events come from the vendor's REST endpoints where an API key is set, else from
``tickers.csv`` and ``ticker_events.csv``; without either, securities are made of the bars alone. What
the vendor does not give is never taken as an end of anything, and never wipes what is stored.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from flatfiles_assets.algorithms.securities import UserRename
from flatfiles_assets.defs.assets.daily_prices import daily_prices_partitions
from flatfiles_assets.defs.assets.reference_source import ReferenceSource, log_rejected
from flatfiles_assets.defs.assets.table_metadata import column_schema
from flatfiles_assets.defs.keys import (
    CHANGED_SERIES,
    CHANGED_TYPES,
    DAILY_PRICES_KEY,
    DUCKDB_WRITER_POOL,
    OWNERS,
    STOCKS_DAILY_KEY,
    WAREHOUSE_IO,
    reference_key,
)
from flatfiles_assets.defs.partitions import key_ranges
from flatfiles_assets.defs.resources import WarehouseResource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.download.errors import NotEntitled
from flatfiles_assets.download.reference_api import ReferenceApi
from flatfiles_assets.escaping import markdown
from flatfiles_assets.ingest.reference import reference_records
from flatfiles_assets.settings import load_settings
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.day_bars import scan_bars
from flatfiles_assets.warehouse.errors import WarehouseMissing
from flatfiles_assets.warehouse.identity_tables import (
    event_candidates,
    read_records,
    snapshot_dates,
    update_securities,
)
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.securities import make_securities
from flatfiles_assets.warehouse.table import TableSchema
from flatfiles_assets.warehouse.tables import (
    SECURITIES,
    SUSPECTED_RENAMES,
    TICKER_EVENTS,
    TICKERS,
    UNAPPLIED_IDENTITIES,
)

_MOST_SHOWN = 30
# What is computed from prices is computed a range at a time: few sessions between cost less than a run.
_BRIDGE_SESSIONS = 5


class TickersConfig(dg.Config):
    """Settings of one run."""

    refresh: bool = Field(default=False, description="Fetch again what is stored already.")


class EventsConfig(dg.Config):
    """Settings of one run."""

    most_requests: int = Field(
        default=500,
        ge=0,
        description="Securities to ask for at most, a request each.",
    )


def build_identity_assets() -> list[dg.AssetsDefinition]:
    """The assets of tickers, their events, and securities."""
    return [tickers, ticker_events, securities]


def _metadata(table: TableSchema) -> dict[str, Any]:
    return {"dagster/table_name": table.sql_name, "dagster/column_schema": column_schema(table)}


@dg.asset(
    key=reference_key("tickers"),
    group_name="reference",
    pool=DUCKDB_WRITER_POOL,
    description=(
        "Snapshots of all tickers, listed and delisted, as of the first session of each month and of the "
        "sessions around which the tickers of the bars change most. A ticker that a snapshot lacks is not "
        "thereby delisted."
    ),
    kinds={"duckdb", "api"},
    owners=OWNERS,
    metadata=_metadata(TICKERS),
    io_manager_key=WAREHOUSE_IO,
)
@door
def tickers(
    context: dg.AssetExecutionContext, config: TickersConfig, warehouse: WarehouseResource
) -> dg.MaterializeResult[Any]:
    """Fetch the snapshots that are not stored yet, each committed as it comes."""
    source, store = ReferenceSource(load_settings()), warehouse.open()
    api = source.api
    if api is None:
        return _dropped_tickers(context, source, store)
    wanted, stored = _wanted_snapshots(store)
    missing = [day for day in wanted if config.refresh or day not in stored]
    empty: list[dt.date] = []
    not_entitled: list[dt.date] = []
    rows = 0
    # The newest first: a plan that reaches back some years refuses everything before.
    for day in reversed(missing):
        try:
            found = _snapshot(api, day, dead=_with_dead(day, wanted))
        except NotEntitled as error:
            # No reason to fail: securities can be told by the bars, and what is stored stays.
            context.log.warning("%s", error)
            not_entitled = [each for each in missing if each <= day]
            break
        if not found.table.num_rows:
            empty.append(day)
            continue
        log_rejected(context, found)
        with store.writer(f"snapshot of {day}") as transaction:
            rows += sum(transaction.replace(TICKERS, found.table, {"snapshot_date": [day]}).values())
    if empty:
        context.log.warning("the server has no tickers as of %s; nothing was changed there", empty)
    return dg.MaterializeResult(
        metadata={
            "source": "api",
            "snapshots_fetched": len(missing) - len(empty) - len(not_entitled),
            "snapshots_stored": len(_stored_dates(store)),
            "snapshots_empty": len(empty),
            "snapshots_not_entitled": len(not_entitled),
            "rows_fetched": rows,
        }
    )


def _wanted_snapshots(store: Warehouse) -> tuple[list[dt.date], set[dt.date]]:
    try:
        return snapshot_dates(scan_bars(store.reader())), _stored_dates(store)
    except WarehouseMissing:
        return [], set()


def _stored_dates(store: Warehouse) -> set[dt.date]:
    try:
        with store.reader().held() as held:
            if TICKERS.sql_name not in held.tables():
                return set()
            rows = held.sql(f"SELECT DISTINCT snapshot_date FROM {TICKERS.sql_name}")  # noqa: S608
    except WarehouseMissing:
        return set()
    return {day for (day,) in rows.fetchall()}


def _with_dead(day: dt.date, wanted: list[dt.date]) -> bool:
    """Whether those delisted before are asked for, too: once a year, and with the newest."""
    return day == wanted[-1] or day == next(each for each in wanted if each.year == day.year)


def _snapshot(api: ReferenceApi, day: dt.date, *, dead: bool) -> Any:
    def records() -> Iterator[dict[str, Any]]:
        for active in (True, False) if dead else (True,):
            for record in api.tickers(day, active=active):
                yield {**record, "snapshot_date": day}

    return reference_records("tickers", records(), "api")


def _dropped_tickers(
    context: dg.AssetExecutionContext, source: ReferenceSource, store: Warehouse
) -> dg.MaterializeResult[Any]:
    found = source.dropped("tickers", _dated)
    if found is None:
        context.log.info("%s", source.nothing("tickers"))
        return dg.MaterializeResult(
            metadata={"source": "none", "snapshots_stored": len(_stored_dates(store))}
        )
    log_rejected(context, found)
    rows = found.table
    with store.writer("replace the tickers") as transaction:
        transaction.replace_all(TICKERS, rows)
    return dg.MaterializeResult(
        metadata={
            "source": rows.column("source")[0].as_py() if rows.num_rows else "",
            "dagster/row_count": rows.num_rows,
            "snapshots_stored": len(pc.unique(rows.column("snapshot_date"))),
            "rejected": len(found.rejected),
        }
    )


def _dated(path: Path, rows: Iterable[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """A list of tickers that does not say as of when is as of the day on which the file was written."""
    written = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.timezone.utc).date()
    for row in rows:
        yield (
            row
            if any(row.get(name) for name in ("snapshot_date", "date", "as_of"))
            else {
                **row,
                "snapshot_date": written,
            }
        )


@dg.asset(
    key=reference_key("ticker_events"),
    deps=[reference_key("tickers")],
    group_name="reference",
    pool=DUCKDB_WRITER_POOL,
    description=(
        "Recorded changes of ticker. The endpoint is asked one security at a time, so only for those whose "
        "bars begin after the first session that is loaded, suspected renames first."
    ),
    kinds={"duckdb", "api"},
    owners=OWNERS,
    metadata=_metadata(TICKER_EVENTS),
    io_manager_key=WAREHOUSE_IO,
)
@door
def ticker_events(
    context: dg.AssetExecutionContext, config: EventsConfig, warehouse: WarehouseResource
) -> dg.MaterializeResult[Any]:
    """Ask for the events of securities that may have borne another ticker."""
    source, store = ReferenceSource(load_settings()), warehouse.open()
    api = source.api
    if api is None:
        found = source.dropped("ticker_events")
        if found is None:
            context.log.info("%s", source.nothing("ticker_events"))
            return dg.MaterializeResult(metadata={"source": "none"})
        stored, asked = TICKER_EVENTS.arrow_schema.empty_table(), 0
    else:
        stored, candidates = _event_candidates(store, config.most_requests)
        answers, asked = _answers(context, api, candidates)
        found = reference_records("ticker_events", answers, "api")
    log_rejected(context, found)
    kept = stored.filter(pc.invert(pc.is_in(stored.column("entity"), found.table.column("entity"))))
    rows = pa.concat_tables([kept, found.table])
    if rows.num_rows:
        with store.writer("replace the ticker events") as transaction:
            transaction.replace_all(TICKER_EVENTS, rows)
    return dg.MaterializeResult(
        metadata={
            "source": "api" if api else rows.column("source")[0].as_py() if rows.num_rows else "",
            "dagster/row_count": rows.num_rows,
            "securities_asked": asked,
            "events_found": found.table.num_rows,
            "rejected": len(found.rejected),
        }
    )


def _answers(
    context: dg.AssetExecutionContext, api: ReferenceApi, candidates: list[str]
) -> tuple[list[dict[str, Any]], int]:
    """The events of some securities, and how many of these answered."""
    answers: list[dict[str, Any]] = []
    for asked, candidate in enumerate(candidates):
        try:
            answers += api.ticker_events(candidate)
        except NotEntitled as error:
            context.log.warning("%s", error)
            return answers, asked
    return answers, len(candidates)


def _event_candidates(store: Warehouse, most: int) -> tuple[pa.Table, list[str]]:
    empty = TICKER_EVENTS.arrow_schema.empty_table()
    try:
        with store.reader().held() as held:
            stored = _table(held, TICKER_EVENTS)
            made, evidence = make_securities(held, read_records(held))
    except WarehouseMissing:
        return empty, []
    if not len(evidence.loaded):
        return stored, []
    known = {*stored.column("entity").to_pylist(), *stored.column("composite_figi").to_pylist()}
    known |= {*stored.column("ticker").to_pylist()}
    first = evidence.sessions[evidence.loaded[0]].item()
    return stored, event_candidates(made, known, first, most)


def _table(reader: WarehouseReader, table: TableSchema) -> pa.Table:
    if table.sql_name not in reader.tables():
        return table.arrow_schema.empty_table()
    return reader.sql(f"SELECT * FROM {table.sql_name}").to_arrow()  # noqa: S608


@dg.asset(
    key=reference_key("securities"),
    deps=[
        DAILY_PRICES_KEY,
        STOCKS_DAILY_KEY,
        reference_key("tickers"),
        reference_key("ticker_events"),
    ],
    group_name="reference",
    pool=DUCKDB_WRITER_POOL,
    description=(
        "Which security each ticker meant in which sessions, from the bars and from what is on record: every "
        "session of every ticker in one row. Suspected renames, for renames.csv to confirm, are in "
        "reference.suspected_renames; records that the bars contradict in reference.unapplied_identities."
    ),
    kinds={"duckdb", "numpy"},
    owners=OWNERS,
    metadata=_metadata(SECURITIES),
    io_manager_key=WAREHOUSE_IO,
)
@door
def securities(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult[Any]:
    """Make the securities of all bars anew; a minute for twenty years at most."""
    said = ReferenceSource(load_settings()).dropped("renames")
    if said is not None:
        log_rejected(context, said)
    user = [] if said is None else [
        UserRename(row["old_ticker"], row["new_ticker"], row["session"], row["status"] == "confirmed")
        for row in said.table.to_pylist()
    ]  # fmt: skip
    store = warehouse.open()
    made, evidence, changed = update_securities(store, user)
    for row in made.unapplied.to_pylist()[:_MOST_SHOWN]:
        context.log.warning(
            "not applied: %s of %s to %s, %s: %s",
            row["kind"], row["ticker"], row["new_ticker"], row["date"], row["reason"],
        )  # fmt: skip
    ids = made.table.column("security_id")
    metadata: dict[str, Any] = {
        "dagster/row_count": made.table.num_rows,
        "securities": len(pc.unique(ids)),
        "tickers": len(pc.unique(made.table.column("ticker"))),
        "sessions": len(evidence.loaded),
        "bars_with_another_security": changed.count,
        CHANGED_SERIES: dg.MetadataValue.json([list(each) for each in _ranges(changed.sessions)]),
        CHANGED_TYPES: dg.MetadataValue.json([list(each) for each in _ranges(changed.of_other_types)]),
        "suspected_renames": made.suspected.num_rows,
        "records_not_applied": made.unapplied.num_rows,
    }
    for name, table, rows in (
        ("suspected", SUSPECTED_RENAMES, made.suspected),
        ("not_applied", UNAPPLIED_IDENTITIES, made.unapplied),
    ):
        if rows.num_rows:
            metadata[name] = shown(table, rows)
    return dg.MaterializeResult(metadata=metadata)


def _ranges(sessions: Sequence[dt.date]) -> list[Sequence[str]]:
    """Sessions as ranges, first and last of each, with few others between."""
    partitions = daily_prices_partitions()
    longest = len(partitions.get_partition_keys())
    keys = [day.isoformat() for day in sessions]
    return key_ranges(partitions, keys, longest=longest, bridge=_BRIDGE_SESSIONS)


def shown(table: TableSchema, rows: pa.Table) -> dg.TableMetadataValue:
    """The first rows of a table for the UI, others' words in them as words."""
    records = [
        dg.TableRecord({name: "" if value is None else markdown(value) for name, value in row.items()})
        for row in rows.slice(0, _MOST_SHOWN).to_pylist()
    ]
    columns = [dg.TableColumn(column.name, description=column.description) for column in table.columns]
    return dg.MetadataValue.table(records, dg.TableSchema(columns=columns))

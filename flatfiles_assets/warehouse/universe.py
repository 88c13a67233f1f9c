"""`algorithm.universe`: made session by session, and read with whatever is not stored yet.

Here: its rows from bars and securities, their storage, and who is a member when. Not here: the
arithmetic (`algorithms/universe.py`).

A session costs the same after one year and after twenty: its bars are read from some weeks before it
on, and when a security was first listed is on record in ``reference.securities``.
"""

# ruff: noqa: S608  (names are constants of this module, values are parameters)
from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets import calendars
from flatfiles_assets.algorithms import universe
from flatfiles_assets.algorithms.panel import BoolArray
from flatfiles_assets.algorithms.universe import Universe
from flatfiles_assets.warehouse.connection import Warehouse
from flatfiles_assets.warehouse.day_bars import bars_source
from flatfiles_assets.warehouse.errors import TableNotFound
from flatfiles_assets.warehouse.identities import PanelColumns
from flatfiles_assets.warehouse.prices import CALENDAR, PanelWithSource, read_market, sessions_with_lookback
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.securities import stored_securities
from flatfiles_assets.warehouse.security_types import type_codes, type_history
from flatfiles_assets.warehouse.session_rows import (
    SessionFeatures,
    no_prices,
    sessions_at_once,
    split_by_session,
)
from flatfiles_assets.warehouse.tables import SECURITIES, UNIVERSE


def update_universe(sessions: Sequence[dt.date], warehouse: Warehouse) -> Iterator[SessionFeatures]:
    """Compute and store the universe of some sessions; see `update_features`."""
    for part in sessions_at_once(sorted(sessions)):
        started = time.perf_counter()
        found = compute_universe(warehouse.reader(), part)
        stored = [day for day in part if day not in found.missing]
        if stored:
            with warehouse.writer(f"universe {stored[0]} to {stored[-1]}") as transaction:
                transaction.replace(UNIVERSE, found.rows, {"trade_date": stored})
                transaction.note_inputs(UNIVERSE, stored, found.state)
        by_session = dict(split_by_session(found.rows))
        seconds_each = (time.perf_counter() - started) / len(part)
        for day in part:
            if day in found.missing:
                yield SessionFeatures(day, error=no_prices("algorithm/universe", day))
            else:
                yield SessionFeatures(
                    day, by_session[day], found.lookback_missing, seconds_each, input_state=found.state
                )


@dataclasses.dataclass(frozen=True)
class ComputedUniverse:
    """The universe of some sessions.

    Attributes:
        rows: Of `universe.COLUMNS`, by session.
        missing: Sessions without any prices.
        lookback_missing: Sessions of the look-back without any.
        state: The number of the warehouse's state that was read.
    """

    rows: pa.Table
    missing: frozenset[dt.date]
    lookback_missing: int
    state: int | None


def compute_universe(reader: WarehouseReader, sessions: Sequence[dt.date]) -> ComputedUniverse:
    """The universe of some sessions, from bars; nothing is stored.

    Args:
        reader: The warehouse.
        sessions: Ascending, of about a year at most.
    """
    days, _ = sessions_with_lookback(sessions[0], sessions[-1], universe.LOOKBACK_SESSIONS)
    with reader.held() as held:
        state = held.state()
        read = read_market(held, days)
        listed = _first_sessions(held, read)
        kinds = type_history(held)
    missing = frozenset(read.missing_sessions)
    wanted = [day for day in sessions if day not in missing]
    rows = UNIVERSE.arrow_schema.empty_table()
    if wanted and read.panel.symbols:
        shown = read.panel.rows_between(wanted[0], wanted[-1])
        types, codes = type_codes(kinds, read.columns.keys, read.panel.sessions[shown].tolist())
        rows = universe.compute(
            read.panel,
            first_session=wanted[0],
            last_session=wanted[-1],
            types=types,
            type_codes=codes,
            listed_at=_rows_before(days[0], listed),
        )
        rows = rows.filter(pc.is_in(rows.column("trade_date"), pa.array(wanted, pa.date32())))
    before = sum(day < sessions[0] for day in missing)
    return ComputedUniverse(rows, frozenset(day for day in missing if day >= sessions[0]), before, state)


def _first_sessions(reader: WarehouseReader, read: PanelWithSource) -> list[dt.date]:
    """The first session of each column: on record, or of the bars that no record covers yet."""
    known: dict[str, dt.date] = {}
    since = calendars.FIRST_DAY
    if SECURITIES.sql_name in reader.tables():
        rows = reader.sql(
            f"SELECT security_id, min(first_session) FROM {SECURITIES.sql_name} GROUP BY ALL"
        ).fetchall()
        known = dict(rows)
        latest = reader.sql(f"SELECT max(last_session) FROM {SECURITIES.sql_name}").fetchone()
        # What is not on record has no bar until then.
        since = latest[0] if latest and latest[0] else since
    unknown = [key for key in read.columns.keys if key not in known]
    sessions = read.panel.sessions
    source = bars_source(reader, ("since", "until"))
    if unknown and source is not None:
        rows = reader.sql(
            f"SELECT ticker, min(trade_date) FROM ({source})"
            " WHERE ticker IN (SELECT unnest($tickers)) GROUP BY ticker",
            {"since": since, "until": sessions[-1].item(), "tickers": unknown},
        ).fetchall()
        known |= dict(rows)
    first_bars = sessions[np.argmax(read.panel.has_bar, axis=0)].tolist()
    # A bar that the record does not reach back to is older than the record.
    return [min(known.get(key, seen), seen) for key, seen in zip(read.columns.keys, first_bars, strict=True)]


def _rows_before(first_row: dt.date, days: Sequence[dt.date]) -> np.ndarray:
    """Rows of a panel whose first session is `first_row`, negative for days before it."""
    calendar = np.array(
        calendars.sessions(CALENDAR, calendars.FIRST_DAY, calendars.LAST_DAY), dtype="datetime64[D]"
    )
    places = np.searchsorted(calendar, np.array(days, dtype="datetime64[D]"))
    start: int = int(np.searchsorted(calendar, np.datetime64(first_row)))
    return places.astype(np.int64) - start


def read_universe(reader: WarehouseReader, sessions: Sequence[dt.date]) -> pa.Table:
    """Rows of `universe.COLUMNS` of some sessions, ascending: stored ones, and what is not stored, made."""
    stored = _stored(reader, sessions)
    have = set(pc.unique(stored.column("trade_date")).to_pylist())
    lacking = [day for day in sessions if day not in have]
    parts = [compute_universe(reader, part).rows for part in sessions_at_once(lacking)]
    return pa.concat_tables([stored, *parts]).sort_by([("trade_date", "ascending"), ("rank", "ascending")])


def _stored(reader: WarehouseReader, sessions: Sequence[dt.date]) -> pa.Table:
    try:
        rows = reader.table(UNIVERSE.sql_name, start=sessions[0], end=sessions[-1]).to_arrow()
    except TableNotFound:
        return UNIVERSE.arrow_schema.empty_table()
    return rows.filter(pc.is_in(rows.column("trade_date"), pa.array(sessions, pa.date32())))


def members(
    reader: WarehouseReader, chosen: Universe, sessions: Sequence[dt.date], columns: PanelColumns
) -> BoolArray:
    """Which columns of a panel are members of a universe in each of some sessions.

    Returns:
        Shape (n_sessions, n_columns).
    """
    return _membership(chosen.chosen(read_universe(reader, sessions)), sessions, columns)


def columns_of_members(
    reader: WarehouseReader, chosen: Universe, sessions: Sequence[dt.date]
) -> tuple[PanelColumns, BoolArray]:
    """A column for whoever is a member of a universe in one of some sessions, and who is when.

    Columns are in the order of their best rank, under the last ticker that they bore as a member.
    """
    rows = chosen.chosen(read_universe(reader, sessions))
    best: dict[str, int] = {}
    last: dict[str, tuple[str | None, str]] = {}
    names = ("security_id", "ticker", "rank")
    for security_id, ticker, rank in zip(*(rows.column(name).to_pylist() for name in names), strict=True):
        key = security_id or ticker
        best[key] = min(best.get(key, rank), rank)
        last[key] = (security_id, ticker)
    ordered = [last[key] for key in sorted(best, key=lambda key: (best[key], key))]
    securities = stored_securities(reader, [ticker for _, ticker in ordered])
    columns = PanelColumns.of_members(ordered, securities)
    return columns, _membership(rows, sessions, columns)


def _membership(rows: pa.Table, sessions: Sequence[dt.date], columns: PanelColumns) -> BoolArray:
    mine = columns.by_security_or_ticker(rows, "trade_date")
    found = np.zeros((len(sessions), len(columns.labels)), dtype=np.bool_)
    days = pc.index_in(mine.column("trade_date"), pa.array(sessions, pa.date32())).to_numpy()
    labels = pc.index_in(mine.column("ticker"), pa.array(columns.labels, pa.string())).to_numpy()
    found[days, labels] = True
    return found

"""Records of splits and dividends: the securities they are about, the bars around them, the user's word.

Here: `ActionRecords`, which lays records to securities and has them judged. Not here: the verdicts
(`algorithms/action_audit.py`) and what is applied of them (`corporate_actions.py`).
"""

# ruff: noqa: S608  (names are constants of this module, values are parameters)
from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.action_audit import Judged, audit_splits, same_split
from flatfiles_assets.algorithms.action_view import SecurityBars, SplitRecords
from flatfiles_assets.warehouse.archive_terms import archive_terms
from flatfiles_assets.warehouse.day_bars import bars_source, session_days
from flatfiles_assets.warehouse.dividend_closes import closes_not_above
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.securities import SecurityMap
from flatfiles_assets.warehouse.tables import ACTION_AUDIT, DIVIDENDS, OVERRIDES, SPLITS

#: Bars on either side that a verdict may use, with room for sessions without one.
BARS_BEFORE, BARS_AFTER = dt.timedelta(days=120), dt.timedelta(days=60)
# A record this far outside a range may count inside it.
_MARGIN = dt.timedelta(days=14)

_NOTHING = dict.fromkeys(ACTION_AUDIT.column_names)
_APPLIED_DIVIDENDS = pa.schema(
    [
        ("ticker", pa.string()),
        ("ex_date", pa.date32()),
        ("cash_amount", pa.float64()),
        ("currency", pa.string()),
        ("security_id", pa.string()),
    ]
)


def _position(day: dt.date) -> int:
    return int(np.searchsorted(session_days(), np.datetime64(day)))


def _day(position: int) -> dt.date:
    found: dt.date = session_days()[min(position, len(session_days()) - 1)].item()
    return found


def session_from(day: dt.date) -> dt.date:
    """The first session on or after a day."""
    return _day(_position(day))


class ActionRecords:
    """Records of some securities, judged against the bars.

    Args:
        reader: A session that is held.
        securities: The securities and their tickers.
        symbols: Tickers whose securities are wanted; None for all.
        until: Nothing dated later is used.
    """

    def __init__(
        self,
        reader: WarehouseReader,
        securities: SecurityMap,
        symbols: set[str] | None,
        until: dt.date | None = None,
    ) -> None:
        self._reader = reader
        self._securities = securities
        self._until = until
        self._wanted: set[str] | None = None
        self._tickers: list[str] | None = None
        if symbols is not None:
            meant = [s for ticker in symbols for s, _, _ in securities.securities_of_ticker(ticker)]
            self._wanted = set(meant)
            spans = [span for security in self._wanted for span in securities.spans(security)]
            self._tickers = sorted({*symbols, *(span.ticker for span in spans)})
        self._overrides = self._read_overrides()

    def splits(self, first: dt.date, last: dt.date) -> list[dict[str, Any]]:
        """Rows of the audit for the splits that count in (or are dated in) a range, by date."""
        lo, hi = first - _MARGIN, min(last + _MARGIN, self._until or dt.date.max)
        columns = "ticker, execution_date, split_from, split_to, id, source"
        records = self._read(SPLITS.sql_name, "execution_date", columns, lo, hi)
        asked = [(number, each) for number, record in enumerate(records) for each in self._candidates(record)]
        judged = self._judge([(records[number], security) for number, security in asked])
        borne_out = ("confirmed", "shifted")
        best: dict[int, tuple[str | None, Judged]] = {}
        for (number, security), verdict in zip(asked, judged, strict=True):
            better = verdict.verdict in borne_out and number in best
            if number not in best or (better and best[number][1].verdict not in borne_out):
                best[number] = (security, verdict)
        rows = [
            self._split_row(record, *best[number]) for number, record in enumerate(records) if number in best
        ]
        rows = self._with_split_overrides(rows, lo, hi)
        return [
            row for row in rows if first <= row["session"] <= last or first <= row["recorded_date"] <= last
        ]

    def _candidates(self, record: Mapping[str, Any]) -> list[str | None]:
        """Securities that a record may be about: the ticker's on the day, and its later bearer's."""
        ticker, day = record["ticker"], record["execution_date"]
        named = self._securities.record_security(ticker, day)
        if named is None:
            return [None] if self._wanted is None or ticker in (self._tickers or ()) else []
        found: list[str | None] = [named]
        for security, first, _ in self._securities.securities_of_ticker(ticker):
            spans = self._securities.spans(security)
            if security != named and first > day and spans[0].first <= day <= spans[-1].last:
                found.append(security)
        return [each for each in found if self._wanted is None or each in self._wanted]

    def _judge(self, asked: Sequence[tuple[Mapping[str, Any], str | None]]) -> list[Judged]:
        known = sorted({security for _, security in asked if security is not None})
        numbers = {security: number for number, security in enumerate(known)}
        days = [_position(record["execution_date"]) for record, _ in asked]
        records = SplitRecords(
            # A number of its own for what no bar has: nothing is known of two such records together.
            np.array([numbers.get(s or "", -1 - n) for n, (_, s) in enumerate(asked)], dtype=np.int64),
            np.array(days, dtype=np.int64),
            np.array([record["split_from"] for record, _ in asked], dtype=np.float64),
            np.array([record["split_to"] for record, _ in asked], dtype=np.float64),
        )
        wanted: dict[str, list[dt.date]] = defaultdict(list)
        for record, security in asked:
            if security is not None:
                wanted[security].append(record["execution_date"])
        return audit_splits(records, self._bars(wanted, numbers))

    def _bars(self, wanted: Mapping[str, Sequence[dt.date]], numbers: Mapping[str, int]) -> SecurityBars:
        """Bars around some dates of some securities, whatever tickers they bore."""
        windows = [
            (numbers[security], ticker, max(lo, first), min(hi, last))
            for security, dates in wanted.items()
            for lo, hi in _merged([(day - BARS_BEFORE, day + BARS_AFTER) for day in dates])
            for ticker, first, last in self._open_spans(security)
            if lo <= last and first <= hi
        ]
        source = bars_source(self._reader, ("lo", "hi"))
        if not windows or source is None:
            nothing, no_prices = np.zeros(0, dtype=np.int64), np.zeros(0)
            return SecurityBars(nothing, nothing, no_prices, no_prices, no_prices)
        codes, tickers, firsts, lasts = (list(column) for column in zip(*windows, strict=True))
        latest = self._until or calendars.LAST_DAY
        lo, hi = min(firsts), min(max(lasts), latest)
        terms = archive_terms(self._reader, lo, hi, set(tickers))
        bars, of_terms = terms.applied(f"({source})", ("open", "close", "volume"))
        rows = self._reader.sql(
            f"""
            WITH windows AS (SELECT unnest($codes) AS code, unnest($tickers) AS ticker,
                                    unnest($firsts) AS first, unnest($lasts) AS last)
            SELECT code::BIGINT AS code, trade_date, open, close, volume
            FROM {bars} bars JOIN windows ON bars.ticker = windows.ticker
                AND bars.trade_date BETWEEN windows.first AND windows.last
            ORDER BY code, trade_date
            """,
            {
                "codes": codes,
                "tickers": tickers,
                "firsts": firsts,
                "lasts": lasts,
                "lo": lo,
                "hi": hi,
                **of_terms,
            },
        ).to_arrow()
        days = rows.column("trade_date").to_numpy().astype("datetime64[D]")
        prices = (rows.column(name).to_numpy() for name in ("open", "close", "volume"))
        return SecurityBars(rows.column("code").to_numpy(), np.searchsorted(session_days(), days), *prices)

    def _open_spans(self, security: str) -> list[tuple[str, dt.date, dt.date]]:
        """Tickers of a security; the last until somebody else has it: bars may have come since."""
        spans = [(span.ticker, span.first, span.last) for span in self._securities.spans(security)]
        ticker, first, last = spans[-1]
        meanings = self._securities.securities_of_ticker(ticker)
        next_first = min((begins for _, begins, _ in meanings if begins > last), default=calendars.LAST_DAY)
        return [*spans[:-1], (ticker, first, max(last, next_first - dt.timedelta(days=1)))]

    def _split_row(self, record: Mapping[str, Any], security: str | None, judged: Judged) -> dict[str, Any]:
        session = (
            _day(judged.session) if judged.session is not None else session_from(record["execution_date"])
        )
        return self._row(
            "split",
            security,
            record["ticker"],
            session,
            recorded_date=record["execution_date"],
            verdict=judged.verdict,
            applied=judged.applied,
            split_from=record["split_from"],
            split_to=record["split_to"],
            price_ratio=_known(judged.price_ratio),
            volume_ratio=_known(judged.volume_ratio),
            note=judged.note,
            id=record["id"],
            source=record["source"],
        )

    def _row(
        self, kind: str, security: str | None, recorded_ticker: str | None, session: dt.date, **values: Any
    ) -> dict[str, Any]:
        ticker = self._securities.ticker_of(security, session) if security else recorded_ticker
        return {
            **_NOTHING,
            "kind": kind,
            "overridden": False,
            "security_id": security,
            "ticker": ticker,
            "recorded_ticker": recorded_ticker,
            "session": session,
            **values,
        }

    def _with_split_overrides(
        self, rows: list[dict[str, Any]], lo: dt.date, hi: dt.date
    ) -> list[dict[str, Any]]:
        """The user's word over the audit's."""
        for said in self._overrides:
            if said["kind"] != "split" or not lo <= said["date"] <= hi:
                continue
            if said["action"] == "add":
                security = self._securities.record_security(said["ticker"], said["date"])
                if self._wanted is None or security in self._wanted:
                    added = {name: said[name] for name in ("split_from", "split_to", "source")}
                    session = session_from(said["session"] or said["date"])
                    row = self._row(
                        "split",
                        security,
                        None,
                        session,
                        verdict="no_record",
                        applied=True,
                        overridden=True,
                        note=_overridden("added", said),
                        recorded_date=said["date"],
                        **added,
                    )
                    rows.append(row)
                continue
            for row in rows:
                if not _is_meant(said, row):
                    continue
                row["applied"], row["overridden"] = said["action"] != "ignore", True
                row["session"] = session_from(
                    said["session"] if said["action"] == "move" else row["recorded_date"]
                )
                row["note"] = f"{_overridden(said['action'], said)}; {row['note']}"
        return rows

    def dividends(self, first: dt.date, last: dt.date) -> tuple[pa.Table, list[dict[str, Any]]]:
        """Dividends that count in a range, and rows of the audit for those that are not applied."""
        columns = "ticker, ex_date, cash_amount, currency, distribution_type, id, source"
        latest = min(last, self._until or last)
        records = self._read(DIVIDENDS.sql_name, "ex_date", columns, first, latest)
        overrides = [said for said in self._overrides if said["kind"] == "dividend"]
        ignored = {(said["ticker"], said["date"]): said for said in overrides if said["action"] == "ignore"}
        applied: list[dict[str, Any]] = []
        left_out: list[dict[str, Any]] = []
        seen: dict[tuple[Any, ...], list[str]] = defaultdict(list)
        for record in records:
            security = self._securities.record_security(record["ticker"], record["ex_date"])
            if (
                self._wanted is not None
                and security not in self._wanted
                and (security is not None or record["ticker"] not in (self._tickers or ()))
            ):
                continue
            said = ignored.get((record["ticker"], record["ex_date"]))
            kinds = seen[
                security or record["ticker"], record["ex_date"], record["cash_amount"], record["currency"]
            ]
            why = self._why_not_paid(record, kinds, said)
            if why is not None:
                row = self._dividend_row(record, security, *why)
                left_out.append({**row, "overridden": said is not None})
                continue
            kinds.append(record["distribution_type"] or "unknown")
            ticker = self._securities.ticker_of(security, record["ex_date"]) if security else record["ticker"]
            applied.append({**record, "ticker": ticker, "security_id": security})
        for said in overrides:
            if said["action"] == "add" and first <= said["date"] <= latest and said["cash_amount"]:
                security = self._securities.record_security(said["ticker"], said["date"])
                if self._wanted is None or security in self._wanted:
                    ticker = (
                        self._securities.ticker_of(security, said["date"]) if security else said["ticker"]
                    )
                    paid = {"ex_date": said["date"], "cash_amount": said["cash_amount"], "currency": "USD"}
                    applied.append({**paid, "ticker": ticker, "security_id": security})
        too_large = closes_not_above(self._reader, applied)
        for number, close in too_large.items():
            paid = applied[number]
            note = f"it is not below the close before, {close:.4g}"
            row = self._dividend_row({**_NOTHING, **paid}, paid["security_id"], "unusable", note)
            left_out.append({**row, "recorded_ticker": paid["ticker"]})
        applied = [paid for number, paid in enumerate(applied) if number not in too_large]
        return pa.Table.from_pylist(applied, schema=_APPLIED_DIVIDENDS), left_out

    def _why_not_paid(
        self, record: Mapping[str, Any], kinds: Sequence[str], said: Mapping[str, Any] | None
    ) -> tuple[str, str] | None:
        if said is not None:
            return "unusable", _overridden("ignored", said)
        kind = record["distribution_type"] or "unknown"
        if kinds and (kind in kinds or "unknown" in (kind, *kinds)):
            return "duplicate", "the same dividend is recorded twice; it counts once"
        if (record["currency"] or "USD") != "USD":
            return "unusable", f"it is paid in {record['currency']}, prices are in USD"
        return None

    def _dividend_row(
        self, record: Mapping[str, Any], security: str | None, verdict: str, note: str
    ) -> dict[str, Any]:
        return self._row(
            "dividend",
            security,
            record["ticker"],
            session_from(record["ex_date"]),
            recorded_date=record["ex_date"],
            verdict=verdict,
            applied=False,
            cash_amount=record["cash_amount"],
            note=note,
            id=record["id"],
            source=record["source"],
        )

    def _read(
        self, table: str, date: str, columns: str, first: dt.date, last: dt.date
    ) -> list[dict[str, Any]]:
        parameters: dict[str, Any] = {"first": first, "last": last}
        condition = ""
        if self._tickers is not None:
            parameters["tickers"] = self._tickers
            condition = "AND list_contains($tickers, ticker)"
        known = set(self._reader.schema(table).column_names)
        chosen = [name if name in known else f"NULL::VARCHAR AS {name}" for name in columns.split(", ")]
        found: list[dict[str, Any]] = self._reader.sql(
            f"SELECT {', '.join(chosen)} FROM {table} WHERE {date} BETWEEN $first AND $last {condition}"
            f" ORDER BY {date}, ticker, id",
            parameters,
        ).to_arrow().to_pylist()  # fmt: skip
        return found

    def _read_overrides(self) -> list[dict[str, Any]]:
        if OVERRIDES.sql_name not in self._reader.tables():
            return []
        rows: list[dict[str, Any]] = (
            self._reader.sql(f"SELECT * FROM {OVERRIDES.sql_name} ORDER BY ALL").to_arrow().to_pylist()
        )
        return rows


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _overridden(done: str, said: Mapping[str, Any]) -> str:
    note = f": {said['note']}" if said["note"] else ""
    return f"{done} by {said['source']}{note}"


def _is_meant(said: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether the user's word is about a row: by ticker and date, and by ratio where it names one."""
    if said["ticker"] not in (row["ticker"], row["recorded_ticker"]) or said["date"] != row["recorded_date"]:
        return False
    if row["recorded_ticker"] is None:
        return False
    if not said["split_from"] or not said["split_to"]:
        return True
    return same_split((said["split_from"], said["split_to"]), (row["split_from"], row["split_to"]))


def _merged(ranges: Sequence[tuple[dt.date, dt.date]]) -> list[tuple[dt.date, dt.date]]:
    """Ranges without overlaps."""
    merged: list[tuple[dt.date, dt.date]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + dt.timedelta(days=1):
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged

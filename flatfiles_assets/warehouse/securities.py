"""Securities of the warehouse: which security a ticker meant when, read and made.

Here: `securities_of`, the way from tickers to securities and back for everybody else, and
`make_securities`, which makes the table from all bars. Not here: how securities are told apart
(`algorithms/securities.py`) and the assets (`defs/assets/securities.py`).
"""

# ruff: noqa: S608  (names are constants of this module, values are parameters)
from __future__ import annotations

import bisect
import dataclasses
import datetime as dt
import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.algorithms.bar_scan import BarEvidence
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS
from flatfiles_assets.algorithms.securities import IdentityRecords, Securities, build_securities
from flatfiles_assets.datasets import CalendarName
from flatfiles_assets.warehouse.day_bars import bars_source, scan_bars
from flatfiles_assets.warehouse.reading import WarehouseReader
from flatfiles_assets.warehouse.tables import SECURITIES

_CALENDAR: CalendarName = "XNYS"


@dataclasses.dataclass(frozen=True)
class Span:
    """Sessions, both included, in which a security bore a ticker."""

    ticker: str
    first: dt.date
    last: dt.date


class SecurityMap:
    """Which security a ticker meant on a session, and under which tickers a security traded.

    Args:
        table: Rows of ``reference.securities``: any subset, by ticker and first session.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        names = ("security_id", "ticker", "first_session", "last_session")
        rows = zip(*(table.column(name).to_pylist() for name in names), strict=True)
        self._of_ticker: dict[str, list[tuple[dt.date, dt.date, str]]] = defaultdict(list)
        self._of_security: dict[str, list[Span]] = defaultdict(list)
        for security_id, ticker, first, last in rows:
            self._of_ticker[ticker].append((first, last, security_id))
            self._of_security[security_id].append(Span(ticker, first, last))
        for spans in self._of_ticker.values():
            spans.sort()
        for found in self._of_security.values():
            found.sort(key=lambda span: span.first)

    def __len__(self) -> int:
        return len(self._of_security)

    def __contains__(self, security_id: object) -> bool:
        return security_id in self._of_security

    @property
    def ids(self) -> tuple[str, ...]:
        """Every security, sorted."""
        return tuple(sorted(self._of_security))

    def resolve(self, ticker: str, on: dt.date) -> str | None:
        """The security that a ticker means on a day.

        On a day without a bar that is the security of the bar before; before the first bar of a
        ticker, the first one's. None for a ticker that never had a bar.
        """
        spans = self._of_ticker.get(ticker)
        if not spans:
            return None
        position = bisect.bisect_right(spans, on, key=lambda span: span[0]) - 1
        return spans[max(position, 0)][2]

    def resolve_exactly(self, ticker: str, on: dt.date) -> str | None:
        """The security whose bars under a ticker include that day between first and last; else None."""
        spans = self._of_ticker.get(ticker, [])
        position = bisect.bisect_right(spans, on, key=lambda span: span[0]) - 1
        return spans[position][2] if position >= 0 and on <= spans[position][1] else None

    def spans(self, security_id: str) -> tuple[Span, ...]:
        """The tickers that a security bore, by first session; none for an unknown security."""
        return tuple(self._of_security.get(security_id, ()))

    def ticker_of(self, security_id: str, on: dt.date) -> str | None:
        """The ticker that a security bore on a day: the latest that had begun, else its first."""
        spans = self.spans(security_id)
        begun = [span for span in spans if span.first <= on]
        return begun[-1].ticker if begun else spans[0].ticker if spans else None

    def securities_of_ticker(self, ticker: str) -> tuple[tuple[str, dt.date, dt.date], ...]:
        """Security, first and last session of each meaning that a ticker had, by first session."""
        return tuple((security, first, last) for first, last, security in self._of_ticker.get(ticker, ()))

    def record_security(self, ticker: str, on: dt.date, cik: str = "") -> str | None:
        """The security that a record of that ticker and day is about.

        Vendors file records under a later ticker than the one of the day: where the ticker has no bar
        on the day, it is the security that bears it next and traded on the day under another one. The
        issuer's number counts more than the day where another bearer of the ticker has it.

        Args:
            ticker: Ticker that the record is filed under.
            on: Its day.
            cik: The SEC's number of the issuer without leading zeros; empty for none.

        Returns:
            Its id; None where the ticker never had a bar.
        """
        found = self._record_security(ticker, on)
        if not cik or found is None or self._ciks.get(found) == cik:
            return found
        # An issuer's number changes, too, as in a holding's reorganisation: only another bearer's counts.
        meanings = (security for security, _, _ in self.securities_of_ticker(ticker))
        return next((security for security in meanings if self._ciks.get(security) == cik), found)

    def quoted_security(self, ticker: str, on: dt.date) -> str | None:
        """The security that a quote under a ticker is of: who bore it on the day, or went on from it.

        A quote is never under a ticker that is only borne later: what is quoted between two bearers is left
        over from the earlier one.

        Returns:
            Its id; None where the ticker had not been borne by then.
        """
        exact = self.resolve_exactly(ticker, on)
        if exact is not None:
            return exact
        earlier = [security for security, _, last in self.securities_of_ticker(ticker) if last < on]
        return earlier[-1] if earlier else None

    @functools.cached_property
    def _ciks(self) -> dict[str, str]:
        pairs = zip(
            self.table.column("security_id").to_pylist(), self.table.column("cik").to_pylist(), strict=True
        )
        return {security: cik.lstrip("0") for security, cik in pairs if cik}

    def _record_security(self, ticker: str, on: dt.date) -> str | None:
        exact = self.resolve_exactly(ticker, on)
        if exact is not None:
            return exact
        meanings = self.securities_of_ticker(ticker)
        later = [security for security, first, _ in meanings if first > on]
        earlier = [security for security, _, last in reversed(meanings) if last < on]
        for security in (*later, *earlier):
            spans = self._of_security[security]
            if spans[0].first <= on <= spans[-1].last:
                return security
        return next(iter((*earlier, *later)), None)


def securities_of(
    reader: WarehouseReader,
    tickers: Iterable[str] | None = None,
    first: dt.date | None = None,
    last: dt.date | None = None,
) -> SecurityMap:
    """The securities of some tickers, with every ticker that those securities ever bore.

    From ``reference.securities`` where it is there; bars that it does not cover yet, because they were
    loaded afterwards, are added to it as they stand, and without the table everything is made of the
    bars of those tickers alone.

    Args:
        reader: The warehouse.
        tickers: None for all.
        first: Bars that the table does not cover are looked for from here on; None for all.
        last: They are looked for up to here.

    Raises:
        WarehouseMissing: Nothing was ever loaded.
    """
    wanted = None if tickers is None else sorted(set(tickers))
    if wanted is not None and not wanted:
        return SecurityMap(SECURITIES.arrow_schema.empty_table())
    with reader.held() as session:
        stored = _stored(session, wanted)
        if not stored.num_rows:
            # All of them, whatever range is asked for: an id is made of the first session.
            evidence = scan_bars(session, wanted)
            return SecurityMap(build_securities(evidence, IdentityRecords.none()).table)
        known = sorted({*stored.column("ticker").to_pylist(), *(wanted or ())})
        uncovered = _uncovered(session, None if wanted is None else known, first, last)
    return SecurityMap(_extended(stored, uncovered))


def stored_securities(reader: WarehouseReader, tickers: Iterable[str] | None = None) -> SecurityMap | None:
    """The securities on record of some tickers, with whatever other securities their tickers ever meant.

    No bar is looked at: it costs the same after one year and after twenty. Bars that were loaded since
    belong to whom the ticker belonged last, and those before the first to that one: such spans are
    open-ended.

    Args:
        reader: The warehouse.
        tickers: None for all.

    Returns:
        None where the table was never made.
    """
    with reader.held() as session:
        if SECURITIES.sql_name not in session.tables():
            return None
        found = _stored(session, None if tickers is None else sorted(set(tickers)))
    return SecurityMap(_open_ended(found))


def _open_ended(table: pa.Table) -> pa.Table:
    """Rows by ticker and first session whose ends reach as far as nothing on record is against it."""
    tickers = np.array(table.column("ticker").to_pylist(), dtype=object)
    securities = np.array(table.column("security_id").to_pylist(), dtype=object)
    firsts, lasts = (table.column(name).to_pylist() for name in ("first_session", "last_session"))
    of_security: dict[str, list[int]] = defaultdict(list)
    for number, security in enumerate(securities):
        of_security[security].append(number)
    begins = {min(numbers, key=firsts.__getitem__) for numbers in of_security.values()}
    ends = {max(numbers, key=firsts.__getitem__) for numbers in of_security.values()}
    for number, ticker in enumerate(tickers):
        if number in begins and (number == 0 or tickers[number - 1] != ticker):
            firsts[number] = calendars.FIRST_DAY
        if number in ends and (number == len(tickers) - 1 or tickers[number + 1] != ticker):
            lasts[number] = calendars.LAST_DAY
    for name, days in (("first_session", firsts), ("last_session", lasts)):
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(days, pa.date32()))
    return table


def _stored(reader: WarehouseReader, tickers: Sequence[str] | None) -> pa.Table:
    if SECURITIES.sql_name not in reader.tables():
        return SECURITIES.arrow_schema.empty_table()
    condition, parameters = "", {}
    if tickers is not None:
        # Their securities, and whatever else bore a ticker of those.
        condition = (
            f"SEMI JOIN (SELECT other.security_id FROM {SECURITIES.sql_name} asked"
            f" JOIN {SECURITIES.sql_name} own USING (security_id)"
            f" JOIN {SECURITIES.sql_name} other ON other.ticker = own.ticker"
            " WHERE list_contains($tickers, asked.ticker)) USING (security_id)"
        )
        parameters = {"tickers": list(tickers)}
    query = f"SELECT * FROM {SECURITIES.sql_name} {condition} ORDER BY ticker, first_session"
    return reader.sql(query, parameters).to_arrow()


def _uncovered(
    reader: WarehouseReader, tickers: Sequence[str] | None, first: dt.date | None, last: dt.date | None
) -> list[tuple[str, dt.date, dt.date, int]]:
    """Stretches of bars that no stored row covers: ticker, first, last session and their number."""
    source = bars_source(reader)
    if source is None:
        return []
    conditions = ["NOT EXISTS (FROM reference.securities s WHERE s.ticker = bars.ticker"
                  " AND bars.trade_date BETWEEN s.first_session AND s.last_session)"]  # fmt: skip
    parameters: dict[str, Any] = {}
    if tickers is not None:
        conditions.append("bars.ticker IN (SELECT unnest($tickers))")
        parameters["tickers"] = list(tickers)
    for name, day, operator in (("first", first, ">="), ("last", last, "<=")):
        if day is not None:
            conditions.append(f"bars.trade_date {operator} ${name}")
            parameters[name] = day
    rows = reader.sql(
        f"SELECT ticker, trade_date FROM ({source}) bars WHERE {' AND '.join(conditions)} ORDER BY ALL",
        parameters,
    ).fetchall()
    days = calendars.sessions(_CALENDAR, calendars.FIRST_DAY, calendars.LAST_DAY)
    stretches: list[tuple[str, dt.date, dt.date, int]] = []
    for ticker, day in rows:
        if stretches and stretches[-1][0] == ticker:
            before = stretches[-1]
            if bisect.bisect_left(days, day) - bisect.bisect_left(days, before[2]) <= MAX_GAP_SESSIONS + 1:
                stretches[-1] = (ticker, before[1], day, before[3] + 1)
                continue
        stretches.append((ticker, day, day, 1))
    return stretches


def _extended(stored: pa.Table, uncovered: Sequence[tuple[str, dt.date, dt.date, int]]) -> pa.Table:
    """Stored rows, longer by the stretches that follow or precede them, and rows for the others."""
    if not uncovered:
        return stored
    days = calendars.sessions(_CALENDAR, calendars.FIRST_DAY, calendars.LAST_DAY)

    def apart(one: dt.date, other: dt.date) -> int:
        return bisect.bisect_left(days, other) - bisect.bisect_left(days, one)

    rows = stored.to_pylist()
    of_ticker: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        of_ticker[row["ticker"]].append(row)
    for ticker, first, last, _ in uncovered:
        siblings = of_ticker[ticker]
        before = max(
            (r for r in siblings if r["last_session"] < first), key=lambda r: r["last_session"], default=None
        )
        after = min(
            (r for r in siblings if r["first_session"] > last), key=lambda r: r["first_session"], default=None
        )
        if before is not None and apart(before["last_session"], first) <= MAX_GAP_SESSIONS + 1:
            before["last_session"] = last
        elif after is not None and apart(last, after["first_session"]) <= MAX_GAP_SESSIONS + 1:
            after["first_session"] = first
        else:
            row = dict.fromkeys(SECURITIES.column_names) | {
                "security_id": f"{ticker}@{first}",
                "ticker": ticker,
                "first_session": first,
                "last_session": last,
                "evidence": "bars, since the securities were made",
            }
            rows.append(row)
            siblings.append(row)
    rows.sort(key=lambda row: (row["ticker"], row["first_session"]))
    return pa.Table.from_pylist(rows, schema=SECURITIES.arrow_schema)


def make_securities(reader: WarehouseReader, records: IdentityRecords) -> tuple[Securities, BarEvidence]:
    """The securities behind all bars of the warehouse, and the scan they were made from."""
    with reader.held() as session:
        evidence = scan_bars(session)
    return build_securities(evidence, records), evidence

"""The synthetic market: every table that the vendor or the user's bucket could hold of it.

Here: `SyntheticMarket`, which assembles the universe, its prices and its events into the vendor's
columns. Not here: files (`vendor_files.py`, `minio_files.py`) and stores (`seed.py`).

Everything is a function of the seed, the company and the session. Asking for another range, in
another process, in another order, or from a larger market gives the same numbers.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flatfiles_assets import calendars
from flatfiles_assets.datasets import NEW_YORK, get_dataset
from flatfiles_assets.demo import intraday, option_chain
from flatfiles_assets.demo.corporate_actions import (
    dividend_record,
    ex_dividend_positions,
    split_multipliers,
    split_records,
)
from flatfiles_assets.demo.cross_section import CrossSection, cross_section
from flatfiles_assets.demo.financial_statements import quarterly_statements
from flatfiles_assets.demo.identity_cases import (
    CaseBar,
    case_bars,
    case_events,
    case_splits,
    case_tickers,
    ticker_record,
    with_hole,
)
from flatfiles_assets.demo.intraday import TradingHours
from flatfiles_assets.demo.price_paths import log_prices
from flatfiles_assets.demo.universe import SECTORS, TEST_TICKERS, Company, companies
from flatfiles_assets.errors import InvalidArgument

FIRST_SESSION, LAST_DAY = dt.date(2002, 1, 2), dt.date(2027, 12, 31)
DEFAULT_SYMBOLS = 600
# Chosen so that the demo's short quarter already shows two of the pairs; all four show in any year.
DEFAULT_SEED = 20240123

PAIRS = (("KO", "PEP"), ("XOM", "CVX"), ("V", "MA"), ("HD", "LOW"))

_MINUTE_STREAM, _OPTION_STREAM = 4, 5
_OPTION_UNDERLYINGS = ("AAPL", "MSFT", "SPY", "NVDA", "JPM", "XOM", "KO", "BRK.B")
_MINUTE_NS = 60 * 10**9
_REGULAR_CLOSE_MINUTE = 16 * 60


class SyntheticMarket:
    """A market of correlated stocks from 2002 to 2027, as published: unadjusted, with its oddities.

    Args:
        n_symbols: Number of companies ever listed, exchange test tickers included. A larger market
            contains a smaller one unchanged.
        seed: Another seed is another market.
    """

    def __init__(self, n_symbols: int = DEFAULT_SYMBOLS, seed: int = DEFAULT_SEED) -> None:
        self.seed = seed
        self.companies = companies(n_symbols)
        self.tickers = tuple(company.ticker for company in self.companies)
        #: Whether the securities of `identity_cases` are in it: in a market of the usual size they are.
        self.has_cases = n_symbols >= DEFAULT_SYMBOLS

    def listed_tickers(self, session: dt.date) -> list[str]:
        """Companies listed on that session, test tickers left out, in the universe's order."""
        return [
            company.ticker
            for company in self.companies
            if company.is_listed(session) and company.ticker not in TEST_TICKERS
        ]

    def day_bars(self, session: dt.date, symbols: Iterable[str] | None = None) -> pa.Table:
        """The session's stock day bars in the vendor's columns; `window_start` is midnight New York.

        Rows are in no useful order, as the vendor promises none. Test tickers and bars without a
        trade are among them.

        Raises:
            InvalidArgument: That day has no session, or lies outside 2002 to 2027.
        """
        bars = self._cross_section(session)
        wanted = None if symbols is None else set(symbols)
        keep = _positions(bars.cast, wanted)
        ordinary = pa.table(
            {
                "ticker": [bars.cast[position].ticker for position in keep],
                "volume": bars.volume[keep],
                "open": bars.open[keep],
                "close": bars.close[keep],
                "high": bars.high[keep],
                "low": bars.low[keep],
                "window_start": np.full(len(keep), _midnight_ns(session)),
                "transactions": bars.transactions[keep],
            },
            schema=vendor_schema("stocks_daily"),
        )
        midnight = _midnight_ns(session)
        rows = [{**vars(bar), "window_start": midnight} for bar in self._cases(session, wanted)]
        return pa.concat_tables([ordinary, pa.Table.from_pylist(rows, schema=ordinary.schema)])

    def minute_bars(self, session: dt.date, symbols: Iterable[str] | None = None) -> pa.Table:
        """The session's stock minute bars in the vendor's columns, 04:00 to 20:00 New York.

        They add up to `day_bars`: see `intraday`.

        Raises:
            InvalidArgument: As `day_bars`.
        """
        bars = self._cross_section(session)
        hours = trading_hours(session)
        wanted = None if symbols is None else set(symbols)
        stream = [self.seed, _MINUTE_STREAM, session.toordinal()]
        parts = []
        for position in _positions(bars.cast, wanted):
            company = bars.cast[position]
            rng = np.random.default_rng([*stream, company.index])
            parts.append((company.ticker, intraday.minute_bars(bars.day_bar(position), hours, rng)))
        for bar in self._cases(session, wanted):
            rng = np.random.default_rng([*stream, *bar.ticker.encode()])
            parts.append((bar.ticker, intraday.minute_bars(bar.day_bar(), hours, rng)))
        return _minute_table("stocks_minute", session, parts)

    def option_day_bars(self, session: dt.date, underlyings: Sequence[str] | None = None) -> pa.Table:
        """The session's option day bars in the vendor's columns, one row per traded contract.

        Raises:
            InvalidArgument: As `day_bars`.
        """
        contracts = list(self._contracts(session, underlyings))
        bars = [contract.bar for contract in contracts]
        return pa.table(
            {
                "ticker": [contract.ticker for contract in contracts],
                "volume": [float(bar.volume) for bar in bars],
                "open": [bar.open for bar in bars],
                "close": [bar.close for bar in bars],
                "high": [bar.high for bar in bars],
                "low": [bar.low for bar in bars],
                "window_start": [_midnight_ns(session)] * len(bars),
                "transactions": [bar.transactions for bar in bars],
            },
            schema=vendor_schema("options_daily"),
        )

    def option_minute_bars(
        self, session: dt.date, underlyings: Sequence[str] | None = None, most_active: int = 60
    ) -> pa.Table:
        """The minute bars of the session's most active option contracts, in the vendor's columns.

        Raises:
            InvalidArgument: As `day_bars`.
        """
        contracts = sorted(
            self._contracts(session, underlyings),
            key=lambda contract: (-contract.bar.volume, contract.ticker),
        )[:most_active]
        hours = trading_hours(session)
        parts = []
        for contract in contracts:
            stream = [self.seed, _OPTION_STREAM, session.toordinal(), *contract.ticker.encode()]
            bars = intraday.minute_bars(contract.bar, hours, np.random.default_rng(stream), extended=False)
            parts.append((contract.ticker, bars))
        return _minute_table("options_minute", session, parts)

    def splits(self) -> list[dict[str, Any]]:
        """Every split of the ordinary companies, as the vendor's endpoint gives it, newest first."""
        return split_records(self.tickers)

    def recorded_splits(self) -> list[dict[str, Any]]:
        """Every split on record, those of `identity_cases` included, which are not all true."""
        records = [*(case_splits() if self.has_cases else []), *self.splits()]
        return sorted(records, key=lambda record: str(record["execution_date"]), reverse=True)

    def ticker_events(self) -> list[dict[str, Any]]:
        """Changes of ticker on record, a row each."""
        return case_events() if self.has_cases else []

    def ticker_snapshot(self, day: dt.date) -> list[dict[str, Any]]:
        """The vendor's list of tickers as of a day; of one day a third is missing."""
        rows = [
            ticker_record(
                company.ticker,
                f"{company.ticker} {SECTORS[company.sector]}",
                "CS",
                # Of one in eight the vendor knows no FIGI.
                None if company.index % 8 == 7 else f"BBG{company.index:09}",
                f"{company.index:010}",
                company.is_listed(day),
            )
            for company in self.companies
            if company.ticker not in TEST_TICKERS and (company.listed is None or company.listed <= day)
        ]
        return with_hole([*rows, *(case_tickers(day) if self.has_cases else [])], day)

    def dividends(self, start: dt.date = FIRST_SESSION, end: dt.date = LAST_DAY) -> list[dict[str, Any]]:
        """Cash dividends with an ex-date from start to end, both included, newest first."""
        records = []
        for company in self.companies:
            for position in ex_dividend_positions(company, _sessions()):
                ex_date = _sessions()[position]
                if start <= ex_date <= end and company.is_listed(ex_date):
                    price = float(self._published_closes[position - 1, company.index])
                    records.append(dividend_record(company, ex_date, price))
        return sorted(
            records, key=lambda record: (record["ex_dividend_date"], record["ticker"]), reverse=True
        )

    def financials(
        self, first_year: int = 2002, last_year: int = 2025, symbols: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Quarterly statements, one record per company and quarter, with their filing dates."""
        cast = [
            company
            for company in self.companies
            if company.ticker not in TEST_TICKERS and (symbols is None or company.ticker in symbols)
        ]
        return quarterly_statements(cast, first_year, last_year, self.seed)

    def _cases(self, session: dt.date, wanted: set[str] | None) -> list[CaseBar]:
        """Bars of the securities of `identity_cases`."""
        bars = case_bars(session, self.seed) if self.has_cases else []
        return [bar for bar in bars if wanted is None or bar.ticker in wanted]

    @functools.cached_property
    def _log_prices(self) -> npt.NDArray[np.float64]:
        return log_prices(self.companies, _sessions(), self.seed)

    @functools.cached_property
    def _split_multipliers(self) -> npt.NDArray[np.float64]:
        return split_multipliers(self.companies, _sessions())

    @functools.cached_property
    def _published_closes(self) -> npt.NDArray[np.float64]:
        closes: npt.NDArray[np.float64] = np.exp(self._log_prices) * self._split_multipliers
        return closes

    def _cross_section(self, session: dt.date) -> CrossSection:
        position = _session_position(session)
        return cross_section(
            self.companies,
            session,
            before=self._log_prices[max(position - 1, 0)],
            now=self._log_prices[position],
            multipliers=self._split_multipliers[position],
            seed=self.seed,
            shortened=trading_hours(session).close_minute < _REGULAR_CLOSE_MINUTE,
        )

    def _contracts(
        self, session: dt.date, underlyings: Sequence[str] | None
    ) -> Iterator[option_chain.Contract]:
        bars = self._cross_section(session)
        for position in _positions(bars.cast, underlyings or _OPTION_UNDERLYINGS):
            company = bars.cast[position]
            rng = np.random.default_rng([self.seed, _OPTION_STREAM, session.toordinal(), company.index])
            yield from option_chain.traded_contracts(company.ticker, bars.day_bar(position), session, rng)


def vendor_schema(feed: str) -> pa.Schema:
    """The columns of that feed's files, in the vendor's order, with the types of their text."""
    return pa.schema([(column.name, column.type) for column in get_dataset(feed).columns])


@functools.lru_cache(maxsize=4096)
def trading_hours(session: dt.date) -> TradingHours:
    """Regular hours of that session, early closes included."""
    midnight_ns = _midnight_ns(session)
    exchange = calendars.xnys()
    opens, closes = (
        (moment.value - midnight_ns) // _MINUTE_NS
        for moment in (
            exchange.session_open(session.isoformat()),
            exchange.session_close(session.isoformat()),
        )
    )
    return TradingHours(int(opens), int(closes))


@functools.lru_cache(maxsize=1)
def _sessions() -> list[dt.date]:
    return calendars.sessions("XNYS", FIRST_SESSION, LAST_DAY)


@functools.lru_cache(maxsize=1)
def _session_positions() -> dict[dt.date, int]:
    return {session: position for position, session in enumerate(_sessions())}


def _session_position(session: dt.date) -> int:
    try:
        return _session_positions()[session]
    except KeyError:
        raise InvalidArgument(
            f"the synthetic market has no session on {session}",
            next_step=f"choose a session of XNYS from {FIRST_SESSION} to {LAST_DAY}",
        ) from None


def _midnight_ns(session: dt.date) -> int:
    return calendars.day_bounds_ns(session, NEW_YORK)[0]


def _positions(cast: Sequence[Company], symbols: Iterable[str] | None) -> list[int]:
    wanted = None if symbols is None else set(symbols)
    return [position for position, company in enumerate(cast) if wanted is None or company.ticker in wanted]


def _minute_table(feed: str, session: dt.date, parts: Sequence[tuple[str, intraday.MinuteBars]]) -> pa.Table:
    schema = vendor_schema(feed)
    if not parts:
        return schema.empty_table()
    lengths = [len(bars.minute) for _, bars in parts]
    columns = {
        name: np.concatenate([getattr(bars, name) for _, bars in parts])
        for name in ("volume", "open", "close", "high", "low", "transactions", "minute")
    }
    tickers = pa.DictionaryArray.from_arrays(
        np.repeat(np.arange(len(parts), dtype=np.int32), lengths), [ticker for ticker, _ in parts]
    )
    window_start = _midnight_ns(session) + columns.pop("minute") * _MINUTE_NS
    return (
        pa.table({"ticker": tickers.cast(pa.string()), "window_start": window_start, **columns})
        .select(schema.names)
        .cast(schema)
    )

"""The companies of the synthetic market: who is listed when, and how each one behaves.

Here: the cast, as data. Not here: prices (`price_paths.py`), splits and dividends
(`corporate_actions.py`). The first companies are chosen for what they do to software: tickers that
look like nulls and booleans, a class share, two tickers that differ only in case. The rest are
drawn from a fixed sequence, so that a larger universe only appends to a smaller one.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools

import numpy as np

SECTORS = (
    "Technology",
    "Financials",
    "Health Care",
    "Energy",
    "Consumer Staples",
    "Consumer Discretionary",
    "Industrials",
    "Materials",
    "Utilities",
    "Real Estate",
    "Communications",
)

TEST_TICKERS = ("ZVZZT", "ZXZZT", "ZXIET", "ZTST", "ZZZTA")

DELISTED_TICKER, LAST_SESSION_OF_DELISTED = "DLST", dt.date(2024, 2, 16)
LISTED_TICKER, FIRST_SESSION_OF_LISTED = "IPOX", dt.date(2024, 3, 11)

_TICKER_SEED = 20020102
_CONSONANTS = tuple("BCDFGHJKLMNPQRSTVWX")


@dataclasses.dataclass(frozen=True)
class Company:
    """One listed company.

    Attributes:
        index: Position in the universe; the key of the company's random streams.
        ticker: Symbol as the vendor publishes it.
        sector: Index into `SECTORS`.
        base_price: Price around which the path starts in 2002, USD.
        daily_dollar_volume: Typical traded value of a session, USD.
        market_beta: Sensitivity to the market factor.
        sector_beta: Sensitivity to the sector factor.
        volatility: Standard deviation of the company's own daily log return.
        persistence: AR(1) coefficient of the company's own log price: near 1 it wanders, below
            about 0.97 it visibly reverts.
        trend_amplitude: Size of a slow wave in the log price; 0 for none.
        trend_period_sessions: Length of that wave.
        leader: Ticker whose log price this company's follows, up to a stationary spread.
        pays_dividends: Whether it pays a quarterly cash dividend.
        illiquid: Whether days without a bar, and bars without a trade, occur.
        listed: First day with bars, None for before the horizon.
        delisted: Last day with bars, None for beyond the horizon.
    """

    index: int
    ticker: str
    sector: int
    base_price: float
    daily_dollar_volume: float
    market_beta: float = 1.0
    sector_beta: float = 0.8
    volatility: float = 0.012
    persistence: float = 0.9995
    trend_amplitude: float = 0.0
    trend_period_sessions: int = 500
    leader: str | None = None
    pays_dividends: bool = False
    illiquid: bool = False
    listed: dt.date | None = None
    delisted: dt.date | None = None

    def is_listed(self, session: dt.date) -> bool:
        """Whether the company trades on that session."""
        return (self.listed is None or self.listed <= session) and (
            self.delisted is None or session <= self.delisted
        )


def _company(ticker: str, sector: str, base_price: float, dollars: float, **traits: object) -> Company:
    return dataclasses.replace(Company(-1, ticker, SECTORS.index(sector), base_price, dollars), **traits)  # type: ignore[arg-type]


def _follower(ticker: str, leader: str, ratio: float, dollars: float, persistence: float) -> Company:
    """A company whose price is a multiple of the leader's but for a spread of 1 % that reverts."""
    return Company(
        -1,
        ticker,
        0,
        ratio,
        dollars,
        volatility=0.01 * (1 - persistence**2) ** 0.5,
        persistence=persistence,
        leader=leader,
    )


_CAST = (
    _company("AAPL", "Technology", 24, 5e9, pays_dividends=True, trend_amplitude=0.25),
    _company("MSFT", "Technology", 66, 4e9, pays_dividends=True),
    _company("KO", "Consumer Staples", 42, 8e8, market_beta=0.6, pays_dividends=True),
    _follower("PEP", "KO", 1.4, 7e8, 0.3),
    _company("NA", "Financials", 12, 2e6),
    _company("TRUE", "Communications", 9, 3e6, trend_amplitude=0.3),
    _company("NULL", "Industrials", 15, 1e6),
    _company("BRK.B", "Financials", 70, 9e8, market_beta=0.7, volatility=0.008),
    _company("BCPC", "Materials", 30, 3e7),
    _company("BCpC", "Financials", 24, 4e5, illiquid=True, volatility=0.005),
    _company("XOM", "Energy", 40, 1.5e9, pays_dividends=True),
    _follower("CVX", "XOM", 1.2, 1.2e9, 0.7),
    _company("V", "Financials", 45, 1.4e9),
    _follower("MA", "V", 1.7, 1.1e9, 0.8),
    _company("HD", "Consumer Discretionary", 50, 1.2e9, pays_dividends=True),
    _follower("LOW", "HD", 0.7, 8e8, 0.85),
    _company("NVDA", "Technology", 90, 6e9, trend_amplitude=0.5, trend_period_sessions=620),
    _company("JPM", "Financials", 36, 1.6e9, market_beta=1.2, pays_dividends=True),
    _company("RVRS", "Health Care", 1.6, 3e6, volatility=0.025),
    _company("BUCY", "Industrials", 80, 6e7),
    _company("SPY", "Financials", 115, 3e10, volatility=0.0005, sector_beta=0.0, pays_dividends=True),
    _company(DELISTED_TICKER, "Technology", 18, 2e7, delisted=LAST_SESSION_OF_DELISTED),
    _company(LISTED_TICKER, "Communications", 34, 4e8, listed=FIRST_SESSION_OF_LISTED),
    _company("INF", "Utilities", 20, 2e6, market_beta=0.4, persistence=0.94),
    _company("NAN", "Real Estate", 14, 2e6, persistence=0.94),
    *(_company(ticker, "Financials", 10 + 5 * i, 3e5) for i, ticker in enumerate(TEST_TICKERS)),
)


@functools.lru_cache(maxsize=8)
def companies(count: int) -> tuple[Company, ...]:
    """The first `count` companies; a larger universe begins with the smaller one."""
    known = {company.ticker: company for company in _CAST}
    cast = [
        dataclasses.replace(
            company,
            index=index,
            sector=known[company.leader].sector if company.leader else company.sector,
            # A pair shares its dividends; otherwise every ex-date would be a jump of the spread.
            pays_dividends=known[company.leader].pays_dividends if company.leader else company.pays_dividends,
        )
        for index, company in enumerate(_CAST[:count])
    ]
    drawn = [
        _drawn_company(index, ticker)
        for index, ticker in zip(range(len(_CAST), count), _drawn_tickers(count), strict=False)
    ]
    return (*cast, *drawn)


def _drawn_tickers(count: int) -> list[str]:
    """Distinct four-letter tickers, in a fixed order, none of them in the cast."""
    rng = np.random.default_rng(_TICKER_SEED)
    tickers: dict[str, None] = {}
    taken = {company.ticker.upper() for company in _CAST}
    while len(tickers) < count:
        ticker = "".join(rng.choice(_CONSONANTS, size=4))
        if ticker not in taken:
            tickers[ticker] = None
    return list(tickers)


def _drawn_company(index: int, ticker: str) -> Company:
    rng = np.random.default_rng([_TICKER_SEED, index])
    kind, life, liquidity = rng.random(3)
    illiquid = bool(liquidity < 0.12)
    start = dt.date(2003, 1, 1) + dt.timedelta(days=int(rng.integers(0, 7500)))
    return Company(
        index=index,
        ticker=ticker,
        sector=int(rng.integers(len(SECTORS))),
        base_price=float(np.exp(rng.normal(0.5 if illiquid else 3.2, 0.5))),
        daily_dollar_volume=float(np.exp(rng.normal(10.5 if illiquid else 16.5, 1.0))),
        market_beta=float(rng.uniform(0.4, 1.5)),
        sector_beta=float(rng.uniform(0.3, 1.2)),
        volatility=float(rng.uniform(0.008, 0.025)),
        persistence=0.94 if kind < 0.15 else 0.9995,
        trend_amplitude=0.45 if kind > 0.85 else 0.0,
        trend_period_sessions=int(rng.integers(400, 700)),
        pays_dividends=bool(0.15 <= kind < 0.3),
        illiquid=illiquid,
        listed=start if life < 0.1 else None,
        delisted=start if life > 0.96 else None,
    )

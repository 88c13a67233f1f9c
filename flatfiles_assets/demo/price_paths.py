"""Log prices of every company over the whole horizon, from a seed.

Here: the stochastic model. The horizon is a constant and every company has its own random stream,
so a price depends on the seed, the company and the session, and on nothing else: not on the dates
somebody asks for, nor on how many other companies there are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flatfiles_assets.demo.corporate_actions import QUARTERLY_YIELD, dividend_log_drops
from flatfiles_assets.demo.universe import SECTORS, Company

Floats = npt.NDArray[np.float64]

_MARKET_STREAM, _COMPANY_STREAM = 0, 1
_MARKET_DRIFT, _MARKET_VOLATILITY = 0.0002, 0.009
_SECTOR_VOLATILITY = 0.005
_FACTOR_PERSISTENCE = 0.9995
_CRISES = ((dt.date(2008, 9, 15), dt.date(2009, 3, 31)), (dt.date(2020, 2, 20), dt.date(2020, 4, 30)))
_CRISIS_VOLATILITY = 2.5


def log_prices(cast: Sequence[Company], days: Sequence[dt.date], seed: int) -> Floats:
    """Natural logarithm of the closes in the latest shares, shape (sessions, companies).

    A company's log price is its betas times the market's and its sector's, plus its own AR(1) path
    and slow wave; a pair's follower is its leader's log price plus a spread that reverts.
    Dividends leave the price on their ex-dates.
    """
    market, sectors = _factors(days, seed)
    persistence = np.array([company.persistence for company in cast])
    volatility = np.array([company.volatility for company in cast])
    shocks = np.column_stack(
        [
            np.random.default_rng([seed, _COMPANY_STREAM, company.index]).standard_normal(len(days))
            for company in cast
        ]
    )
    own = _autoregress(shocks * volatility, persistence)
    paths = np.empty_like(own)
    position = {company.ticker: column for column, company in enumerate(cast)}
    for column, company in enumerate(cast):
        if company.leader is not None:
            paths[:, column] = (
                paths[:, position[company.leader]] + np.log(company.base_price) + own[:, column]
            )
            continue
        paths[:, column] = (
            np.log(company.base_price)
            + company.market_beta * market
            + company.sector_beta * sectors[:, company.sector]
            + own[:, column]
            + _wave(company, len(days))
        )
    return paths + _dividends(cast, days)


def _factors(days: Sequence[dt.date], seed: int) -> tuple[Floats, Floats]:
    calendar = np.array(days, dtype="datetime64[D]")
    calm_or_crisis = np.ones(len(days))
    for first, last in _CRISES:
        calm_or_crisis[(calendar >= np.datetime64(first)) & (calendar <= np.datetime64(last))] = (
            _CRISIS_VOLATILITY
        )
    shocks = np.column_stack(
        [
            np.random.default_rng([seed, _MARKET_STREAM, factor]).standard_normal(len(days))
            for factor in range(1 + len(SECTORS))
        ]
    )
    scale = np.array([_MARKET_VOLATILITY] + [_SECTOR_VOLATILITY] * len(SECTORS))
    factors = _autoregress(
        shocks * scale * calm_or_crisis[:, np.newaxis], np.full(len(scale), _FACTOR_PERSISTENCE)
    )
    return factors[:, 0] + _MARKET_DRIFT * np.arange(len(days)), factors[:, 1:]


def _autoregress(shocks: Floats, persistence: Floats) -> Floats:
    """x[t] = persistence * x[t-1] + shocks[t], column by column."""
    path = np.empty_like(shocks)
    state = np.zeros(shocks.shape[1])
    for position, shock in enumerate(shocks):
        state = persistence * state + shock
        path[position] = state
    return path


def _wave(company: Company, length: int) -> Floats:
    # The phase differs from company to company, so that trends do not all turn on one day.
    turns = np.arange(length) / company.trend_period_sessions + company.index * 0.37
    return company.trend_amplitude * np.sin(2 * np.pi * turns)


def _dividends(cast: Sequence[Company], days: Sequence[dt.date]) -> Floats:
    """Drops on ex-dates, with the growth between them that earns the dividends back."""
    growth = np.array([4 * QUARTERLY_YIELD / 252 if company.pays_dividends else 0.0 for company in cast])
    steps: Floats = np.cumsum(dividend_log_drops(cast, days) + growth, axis=0)
    return steps

"""Quarterly statements of the synthetic companies, each with the day it became public.

Here: the figures, in one shape. Not here: the differing files they are spread over, which
`minio_files.py` writes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np

from flatfiles_assets.demo.universe import SECTORS, Company

_STREAM = 6
_QUARTER_ENDS = ((3, 31), (6, 30), (9, 30), (12, 31))


def quarterly_statements(
    cast: Sequence[Company], first_year: int, last_year: int, seed: int
) -> list[dict[str, Any]]:
    """One record per company and quarter, in order of company and time.

    Money in USD. `filing_date` lies 25 to 75 days after the quarter's end: what an algorithm may
    know on a date is what was filed by then.
    """
    return [record for company in cast for record in _statements_of(company, first_year, last_year, seed)]


def _statements_of(company: Company, first_year: int, last_year: int, seed: int) -> list[dict[str, Any]]:
    records = []
    for year in range(first_year, last_year + 1):
        for quarter, (month, day) in enumerate(_QUARTER_ENDS, start=1):
            end = dt.date(year, month, day)
            if not company.is_listed(end):
                continue
            # Keyed by the quarter: the figures do not depend on the years that are asked for.
            rng = np.random.default_rng([seed, _STREAM, company.index, year, quarter])
            size = company.daily_dollar_volume * (1 + 0.06 * (year - 2002))
            revenues = round(size * float(rng.uniform(0.9, 1.1)))
            income = round(revenues * float(rng.normal(0.09, 0.05)))
            assets = round(revenues * 6.5)
            shares = round(company.daily_dollar_volume * 40 / company.base_price)
            records.append(
                {
                    "ticker": company.ticker,
                    "company_name": f"{company.ticker.title()} Synthetic Holdings",
                    "cik": f"{1_000_000 + company.index:010d}",
                    "sector": SECTORS[company.sector],
                    "fiscal_year": year,
                    "fiscal_period": f"Q{quarter}",
                    "start_date": dt.date(year, month - 2, 1).isoformat(),
                    "end_date": end.isoformat(),
                    "filing_date": (end + dt.timedelta(days=int(rng.integers(25, 76)))).isoformat(),
                    "revenues": revenues,
                    "net_income_loss": income,
                    "diluted_earnings_per_share": round(income / shares, 2),
                    "assets": assets,
                    "liabilities": round(assets * 0.55),
                    "equity": assets - round(assets * 0.55),
                    "shares_outstanding": shares,
                }
            )
    return records

"""The four directories of the user's bucket: tables in several forms, and files that are none.

Here: the objects' names and bytes. Not here: the historical years (`minio_files.py`) and putting
any of it into a store (`seed.py`).
"""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flatfiles_assets.demo.market import SyntheticMarket
from flatfiles_assets.demo.minio_files import HistoricalLayout, historical_bars
from flatfiles_assets.demo.vendor_files import to_csv, to_csv_gz

_SYMBOLS = (
    "AAPL",
    "MSFT",
    "KO",
    "PEP",
    "XOM",
    "CVX",
    "V",
    "MA",
    "HD",
    "LOW",
    "NVDA",
    "JPM",
    "NA",
    "TRUE",
    "BRK.B",
)
_YEARS = (2007, 2008, 2023)
_CHAIN_SESSIONS = (dt.date(2009, 1, 2), dt.date(2009, 1, 5))
_PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
_PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452")
_README = b"""Statements of US companies.

income_statements.parquet and archive/ hold one row per company and quarter.
balance_sheets.csv is separated by semicolons; its headings differ from the others'.
"""


def directory_objects(market: SyntheticMarket) -> dict[str, bytes]:
    """The contents of ``financials/``, ``us_financials/``, ``options/`` and ``samples/``, by key."""
    return {**_financials(market), **_us_financials(market), **_options(market), **_samples(market)}


def _statements(market: SyntheticMarket, years: tuple[int, ...] = _YEARS) -> pa.Table:
    records = [record for year in years for record in market.financials(year, year, symbols=_SYMBOLS)]
    return pa.Table.from_pylist(records)


def _financials(market: SyntheticMarket) -> dict[str, bytes]:
    """One CSV per quarter; from 2023 on the files have one column more."""
    objects = {}
    for year in _YEARS:
        statements = _statements(market, (year,))
        if year < 2023:
            statements = statements.drop_columns(["sector"])
        for quarter in ("Q1", "Q2", "Q3", "Q4"):
            rows = statements.filter(pc.equal(statements["fiscal_period"], quarter))
            objects[f"financials/{year}{quarter}.csv"] = to_csv(rows)
    return objects


def _us_financials(market: SyntheticMarket) -> dict[str, bytes]:
    """The same companies under other headings and forms, and two files that are no tables."""
    income = _renamed(
        _statements(market),
        {
            "ticker": "symbol",
            "end_date": "period_end",
            "filing_date": "filed",
            "revenues": "revenue",
            "net_income_loss": "net_income",
        },
    )
    balance = _renamed(
        _statements(market),
        {
            "ticker": "Symbol",
            "end_date": "PeriodEnd",
            "filing_date": "Filed",
            "assets": "TotalAssets",
            "liabilities": "TotalLiabilities",
        },
    )
    archive = income.filter(pc.starts_with(income["period_end"], "2007"))
    recent = income.filter(pc.invert(pc.starts_with(income["period_end"], "2007")))
    return {
        "us_financials/README.txt": _README,
        "us_financials/methodology.pdf": _PDF,
        "us_financials/income_statements.parquet": _parquet(recent),
        "us_financials/balance_sheets.csv": to_csv(balance).replace(b",", b";"),
        "us_financials/archive/2007/income_statements.csv.gz": to_csv_gz(archive),
    }


def _options(market: SyntheticMarket) -> dict[str, bytes]:
    return {
        f"options/{session:%Y}/chain_{session:%Y%m%d}.csv": to_csv(
            market.option_day_bars(session, ["AAPL", "KO", "XOM"])
        )
        for session in _CHAIN_SESSIONS
    }


def _samples(market: SyntheticMarket) -> dict[str, bytes]:
    bars = historical_bars(market, 2008, ["AAPL"])
    layout = HistoricalLayout()
    headed = bars.rename_columns(
        [layout.heading("date" if name == "trade_date" else name) for name in bars.column_names]
    )
    about = {"vendor": "synthetic", "files": ["AAPL_2008.csv", "minute/AAPL_2008-01-02.csv.gz"]}
    return {
        "samples/AAPL_2008.csv": to_csv(headed),
        "samples/minute/AAPL_2008-01-02.csv.gz": to_csv_gz(market.minute_bars(dt.date(2008, 1, 2), ["AAPL"])),
        "samples/about.json": json.dumps(about, indent=2).encode(),
        "samples/chart.png": _PNG,
    }


def _renamed(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    return table.select(list(names)).rename_columns(list(names.values()))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()

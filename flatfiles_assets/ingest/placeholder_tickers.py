"""Symbols that the exchanges trade only to test their systems, as data.

Sources, as of November 2026: Nasdaq Trader's symbol directory (``nasdaqlisted.txt`` and
``otherlisted.txt``, the rows whose *Test Issue* is ``Y``), Nasdaq's list of test securities for its
trade reporting facilities (``TRF-Chicago-Test-Securities.xlsx``), and test symbols met in published
flat files. Matched exactly and case-sensitively.

Left out on purpose: ``IBO`` and ``ZZZ``, once test symbols and now those of listed securities.
"""

from __future__ import annotations

import string

_NASDAQ = (
    "ZAZZT", "ZBZZT", "ZCZZT", "ZJZZT", "ZVZZC", "ZVZZT", "ZWZZT", "ZXYZ.A", "ZXZZT",
)  # fmt: skip
_OTHER_EXCHANGES = (
    "CBO", "CBX", "IGZ", "ZBZX", "ZEXIT", "ZIEXT", "ZTEST", "ZTST", "ZVV", "ZXIET", "ZZK", "ZZV",
    "ZZZTA", "ZZZZZ",
)  # fmt: skip

# The listing exchanges' tick-size pilots: a root and its classes, NTEST and NTEST.A to NTEST.Z.
_SERIES_ROOTS = ("ATEST", "CTEST", "MTEST", "NTEST", "PTEST")

DEFAULT_TEST_TICKERS: frozenset[str] = frozenset(
    (
        *_NASDAQ,
        *_OTHER_EXCHANGES,
        *_SERIES_ROOTS,
        *(f"{root}.{letter}" for root in _SERIES_ROOTS for letter in string.ascii_uppercase),
    )
)

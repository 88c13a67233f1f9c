"""Chains in other people's writing: right, or refused for what contradicts them."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from flatfiles_assets.ingest.directories.options_table import read_options_directory

_DAYS = (dt.date(2024, 1, 11), dt.date(2024, 1, 12))
_EXPIRIES = (dt.date(2024, 1, 19), dt.date(2024, 2, 16))


def _chain() -> list[dict]:
    rng = random.Random(4)
    found = []
    for day in _DAYS:
        for expiry in _EXPIRIES:
            for strike in range(150, 220, 5):
                for kind in "CP":
                    worth = max(0.0, 185 - strike if kind == "C" else strike - 185)
                    middle = round(worth + 0.5 + rng.random() * 3, 2)
                    found.append(
                        {
                            "quote_date": day,
                            "expiry": expiry,
                            "strike": float(strike),
                            "option_type": kind,
                            "bid": round(middle - 0.05, 2),
                            "ask": round(middle + 0.05, 2),
                            "volume": float(rng.randrange(900)),
                        }
                    )
    return found


CHAIN = _chain()
_HEADER = "date,symbol,expiration,strike,type,bid,ask,volume"


def _row(quote: dict, symbol: str = "AAPL", scale: float = 1.0) -> list[object]:
    return [
        *(quote["quote_date"], symbol, quote["expiry"], quote["strike"], quote["option_type"]),
        *(round(quote["bid"] * scale, 4), round(quote["ask"] * scale, 4), quote["volume"]),
    ]


def _text(header: str, row: Callable[[dict], list[object]], separator: str = ",") -> str:
    return "\n".join([header, *(separator.join(map(str, row(quote))) for quote in CHAIN), ""])


def _commas(cells: list[object]) -> list[object]:
    return [str(cell).replace(".", ",") if isinstance(cell, float) else cell for cell in cells]


def _stock_close(quote: dict) -> list[object]:
    return [*_row(quote), 184.2 if quote["quote_date"] == _DAYS[0] else 185.9]


RIGHT = {
    "decimal commas": _text(_HEADER.replace(",", ";"), lambda q: _commas(_row(q)), ";"),
    "quoted decimal commas": _text(
        _HEADER, lambda q: [f'"{cell}"' if "," in str(cell) else cell for cell in _commas(_row(q))]
    ),
    "marked": _text(_HEADER, lambda q: _row(q, "AAPL US Equity")),
    "small letters": _text(_HEADER, lambda q: _row(q, "aapl")),
    "an exchange before it": _text(_HEADER, lambda q: _row(q, "NASDAQ:AAPL")),
    "months in French": _text(
        _HEADER,
        lambda q: [
            *_row(q)[:2],
            f"{q['expiry']:%d} {('janvier', 'février')[q['expiry'].month - 1]} 2024",
            *_row(q)[3:],
        ],
    ),
    "the stock's close": _text(f"{_HEADER},close", _stock_close),
    "a number for a symbol in one row": _text(_HEADER, _row) + "2024-01-12,112,,,,,,\n",
}


def _read(folder: Path, text: str) -> tuple[list[dict], str]:
    (folder / "chain.csv").write_text(text, encoding="utf-8")
    table = read_options_directory(folder)
    return table.read().read_all().to_pylist(), table.files[0].reason


@pytest.mark.parametrize("name", RIGHT)
def test_a_chain_is_read_right_however_it_is_written(tmp_path: Path, name: str):
    rows, reason = _read(tmp_path, RIGHT[name])
    assert [{key: row[key] for key in CHAIN[0]} for row in rows] == CHAIN, reason
    assert {row["underlying"] for row in rows} == {"AAPL"}
    assert {row["last"] for row in rows} == {None}


def test_a_volume_that_all_contracts_share_is_the_stocks(tmp_path: Path):
    rows, reason = _read(tmp_path, _text(_HEADER, lambda q: [*_row(q)[:-1], 40_000_000]))
    assert {row["volume"] for row in rows} == {None}, reason
    assert len(rows) == len(CHAIN)


def test_a_volume_of_nothing_in_all_contracts_is_nothing(tmp_path: Path):
    rows, reason = _read(tmp_path, _text(_HEADER, lambda q: [*_row(q)[:-1], 0]))
    assert {row["volume"] for row in rows} == {0.0}, reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (_text(_HEADER, lambda q: _row(q, scale=100)), "puts cost more than their strike"),
        (_text(_HEADER.replace("bid,ask", "ask,bid"), _row), "bids are above the asks"),
        (
            _text(_HEADER, lambda q: [*_row(q)[:2], f"{q['expiry']:%y%m%d}", *_row(q)[3:]]),
            "can be read as %y%m%d or",
        ),
    ],
    ids=["cents", "exchanged", "six digits"],
)
def test_what_contradicts_itself_is_refused_with_the_numbers(tmp_path: Path, text: str, reason: str):
    rows, found = _read(tmp_path, text)
    assert rows == []
    assert reason in found

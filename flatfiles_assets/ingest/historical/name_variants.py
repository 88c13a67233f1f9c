"""Copies of one market beside each other: raw and adjusted prices, days and weeks.

Here: what the names of files and folders say of the kind of bars, and which copy is not to be read.
Prices as traded are wanted, so where files stand both raw and adjusted, the adjusted ones are left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Adjustment = Literal["", "adjusted", "raw"]

_RAW = re.compile(
    r"(?:un|non?|not)[-_ ]?adj(?:usted|d)?|raw|as[-_ ]?traded|nominal|unaj(?:usted)?", re.IGNORECASE
)
_ADJUSTED = re.compile(
    r"(?:split|div(?:idend)?|fully|back)?[-_ "
    r"]?adj(?:usted|d|close|prices?|split|div|splitdiv)*|bereinigt|ajuste",
    re.IGNORECASE,
)
_FREQUENCY = re.compile(
    r"daily|weekly|monthly|hourly|minutely|(?:1|5|15|30|60)[-_ ]?(?:min(?:ute)?s?|m)|1[-_ "
    r"]?(?:day|d|hour|h|week|wk|w)"
    r"|minutes?|intraday",
    re.IGNORECASE,
)
_BOUNDARY_BEFORE, _BOUNDARY_AFTER = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
_RAW_WORD = re.compile(_BOUNDARY_BEFORE + f"(?:{_RAW.pattern})" + _BOUNDARY_AFTER, re.IGNORECASE)
_ADJUSTED_WORD = re.compile(_BOUNDARY_BEFORE + f"(?:{_ADJUSTED.pattern})" + _BOUNDARY_AFTER, re.IGNORECASE)
_FREQUENCY_WORD = re.compile(_BOUNDARY_BEFORE + f"(?:{_FREQUENCY.pattern})" + _BOUNDARY_AFTER, re.IGNORECASE)
_LONG_FREQUENCY = re.compile(r"weekly|monthly|1[-_ ]?(?:week|wk|w)", re.IGNORECASE)


def adjustment_of(name: str) -> Adjustment:
    """Whether a file's path says that its prices are raw or adjusted."""
    spaced = name.replace("_", " ")
    if _RAW_WORD.search(spaced):
        return "raw"
    return "adjusted" if _ADJUSTED_WORD.search(spaced) else ""


def frequency_of(name: str) -> str:
    """The distance of bars that a file's path names, in its words; empty where it names none."""
    match = _FREQUENCY_WORD.search(name.replace("_", " "))
    return match[0].lower() if match else ""


def names_longer_bars(name: str) -> bool:
    """Whether a file's path says that its bars are of weeks or months."""
    return bool(_LONG_FREQUENCY.fullmatch(frequency_of(name)))


def adjusted_copies(names: Sequence[str]) -> dict[str, str]:
    """The files that stand beside the same file with raw prices, and which those are."""
    kinds = {name: adjustment_of(name) for name in names}
    if "adjusted" not in kinds.values():
        return {}
    others = {_without_kind(name): name for name in names if kinds[name] != "adjusted"}
    return {
        name: others[plain]
        for name in names
        if kinds[name] == "adjusted" and (plain := _without_kind(name)) in others
    }


def _without_kind(name: str) -> str:
    spaced = name.replace("_", " ")
    plain = _ADJUSTED_WORD.sub(" ", _RAW_WORD.sub(" ", spaced))
    return re.sub(r"[-/. ]+", "/", plain).strip("/").casefold()

"""How one file of option quotes is read, by its headings and the evidence in its values.

Here: headings and values to a layout, or the reason why there is none with the override that settles it.
Not here: reading the rows (`rows`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from flatfiles_assets.ingest.layouts.date_columns import DateColumn, read_date_column, shown
from flatfiles_assets.ingest.layouts.date_formats import candidate_formats, parse_stamp
from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.option_tickers import parse_option_ticker
from flatfiles_assets.ingest.options.headings import (
    LAST_TRADES,
    MEANINGS,
    QUOTES,
    UNDERLYING_PRICES,
    columns_for,
    first_of,
    sides_of,
)
from flatfiles_assets.ingest.options.names import days_in_name, symbol_in_name, type_in_name
from flatfiles_assets.ingest.options.overrides import OptionsOverride

_MOST_UNLIKE = 0.02
_FEWEST_STRIKES = 5
_TYPES = {"c": "C", "call": "C", "calls": "C", "p": "P", "put": "P", "puts": "P"}


@dataclasses.dataclass(frozen=True)
class FileEvidence:
    """What was seen of a file.

    Attributes:
        name: Its path below the directory.
        columns: Names of its columns, in snake case.
        distinct: By column, its distinct values as text; of columns that could be dates, types and strikes.
        sample: Its first rows, as text.
    """

    name: str
    columns: tuple[str, ...]
    distinct: Mapping[str, Sequence[str]]
    sample: pl.DataFrame


@dataclasses.dataclass(frozen=True)
class OptionLayout:
    """How to read one file.

    Attributes:
        columns: The file's columns by meaning (`headings.MEANINGS`), those of one side included.
        sides: For rows of a call and a put: both columns, by what both are.
        underlying: Of every row, where no column says it.
        quote_date: Of every row, where no column says it.
        days: The day of each text of a column of dates, by meaning.
        strike_scale: What a strike is multiplied with.
        volatility_scale: What an implied volatility is multiplied with.
        evidence: What settled the questions that had more than one answer.
    """

    columns: Mapping[str, str]
    sides: Mapping[str, tuple[str, str]]
    underlying: str | None
    quote_date: dt.date | None
    days: Mapping[str, Mapping[str, dt.date]]
    strike_scale: float
    volatility_scale: float
    evidence: tuple[str, ...]

    def describe(self) -> str:
        """The layout in words, for the report."""
        named = [f"{meaning} ({column})" for meaning, column in self.columns.items()]
        parts = [", ".join(named)]
        if self.sides:
            parts.append("a call and a put in each row")
        if self.underlying:
            parts.append(f"underlying {self.underlying}")
        if self.quote_date:
            parts.append(f"quoted on {self.quote_date}")
        return "; ".join((*parts, *self.evidence))


def find_layout(seen: FileEvidence, stated: OptionsOverride | None = None) -> OptionLayout | NotUnderstood:
    """How a file of option quotes is read, or why nothing settles it.

    Args:
        seen: What was seen of it.
        stated: What the user states about it.
    """
    try:
        return _Finder(seen, stated or OptionsOverride()).layout()
    except _Unsettled as error:
        return NotUnderstood(f"{error.reason}; columns are {', '.join(seen.columns)}")


class _Unsettled(Exception):  # control flow within this module
    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Finder:
    """The questions to one file, in the order in which one answer helps the next."""

    def __init__(self, seen: FileEvidence, stated: OptionsOverride) -> None:
        self._seen = seen
        self._stated = stated
        self._sides = sides_of(seen.columns)
        # A side's columns are asked for by what both sides are.
        of_sides = {column for pair in self._sides.values() for column in pair}
        self._names = [*(c for c in seen.columns if c not in of_sides), *self._sides]
        self._found: dict[str, str] = {}
        self._evidence: list[str] = []

    def layout(self) -> OptionLayout:
        for heading, meaning in self._stated.columns.items():
            if heading not in self._names:
                raise _Unsettled(f"the override names the column {heading!r}, which the file does not have")
            self._found[meaning] = heading
        self._find_contract()
        for meaning in ("expiry", "strike"):
            self._find_named(meaning, needed="contract" not in self._found)
        self._find_type()
        underlying = self._find_underlying()
        days, quote_date = self._find_days()
        for quote in QUOTES:
            self._find_named(quote, needed=False)
        if not set(QUOTES) & set(self._found):
            raise _Unsettled("it has no bid, ask, last price, volume, open interest or implied volatility")
        return OptionLayout(
            {meaning: self._found[meaning] for meaning in MEANINGS if meaning in self._found},
            self._sides,
            underlying,
            quote_date,
            days,
            self._strike_scale(),
            self._volatility_scale(),
            tuple(self._evidence),
        )

    def _values(self, column: str) -> list[str]:
        """A column's values in the sample; of both sides for a side's."""
        columns = self._sides.get(column, (column,))
        return [value for c in columns for value in self._seen.sample.get_column(c).drop_nulls().to_list()]

    def _distinct(self, column: str) -> Sequence[str]:
        return self._seen.distinct.get(column, ())

    def _find_named(self, meaning: str, *, needed: bool) -> None:
        if meaning in self._found:
            return
        taken = set(self._found.values())
        found = next((c for c in columns_for(meaning, self._names) if c not in taken), None)
        if found:
            self._found[meaning] = found
        elif needed:
            raise _Unsettled(f"no column says the {meaning}, and none holds symbols of contracts")

    def _find_contract(self) -> None:
        for column in columns_for("contract", self._names):
            values = self._values(column)[:2000]
            if (
                values
                and _share(values, lambda text: parse_option_ticker(text) is not None) >= 1 - _MOST_UNLIKE
            ):
                self._found.setdefault("contract", column)
                return

    def _find_type(self) -> None:
        if self._sides or "option_type" in self._found:
            return
        taken = set(self._found.values())
        for column in columns_for("option_type", self._names):
            values = {text.strip().lower() for text in self._distinct(column)}
            if column not in taken and values and values <= _TYPES.keys():
                self._found["option_type"] = column
                return
        if "contract" in self._found:
            return
        word = type_in_name(self._seen.name)
        if word is None:
            raise _Unsettled("no column says which rows are calls and which puts")
        raise _Unsettled(
            f"only its name says that its rows are {word}; add a column `option_type` or one with contracts"
        )

    def _find_underlying(self) -> str | None:
        if self._stated.underlying:
            self._found.pop("underlying", None)
            return self._stated.underlying
        taken = set(self._found.values())
        for column in columns_for("underlying", self._names):
            values = self._values(column)[:2000]
            if column not in taken and values and not _share(values, _is_number) > 0:
                self._found["underlying"] = column
                return None
        if "contract" in self._found:
            return None
        found = symbol_in_name(self._seen.name)
        if found is None:
            raise _Unsettled(
                "no column says the underlying, nor does its name; state `options.underlying` in an override"
            )
        self._evidence.append("the underlying from its name")
        return found

    def _find_days(self) -> tuple[dict[str, Mapping[str, dt.date]], dt.date | None]:
        days: dict[str, Mapping[str, dt.date]] = {}
        quotes: DateColumn | None = None
        if self._stated.quote_date is None:
            self._find_named("quote_date", needed=False)
        if "quote_date" in self._found:
            quotes = self._dates(self._found["quote_date"])
        expiries: set[dt.date] = set()
        if "expiry" in self._found:
            found = self._dates(self._found["expiry"], quotes)
            days["expiry"] = found.days
            expiries = set(found.days.values())
        if quotes is not None:
            days["quote_date"] = quotes.days
            return days, None
        if self._stated.quote_date is not None:
            return days, self._stated.quote_date
        return days, self._quote_date_from_name(expiries)

    def _dates(self, column: str, like: DateColumn | None = None) -> DateColumn:
        texts = self._distinct(column)
        found = read_date_column(texts)
        if found.ambiguity and like is not None and len(like.formats) == 1:
            # A vendor writes both dates in one way.
            days = {text: _day(text, like.formats[0]) for text in texts}
            found = DateColumn({text: day for text, day in days.items() if day}, formats=like.formats)
        if found.ambiguity and (settled := _by_fridays(texts)):
            found = settled
        if found.ambiguity:
            raise _Unsettled(f"the dates of {column}: {found.ambiguity}")
        unreadable = len(found.unreadable)
        if not found.days or unreadable > _MOST_UNLIKE * (unreadable + len(found.days)):
            raise _Unsettled(f"{column} holds no dates: {shown(found.unreadable)}")
        return found

    def _quote_date_from_name(self, expiries: set[dt.date]) -> dt.date:
        named = days_in_name(self._seen.name)
        if not expiries and "contract" in self._found:
            parsed = (parse_option_ticker(text) for text in self._values(self._found["contract"]))
            expiries = {contract.expiry for contract in parsed if contract}
        traded: set[dt.date] = set()
        if column := first_of(LAST_TRADES, self._names):
            traded = set(read_date_column(self._distinct(column)).days.values())
        possible = {day for day in named - expiries if day <= min(expiries, default=day)}
        possible = {day for day in possible if day >= max(traded, default=day)}
        if len(possible) == 1:
            self._evidence.append("the day of the quotes from its name")
            return possible.pop()
        why = "its name holds no day that is before its expiries and not before its last trades"
        why = why if named else "its name holds none"
        raise _Unsettled(
            f"no column says the day of the quotes, and {why}; state it in"
            ' an override: options = { quote_date = "2024-01-12" }'
        )

    def _strike_scale(self) -> float:
        if self._stated.strike_scale:
            return self._stated.strike_scale
        if "strike" not in self._found:
            return 1.0
        column = self._found["strike"]
        strikes = np.array([n for text in self._distinct(column) if (n := _number(text)) is not None])
        if not len(strikes):
            raise _Unsettled(f"{column} holds no numbers: {shown(self._distinct(column))}")
        for ratio in (self._ratio_to_contracts(column), self._ratio_to_underlying(column)):
            if ratio is None:
                continue
            for scale, low, high in ((1.0, 0.2, 5.0), (0.001, 200.0, 5000.0), (0.01, 20.0, 200.0)):
                if low <= ratio <= high:
                    if scale != 1.0:
                        self._evidence.append(
                            f"strikes times {scale:g}, by the price or the contract beside them"
                        )
                    return scale
            raise _Unsettled(
                f"strikes are {ratio:.3g} times what stands beside them; state `options.strike_scale`"
            )
        in_thousandths = bool(
            np.all(strikes == np.round(strikes))
            and np.mean(strikes % 500 == 0) >= 0.8
            and np.median(strikes) >= 5000
        )
        if not in_thousandths:
            return 1.0
        if self._is_of_thousandths():
            self._evidence.append("strikes in thousandths, as this vendor writes them")
            return 0.001
        if len(strikes) >= _FEWEST_STRIKES:
            raise _Unsettled(
                f"strikes such as {shown(self._distinct(column))} may be dollars or thousandths; state "
                "`options.strike_scale` (1 or 0.001) in an override"
            )
        return 1.0

    def _ratio_to_contracts(self, column: str) -> float | None:
        if "contract" not in self._found or self._sides:
            return None
        sample = self._seen.sample
        pairs = zip(sample.get_column(column), sample.get_column(self._found["contract"]), strict=True)
        ratios = [
            number / parsed.strike
            for strike, contract in pairs
            if strike and contract
            if (number := _number(strike)) is not None
            if (parsed := parse_option_ticker(contract))
        ]
        return float(np.median(ratios)) if ratios else None

    def _ratio_to_underlying(self, column: str) -> float | None:
        price = first_of(UNDERLYING_PRICES, self._names)
        if price is None or price in self._sides:
            return None
        sample = self._seen.sample
        pairs = zip(sample.get_column(column), sample.get_column(price), strict=True)
        ratios = [s / p for a, b in pairs if (s := _number(a)) and (p := _number(b)) and p > 0]
        return float(np.median(ratios)) if ratios else None

    def _is_of_thousandths(self) -> bool:
        names = {name.replace("_", "") for name in self._seen.columns}
        return {"cpflag", "strikeprice"} <= names or {"msofday", "right"} <= names

    def _volatility_scale(self) -> float:
        column = self._found.get("implied_volatility")
        if column is None:
            return 1.0
        values = self._values(column)
        if any(text.strip().endswith("%") for text in values):
            return 0.01
        numbers = [n for text in values if (n := _number(text)) is not None and n > 0]
        # Half of a chain above 300 % a year is a chain in per cent.
        if numbers and float(np.median(numbers)) > 3:
            self._evidence.append("implied volatilities in per cent")
            return 0.01
        return 1.0


def _share(values: Sequence[str], test: object) -> float:
    return sum(bool(test(value)) for value in values) / len(values)  # type: ignore[operator]


def _number(text: str | None) -> float | None:
    try:
        return float(text.strip().lstrip("$").rstrip("%").replace(",", "")) if text else None
    except ValueError:
        return None


def _is_number(text: str) -> bool:
    return _number(text) is not None


def _day(text: str, date_format: str) -> dt.date | None:
    stamp = parse_stamp(text, date_format)
    return dt.date(1970, 1, 1) + dt.timedelta(days=stamp.day) if stamp else None


def _by_fridays(texts: Sequence[str]) -> DateColumn | None:
    """The reading under which options expire at the week's end, where the others scatter."""
    best: list[tuple[float, str]] = []
    candidates = {candidate for text in texts for candidate in candidate_formats(text)}
    for candidate in sorted(candidates):
        days = [day for text in texts if (day := _day(text, candidate))]
        if len(days) == len(texts):
            best.append((sum(day.weekday() in (3, 4, 5) for day in days) / len(days), candidate))
    best.sort(reverse=True)
    if len(texts) < _FEWEST_STRIKES or not best or best[0][0] < 0.9 or (len(best) > 1 and best[1][0] > 0.7):
        return None
    chosen = best[0][1]
    return DateColumn({text: day for text in texts if (day := _day(text, chosen))}, formats=(chosen,))

"""How one file of option quotes is read, by its headings and the evidence in its values.

Here: headings and values to a layout, or the reason why there is none with the override that settles it.
Not here: reading the rows (`rows`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from flatfiles_assets.ingest.historical.symbol_marks import map_symbols
from flatfiles_assets.ingest.layouts.date_columns import DateColumn, read_date_column, shown
from flatfiles_assets.ingest.layouts.layout import NotUnderstood
from flatfiles_assets.ingest.layouts.number_formats import settle_decimal
from flatfiles_assets.ingest.option_tickers import parse_option_ticker
from flatfiles_assets.ingest.options.doubts import is_of_the_underlying, why_doubted
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
from flatfiles_assets.ingest.options.option_layout import FileEvidence, OptionLayout
from flatfiles_assets.ingest.options.overrides import OptionsOverride
from flatfiles_assets.ingest.options.values import by_fridays, day_of, is_number, number, share

_MOST_UNLIKE = 0.02
_FEWEST_STRIKES = 5
_CELLS = 4000
_MOST_UNDERLYINGS = 20_000
_TYPES = {"c": "C", "call": "C", "calls": "C", "p": "P", "put": "P", "puts": "P"}


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
        self._decimal = "."

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
        self._decimal = self._find_decimal()
        self._drop_quotes_of_the_underlying()
        self._doubt_prices()
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
            self._decimal,
            self._tickers(),
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
                and share(values, lambda text: parse_option_ticker(text) is not None) >= 1 - _MOST_UNLIKE
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
            if column not in taken and values and share(values, is_number) <= _MOST_UNLIKE:
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
            days = {text: day_of(text, like.formats[0]) for text in texts}
            if all(days.values()):
                found = DateColumn({text: day for text, day in days.items() if day}, formats=like.formats)
        if found.ambiguity and (settled := by_fridays(texts)):
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

    def _number(self, text: str | None) -> float | None:
        return number(text, self._decimal)

    def _find_decimal(self) -> str:
        """The mark that prices, strikes and volatilities prove."""
        wanted = ("strike", "bid", "ask", "last", "implied_volatility")
        cells = [
            text
            for meaning in wanted
            if meaning in self._found
            for text in self._values(self._found[meaning])
        ]
        plain = (text.strip().lstrip("$").rstrip("% ") for text in cells[:_CELLS])
        decimal = settle_decimal(plain)
        if decimal is None:
            raise _Unsettled(
                f"its numbers, such as {shown(cells[:3])}, can be read with a decimal comma or a thousands "
                "comma"
            )
        if decimal == ",":
            self._evidence.append("numbers with a decimal comma")
        return decimal

    def _drop_quotes_of_the_underlying(self) -> None:
        """A close or a volume that is the same in all contracts of a day is the stock's."""
        if self._sides or not {"underlying", "quote_date"} <= set(self._found):
            return
        keys = [self._found["underlying"], self._found["quote_date"]]
        for quote in QUOTES:
            column = self._found.get(quote)
            if column is None or column in self._stated.columns:
                continue
            if is_of_the_underlying(self._seen.sample, keys, column, self._number):
                del self._found[quote]
                self._evidence.append(
                    f"{column} is the same for all contracts of a day: the underlying's {quote}"
                )

    def _doubt_prices(self) -> None:
        if self._sides:
            return
        prices = {name: self._column(name) for name in ("bid", "ask", "last", "strike")}
        if doubt := why_doubted(prices, self._kinds()):
            raise _Unsettled(doubt)

    def _column(self, meaning: str) -> npt.NDArray[np.float64] | None:
        if meaning not in self._found:
            return None
        scale = self._strike_scale() if meaning == "strike" else 1.0
        numbers = [self._number(text) for text in self._seen.sample.get_column(self._found[meaning])]
        return np.array([np.nan if n is None else n * scale for n in numbers])

    def _kinds(self) -> npt.NDArray[np.str_] | None:
        column = self._found.get("option_type")
        if column is None:
            return None
        texts = self._seen.sample.get_column(column)
        return np.array([_TYPES.get(text.strip().lower(), "") if text else "" for text in texts])

    def _tickers(self) -> dict[str, str]:
        """Underlyings without the marks and the case that all of them share."""
        column = self._found.get("underlying")
        names = {name.strip().lstrip("^$") for name in self._distinct(column)} if column else set()
        if not names or len(names) > _MOST_UNDERLYINGS:
            return {}
        found = map_symbols(names)
        self._evidence += [f"underlyings: {note}" for note in found.notes]
        return {name: ticker for name, ticker in found.tickers.items() if name != ticker}

    def _strike_scale(self) -> float:
        if self._stated.strike_scale:
            return self._stated.strike_scale
        if "strike" not in self._found:
            return 1.0
        column = self._found["strike"]
        strikes = np.array([n for text in self._distinct(column) if (n := self._number(text)) is not None])
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
            if (number := self._number(strike)) is not None
            if (parsed := parse_option_ticker(contract))
        ]
        return float(np.median(ratios)) if ratios else None

    def _ratio_to_underlying(self, column: str) -> float | None:
        price = first_of(UNDERLYING_PRICES, self._names)
        if price is None or price in self._sides:
            return None
        sample = self._seen.sample
        pairs = zip(sample.get_column(column), sample.get_column(price), strict=True)
        ratios = [s / p for a, b in pairs if (s := self._number(a)) and (p := self._number(b)) and p > 0]
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
        numbers = [n for text in values if (n := self._number(text)) is not None and n > 0]
        # Half of a chain above 300 % a year is a chain in per cent.
        if numbers and float(np.median(numbers)) > 3:
            self._evidence.append("implied volatilities in per cent")
            return 0.01
        return 1.0

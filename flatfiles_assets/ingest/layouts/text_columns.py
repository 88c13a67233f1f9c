"""Which columns are the date, the time and the symbol: by headings where their values agree, else by values.

Here: columns of text. Not here: prices and volumes (`price_columns`), the format of the dates
(`date_evidence`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.column_aliases import Heading
from flatfiles_assets.ingest.layouts.date_formats import (
    EXCEL_DAY_ZERO,
    Stamp,
    candidate_formats,
    parse_stamp,
    parse_time,
)
from flatfiles_assets.ingest.layouts.file_names import find_name_rule, is_ticker_like, symbol_text
from flatfiles_assets.ingest.layouts.heading_words import NAMES_OF_COMPANIES
from flatfiles_assets.ingest.layouts.layout import NotSettled
from flatfiles_assets.ingest.layouts.number_formats import is_number
from flatfiles_assets.ingest.layouts.samples import Sample, share
from flatfiles_assets.ingest.layouts.series_evidence import counts_rows

# One row in fifty may be a footer or a fault.
_MOST = 0.95
_SYMBOL = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9^=+$#!*~@&._/:\\ -]{1,32}")
_COMPANY = re.compile(
    r"(?:^|[\s,])(?:inc|incorporated|corp|corporation|ltd|limited|plc|llc|co|company|sa|ag|nv|se|group|holdings?"
    r"|trust|fund|bancorp|industries|international|technologies)\.?(?:$|[\s,])",
    re.IGNORECASE,
)
_PERIODS_OF_DAYS = frozenset({"d", "1d", "daily", "day", "1440", "d1", "1day", "86400"})
_LONGER_PERIODS = frozenset(
    {
        "w",
        "1w",
        "weekly",
        "week",
        "10080",
        "w1",
        "m",
        "mn",
        "mn1",
        "1m",
        "monthly",
        "month",
        "43200",
        "q",
        "y",
    }
)
_PERIOD = re.compile(r"[DIWMQY]|\d{1,5}|daily|intraday|weekly|monthly|[DHMW]\d{1,2}", re.IGNORECASE)


# Headings that leave no doubt, so that a few strange symbols are faults of rows.
_PLAIN_HEADINGS = frozenset(
    {"ticker", "symbol", "sym", "tickersymbol", "stocksymbol", "tradingsymbol", "tic"}
)


@dataclasses.dataclass
class TextColumns:
    """What is known of a file's columns so far.

    Attributes:
        headings: What each heading says; with an empty text where there is none.
        meanings: One of `column_aliases.MEANINGS` per column; None where nothing says yet.
        evidence: What settled questions, in sentences.
        has_many_securities: Whether something shows that a file holds more than one security.
    """

    headings: tuple[Heading, ...]
    meanings: list[str | None]
    evidence: list[str] = dataclasses.field(default_factory=list)
    has_many_securities: bool = False

    def place(self, name: str) -> int | None:
        """Where a meaning stands."""
        return self.meanings.index(name) if name in self.meanings else None

    def named(self, place: int) -> str:
        """A column's name for sentences."""
        return repr(self.headings[place].text) if self.headings[place].text else f"column {place + 1}"


def first_stamp(text: str) -> Stamp | None:
    """A date under the first reading that makes it one; enough to tell days and times of day apart."""
    return next((stamp for name in candidate_formats(text) if (stamp := parse_stamp(text, name))), None)


def is_date(text: str, year: int | None = None) -> bool:
    """Whether a text is a date under some reading, of about that year where one is given.

    Days that a spreadsheet counts look like any number and do not count.
    """
    for name in candidate_formats(text):
        stamp = parse_stamp(text, name) if name not in EXCEL_DAY_ZERO else None
        if stamp and (year is None or abs(stamp.day / 365.2425 + 1970 - year - 0.5) <= 1):
            return True
    return False


def settle_text_columns(
    headings: tuple[Heading, ...],
    sample: Sample,
    stated: dict[int, str],
    year: int | None,
    *,
    date_from_name: bool,
    symbol_from_name: bool,
    is_daily: bool = False,
) -> TextColumns:
    """Finds the date, the time and the symbol.

    Args:
        headings: One per column.
        sample: Rows.
        stated: Meanings by position that an override states.
        year: Year of the archive, where it is known.
        date_from_name: Whether an override says that the names hold the dates.
        symbol_from_name: Whether an override says that the names hold the symbols.
        is_daily: Whether an override vouches for bars of days.

    Raises:
        NotSettled: A column of dates or of text is not explained, or bars are of weeks or months.
    """
    found = TextColumns(headings, [None] * len(headings))
    for place, name in stated.items():
        found.meanings[place] = name
    if not date_from_name and found.place(meaning.DATE) is None:
        _find_date(found, sample, year)
    if found.place(meaning.TIME) is None and found.place(meaning.BAR_NUMBER) is None:
        _find_time(found, sample)
    _find_period(found, sample, is_daily=is_daily)
    if not symbol_from_name and found.place(meaning.SYMBOL) is None:
        _find_symbol(found, sample, per_day=found.place(meaning.DATE) is None)
    _refuse_unexplained_dates(found, sample, year)
    return found


def _headed(found: TextColumns, name: str) -> list[int]:
    """Columns whose headings say a meaning, the preferred first, without those that have another."""
    places = [p for p, h in enumerate(found.headings) if h.meaning == name and found.meanings[p] is None]
    return sorted(places, key=lambda place: (found.headings[place].rank, place))


def _find_date(found: TextColumns, sample: Sample, year: int | None) -> None:
    headed = _headed(found, meaning.DATE)
    stamps = [*headed, *_headed(found, meaning.TIME)]
    for place in stamps:
        if share(is_date, sample.columns[place]) >= _MOST and not _are_times(sample, place):
            found.meanings[place] = meaning.DATE
            return
    explained = {meaning.OTHER, meaning.IDENTIFIER, meaning.QUOTE}
    for place, heading in enumerate(found.headings):
        if found.meanings[place] is not None or heading.meaning in explained:
            continue
        if heading.meaning in (None, meaning.SYMBOL, meaning.CLOSE) and _holds_dates(sample, place, year):
            found.meanings[place] = meaning.DATE
            if headed or heading.text:
                found.evidence.append(f"{found.named(place)} is the date, by its values")
            return
    if headed:
        # What is wrong with them is said where their format is settled.
        found.meanings[headed[0]] = meaning.DATE


def _holds_dates(sample: Sample, place: int, year: int | None) -> bool:
    return share(lambda cell: is_date(cell, year), sample.columns[place]) >= _MOST


def _are_times(sample: Sample, place: int) -> bool:
    return share(lambda cell: ":" in cell and parse_time(cell) is not None, sample.columns[place]) >= _MOST


def _find_time(found: TextColumns, sample: Sample) -> None:
    for place in _headed(found, meaning.TIME):
        if share(lambda cell: parse_time(cell) is not None, sample.columns[place]) >= _MOST:
            found.meanings[place] = meaning.TIME
            return
    date = found.place(meaning.DATE)
    for place, heading in enumerate(found.headings):
        if found.meanings[place] is not None or heading.meaning not in (
            *(None, meaning.BAR_NUMBER, meaning.DATE),
        ):
            continue
        is_bare = not heading.text and (
            _is_bare_time(sample, place, date) or _is_milliseconds(sample, place, date)
        )
        if _are_times(sample, place) or is_bare:
            found.meanings[place] = meaning.TIME
            if heading.text:
                found.evidence.append(f"{found.named(place)} is the time of day, by its values")
            return
    for place in _headed(found, meaning.BAR_NUMBER):
        if share(str.isdecimal, sample.columns[place]) >= _MOST:
            found.meanings[place] = meaning.BAR_NUMBER
            return


def _is_bare_time(sample: Sample, place: int, date: int | None) -> bool:
    """Bare digits are a time only right after the date, in the width of a clock."""
    if date is None or place != date + 1:
        return False
    cells = sample.filled(place)
    widths = {len(cell) for cell in cells}
    clock = all(cell.isdecimal() and parse_time(cell) is not None for cell in cells)
    return bool(cells) and clock and widths in ({4}, {6}, {3, 4}, {5, 6})


def _is_milliseconds(sample: Sample, place: int, date: int | None) -> bool:
    """In files of one day each, whose names have the date, the first column may count from midnight."""
    if date is not None or place != 0:
        return False
    cells = sample.filled(place)
    if not cells or not all(len(cell) in (7, 8) and parse_time(cell) is not None for cell in cells):
        return False
    steps = np.diff(sample.numbers(place))[np.diff(sample.files) == 0]
    return bool(len(steps)) and bool(np.all(steps > 0))


def _find_period(found: TextColumns, sample: Sample, *, is_daily: bool) -> None:
    places = _headed(found, meaning.PERIOD)
    if not places:
        return
    place = places[0]
    values = {cell.casefold() for cell in sample.filled(place)}
    if not is_daily and (longer := sorted(values & _LONGER_PERIODS)):
        raise NotSettled(
            f"{found.named(place)} is {longer[0].upper()!r}: its bars are of weeks or months, not of days; "
            "`frequency` in an override would say otherwise",
            frequency="daily",
        )
    found.meanings[place] = meaning.PERIOD


def _find_symbol(found: TextColumns, sample: Sample, *, per_day: bool) -> None:
    for place in _headed(found, meaning.SYMBOL):
        is_company = meaning.heading_key(found.headings[place].text) in NAMES_OF_COMPANIES
        is_plain = meaning.heading_key(found.headings[place].text) in _PLAIN_HEADINGS
        if are_symbols(sample.filled(place), strictly=is_company, fewest=0.0 if is_plain else _MOST):
            found.meanings[place] = meaning.SYMBOL
            return
    identified = [
        place
        for place, heading in enumerate(found.headings)
        if heading.meaning in (meaning.IDENTIFIER, meaning.SYMBOL)
        or meaning.heading_key(heading.text) in NAMES_OF_COMPANIES
    ]
    if any(
        len(set(sample.filled(place))) > 1 and not _constant_per_file(sample, place) for place in identified
    ):
        found.has_many_securities = True
    candidates = [place for place in _unexplained_text(found, sample) if _could_be_symbols(sample, place)]
    keys = [
        place for place in candidates if _tells_rows_of_a_date_apart(found, sample, place, per_day=per_day)
    ]
    if len(keys) > 1:
        keys = _best_keys(keys, sample)
    if len(keys) == 1:
        _refuse_two_symbols(found, sample, keys[0])
        found.meanings[keys[0]] = meaning.SYMBOL
        if found.headings[keys[0]].text:
            found.evidence.append(f"{found.named(keys[0])} is the symbol, by its values")
        return
    if keys:
        names = ", ".join(found.named(place) for place in keys)
        raise NotSettled(
            f"several columns without a known heading could be the symbol: {names}; state `columns` in an "
            "override",
            columns=_columns_entry(found, keys[0], meaning.SYMBOL),
        )
    if doubtful := [p for p in candidates if not _is_flag(found, sample, p, per_day=per_day)]:
        place = doubtful[0]
        raise NotSettled(
            f"{found.named(place)} is not explained and could be the symbol (e.g. "
            f"{sample.filled(place)[0]!r}); state in `columns` of an override whether it is",
            columns=_columns_entry(found, place, meaning.SYMBOL),
        )


def _refuse_two_symbols(found: TextColumns, sample: Sample, place: int) -> None:
    """A column of one text per file, beside names of files that say other symbols: either may be right."""
    rule = find_name_rule(sample.names) if len(sample.names) > 1 else None
    if rule is None or not _constant_per_file(sample, place):
        return
    named = [symbol_text(name, rule) for name in sample.names]
    texts = dict(zip(sample.files.tolist(), sample.columns[place], strict=True))
    pairs = [(named[file] or "", text) for file, text in texts.items()]
    if not all(is_ticker_like(name) for name, _ in pairs):
        return
    plain = [(re.sub(r"\W", "", name).casefold(), re.sub(r"\W", "", text).casefold()) for name, text in pairs]
    if all(name in text or text in name for name, text in plain):
        return
    name, text = pairs[0]
    raise NotSettled(
        f"{found.named(place)} is not explained and could be the symbol (e.g. {text!r}), and so could "
        "the name of "
        f"the file ({name!r}); state in `columns` of an override what it is",
        columns=_columns_entry(found, place, meaning.IGNORED),
    )


def are_symbols(cells: Sequence[str], *, strictly: bool = False, fewest: float = _MOST) -> bool:
    """Whether texts can be the symbols of US stocks, marks of vendors included.

    Args:
        cells: The texts.
        strictly: Whether a heading speaks of names, so that only what is written like tickers counts.
        fewest: Share of the texts that must look like symbols.
    """
    distinct = sorted(set(cells))
    if not distinct or share(_SYMBOL.fullmatch, distinct) < fewest:
        return False
    if share(_COMPANY.search, distinct) > 0.05 or share(_is_identifier, distinct) > 0.5:
        return False
    if strictly:
        return share(lambda text: is_ticker_like(text) and not text.istitle(), distinct) >= _MOST
    words = {tuple(text.split()[1:]) for text in distinct if " " in text}
    # `AAPL US Equity` and `BRK B` are symbols; what differs behind the first word are names.
    return len(words) <= max(8, len(distinct) // 20) or share(is_ticker_like, distinct) >= _MOST


def _is_identifier(text: str) -> bool:
    """Numbers of securities: CUSIP, SEDOL, ISIN, or mere digits."""
    return len(text) >= 6 and sum(letter.isdigit() for letter in text) >= 4


def _unexplained_text(found: TextColumns, sample: Sample) -> list[int]:
    explained = {meaning.OTHER, meaning.IDENTIFIER, meaning.QUOTE, meaning.SYMBOL, meaning.PERIOD}
    texts = []
    for place, heading in enumerate(found.headings):
        filled = sample.filled(place)
        if found.meanings[place] is not None or heading.meaning in explained or not filled:
            continue
        if share(is_number, filled) < 0.5 and share(is_date, filled) < 0.5:
            texts.append(place)
    return texts


def _could_be_symbols(sample: Sample, place: int) -> bool:
    """Whether text looks like tickers: short, and none of them a word with capital and small letters."""
    distinct = set(sample.filled(place))
    plain = [text for text in distinct if is_ticker_like(re.split(r"[.:/ ]", text)[0])]
    words = [text for text in distinct if re.fullmatch(r"[A-Z][a-z]{2,}", text)]
    return are_symbols(list(distinct)) and len(plain) >= 0.5 * len(distinct) and not words


def _tells_rows_of_a_date_apart(found: TextColumns, sample: Sample, place: int, *, per_day: bool) -> bool:
    """Whether a column makes one row out of the several that a file has of one date.

    In a file of one symbol nothing repeats: then a column that has one value per file, not the same
    in all of them, is the symbol as well.
    """
    moments = moments_of(found, sample, per_day=per_day)
    codes = np.unique(sample.columns[place], return_inverse=True)[1].astype(np.int64)
    alone = repeated_share(sample.files, moments)
    together = repeated_share(sample.files, moments, codes)
    if alone > 0.2:
        return together < 0.05
    per_file = {(file, code) for file, code in zip(sample.files.tolist(), codes.tolist(), strict=True)}
    distinct_files, distinct_codes = len(set(sample.files.tolist())), len(set(codes.tolist()))
    one_each = len(per_file) == distinct_files
    if not found.headings[place].text and distinct_files == 1:
        return one_each and not _is_period(sample, place)
    return one_each and distinct_codes > max(1, distinct_files // 2)


def _is_period(sample: Sample, place: int) -> bool:
    return all(_PERIOD.fullmatch(cell) for cell in sample.filled(place))


def _best_keys(keys: list[int], sample: Sample) -> list[int]:
    """An exchange or a company's name beside the symbol: the name has spaces, the exchange repeats."""
    plain = [place for place in keys if not any(" " in cell for cell in sample.filled(place))] or keys
    distinct = {place: len(set(sample.filled(place))) for place in plain}
    most = max(distinct.values())
    return [place for place in plain if distinct[place] == most]


def _is_flag(found: TextColumns, sample: Sample, place: int, *, per_day: bool) -> bool:
    """Whether text cannot be the symbol: the same in all files, or changing within a security's rows."""
    if not found.headings[place].text and _is_period(sample, place):
        _refuse_long_period(sample, place)
        return True
    files = set(sample.files.tolist())
    values = set(sample.filled(place))
    if len(values) == 1:
        return len(files) > 1
    return not per_day and not _constant_per_file(sample, place)


def _refuse_long_period(sample: Sample, place: int) -> None:
    values = {cell.casefold() for cell in sample.filled(place)}
    if values <= {"w", "m", "weekly", "monthly", "q", "y"} and values:
        raise NotSettled(
            f"column {place + 1} is {sorted(values)[0].upper()!r} in every row: its bars look like those of "
            "weeks or months; `frequency` in an override would say otherwise",
            frequency="daily",
        )


def _constant_per_file(sample: Sample, place: int) -> bool:
    pairs = set(zip(sample.files.tolist(), sample.columns[place], strict=True))
    return len(pairs) == len(set(sample.files.tolist()))


def moments_of(found: TextColumns, sample: Sample, *, per_day: bool) -> npt.NDArray[np.int64]:
    """A code for each row's date and time."""
    places = [found.place(name) for name in (meaning.DATE, meaning.TIME, meaning.BAR_NUMBER)]
    columns = [sample.columns[place] for place in places if place is not None]
    if not columns or per_day:
        columns = [["" for _ in sample.rows], *columns]
    texts = np.array([" ".join(cells) for cells in zip(*columns, strict=True)], dtype=np.str_)
    return np.unique(texts, return_inverse=True)[1].astype(np.int64)


def repeated_share(*keys: npt.NDArray[np.int64]) -> float:
    """The share of rows whose key an earlier row has."""
    if not len(keys[0]):
        return 0.0
    distinct = int(np.unique(np.stack(keys), axis=1).shape[1])
    return 1 - distinct / len(keys[0])


def _refuse_unexplained_dates(found: TextColumns, sample: Sample, year: int | None) -> None:
    for place, heading in enumerate(found.headings):
        if found.meanings[place] is not None or heading.meaning is not None:
            continue
        if counts_rows(sample.numbers(place), sample.files) if place in sample.numeric else False:
            continue
        if _holds_dates(sample, place, year) and not _repeats_date(found, sample, place):
            raise NotSettled(
                f"{found.named(place)} holds dates and is not explained; state in `columns` of an override "
                "what it is",
                columns=_columns_entry(found, place, meaning.IGNORED),
            )


def _repeats_date(found: TextColumns, sample: Sample, place: int) -> bool:
    date = found.place(meaning.DATE)
    return date is not None and sample.columns[place] == sample.columns[date]


def _columns_entry(found: TextColumns, place: int, name: str) -> object:
    """What `columns` of an override would be to give one column a meaning."""
    if found.headings[place].text:
        return {found.headings[place].text: name}
    return [
        name if other == place else (known or meaning.IGNORED) for other, known in enumerate(found.meanings)
    ]

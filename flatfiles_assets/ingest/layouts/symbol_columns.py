"""Which column has the symbols: by its heading where its values can be tickers, else by its values.

Here: text that could be tickers, and text that cannot. Not here: symbols in names (`file_names`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.date_formats import is_date
from flatfiles_assets.ingest.layouts.file_names import find_name_rule, symbol_text
from flatfiles_assets.ingest.layouts.heading_words import NAMES_OF_COMPANIES
from flatfiles_assets.ingest.layouts.known_columns import (
    MOST,
    TextColumns,
    columns_entry,
    headed,
    moments_of,
    repeated_share,
)
from flatfiles_assets.ingest.layouts.layout import NotSettled
from flatfiles_assets.ingest.layouts.name_words import is_ticker_like
from flatfiles_assets.ingest.layouts.number_formats import is_number
from flatfiles_assets.ingest.layouts.samples import Sample, share

_SYMBOL = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9^=+$#!*~@&._/:\\ -]{1,32}")
_COMPANY = re.compile(
    r"(?:^|[\s,])(?:inc|incorporated|corp|corporation|ltd|limited|plc|llc|co|company|sa|ag|nv|se|group|holdings?"
    r"|trust|fund|bancorp|industries|international|technologies)\.?(?:$|[\s,])",
    re.IGNORECASE,
)
_PERIOD = re.compile(r"[DIWMQY]|\d{1,5}|daily|intraday|weekly|monthly|[DHMW]\d{1,2}", re.IGNORECASE)


_SUFFIXES = frozenset({"symsuffix", "symbolsuffix", "tickersuffix", "suffix"})
_STATUS = frozenset({"ok", "no_data", "success", "error", "true", "false", "delayed"})
# Headings that leave no doubt, so that a few strange symbols are faults of rows.
_PLAIN_HEADINGS = frozenset(
    {"ticker", "symbol", "sym", "tickersymbol", "stocksymbol", "tradingsymbol", "tic"}
)


def find_symbol_column(found: TextColumns, sample: Sample, *, per_day: bool) -> None:
    """Finds the symbol, if a column has it.

    Args:
        found: The columns so far; the date is settled.
        sample: Rows.
        per_day: Whether the files are of one day each.

    Raises:
        NotSettled: A column could be the symbol, and nothing tells whether it is.
    """
    _refuse_suffixes(found, sample)
    for place in headed(found, meaning.SYMBOL):
        is_company = meaning.heading_key(found.headings[place].text) in NAMES_OF_COMPANIES
        is_plain = meaning.heading_key(found.headings[place].text) in _PLAIN_HEADINGS
        if not is_plain and _is_same_for_all(sample, place):
            continue
        if are_symbols(sample.filled(place), strictly=is_company, fewest=0.0 if is_plain else MOST):
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
            columns=columns_entry(found, keys[0], meaning.SYMBOL),
        )
    if doubtful := [p for p in candidates if not _is_flag(found, sample, p, per_day=per_day)]:
        place = doubtful[0]
        raise NotSettled(
            f"{found.named(place)} is not explained and could be the symbol (e.g. "
            f"{sample.filled(place)[0]!r}); state in `columns` of an override whether it is",
            columns=columns_entry(found, place, meaning.SYMBOL),
        )


def _refuse_suffixes(found: TextColumns, sample: Sample) -> None:
    """Refuses symbols whose classes stand in a column of their own, as in TAQ's files."""
    for place, heading in enumerate(found.headings):
        if meaning.heading_key(heading.text) not in _SUFFIXES or found.meanings[place] is not None:
            continue
        if suffixes := sorted(set(sample.filled(place))):
            raise NotSettled(
                f"{found.named(place)} has the class of some symbols (e.g. {suffixes[0]!r}), which stand "
                "without it in another column; join them in the file, or state `columns` in an override to "
                "go without",
                columns=columns_entry(found, place, meaning.IGNORED),
            )


def _is_same_for_all(sample: Sample, place: int) -> bool:
    """Whether a column has one text, which says how a request went, or stands in files of several symbols."""
    distinct = set(sample.filled(place))
    if len(distinct) != 1:
        return False
    if distinct.pop().casefold() in _STATUS:
        return True
    rule = find_name_rule(sample.names) if len(sample.names) > 1 else None
    named = {symbol_text(name, rule) for name in sample.names} if rule else set()
    return len(named) > 1 and all(name and is_ticker_like(name) for name in named)


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
        columns=columns_entry(found, place, meaning.IGNORED),
    )


def are_symbols(cells: Sequence[str], *, strictly: bool = False, fewest: float = MOST) -> bool:
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
        return (
            share(lambda text: is_ticker_like(text) and not (len(text) > 1 and text.istitle()), distinct)
            >= MOST
        )
    words = {tuple(text.split()[1:]) for text in distinct if " " in text}
    # `AAPL US Equity` and `BRK B` are symbols; what differs behind the first word are names.
    return len(words) <= max(8, len(distinct) // 20) or share(is_ticker_like, distinct) >= MOST


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

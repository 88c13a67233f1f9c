"""What the symbols of an archive are called at the exchange, by what all of them have in common.

A vendor writes ``AAPL.US``, ``NYSE:AAPL``, ``AAPL US Equity`` or ``aapl``. A mark is taken off only where
every symbol of the archive carries one, and small letters become capital ones only where there are no
capital ones at all: ``BCPC`` and ``BCpC`` are two companies. Here: a set of symbols to their tickers. The
style of share classes is `symbols`'.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from flatfiles_assets.ingest.historical.symbols import to_vendor_style
from flatfiles_assets.ingest.layouts.name_words import EXCHANGES, is_ticker_like

# Bloomberg's codes of US exchanges; Refinitiv's, behind a point.
_BLOOMBERG = re.compile(r" (?:US|U[NQWAPRFVDTMBCX])(?: equity)?$", re.IGNORECASE)
_REFINITIV = re.compile(r"\.(?:N|O|OQ|A|P|K|Z|Q|PK|OB|NB|PH|B|C|DF|BAT)(?:\^[A-Z]\d\d)?$")
_REFINITIV_ONLY = re.compile(r"\.(?:OQ|N|O|PK|OB)(?:\^[A-Z]\d\d)?$")
_COUNTRY_OR_EXCHANGE = re.compile(
    r"(?P<mark>[.:/ _-](?P<name>US|USA|U|N|O|OQ|" + "|".join(sorted(EXCHANGES)) + r"))$", re.IGNORECASE
)
_PREFIX = re.compile(r"^([A-Za-z]{2,12}\d{0,2})[:./_|-](?=[A-Za-z$^])")
_SUFFIX = re.compile(r"[.:/_ |-]([A-Za-z]{2,12}\d{0,2})$")
_CASHTAG = re.compile(r"^[$#](?=[A-Za-z])")
_CLASS = re.compile(r"ws|wt|un|rt|ri|wi|cl|pr?[a-z]?|[a-z]", re.IGNORECASE)
# Of fewer symbols than this it takes a known mark: they may share a root or a class by chance.
_FEWEST_SHARING = 2
_KNOWN_WORDS = EXCHANGES | {"us", "us1", "us2", "usa", "wiki", "eod", "equity", "stock"}
_WORD = re.compile(r"[A-Z][a-z]{2,}")


@dataclasses.dataclass(frozen=True)
class SymbolMap:
    """From the symbols as files write them to tickers.

    Attributes:
        tickers: By symbol; a symbol that is not in it stays as it is.
        notes: What was done to all of them, in sentences.
    """

    tickers: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def column(self, symbols: pa.StringArray | pa.ChunkedArray) -> pa.StringArray:
        """A column of symbols as tickers; nulls stay null."""
        whole = symbols.combine_chunks() if isinstance(symbols, pa.ChunkedArray) else symbols
        encoded = whole.dictionary_encode()
        named = [self.tickers.get(symbol, symbol) for symbol in encoded.dictionary.to_pylist()]
        return pc.take(pa.array(named, pa.string()), encoded.indices)


def map_symbols(
    symbols: Collection[str], upper: Collection[str] = (), as_written: Collection[str] = ()
) -> SymbolMap:
    """The tickers that all symbols of an archive are.

    Args:
        symbols: The archive's symbols, as its files write them.
        upper: Those of them whose case means nothing, as an override says.
        as_written: Those whose case an override vouches for.
    """
    plain = {symbol: symbol.strip() for symbol in symbols if symbol.strip()}
    notes: list[str] = []
    for _ in range(3):
        found = _common_mark(set(plain.values()))
        if found is None:
            break
        what, strip = found
        stripped = {symbol: strip(text) for symbol, text in plain.items()}
        if len(set(stripped.values())) < len(set(plain.values())) or not all(stripped.values()):
            break
        plain = stripped
        notes.append(f"{what} taken off every symbol")
    letters = "".join(plain.values())
    if not as_written and re.search(r"[a-z]", letters) and not re.search(r"[A-Z]", letters):
        plain = {symbol: text.upper() for symbol, text in plain.items()}
        notes.append("all symbols are in small letters, and became capital ones")
    vouched = set(upper)
    plain = {symbol: text.upper() if symbol in vouched else text for symbol, text in plain.items()}
    return SymbolMap({symbol: to_vendor_style(text) for symbol, text in plain.items()}, tuple(notes))


def is_plausible(ticker: str) -> bool:
    """Whether a ticker can be one of a US exchange."""
    return is_ticker_like(ticker) and not _WORD.fullmatch(ticker)


def _common_mark(texts: Collection[str]) -> tuple[str, Callable[[str], str]] | None:
    """A mark that every symbol carries, in words, and what takes it off."""
    if not texts:
        return None
    for pattern, what in ((_BLOOMBERG, "Bloomberg's exchange"), (_CASHTAG, "$ or #")):
        if all(pattern.search(text) for text in texts):
            return what, lambda text, pattern=pattern: pattern.sub("", text)
    if all(_REFINITIV.search(text) for text in texts) and any(map(_REFINITIV_ONLY.search, texts)):
        return "Refinitiv's exchange", _without_refinitiv
    if all((match := _PREFIX.match(text)) and match[1].casefold() in EXCHANGES for text in texts):
        return "the exchange", lambda text: _PREFIX.sub("", text)
    if all((match := _COUNTRY_OR_EXCHANGE.search(text)) and len(match["name"]) > 1 for text in texts):
        return "the country or exchange", lambda text: _COUNTRY_OR_EXCHANGE.sub("", text)
    for pattern, place in ((_PREFIX, "before"), (_SUFFIX, "behind")):
        matches = [pattern.search(text) for text in texts]
        shared = {match[1].casefold() for match in matches if match}
        if not all(matches) or len(shared) > 1:
            continue
        word = shared.pop()
        # Classes of one company share their root, and preferred shares of several their series.
        is_root = pattern is _PREFIX and all(_CLASS.fullmatch(pattern.sub("", text)) for text in texts)
        if word not in _KNOWN_WORDS and (is_root or _CLASS.fullmatch(word)):
            continue
        if word in _KNOWN_WORDS or len(texts) >= _FEWEST_SHARING:
            return f"{word!r} {place} it", lambda text, pattern=pattern: pattern.sub("", text)
    return None


def _without_refinitiv(text: str) -> str:
    root = _REFINITIV.sub("", text)
    # Refinitiv writes a class in small letters: BRKb.N.
    match = re.fullmatch(r"([A-Z]{1,5})([a-d])", root)
    return f"{match[1]}.{match[2].upper()}" if match else root

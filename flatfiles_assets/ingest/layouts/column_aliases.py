"""What headings mean: one heading at a time, and all headings of a file together.

Here: from a heading as it is written (numbered, with brackets and units, adjusted or not, with the
file's symbol before each) to its meaning. The words themselves are in `heading_words`. Not here:
columns that headings do not explain, which `bar_columns` recognises by their values.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from flatfiles_assets.ingest.layouts import heading_words as words

DATE = "date"
TIME = "time"
SYMBOL = "symbol"
OPEN = "open"
HIGH = "high"
LOW = "low"
CLOSE = "close"
ADJUSTED_CLOSE = "adjusted_close"
VOLUME = "volume"
TICK_VOLUME = "tick_volume"
UP_VOLUME = "up_volume"
DOWN_VOLUME = "down_volume"
TRANSACTIONS = "transactions"
OPEN_INTEREST = "open_interest"
PERIOD = "period"
BAR_NUMBER = "bar_number"
IGNORED = "ignored"

PRICES = (OPEN, HIGH, LOW, CLOSE)
MEANINGS = (
    *(DATE, TIME, BAR_NUMBER, SYMBOL, *PRICES, ADJUSTED_CLOSE, VOLUME, UP_VOLUME, DOWN_VOLUME),
    *(TICK_VOLUME, TRANSACTIONS, OPEN_INTEREST, PERIOD, IGNORED),
)

# What else a heading can say of a column.
OTHER = "other"
QUOTE = "quote"
IDENTIFIER = "identifier"

Adjustment = Literal["", "adjusted", "unadjusted"]

_WORDS: dict[str, tuple[str, ...]] = {
    DATE: words.DATE,
    TIME: words.TIME,
    SYMBOL: words.SYMBOL,
    OPEN: words.OPEN,
    HIGH: words.HIGH,
    LOW: words.LOW,
    CLOSE: words.CLOSE,
    VOLUME: words.VOLUME,
    TICK_VOLUME: words.TICK_VOLUME,
    UP_VOLUME: words.UP_VOLUME,
    DOWN_VOLUME: words.DOWN_VOLUME,
    TRANSACTIONS: words.TRANSACTIONS,
    OPEN_INTEREST: words.OPEN_INTEREST,
    PERIOD: words.PERIOD,
    BAR_NUMBER: words.BAR_NUMBER,
}
_RANKS = {key: (meaning, rank) for meaning, keys in _WORDS.items() for rank, key in enumerate(keys)}
_ADJUSTABLE = (*PRICES, VOLUME)

_NUMBERING = re.compile(r"^\s*\d{1,2}[a-z]?\s*[.):]\s*(?=\S)")
_BRACKETS = re.compile(r"(?<=\S)\s*[(\[{]([^)\]}]*)[)\]}]\s*$")
_UNIT_WORD = re.compile(
    r"(?<=\w)[\s_.,*-]+(?:(?:in|en|em|x)[\s_]*)?('?0?00'?s?|1[.,]?000s?|thousands?|k|tsd|tausend|mio|mn|mln|"
    r"millions?|lots?|hundreds?|100s|miles|milhares|migliaia|milliers|duizend|tys|тыс|usd|eur|gbp|gbx|chf|jpy|cad|aud|inr|pence|cents?|\$|€|£)\.?$",
    re.IGNORECASE,
)
_UNADJUSTED = re.compile(r"(?:unadj(?:usted)?|nonadj(?:usted)?|notadj(?:usted)?|raw|unaj)")
_ADJUSTED = re.compile(r"(?:adj(?:usted|d)?|splitadj(?:usted)?|ajuste|ajustee?|bereinigt|adjcl|rettificato)")
_QUOTE = re.compile(r"(?:bid|ask|offer|best(?:bid|ask)|nbbo)")
# Letters that have no decomposition into a plain one and a mark.
_PLAIN_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ё": "е"})
_THOUSANDS = re.compile(
    r"(?:'?0?00'?s?|1[.,' ]?000s?|th(?:ousands?|ds?)?|k|10\^3|1e3|tsd|tausend|mill?ares|miles"
    r"|milhar(?:es)?|migliaia|milliers?|duizend(?:en|tal)?|tusen(?:tal)?|tys(?:i[aą]ce?)?|тыс|千)",
    re.IGNORECASE,
)
_MILLIONS = re.compile(
    r"(?:mn?|mm|mio|mln|mill?(?:ion(?:s|en|i|es)?|ones|hões)?|milli(?:on)?s|10\^6|1e6|млн|百万)",
    re.IGNORECASE,
)
_HUNDREDS = re.compile(r"(?:100s?|hundreds?|(?:round ?)?lots?|手)", re.IGNORECASE)
_TEN_THOUSANDS = re.compile(r"(?:万|萬)股?")
# What stands around a unit: "in thousands of shares", "x1000", "Tsd. Stück".
_AROUND_UNIT = re.compile(
    r"^(?:in|en|em|x|\*)\s*|[\s.]*(?:(?:of|de|d'|di)\s*)?(?:shares?|shs|stück|aktien|actions|titres|acciones|ações|azioni"
    r"|akcji|股|株)?\.?$",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"(?:in\s*)?(?:usd|eur|gbp|chf|jpy|cad|aud|inr|brl|us\$|\$|€|£|¥|dollars?|euros?|元|円)", re.I
)
# Prices in other money than dollars, and in its hundredths.
_FOREIGN = re.compile(
    r"(?:in\s*)?(?:eur|gbp|gbx|gbpence|chf|jpy|cad|aud|nzd|inr|brl|cny|rmb|hkd|krw|sek|nok|dkk|pln|czk|zar|mxn|try|rub|€|£|¥"
    r"|euros?|pence|p|cents?|c|¢|ct|cts|元|円|₹|rs\.?|r\$|zł|kč|kr\.?)",
    re.IGNORECASE,
)
_OF_BAR = r"(?:open(?:ing)?|high|low|clos(?:e|ing)|last|price|px|volume|vol)"
# What stands before the name of a price or volume and makes it another number.
_QUALIFIER = (
    r"(?:\d+(?:d|day|w|wk|week|m|mo|month|y|yr|year)s?)?(?:prev(?:ious)?|prior|yesterdays?|next|predict(?:ed|ion)?|forecast(?:ed)?"
    r"|expected|est(?:imated)?|target|theo(?:retical)?|fair|model(?:led|ed)?|simulated|synthetic|log|ln|norm(?:ali[sz]ed)?|indexed|relative"
    r"|rel|tr|totalreturn|returns?|ret|pct|percent|change|chg|avg|average|mean|median|sma|ema|smoothed|heikin(?:ashi)?|ha|short|oddlot"
    r"|premarket|afterhours?|postmarket|overnight|extended|ytd|alltime|lifetime|weekly|monthly|annual|limit|indicative|nav"
    r"|usd(?=vol)|dollar|diff|delta|max(?=high|vol)|min(?=low|vol)|\d+(?:w|wk|week|m|mo|month|y|yr|year|d|day)s?)"
)
_QUALIFIED = re.compile(
    rf"{_QUALIFIER}{_OF_BAR}|{_OF_BAR}(?:prev(?:ious)?|avg|average|predicted|forecast|sma|ema|chg|change)"
)
_QUALIFIERS = re.compile(_QUALIFIER)
# Dates of other events than the trade.
_OTHER_DAY = (
    r"(?:settle(?:ment)?|settled|valuta|value|ex|exdiv(?:idend)?|record|pay(?:ment|able|ing)?|expir(?:y|ation|es)|maturity"
    r"|report(?:ing|ed)?|publish(?:ed|ing)?|publication|filing|filed|(?:last)?updated?|lastupdate|modified|created?|creation"
    r"|download(?:ed)?|import(?:ed)?|insert(?:ed)?|load(?:ed)?|listing|listed|ipo|delist(?:ing|ed)|effective|announcement)"
)
_OTHER_DATE = re.compile(
    rf"{_OTHER_DAY}(?:date|day|dt|on|at|datetime|timestamp|time)|date(?:of)?{_OTHER_DAY}"
)


@dataclasses.dataclass(frozen=True)
class Heading:
    """What one heading says.

    Attributes:
        text: As it stands in the file.
        meaning: One of `MEANINGS`, or `OTHER`, `QUOTE` or `IDENTIFIER`; None where no table knows it.
        rank: Preference among headings of one meaning, 0 first.
        adjustment: Whether it says that its values are adjusted, or that they are not.
        scale: By what its values are to be multiplied, from its unit; 1 for none.
        money: The unit of a price that is not in dollars.
    """

    text: str
    meaning: str | None
    rank: int = 0
    adjustment: Adjustment = ""
    scale: float = 1.0
    money: str = ""


def heading_key(heading: str) -> str:
    """A heading without case, accents and punctuation: ``<DTYYYYMMDD>`` → ``dtyyyymmdd``."""
    folded = heading.casefold().translate(_PLAIN_LETTERS)
    if folded.isascii():
        return re.sub(r"[\W_]+", "", folded)
    decomposed = unicodedata.normalize("NFKD", folded)
    plain = "".join(mark for mark in decomposed if not unicodedata.combining(mark) or ord(mark) > 0x3000)
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", plain))


@functools.lru_cache(maxsize=4096)
def read_heading(text: str) -> Heading:
    """What one heading says by itself.

    >>> read_heading("4. close").meaning, read_heading("Volume (000)").scale
    ('close', 1000.0)
    >>> read_heading("Adj. Open").adjustment, read_heading("uClose").adjustment
    ('adjusted', 'unadjusted')
    """
    plain = _NUMBERING.sub("", text.strip().strip("\"'\ufeff").strip())
    unit = ""
    if match := _BRACKETS.search(plain) or _UNIT_WORD.search(plain):
        unit, plain = match[1], plain[: match.start()]
    key = heading_key(plain)
    adjustment: Adjustment = ""
    meaning, rank = _RANKS.get(key, (None, 0))
    if meaning is None and re.match(r"u[A-Z][a-z]", plain):
        meaning, rank = _RANKS.get(key[1:], (None, 0))
        adjustment = "unadjusted" if meaning in _ADJUSTABLE else ""
        meaning = meaning if adjustment else None
    if meaning is None:
        for pattern, found in ((_UNADJUSTED, "unadjusted"), (_ADJUSTED, "adjusted")):
            rest = pattern.sub("", key, count=1)
            if rest != key:
                of_rest = _RANKS.get(rest or "close", (None, 0))
                if of_rest[0] in _ADJUSTABLE:
                    (meaning, rank), adjustment = (
                        of_rest,
                        "unadjusted" if found == "unadjusted" else "adjusted",
                    )
                    break
    if meaning is None:
        meaning = _other_meaning(key)
    if meaning == VOLUME and _MONEY.fullmatch(unit.strip()):
        meaning = OTHER  # what was paid, not what was traded
    money = ""
    if meaning in PRICES:
        if _ADJUSTED.fullmatch(heading_key(unit)):
            adjustment = "adjusted"
        money = unit.strip() if _FOREIGN.fullmatch(unit.strip()) else ""
    return Heading(text, meaning, rank, adjustment, _scale_of(unit) if meaning == VOLUME else 1.0, money)


def _other_meaning(key: str) -> str | None:
    if key in words.IDENTIFIERS:
        return IDENTIFIER
    if key in words.OTHER or _OTHER_DATE.fullmatch(key) or _QUALIFIED.fullmatch(key):
        return OTHER
    return QUOTE if _QUOTE.match(key) or re.search(r"(?:bid|ask)(?:price|size|qty)?$", key) else None


def _scale_of(unit: str) -> float:
    unit = _AROUND_UNIT.sub("", unit.strip())
    for pattern, scale in ((_THOUSANDS, 1e3), (_MILLIONS, 1e6), (_HUNDREDS, 1e2), (_TEN_THOUSANDS, 1e4)):
        if pattern.fullmatch(unit):
            return scale
    return 1.0


def meaning_of(heading: str) -> str | None:
    """What a heading means, one of `MEANINGS`, or None for one that is not in the table."""
    found = read_heading(heading).meaning
    return found if found in MEANINGS else None


def read_headings(headings: Sequence[str]) -> tuple[Heading, ...]:
    """What all headings of a file say; what most of them have in common is taken off first.

    ``XYZ.Open, XYZ.High, …`` and ``Open_XYZ, High_XYZ, …`` are read as ``Open, High, …``.
    """
    alone = tuple(map(read_heading, headings))
    prices = {heading.meaning for heading in alone} & set(PRICES)
    if len(prices) == len(PRICES):
        return alone
    for pattern in (r"^(.{1,24}?)[._: /-]+(?=\S)", r"(?<=\S)[._: /-]+([^._: /-]{1,24})$"):
        shared = collections.Counter(
            match[1] for heading in headings if (match := re.search(pattern, heading.strip()))
        )
        word, count = shared.most_common(1)[0] if shared else ("", 0)
        if count < len(PRICES) or _QUALIFIERS.fullmatch(heading_key(word)):
            continue  # Prev Open is no open, as AAPL Open is
        stripped = [
            re.sub(pattern, "", heading.strip())
            if (match := re.search(pattern, heading.strip())) and match[1] == word
            else heading
            for heading in headings
        ]
        again = tuple(
            dataclasses.replace(read_heading(short), text=heading)
            for short, heading in zip(stripped, headings, strict=True)
        )
        if len({heading.meaning for heading in again} & set(PRICES)) > len(prices):
            return again
    return alone


def looks_like_header(cells: Sequence[str]) -> bool:
    """Whether a line is a header: it names two different meanings and holds no number."""
    if any(re.fullmatch(r"[\d.,/:\s-]*\d[\d.,/:\s-]*", cell.strip()) for cell in cells):
        return False
    found = {heading.meaning for heading in read_headings(cells)} & set(MEANINGS)
    return len(found) >= 2

"""Dates and times of day as files write them, and their parsing under one given reading.

A format is named as `strptime` writes it (``%m/%d/%Y``), or ``epoch s``, ``epoch ms``, ``epoch us``,
``epoch ns``, or ``excel`` and ``excel 1904`` for the days that spreadsheets count. Unlike strptime, days
and months may lack their leading zero, names of months may be short or long, in any case and of any
language of `month_names`, and a time of day and an offset may follow any format.

Here: one text under one format, and the formats that a text could be in. Not here: which of several
formats a file is in (`date_evidence`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import re

from flatfiles_assets.ingest.layouts.month_names import month_of, without_weekday

_EPOCH = dt.date(1970, 1, 1).toordinal()
FIRST_YEAR, LAST_YEAR = 1970, 2040

_EPOCH_UNITS = {"epoch s": (10, 1), "epoch ms": (13, 10**3), "epoch us": (16, 10**6), "epoch ns": (19, 10**9)}

# As floating-point numbers are written, and fractions of seconds.
_EPOCH_FRACTION = re.compile(r"(\d{9,10}(?=\.)|\d{12,19}(?=\.0*$))\.\d*")

# Day 0 of spreadsheets, of Windows (which has a 1900-02-29) and of older Macs.
EXCEL_DAY_ZERO = {"excel": dt.date(1899, 12, 30).toordinal() - _EPOCH, "excel 1904": -24107}
_EXCEL = re.compile(r"(\d{5})(?:[.,](\d+))?")

# Digits that could be a date and a time run together come with their time's digits.
_COMPACT = re.compile(r"(\d{8})[ T_-]?(\d{4}|\d{6})")
_STAMP = re.compile(
    r"(?P<date>.*?[^\s:T])(?:\s*[T\s]\s*|:)"
    r"(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s*[AaPp]\.?[Mm]\.?)?)"
    r"\s*(?P<zone>Z|z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
)
_LETTERS = r"[^\W\d_]{3,12}\.?"
# 3. März 2008, 3 de marzo de 2008, 03-mai-2008, 03mai2008
_BETWEEN = r"\. ?| de |,?[-/. _]?"
# 1er janvier 2008, March 3rd, 2008
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th|er|º|ª|°)(?=[\s,])", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Stamp:
    """A date with what stood beside it.

    Attributes:
        day: Days since 1970-01-01, as written (for epochs: in UTC).
        second: Second of the day as written, None where only a date stood.
        offset_seconds: Offset from UTC as written (0 for epochs), None for naive stamps.
    """

    day: int
    second: int | None = None
    offset_seconds: int | None = None


def candidate_formats(text: str) -> tuple[str, ...]:
    """Every format that a text has the shape of, whether its numbers make a date or not."""
    return _candidates(_split_stamp(text.strip())[0])


@functools.lru_cache(maxsize=4096)
def _candidates(date: str) -> tuple[str, ...]:
    if match := _EPOCH_FRACTION.fullmatch(date):
        date = match[1]
    if date.isdecimal():
        if len(date) == 8:
            return ("%Y%m%d", "%m%d%Y", "%d%m%Y")
        if len(date) == 6:
            return ("%y%m%d", "%m%d%y", "%d%m%y")
        if len(date) == 5:
            return tuple(name for name in EXCEL_DAY_ZERO if _parse_excel(date, name))
        lengths = {digits: unit for unit, (digits, _) in _EPOCH_UNITS.items()}
        unit = lengths.get(len(date)) or lengths.get(len(date) + 1)
        return (unit,) if unit else ()
    if _EXCEL.fullmatch(date):
        return tuple(name for name in EXCEL_DAY_ZERO if _parse_excel(date, name))
    if match := re.fullmatch(r"(\d+)([-/. _])(\d+)\2(\d+)", date):
        mark = match[2]
        sizes = (len(match[1]), len(match[3]), len(match[4]))
        if sizes[0] == 4:
            return (f"%Y{mark}%m{mark}%d",)
        if max(sizes[:2]) > 2:
            return ()
        if sizes[2] == 4:
            return (f"%m{mark}%d{mark}%Y", f"%d{mark}%m{mark}%Y")
        if sizes[2] <= 2:
            years = (f"%y{mark}%m{mark}%d",) if sizes[0] == 2 else ()
            return (f"%m{mark}%d{mark}%y", f"%d{mark}%m{mark}%y", *years) if sizes[2] == 2 else years
        return ()
    if match := re.fullmatch(rf"(\d+)({_BETWEEN})({_LETTERS})({_BETWEEN})(\d+)", date):
        first, before, _, after, last = match.groups()
        if len(first) == 4:
            return (f"%Y{before}%b{after}%d",)
        if len(last) == 4:
            return (f"%d{before}%b{after}%Y",)
        years = (f"%y{before}%b{after}%d",) if len(first) == 2 else ()
        return (f"%d{before}%b{after}%y", *years) if len(last) == 2 else years
    if match := re.fullmatch(rf"({_LETTERS})([-/. _]?)(\d{{1,2}})(,?[-/. _]*)(\d{{2}}|\d{{4}})", date):
        _, before, _, after, last = match.groups()
        return (f"%b{before}%d{after}%{'Y' if len(last) == 4 else 'y'}",)
    return ()


@functools.lru_cache(maxsize=65536)
def parse_stamp(text: str, date_format: str) -> Stamp | None:
    """A date, with its time of day and offset where it has them; None where it is not that format.

    Args:
        text: The cell's text.
        date_format: As `candidate_formats` names it.
    """
    text = text.strip()
    if date_format in _EPOCH_UNITS:
        return _parse_epoch(text, date_format)
    if date_format in EXCEL_DAY_ZERO:
        return _parse_excel(text, date_format)
    date, time, zone = _split_stamp(text)
    day = parse_day(date, date_format)
    if day is None or time is None:
        return None if day is None else Stamp(day)
    second = parse_time(time)
    return None if second is None else Stamp(day, second, _offset(zone))


def _split_stamp(text: str) -> tuple[str, str | None, str | None]:
    if ":" in text and (match := _STAMP.fullmatch(text)):
        return _plain_date(match["date"].rstrip(",")), match["time"], match["zone"]
    if (match := _COMPACT.fullmatch(text)) and FIRST_YEAR <= int(match[1][:4]) <= LAST_YEAR:
        return match[1], match[2], None
    return _plain_date(text), None, None


def _plain_date(text: str) -> str:
    """A date without its weekday, and with plain numbers."""
    if text[:1].isdecimal() and text[-1:].isdecimal() and text.isascii() and not re.search("[A-Za-z]", text):
        return text  # most are
    return _ORDINAL.sub("", without_weekday(text)).rstrip(".")


def _offset(zone: str | None) -> int | None:
    if zone is None:
        return None
    if zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60
    return -seconds if zone[0] == "-" else seconds


@functools.lru_cache(maxsize=65536)
def parse_day(text: str, date_format: str) -> int | None:
    """Days since 1970-01-01 of a date without time, from 1970 to 2040; None where it is none."""
    if date_format in EXCEL_DAY_ZERO:
        counted = _parse_excel(text, date_format)
        return counted.day if counted else None
    match = _pattern(date_format).fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    year = int(parts["Y"]) if "Y" in parts else _full_year(int(parts["y"]))
    month = int(parts["m"]) if "m" in parts else month_of(parts["b"]) or 0
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return dt.date(year, month, int(parts["d"])).toordinal() - _EPOCH
    except ValueError:
        return None


def _full_year(year: int) -> int:
    return year + (2000 if year <= LAST_YEAR - 2000 else 1900)


@functools.cache
def _pattern(date_format: str) -> re.Pattern[str]:
    together = not re.search(r"%.[^%]", date_format)
    number = r"\d{2}" if together and "%b" not in date_format else r"\d{1,2}"
    tokens = {
        "Y": r"(?P<Y>\d{4})",
        "y": r"(?P<y>\d{2})",
        "m": f"(?P<m>{number})",
        "d": f"(?P<d>{number})",
        "b": rf"(?P<b>{_LETTERS})",
    }
    parts = re.split(r"%([Yymdb])", date_format)
    return re.compile(
        "".join(tokens[part] if index % 2 else re.escape(part) for index, part in enumerate(parts))
    )


@functools.lru_cache(maxsize=65536)
def parse_time(text: str) -> int | None:
    """Second of the day of ``9:30``, ``09:30:00.5``, ``9:30 AM``, ``930``, ``093000``, ``34200000`` ms."""
    text = text.strip()
    half = None
    if match := re.fullmatch(r"(.*?)\s*([AaPp])\.?[Mm]\.?", text):
        text, half = match[1], match[2].lower()
    if text.isdecimal() and len(text) in (7, 8) and text.endswith("000"):
        # Milliseconds since midnight.
        return int(text) // 1000 if int(text) < 86_400_000 and half is None else None
    if text.isdecimal():
        digits = text.zfill(6) if len(text) > 4 else text.zfill(4) + "00"
        parts = [digits[:-4], digits[-4:-2], digits[-2:]]
    else:
        parts = text.split(":")
        if not 2 <= len(parts) <= 3 or not re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?", text):
            return None
    hour, minute = int(parts[0]), int(parts[1])
    second = int(re.split("[.,]", parts[2])[0]) if len(parts) == 3 else 0
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "p" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return hour * 3600 + minute * 60 + second


def _parse_epoch(text: str, unit: str) -> Stamp | None:
    digits, per_second = _EPOCH_UNITS[unit]
    if match := _EPOCH_FRACTION.fullmatch(text):
        text = match[1]
    if not text.isdecimal() or not digits - 1 <= len(text) <= digits:
        return None
    day, second = divmod(int(text) // per_second, 86400)
    return Stamp(day, second, 0)


def _parse_excel(text: str, system: str) -> Stamp | None:
    match = _EXCEL.fullmatch(text)
    if match is None:
        return None
    day = int(match[1]) + EXCEL_DAY_ZERO[system]
    if not FIRST_YEAR <= dt.date.fromordinal(day + _EPOCH).year <= LAST_YEAR:
        return None
    second = round(float(f"0.{match[2]}") * 86400) if match[2] and int(match[2]) else None
    return Stamp(day, second) if second != 86400 else Stamp(day + 1, 0)


def is_known_format(name: str) -> bool:
    """Whether a format can be parsed: an epoch, or year, month and day, each once."""
    if name in _EPOCH_UNITS or name in EXCEL_DAY_ZERO:
        return True
    tokens = sorted(re.findall(r"%(.)", name))
    return tokens in (sorted(known) for known in ("Ymd", "ymd", "Ybd", "ybd"))


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

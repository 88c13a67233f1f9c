"""Dates that stand in the names of files and folders.

Here: which part of a name is a date. Not here: which format it is in (`date_evidence`).
"""

from __future__ import annotations

import datetime as dt
import re

_SUFFIXES = frozenset(
    (
        *(".csv", ".txt", ".tsv", ".tab", ".psv", ".dat", ".asc", ".prn", ".fwf", ".text", ".data", ".eod"),
        *(".gz", ".bz2", ".xz", ".zst", ".lz4", ".tar", ".tgz", ".tbz2", ".txz", ".zip"),
        *(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".parquet", ".pq", ".feather", ".arrow", ".ipc"),
        *(".json", ".jsonl", ".ndjson"),
    )
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = re.compile(
    r"(?<!\d)(?:"
    r"(?:19|20)\d{2}([-_.])\d{1,2}\1\d{1,2}"
    r"|\d{1,2}([-_.])\d{1,2}\2(?:19|20)\d{2}"
    r"|\d{8}"
    rf"|\d{{1,2}}[-_ ]?{_MONTH}[-_ ]?(?:19|20)\d{{2}}"
    rf"|{_MONTH}[-_ ]?\d{{1,2}}[-_ ](?:19|20)\d{{2}}"
    r"|\d{2}([-_.])\d{2}\3\d{2}"
    r"|\d{6}"
    r")(?!\d)",
    re.IGNORECASE,
)
_FOLDERS = re.compile(r"(?:^|/)((?:19|20)\d{2}/\d{1,2}/\d{1,2})(?:/|$)")
_YEAR_THEN_DAY = re.compile(r"(?:^|/)(?:[^/]*[^/\d])?((?:19|20)\d{2})/(?:[^/]*[^/\d])?(\d{2})(\d{2})$")
SPACED_DATES = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:19|20)\d{2}[-_. ]\d{1,2}[-_. ]\d{1,2}|\d{1,2}[-_. ]\d{1,2}[-_. ](?:19|20)\d{2}"
    rf"|\d{{1,2}}[-_ ]?{_MONTH}[-_ ]?(?:19|20)\d{{2}}|{_MONTH}[-_ ]?(?:\d{{1,2}}[-_ ])?(?:19|20)\d{{2}}"
    rf"|(?:19|20)\d{{2}}[-_ ]?{_MONTH}"
    r"|(?:19|20)\d{2}[-_. ](?:0[1-9]|1[0-2])|(?:19|20)\d{2}[-_ ]?q[1-4]|q[1-4][-_ ]?(?:19|20)\d{2}"
    r")(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def stem_of(name: str) -> str:
    """A file's name without folders and without the suffixes of its format, in any case."""
    stem = name.rpartition("/")[2]
    while True:
        shorter, dot, suffix = stem.rpartition(".")
        if not shorter or (dot + suffix).lower() not in _SUFFIXES:
            return stem
        stem = shorter


def date_text(name: str, year: int | None = None) -> str | None:
    """The date in a file's name or its folders, as it is written there.

    Folders of a year, month and day come as ``2008/01/02``, and so do a folder of a year, or the
    archive's year, with month and day in the name.

    Args:
        name: The file's path.
        year: The archive's year, where it is known.
    """
    stem = stem_of(name)
    if match := _DATE.search(stem):
        return match[0]
    folder = name.rpartition("/")[0]
    if match := _FOLDERS.search(f"{folder}/{stem}"):
        return match[1]
    if match := _YEAR_THEN_DAY.search(f"{folder}/{stem}"):
        return f"{match[1]}/{match[2]}/{match[3]}"
    for part in reversed(folder.split("/")):
        if match := _DATE.search(part):
            return match[0]
    if year and (match := re.fullmatch(r"(?:.*[^\d])?(\d{2})(\d{2})", stem)):
        return f"{year}/{match[1]}/{match[2]}"
    return None


def is_date_like(digits: str) -> bool:
    """Whether digits are a year, a month of a year, a day or a moment."""
    if len(digits) in (12, 14) or (len(digits) == 8 and digits[:2] in ("19", "20")):
        return _exists(digits[:4], digits[4:6], digits[6:8])
    if len(digits) == 8:
        return _exists(digits[4:], digits[:2], digits[2:4]) or _exists(digits[4:], digits[2:4], digits[:2])
    if len(digits) == 6:
        if _exists(digits[:4], digits[4:], "01"):
            return True
        century = "20" if int(digits[:2]) <= 40 else "19"
        other = "20" if int(digits[4:]) <= 40 else "19"
        return (
            _exists(century + digits[:2], digits[2:4], digits[4:])
            or _exists(other + digits[4:], digits[:2], digits[2:4])
            or _exists(other + digits[4:], digits[2:4], digits[:2])
        )
    return len(digits) == 4 and 1970 <= int(digits) <= 2040


def _exists(year: str, month: str, day: str) -> bool:
    if not 1970 <= int(year) <= 2040:
        return False
    try:
        dt.date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True

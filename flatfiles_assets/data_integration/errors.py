"""What a researcher's request can meet besides the errors of the layers below."""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType

import flatfiles_assets
from flatfiles_assets.errors import FlatFilesError, InvalidArgument
from flatfiles_assets.escaping import printable_lines


class UnknownSymbol(InvalidArgument):
    """A symbol that the warehouse has never seen; the message names similar ones.

    Attributes:
        unknown: All such symbols of the request.
    """

    unknown: tuple[str, ...] = ()


class NoData(FlatFilesError):
    """There is nothing at all of what was asked for."""


class IdentityWarning(UserWarning):
    """Two of the symbols asked for are one security."""


class InsufficientCoverage(FlatFilesError):
    """A symbol has fewer bars than `min_coverage` asks for."""


class CoverageWarning(UserWarning):
    """The data returned is not complete; `metadata` of the result says what is missing."""


class AdjustmentWarning(UserWarning):
    """Prices are returned unadjusted because the warehouse knows no splits."""


class CorporateActionWarning(UserWarning):
    """Splits or dividends are not applied as recorded; `metadata` has each, with the reason."""


class StatementWarning(UserWarning):
    """Statements could not all be placed by the day of their publication; `metadata` has the counts."""


def closest(name: str, known: Sequence[str], most: int = 3) -> list[str]:
    """The known names most like one, those that differ only in case first."""
    same = [other for other in known if other.casefold() == name.casefold()]
    by_upper = {other.upper(): other for other in known}
    similar = difflib.get_close_matches(name.upper(), list(by_upper), n=most, cutoff=0.6)
    return list(dict.fromkeys([*same, *(by_upper[each] for each in similar)]))[:most]


def check_choice(what: str, value: object, choices: Iterable[str]) -> str:
    """The value, if it is one of the choices.

    Raises:
        InvalidArgument: It is not; the message names the most similar choice and all others.
    """
    known = list(choices)
    if isinstance(value, str) and value in known:
        return value
    similar = closest(str(value), known, most=1)
    raise InvalidArgument(
        f"{value!r} is not {what}",
        why=f"did you mean {similar[0]!r}?" if similar else None,
        next_step=f"use one of {', '.join(known)}",
    )


_PACKAGE = f"{Path(flatfiles_assets.__file__).parent}{os.sep}"


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn as from the line of the researcher's own that asked, however many of ours lie between."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  (the documented way to the caller)
    level = 2
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(printable_lines(message), category, stacklevel=level)

"""Recorded splits held against the bars: what of each record the prices and volumes bear out.

Here: `audit_splits`, the verdict on every record. Evidence confirms a record, contradicts it or dates
it; it never replaces it. Not here: the security that a record is about and the bars around it
(`warehouse/corporate_actions.py`), jumps without a record (`split_search.py`), and what splits do to
prices (`adjustments.py`).

A split of `split_from` shares into `split_to` moves the open by split_from / split_to against the
close before, and volumes by the inverse. Each jump bears out one record at most, that of its own
session first: a false record a day early finds its jump taken. What cannot be seen, because there are
no bars or because the stock moves more than that on any day, is unverifiable, not wrong.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import pyarrow as pa

from flatfiles_assets.algorithms.action_view import (
    SHIFT_SESSIONS,
    WINDOW_BARS,
    RecordView,
    SecurityBars,
    SplitRecords,
    reduced_ratio,
)
from flatfiles_assets.algorithms.panel import MAX_GAP_SESSIONS
from flatfiles_assets.columns import Column

Verdict = Literal[
    "confirmed",
    "shifted",
    "contradicted",
    "conflicting",
    "not_a_split",
    "unverifiable",
    "duplicate",
    "no_record",
    "archive_terms",
    "unusable",
]

#: The columns of ``reference.corporate_action_audit``.
AUDIT_COLUMNS = (
    Column("kind", pa.string(), "split, dividend, or jump for a move without a record"),
    Column("verdict", pa.string(), "What the bars say of the record; see the documentation"),
    Column("applied", pa.bool_(), "Whether prices are adjusted for it"),
    Column("overridden", pa.bool_(), "Whether overrides.csv decides it"),
    Column("security_id", pa.string(), "The security it is about; null where no bar has the ticker"),
    Column("ticker", pa.string(), "Ticker of the security on the session"),
    Column("recorded_ticker", pa.string(), "Ticker that the record is filed under; null without a record"),
    Column("session", pa.date32(), "Session at whose open it counts, or would"),
    Column("recorded_date", pa.date32(), "Date of the record; null without a record"),
    Column("split_from", pa.float64(), "Shares before"),
    Column("split_to", pa.float64(), "Shares after"),
    Column("cash_amount", pa.float64(), "Cash per share, of a dividend"),
    Column("price_ratio", pa.float64(), "Open over the close before, in the bars"),
    Column("volume_ratio", pa.float64(), "Usual volume after over usual volume before, in the bars"),
    Column("note", pa.string(), "Why, in words"),
    Column("id", pa.string(), "The vendor's identifier of the record"),
    Column("source", pa.string(), "Where the record comes from"),
)

# How much more likely an unmoved volume must be: an odd ratio is soon doubted, a simple one hardly, and a
# price that rises by a simple ratio is no spin-off.
_DOUBT_ODD, _DOUBT_SIMPLE, _DOUBT_REVERSE = 0.5, 6.0, 50.0


# Which record each jump, by session, bears out.
_Taken = dict[int, int]


@dataclasses.dataclass
class Judged:
    """The verdict on one record.

    Attributes:
        verdict: See the module's text.
        session: Position of the session at whose open it is applied; None where it is not.
        note: Why, in words.
        price_ratio: Open over the close before, at that session or at the recorded one.
        volume_ratio: Usual volume after over usual volume before.
        offset: Bars from the record's own to that of its jump.
    """

    verdict: Verdict = "unverifiable"
    session: int | None = None
    note: str = ""
    price_ratio: float = math.nan
    volume_ratio: float = math.nan
    offset: int = 0

    @property
    def applied(self) -> bool:
        """Whether prices are adjusted for the record."""
        return self.session is not None


def audit_splits(records: SplitRecords, bars: SecurityBars) -> list[Judged]:
    """The verdict on each record, in the order of the records.

    Args:
        records: Records of any securities, in any order.
        bars: Bars of those securities around the records: `WINDOW_BARS` on either side where there
            are so many. More changes nothing.
    """
    judged = [Judged() for _ in range(len(records))]
    if not len(records):
        return judged
    view = RecordView(records, bars)
    together: dict[int, list[int]] = defaultdict(list)
    for number, security in enumerate(records.security.tolist()):
        together[security].append(number)
    for numbers in together.values():
        if len(numbers) == 1 and not math.isinf(view.distance(numbers[0], 0)):
            # Most records: the only one, and right.
            number = numbers[0]
            ratio = view.price_ratio(number, 0)
            judged[number] = Judged("confirmed", view.at[number], _moved(ratio), ratio)
            _doubt(view, number, judged[number])
            continue
        numbers.sort(key=lambda number: (view.at[number], number))
        _judge_security(view, numbers, judged)
    return judged


def same_split(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two records say the same in other numbers, as 1:2 and 2:4 do."""
    return reduced_ratio(*one) == reduced_ratio(*other)


def _is_simple(ratio: Fraction) -> bool:
    numbers = (ratio.numerator, ratio.denominator)
    return min(numbers) == 1 or max(numbers) <= 10


def _judge_security(view: RecordView, numbers: Sequence[int], judged: list[Judged]) -> None:
    """Judge the records of one security, which are in order of their dates."""
    distinct = _without_repeats(view, numbers, judged)
    taken: _Taken = {}
    by_day: dict[int, list[int]] = defaultdict(list)
    for number in distinct:
        by_day[view.day(number)].append(number)
    # Jumps on the recorded session first: what is left may be another record's, a day or two away.
    for of_day in by_day.values():
        _take_own(view, of_day, judged, taken)
    waiting = [number for number in distinct if judged[number].verdict == "unverifiable"]
    for distance in range(1, SHIFT_SESSIONS + 1):
        for number in waiting:
            if judged[number].verdict == "unverifiable":
                _take_near(view, number, distance, judged, taken)
    for of_day in by_day.values():
        _settle_rest(view, of_day, judged)
    _part_unseen(view, distinct, judged)
    for number in distinct:
        if judged[number].applied and judged[number].verdict != "unverifiable":
            _doubt(view, number, judged[number])


def _without_repeats(view: RecordView, numbers: Sequence[int], judged: list[Judged]) -> list[int]:
    seen: dict[tuple[int, Fraction], int] = {}
    distinct = []
    for number in numbers:
        what = (view.at[number], view.ratio[number])
        if what in seen:
            judged[number] = Judged("duplicate", note="the same split is recorded twice; it counts once")
            continue
        seen[what] = number
        distinct.append(number)
    return distinct


def _take_own(view: RecordView, of_day: Sequence[int], judged: list[Judged], taken: _Taken) -> None:
    """Give the jump of a day to the record of that day that it fits best."""
    fits = {number: view.distance(number, 0) for number in of_day}
    best = min(of_day, key=lambda number: fits[number])
    session = view.session_at(best, 0)
    if math.isinf(fits[best]):
        _take_product(view, of_day, judged, taken)
        return
    if session in taken:
        return
    taken[session] = best
    ratio = view.price_ratio(best, 0)
    # In a halt the record says when: the bars show it at the first one after.
    if len(of_day) == 1:
        judged[best] = Judged("confirmed", view.at[best], _moved(ratio), ratio)
        return
    for number in of_day:
        if number == best:
            note = f"{len(of_day)} records of one day; the bars bear this one out: {_moved(ratio)}"
            judged[number] = Judged("conflicting", view.at[number], note, ratio)
        else:
            note = f"{len(of_day)} records of one day; {_moved(ratio)}, which is not this one's ratio"
            judged[number] = Judged("conflicting", None, note, ratio)


def _take_product(
    view: RecordView, of_day: Sequence[int], judged: list[Judged], taken: dict[int, int]
) -> None:
    """Several splits of one day that only together make its jump."""
    if len(of_day) < 2:
        return
    session = view.session_at(of_day[0], 0)
    move = float(view.move[of_day[0], WINDOW_BARS])
    size = float(sum(view.size[number] for number in of_day))
    off = abs(move - size)
    if session in taken or not (off <= float(view.tolerance[of_day[0]]) and off < abs(move)):
        return
    taken[session] = of_day[0]
    ratio = view.price_ratio(of_day[0], 0)
    for number in of_day:
        note = f"{len(of_day)} splits of one day, borne out together: {_moved(ratio)}"
        judged[number] = Judged("confirmed", view.at[number], note, ratio)


def _take_near(
    view: RecordView, number: int, distance: int, judged: list[Judged], taken: dict[int, int]
) -> None:
    """Give a record the jump of a session or two away, where no other record has it."""
    options = [
        (view.distance(number, offset), offset)
        for offset in view.candidates(number)
        if offset and abs(view.session_at(number, offset) - view.at[number]) == distance
    ]
    options = [
        option
        for option in options
        if not math.isinf(option[0]) and view.session_at(number, option[1]) not in taken
    ]
    if not options or not view.visible(number):
        return
    _, offset = min(options)
    session = view.session_at(number, offset)
    taken[session] = number
    ratio = view.price_ratio(number, offset)
    note = f"{_moved(ratio)} at another session"
    judged[number] = Judged("shifted", session, note, ratio, offset=offset)


def _settle_rest(view: RecordView, of_day: Sequence[int], judged: list[Judged]) -> None:
    """Records without a jump: contradicted where one would show, unverifiable where none would."""
    rest = [number for number in of_day if judged[number].verdict == "unverifiable"]
    for number in rest:
        pause = view.pause(number)
        ratio = view.price_ratio(number, 0)
        if len(of_day) > len(rest):
            note = f"{len(of_day)} records of one day, and the bars bear out another"
            judged[number] = Judged("conflicting", None, note, ratio)
        elif pause is None or pause > MAX_GAP_SESSIONS + 1:
            note = "no bars around it" if pause is None else f"no bar for {pause - 1} sessions around it"
            judged[number] = Judged("unverifiable", view.at[number], note, ratio)
        elif not view.visible(number):
            note = "too small to tell from an ordinary move"
            judged[number] = Judged("unverifiable", view.at[number], note, ratio)
        else:
            note = f"{_moved(ratio)}; the record says x{math.exp(float(view.size[number])):.4g}"
            judged[number] = Judged("contradicted", None, note, ratio)


def _part_unseen(view: RecordView, distinct: Sequence[int], judged: list[Judged]) -> None:
    """Of records that exclude each other and that no bars tell apart, none is applied twice."""
    applied = [number for number in distinct if judged[number].applied]
    for position, number in enumerate(applied):
        if judged[number].verdict != "unverifiable":
            continue
        for other in applied[:position]:
            apart = view.day(number) - view.day(other)
            if apart == 0 and judged[other].verdict in ("unverifiable", "conflicting"):
                note = "records of one day with different ratios, and no bars that tell them apart"
                judged[number] = Judged("conflicting", None, note)
                judged[other] = Judged("conflicting", None, note)
            elif 0 < apart <= SHIFT_SESSIONS and view.ratio[number] == view.ratio[other]:
                note = "the same ratio is recorded a session or two before; it is applied once"
                judged[number] = Judged("conflicting", None, note)


def _doubt(view: RecordView, number: int, verdict: Judged) -> None:
    """Call it no split where the price moved by its ratio and the volume, clearly, did not."""
    moved, error = view.volumes(number, verdict.offset)
    verdict.volume_ratio = math.exp(moved) if not math.isnan(moved) else math.nan
    size = float(view.size[number])
    if math.isnan(moved) or not view.visible(number):
        return
    # The log odds of an unmoved volume against the split's, both with that error.
    odds = ((moved + size) ** 2 - moved**2) / (2 * error**2)
    doubt = _DOUBT_ODD
    if _is_simple(view.ratio[number]):
        doubt = _DOUBT_REVERSE if size > 0 else _DOUBT_SIMPLE
    if odds > doubt:
        verdict.verdict, verdict.session = "not_a_split", None
        verdict.note = (
            f"{verdict.note}, and the volume by x{verdict.volume_ratio:.3g} where a split makes it "
            f"x{math.exp(-size):.3g}: a spin-off or a reorganisation"
        )


def _moved(ratio: float) -> str:
    return f"the price opened at x{ratio:.4g}" if ratio > 0 else "no price"

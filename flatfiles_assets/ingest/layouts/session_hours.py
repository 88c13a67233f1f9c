"""In which zone intraday stamps are, and whether they are their bars' starts or ends, by the trading itself.

Trading is heaviest in New York's regular hours, 09:30 to 16:00, and begins there with a jump. Stamps
without a zone are taken for New York's where they fit these hours; for another zone's where only that
one's do; and are refused where nothing or more than one thing fits. Bars that straddle 09:30 cannot
be made into a day: what is before the open cannot be told from what is after it.

Here: moments and volumes to zone and label. Not here: how stamps are parsed (`date_formats`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flatfiles_assets.datasets import NEW_YORK
from flatfiles_assets.ingest.layouts.layout import BarLabel, NotSettled, StraddlingBars
from flatfiles_assets.ingest.layouts.zones import (
    CLOSING_SECOND,
    OPENING_SECOND,
    shifted_by_day,
    utc_offset_seconds,
)

# Where people's software puts stamps. Of zones that agree on all stamps seen, the first has it.
_ZONES = (
    *(NEW_YORK, "UTC", "America/Chicago", "America/Denver", "America/Los_Angeles", "Etc/GMT+5"),
    *("Europe/London", "Europe/Berlin", "Europe/Athens", "Europe/Moscow", "Asia/Kolkata", "Asia/Shanghai"),
    *(
        "Asia/Tokyo",
        "Australia/Sydney",
        "America/Halifax",
        "America/Sao_Paulo",
        "America/Phoenix",
        "Etc/GMT+6",
        "Etc/GMT-2",
        "Etc/GMT-3",
    ),
)
_FEWEST_DAYS = 3
# Of the volume, what fits another zone's hours must exceed what fits New York's by this.
_CLEAR = 0.05
_FEWEST_INSIDE = 0.5
_COVERED, _ALIGNED, _SAME = 0.85, 0.9, 0.01
_JUMP = 2.5
_REGULAR_SECONDS = CLOSING_SECOND - OPENING_SECOND
_UNLABELLED = (
    "nothing tells whether its bars are stamped with their starts or their ends; state `bar_label` in an "
    "override"
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Trading:
    """Intraday bars of some files.

    Attributes:
        moments: Seconds since 1970, in UTC where `has_zone`, else as written.
        volumes: What was traded in each; ones where the files do not say.
        has_zone: Whether the stamps say their zone.
    """

    moments: Ints
    volumes: Floats
    has_zone: bool


@dataclasses.dataclass(frozen=True)
class StampReading:
    """How intraday stamps are to be read.

    Attributes:
        timezone: Zone of naive stamps.
        bar_label: Whether they are the bars' starts or ends.
        evidence: What settled it, in sentences.
        straddling: What becomes of bars that straddle the open or the close; None where there are none.
        bar_seconds: The width of the bars.
    """

    timezone: str
    bar_label: BarLabel
    evidence: tuple[str, ...] = ()
    straddling: StraddlingBars | None = None
    bar_seconds: int = 60


@dataclasses.dataclass(frozen=True)
class _Fit:
    """Bars in New York's clock, under one zone.

    Attributes:
        inside: Share of the volume in regular hours, in the week where it is least.
        coverage: Share of the regular hours that has bars on most days.
        aligned: Share of the bars that do not straddle the open.
        around: The same share as `inside` with the bars that straddle the open or the close.
    """

    zone: str
    local: Ints
    inside: float
    coverage: float
    aligned: float
    around: float

    @property
    def score(self) -> float:
        """The volume inside, or nothing where the hours are not those of the exchange."""
        return self.inside if self.coverage >= _COVERED and self.aligned >= _ALIGNED else 0.0


def read_stamps(
    trading: Trading,
    timezone: str | None = None,
    bar_label: BarLabel | None = None,
    straddling: StraddlingBars | None = None,
) -> StampReading:
    """The zone and label of some files' stamps.

    Args:
        trading: Their bars.
        timezone: The zone that an override states.
        bar_label: The label that an override states.
        straddling: What an override states of bars that straddle the open.

    Raises:
        NotSettled: The stamps fit no zone's view of the session, or more than one.
    """
    width = bar_seconds(trading.moments)
    zones = ("UTC",) if trading.has_zone else (timezone,) if timezone else _ZONES
    fits = [_fit(trading, zone, width) for zone in zones]
    evidence: list[str] = []
    if timezone or trading.has_zone:
        (fit,) = fits
        if straddling is None:
            _refuse_straddling(fit, width)
        if trading.has_zone and not timezone and fit.coverage < 0.5 and _days(trading) >= _FEWEST_DAYS:
            raise NotSettled(
                f"in New York its bars run from {_clock(fit.local.min())} to {_clock(fit.local.max())}, "
                "which "
                "are not the hours of US stocks; state `timezone` in an override to take its stamps as "
                "that zone's all the same",
                timezone=NEW_YORK,
            )
    else:
        fit = _closest(fits) if straddling else _best(fits, trading, width)
        if fit.zone != NEW_YORK:
            evidence.append(
                f"stamps are of {fit.zone}: {fit.inside:.0%} of the volume lies in regular hours then, and "
                f"{fits[0].inside:.0%} if they were New York's"
            )
    zone = timezone or (NEW_YORK if trading.has_zone else fit.zone)
    if straddling is None or fit.aligned >= _ALIGNED:
        return StampReading(zone, bar_label or _label(fit, trading.volumes, width), tuple(evidence))
    label = bar_label or _label_of_straddling(fit, trading.volumes, width)
    evidence.append(
        f"bars of {width // 60} minutes that straddle 09:30 or 16:00 "
        f"{'count for the day' if straddling == 'count' else 'are left out'}, as an override says"
    )
    return StampReading(zone, label, tuple(evidence), straddling, width)


def bar_seconds(moments: Ints) -> int:
    """The width of bars: the most frequent distance of neighbours."""
    steps = np.diff(np.unique(moments))
    steps = steps[(steps > 0) & (steps <= 6 * 3600)]
    if not len(steps):
        return 60
    values, counts = np.unique(steps, return_counts=True)
    return int(values[np.argmax(counts)])


def _days(trading: Trading) -> int:
    return len(np.unique(trading.moments // 86400))


def _fit(trading: Trading, zone: str, width: int) -> _Fit:
    utc = shifted_by_day(trading.moments, lambda day: -utc_offset_seconds(zone, day))
    local = shifted_by_day(utc, lambda day: utc_offset_seconds(NEW_YORK, day)) % 86400
    days = trading.moments // 86400
    # Starts and ends differ by a bar; the label under which the hours fit better counts.
    coverage, inside = max(
        (_coverage(local, days, width, label), _share_inside(trading, _in_hours(local, label)))
        for label in ("start", "end")
    )
    near = local[(local >= OPENING_SECOND - width) & (local <= CLOSING_SECOND + width)]
    aligned = float(np.mean((near - OPENING_SECOND) % width == 0)) if len(near) else 0.0
    if _is_odd_last_bar(width):
        aligned = (
            float(np.mean(((near - OPENING_SECOND) % width == 0) | (near == CLOSING_SECOND)))
            if len(near)
            else 0.0
        )
    around = max(
        _share_inside(trading, hours)
        for hours in (
            (local > OPENING_SECOND - width) & (local < CLOSING_SECOND),
            (local > OPENING_SECOND) & (local < CLOSING_SECOND + width),
        )
    )
    return _Fit(zone, local, inside, coverage, aligned, around)


def _share_inside(trading: Trading, inside: npt.NDArray[np.bool_]) -> float:
    """The share of the volume that is inside, in the week where it is least.

    A zone that changes its clocks on other days than the true one is wrong in a few weeks only.
    """
    weeks, places = np.unique(trading.moments // (7 * 86400), return_inverse=True)
    total = np.bincount(places, trading.volumes, len(weeks))
    of_week = np.bincount(places, trading.volumes * inside, len(weeks))
    traded = total > 0
    return float(np.min(of_week[traded] / total[traded])) if traded.any() else 0.0


def _is_odd_last_bar(width: int) -> bool:
    return _REGULAR_SECONDS % width != 0


def _in_hours(local: Ints, label: str) -> npt.NDArray[np.bool_]:
    if label == "start":
        return (local >= OPENING_SECOND) & (local < CLOSING_SECOND)
    return (local > OPENING_SECOND) & (local <= CLOSING_SECOND)


def _coverage(local: Ints, days: Ints, width: int, label: str) -> float:
    """The share of the regular hours' parts in which there are bars on at least a third of the days.

    Half of it where the first or the last part has none: then the hours are others.
    """
    part = max(width, 1800)
    parts = -(-_REGULAR_SECONDS // part)
    inside = _in_hours(local, label)
    of_part = (local[inside] - OPENING_SECOND - (0 if label == "start" else 1)) // part
    pairs = np.unique(np.stack([of_part, days[inside]]), axis=1)
    counts = np.bincount(pairs[0], minlength=parts) if pairs.size else np.zeros(parts)
    filled = counts >= max(1.0, len(np.unique(days)) / 3)
    share = float(np.count_nonzero(filled)) / parts
    return share if filled[0] and filled[-1] else share / 2


def _best(fits: Sequence[_Fit], trading: Trading, width: int) -> _Fit:
    new_york = fits[0]
    best = max(fits, key=lambda fit: fit.score)
    is_long = _days(trading) >= _FEWEST_DAYS
    clear = _CLEAR if is_long else 2 * _CLEAR
    if new_york.score and new_york.score >= best.score - clear:
        return new_york
    if not any(fit.score for fit in fits):
        _refuse_straddling(_closest(fits), width)
        raise NotSettled(
            f"its bars run from {_clock(new_york.local.min())} to {_clock(new_york.local.max())} and do "
            "not fit "
            "the regular hours 09:30 to 16:00 of New York from any zone that is tried; state `timezone` and "
            "`bar_label` in an override",
            timezone="UTC",
            bar_label="start",
        )
    rivals = [
        fit for fit in fits if fit.score >= best.score - _CLEAR and not np.array_equal(fit.local, best.local)
    ]
    if not is_long or best.inside < _FEWEST_INSIDE or rivals:
        likely = [best.zone, *(rival.zone for rival in rivals)]
        raise NotSettled(
            f"its times have no zone, and {new_york.inside:.0%} of the volume lies in the regular hours "
            "if they "
            f"are New York's, {best.inside:.0%} if they are of {' or '.join(likely)}; state `timezone` in an "
            "override",
            timezone=best.zone,
        )
    return best


def _closest(fits: Sequence[_Fit]) -> _Fit:
    """The first zone that fits as well as any but for bars which straddle the open.

    An hour's start in New York is its end in Chicago: of zones that mean the same bars, New York counts.
    """
    most = max(fit.around for fit in fits)
    return next(fit for fit in fits if fit.around >= most - _SAME)


def _refuse_straddling(fit: _Fit, width: int) -> None:
    if fit.aligned < _ALIGNED and fit.around >= _FEWEST_INSIDE:
        raise NotSettled(
            f"its bars of {width // 60} minutes straddle the open at 09:30, e.g. one stamped "
            f"{_clock(_straddling(fit))}: what was traded before the open cannot be told from "
            "what was after it; to take what was traded before it into the day, state `straddling_bars` in "
            "an override",
            timezone=fit.zone,
            straddling_bars="count",
        )


def _straddling(fit: _Fit) -> int:
    before = fit.local[fit.local < OPENING_SECOND]
    return int(before.max()) if len(before) else int(fit.local.min())


def _label(fit: _Fit, volumes: Floats, width: int) -> BarLabel:
    """Whether bars are stamped with their starts or ends."""
    local = fit.local
    has_open, has_close = bool((local == OPENING_SECOND).any()), bool((local == CLOSING_SECOND).any())
    is_wider = bool((local < OPENING_SECOND).any()) or bool((local > CLOSING_SECOND).any())
    if not is_wider and has_open != has_close:
        return "start" if has_open else "end"
    if not is_wider and not has_open and not has_close:
        first, last = int(local.min()) - OPENING_SECOND, CLOSING_SECOND - int(local.max())
        return "end" if first >= width > last else "start"
    before = _mean_volume(local, volumes, [OPENING_SECOND - step * width for step in range(1, 6)])
    at_open = _mean_volume(local, volumes, [OPENING_SECOND])
    after = _mean_volume(local, volumes, [OPENING_SECOND + width])
    if at_open >= _JUMP * before:
        return "start"
    if after >= _JUMP * max(at_open, before):
        return "end"
    if has_close and not has_open and int(local.max()) == CLOSING_SECOND:
        return "end"
    if has_open or not has_close:
        return "start"
    raise NotSettled(_UNLABELLED, bar_label="start")


def _label_of_straddling(fit: _Fit, volumes: Floats, width: int) -> BarLabel:
    """The same of bars that straddle: the first is heavy if stamped by its start, the last if by its end."""
    stamps = np.unique(fit.local)
    first = stamps[(stamps > OPENING_SECOND - width) & (stamps < OPENING_SECOND)]
    last = stamps[(stamps >= CLOSING_SECOND) & (stamps < CLOSING_SECOND + width)]
    before, after = (_mean_volume(fit.local, volumes, each.tolist()) for each in (first, last))
    if before > _JUMP * after:
        return "start"
    if after > _JUMP * before:
        return "end"
    raise NotSettled(_UNLABELLED, bar_label="start", straddling_bars="count")


def _mean_volume(local: Ints, volumes: Floats, seconds: Sequence[int]) -> float:
    at = np.isin(local, np.array(seconds, dtype=np.int64))
    return float(np.mean(volumes[at])) if at.any() else 0.0


def _clock(second: int | np.int64) -> str:
    return f"{int(second) // 3600:02d}:{int(second) // 60 % 60:02d}"

"""Which columns are open, high, low and close: by headings, and by proofs where those are silent.

A proof can fail: the high is never below the others and the low never above them; the open is near
the close before. What more than one reading fits is refused with the entry that would settle it.

Here: prices. Not here: the volume (`volume_columns`), the arithmetic of the proofs (`series_evidence`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts import series_evidence
from flatfiles_assets.ingest.layouts.layout import NotSettled, missing_columns
from flatfiles_assets.ingest.layouts.number_columns import NumberColumns
from flatfiles_assets.ingest.layouts.price_doubts import (
    refuse_exchanged,
    refuse_if_flagged,
    refuse_other_money,
    refuse_qualified,
)
from flatfiles_assets.ingest.layouts.series_evidence import Floats
from flatfiles_assets.ingest.layouts.volume_columns import refuse_running_totals, settle_volume

# One row in fifty may break a relation without refuting it.
_TOLERANCE = 0.02
# Standard errors by which an open and a close must differ from their exchange: in the customary order
# of columns, and against it.
_CUSTOMARY, _AGAINST_CUSTOM = 2.0, 4.0
# A high above one and a half times the low, in the median, is no high but a volume.
_WIDEST_BAR = 1.5
_MOST_COLUMNS_TO_TRY = 14
_WHOLE_BAR = (*meaning.PRICES, meaning.VOLUME)


class PriceColumns(NumberColumns):
    """The prices of a file on the way to their meanings."""

    def settle(self, *, without_volume: bool = False) -> None:
        """Gives every number that a bar needs its meaning.

        Args:
            without_volume: Whether an override names the columns, so that a missing volume is meant.

        Raises:
            NotSettled: A price is missing or open to more than one reading.
        """
        if not without_volume:
            refuse_other_money(self)
        self._take_headings()
        self._settle_adjustment()
        absent = missing_columns(self.found.meanings, meaning.PRICES)
        if absent:
            self._prove_prices(absent)
        elif not without_volume:
            refuse_exchanged(self)
        if not without_volume:
            settle_volume(self)
            refuse_running_totals(self)
        self._settle_adjusted_close()

    # --- headings

    def _take_headings(self) -> None:
        meanings, headings = self.found.meanings, self.found.headings
        named = (*_WHOLE_BAR, meaning.UP_VOLUME, meaning.DOWN_VOLUME, meaning.TICK_VOLUME)
        for name in (*named, meaning.TRANSACTIONS, meaning.OPEN_INTEREST):
            if name in meanings:
                continue
            places = [p for p, h in enumerate(headings) if h.meaning == name and meanings[p] is None]
            plain = [p for p in places if not headings[p].adjustment and p in self.numeric]
            if not plain:
                continue
            best = min(headings[p].rank for p in plain)
            first, *others = [p for p in plain if headings[p].rank == best]
            if clash := next((p for p in others if not self.same(first, p)), None):
                raise NotSettled(
                    f"two columns, {headings[first].text!r} and {headings[clash].text!r}, both mean {name}, "
                    "and their values differ; state `columns` in an override",
                    columns={headings[first].text: name, headings[clash].text: meaning.IGNORED}
                    if headings[first].text != headings[clash].text
                    else self.entry({first: name}),
                )
            meanings[first] = name
        volume = self.found.place(meaning.VOLUME)
        if volume is not None and headings[volume].scale != 1:
            self.volume_scale = headings[volume].scale

    def _settle_adjustment(self) -> None:
        """Prices as traded are taken where a file has them beside adjusted ones."""
        headings = self.found.headings
        by_name: dict[str, dict[str, int]] = {"adjusted": {}, "unadjusted": {}}
        for place, heading in enumerate(headings):
            if heading.adjustment and heading.meaning and self.found.meanings[place] is None:
                by_name[heading.adjustment].setdefault(heading.meaning, place)
        raw = by_name["unadjusted"]
        if set(meaning.PRICES) <= set(raw):
            plain_close = self.found.place(meaning.CLOSE)
            for name in _WHOLE_BAR:
                if name in raw:
                    self._move(name, raw[name])
            if plain_close is not None and meaning.ADJUSTED_CLOSE not in self.found.meanings:
                self.found.meanings[plain_close] = meaning.ADJUSTED_CLOSE
            self.found.evidence.append("prices as traded are taken, which stand beside adjusted ones")
        elif meaning.CLOSE in raw:
            self._compare_with_raw_close(raw[meaning.CLOSE])
        adjusted = by_name["adjusted"].get(meaning.CLOSE)
        if adjusted is not None and adjusted not in self.numeric:
            refuse_if_flagged(self, adjusted)
        elif adjusted is not None and meaning.ADJUSTED_CLOSE not in self.found.meanings:
            self.found.meanings[adjusted] = meaning.ADJUSTED_CLOSE

    def _compare_with_raw_close(self, raw: int) -> None:
        close = self.found.place(meaning.CLOSE)
        if close is None:
            self.found.meanings[raw] = meaning.CLOSE
            return
        traded, plain = self.values(raw), self.values(close)
        known = np.isfinite(traded) & np.isfinite(plain)
        differ = float(np.mean(~np.isclose(traded[known], plain[known], rtol=1e-4))) if known.any() else 0.0
        if differ > 0.001:
            raw_name, name = self.found.headings[raw].text, self.found.headings[close].text
            raise NotSettled(
                f"its prices are adjusted: {name!r} differs from {raw_name!r} in {differ:.0%} of the "
                "rows, and "
                "open, high and low stand in no column as they were traded; to take the adjusted prices all "
                "the same, state `columns` in an override",
                columns={raw_name: meaning.IGNORED, name: meaning.CLOSE},
            )

    def _move(self, name: str, place: int) -> None:
        if (before := self.found.place(name)) is not None:
            self.found.meanings[before] = None
        self.found.meanings[place] = name

    # --- prices by proof

    def _prove_prices(self, absent: Sequence[str]) -> None:
        headings = self.found.headings
        quotes = [h.text for h in headings if h.meaning == meaning.QUOTE]
        if len(absent) == len(meaning.PRICES) and len(quotes) >= 4:
            raise NotSettled(
                f"its prices are quotes ({', '.join(quotes[:4])} …) and not trades; to take some of them all "
                "the same, state `columns` in an override",
                columns=dict(zip(quotes, meaning.PRICES, strict=False)),
            )
        adjusted = {h.meaning: h.text for h in headings if h.adjustment == "adjusted"}
        if len(absent) == len(meaning.PRICES) and set(meaning.PRICES) <= set(adjusted):
            raise NotSettled(
                f"all its prices are adjusted ({', '.join(adjusted.values())}), and none stands as it "
                "was traded; "
                "to take the adjusted ones all the same, state `columns` in an override",
                columns={adjusted[name]: name for name in meaning.PRICES},
            )
        if len(absent) == len(meaning.PRICES):
            refuse_qualified(self)
        candidates = self._price_candidates()
        if len(absent) == len(meaning.PRICES):
            self._prove_whole_bar(candidates)
        else:
            self._prove_some(absent, candidates)

    def _price_candidates(self) -> list[int]:
        """Columns of numbers that nothing explains."""
        explained = {meaning.OTHER, meaning.QUOTE, meaning.IDENTIFIER}
        places = [
            place
            for place in self.sample.numeric
            if self.found.meanings[place] is None
            and self.found.headings[place].meaning not in explained
            and not self.numbers_rows(place)
        ]
        return places[:_MOST_COLUMNS_TO_TRY]

    def _without_previous_closes(self, candidates: list[int]) -> list[int]:
        lagged = [
            place
            for place in candidates
            if any(
                other != place
                and series_evidence.repeats_the_row_before(
                    self.series, self.values(place), self.values(other)
                )
                for other in candidates
            )
        ]
        left = [place for place in candidates if place not in lagged]
        if not lagged or len(left) < len(meaning.PRICES) or not self._has_whole_bar(left):
            return candidates
        self.found.evidence.append(
            f"{self.names(lagged)} repeats another column's row before, as a previous close does"
        )
        return left

    def _has_whole_bar(self, candidates: list[int]) -> bool:
        ends = self._tightest_ends(candidates)
        return ends is not None and len(self._distinct(ends[2])) > 1

    def _prove_whole_bar(self, candidates: list[int]) -> None:
        candidates = self._without_previous_closes(candidates)
        ends = self._tightest_ends(candidates)
        if ends is None or not self._has_whole_bar(candidates):
            raise NotSettled(
                "no four of its columns without a known heading are an open, high, low and close: "
                "a high that is never below, and a low that is never above the others; state `columns` in an "
                f"override{self.heading_list()}",
                columns=self.entry(dict(zip(candidates, _WHOLE_BAR, strict=False))),
            )
        high, low, between = ends
        opened, close = self._open_and_close(between, high, low)
        for name, place in zip(meaning.PRICES, (opened, high, low, close), strict=True):
            self.found.meanings[place] = name

    def _tightest_ends(self, candidates: Sequence[int]) -> tuple[int, int, list[int]] | None:
        """High and low of the bar that lies closest together, and the columns that stay between them.

        Without closeness, a volume would pass for a high, which it always exceeds, or a zero for a low.
        """
        fitting: list[tuple[float, int, int, list[int]]] = []
        for high, low in itertools.permutations(candidates, 2):
            top, bottom = self.values(high), self.values(low)
            known = np.isfinite(top) & np.isfinite(bottom) & (bottom > 0)
            if not known.any() or float(np.mean((top < bottom)[known])) > _TOLERANCE:
                continue
            between = [p for p in candidates if p not in (high, low) and self._within(p, top, bottom, known)]
            if len(between) >= 2:
                spread = float(np.median(top[known] / bottom[known]))
                if spread <= _WIDEST_BAR:
                    fitting.append((round(spread, 9), high, low, between))
        if not fitting:
            return None
        spread, high, low, between = min(fitting)
        rivals = [
            other
            for other in fitting
            if other[0] - 1 <= 1.15 * (spread - 1)
            and not self.same(high, other[1])
            and not {high, low} <= {*other[3], other[1], other[2]}
        ]
        if rivals:
            first = ", ".join(self.found.named(p) for p in sorted((high, low, *between)))
            second = ", ".join(self.found.named(p) for p in sorted((*rivals[0][1:3], *rivals[0][3])))
            raise NotSettled(
                f"more than one set of its columns is a bar ({first}; {second}), as with bids and asks "
                "or with "
                "adjusted prices; state `columns` in an override",
                columns=self.entry(
                    dict(zip(sorted((high, low, *between))[:4], meaning.PRICES, strict=False))
                ),
            )
        return high, low, between

    def _within(self, place: int, top: Floats, bottom: Floats, known: npt.NDArray[np.bool_]) -> bool:
        column = self.values(place)
        filled = known & np.isfinite(column)
        if not filled.any():
            return False
        outside = (column > top) | (column < bottom)
        return float(np.mean(outside[filled])) <= _TOLERANCE

    def _open_and_close(self, between: list[int], high: int, low: int) -> tuple[int, int]:
        distinct = self._distinct(between)
        best = min(
            itertools.permutations(distinct, 2),
            key=lambda pair: float(np.nanmean(self._steps(*pair))) if self.series.pairs else 0.0,
        )
        customary = best[0] < best[1]
        needed = _CUSTOMARY if customary else _AGAINST_CUSTOM
        for other in itertools.permutations(distinct, 2):
            if other == best:
                continue
            lead = self._lead(best, other)
            if lead is None or lead < needed:
                places = sorted((*distinct[:2], high, low))
                names = [meaning.HIGH if p == high else meaning.LOW if p == low else "" for p in places]
                free = iter((meaning.OPEN, meaning.CLOSE))
                said = "too few rows follow each other" if lead is None else f"{lead:.1f} standard errors"
                raise NotSettled(
                    f"nothing tells the open from the close among {self.names(distinct)}: the close before "
                    f"should lie nearer to the next open than the other way round ({said}); state "
                    "`columns` in "
                    "an override",
                    columns=self.entry(
                        {p: name or next(free) for p, name in zip(places, names, strict=True)}
                    ),
                )
        self.found.evidence.append(f"open and close told apart by continuity over {self.series.pairs} rows")
        return best

    def _distinct(self, places: Sequence[int]) -> list[int]:
        """Columns without those that repeat an earlier one."""
        distinct: list[int] = []
        for place in places:
            if not any(self.nearly_same(place, other) for other in distinct):
                distinct.append(place)
        return distinct

    def _steps(self, opened: int, close: int) -> Floats:
        return series_evidence.continuity(self.series, self.values(close), self.values(opened))

    def _lead(self, pair: tuple[int, int], other: tuple[int, int]) -> float | None:
        return series_evidence.advantage(
            self.series,
            (self.values(pair[0]), self.values(pair[1])),
            (self.values(other[0]), self.values(other[1])),
        )

    def _prove_some(self, absent: Sequence[str], candidates: list[int]) -> None:
        """One of open and close that no heading names, beside a high and a low that headings do."""
        found = self.found
        high, low = found.place(meaning.HIGH), found.place(meaning.LOW)
        headings = tuple(h.text for h in found.headings)
        unknown = [p for p in candidates if found.headings[p].meaning is None and found.headings[p].text]
        if len(absent) > 1 and self._agrees_with_headings(absent, candidates):
            return
        if high is None or low is None or len(absent) > 1:
            raise NotSettled(
                f"no column means {', '.join(absent)}; its headings are {headings}; state `columns` in an "
                "override",
                columns={found.headings[p].text: name for p, name in zip(unknown, absent, strict=False)},
            )
        (name,) = absent
        top, bottom = self.values(high), self.values(low)
        known = np.isfinite(top) & np.isfinite(bottom)
        fitting = [p for p in unknown if self._within(p, top, bottom, known)]
        other = found.place(meaning.CLOSE if name == meaning.OPEN else meaning.OPEN)
        if len(fitting) == 1 and other is not None:
            place = fitting[0]
            pair = (place, other) if name == meaning.OPEN else (other, place)
            lead = self._lead(pair, (pair[1], pair[0]))
            if lead is not None and lead >= _AGAINST_CUSTOM:
                found.meanings[place] = name
                found.evidence.append(
                    f"{found.named(place)} is the {name}, by continuity ({lead:.1f} standard errors)"
                )
                return
        entry = fitting or unknown
        raise NotSettled(
            f"no column means {name}; its headings are {headings}; state `columns` in an override",
            columns={found.headings[entry[0]].text: name} if entry else {},
        )

    def _agrees_with_headings(self, absent: Sequence[str], candidates: list[int]) -> bool:
        """Whether all prices can be proven, and those that headings name turn out to be what they say."""
        named = {name: place for name in meaning.PRICES if (place := self.found.place(name)) is not None}
        every = sorted({*candidates, *named.values()})
        ends = self._tightest_ends(every)
        if ends is None or len(self._distinct(ends[2])) < 2:
            return False
        high, low, between = ends
        opened, close = self._open_and_close(between, high, low)
        proven = dict(zip(meaning.PRICES, (opened, high, low, close), strict=True))
        if any(not self.nearly_same(proven[name], place) for name, place in named.items()):
            return False
        for name in absent:
            self.found.meanings[proven[name]] = name
        names = ", ".join(f"{self.found.named(proven[name])} as {name}" for name in absent)
        self.found.evidence.append(f"{names} by their values")
        return True

    def _settle_adjusted_close(self) -> None:
        """A price that no heading names, beside a whole bar: what lies outside of it is adjusted."""
        if meaning.ADJUSTED_CLOSE in self.found.meanings or any(h.text for h in self.found.headings):
            return
        close_place = self.known(meaning.CLOSE)
        close, low = self.values(close_place), self.values(self.known(meaning.LOW))
        for place in self.unexplained_numbers():
            column = self.values(place)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = column / close
            is_near = 1e-3 < float(np.nanmedian(ratio)) < 10 and place > close_place
            differs = np.isfinite(column) & ~np.isclose(column, close, rtol=1e-9)
            outside = not differs.any() or float(np.mean((column < low)[differs])) > 0.5
            if is_near and outside:
                self.found.meanings[place] = meaning.ADJUSTED_CLOSE
                return

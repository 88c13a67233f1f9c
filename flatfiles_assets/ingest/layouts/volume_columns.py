"""Which column is the volume: by its heading where it has one, else by proofs that can fail.

A volume is a whole number that changes from row to row, does not follow the price as a market
capitalisation does, and is not the money that was paid.
"""

from __future__ import annotations

import numpy as np

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts import series_evidence
from flatfiles_assets.ingest.layouts.layout import NotSettled
from flatfiles_assets.ingest.layouts.number_columns import NumberColumns

# One row in fifty may break a relation without refuting it.
_TOLERANCE = 0.02


def settle_volume(columns: NumberColumns) -> None:
    """Gives the volume its meaning, if there is one.

    Raises:
        NotSettled: More than one column could be the volume, or one that a heading calls otherwise.
    """
    found = columns.found
    volume = found.place(meaning.VOLUME)
    if volume is not None and columns.traded(volume):
        return
    up, down = found.place(meaning.UP_VOLUME), found.place(meaning.DOWN_VOLUME)
    if volume is None and up is not None and down is not None:
        found.evidence.append("the volume is the sum of those at rising and at falling prices")
        return
    ticks = found.place(meaning.TICK_VOLUME)
    if ticks is not None and columns.traded(ticks):
        if volume is not None:
            found.meanings[volume] = None
            found.evidence.append(
                f"the volume is {found.named(ticks)}, for {found.named(volume)} is zero in every row"
            )
        found.meanings[ticks] = meaning.VOLUME
        return
    _refuse_unreadable(columns, volume)
    _prove_volume(columns, volume)


def refuse_running_totals(columns: NumberColumns) -> None:
    """Refuses a volume that counts from the beginning of each day.

    Raises:
        NotSettled: It does.
    """
    place = columns.found.place(meaning.VOLUME)
    if place is not None and series_evidence.is_running_total(columns.series, columns.values(place)):
        raise NotSettled(
            f"{columns.found.named(place)} grows from bar to bar and begins anew each day: it is what was "
            "traded since the open, and a day's sum of it means nothing; to go without a volume, state "
            "`columns` in an override",
            columns=columns.entry({place: meaning.IGNORED}),
        )


def _refuse_unreadable(columns: NumberColumns, named: int | None) -> None:
    """A column that its heading calls the volume, and whose cells are no numbers, is not no volume."""
    found = columns.found
    for place, heading in enumerate(found.headings):
        if named is None and heading.meaning == meaning.VOLUME and found.meanings[place] is None:
            cells = columns.sample.filled(place)
            if cells and place not in columns.sample.numeric:
                shown = ", ".join(map(repr, cells[:3]))
                raise NotSettled(
                    f"{found.named(place)} is to be the volume, and its cells are no numbers that can "
                    f"be read, e.g. {shown}; to go without a volume, state `columns` in an override",
                    columns=columns.entry({place: meaning.IGNORED}),
                )


def _prove_volume(columns: NumberColumns, named: int | None) -> None:
    found = columns.found
    sizes = _sizes(columns)
    close = columns.values(columns.known(meaning.CLOSE))
    shares = [
        p
        for p in sizes
        if not any(
            q != p and series_evidence.is_turnover(columns.values(p), columns.values(q), close) for q in sizes
        )
    ]
    partners = [
        p
        for p in shares
        if any(
            q != p and series_evidence.is_turnover(columns.values(q), columns.values(p), close) for q in sizes
        )
    ]
    candidates = partners or shares
    if not candidates:
        if named is not None and _other_sizes(columns, named):
            other = _other_sizes(columns, named)[0]
            raise NotSettled(
                f"{found.named(named)} is zero or empty in every row, and {found.named(other)} could "
                "be the "
                "volume; state `columns` in an override",
                columns=columns.entry({named: meaning.IGNORED, other: meaning.VOLUME}),
            )
        if named is None and (others := _other_sizes(columns, None)):
            raise NotSettled(
                f"no column means volume, and {found.named(others[0])} could be it; state `columns` "
                "in an "
                "override",
                columns=columns.entry({others[0]: meaning.VOLUME}),
            )
        return
    best = max(candidates, key=lambda p: float(np.nanmedian(columns.values(p))))
    for other in candidates:
        exceeds = np.nan_to_num(columns.values(other)) > np.nan_to_num(columns.values(best))
        if other != best and float(np.mean(exceeds)) > _TOLERANCE:
            raise NotSettled(
                f"{found.named(best)} and {found.named(other)} could both be the volume; state "
                "`columns` in "
                "an override",
                columns=columns.entry({best: meaning.VOLUME, other: meaning.IGNORED}),
            )
    if found.headings[best].text:
        found.evidence.append(f"{found.named(best)} is the volume, by its values")
    if named is not None:
        found.meanings[named] = None
    found.meanings[best] = meaning.VOLUME


def _sizes(columns: NumberColumns) -> list[int]:
    """Unexplained whole numbers that change from row to row and do not follow the price."""
    close = columns.values(columns.known(meaning.CLOSE))
    return [
        p
        for p in columns.unexplained_numbers()
        if _is_whole(columns, p)
        and columns.traded(p)
        and not series_evidence.hardly_changes(columns.values(p), columns.securities)
        and not series_evidence.is_size_times_price(columns.values(p), close, columns.securities)
    ]


def _other_sizes(columns: NumberColumns, named: int | None) -> list[int]:
    """Columns that may yet be the volume: large numbers which some heading explains otherwise."""
    close = columns.values(columns.known(meaning.CLOSE))
    price = float(np.nanmedian(close))
    keys = ("turnover", "umsatz", "value", "amount", "qty", "shrout", "tradedvalue")
    return [
        p
        for p in columns.sample.numeric
        if p != named
        and columns.found.meanings[p] is None
        and (
            columns.found.headings[p].meaning is None
            or meaning.heading_key(columns.found.headings[p].text) in keys
            or meaning.heading_key(columns.found.headings[p].text).startswith("vol")
        )
        and columns.traded(p)
        and float(np.nanmedian(columns.values(p))) > 20 * price
        and not series_evidence.hardly_changes(columns.values(p), columns.securities)
        and not columns.numbers_rows(p)
    ]


def _is_whole(columns: NumberColumns, place: int) -> bool:
    column = columns.values(place)
    filled = column[np.isfinite(column)]
    return bool(len(filled)) and bool(np.all(filled == np.round(filled))) and bool(np.all(filled >= 0))
